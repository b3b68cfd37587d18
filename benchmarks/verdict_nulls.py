"""How often does a verdict recommend a change that is not worth while? Findings are simulated, and nothing is trained.

The errors of the incumbent and of five challengers are drawn, and go through the functions that `gatewise.assess` uses:
`gain`, `questions` and `verdict`. All errors of a row have one part in common, the noise of the target, and each model
has a deviation of its own; the seeds of a challenger share half the variance of theirs. Each model is better in some
groups than in others. There are two kinds of nulls:

- "no difference": all models have the same expected loss and the same size, so every change would be a mistake.
- "boundary": challengers of questions of gain are better by exactly the least gain, and those of questions of saving
  are half as large and worse by exactly the least gain. This is the hardest case, because a change is worth while only
  beyond it.

The expected loss of a challenger is exact on the average over groups, rows and seeds: the losses of a seed are
multiplied by a factor whose mean is 1, and whose standard deviation is one of `BETWEEN`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from gatewise.assessment.findings import GAIN, SAVING, Candidate, Findings
from gatewise.assessment.questions import Compared, questions
from gatewise.assessment.verdict import verdict
from gatewise.comparison import Metric, gain, metric_of

MIN_GAIN = 0.05

BETWEEN = (0.0, 0.02, 0.05)
"""Standard deviations between seeds, as shares of the loss."""

GROUPS = (12, 20, 40, 60)
"""Numbers of groups, each as often as the others."""

SEEDS = 3

ROWS = 30
"""Number of rows of a group, or about that many if groups are unequal."""

DEVIATION = 0.5
"""Standard deviation of a model's own deviation; that of the common part of the error is 1."""

LEVEL = 0.2
"""The standard deviation over groups of the logarithm of a model's losses."""

QUESTIONS = {
    "reset": (GAIN, 1),
    "baseline": (SAVING, 1),
    "retrain": (GAIN, SEEDS),
    "recurrence": (GAIN, SEEDS),
    "shrink": (SAVING, SEEDS),
}
"""The questions of each finding: their kind, and the number of seeds of the challenger."""

KINDS = ("no difference", "boundary")

METRICS = ("rmse", "mae")

Draw = Callable[[np.random.Generator, tuple[int, ...]], Any]


@dataclass(frozen=True)
class Law:
    """How errors are distributed.

    Attributes:
        draw: draws independent errors of a variance of 1.
        unequal: whether groups differ in their number of rows and in the size of their errors.
        linked: correlation of how good a model is in neighbouring groups, which are blocks of time.
    """

    draw: Draw
    unequal: bool = False
    linked: float = 0.0


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.normal(size=shape)


def _student(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.standard_t(3, shape) / 3**0.5


LAWS = {
    "normal": Law(_normal),
    "heavy tails": Law(_student),
    "unequal groups": Law(_normal, unequal=True),
    "blocks of time": Law(_normal, linked=0.5),
}

APART = ("blocks of time",)
"""Laws in which groups are not independent, which the interval must find out; they are told in rows of their own."""


@dataclass(frozen=True)
class Drawn:
    """The losses of one simulated finding.

    Attributes:
        metric: what they are losses of.
        incumbent: (n,).
        challengers: question -> (seeds, n).
        groups: (n,) number of the group.
        blocks: whether these are blocks of time, in their order.
    """

    metric: Metric
    incumbent: Any
    challengers: dict[str, Any]
    groups: Any
    blocks: bool = False


def drawn(rng: np.random.Generator, law: Law, between: float, kind: str, metric: Metric) -> Drawn:
    """Draw the losses of one finding."""
    count = int(rng.choice(GROUPS))
    scale, sizes = np.ones(count), np.full(count, ROWS)
    if law.unequal:
        scale = np.exp(0.5 * rng.normal(size=count))
        sizes = np.maximum(3, (ROWS * np.exp(0.75 * rng.normal(size=count) - 0.75**2 / 2)).astype(int))
    groups = np.repeat(np.arange(count), sizes)
    n = len(groups)

    common = law.draw(rng, (n,))

    def losses(seeds: int) -> Any:
        """(seeds, n), the losses of a model, which is better in some groups than in others."""
        own = (law.draw(rng, (seeds, n)) + law.draw(rng, (1, n))) / 2**0.5
        level = rng.normal(size=count)
        for g in range(1, count):
            level[g] = law.linked * level[g - 1] + (1 - law.linked**2) ** 0.5 * level[g]
        factor = np.exp(LEVEL * level - LEVEL**2 / 2)[groups]
        if seeds > 1:
            factor = factor * (1 + between * rng.normal(size=(seeds, 1)))
        errors = scale[groups] * (common + DEVIATION * own)
        return factor * np.stack([metric.losses(np.zeros((n, 1)), each[:, None]) for each in errors])

    incumbent, challengers = losses(1)[0], {}
    for name, (asked, seeds) in QUESTIONS.items():
        true = 0.0 if kind == "no difference" else MIN_GAIN if asked == GAIN else -MIN_GAIN
        challengers[name] = losses(seeds) * (1 - true) ** (2 if metric.root else 1)
    return Drawn(metric, incumbent, challengers, groups, law.linked > 0)


def concluded(found: Drawn, kind: str, seed: int) -> str:
    """The verdict on one simulated finding."""
    incumbent = Candidate("model", "incumbent", found.metric.total(found.incumbent), bytes=1000, step_seconds=1e-6)
    compared, candidates = [], [incumbent]
    for name, losses in found.challengers.items():
        asked, seeds = QUESTIONS[name]
        size = 500 if asked == SAVING and kind == "boundary" else 1000
        value = found.metric.total(losses.mean(axis=0))
        candidates.append(Candidate(name, name, value, seeds, bytes=size, step_seconds=1e-6, minutes=1.0))
        difference = gain(found.metric, found.incumbent, losses, found.groups, ordered=found.blocks, seed=seed)
        compared.append(Compared(name, asked, candidates[-1], difference))
    asked_ = questions(compared, incumbent, MIN_GAIN)
    groups = int(found.groups.max()) + 1
    findings = Findings(
        found.metric.name, True, groups, found.blocks, MIN_GAIN, "accepted", "", "", tuple(asked_), {},
        candidates,
    )  # fmt: skip
    return verdict(findings).kind


def nulls(count: int) -> dict[str, Any]:
    """Simulate findings.

    Args:
        count: about how many of each kind, over all laws that are not `APART` and all spreads between seeds; for each
            law that is, a third as many.

    Returns:
        kind -> law -> spread between seeds -> {"findings", "changes": verdict -> number}.
    """
    counted: dict[str, Any] = {kind: {law: {} for law in LAWS} for kind in KINDS}
    cells = list(product(KINDS, LAWS, BETWEEN))
    each = -(-count // ((len(LAWS) - len(APART)) * len(BETWEEN)))
    for number, (kind, law, between) in enumerate(cells):
        rng, changes = np.random.default_rng([number, 2026]), {}
        for k in range(each):
            found = drawn(rng, LAWS[law], between, kind, metric_of(METRICS[k % 2], "value"))
            answer = concluded(found, kind, k)
            if answer not in ("keep", "insufficient"):
                changes[answer] = changes.get(answer, 0) + 1
        counted[kind][law][f"{between:g}"] = {"findings": each, "changes": changes}
        print(f"{kind}, {law}, {between:g} between seeds: {changes or 'no change'} in {each:,}", flush=True)
    return counted
