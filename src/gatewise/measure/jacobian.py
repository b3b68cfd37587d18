"""Measure how fast a recurrence forgets a small change of its state, or amplifies it: its Lyapunov exponents.

Along the states that the model reaches on data, orthonormal vectors Q_t (S, k) are carried through the Jacobians of the
recurrence s_t = f(x_t, s_{t-1}), and made orthonormal again in each step::

    ds_t/ds_{t-1} Q_{t-1}  =  Q_t R_t                                       QR decomposition
    lambda_i               =  mean_t ln |R_t,ii|                            a step; lambda_1 is the largest exponent
    half-life              =  ln 2 / -lambda_1                              steps, if lambda_1 < 0

A product of many Jacobians grows or falls as exp(lambda_1 t): below 0 the gradient vanishes and the past is forgotten,
above 0 it explodes and the model is chaotic.

Benettin, Galgani, Giorgilli and Strelcyn 1980, "Lyapunov characteristic exponents for smooth dynamical systems",
Meccanica 15; Pascanu, Mikolov and Bengio 2013, "On the difficulty of training recurrent neural networks" (arXiv
1211.5063); Engelken, Wolf and Abbott 2023, "Lyapunov spectra of chaotic recurrent neural networks", Physical Review
Research 5.

The Jacobian is not computed itself. Its product with a vector q is the central difference
(f(s + e q) - f(s - e q)) / (2 e) in the float64 reference, with a relative error of about 1e-9. It needs no torch; the
gradient by lag of `gatewise.measure.gradients` takes part in the same decay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gatewise.errors import InputError, SpecError
from gatewise.graph import Node, reference_trace
from gatewise.layers.base import Array
from gatewise.measure.sampled import STEPS, remembering, stretches
from gatewise.measure.sequences import Progress, Readings, sequences
from gatewise.model import Model

LENGTH = 200
"""Number of steps of a stretch, unless `length` says otherwise."""

NUDGE = 1e-6
"""Length of the change of the state, relative to the root mean square of the state or, if that is smaller, to 1."""

NOTHING = 1e-8
"""A factor below this is within the error of the difference, and counts as 0."""


@dataclass(frozen=True)
class JacobianDecay:
    """The Lyapunov exponents of a model on data.

    Attributes:
        rates: exponents in descending order, natural logarithms a step, (stretches, exponents) float64; -inf if a
            change is forgotten in one step.
        steps: number of steps of each stretch over which they are means, after as many that find the directions.
    """

    rates: Array
    steps: int

    @property
    def rate(self) -> float:
        """The largest exponent, a mean over the stretches: below 0 if changes are forgotten."""
        return float(self.rates[:, 0].mean())

    @property
    def half_life(self) -> float:
        """Number of steps in which a small change of the state halves; inf if it does not shrink."""
        return math.log(2) / -self.rate if self.rate < 0 else math.inf


def jacobian_decay(
    model: Model,
    x: Readings,
    exponents: int = 1,
    steps: int = STEPS,
    length: int = LENGTH,
    seed: int = 0,
    progress: Progress | None = None,
) -> JacobianDecay:
    """Measure the largest Lyapunov exponents of the state of a model's layers, driven by data.

    At most `steps` steps are sampled, in stretches spread evenly over the data, see `gatewise.measure.sampled`. In a
    model with a window, a stretch is a window.

    Args:
        model: a model whose layers are all causal.
        x: readings (time, inputs) or (batch, time, inputs), or a list of (time, inputs).
        exponents: number of exponents, from the largest one.
        steps: greatest number of steps that are sampled.
        length: number of steps of a stretch. Its first half lets the vectors turn to the directions of the largest
            exponents, the second half is measured. Where a window is short, they have turned in part only.
        seed: of the first directions.
        progress: called with the number of steps of a stretch done and their total number; None = not called.

    Returns:
        the exponents of each stretch.

    Raises:
        InputError: the readings do not fit the model, a sequence has fewer than two steps, `exponents` exceeds the
            number of values in the state, or the state is not finite.
        SpecError: no layer has a state, or a layer needs the whole sequence, so that no state follows from another.
    """
    data = sequences(model, x)
    nodes = remembering(data.model)
    if data.model.graph.non_causal:
        raise SpecError(f"{model.why_non_causal()}, so no state follows from the one before; measure truncated_context")
    size = sum(field.size for node in nodes for field in node.state)
    if not isinstance(exponents, int) or not 1 <= exponents <= size:
        raise InputError(f"exponents must be 1 to {size}, the number of values in the state, got {exponents!r}")
    if not isinstance(length, int) or length < 2 or min(map(len, data.x)) < 2:
        raise InputError("a rate needs stretches of at least two steps; pass longer sequences and length >= 2")
    (part,) = stretches(data, steps, length)
    count, time = part.x.shape[:2]
    measured = time - time // 2
    step = _Step(data.model, nodes, part.state, count)
    drawn = np.random.default_rng(seed).standard_normal((count, size, exponents))
    vectors = np.linalg.qr(drawn)[0]  # Q (stretches, S, k)
    logs = np.zeros((count, exponents))
    for t in range(time):
        with np.errstate(over="ignore", invalid="ignore"):  # reported as an error by the step itself
            product = step(part.x[:, t], vectors)
        vectors, triangle = np.linalg.qr(product)
        if t >= time - measured:
            factors = np.abs(np.diagonal(triangle, axis1=1, axis2=2))
            logs += np.log(factors, out=np.full_like(factors, -np.inf), where=factors >= NOTHING)
        if progress is not None:
            progress(t + 1, time)
    return JacobianDecay(logs / measured, measured)


class _Step:
    """The recurrence of the layers of a model, and the products of its Jacobian with vectors.

    Args:
        model: the model.
        nodes: the layers that have a state.
        state: full name -> (stretches, *shape), or empty for a zero state.
        count: number of stretches.
    """

    def __init__(self, model: Model, nodes: Sequence[Node], state: Mapping[str, Array], count: int) -> None:
        self._graph, self._tensors = model.graph, model.tensors
        self._fields = [field for node in nodes for field in node.state]
        self._now = {field.name: np.zeros((count, *field.shape)) for field in model.graph.node_state}
        self._now.update({name: value.astype(np.float64) for name, value in state.items()})

    def __call__(self, x: Array, vectors: Array) -> Array:
        """Make one step from readings (stretches, inputs), and return J Q (stretches, S, k) for Q = vectors."""
        at = np.concatenate([self._now[field.name].reshape(len(x), -1) for field in self._fields], axis=1)
        nudge = NUDGE * np.maximum(1.0, np.sqrt(np.mean(at**2, axis=1)))[:, None, None]
        by = nudge * vectors.transpose(0, 2, 1)  # (stretches, k, S)
        rows = at[:, None] + np.concatenate([np.zeros_like(by[:, :1]), by, -by], axis=1)  # (stretches, 1 + 2k, S)
        copies = rows.shape[1]
        state = {name: np.repeat(value, copies, axis=0) for name, value in self._now.items()}
        ends = np.cumsum([field.size for field in self._fields])[:-1]
        for field, value in zip(self._fields, np.split(rows.reshape(-1, rows.shape[2]), ends, axis=1), strict=True):
            state[field.name] = value.reshape(-1, *field.shape)
        traces = reference_trace(self._graph, self._tensors, np.repeat(x[:, None], copies, axis=0), state)
        after = {f"{trace.node.name}.{key}": value[:, -1] for trace in traces for key, value in trace.states.items()}
        self._now = {name: value[::copies] for name, value in after.items()}
        found = np.concatenate([after[field.name].reshape(len(rows), copies, -1) for field in self._fields], axis=2)
        if not np.isfinite(found).all():
            raise InputError("the state of the model is no longer finite on these readings; measure on other readings")
        _, plus, minus = np.split(found, [1, 1 + by.shape[1]], axis=1)
        return np.asarray(((plus - minus) / (2.0 * nudge)).transpose(0, 2, 1))
