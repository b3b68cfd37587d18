"""Gated recurrent unit.

Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder" (arXiv 1406.1078). As in later libraries,
there are two biases, and the reset gate acts in one of two places::

    r  = gate(W_ir x + b_ir + W_hr h + b_hr)                 reset   (H)
    z  = gate(W_iz x + b_iz + W_hz h + b_hz)                 update  (H)
    n  = act(W_in x + b_in + r * (W_hn h + b_hn))            candidate, reset "after"  (torch, cuDNN, Keras 2+)
    n  = act(W_in x + b_in + W_hn (r * h) + b_hn)            candidate, reset "before" (the paper, Keras 1, ONNX)
    h' = n + z * (h - n)                                     = (1 - z) * n + z * h

gate is sigmoid and act is tanh unless an option says otherwise; `*` is elementwise. With `clip`, the arguments of gate
and act are first clipped to [-clip, clip] (the ONNX attribute of that name).

Tensors, H = units, I = inputs, gate order r, z, n (as torch):

    weight_ih (3H, I)   weight_hh (3H, H)   bias_ih (3H)   bias_hh (3H)

Elsewhere: torch has r, z, n and "after"; Keras has z, r, h and either; ONNX has z, r, h and either
(`linear_before_reset`). The paper writes h' with z and 1 - z exchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gatewise.layers.activation import ELEMENTWISE, Activation
from gatewise.layers.base import (
    Array,
    Edge,
    Field,
    Layer,
    check_choice,
    check_count,
    check_number,
    one_input,
    orthogonal,
    uniform,
)

ACTIVATIONS = ELEMENTWISE


@dataclass(frozen=True)
class Spec(Layer):
    """Options of a GRU.

    Attributes:
        units: H, the size of the hidden state.
        reset: where the reset gate acts: "after" or "before" the recurrent matrix.
        activation: the activation of the candidate.
        gate_activation: the activation of the reset and update gates.
        clip: bound to which the arguments of the activations are clipped; None = no clipping.
    """

    kind: ClassVar[str] = "gru"
    recurrent: ClassVar[bool] = True
    retention: ClassVar[str | None] = "update"
    units: int
    reset: str = "after"
    activation: Any = "tanh"
    gate_activation: Any = "sigmoid"
    clip: float | None = None

    def __post_init__(self) -> None:
        check_count("units", self.units)
        check_choice("reset", self.reset, ("after", "before"))
        for option in ("activation", "gate_activation"):
            parsed = Activation.parse(option, getattr(self, option), ACTIVATIONS)
            object.__setattr__(self, option, parsed)
        if self.clip is not None:
            object.__setattr__(self, "clip", check_number("clip", self.clip, 1e-6, 1e30))

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """One value for each unit, at the clock of the input."""
        return Edge(self.units, clock=one_input(self, inputs).clock)

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Shapes as in the head of this file."""
        n = 3 * self.units
        return {
            "weight_ih": (n, one_input(self, inputs).width),
            "weight_hh": (n, self.units),
            "bias_ih": (n,),
            "bias_hh": (n,),
        }

    def state(self, inputs: Sequence[Edge]) -> tuple[Field, ...]:
        """The hidden state h: with gates between 0 and 1, a weighted mean of 0 and the past candidates."""
        bounded = self.activation.bounded and self.gate_activation.share
        return (Field("hidden", "float32", (self.units,), bounded=bounded),)

    def macs(self, inputs: Sequence[Edge]) -> int:
        """3H (I + H)."""
        return 3 * self.units * (one_input(self, inputs).width + self.units)

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """Glorot-uniform input weights, orthogonal recurrent weights gate by gate, zero biases."""
        width, units = one_input(self, inputs).width, self.units
        return {
            "weight_ih": uniform(rng, (3 * units, width), (6.0 / (width + units)) ** 0.5),
            "weight_hh": np.concatenate([orthogonal(rng, units) for _ in range(3)]),
            "bias_ih": np.zeros(3 * units, np.float32),
            "bias_hh": np.zeros(3 * units, np.float32),
        }

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equations above in float64."""
        h = state["hidden"]  # (batch, H)
        gates = self.gates(tensors, state, *x)
        r, z = gates["reset"], gates["update"]  # (batch, H) each
        xn = x[0] @ tensors["weight_ih"][2 * self.units :].T + tensors["bias_ih"][2 * self.units :]  # (batch, H)
        wn, bn = tensors["weight_hh"][2 * self.units :], tensors["bias_hh"][2 * self.units :]  # (H, H), (H,)
        if self.reset == "after":
            n = self.activation(self._within(xn + r * (h @ wn.T + bn)))
        else:
            n = self.activation(self._within(xn + (r * h) @ wn.T + bn))
        h = n + z * (h - n)
        return h, {"hidden": h}

    def gates(self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array) -> dict[str, Array]:
        """r and z; the share z of the state is kept."""
        own = slice(2 * self.units)  # the rows of r and z
        sums = x[0] @ tensors["weight_ih"][own].T + tensors["bias_ih"][own]
        sums = sums + state["hidden"] @ tensors["weight_hh"][own].T + tensors["bias_hh"][own]  # (batch, 2H)
        r, z = np.split(self.gate_activation(self._within(sums)), 2, axis=-1)
        return {"reset": r, "update": z}

    def _within(self, x: Array) -> Array:
        return x if self.clip is None else np.clip(x, -self.clip, self.clip)

    def numbers(self) -> dict[str, float | list[float]]:
        """Reset (0 after, 1 before), both activations, clip (0 = none)."""
        return {
            "reset": float(self.reset == "before"),
            **self.gate_activation.numbers("gate_activation"),
            **self.activation.numbers("activation"),
            "clip": self.clip or 0.0,
        }

    def warnings(self) -> tuple[str, ...]:
        """The state may grow without limit if the candidate is unbounded, or a gate exceeds 1, even with `clip`."""
        found = []
        if not self.gate_activation.bounded:
            kind = self.gate_activation.kind
            found.append(f"gate activation {kind} is not bounded by 1: the state may grow without limit")
        if self.clip is None and not self.activation.bounded:
            kind = self.activation.kind
            found.append(f"candidate activation {kind} is unbounded: the state may grow without limit; set clip")
        return tuple(found)
