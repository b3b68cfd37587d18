"""Minimal gated recurrent unit.

Feng, Tung, Hassani, Bengio, Ahmed & Hajimirsadeghi 2024, "Were RNNs All We Needed?" (arXiv 2410.01201): a GRU whose
gate and candidate do not see the state, so that training is a scan over all steps at once::

    z  = sigmoid(W_z x + b_z)                   update     (H)
    n  = act(W_n x + b_n)                       candidate  (H)
    h' = h + z * (n - h)                        = (1 - z) * h + z * n

act is linear unless an option says otherwise; `*` is elementwise. As in the paper, z is the share of the candidate that
enters the state; in torch's GRU, and in `gru` here, z is the share of the state that is kept.

The state is a weighted mean of 0 and the past candidates, so its absolute value never exceeds theirs. In float32 it
stops changing when z (n - h) is below half a unit in the last place of h: with z = 1 / T it approaches n to a relative
error of 6e-8 T.

The paper computes h' as above or, for speed on a GPU, with sums of logarithms. The latter need a positive candidate, so
the paper applies g(x) = x + 0.5 for x >= 0, else sigmoid(x). Here everything is computed in the linear domain, and
candidates may have either sign.

The gate and the candidate of one layer depend on the present input only. To let them depend on earlier inputs too,
stack two or more layers.

Tensors, H = units, I = inputs, order z, n:

    weight_ih (2H, I)   bias_ih (2H)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gatewise.layers.activation import ELEMENTWISE, Activation
from gatewise.layers.base import Array, Edge, Field, Layer, check_count, one_input, uniform

ACTIVATIONS = ELEMENTWISE


@dataclass(frozen=True)
class Spec(Layer):
    """Options of a minimal GRU.

    Attributes:
        units: H, the size of the hidden state.
        activation: the activation of the candidate.
        chrono: T, the longest dependency expected, in steps. The biases of z are then initialised to
            -log(U(1, T - 1)), so that the units begin with memories of all lengths up to T (Tallec & Ollivier 2018,
            arXiv 1804.11188). None = off; the biases are then zero.
    """

    kind: ClassVar[str] = "mingru"
    not_structural: ClassVar[tuple[str, ...]] = ("chrono",)
    recurrent: ClassVar[bool] = True
    retention: ClassVar[str | None] = "forget"
    units: int
    activation: Any = "linear"
    chrono: int | None = None

    def __post_init__(self) -> None:
        check_count("units", self.units)
        object.__setattr__(self, "activation", Activation.parse("activation", self.activation, ACTIVATIONS))
        if self.chrono is not None:
            check_count("chrono", self.chrono, 1 << 30, least=3)

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """One value for each unit, at the clock of the input."""
        return Edge(self.units, clock=one_input(self, inputs).clock)

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Shapes as in the head of this file."""
        n = 2 * self.units
        return {"weight_ih": (n, one_input(self, inputs).width), "bias_ih": (n,)}

    def state(self, inputs: Sequence[Edge]) -> tuple[Field, ...]:
        """The hidden state h."""
        return (Field("hidden", "float32", (self.units,)),)

    def macs(self, inputs: Sequence[Edge]) -> int:
        """2H I; the recurrence is elementwise and does not count."""
        return 2 * self.units * one_input(self, inputs).width

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """Glorot-uniform weights; zero biases, except with `chrono`."""
        width, units = one_input(self, inputs).width, self.units
        weight = uniform(rng, (2 * units, width), (6.0 / (width + units)) ** 0.5)
        bias = np.zeros((2, units), np.float32)
        if self.chrono is not None:
            bias[0] = -np.log(rng.uniform(1.0, self.chrono - 1.0, units))
        return {"weight_ih": weight, "bias_ih": bias.reshape(-1)}

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equations above in float64."""
        z = self.gates(tensors, state, *x)["update"]  # (batch, H)
        n = x[0] @ tensors["weight_ih"][self.units :].T + tensors["bias_ih"][self.units :]
        h = state["hidden"] + z * (self.activation(n) - state["hidden"])
        return h, {"hidden": h}

    def gates(self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array) -> dict[str, Array]:
        """z, and the share 1 - z of the state that is kept, called "forget" as in an LSTM."""
        z = x[0] @ tensors["weight_ih"][: self.units].T + tensors["bias_ih"][: self.units]  # (batch, H)
        return {"update": np.exp(-np.logaddexp(0.0, -z)), "forget": np.exp(-np.logaddexp(0.0, z))}  # sigmoid(+-z)

    def numbers(self) -> dict[str, float | list[float]]:
        """The activation of the candidate."""
        return {**self.activation.numbers("activation")}
