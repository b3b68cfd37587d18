"""Whether a simple method is better than a trained model on the held-out rows, so that `fit` can say so.

The model and each method answer at the same rows. The errors of these rows depend on each other, because forecasts
overlap and a mood of the series lasts. They are therefore averaged over blocks of consecutive rows, and the difference
of a method and the model is judged by its standard error over the blocks. A method is better if the difference is more
than `ERRORS` standard errors, and its error at least `LEAST_GAIN` smaller. Nothing is said of a model that has hardly
been trained, or if there are too few blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gatewise.errors import Text, Wording
from gatewise.layers.base import Array

if TYPE_CHECKING:
    from gatewise.baselines.answers import Answers
    from gatewise.baselines.method import Method
    from gatewise.train import History

LEAST_UPDATES = 100
"""After fewer updates of the weights, a training is a trial, and a comparison would say nothing about the model."""

MOST_WINDOWS = 2_000
"""Greatest number of windows to which a method is fitted for the comparison; evenly spaced ones."""

MOST_ROWS = 500
"""Greatest number of held-out rows at which model and methods answer; evenly spaced ones."""

MOST_VALUES = 400
"""Greatest number of rows of a window that the methods read, so that they take little time."""

MOST_NUMBERS, LEAST_WINDOWS = 20_000_000, 200
"""Values in all windows to which a method is fitted, so that it takes little memory; but at least so many windows."""

BLOCKS = 20
"""The number of blocks, if the rows to which one forecast refers are no more than a block."""

LEAST_BLOCKS = 8
ERRORS = 2.0
LEAST_GAIN = 0.02


def enough(history: History) -> bool:
    """Whether a training has gone far enough to be compared: it ended by itself, or made enough updates."""
    return history.stopped == "patience" or (bool(history.records) and history.records[-1].step >= LEAST_UPDATES)


def better(
    model: Array,
    rivals: Mapping[str, Array],
    blocks: Array,
    measure: str,
    unit: str,
    advice: Mapping[str, Text],
    root: bool = False,
    least: float = 0.0,
) -> list[str]:
    """A warning about the best of the methods that are better than the model; none if no method is.

    Args:
        model: (n,) errors of the model on held-out rows.
        rivals: for each method, named as in a sentence, its errors on the same rows.
        blocks: (n,) int, the block of each row.
        measure, unit: the name of the error, such as "a mean absolute error", and its unit, "" = none.
        advice: for each method, what to do about it.
        root: whether the errors are squares, so that the root of their mean is reported, and is the error of which
            `LEAST_GAIN` is a share.
        least: a smaller gain is not told, in the unit of the error.
    """
    which, block = np.unique(blocks, return_inverse=True)
    if len(which) < LEAST_BLOCKS:
        return []
    counts = np.bincount(block)
    own, found = _size(model, root), {}
    for name, errors in rivals.items():
        gains = np.bincount(block, model - errors) / counts
        deviation = gains.std(ddof=1) / np.sqrt(len(gains))
        size = _size(errors, root)
        if gains.mean() > ERRORS * deviation and own - size > max(LEAST_GAIN * own, least):
            found[name] = size
    if not found:
        return []
    best = min(found, key=lambda name: found[name])
    of = f" {unit}" if unit else ""
    text = f"{best} has {measure} of {found[best]:.3g}{of} on the held-out rows, the model {own:.3g}{of}; "
    return [Text(text, advice[best])]


def _size(errors: Array, root: bool) -> float:
    """The mean of some errors, or its root."""
    mean = float(errors.mean())
    return mean**0.5 if root else mean


def compared(
    methods: Sequence[Method],
    training: tuple[Array, Array, Array | None],
    held_out: tuple[Array, Array],
    answers: Array,
    error: Callable[[Array, Array], Array],
    blocks: Array,
    measure: str,
    unit: str,
    estimator: type[Answers],
    *,
    lookback: int,
    root: bool = False,
    least: float = 0.0,
) -> list[str]:
    """The warning for a task that gives one answer for each window, as `better` gives it.

    Args:
        methods: the methods, not fitted, such as those of `gatewise.baselines.suitable`.
        training: windows (n, L, columns), targets and groups (n,) to fit them to, as for `Method.fit`.
        held_out: windows and targets (m, ...) by which they are compared.
        answers: the answers of the model to the held-out windows, in the form of `Method.predict`.
        error: a function of targets and answers that returns the error of each window, (m,).
        blocks: (m,) int, the block of each held-out window, such as its group.
        measure, unit, root, least: as for `better`.
        estimator: the estimator of `gatewise.baselines` that has these methods.
        lookback: L.
    """
    given, known = held_out
    rivals = {each.label: error(known, each.fit(*training).predict(given)) for each in methods}
    rows = "" if lookback == estimator.lookback else f", lookback={lookback}"
    advice = {each.label: instead(estimator.__name__, f"method={each.name!r}{rows}") for each in methods}
    return better(error(known, answers), rivals, blocks, measure, unit, advice, root, least)


def instead(estimator: str, call: str) -> Text:
    """What to do if a method is better: the estimator of `gatewise.baselines` and its arguments."""
    return Text(
        "more training, or another context, may help; otherwise ",
        Wording(f"gatewise.baselines.{estimator}({call})", f"gatewise.baselines.{estimator} of Python"),
        " is the simpler choice",
    )


def spaced(rows: Array, most: int) -> Array:
    """At most `most` of these rows, evenly spaced."""
    return rows[:: max(1, -(-len(rows) // most))]


def blocks_of(rows: Array, starts: Array, least: int) -> Array:
    """The block of each row: consecutive rows of one series, at least `least` of them apart at the ends.

    Args:
        rows: (n,) rows of a table, ascending.
        starts: first row of each series, ascending.
        least: the least number of rows in a block, those to which one forecast refers.
    """
    series = np.searchsorted(starts, rows, side="right") - 1
    first = np.r_[True, series[1:] != series[:-1]]
    since = rows - np.repeat(rows[first], np.diff(np.r_[np.flatnonzero(first), len(rows)]))
    total = since[np.r_[first[1:], True]].sum() + first.sum()  # rows from the first to the last of each series
    length = max(least, -(-total // BLOCKS))
    return np.asarray(series * (since.max() // length + 1) + since // length)
