"""What an assessment finds: checks with a stable code, questions about challengers, and the candidates themselves.

All of this is plain data. `verdict` turns it into a verdict, and the page and the JSON show it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PASSED, FAILED, NOT_APPLICABLE, NOT_RUN = "passed", "failed", "not applicable", "not run"

GAIN, SAVING = "gain", "saving"


@dataclass(frozen=True)
class Finding:
    """A check.

    Attributes:
        code: a stable code, e.g. "GW101".
        title: what was checked, in a few words.
        status: "passed", "failed", "not applicable" or "not run" (because the budget had ended).
        text: the result in whole sentences.
        measured: the numbers, as plain JSON values.
        how: how it was measured, in whole sentences.
    """

    code: str
    title: str
    status: str
    text: str
    measured: Mapping[str, Any] = field(default_factory=dict)
    how: str = ""


@dataclass(frozen=True)
class Candidate:
    """A model that took part, or the incumbent.

    Attributes:
        name: e.g. "ridge", or "the same architecture, retrained".
        question: the question that it answers, e.g. "retrain"; "incumbent", or "baseline" and "other".
        metric: its metric on the rows that judge, from the mean losses of its seeds.
        seeds: number of seeds.
        bytes: size of its parameters; None = not known.
        state_bytes: memory of one session; None = it keeps no state, or it is not known.
        step_seconds: time of one answer on this machine; None = not known.
        minutes: time that its training took; None = it was not trained here.
        native: whether it runs in the native core, so that its time can be compared with that of others that do.
        converged: whether its training had converged.
        low, high: interval of its gain over the incumbent, if it was compared.
    """

    name: str
    question: str
    metric: float
    seeds: int = 1
    bytes: int | None = None
    state_bytes: int | None = None
    step_seconds: float | None = None
    minutes: float | None = None
    native: bool = False
    converged: bool = True
    low: float | None = None
    high: float | None = None

    @property
    def memory(self) -> int | None:
        """Bytes of the parameters and of one session; None if they are not known."""
        return None if self.bytes is None else self.bytes + (self.state_bytes or 0)


@dataclass(frozen=True)
class Question:
    """A question about one challenger, with the evidence.

    Attributes:
        name: a change, see `gatewise.assessment.kinds`, e.g. "retrain".
        kind: "gain" = is the challenger better by more than `min_gain`; "saving" = is it smaller or faster by at least
            half, and not worse by `min_gain`.
        challenger: name of the candidate.
        gain: estimate of the gain, as a share of the metric of the incumbent; negative = worse.
        low, high: interval of the gain.
        p_better: p-value of "the gain is at most min_gain"; small = it is better by more.
        p_worse: p-value of "the gain is at least min_gain"; small = it is not better by that.
        p_equal: p-value of "the loss is at least min_gain"; small = it is not worse by that.
        detectable: the least true gain that these data would have shown to be above min_gain in 8 of 10 cases.
        halves: whether its memory or its time for an answer is at most half of that of the incumbent, and neither is
            more than twice as much, as far as they can be compared.
        obstacle: why it is not shown to satisfy the constraints, in a sentence; "" = it does.
        converged: whether its training had converged.
        more_minutes: estimate of how many minutes more the training needs; None = none.
        worth: number of independent groups that are as much evidence as these groups or blocks of time.
        seed_share: share of the variance between seeds in the variance of the gain.
    """

    name: str
    kind: str
    challenger: str
    gain: float
    low: float
    high: float
    p_better: float
    p_worse: float
    p_equal: float
    detectable: float
    halves: bool = False
    obstacle: str = ""
    converged: bool = True
    more_minutes: float | None = None
    worth: float = math.inf
    seed_share: float = 0.0

    @property
    def meets(self) -> bool:
        """Whether it is shown to satisfy the constraints."""
        return not self.obstacle

    def must_gain(self, incumbent_meets: bool) -> bool:
        """Whether it must be better by more than `min_gain`; if not, it must not be worse by as much.

        Args:
            incumbent_meets: whether the incumbent satisfies the constraints; if not, an equal one replaces it.
        """
        return incumbent_meets and (self.kind == GAIN or not self.halves)


@dataclass(frozen=True)
class Findings:
    """All that a verdict depends on.

    Attributes:
        metric: name of the metric.
        unseen: whether the judging rows were unseen by the incumbent.
        groups: number of groups or blocks of the judging rows.
        blocks: whether these are blocks of time.
        min_gain: least gain that is worth a change, as a share.
        mapping: "accepted", "suspect" or "worse than a constant".
        mapping_text: a sentence about the mapping.
        broken: which constraint the incumbent breaks, in a sentence; "" = none that is known.
        questions: the questions that were answered.
        unanswered: name of a question that was not answered -> why, in words.
        candidates: the incumbent first.
        checks: the checks, in the order of their codes.
    """

    metric: str
    unseen: bool
    groups: int
    blocks: bool
    min_gain: float
    mapping: str
    mapping_text: str
    broken: str
    questions: Sequence[Question]
    unanswered: Mapping[str, str]
    candidates: Sequence[Candidate]
    checks: Sequence[Finding] = ()

    @property
    def meets(self) -> bool:
        """Whether the incumbent breaks no constraint."""
        return not self.broken

    def check(self, code: str) -> Finding | None:
        """The check with this code."""
        return next((each for each in self.checks if each.code == code), None)

    def candidate(self, name: str) -> Candidate:
        """The candidate of this name."""
        return next(each for each in self.candidates if each.name == name)

    def gain(self, candidate: Candidate) -> float | None:
        """The gain of a candidate over the incumbent; None for the incumbent, and if the incumbent has no error."""
        old = self.candidates[0]
        return None if candidate is old or old.metric == 0 else 1 - candidate.metric / old.metric


@dataclass(frozen=True)
class Reason:
    """A reason of a verdict.

    Attributes:
        text: one or two whole sentences.
        of: name of the question, or code of the check, that it rests on.
    """

    text: str
    of: str


@dataclass(frozen=True)
class Verdict:
    """The answer.

    Attributes:
        kind: one of `gatewise.assessment.kinds.KINDS`.
        challenger: name of the candidate that should replace the incumbent; None = it stays.
        sentence: the verdict in one sentence.
        confidence: 1 minus the p-value of the statement, corrected for the number of questions; None if it rests on no
            test.
        reasons: in order of their weight.
        flip: the one fact that would change the verdict, in a sentence.
        cost: what the change costs, in a sentence; "" = nothing changes.
    """

    kind: str
    challenger: str | None
    sentence: str
    confidence: float | None
    reasons: Sequence[Reason]
    flip: str
    cost: str = ""
