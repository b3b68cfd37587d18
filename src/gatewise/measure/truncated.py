"""Measure how much of its past a model uses: its answers from the last K readings alone, beside those from all.

At chosen steps t the answer y_t is computed from the whole context and, from a zero state, from the readings
x_{t-K+1} .. x_t alone. For each output j, with means over the chosen steps::

    change_K,j    =  sqrt( mean_t (y_t,j^(K) - y_t,j)^2 )
    relative_K    =  sqrt( mean_j (change_K,j / std_t y_t,j)^2 )        over the outputs that vary at these steps
    loss_K        =  mean_t loss(y_t^(K), target_t)

Khandelwal, He, Qi and Jurafsky 2018, "Sharp Nearby, Fuzzy Far Away: How Neural Language Models Use Context" (arXiv
1805.04623), section 4.1, which measures the loss of a fitted model by the number of its last tokens.

This describes the model. Whether a shorter context carries less information about the target is another question, which
only a model fitted to that context can answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.measure.sequences import (
    Loss,
    Progress,
    Readings,
    Sequences,
    as_targets,
    losses,
    sequences,
)
from gatewise.model import Model

MOST_LAG = 1024
"""Greatest lag of a model that carries its state, unless `lags` says otherwise."""

ANSWERS = 500
"""Greatest number of answers compared, unless `every` says otherwise."""


@dataclass(frozen=True)
class TruncatedContext:
    """Answers from the last K readings, compared with those from the whole context.

    Attributes:
        lags: the numbers of readings K, ascending, (lags,) int.
        change: root mean square change of each output, in its unit, (lags, outputs) float64.
        relative: the same relative to the standard deviation of the output, root mean square over the outputs that are
            not constant, (lags,).
        loss: mean loss at each K, (lags,); None without targets.
        full_loss: mean loss with the whole context, at the same steps; None without targets.
        answers: number of answers compared.
    """

    lags: Array
    change: Array
    relative: Array
    loss: Array | None
    full_loss: float | None
    answers: int

    def reach(self, share: float = 0.05) -> float:
        """The least K from which on the relative change stays below `share`; inf if it does so at no K measured."""
        above = np.flatnonzero(~(self.relative < share))
        first = int(above[-1]) + 1 if above.size else 0
        return float(self.lags[first]) if first < len(self.lags) else float("inf")


def truncated_context(
    model: Model,
    x: Readings,
    lags: Sequence[int] | None = None,
    targets: Any = None,
    loss: Loss | None = None,
    every: int | None = None,
    progress: Progress | None = None,
) -> TruncatedContext:
    """Compare the answers of a model from its last K readings alone with those from the whole context.

    The answers are compared at the same steps for all K, those with at least max(lags) readings. A model with a window
    of L readings is measured up to K = L. A non-causal model without a window gives its answer to the end of each
    sequence. Where the input stage fills missing readings forward, nothing older than the K readings is filled in.

    Args:
        model: the model.
        x: readings (time, inputs) or (batch, time, inputs), or a list of (time, inputs).
        lags: the numbers of readings K; None = the powers of 2 up to the window of the model or, without one, up to
            half of the longest sequence or MOST_LAG.
        targets: for each sequence (time,) or (time, values), or one target for its last step, a number or (1, values);
            NaN = none at this step. Only steps with a target are then compared. None = no loss is measured.
        loss: a function of answers (n, outputs) and targets (n, values) that returns (n,); None = the squared error.
        every: every how many steps an answer is compared; None = so many that at most ANSWERS are.
        progress: called with the number of lags done and their total number; None = not called.

    Returns:
        the changes and losses, with lags in ascending order.

    Raises:
        InputError: the readings or targets do not fit the model, a lag is longer than the window or than all sequences,
            or there is a loss without targets.
    """
    data = sequences(model, x)
    if loss is not None and targets is None:
        raise InputError("a loss needs targets; pass targets= as well, or no loss")
    wanted = _lags(data, lags)
    aimed = None if targets is None else as_targets(targets, data)
    places = _places(data, int(wanted[-1]), aimed, every)
    full = data.answers_at(places)  # (answers, outputs)
    target = None if aimed is None else np.stack([values[t] for values, t in _at(aimed, places)])
    change, lost = np.empty((len(wanted), data.model.outputs)), np.empty(len(wanted))
    for i, lag in enumerate(wanted.tolist()):
        windows = np.stack([readings[t - lag + 1 : t + 1] for readings, t in _at(data.x, places)])
        answers = data.last_answers(windows)
        change[i] = np.sqrt(np.mean((answers - full) ** 2, axis=0))
        if target is not None:
            lost[i] = losses(answers, target, loss).mean()
        if progress is not None:
            progress(i + 1, len(wanted))
    none = target is None
    full_loss = None if target is None else float(losses(full, target, loss).mean())
    return TruncatedContext(
        wanted, change, _relative(change, full.std(axis=0)), None if none else lost, full_loss, len(full)
    )


def _relative(change: Array, spread: Array) -> Array:
    """Changes (lags, outputs) as shares of the standard deviations (outputs,) of the outputs that vary: (lags,).

    If none varies, they are 0 where nothing changes, and else inf.
    """
    varies = spread > 0
    if not varies.any():
        return np.where(change.any(axis=1), np.inf, 0.0)
    return np.asarray(np.sqrt(np.mean((change[:, varies] / spread[varies]) ** 2, axis=1)))


def _lags(data: Sequences, lags: Sequence[int] | None) -> Array:
    """The numbers of readings, checked and ascending."""
    longest, window = max(map(len, data.x)), data.model.window
    if lags is None:
        most = min(longest, window) if window else max(1, min(longest // 2, MOST_LAG))
        return np.unique([*(1 << np.arange(most.bit_length())), most])
    wanted = np.unique(np.asarray(lags))
    if wanted.dtype.kind not in "iu" or not wanted.size or wanted[0] < 1:
        raise InputError(f"lags must be whole numbers of at least 1, got {lags!r}")
    if window and wanted[-1] > window:
        raise InputError(f"the model has a window of {window} readings, got the lag {wanted[-1]}; pass lags up to it")
    if wanted[-1] > longest:
        raise InputError(
            f"the longest sequence has {longest} steps, got the lag {wanted[-1]}; pass longer sequences or shorter lags"
        )
    return wanted


def _places(data: Sequences, longest: int, aimed: list[Array] | None, every: int | None) -> Array:
    """The answers to compare: sequence and step, (answers, 2) int."""
    whole = not data.model.graph.streams  # the answer of a non-causal model is that to the end of the sequence
    found = []
    for i, x in enumerate(data.x):
        steps = np.arange(max(longest, len(x) if whole else 0) - 1, len(x))
        if aimed is not None:
            steps = steps[np.isfinite(aimed[i][steps]).all(axis=1)]
        found.append(np.stack([np.full(len(steps), i), steps], axis=1))
    places = np.concatenate(found)
    if not len(places):
        raise InputError(
            f"no step has {longest} readings before it{' and a target' if aimed is not None else ''}; pass longer "
            "sequences or shorter lags"
        )
    if every is not None and (not isinstance(every, int) or every < 1):
        raise InputError(f"every must be a whole number of at least 1, got {every!r}")
    return places[:: every or math.ceil(len(places) / ANSWERS)]


def _at(values: Sequence[Array], places: Array) -> list[tuple[Array, int]]:
    return [(values[i], t) for i, t in places.tolist()]
