"""The simple methods: all are fitted and shown, and the one that is best on held-out groups challenges the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.assessment.costs import seconds_of
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
    """

    method: Any
    validation: float
    answers: Array
    seconds: float
    step_seconds: float


def fitted(setup: Setup, budget: Budget) -> list[Fitted]:
    """Fit the methods that suit the question, the simplest first."""
    data = setup.data.spread(MOST_WINDOWS)
    parts = split(data, setup.seed)
    loss = "absolute" if setup.metric.name == "mae" else "squared"
    found: list[Fitted] = []
    until = budget.used + MOST_SECONDS * budget.seconds
    own = setup.anchors
    for method in suitable(
        REGRESSION, own, setup.season, (setup.horizon,) if own else (1,), lookback=data.lookback, loss=loss,
        random_state=setup.seed,
    ):  # fmt: skip
        if found and budget.used > until:
            break
        before = budget.used
        # Several threads gain little on so few windows, and wait for each other for long on a busy machine.
        with budget.doing(f"fitting {method.label}"), threadpool_limits(1, "openmp"):
            first, held = parts
            try:
                method.fit(first.windows(), first.targets, first.groups)
                validation = setup.metric.of(held.targets, _answers(method, held))
                method.fit(data.windows(), data.targets, data.groups)
            except InputError:
                if not found:
                    raise
                continue  # the method does not suit these data
            answers = _answers(method, setup.judge)
            one = setup.judge.windows(slice(0, 1))
            seconds = seconds_of(lambda: method.predict(one))  # noqa: B023
        found.append(Fitted(method, validation, answers, budget.used - before, seconds))
    return found


def split(data: Examples, seed: int) -> tuple[Examples, Examples]:
    """The examples for a fit and those of the groups that are held out: the last blocks, or groups chosen by chance."""
    present = np.unique(data.groups)
    if len(present) < 2:
        cut = max(1, round((1 - VALIDATION) * len(data)))
        return data.select(slice(0, cut)), data.select(slice(cut, None))
    order = present if data.blocks else np.random.default_rng(seed).permutation(present)
    count = max(1, round(VALIDATION * len(present)))
    return data.of_groups(order[:-count]), data.of_groups(order[-count:])


def _answers(method: Any, examples: Examples) -> Array:
    return np.concatenate(
        [method.predict(examples.windows(slice(i, i + BATCH))) for i in range(0, len(examples), BATCH)]
    )
