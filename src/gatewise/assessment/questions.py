"""Questions from comparisons: p-values, and intervals at the level at which Holm's correction decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gatewise.assessment.findings import Candidate, Question
from gatewise.assessment.verdict import CHANGE, STAY, p_change
from gatewise.comparison.bootstrap import Gain, holm_levels


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
    made = [
        Question(
            each.name,
            each.kind,
            each.candidate.name,
            each.gain.estimate,
            each.gain.low(CHANGE / len(compared)),
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
        for each in compared
    ]
    able = [k for k, each in enumerate(made) if each.meets]
    levels = holm_levels([p_change(made[k], incumbent_meets) for k in able], CHANGE)
    for k, level in zip(able, levels, strict=True):
        made[k] = replace(made[k], low=compared[k].gain.low(level))
    return made


def halves(new: Candidate, old: Candidate) -> bool:
    """Whether a candidate needs at most half of the memory or of the time, and at most twice as much of the other.

    What is not known is not compared, nor is the time of what runs in Python and not in the native core.
    """
    pairs: list[tuple[float | None, float | None]] = [(new.memory, old.memory)]
    if new.native and old.native:
        pairs.append((new.step_seconds, old.step_seconds))
    ratios = [mine / other for mine, other in pairs if mine is not None and other]
    return bool(ratios) and min(ratios) <= 0.5 and max(ratios) <= 2
