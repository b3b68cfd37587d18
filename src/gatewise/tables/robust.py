"""Location, scale and reach of a column that single wild values do not change much."""

from __future__ import annotations

import math

import numpy as np

from gatewise.layers.base import Array

TRIMMED = 0.001
"""Share of the values, at each end, that do not decide how far the others may reach; at least one value."""


def reach(values: Array) -> tuple[float, float]:
    """How far the values of a column reach, without single wild ones.

    The bulk goes from the smallest to the largest value but for a thousandth at each end, and at least one; the column
    may reach as far again as the bulk is wide on either side.

    Args:
        values: (n,) finite, float64.

    Returns:
        The least and the largest value, in the units of the values. Where the bulk is a single value, in a column that
        is nearly always zero for example, those of all values.
    """
    aside = max(1, math.ceil(TRIMMED * len(values)))
    if len(values) > 2 * aside:
        low, high = np.partition(values, [aside, len(values) - 1 - aside])[[aside, len(values) - 1 - aside]].tolist()
        if low < high:
            return 2 * low - high, 2 * high - low
    return float(values.min()), float(values.max())


def location_scale(values: Array) -> tuple[float, float]:
    """Mean and standard deviation of values that are drawn in to `reach` (winsorising: Tukey 1962).

    Of usual data, also of heavy tails, that changes nothing: the result is the plain mean and deviation.

    Args:
        values: (n,) finite, float64.
    """
    drawn_in = np.clip(values, *reach(values))
    return float(drawn_in.mean()), float(drawn_in.std())
