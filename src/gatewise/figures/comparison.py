"""Draw candidates side by side, answers against the truth, and an error by the amount of data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from gatewise.errors import InputError
from gatewise.figures.style import BLUE, DASHED, GREY, drawn_on, ink
from gatewise.layers.base import Array

MOST_DOTS = 1500
"""Greatest number of answers that are drawn; more are thinned out evenly."""


def candidates(
    names: Sequence[str],
    values: Sequence[float],
    *,
    intervals: Sequence[tuple[float, float] | None] | None = None,
    label: str = "error",
    ax: Axes | None = None,
) -> Axes:
    """Draw the error of each candidate as a dot, the first of them, the incumbent, in colour and as a line.

    Args:
        names: names of the candidates.
        values: the error of each; less is better.
        intervals: for each candidate the ends of an interval of its error, or None.
        label: name and unit of the error.
        ax: the axes to draw into; None = a new figure.

    Returns:
        The axes.

    Raises:
        InputError: there is no candidate, or names and values are not equally many.
    """
    if not names or len(names) != len(values):
        raise InputError(f"each candidate needs a name and a value, got {len(names)} names and {len(values)} values")
    ax = drawn_on(ax, 0.6 + 0.4 * len(names))
    at = -np.arange(len(names))
    ax.axvline(values[0], color=BLUE, lw=1.2, ls=DASHED, zorder=1)
    for k, value in enumerate(values):
        colour = BLUE if k == 0 else ink()
        found = intervals[k] if intervals is not None else None
        if found is not None:
            ax.plot(found, (at[k], at[k]), color=GREY, lw=3, solid_capstyle="butt", zorder=2)
        ax.plot(value, at[k], "o", color=colour, ms=7, zorder=3)
    ax.set_yticks(at, names)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(at[-1] - 0.6, 0.6)
    ax.set_xlabel(label)
    ax.margins(x=0.08)
    return ax


def against_truth(truth: Array, answers: Array, *, label: str = "", ax: Axes | None = None) -> Axes:
    """Draw answers against true values; a perfect answer lies on the diagonal.

    Args:
        truth: (n,) true values.
        answers: (n,) the answers.
        label: name and unit of the values.
        ax: the axes to draw into; None = a new figure.

    Returns:
        The axes.

    Raises:
        InputError: the arrays are empty, or not equally long.
    """
    if not len(truth) or np.shape(truth) != np.shape(answers):
        raise InputError(f"truth and answers must be equally long, got {np.shape(truth)} and {np.shape(answers)}")
    ax = drawn_on(ax, 4.0)
    some = np.unique(np.linspace(0, len(truth) - 1, min(len(truth), MOST_DOTS)).round().astype(int))
    ends = [float(min(truth.min(), answers.min())), float(max(truth.max(), answers.max()))]
    ax.plot(ends, ends, color=GREY, lw=1.2, ls=DASHED)
    ax.plot(truth[some], answers[some], "o", color=BLUE, ms=3.5, alpha=0.6, mew=0)
    ax.set_xlabel(f"true {label}".rstrip())
    ax.set_ylabel(f"answer {label}".rstrip())
    return ax


def by_amount(
    amounts: Sequence[float],
    values: Sequence[float],
    *,
    reference: float | None = None,
    label: str = "error",
    amount: str = "amount",
    ax: Axes | None = None,
) -> Axes:
    """Draw a value by the amount of something that was given, such as rows of a window, on a logarithmic scale.

    Args:
        amounts: the amounts, above 0.
        values: the value for each.
        reference: a value to compare with, as a dashed line; None = none.
        label: name and unit of the values.
        amount: name and unit of the amounts.
        ax: the axes to draw into; None = a new figure.

    Returns:
        The axes.

    Raises:
        InputError: there are no amounts, one is not above 0, or amounts and values are not equally many.
    """
    if not amounts or len(amounts) != len(values) or min(amounts) <= 0:
        raise InputError(
            f"each value needs an amount above 0, got {len(amounts)} amounts and {len(values)} values, "
            f"the least amount {min(amounts, default=0):g}"
        )
    ax = drawn_on(ax)
    if reference is not None:
        ax.axhline(reference, color=GREY, lw=1.2, ls=DASHED, zorder=1)
    ax.plot(amounts, values, color=BLUE, lw=1.8, marker="o", ms=5)
    ax.set_xscale("log", base=2)
    ax.set_xticks([*amounts], [f"{each:g}" for each in amounts])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(amount)
    ax.set_ylabel(label)
    ax.margins(y=0.15)
    return ax
