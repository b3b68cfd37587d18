"""Location, scale and range of a column, robust against single wild values."""

from __future__ import annotations

import math

import numpy as np

from gatewise.layers.base import Array

TRIMMED = 0.001
"""The share of values at each end that does not count towards the range; at least one value."""


def reach(values: Array) -> tuple[float, float]:
    """The range that the values of a column may have, without single wild ones.

    The bulk is the range of the values without a thousandth of them, and at least one, at each end. The result is the
    bulk extended on both sides by its width.

    Args:
        values: (n,) finite, float64.

    Returns:
        The least and the largest value, in the units of the values. If the bulk is a single value, as in a column that
        is nearly always zero, they are those of all values.
    """
    aside = max(1, math.ceil(TRIMMED * len(values)))
    if len(values) > 2 * aside:
        low, high = np.partition(values, [aside, len(values) - 1 - aside])[[aside, len(values) - 1 - aside]].tolist()
        if low < high:
            return 2 * low - high, 2 * high - low
    return float(values.min()), float(values.max())


def location_scale(values: Array) -> tuple[float, float]:
    """Mean and standard deviation of the values after clipping them to `reach` (winsorising: Tukey 1962).

    In ordinary data, even with heavy tails, nothing is clipped, and the results are the usual mean and deviation.

    Args:
        values: (n,) finite, float64.
    """
    drawn_in = np.clip(values, *reach(values))
    return float(drawn_in.mean()), float(drawn_in.std())
