"""Draw the results of a detector: the forecast band with the readings, and the scores with the alarm threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from gatewise.errors import InputError
from gatewise.figures.frames import times_of
from gatewise.figures.style import (
    BAND,
    BLUE,
    DASHED,
    GREY,
    ORANGE,
    clock,
    drawn_on,
    ink,
    legend_above,
    rows_of,
    stretches,
    time_axis,
)
from gatewise.layers.base import Array

MOST_TARGETS = 6
"""Greatest number of targets in one figure."""


def forecast_band(
    times: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    *,
    observed: ArrayLike | None = None,
    alarms: ArrayLike | None = None,
    unit: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw the band in which each reading was expected one step before, the readings, and the alarms.

    More than 1,000 rows are divided into 1,000 intervals. The band is drawn from the lowest to the highest value in
    each interval.

    Args:
        times: (T,) datetime64 or numbers, ascending.
        low: (T,) lower edge of the band, in the units of the data.
        high: (T,) upper edge of the band.
        observed: (T,) readings; NaN leaves a gap. None = not drawn.
        alarms: bool (T,), the rows to mark, at their reading or, if it is missing, at the upper edge. None = none.
        unit: unit of the readings, for the label.
        legend: whether to draw a legend above the axes.
        ax: the axes to draw into; None = a new figure.

    Returns:
        The axes.

    Raises:
        InputError: the arrays have different lengths or no rows.
    """
    x, below, above = clock(times), np.asarray(low, np.float64), np.asarray(high, np.float64)
    seen = None if observed is None else np.asarray(observed, np.float64)
    marked = None if alarms is None else np.asarray(alarms, bool)
    rows_of(len(x), low=below, high=above, observed=seen, alarms=marked)
    ax = drawn_on(ax)
    starts = stretches(len(x))
    least, most = np.fmin.reduceat(below, starts), np.fmax.reduceat(above, starts)
    if seen is not None:
        ax.plot(x, seen, color=ink(), lw=0.9, zorder=2, label="observed")
    ax.fill_between(x[starts], least, most, color=BLUE, alpha=BAND, lw=0, zorder=1, label="forecast band")
    if marked is not None:
        rows = _one_each(marked, starts)
        heights = above if seen is None else np.where(np.isfinite(seen), seen, above)
        ax.plot(x[rows], heights[rows], "o", color=ORANGE, ms=4.5, zorder=3, label="alarm")
    ax.set_ylabel(unit)
    time_axis(ax, x)
    if legend:
        legend_above(ax)
    return ax


