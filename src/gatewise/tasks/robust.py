"""Location and scale of a column that single wild values do not change much."""

from __future__ import annotations

import math

import numpy as np

from gatewise.layers.base import Array

TRIMMED = 0.001
"""Share of the values, at each end, that do not decide how far the others may reach; at least one value."""


def location_scale(values: Array) -> tuple[float, float]:
    """Mean and standard deviation of values that are drawn in to where the bulk of them lies.

    The bulk reaches from the smallest to the largest value but for a thousandth at each end, and at least one; values
    more than its width away from it count as if they lay just there (winsorising: Tukey 1962). Of usual data, also of
    heavy tails, that changes nothing: the result is the plain mean and deviation.

    Args:
        values: (n,) finite, float64.

    Returns:
        Mean and standard deviation, in the units of the values. Where the bulk is a single value, a column that is
        nearly always zero for example, those of all values as they are.
    """
    aside = max(1, math.ceil(TRIMMED * len(values)))
    if len(values) > 2 * aside:
        low, high = np.partition(values, [aside, len(values) - 1 - aside])[[aside, len(values) - 1 - aside]]
        width = high - low
        if width > 0:
            values = np.clip(values, low - width, high + width)
    return float(values.mean()), float(values.std())
