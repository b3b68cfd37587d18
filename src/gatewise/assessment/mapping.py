"""Check that the columns of the data are the inputs of the model, before anything else is believed.

A model that reads its columns in another order answers plausibly and wrongly, and would be condemned unjustly. Two
signs tell it: the model becomes better when two columns are exchanged, or it is worse than a constant.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from gatewise.assessment.findings import FAILED, NOT_APPLICABLE, PASSED, Finding
from gatewise.assessment.incumbent import Incumbent
from gatewise.assessment.words import number, percent
from gatewise.comparison.bootstrap import gain, holm
from gatewise.comparison.examples import Examples
from gatewise.comparison.metrics import Metric

LEVEL = 0.05
"""Family-wise probability of suspecting a mapping that is right."""

FIRST, SECOND, NEAREST = 400, 2000, 10
"""All swaps are tried on at most `FIRST` examples; the `NEAREST` best of them are tested on `SECOND` others."""

LEAST = 50


@dataclass(frozen=True)
class Mapping:
    """The result of the check.

    Attributes:
        status: "as stated", "suspect" or "worse than a constant".
        text: the result in a sentence.
        checks: the findings.
    """

    status: str
    text: str
    checks: tuple[Finding, ...]


def check_mapping(
    incumbent: Incumbent, data: Examples, metric: Metric, min_gain: float, confirmed: bool, seconds: float
) -> Mapping:
    """Check the mapping of columns to inputs.

    Args:
        incumbent: the model.
        data: examples that the model may have been trained on.
        metric: the metric.
        min_gain: a swap is suspicious if it lowers the metric by more than this share.
        confirmed: whether the user has confirmed the mapping, so that a model worse than a constant is judged.
        seconds: the time for trying all swaps; it decides on how many examples they are tried.
    """
    swaps = _swaps(incumbent, data, metric, min_gain, seconds)
    constant = _constant(incumbent, data, metric)
    checks = (swaps, constant)
    if swaps.status == FAILED and not confirmed:
        return Mapping("suspect", swaps.text, checks)
    if constant.status == FAILED and not confirmed:
        return Mapping("worse than a constant", constant.text, checks)
    return Mapping("as stated", "", checks)


def _swaps(incumbent: Incumbent, data: Examples, metric: Metric, min_gain: float, seconds: float) -> Finding:
    code, title = "GW001", "The columns are the inputs of the model"
    names = [data.columns[k] for k in incumbent.order]
    varying = [float(np.ptp(data.rows[:, k])) > 0 for k in incumbent.order]
    pairs = [(i, j) for i, j in combinations(range(len(names)), 2) if varying[i] or varying[j]]
    if incumbent.model is None and incumbent.function is None:
        return Finding(code, title, NOT_APPLICABLE, "Only predictions are known, so no columns can be exchanged.")
    if not pairs:
        return Finding(code, title, NOT_APPLICABLE, "The model has one input, so no columns can be exchanged.")
    some = data.spread(LEAST)
    start = time.monotonic()
    incumbent.answers(some)
    each = max(time.monotonic() - start, 1e-6) / len(some)
    first = data.spread(int(np.clip(seconds / each / len(pairs), LEAST, FIRST)))
    before = metric.of(first.targets, incumbent.answers(first))
    found = [(metric.of(first.targets, incumbent.swapped(i, j).answers(first)), i, j) for i, j in pairs]
    nearest = [(i, j) for _, i, j in sorted(found)[:NEAREST]]
    second = data.spread(min(SECOND, max(LEAST, int(seconds / each / len(nearest)))))
    old = metric.checked(second.targets, incumbent.answers(second))
    gains = []
    for i, j in nearest:
        new = metric.checked(second.targets, incumbent.swapped(i, j).answers(second))
        gains.append(gain(metric, old, new[None], second.compact(), resamples=0))
    # The swaps that were not tested count as tried.
    p_values = [each.p_above(min_gain) for each in gains] + [1.0] * (len(pairs) - len(nearest))
    better = [k for k, yes in enumerate(holm(p_values, LEVEL)[: len(nearest)]) if yes]
    measured: dict[str, Any] = {
        "swaps": len(pairs),
        "examples": [len(first), len(second)],
        "metric": before,
        "best_swap": [names[k] for k in nearest[0]],
        "gains": [[names[i], names[j], each.estimate] for (i, j), each in zip(nearest, gains, strict=True)],
    }
    how = (
        f"Each of {len(pairs):,} pairs of inputs was exchanged and the model run on {len(first):,} examples; the "
        f"{len(nearest)} best were tested on {len(second):,} examples, with errors over groups and Holm's correction "
        f"over all pairs, at {percent(LEVEL)}."
    )
    if better:
        k = max(better, key=lambda k: gains[k].estimate)
        i, j = nearest[k]
        text = (
            f"Mapping suspect: with {names[i]!r} and {names[j]!r} exchanged, the {metric.name} is "
            f"{percent(gains[k].estimate)} lower. State the order of the inputs as the model was trained."
        )
        return Finding(code, title, FAILED, text, measured, how)
    best = max(gains, key=lambda each: each.estimate)
    text = (
        f"No exchange of two columns makes the model better by more than {percent(min_gain)}; the best changes the "
        f"{metric.name} by {percent(-best.estimate)}."
    )
    return Finding(code, title, PASSED, text, measured, how)


def _constant(incumbent: Incumbent, data: Examples, metric: Metric) -> Finding:
    code, title = "GW002", "The model is better than a constant"
    some = data.spread(SECOND)
    own = metric.of(some.targets, incumbent.answers(some))
    constant = metric.of(some.targets, constant_answers(data, some, metric.name))
    text = f"The {metric.name} of the model is {number(own)}, that of the best constant {number(constant)}."
    measured = {"model": own, "constant": constant, "examples": len(some)}
    how = (
        f"Both answered {len(some):,} examples of the data. The constant is the mean of the targets (for the mean "
        "absolute error, the median; for classes, their shares)."
    )
    if own < constant:
        return Finding(code, title, PASSED, text, measured, how)
    text += (
        " A model that is worse than a constant usually reads other columns, other units or another scaling than in "
        "its training. If the mapping is right and the model is merely out of date, confirm the mapping."
    )
    return Finding(code, title, FAILED, text, measured, how)


def constant_answers(data: Examples, like: Examples, metric: str = "rmse") -> Any:
    """The best constant for the targets of `data`, as answers to the examples of `like`."""
    if data.targets.ndim == 1:
        shares = np.bincount(data.targets, minlength=int(data.targets.max()) + 1) / len(data)
        return np.tile(shares, (len(like), 1))
    centre = np.median(data.targets, axis=0) if metric == "mae" else data.targets.mean(axis=0)
    return np.tile(centre, (len(like), 1))
