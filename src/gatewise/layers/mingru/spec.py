"""Minimal gated recurrent unit.

Feng, Tung, Hassani, Bengio, Ahmed & Hajimirsadeghi 2024, "Were RNNs All We Needed?" (arXiv 2410.01201): a GRU whose
gate and candidate do not see the state, so that training is a scan over all steps at once::

    z  = sigmoid(W_z x + b_z)                   update     (H)
    n  = act(W_n x + b_n)                       candidate  (H)
    h' = h + z * (n - h)                        = (1 - z) * h + z * n

act is linear unless an option says otherwise; `*` is elementwise. z is that of the paper, how much is taken in: in
torch's GRU, and in `gru` here, z is how much is kept.

The state lies between the candidates that it was made of, and 0, so it is never larger than they are. In float32 it
stands still once z (n - h) is below half of its last place: with z = 1 / T it comes to within 6e-8 T of n, relative to
n.

The paper runs this h' or, for speed on a GPU, sums of logarithms, which need a candidate above 0: its
g(x) = x + 0.5 from 0 on, else sigmoid(x). Here all runs in the linear domain, with candidates of either sign.

Gate and candidate of one layer know the reading alone. Where they should depend on earlier readings too, two such
layers or more go one upon the other.

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
        activation: of the candidate.
        chrono: the longest dependency expected, in steps, T: then the biases of z are initialised to
            -log(U(1, T - 1)), so that memories of all lengths up to T exist from the start (Tallec & Ollivier 2018,
            arXiv 1804.11188). None = off, and they are zero.
    """

    kind: ClassVar[str] = "mingru"
    not_structural: ClassVar[tuple[str, ...]] = ("chrono",)
    recurrent: ClassVar[bool] = True
    units: int
    activation: Any = "linear"
    chrono: int | None = None

    def __post_init__(self) -> None:
        check_count("units", self.units)
        object.__setattr__(self, "activation", Activation.parse("activation", self.activation, ACTIVATIONS))
        if self.chrono is not None:
            check_count("chrono", self.chrono, 1 << 30, least=3)

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """One value a unit, at the clock of the input."""
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
        """Glorot-uniform weights; zero biases but for `chrono`."""
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
        z, n = np.split(x[0] @ tensors["weight_ih"].T + tensors["bias_ih"], 2, axis=-1)  # (batch, H) each
        z = np.exp(-np.logaddexp(0.0, -z))  # sigmoid
        h = state["hidden"] + z * (self.activation(n) - state["hidden"])
        return h, {"hidden": h}

    def numbers(self) -> dict[str, float | list[float]]:
        """The activation of the candidate."""
        return {**self.activation.numbers("activation")}
