"""The verdict: a pure function from findings to an answer. `docs/verdict.md` gives the reason for each rule.

The rules, in the order in which they are applied:

1. A model whose columns seem to be mixed up, or that is worse than a constant, is not judged.
2. With fewer than `LEAST_GROUPS` groups nothing is concluded.
3. A change needs evidence at a family-wise level of `CHANGE` (one-sided; Holm's correction over the questions). For a
   question of gain: the challenger is better by more than `min_gain`. For a question of saving: it needs at most half
   the memory or half the time, and is not worse by `min_gain`; one that does not save as much must be better by more
   than `min_gain`, like any other. A challenger that is not shown to satisfy the constraints never wins.
4. Of several changes, the one with the best metric is recommended, unless a cheaper one is within `min_gain` of it.
5. If the incumbent breaks a constraint, a challenger that meets it and is not worse by `min_gain` replaces it.
6. The incumbent is kept if the data are unseen by it and each question of gain is answered with no, at the level `STAY`
   for each question, by a challenger whose training had converged; one that breaks a constraint asks nothing.
   Otherwise the evidence is not enough.
"""

from __future__ import annotations

from collections.abc import Sequence

from gatewise.assessment import words
from gatewise.assessment.findings import FAILED, GAIN, PASSED, Findings, Question, Reason, Verdict
from gatewise.assessment.kinds import GAINS, KINDS
from gatewise.comparison.bootstrap import LEAST_GROUPS, holm

CHANGE = 0.005
"""Family-wise probability of recommending a change that does not gain what it must."""

STAY = 0.05
"""Probability, for each question, of missing a gain of at least `min_gain`."""


def verdict(findings: Findings) -> Verdict:
    """The verdict that these findings support."""
    if findings.mapping == "suspect":
        return _insufficient(findings, "mapping", [Reason(findings.mapping_text, "GW001")])
    if findings.mapping == "worse than a constant":
        return _insufficient(findings, "constant", [Reason(findings.mapping_text, "GW002")])
    if findings.groups < LEAST_GROUPS:
        return _insufficient(findings, "groups", [Reason(words.few_groups(findings), "GW004")])
    if changes := accepted(findings):
        return _change(findings, changes)
    if findings.broken:
        return _insufficient(findings, "constraint", [Reason(findings.broken, "GW006"), *_reasons(findings)])
    if not findings.unseen:
        return _insufficient(findings, "unseen", [Reason(words.NOT_UNSEEN, "GW003"), *_reasons(findings)])
    asked = [each for each in findings.questions if each.kind == GAIN]
    able = [each for each in asked if each.meets]
    unsettled = [each for each in able if not _answered_no(each)]
    if unsettled or not asked or any(name in GAINS for name in findings.unanswered):
        return _insufficient(findings, "open", _reasons(findings, unsettled))
    confidence = 1 - max(each.p_worse for each in able) if able else None
    return Verdict("keep", None, words.keep(findings), confidence, _reasons(findings), words.flip_keep(findings))


def accepted(findings: Findings) -> list[Question]:
    """The questions whose answer is a change."""
    able = [each for each in findings.questions if each.meets]
    p_values = [p_change(each, findings.meets) for each in able]
    return [each for each, yes in zip(able, holm(p_values, CHANGE), strict=True) if yes]


def p_change(question: Question, incumbent_meets: bool) -> float:
    """The p-value of the hypothesis that this change is not worth while."""
    return question.p_better if question.must_gain(incumbent_meets) else question.p_equal


def _answered_no(question: Question) -> bool:
    return question.p_worse <= STAY and question.converged


def _change(findings: Findings, changes: Sequence[Question]) -> Verdict:
    metric = {each.challenger: findings.candidate(each.challenger).metric for each in changes}
    best = min(metric.values())
    near = [each for each in changes if metric[each.challenger] <= best * (1 + findings.min_gain)]
    chosen = min(near, key=lambda each: KINDS.index(each.name))
    able = [each for each in findings.questions if each.meets]
    confidence = 1 - min(1.0, p_change(chosen, findings.meets) * len(able))
    reasons = _reasons(findings, [chosen])
    if len(changes) > 1:
        reasons.insert(1, Reason(words.preferred(findings, chosen, near, changes), chosen.name))
    if findings.broken:
        reasons.insert(0, Reason(findings.broken, "GW006"))
    washout = findings.check("GW102")
    if chosen.name == "reset" and washout is not None and washout.status in (PASSED, FAILED):
        reasons.insert(1, Reason(washout.text, "GW102"))
    return Verdict(
        chosen.name,
        chosen.challenger,
        words.change(findings, chosen),
        confidence,
        reasons,
        words.flip_change(findings, chosen, changes),
        words.cost(findings, chosen),
    )


def _reasons(findings: Findings, first: Sequence[Question] = ()) -> list[Reason]:
    """A reason for each question, those in `first` first, and one for the questions without an answer."""
    rest = [each for each in findings.questions if each not in first]
    reasons = [Reason(words.question(findings, each), each.name) for each in (*first, *rest)]
    return [*reasons, *(Reason(words.unanswered(name, why), name) for name, why in findings.unanswered.items())]


def _insufficient(findings: Findings, why: str, reasons: Sequence[Reason]) -> Verdict:
    return Verdict(
        "insufficient", None, words.insufficient(findings, why), None, reasons, words.flip_insufficient(findings, why)
    )
