"""Measure which columns a model needs: the increase of its loss when one column is exchanged at random.

With X' = X but for column j, which comes from other sequences or steps::

    importance_j  =  mean loss(f(X'), y)  -  mean loss(f(X), y)

Breiman 2001, "Random forests", Machine Learning 45, section 10; Fisher, Rudin and Dominici 2019, "All models are wrong,
but many are useful", JMLR 20(177). As in their e_switch, no sequence or step keeps its own values. For a linear model
with the coefficient a, the squared error and independent columns, the expected increase is 2 a^2 var(x_j).

Sequences of a group that have the same length exchange the whole course of the column, so that the model still reads a
course that exists. A sequence that has no other of its length in its group, such as a single long series, exchanges the
steps of the column among themselves. This removes the order of the column too, and a recurrent model may then read
jumps that it has never seen, so that the importance is an upper bound. Exchange within groups, such as machines, keeps
what is typical of each group, and asks what the column tells beyond it.

Columns that tell the same may replace each other, so that each alone is of little importance.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.measure.sequences import Loss, Progress, Readings, Sequences, as_targets, losses, sequences
from gatewise.model import Model


@dataclass(frozen=True)
class ColumnImportance:
    """The importance of each column for a model.

    Attributes:
        columns: names of the columns, or x0, x1, ...
        loss: mean loss on the readings as they are.
        increases: increase of the mean loss, (columns, repeats) float64.
    """

    columns: tuple[str, ...]
    loss: float
    increases: Array

    @property
    def importance(self) -> Array:
        """Mean increase over the repeats, (columns,)."""
        return np.asarray(self.increases.mean(axis=1))

    @property
    def standard_error(self) -> Array:
        """Standard error of `importance` due to the random exchange, (columns,); that due to the data is not in it."""
        return np.asarray(self.increases.std(axis=1, ddof=1) / self.increases.shape[1] ** 0.5)


def column_importance(
    model: Model,
    x: Readings,
    targets: Any,
    groups: Sequence[Hashable] | None = None,
    repeats: int = 5,
    seed: int = 0,
    loss: Loss | None = None,
    progress: Progress | None = None,
) -> ColumnImportance:
    """Measure how much the loss of a model increases when a column is exchanged within groups.

    Args:
        model: the model.
        x: readings (time, inputs) or (batch, time, inputs), or a list of (time, inputs).
        targets: for each sequence (time,) or (time, values), or one target for its last step, a number or (1, values);
            NaN = none at this step.
        groups: a label for each sequence; None = all are of one group.
        repeats: how many times each column is exchanged, at least 2.
        seed: of the random exchange.
        loss: a function of answers (n, outputs) and targets (n, values) that returns (n,); None = the squared error.
        progress: called with the number of runs done and their total number; None = not called.

    Returns:
        the importance of each column.

    Raises:
        InputError: the readings, targets or groups do not fit, there are fewer than 2 repeats, or there is nothing to
            exchange because each sequence has one step and no other in its group.
    """
    data = sequences(model, x)
    aimed = as_targets(targets, data)
    if not isinstance(repeats, int) or repeats < 2:
        raise InputError(f"repeats must be a whole number of at least 2, for a standard error, got {repeats!r}")
    alike = _exchangeable(data, groups)
    rng = np.random.default_rng(seed)
    first = _loss(data, aimed, loss)
    increases = np.empty((data.model.inputs, repeats))
    for column in range(data.model.inputs):
        for i in range(repeats):
            exchanged = replace(data, x=_exchange(data.x, column, alike, rng))
            increases[column, i] = _loss(exchanged, aimed, loss) - first
            if progress is not None:
                progress(column * repeats + i + 1, increases.size)
    names = data.model.columns or tuple(f"x{i}" for i in range(data.model.inputs))
    return ColumnImportance(names, first, increases)


def _exchangeable(data: Sequences, groups: Sequence[Hashable] | None) -> list[list[int]]:
    """The sequences of each group that have the same length."""
    labels: Sequence[Hashable] = [None] * len(data.x) if groups is None else list(groups)
    if len(labels) != len(data.x):
        raise InputError(f"groups must be {len(data.x)} labels, one for each sequence, got {len(labels)}")
    alike: dict[tuple[Hashable, int], list[int]] = {}
    for i, (label, x) in enumerate(zip(labels, data.x, strict=True)):
        alike.setdefault((label, len(x)), []).append(i)
    if all(len(own) == 1 and len(data.x[own[0]]) == 1 for own in alike.values()):
        raise InputError(
            "each sequence has one step and no other sequence in its group, so there is nothing to exchange; pass "
            "larger groups or longer sequences"
        )
    return list(alike.values())


def _exchange(x: tuple[Array, ...], column: int, alike: list[list[int]], rng: np.random.Generator) -> tuple[Array, ...]:
    """The readings with one column exchanged between sequences or, in those that are alone, between steps."""
    found = [each.copy() for each in x]
    for own in alike:
        if len(own) > 1:
            for to, source in zip(own, _others(len(own), rng), strict=True):
                found[to][:, column] = x[own[source]][:, column]
        else:
            found[own[0]][:, column] = x[own[0]][_others(len(x[own[0]]), rng), column]
    return tuple(found)


def _others(count: int, rng: np.random.Generator) -> Array:
    """For each number below `count` another one, each used once, from one random cycle: (count,) int."""
    order = rng.permutation(count)
    source = np.empty(count, np.int64)
    source[order] = np.roll(order, 1)
    return source


def _loss(data: Sequences, aimed: list[Array], loss: Loss | None) -> float:
    """Mean loss over all steps that have a target."""
    known = [np.flatnonzero(np.isfinite(values).all(axis=1)) for values in aimed]
    places = np.concatenate([np.stack([np.full(len(steps), i), steps], axis=1) for i, steps in enumerate(known)])
    target = np.concatenate([values[steps] for values, steps in zip(aimed, known, strict=True)])
    return float(losses(data.answers_at(places), target, loss).mean())
