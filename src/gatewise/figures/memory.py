"""Draw what each recurrence remembers: its score in a memory task by the lag that it has to bridge."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from gatewise.errors import InputError
from gatewise.figures.style import BLUE, DOTTED, GREY, drawn_on, legend_above

KIND: dict[str, Any] = {"color": BLUE, "lw": 1.8, "marker": "o", "ms": 4}
VARIANT: dict[str, Any] = {"color": BLUE, "lw": 1.4, "ls": (0, (2.5, 1.2)), "marker": "D", "ms": 3.5, "mfc": "none"}
OTHER: dict[str, Any] = {"color": GREY, "lw": 0.9, "marker": ".", "ms": 3, "alpha": 0.5}
CHANCE: dict[str, Any] = {"color": GREY, "lw": 1, "ls": DOTTED}
"""Styles of the lines. They are public for a common legend of several panels."""


def score_by_lag(
    scores: Mapping[str, Mapping[int, float]],
    kind: str,
    variants: Collection[str] = (),
    *,
    lags: Sequence[int] | None = None,
    chance: float | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw scores by lag on a logarithmic scale: one recurrence and its variants in colour, all others in grey.

    Args:
        scores: name -> lag in steps -> score from 0 to 1. A name without scores gets an empty line.
        kind: the name that is drawn in colour.
        variants: further names that are drawn in colour, with dashed lines.
        lags: the ticks of the axis, ascending; None = all lags that have a score.
        chance: the score of guessing, drawn as a dotted line; None = not drawn.
        legend: whether to draw a legend and labels of the axes.
        ax: the axes to draw into; None = a new figure.

    Returns:
        The axes. The label of each line is its name, and the lines in colour are in front of the others.

    Raises:
        InputError: there are no scores, or there is no such kind.
    """
    own = [kind, *variants]
    if unknown := [name for name in own if name not in scores]:
        raise InputError(f"there are no scores of {unknown[0]!r}; there are some of {list(scores)}")
    named = sorted({lag for each in scores.values() for lag in each}) if lags is None else list(lags)
    if not named:
        raise InputError("there are no scores to draw; give those of at least one lag")
    ax = drawn_on(ax)
    if chance is not None:
        ax.axhline(chance, label="chance", **CHANCE)
    for name in sorted(scores, key=own.__contains__):
        style = KIND if name == kind else VARIANT if name in own else OTHER
        ax.plot(list(scores[name]), list(scores[name].values()), label=name, **style)
    ax.set_xscale("log")
    ax.set_xlim(0.7 * named[0], 1.45 * named[-1])
    ax.set_xticks(named, [f"{lag // 1000}k" if lag % 1000 == 0 else f"{lag}" for lag in named])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_ylim(-0.06, 1.08)
    ax.set_yticks([0, 1])
    if legend:
        ax.set_xlabel("lag, steps")
        ax.set_ylabel("score")
        labels = {line: str(line.get_label()) for line in ax.lines}
        legend_above(ax, {name if name in (*own, "chance") else "others": line for line, name in labels.items()})
    return ax
