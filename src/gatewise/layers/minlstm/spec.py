"""Minimal long short-term memory.

Feng, Tung, Hassani, Bengio, Ahmed & Hajimirsadeghi 2024, "Were RNNs All We Needed?" (arXiv 2410.01201): an LSTM whose
gates and candidate do not depend on the state, so that training is a scan over all steps at once. Its two gates are
divided by their sum, so that the scale of the state does not depend on the number of steps::

    f  = sigmoid(W_f x + b_f)                   forget     (H)
    i  = sigmoid(W_i x + b_i)                   input      (H)
    n  = act(W_n x + b_n)                       candidate  (H)
    f' = f / (f + i)     i' = i / (f + i)
    h' = h + i' * (n - h)                       = f' * h + i' * n

act is linear unless an option says otherwise; `*` is elementwise. There is no output gate and no separate cell. As
f' + i' = 1, only i' is needed, and it is computed in a way that is correct even if both f and i underflow::

    i' = sigmoid(log sigmoid(W_i x + b_i) - log sigmoid(W_f x + b_f))

The state is a weighted mean of 0 and the past candidates, so its absolute value never exceeds theirs. In float32 it
stops changing when i' (n - h) is below half a unit in the last place of h: with i' = 1 / T it approaches n to a
relative error of 6e-8 T.

The paper computes h' as above or, for speed on a GPU, with sums of logarithms. The latter need a positive candidate, so
the paper applies g(x) = x + 0.5 for x >= 0, else sigmoid(x). Here everything is computed in the linear domain, and
candidates may have either sign.

The gates and the candidate of one layer depend on the present input only. To let them depend on earlier inputs too,
stack two or more layers.

Tensors, H = units, I = inputs, order f, i, n (torch's LSTM has i before f):

    weight_ih (3H, I)   bias_ih (3H)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gatewise.layers.activation import ELEMENTWISE, Activation
from gatewise.layers.base import Array, Edge, Field, Layer, check_count, check_number, one_input, uniform

ACTIVATIONS = ELEMENTWISE


@dataclass(frozen=True)
class Spec(Layer):
    """Options of a minimal LSTM.

    Attributes:
        units: H, the size of the hidden state.
        activation: the activation of the candidate.
        forget_bias: the bias of the forget gate at initialisation. The bias of the input gate is its negative, so that
            f' begins at sigmoid(forget_bias), as f of an LSTM does. With the input gate at 1/2, f' could not exceed
            2/3.
        chrono: T, the longest dependency expected, in steps. The forget biases are then initialised to log(U(1, T - 1))
            and the input biases to their negatives, so that the units begin with memories of all lengths up to T
            (Tallec & Ollivier 2018, arXiv 1804.11188), and `forget_bias` has no effect. None = off.
    """

    kind: ClassVar[str] = "minlstm"
    not_structural: ClassVar[tuple[str, ...]] = ("forget_bias", "chrono")
    recurrent: ClassVar[bool] = True
    retention: ClassVar[str | None] = "forget"
    units: int
    activation: Any = "linear"
    forget_bias: float = 1.0
    chrono: int | None = None

    def __post_init__(self) -> None:
        check_count("units", self.units)
        object.__setattr__(self, "activation", Activation.parse("activation", self.activation, ACTIVATIONS))
        object.__setattr__(self, "forget_bias", check_number("forget_bias", self.forget_bias, -100.0, 100.0))
        if self.chrono is not None:
            check_count("chrono", self.chrono, 1 << 30, least=3)

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """One value for each unit, at the clock of the input."""
        return Edge(self.units, clock=one_input(self, inputs).clock)

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Shapes as in the head of this file."""
        n = 3 * self.units
        return {"weight_ih": (n, one_input(self, inputs).width), "bias_ih": (n,)}

    def state(self, inputs: Sequence[Edge]) -> tuple[Field, ...]:
        """The hidden state h."""
        return (Field("hidden", "float32", (self.units,)),)

    def macs(self, inputs: Sequence[Edge]) -> int:
        """3H I; the recurrence is elementwise and does not count."""
        return 3 * self.units * one_input(self, inputs).width

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """Glorot-uniform weights; gate biases according to `forget_bias` or `chrono`; zero biases of the candidate."""
        width, units = one_input(self, inputs).width, self.units
        weight = uniform(rng, (3 * units, width), (6.0 / (width + units)) ** 0.5)
        bias = np.zeros((3, units), np.float32)
        bias[0] = self.forget_bias if self.chrono is None else np.log(rng.uniform(1.0, self.chrono - 1.0, units))
        bias[1] = -bias[0]
        return {"weight_ih": weight, "bias_ih": bias.reshape(-1)}

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equations above in float64."""
        taken = self.gates(tensors, state, *x)["input"]  # (batch, H)
        n = x[0] @ tensors["weight_ih"][2 * self.units :].T + tensors["bias_ih"][2 * self.units :]
        h = state["hidden"] + taken * (self.activation(n) - state["hidden"])
        return h, {"hidden": h}

    def gates(self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array) -> dict[str, Array]:
        """f' and i', which add up to 1; the share f' of the state is kept."""
        own = slice(2 * self.units)  # the rows of f and i
        f, i = np.split(x[0] @ tensors["weight_ih"][own].T + tensors["bias_ih"][own], 2, axis=-1)  # (batch, H) each
        difference = np.logaddexp(0.0, -i) - np.logaddexp(0.0, -f)  # log sigmoid(f) - log sigmoid(i)
        return {"forget": np.exp(-np.logaddexp(0.0, -difference)), "input": np.exp(-np.logaddexp(0.0, difference))}

    def numbers(self) -> dict[str, float | list[float]]:
        """The activation of the candidate."""
        return {**self.activation.numbers("activation")}
