"""Measure for how many rows one wild reading can cause alarms, which the test of the rate counts as one event."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gatewise.layers.base import Array
from gatewise.model import Model

SPIKE = 20.0
"""Size of the inserted wild reading, in standard deviations of its column."""

LONGEST = 32
_BEFORE, _PLACES, _MOST_TARGETS = 64, 16, 16


def recovery(
    model: Model, score: Callable[[Array], Array], alarm: float, series: Sequence[Array], targets: Sequence[int]
) -> int:
    """Number of rows after a wild reading in which alarms may still be due to it.

    In copies of parts of the held-out rows, a reading of a target is moved by 20 deviations up or down. For each part,
    the rows after it are counted up to the last alarm that the unchanged part does not have. The result is the 90 per
    cent quantile of these counts.

    Args:
        model: the trained model.
        score: the function from its answers to scores: (..., outputs) -> (...).
        alarm: the score from which a row is an alarm.
        series: held-out rows of each series, (rows, columns), raw.
        targets: columns that are forecast.

    Returns:
        0 to 32.
    """
    length = _BEFORE + 1 + LONGEST
    starts = [(k, start) for k, rows in enumerate(series) for start in range(0, len(rows) - length + 1, length)]
    if not starts:
        return LONGEST
    chosen = [starts[i] for i in np.unique(np.linspace(0, len(starts) - 1, _PLACES).astype(int))]
    plain = np.stack([series[k][start : start + length] for k, start in chosen])  # (places, length, columns)
    scale = model.tensors["input.scale"]
    spiked = np.concatenate([plain] * 2 * min(len(targets), _MOST_TARGETS))
    for i, target in enumerate(np.repeat(targets[:_MOST_TARGETS], 2).tolist()):
        rows = spiked[i * len(plain) : (i + 1) * len(plain)]
        rows[:, _BEFORE, target] += (-1) ** i * SPIKE * scale[target]
    before, after = (score(np.asarray(model.run(x))[:, _BEFORE + 1 :]) >= alarm for x in (plain, spiked))
    due = after & ~np.tile(before, (len(after) // len(before), 1))
    last = np.where(due.any(axis=1), LONGEST - np.argmax(due[:, ::-1], axis=1), 0)
    return int(np.quantile(last, 0.9, method="lower"))
