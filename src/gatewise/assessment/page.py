"""The page of an assessment: one HTML file that needs no network. Everything from data and files is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gatewise import __version__, report
from gatewise.assessment import words
from gatewise.assessment.command import next_command
from gatewise.assessment.drawings import UNITS, drawings
from gatewise.assessment.findings import GAIN, Candidate
from gatewise.assessment.verdict import CHANGE, STAY

if TYPE_CHECKING:
    from gatewise.assessment.result import Assessment
    from gatewise.assessment.setup import Setup

LABELS = {
    "keep": "keep",
    "reset": "change the context",
    "baseline": "replace by a simple method",
    "shrink": "shrink",
    "replace": "replace by another model",
    "retrain": "retrain",
    "recurrence": "replace by another recurrence",
    "insufficient": "not enough evidence",
}
"""Verdict -> a few words for it."""

TRAINED_HERE = ("shrink", "retrain", "recurrence")
"""The questions of challengers that are trained here."""


def page(result: Assessment) -> str:
    """The page as HTML."""
    findings = result.findings
    shown = sorted(findings.candidates[1:], key=lambda each: each.metric)
    order = [findings.candidates[0], *shown]
    return report.render(
        Path(__file__).with_name("verdict.html.j2"),
        r=result,
        v=result.verdict,
        f=findings,
        label=LABELS[result.verdict.kind],
        metric=UNITS.get(findings.metric, findings.metric),
        candidates=order,
        best_baseline=_best(shown, "baseline"),
        best_challenger=_best([each for each in shown if each.question in TRAINED_HERE]),
        detectable=max((each.detectable for each in findings.questions if each.kind == GAIN), default=None),
        drawings=drawings(result, order),
        command=next_command(result),
        refit=result.refit,
        spent=sorted(result.spent.items(), key=lambda item: -item[1]),
        words=words,
        change=CHANGE,
        stay=STAY,
        version=__version__,
        facts=_facts(result),
    )


def _best(candidates: list[Candidate], question: str | None = None) -> Candidate | None:
    own = [each for each in candidates if question in (None, each.question)]
    return min(own, key=lambda each: each.metric, default=None)


def _facts(result: Assessment) -> Mapping[str, str]:
    """What was assessed, for the end of the page."""
    case = result.case
    names = [case.data.columns[k] for k in case.incumbent.order]
    window = f"windows of {case.data.lookback} rows"
    context = {"window": f"each answer from a state of zero, in {window}", "series": "state carried within a series"}
    facts = {
        "Model": case.incumbent.name,
        "Inputs, in order": ", ".join(names),
        "Scaling of the inputs": case.incumbent.scaler.name,
        "Scaling of the targets": case.incumbent.target_scaler.name,
        "Context": context[case.incumbent.context],
        "Baselines and challengers": window,
        "Data": f"{len(case.data):,} answers in {len(np.unique(case.data.groups)):,} {case.group_words} to train on",
        "Judging rows": f"{len(case.judge):,} answers in {result.findings.groups:,} {case.group_words}",
        "Budget": f"{result.budget / 60:.3g} minutes; {sum(result.spent.values()) / 60:.2g} were used",
        "Constant columns": _constant(case) or "none",
        "Seed": str(case.seed),
        "gatewise": __version__,
    }
    if case.incumbent.model is not None and case.incumbent.model.window is None and case.incumbent.context == "window":
        facts["Context"] += "; the model itself would carry its state"
    return {**facts, **{f"Proposed, not stated: {key}": value for key, value in case.proposed.items()}}


def _constant(case: Setup) -> str:
    """The inputs from which no challenger learns, because they never change in the data."""
    names = [name for name, varies in zip(case.data.columns, case.data.varying, strict=True) if not varies]
    return f"{', '.join(names)} (left out of the trainings)" if names else ""
