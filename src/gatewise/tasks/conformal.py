"""Intervals from the errors on held-out data: split conformal prediction.

The margin around a prediction is a quantile of the absolute errors on data that were not trained on (Vovk, Gammerman &
Shafer 2005; Lei et al. 2018). Errors within one series depend on each other, so the series are the independent units,
and each has the same weight, however many answers it has (Lee, Barber & Willett 2023, "Distribution-free inference with
hierarchical data")::

    margin = the least s with   sum over series k, answers i of [error(k, i) <= s] / ((K + 1) n(k))  >=  coverage

for K series with n(k) answers each. If the series are exchangeable with a new one, the interval contains an answer
drawn at random from the new series with at least the probability `coverage`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gatewise.layers.base import Array


def margin(errors: Sequence[Array], coverage: float) -> tuple[float, float]:
    """The margin of the interval, and the probability that it reaches.

    Args:
        errors: for each series the absolute errors of its answers, (answers,) each, at least one.
        coverage: the probability wanted.

    Returns:
        The margin as a float32, rounded up, and `coverage`; or, with too few series for that, the largest error and the
        K / (K + 1) that it reaches.
    """
    series = len(errors)
    scores = np.concatenate(errors)
    weights = np.concatenate([np.full(len(one), 1.0 / len(one)) for one in errors]) / (series + 1)
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order])
    enough = reached >= coverage - 1e-9  # the sum is rounded
    if enough.any():
        return _up(float(scores[order][np.argmax(enough)])), coverage
    return _up(float(scores.max())), series / (series + 1)


def needed(coverage: float) -> int:
    """The least number of series that reach a coverage."""
    return math.ceil(coverage / (1.0 - coverage) - 1e-9)


def _up(value: float) -> float:
    narrow = np.float32(value)
    return float(narrow if narrow >= value else np.nextafter(narrow, np.float32(np.inf)))
