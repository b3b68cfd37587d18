"""Draw how far back a recurrence can learn: the norm of the gradient of its state by lag."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from gatewise.errors import InputError
from gatewise.figures.style import CYCLE, DOTTED, drawn_on, ink
from gatewise.layers.base import Array

MIDDLE = (0.1, 0.5, 0.9)
"""Quantiles over the windows: the edges of the band that contains 80 % of them, and the median."""


def gradient_norms(
    norms: Mapping[str, ArrayLike],
    untrained: Mapping[str, ArrayLike] | None = None,
    *,
    step: str = "steps",
    ax: Axes | None = None,
) -> Axes:
    """Draw the norm of the gradient by lag, relative to that at lag 0, with a curve for each recurrence.

    The scale is logarithmic. Solid lines are medians over the windows, bands contain 80 % of the windows, and dotted
    lines are the same models before training. A line that falls straight is an exponential decay: the gradient
    vanishes.

    Args:
        norms: name -> (windows, lags + 1), from `gatewise.measure.gradients.gradient_by_lag`.
        untrained: the same before training, for some or all of the names; None = not drawn.
        step: unit of the lags, for the label, such as "months".
        ax: the axes to draw into; None = a new figure.

    Returns:
        The axes.

    Raises:
        InputError: there is no curve, or norms do not have the shape (windows, lags + 1).
    """
    if not norms:
        raise InputError("there is no curve to draw; give at least one name with its norms")
    ax = drawn_on(ax, height=4.0)
    ends = []
    for (name, values), colour in zip(norms.items(), itertools.cycle(CYCLE)):
        low, median, high = shares_by_lag(values)
        lags = np.arange(len(median))
        ax.fill_between(lags, low, high, color=colour, alpha=0.15, lw=0)
        if untrained is not None and name in untrained:
            ax.plot(lags, shares_by_lag(untrained[name])[1], color=colour, lw=1.1, ls=DOTTED)
        ax.plot(lags, median, color=colour, lw=1.9)
        ends.append((name, colour, len(lags) - 1, float(median[-1])))
    ax.set_yscale("log")
    ax.set_xlim(0, max(last for _, _, last, _ in ends))
    ax.set_xlabel(f"lag, {step} back")
    ax.set_ylabel("gradient norm, lag 0 = 1")
    for (name, colour, last, _), y in zip(ends, _spread([end for *_, end in ends], ax.get_ylim()), strict=True):
        label = ax.annotate(name, (last, y), xytext=(4, 0), textcoords="offset points", annotation_clip=False)
        label.set(color=colour, va="center", fontweight="bold")
    if untrained is not None:
        ax.plot([], [], color=ink(), lw=1.9, label="trained")
        ax.plot([], [], color=ink(), lw=1.1, ls=DOTTED, label="before training")
        ax.legend(frameon=False, loc="lower left")
    return ax


def shares_by_lag(norms: ArrayLike) -> Array:
    """Quantiles 0.1, 0.5 and 0.9 over the windows of the norms relative to those at lag 0.

    Args:
        norms: (windows, lags + 1).

    Returns:
        (3, lags + 1) float64.

    Raises:
        InputError: norms have another shape.
    """
    values = np.asarray(norms, np.float64)
    if values.ndim != 2 or not values.size:
        raise InputError(f"norms must be (windows, lags + 1), got the shape {values.shape}")
    return np.asarray(np.quantile(values / values[:, :1], MIDDLE, axis=0))


def _spread(values: Sequence[float], limits: tuple[float, float]) -> list[float]:
    """Positions of labels on a logarithmic axis, at the values but at least a line of text apart."""
    bottom, top = np.log10(limits[0]), np.log10(limits[1])
    gap = 0.06 * (top - bottom)
    places = np.log10(np.maximum(values, limits[0]))
    order = np.argsort(places)
    for _ in range(50):
        for lower, upper in itertools.pairwise(order):
            lack = gap - (places[upper] - places[lower])
            if lack > 0:
                places[lower] -= lack / 2
                places[upper] += lack / 2
    return [float(10.0**place) for place in places]
