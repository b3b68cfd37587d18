"""Subtract a constant from readings that vary little around a large level, before they are rounded to float32.

float32 has seven digits: near a total of 623,000,000 that varies by 1,000, its steps are 64. float64, in which tables
are read, has sixteen. If the steps of float32 are more than a hundredth of the deviation, a round number near the
median is subtracted in float64, which is exact for readings within a factor of two of it (Sterbenz 1974). The model
keeps it as the option `subtract` of its input stage, subtracts it from what it is given, and adds it to its answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gatewise.layers.base import Array

FIND = "find"
"""Passed to `read_table` to let it find the constants."""

COARSE = 0.01
"""The largest share of the deviation that a step of float32 may have."""


def constant_of(values: Array) -> float:
    """The constant to subtract from readings (rows,) float64; 0 if float32 is exact enough.

    The deviation is the lesser of the standard deviation and the interquartile range divided by 1.349, its value for a
    standard normal distribution. A wild value can therefore not hide that the other readings vary little.
    """
    known = values[np.isfinite(values)]
    if not known.size or not np.ptp(known):
        return 0.0
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    if not np.abs(middle) < float(np.finfo(np.float32).max):
        return 0.0
    step = float(np.spacing(np.float32(np.abs(middle))))
    with np.errstate(over="ignore"):
        widths = [float(known.std()), float(high - low) / 1.349]
    deviation = min((width for width in widths if width > 0), default=0.0)
    if not deviation or not math.isfinite(deviation) or step <= COARSE * deviation:
        return 0.0
    return float(np.round(middle, -math.floor(math.log10(deviation))))


def asked(subtract: Any, columns: Sequence[str]) -> tuple[Array, Array]:
    """The constants to subtract from columns, from the argument of `read_table`.

    Args:
        subtract: a number or `FIND` for each column, `FIND` for all, None for nothing, or a function that returns one
            of these, given the names of the columns.
        columns: names of the columns.

    Returns:
        The constants (columns,) float64, and for which columns one has to be found (columns,) bool. If the number of
        entries is not that of the columns, nothing is subtracted; the caller raises an error for such a table.
    """
    given = subtract(columns) if callable(subtract) else subtract
    each = [given] * len(columns) if given is None or isinstance(given, str) else list(given)
    if len(each) != len(columns):
        each = [None] * len(columns)
    numbers = [0.0 if one is None or isinstance(one, str) else float(one) for one in each]
    return np.array(numbers), np.array([isinstance(one, str) and one == FIND for one in each])


def evenly_ascending(values: Array, starts: Sequence[int]) -> bool:
    """Whether readings go up by the same step from row to row, as times do, in each series from `starts` on."""
    steps = np.diff(values)
    within = np.ones(len(values), bool)
    within[[0, *starts]] = False
    steps = steps[within[1:]]
    return bool(
        len(steps) > 2
        and (steps > 0).all()
        and (np.abs(steps - np.median(steps)) <= 0.1 * np.median(steps)).mean() > 0.9
    )
