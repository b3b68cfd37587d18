"""Find columns that are no readings (a time, a row number, an id) and columns that do not return to their old range.

A detector assumes that what it learns from the training rows also holds for the held-out rows, and for the rows that
come later. If a column leaves the range of the training rows, the model has never learnt to predict it there. Four
statistics decide whether a column does so. They are computed from means over blocks of rows, so that noise and short
seasons average out:

* the share of held-out rows that lie beyond the range of the training rows by more than a hundredth of that range;
* von Neumann's ratio of 40 blocks, the sum of their squared steps divided by the sum of their squared deviations. It is
  2 for noise and near 0 for a random walk;
* the augmented Dickey-Fuller test of statsmodels on about 250 blocks, which tests whether the column can be a random
  walk;
* Spearman's correlation with time, of 40 blocks and of 10 blocks, and the largest step between two of the 40 blocks as
  a share of their range.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gatewise.layers.base import Array

COARSE, FINE = 40, 250
"""Numbers of blocks that a series is divided into."""

LEFT = 0.02
"""A column leaves the range of the training rows if at least this share of the held-out rows lies beyond it."""

LEAST_STEPS = 20

_TIME = frozenset(
    {"time", "date", "datetime", "timestamp", "ts", "epoch", "unixtime", "year", "index", "idx", "row", "rows", "step"}
    | {"cycle", "seq", "unnamed"}
)
_ID = frozenset({"id", "ids", "uuid", "guid"})
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_EPOCH = (3e8, 4.2e9)
"""Seconds since 1970, from 1979 to 2103."""


@dataclass(frozen=True)
class Lasting:
    """A column that does not return to the range of the training rows.

    Attributes:
        kind: "counter", "trend", "walk" or "shift".
        above, below: shares of the held-out rows beyond the range of the training rows.
        low, high: the smallest and largest reading of the training rows.
        falls: whether it goes down, for "counter" and "trend".
    """

    kind: str
    above: float
    below: float
    low: float
    high: float
    falls: bool = False


def steps_within(values: Array, starts: Sequence[int]) -> Array:
    """Differences of successive readings of one series, without missing ones: (steps,) float64."""
    steps = np.diff(values)
    steps[[start - 1 for start in starts if start]] = np.nan
    there = np.isfinite(steps)
    return steps if there.all() else steps[there]


def no_reading(name: str, values: Array, steps: Array, several: bool) -> str | None:
    """The kind of a column that is no reading; None for one that may be a reading.

    Args:
        name: name of the column.
        values: (rows,) float64, NaN if missing; exact to float32.
        steps: the result of `steps_within`.
        several: whether a column of series ids is given.

    Returns:
        "time": it ascends or descends, and has the name or the form of a time; "steps": it changes by the same amount
        with every row, as a row number does; "restart": it counts rows, and begins again at uneven distances; "id": it
        is named an id, or has whole numbers that stay for several rows and do not come back; or None.
    """
    if steps.size < LEAST_STEPS:
        return None
    rises, falls = (int(np.count_nonzero(way)) for way in (steps > 0, steps < 0))
    known = values[np.isfinite(values)]
    whole = all(bool((part == np.rint(part)).all()) for part in (known[:LEAST_STEPS], known))
    if not rises + falls or (rises and falls and not whole):
        return None
    words = {word.lower() for word in _WORDS.findall(name)}
    low, high = float(known.min()), float(known.max())
    grain = float(np.spacing(np.float32(max(abs(low), abs(high)))))
    usual = float(np.median(steps))
    even = np.abs(steps - usual) <= 2 * grain + 1e-4 * abs(usual)
    ordered, called = not min(rises, falls), bool(words & _TIME)
    steady = bool((np.abs(steps - usual) <= 0.1 * abs(usual)).mean() >= 0.5)  # a large total rises unevenly
    if whole and (called or ordered) and (_is_calendar(known) or (_is_epoch(low, high) and (called or steady))):
        return "time"
    if ordered and abs(usual) > 4 * grain and even.mean() >= 0.99:
        return "steps"
    if ordered and called:
        return "time"
    if several:
        return None
    if usual == 1 and even.mean() >= 0.95 and _begins_again(values, steps):
        return "restart"
    changes = rises + falls
    if whole and changes <= steps.size / 5:
        lengths = np.diff(np.flatnonzero(np.diff(known)), prepend=-1)
        different = np.unique(known).size
        if different == changes + 1 and different >= (2 if words & _ID else 5) and lengths.min() >= 5:
            return "id"
    return "id" if whole and words & _ID else None


def _is_epoch(low: float, high: float) -> bool:
    """Whether the values can be seconds, milliseconds, microseconds or nanoseconds since 1970."""
    return any(_EPOCH[0] * unit <= low and high <= _EPOCH[1] * unit for unit in (1.0, 1e3, 1e6, 1e9))


def _is_calendar(known: Array) -> bool:
    """Whether the values are dates written as YYYYMMDD, which float32 represents to within 2 days."""
    if known.min() < 19000101 or known.max() > 21001231:
        return False
    month, day = known // 100 % 100, known % 100
    return bool(((month >= 1) & (month <= 12) & (day <= 32)).all())


def _begins_again(values: Array, steps: Array) -> bool:
    """Whether the values fall to the same value each time, after periods of different lengths."""
    falls = np.flatnonzero(steps < 0)
    if not falls.size or np.isnan(values).any() or steps.size < values.size - 1:
        return False
    firsts = values[falls + 1]
    return bool((firsts == values.min()).all() and (falls.size < 3 or np.ptp(np.diff(falls)) > 0))


def lasting_change(
    values: Array, series: Sequence[tuple[int, int]], trained: Array, kept: Array, steps: Array
) -> Lasting | None:
    """In which way a column does not return to the range of the training rows; None if it does.

    Args:
        values: (rows,) float64, NaN if missing or wild.
        series: for each series its first row and the row before which it ends.
        trained, kept: rows of the training part, and of the part that calibrates or validates: (some,) int.
        steps: the result of `steps_within`.
    """
    before, after = values[trained], values[kept]
    before, after = before[np.isfinite(before)], after[np.isfinite(after)]
    if not before.size or not after.size:
        return None
    low, high = float(before.min()), float(before.max())
    if low == high:
        return None
    margin = 0.01 * (high - low)
    above, below = float((after > high + margin).mean()), float((after < low - margin).mean())
    out = max(above, below)
    rises, falls = (int(np.count_nonzero(way)) for way in (steps > 0, steps < 0))
    if out > LEFT and max(rises, falls) >= LEAST_STEPS and min(rises, falls) <= 0.005 * (rises + falls):
        return Lasting("counter", above, below, low, high, falls > rises)
    ratio, order, rough, jump, walk = _figures(values, series, out)
    leaves = out > LEFT and ratio < 0.6 and (walk > 0.05 or abs(order) > 0.8)
    wanders = ratio < 0.3 and walk > 0.1 and jump < 0.4
    if leaves or wanders:
        kind = "shift" if jump >= 0.5 else "trend" if abs(order) > 0.9 else "walk"
    elif out > 0.1 and abs(rough) > 0.9:  # the season is too long to average out over so few rows
        kind = "trend"
    else:
        kind = "shift"
    if kind == "shift" and out < (0.2 if leaves else 0.5):
        return None
    return Lasting(kind, above, below, low, high, order < 0)


def _figures(values: Array, series: Sequence[tuple[int, int]], out: float) -> tuple[float, float, float, float, float]:
    """Ratio, correlations with time, largest step and p-value of a random walk: medians over the longest series.

    The second correlation is that of about ten blocks.
    """
    found = []
    for start, stop in sorted(series, key=lambda rows: rows[0] - rows[1])[:5]:
        own = values[start:stop]
        means = _means(own, COARSE)
        if means.size < COARSE or not np.ptp(means):
            continue
        steps, around = np.diff(means), means - means.mean()
        ratio = float((steps**2).sum() / (around**2).sum())
        jump = float(np.abs(steps).max() / np.ptp(means))
        asked = ratio < (0.6 if out > LEFT else 0.3)
        asked = asked and (out > LEFT or means.std() > 0.2 * np.nanstd(own))  # else it wanders too little
        walk = _chance_of_walk(_means(own, FINE)) if asked else 0.0
        found.append((ratio, _order(means), _order(_means(own, COARSE // 4)), jump, walk))
    if not found:
        return 2.0, 0.0, 0.0, 1.0, 0.0
    ratio, order, rough, jump, walk = np.median(found, axis=0).tolist()
    return ratio, order, rough, jump, walk


def _order(means: Array) -> float:
    """Spearman's correlation with time."""
    ranks = np.argsort(np.argsort(means))
    return float(np.corrcoef(ranks, np.arange(means.size))[0, 1])


def _means(values: Array, blocks: int) -> Array:
    """Means over at least `blocks` blocks of equal length; blocks without readings are left out."""
    length = max(1, values.size // blocks)
    cut = values[values.size % length :].reshape(-1, length)
    there = np.isfinite(cut)
    if there.all():
        return np.asarray(cut.mean(axis=1))
    counts = there.sum(axis=1)
    return np.asarray(np.where(there, cut, 0.0).sum(axis=1)[counts > 0] / counts[counts > 0])


def _chance_of_walk(means: Array) -> float:
    """The p-value of the augmented Dickey-Fuller test, whose lags are Schwert's (1989)."""
    from statsmodels.tsa.stattools import adfuller  # takes half a second to import

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        lags = int(12 * (means.size / 100) ** 0.25)
        chance = float(adfuller(means, maxlag=lags, autolag=None)[1])
    return 1.0 if np.isnan(chance) else chance
