"""Plain recurrent layer (Elman 1990), with the two biases of later libraries::

    h' = act(W_ih x + b_ih + W_hh h + b_hh)        (H)

act is tanh unless an option says otherwise. With `clip`, the argument of act is first clipped to [-clip, clip] (the
ONNX attribute of that name).

Tensors, H = units, I = inputs: weight_ih (H, I), weight_hh (H, H), bias_ih (H), bias_hh (H). As torch RNN and ONNX RNN;
Keras SimpleRNN stores the transposes and has one bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gatewise.layers.activation import ELEMENTWISE, Activation
from gatewise.layers.base import Array, Edge, Field, Layer, check_count, check_number, one_input, orthogonal, uniform

ACTIVATIONS = ELEMENTWISE


@dataclass(frozen=True)
class Spec(Layer):
    """Options of a plain recurrent layer.

    Attributes:
        units: H, the size of the hidden state.
        activation: the activation of the new hidden state.
        clip: bound to which the argument of the activation is clipped; None = no clipping.
    """

    kind: ClassVar[str] = "rnn"
    recurrent: ClassVar[bool] = True
    units: int
    activation: Any = "tanh"
    clip: float | None = None

    def __post_init__(self) -> None:
        check_count("units", self.units)
        object.__setattr__(self, "activation", Activation.parse("activation", self.activation, ACTIVATIONS))
        if self.clip is not None:
            object.__setattr__(self, "clip", check_number("clip", self.clip, 1e-6, 1e30))

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """One value for each unit, at the clock of the input."""
        return Edge(self.units, clock=one_input(self, inputs).clock)

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Shapes as in the head of this file."""
        return {
            "weight_ih": (self.units, one_input(self, inputs).width),
            "weight_hh": (self.units, self.units),
            "bias_ih": (self.units,),
            "bias_hh": (self.units,),
        }

    def state(self, inputs: Sequence[Edge]) -> tuple[Field, ...]:
        """The hidden state h."""
        return (Field("hidden", "float32", (self.units,), bounded=self.activation.bounded),)

    def macs(self, inputs: Sequence[Edge]) -> int:
        """H (I + H)."""
        return self.units * (one_input(self, inputs).width + self.units)

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """Glorot-uniform input weights, zero biases; the recurrent matrix orthogonal or, for relu, the identity.

        With the identity, a relu layer keeps its state at first (Le, Jaitly & Hinton 2015, arXiv 1504.00941).
        """
        width, units = one_input(self, inputs).width, self.units
        keep = self.activation.kind == "relu"
        return {
            "weight_ih": uniform(rng, (units, width), (6.0 / (width + units)) ** 0.5),
            "weight_hh": np.eye(units, dtype=np.float32) if keep else orthogonal(rng, units),
            "bias_ih": np.zeros(units, np.float32),
            "bias_hh": np.zeros(units, np.float32),
        }

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equation above in float64."""
        sums = x[0] @ tensors["weight_ih"].T + tensors["bias_ih"]
        sums = sums + state["hidden"] @ tensors["weight_hh"].T + tensors["bias_hh"]  # (batch, H)
        h = self.activation(sums if self.clip is None else np.clip(sums, -self.clip, self.clip))
        return h, {"hidden": h}

    def numbers(self) -> dict[str, float | list[float]]:
        """The activation and the clip, 0 = none."""
        return {**self.activation.numbers("activation"), "clip": self.clip or 0.0}

    def warnings(self) -> tuple[str, ...]:
        """The state may grow without limit if the activation is unbounded."""
        if self.clip is None and not self.activation.bounded:
            return (f"activation {self.activation.kind} is unbounded: the state may grow without limit; set clip",)
        return ()
