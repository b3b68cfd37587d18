"""Real-gated linear recurrent unit.

De et al. 2024, "Griffin: Mixing Gated Linear Recurrences with Local Attention for Efficient Language Models" (arXiv
2402.19427), equations 1 to 4::

    r  = sigmoid(W_r x + b_r)                           recurrence gate   (H)
    i  = sigmoid(W_i x + b_i)                           input gate        (H)
    v  = W_v x + b_v                                    value             (H)
    a  = exp(-8 softplus(decay) r)                      in (0, 1); the paper's c = 8
    h' = a * h + sqrt(1 - a^2) * (i * v)                hidden            (H)

`*` is elementwise. The gates depend on the input only, and h' is linear in h, so that a whole sequence is computed by a
scan. In the paper v is x itself, as wide as h: if W_v is the identity and b_v is zero, this is the layer of the paper.
The paper writes a = sigmoid(L)^(8 r); its L is -decay here, as log sigmoid(L) = -softplus(-L).

With `signed`, a is replaced by 2 a - 1, in (-1, 1). A unit can then also change the sign of its state, which is needed,
for example, to track a parity (Grazzi et al. 2024, "Unlocking State-Tracking in Linear RNNs Through Negative
Eigenvalues", arXiv 2411.12537)::

    h' = (2 a - 1) * h + 2 sqrt(a (1 - a)) * (i * v)    as 1 - (2 a - 1)^2 = 4 a (1 - a)

1 - a^2 and 1 - a are computed with expm1 of log a, because squares and differences would cancel if a is close to 1.
The state is bounded by the past values: |h| <= max |v| sqrt((1 + a) / (1 - a)), for the largest |a| that the gate
    gives.

Tensors, H = units, I = inputs, rows in the order r, i, v:

    weight_ih (3H, I)   bias_ih (3H)   decay (H)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gatewise.layers.base import Array, Edge, Field, Layer, check_count, check_flag, one_input, uniform


@dataclass(frozen=True)
class Spec(Layer):
    """Options of a real-gated linear recurrent unit.

    Attributes:
        units: H, the size of the hidden state.
        signed: whether the factor of the state is 2 a - 1, from -1 to 1, instead of a, from 0 to 1.
    """

    kind: ClassVar[str] = "rglru"
    recurrent: ClassVar[bool] = True
    retention: ClassVar[str | None] = "forget"
    units: int
    signed: bool = False

    def __post_init__(self) -> None:
        check_count("units", self.units)
        check_flag("signed", self.signed)

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """One value for each unit, at the clock of the input."""
        return Edge(self.units, clock=one_input(self, inputs).clock)

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Shapes as in the head of this file."""
        n = 3 * self.units
        return {"weight_ih": (n, one_input(self, inputs).width), "bias_ih": (n,), "decay": (self.units,)}

    def state(self, inputs: Sequence[Edge]) -> tuple[Field, ...]:
        """The hidden state h."""
        return (Field("hidden", "float32", (self.units,)),)

    def macs(self, inputs: Sequence[Edge]) -> int:
        """3H I; the recurrence is elementwise and does not count."""
        return 3 * self.units * one_input(self, inputs).width

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """Glorot-uniform weights, zero biases, and a at r = 1 uniform in [0.9, 0.999], as in the paper.

        With `signed`, this would never let 2 a - 1 become negative. Therefore 2 a - 1 at r = 1 is -u, with u uniform in
        [0.9, 0.999], and b_r is such that 2 a - 1 = u if W_r x = 0. A unit then begins with a memory as long as in the
        paper, and its gate can change it to one of the same length with the other sign.
        """
        width, units = one_input(self, inputs).width, self.units
        weight = uniform(rng, (3 * units, width), (6.0 / (width + units)) ** 0.5)
        bias = np.zeros((3, units), np.float32)
        u = rng.uniform(0.9, 0.999, units)
        rate = -np.log(u)  # 8 softplus(decay) = -log a at r = 1
        if self.signed:
            rate, slow = -np.log((1.0 - u) / 2.0), -np.log((1.0 + u) / 2.0)
            bias[0] = np.log(slow / (rate - slow))  # sigmoid(b_r) = slow / rate
        decay = np.log(np.expm1(rate / 8.0)).astype(np.float32)
        return {"weight_ih": weight, "bias_ih": bias.reshape(-1), "decay": decay}

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equations above in float64."""
        r, i, v = np.split(x[0] @ tensors["weight_ih"].T + tensors["bias_ih"], 3, axis=-1)  # (batch, H) each
        log_a = self._log_a(tensors, r)
        if self.signed:
            a = 2.0 * np.exp(log_a) - 1.0
            root = 2.0 * np.sqrt(np.exp(log_a) * -np.expm1(log_a))
        else:
            a = np.exp(log_a)
            root = np.sqrt(-np.expm1(2.0 * log_a))
        h = a * state["hidden"] + root * (_sigmoid(i) * v)
        return h, {"hidden": h}

    def gates(self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array) -> dict[str, Array]:
        """r and i, and the factor of the state without its sign, called "forget" as in an LSTM."""
        own = slice(2 * self.units)  # the rows of r and i
        r, i = np.split(x[0] @ tensors["weight_ih"][own].T + tensors["bias_ih"][own], 2, axis=-1)  # (batch, H) each
        a = np.exp(self._log_a(tensors, r))
        return {"recurrence": _sigmoid(r), "input": _sigmoid(i), "forget": np.abs(2.0 * a - 1.0) if self.signed else a}

    @staticmethod
    def _log_a(tensors: Mapping[str, Array], r: Array) -> Array:
        """log a, from the argument of the recurrence gate (batch, H)."""
        return np.asarray(-8.0 * np.logaddexp(0.0, tensors["decay"]) * _sigmoid(r))

    def numbers(self) -> dict[str, float | list[float]]:
        """Signed (0 or 1)."""
        return {"signed": float(self.signed)}


def _sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -x))
