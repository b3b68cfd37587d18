"""The drawings on the page of an assessment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatewise import figures, report
from gatewise.assessment import words
from gatewise.assessment.findings import Candidate

if TYPE_CHECKING:
    from gatewise.assessment.result import Assessment

UNITS = {"rmse": "root mean squared error", "mae": "mean absolute error", "mse": "mean squared error"}
"""Metric -> its name in words."""

BESIDE = figures.Size(5.6, 11.0, 1)
"""The size of drawings that stand beside each other."""


def drawings(result: Assessment, order: Sequence[Candidate]) -> dict[str, Any]:
    """Name -> drawing, as `gatewise.report` shows it. What was not measured has none.

    Args:
        result: the assessment.
        order: the candidates in the order in which they are shown, the incumbent first.
    """
    return {
        "candidates": _candidates(result, order),
        "truth": _truth(result),
        "memory": _memory(result),
        "uses": _uses(result),
    }


def _candidates(result: Assessment, order: Sequence[Candidate]) -> Any:
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
        figures.candidates(names, [each.metric for each in order], intervals=ends, label=label, ax=ax)
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


def _memory(result: Assessment) -> list[Any]:
    """Drawings of how far back the model uses its past, how far back information helps, and whether more data would."""
    found, old = result.challenges, result.findings.candidates[0].metric
    label = UNITS.get(result.findings.metric, result.findings.metric)
    context, drawn = result.findings.check("GW101"), []
    if context is not None and _uses(result):
        lags, change = context.measured["lags"], context.measured["relative_change"]

        def uses(ax: Axes) -> None:
            figures.by_amount(
                lags, change, label="relative change of the answers", amount="last rows it is given", ax=ax
            )

        drawn.append(("uses", "What the model uses", uses))
    if len(found.by_window) > 1:
        by_window = dict(sorted(found.by_window.items()))

        def helps(ax: Axes) -> None:
            figures.by_amount(
                [*by_window], [*by_window.values()], reference=old, label=label, amount="rows of a window", ax=ax
            )

        drawn.append(("helps", "What would help", helps))
    if len(found.by_share) > 1:
        by_share = dict(sorted(found.by_share.items()))

        def data(ax: Axes) -> None:
            shares = [100 * share for share in by_share]
            figures.by_amount(
                shares,
                [*by_share.values()],
                reference=old,
                label=label,
                amount=f"percent of the {result.case.group_words}",
                ax=ax,
            )

        drawn.append(("data", "Whether more data would help", data))
    return [report.drawing(f"memory-{key}", title, _beside(title, draw), BESIDE) for key, title, draw in drawn]


def _uses(result: Assessment) -> bool:
    """Whether it was measured how much of its past the model uses."""
    context = result.findings.check("GW101")
    return context is not None and "lags" in context.measured


def _beside(title: str, draw: Callable[[Axes], object]) -> Callable[[figures.Size], Figure]:
    """A drawing with a title that is at most half as wide as the page."""

    def drawn(size: figures.Size) -> Figure:
        width = min(size.width, BESIDE.width)
        figure, ax = pyplot.subplots(figsize=(width, 0.72 * width), layout="constrained")
        draw(ax)
        ax.set_title(words.short_name(title, 40), loc="left")
        pyplot.close(figure)
        return figure

    return drawn