def alarm_scores(
    times: ArrayLike,
    scores: ArrayLike,
    threshold: float,
    *,
    alarms: ArrayLike | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the score of each reading as a bar and the threshold as a dashed line; alarms have another colour.

    More than 1,000 rows are divided into 1,000 intervals, and the highest score in each is drawn.

    Args:
        times: (T,) datetime64 or numbers, ascending.
        scores: (T,) -log10 of the probability of a residual at least this large: 2 is one in 100, 3 one in 1,000.
        threshold: the score from which a reading is an alarm.
        alarms: bool (T,); None = the rows whose score is at least the threshold.
        ax: the axes to draw into; None = a new figure.

    Returns:
        The axes.

    Raises:
        InputError: the arrays have different lengths or no rows.
    """
    x, heights = clock(times), np.asarray(scores, np.float64)
    marked = heights >= threshold if alarms is None else np.asarray(alarms, bool)
    rows_of(len(x), scores=heights, alarms=marked)
    ax = drawn_on(ax, height=2.2)
    starts = stretches(len(x))
    at, heights = x[starts], np.fmax.reduceat(heights, starts)
    strong = np.logical_or.reduceat(marked, starts)
    ax.axhline(threshold, color=ORANGE, lw=0.9, ls=DASHED, zorder=1)
    _bars(ax, at[~strong], heights[~strong], GREY, 1.0)
    _bars(ax, at[strong], heights[strong], ORANGE, 1.8)
    ax.set_ylabel("score")
    ax.set_ylim(0, 1.15 * max(float(np.nanmax(heights, initial=0.0)), threshold, 1e-6))
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    time_axis(ax, x)
    return ax


def detection(
    found: pd.DataFrame,
    threshold: float,
    *,
    targets: Sequence[str] | None = None,
    time: str | None = None,
    axes: Sequence[Axes] | None = None,
) -> list[Axes]:
    """Draw the results for one series: the band, readings and alarms of each target, and the scores below them.

    Args:
        found: a frame from `Detector.explain`, or its rows for one series.
        threshold: the score from which a row is an alarm, `Detector.threshold_`.
        targets: names of the targets to draw; None = all. If there is one target, its name is used for the label.
        time: name of the column of times; None = "time" if there is one, else dates in the index, else row numbers.
        axes: the axes to draw into, one for each target and one for the scores; None = a new figure.

    Returns:
        The axes, with those of the scores last.

    Raises:
        InputError: the frame is not from `explain`, does not have a target, has more targets than fit into a figure, or
            the number of axes is wrong.
    """
    if not isinstance(found, pd.DataFrame) or not {"score", "alarm"} <= set(found.columns):
        raise InputError("detection needs the frame that explain gives; pass detector.explain(data)")
    several = [str(name).removesuffix(":observed") for name in found.columns if str(name).endswith(":observed")]
    names = list(targets if targets is not None else several) or [""]
    if several and (unknown := [name for name in names if name not in several]):
        raise InputError(f"the frame has no target {unknown[0]!r}; it has {several}")
    if not several and len(names) > 1:
        raise InputError(f"the frame has one target, got {len(names)} targets to draw")
    if len(names) > MOST_TARGETS:
        raise InputError(f"a figure holds {MOST_TARGETS} targets, got {len(names)}; name some of them with targets=")
    x, alarm = times_of(found, time), found["alarm"].to_numpy(bool)
    panels = _panels(len(names)) if axes is None else list(axes)
    if len(panels) != len(names) + 1:
        raise InputError(
            f"axes must be {len(names) + 1}, one for each target and one for the scores, got {len(panels)}"
        )
    for name, ax in zip(names, panels[:-1], strict=True):
        own = f"{name}:" if several else ""
        low, high, observed = (found[f"{own}{what}"].to_numpy(float) for what in ("low", "high", "observed"))
        forecast_band(x, low, high, observed=observed, alarms=alarm, unit=name, legend=ax is panels[0], ax=ax)
        ax.tick_params(labelbottom=False)
        ax.xaxis.get_offset_text().set_visible(False)
    alarm_scores(x, found["score"].to_numpy(float), threshold, alarms=alarm, ax=panels[-1])
    return panels


def _panels(targets: int) -> list[Axes]:
    """The axes of a new figure, one for each target and a lower one for the scores, with a common time axis."""
    heights = [2.4] * targets + [1.3]
    size = (8.0, sum(heights) + 0.5)
    _, axes = pyplot.subplots(targets + 1, sharex=True, height_ratios=heights, figsize=size, layout="constrained")
    return list(axes)


def _bars(ax: Axes, at: Array, heights: Array, colour: str, width: float) -> None:
    """Draw vertical bars from 0 as one line with gaps, because a path for each bar would make a page very large."""
    ends = np.stack([np.zeros(len(heights)), heights, np.full(len(heights), np.nan)], axis=1)  # (bars, 3)
    ax.plot(
        np.repeat(at, 3), ends.ravel(), color=colour, lw=width, solid_capstyle="butt", zorder=2 + (colour == ORANGE)
    )


def _one_each(marked: Array, starts: Array) -> Array:
    """The first marked row of each interval."""
    rows = np.flatnonzero(marked)
    _, first = np.unique(np.searchsorted(starts, rows, side="right"), return_index=True)
    return np.asarray(rows[first])
