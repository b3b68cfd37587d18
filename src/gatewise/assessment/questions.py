"""Questions from comparisons: p-values, and intervals at the level at which Holm's correction decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gatewise.assessment.findings import Candidate, Question
from gatewise.assessment.verdict import CHANGE, STAY, must_gain
from gatewise.comparison.bootstrap import LEAST_GROUPS, Gain


@dataclass(frozen=True)
class Compared:
    """A challenger that was compared with the incumbent.

    Attributes:
        name, kind: of the question, see `Question`.
        candidate: the challenger.
        gain: its gain.
        obstacle: why it is not shown to satisfy the constraints, in a sentence; "" = it does.
        more_minutes: an estimate of what its training still needs; None = nothing.
    """

    name: str
    kind: str
    candidate: Candidate
    gain: Gain
    obstacle: str = ""
    more_minutes: float | None = None


def questions(
    compared: Sequence[Compared], incumbent: Candidate, min_gain: float, incumbent_meets: bool = True
) -> list[Question]:
    """The questions with their evidence, in the given order.

    Args:
        compared: the challengers.
        incumbent: the model.
        min_gain: least gain that is worth a change.
        incumbent_meets: whether the model satisfies the constraints.
    """
    levels = _levels(compared, incumbent, min_gain, incumbent_meets)
    return [
        Question(
            each.name,
            each.kind,
            each.candidate.name,
            each.gain.estimate,
            each.gain.low(level),
            each.gain.high(STAY),
            each.gain.p_above(min_gain),
            each.gain.p_below(min_gain),
            each.gain.p_above(-min_gain),
            each.gain.detectable(min_gain, CHANGE / len(compared)),
            halves(each.candidate, incumbent),
            each.obstacle,
            each.candidate.converged,
            each.more_minutes,
            each.gain.worth,
            each.gain.seed_share,
        )
        for each, level in zip(compared, levels, strict=True)
    ]


def _levels(compared: Sequence[Compared], incumbent: Candidate, min_gain: float, incumbent_meets: bool) -> list[float]:
    """The level of the lower end for each question: that at which Holm's correction rejects it, or stops before it."""
    p_values = {}
    for k, each in enumerate(compared):
        if not each.obstacle and each.gain.worth >= LEAST_GROUPS:
            gains = must_gain(each.kind, halves(each.candidate, incumbent), incumbent_meets)
            p_values[k] = each.gain.p_above(min_gain if gains else -min_gain)
    count, stopped = max(1, len(p_values)), False
    levels, level = [CHANGE / count] * len(compared), CHANGE / count
    for rank, k in enumerate(sorted(p_values, key=lambda k: p_values[k])):
        level = level if stopped else CHANGE / (count - rank)
        stopped = stopped or p_values[k] > level
        levels[k] = level
    return levels


def halves(new: Candidate, old: Candidate) -> bool:
    """Whether a candidate needs at most half of the memory or of the time, and at most twice as much of the other."""
    ratios = [
        mine / other if mine is not None and other else None
        for mine, other in ((new.memory, old.memory), (new.step_seconds, old.step_seconds))
    ]
    known = [ratio for ratio in ratios if ratio is not None]
    return bool(known) and min(known) <= 0.5 and max(known) <= 2
