"""The simple methods: all are fitted and shown, and the one that is best on held-out groups challenges the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.assessment.costs import seconds_of
from gatewise.assessment.findings import FAILED, PASSED, Finding
from gatewise.assessment.setup import VALIDATION, Setup
from gatewise.baselines.methods import REGRESSION, suitable
from gatewise.comparison.budget import Budget
from gatewise.comparison.examples import Examples
from gatewise.comparison.running import BATCH
from gatewise.errors import InputError, MissingExtraError
from gatewise.layers.base import Array

try:
    from threadpoolctl import threadpool_limits
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("assessments need scikit-learn: pip install 'gatewise[train]'") from error

MOST_WINDOWS = 20_000
"""Number of windows to which a simple method is fitted at most, spread evenly over the data."""

MOST_SECONDS = 0.15
"""Share of the budget after which no further method is begun."""


@dataclass(frozen=True)
class Fitted:
    """A simple method, fitted to all data.

    Attributes:
        method: the method of `gatewise.baselines`.
        validation: its metric on the held-out groups.
        answers: its answers to the judging examples, (n, k).
        seconds: how long the fit took.
        step_seconds: time of one answer.
        window_bytes: memory for the rows that an answer is made from.
    """

    method: Any
    validation: float
    answers: Array
    seconds: float
    step_seconds: float
    window_bytes: int


def fitted(setup: Setup, budget: Budget) -> tuple[list[Fitted], dict[str, str]]:
    """Fit the methods that suit the question, the simplest first.

    Args:
        setup: what is assessed.
        budget: `MOST_SECONDS` of it are spent at most; the first method is fitted in any case.

    Returns:
        The fitted methods, and for those that were left out: label -> why.

    Raises:
        InputError: not even the first method can be fitted to the data.
    """
    data = setup.data.spread(MOST_WINDOWS)
    first, held = data.parted(VALIDATION, setup.horizon, setup.seed)
    if not len(first):
        raise InputError(f"{len(data):,} rows with a target are too few for fitting simple methods; pass longer series")
    found: list[Fitted] = []
    left_out: dict[str, str] = {}
    if setup.season is not None and setup.season > (data.lookback or 1):
        left_out["the last season, repeated"] = f"a window of {data.lookback} rows has no {setup.season} rows"
    until = budget.used + MOST_SECONDS * budget.seconds
    own = setup.anchors
    for method in suitable(
        REGRESSION, own, setup.season, (setup.horizon,) if own else (1,), lookback=data.lookback,
        loss=setup.metric.loss, random_state=setup.seed,
    ):  # fmt: skip
        if found and budget.used > until:
            left_out[method.label] = "the time for simple methods was used up"
            continue
        before = budget.used
        # Several threads gain little on so few windows, and wait for each other for long on a busy machine.
        with budget.doing(f"fitting {method.label}"), threadpool_limits(1, "openmp"):
            try:
                method.fit(first.windows(), first.targets, first.groups)
                validation = setup.metric.of(held.targets, _answers(method, held))
                method.fit(data.windows(), data.targets, data.groups)
            except InputError as error:
                if not found:
                    raise
                left_out[method.label] = str(error)
                continue
            answers = _answers(method, setup.judge)
            one = setup.judge.windows(slice(0, 1))
            seconds = seconds_of(lambda: method.predict(one))  # noqa: B023
        found.append(Fitted(method, validation, answers, budget.used - before, seconds, one.nbytes))
    return found, left_out


def check_methods(found: Sequence[Fitted], left_out: Mapping[str, str]) -> Finding:
    """The finding about simple methods that were left out."""
    code, title = "GW204", "All simple methods could be fitted"
    if not left_out:
        return Finding(code, title, PASSED, f"{len(found)} simple methods were fitted.")
    told = "; ".join(f"{name}: {why}" for name, why in left_out.items())
    return Finding(code, title, FAILED, f"Left out: {told}.", dict(left_out))


def _answers(method: Any, examples: Examples) -> Array:
    return np.concatenate(
        [method.predict(examples.windows(slice(i, i + BATCH))) for i in range(0, len(examples), BATCH)]
    )
