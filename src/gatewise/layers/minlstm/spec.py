"""Minimal long short-term memory.

Feng, Tung, Hassani, Bengio, Ahmed & Hajimirsadeghi 2024, "Were RNNs All We Needed?" (arXiv 2410.01201): an LSTM whose
gates and candidate do not see the state, so that training is a scan over all steps at once. Its two gates are scaled to
a sum of 1, so that the size of the state does not depend on how many steps there have been::

    f  = sigmoid(W_f x + b_f)                   forget     (H)
    i  = sigmoid(W_i x + b_i)                   input      (H)
    n  = act(W_n x + b_n)                       candidate  (H)
    f' = f / (f + i)     i' = i / (f + i)
    h' = h + i' * (n - h)                       = f' * h + i' * n

act is linear unless an option says otherwise; `*` is elementwise. There is no output gate and no cell beside h. As f'
and i' come to 1 together, i' is all that is needed, and it is computed so that f and i may both underflow::

    i' = sigmoid(log sigmoid(W_i x + b_i) - log sigmoid(W_f x + b_f))

The state lies between the candidates that it was made of, and 0, so it is never larger than they are. In float32 it
stands still once i' (n - h) is below half of its last place: with i' = 1 / T it comes to within 6e-8 T of n, relative
to n.

The paper runs this h' or, for speed on a GPU, sums of logarithms, which need a candidate above 0: its
g(x) = x + 0.5 from 0 on, else sigmoid(x). Here all runs in the linear domain, with candidates of either sign.

Gates and candidate of one layer know the reading alone. Where they should depend on earlier readings too, two such
layers or more go one upon the other.

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
        activation: of the candidate.
        forget_bias: the forget gate's bias at initialisation; its negative is the input gate's, so that f' begins at
            sigmoid(forget_bias), as an LSTM's f does. With the input gate at 1/2, f' could not exceed 2/3.
        chrono: the longest dependency expected, in steps, T: then the forget biases are initialised to log(U(1, T - 1))
            and the input biases to the negative of those, so that memories of all lengths up to T exist from the start
            (Tallec & Ollivier 2018, arXiv 1804.11188), and `forget_bias` has no effect. None = off.
    """

    kind: ClassVar[str] = "minlstm"
    not_structural: ClassVar[tuple[str, ...]] = ("forget_bias", "chrono")
    recurrent: ClassVar[bool] = True
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
        """One value a unit, at the clock of the input."""
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
        """Glorot-uniform weights; gate biases as `forget_bias` or `chrono` says, the candidate's zero."""
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
        f, i, n = np.split(x[0] @ tensors["weight_ih"].T + tensors["bias_ih"], 3, axis=-1)  # (batch, H) each
        log_f, log_i = -np.logaddexp(0.0, -f), -np.logaddexp(0.0, -i)
        taken = np.exp(-np.logaddexp(0.0, log_f - log_i))  # i', sigmoid of the difference
        h = state["hidden"] + taken * (self.activation(n) - state["hidden"])
        return h, {"hidden": h}

    def numbers(self) -> dict[str, float | list[float]]:
        """The activation of the candidate."""
        return {**self.activation.numbers("activation")}
