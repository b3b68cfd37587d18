"""Check that the columns of the data are the inputs of the model, before anything else is believed.

A model that reads its columns in another order answers plausibly and wrongly, and would be condemned unjustly. Three
signs tell it: the model becomes better when two columns are exchanged, or when its inputs are scaled otherwise, or it
is worse than a constant.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from gatewise.assessment.findings import FAILED, NOT_APPLICABLE, PASSED, Finding
from gatewise.assessment.incumbent import Incumbent, imported
from gatewise.assessment.scaler import SCALERS, scaler_of
from gatewise.assessment.words import number, percent
from gatewise.comparison.bootstrap import LEAST_GROUPS, Gain, gain, holm
from gatewise.comparison.examples import Examples
from gatewise.comparison.metrics import Metric
from gatewise.errors import InputError

LEVEL = 0.05
"""Family-wise probability of suspecting a mapping that is right."""

FIRST, SECOND, NEAREST = 400, 2000, 10
"""All swaps are tried on at most `FIRST` examples; the `NEAREST` best of them are tested on at most `SECOND`."""

WRONG = 0.3
"""A scaling is wrong if another one lowers the metric by more than this share. With less, the data may have changed."""

LEAST = 50
"""The least number of examples."""

MOST_TIMES = 3
"""The trials end when they have taken this many times the time that is meant for them."""


@dataclass(frozen=True)
class MappingCheck:
    """The result of the check.

    Attributes:
        status: "accepted", "suspect" or "worse than a constant".
        text: why it is not accepted, in a sentence.
        checks: the findings.
    """

    status: str
    text: str
    checks: tuple[Finding, ...]


def check_mapping(
    incumbent: Incumbent, data: Examples, metric: Metric, min_gain: float, confirmed: bool, seconds: float
) -> MappingCheck:
    """Check the mapping of columns to inputs.

    Args:
        incumbent: the model.
        data: examples that the model may have been trained on.
        metric: the metric.
        min_gain: a swap is suspicious if it lowers the metric by more than this share.
        confirmed: whether the user has confirmed the mapping, so that a model worse than a constant is judged.
        seconds: the time for trying all swaps; it decides on how many examples they are tried.
    """
    alone = incumbent.model is None and incumbent.function is None
    swaps = (_early if alone else _swaps)(incumbent, data, metric, min_gain, seconds)
    constant, worse = _constant(incumbent, data, metric)
    scaling, wrong = _scaling(incumbent, data, metric, min_gain)
    checks = (swaps, constant, scaling)
    if swaps.status == FAILED and not confirmed:
        return MappingCheck("suspect", swaps.text, checks)
    if wrong and not confirmed:
        return MappingCheck("suspect", scaling.text, checks)
    if worse and not confirmed:
        return MappingCheck("worse than a constant", constant.text, checks)
    return MappingCheck("accepted", "", checks)


def _swaps(incumbent: Incumbent, data: Examples, metric: Metric, min_gain: float, seconds: float) -> Finding:
    code, title = "GW001", "The columns are the inputs of the model"
    names = [data.columns[k] for k in incumbent.order]
    varying = data.varying[list(incumbent.order)]
    pairs = [(i, j) for i, j in combinations(range(len(names)), 2) if varying[i] or varying[j]]
    if not pairs:
        return Finding(code, title, NOT_APPLICABLE, "The model has one input, so no columns can be exchanged.")
    if (groups := len(np.unique(data.groups))) < LEAST_GROUPS:
        why = f"The data have {groups:,} groups, and at least {LEAST_GROUPS} are needed to tell a better exchange."
        return Finding(code, title, NOT_APPLICABLE, why)
    start = time.monotonic()
    some = sample(incumbent, data, LEAST)
    incumbent.answers(some)
    each = max(time.monotonic() - start, 1e-6) / len(some)
    first = sample(incumbent, data, int(np.clip(seconds / each / len(pairs), LEAST, FIRST)))
    before, found = metric.of(first.targets, incumbent.answers(first)), []
    for i, j in pairs:
        found.append((metric.of(first.targets, incumbent.swapped(i, j).answers(first)), i, j))
        if time.monotonic() - start > MOST_TIMES * seconds:
            break
    tried = "" if len(found) == len(pairs) else f" Of {len(pairs):,} pairs, {len(found):,} were tried in the time."
    nearest = [(i, j) for _, i, j in sorted(found)[:NEAREST]]
    second = sample(incumbent, data, min(SECOND, max(LEAST, int(seconds / each / len(nearest)))))
    old = metric.checked(second.targets, incumbent.answers(second))
    gains = []
    for i, j in nearest:
        new = metric.checked(second.targets, incumbent.swapped(i, j).answers(second))
        gains.append(gain(metric, old, new[None], second.compact(), ordered=data.blocks, resamples=0))
    # The swaps that were not tested count as tried.
    p_values = [each.p_above(min_gain) for each in gains] + [1.0] * (len(pairs) - len(nearest))
    better = [k for k, yes in enumerate(holm(p_values, LEVEL)[: len(nearest)]) if yes]
    measured: dict[str, Any] = {
        "swaps": len(found),
        "examples": [len(first), len(second)],
        "metric": before,
        "best_swap": [names[k] for k in nearest[0]],
        "gains": [[names[i], names[j], each.estimate] for (i, j), each in zip(nearest, gains, strict=True)],
    }
    how = (
        f"Each of {len(found):,} pairs of inputs was exchanged and the model run on {len(first):,} examples; the "
        f"{len(nearest)} best were tested on {len(second):,} examples, with errors over groups and Holm's correction "
        f"over all pairs, at {percent(LEVEL)}.{tried}"
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
        f"No exchange of two columns is shown to make the model better by more than {percent(min_gain)}; the best "
        f"changes the {metric.name} by {percent(-best.estimate)}."
    )
    return Finding(code, title, PASSED, text, measured, how)


def _early(incumbent: Incumbent, data: Examples, metric: Metric, min_gain: float, _: float) -> Finding:
    """Whether predictions seem to stand in the rows in which they were made, and not in those that they are about."""
    code, title = "GW001", "The predictions stand in the rows that they are about"
    early = data.early[incumbent.name]
    known = np.isfinite(early).all(axis=1)
    groups = len(np.unique(data.groups[known]))
    if (early[known] == data.given[incumbent.name][known]).all() or groups < LEAST_GROUPS:
        why = "Only predictions are known, so no columns can be exchanged, and there are no other rows to look in."
        return Finding(code, title, NOT_APPLICABLE, why)
    some = data.select(known)
    old, new = metric.checked(some.targets, some.given[incumbent.name]), metric.checked(some.targets, early[known])
    found = gain(metric, old, new[None], some.compact(), ordered=data.blocks, resamples=0)
    measured = {"gain": found.estimate, "examples": len(some)}
    how = "The same column was read in the last row of each window, as well as in the row of its target."
    if found.p_above(min_gain) <= LEVEL:
        text = (
            f"Mapping suspect: read in the rows in which they were made, the predictions have a {metric.name} that is "
            f"{percent(found.estimate)} lower. Each must stand in the row of the target that it is about."
        )
        return Finding(code, title, FAILED, text, measured, how)
    text = f"Read in the rows in which they were made, the predictions have no lower {metric.name}."
    return Finding(code, title, PASSED, text, measured, how)


def _scaling(incumbent: Incumbent, data: Examples, metric: Metric, min_gain: float) -> tuple[Finding, bool]:
    """The check of the scaling that is stated, and whether another one is better by so much that it must be wrong."""
    code, title = "GW009", "The scaling of the inputs is that of the model"
    if incumbent.model is None and incumbent.function is None:
        return Finding(code, title, NOT_APPLICABLE, "Only predictions are known, which read no inputs."), False
    if incumbent.scaler.name == "none" and incumbent.model is not None and not imported(incumbent.model):
        return Finding(code, title, NOT_APPLICABLE, "The model scales its inputs itself."), False
    if len(np.unique(data.groups)) < LEAST_GROUPS:
        return Finding(code, title, NOT_APPLICABLE, "There are too few groups to tell a better scaling."), False
    some = sample(incumbent, data, FIRST)
    old = metric.checked(some.targets, incumbent.answers(some))
    gains: dict[str, Gain] = {}
    for name in SCALERS:
        if name != incumbent.scaler.name:
            other = replace(incumbent, scaler=scaler_of(name, data.columns, data.rows))
            try:
                new = metric.checked(some.targets, other.answers(some))
            except InputError:  # no finite answers
                continue
            gains[name] = gain(metric, old, new[None], some.compact(), ordered=data.blocks, resamples=0)
    name, best = max(gains.items(), key=lambda item: item[1].estimate)
    measured = {"stated": incumbent.scaler.name, "gains": {each: found.estimate for each, found in gains.items()}}
    how = f"The model answered {len(some):,} examples with the inputs scaled in each of the common ways."
    level = LEVEL / len(gains)
    if best.p_above(min_gain) > level:
        text = f"No other common scaling is shown to lower the {metric.name} by more than {percent(min_gain)}."
        return Finding(code, title, PASSED, text, measured, how), False
    text = (
        f"Scaling suspect: with the inputs scaled by {name} instead of {incumbent.scaler.name}, the {metric.name} is "
        f"{percent(best.estimate)} lower. Either the model was trained with another scaling, or the data have changed."
    )
    return Finding(code, title, FAILED, text, measured, how), best.p_above(max(min_gain, WRONG)) <= level


def sample(incumbent: Incumbent, data: Examples, most: int) -> Examples:
    """About this many examples, spread over the data.

    A model that carries its state must run over a series from its beginning. Of many series, the examples of whole ones
    are therefore taken.
    """
    groups = np.unique(data.groups)
    if incumbent.context == "window" or data.blocks:
        return data.spread(most)
    count = max(LEAST_GROUPS, math.ceil(most * len(groups) / len(data)))
    chosen = np.unique(np.linspace(0, len(groups) - 1, min(count, len(groups))).round().astype(int))
    return data.of_groups(groups[chosen]).spread(most)


def _constant(incumbent: Incumbent, data: Examples, metric: Metric) -> tuple[Finding, bool]:
    """The check, and whether the model is worse than a constant beyond the error of the comparison."""
    code, title = "GW002", "The model is better than a constant"
    some = sample(incumbent, data, SECOND)
    own = metric.checked(some.targets, incumbent.answers(some))
    constant = metric.checked(some.targets, constant_answers(data, some, metric))
    text = (
        f"The {metric.name} of the model is {number(metric.total(own))}, that of a constant "
        f"{number(metric.total(constant))}."
    )
    measured = {"model": metric.total(own), "constant": metric.total(constant), "examples": len(some)}
    how = (
        f"Both answered {len(some):,} examples of the data. The constant is the mean of the targets (for the mean "
        "absolute error, the median)."
    )
    if metric.total(own) < metric.total(constant):
        return Finding(code, title, PASSED, text, measured, how), False
    found = gain(metric, own, constant[None], some.compact(), ordered=data.blocks, resamples=0)
    if found.p_above(0.0) > LEVEL:
        text += " The difference is within its error."
        return Finding(code, title, FAILED, text, measured, how), False
    if incumbent.model is None and incumbent.function is None:
        text += " Predictions that are worse than a constant are usually in other units, or of another time."
    else:
        text += (
            " A model that is worse than a constant usually reads other columns, other units or another scaling than "
            "in its training."
        )
    text += " If all of this is right and the model is merely out of date, confirm the mapping (mapping_confirmed)."
    return Finding(code, title, FAILED, text, measured, how), True


def constant_answers(data: Examples, like: Examples, metric: Metric) -> Any:
    """The best constant for the targets of `data`, as answers to the examples of `like`."""
    if data.targets.ndim == 1:
        shares = np.bincount(data.targets, minlength=int(data.targets.max()) + 1) / len(data)
        return np.tile(shares, (len(like), 1))
    centre = np.median(data.targets, axis=0) if metric.loss == "absolute" else data.targets.mean(axis=0)
    return np.tile(centre, (len(like), 1))
