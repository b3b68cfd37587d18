"""The page of an assessment: one HTML file that needs no network. Everything from data and files is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import pyplot
from matplotlib.figure import Figure

from gatewise import __version__, figures, report
from gatewise.assessment import words
from gatewise.assessment.command import next_command
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

UNITS = {"rmse": "root mean squared error", "mae": "mean absolute error", "mse": "mean squared error"}
"""Metric -> its name in words."""


def page(result: Assessment) -> str:
    """The page as HTML."""
    findings = result.findings
    shown = sorted(findings.candidates[1:], key=lambda each: each.metric)
    order = [findings.candidates[0], *shown]
    drawings = {"candidates": _candidates(result, order)}
    drawings |= {f"truth{k}": each for k, each in enumerate(_truth(result))}
    return report.render(
        Path(__file__).with_name("verdict.html.j2"),
        r=result,
        v=result.verdict,
        f=findings,
        label=LABELS[result.verdict.kind],
        metric=UNITS.get(findings.metric, findings.metric),
        candidates=order,
        chosen={each.challenger: each for each in findings.questions},
        best_baseline=_best(shown, "baseline"),
        best_challenger=_best([each for each in shown if each.question in TRAINED_HERE]),
        detectable=max((each.detectable for each in findings.questions if each.kind == GAIN), default=None),
        drawings=drawings,
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


def _candidates(result: Assessment, order: list[Candidate]) -> Any:
    """The drawing of all candidates, with intervals of those that were compared."""
    before = order[0].metric
    ends = [
        None if each.low is None or each.high is None else (before * (1 - each.high), before * (1 - each.low))
        for each in order
    ]
    label = UNITS.get(result.findings.metric, result.findings.metric)

    def draw(size: figures.Size) -> Figure:
        names = [words.short_name(each.name, 44 if size.rows == 1 else 22) for each in order]
        figure, ax = pyplot.subplots(figsize=(size.width, 0.9 + 0.4 * len(order)), layout="constrained")
        figures.candidates(
            names, [each.metric for each in order], intervals=ends, label=f"{label}, less is better", ax=ax
        )
        pyplot.close(figure)
        return figure

    alt = f"The {label} of the model and of {len(order) - 1} others"
    return report.drawing("candidates", alt, draw)


def _truth(result: Assessment) -> list[Any]:
    """Drawings of the answers against the truth: of the model, and of the challenger that should replace it."""
    targets = result.case.judge.targets
    if targets.ndim != 2 or targets.shape[1] != 1:
        return []
    names = [result.findings.candidates[0].name]
    if result.verdict.challenger is not None:
        names.append(result.verdict.challenger)

    def draw(name: str) -> Any:
        def inner(size: figures.Size) -> Figure:
            width = min(size.width, 5.6)
            figure, ax = pyplot.subplots(figsize=(width, 0.72 * width), layout="constrained")
            figures.against_truth(targets[:, 0], np.asarray(result.answers[name])[:, 0], ax=ax)
            ax.set_title(words.short_name(name, 40), loc="left")
            pyplot.close(figure)
            return figure

        return inner

    size = figures.Size(5.6, 11.0, 1)
    return [
        report.drawing(f"truth-{k}", f"Answers of {name} against the true values", draw(name), size)
        for k, name in enumerate(names)
    ]


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
