"""Findings made by hand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gatewise.assessment.findings import GAIN, SAVING, Candidate, Findings, Question
from gatewise.assessment.kinds import GAINS

NAMES = {
    "reset": "the same model with another context",
    "baseline": "a ridge regression",
    "shrink": "half the units",
    "replace": "another model",
    "retrain": "the same architecture, retrained",
    "recurrence": "a gru of 8 units",
}


def asked(name: str, gain: float = 0.0, answer: str = "no", **changed: Any) -> Question:
    """A question with an answer.

    Args:
        name: of the question.
        gain: the estimate.
        answer: "better" = by more than 5 %; "no" = a gain of 5 % is ruled out, and equality is shown if it is a
            question of saving; "worse" = by more than 5 %; "open" = nothing is shown.
        changed: attributes that differ.
    """
    width = {"better": 0.02, "no": 0.02, "worse": 0.02, "open": 0.3}[answer]
    p_better, p_worse, p_equal = {
        "better": (1e-4, 1.0, 1e-4),
        "no": (1.0, 0.01, 1e-4),
        "worse": (1.0, 1e-4, 1.0),
        "open": (0.4, 0.4, 0.2),
    }[answer]
    kind = GAIN if name in GAINS else SAVING
    made = Question(
        name, kind, NAMES[name], gain, gain - width, gain + width, p_better, p_worse, p_equal, detectable=0.09,
        halves=kind == SAVING,
    )  # fmt: skip
    return replace(made, **changed)


def found(questions: Sequence[Question], **changed: Any) -> Findings:
    """Findings of a sound assessment on 30 unseen groups, in which the model has a metric of 1."""
    incumbent = Candidate("legacy.h5", "incumbent", 1.0, bytes=1000, state_bytes=64, step_seconds=1e-4)
    others = [
        Candidate(
            each.challenger, each.name, 1 - each.gain, 3, 400 if each.halves else 1000, 64, 1e-4, 2.0,
            converged=each.converged, low=each.low, high=each.high,
        )
        for each in questions
    ]  # fmt: skip
    made = Findings("rmse", True, 30, False, 0.05, "accepted", "", "", tuple(questions), {}, (incumbent, *others))
    return replace(made, **changed)
