"""The figures of the demo: streamed months, hidden state, gradient and error by lag, and the picture of the README."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import YearLocator
from matplotlib.figure import Figure, SubFigure
from matplotlib.text import Annotation

from gatewise.demo.findings import Findings
from gatewise.demo.recall import LOOKBACK
from gatewise.demo.vanishing import Memory, lag_bins
from gatewise.figures import (
    Size,
    alarm_scores,
    forecast_band,
    gradient_norms,
    hidden_state,
    slowest_first,
    style,
)
from gatewise.figures.style import CYCLE, DOTTED, ink

README_WIDE = Size(width=11.6, font=12.5, rows=1)
README_NARROW = Size(width=3.9, font=9.5, rows=2)

DEGREES = "°C"
HEIGHTS = (2.6, 1.4)
"""The ratio of the heights of the readings and of the scores below them."""


def series_figure(findings: Findings, size: Size) -> Figure:
    """Draw readings with their forecast band, and the scores below; alarms are marked in both."""
    scale = 1.0 if size.rows == 1 else 0.62
    figure = Figure(figsize=(size.width, size.rows * scale * sum(HEIGHTS)), layout="constrained")
    axes = figure.subplots(2 * size.rows, 1, height_ratios=HEIGHTS * size.rows)
    for row, part in enumerate(_parts(findings, size.rows)):
        draw_series(axes[2 * row], axes[2 * row + 1], findings, part)
    _lift_labels(figure, axes)
    return figure


def draw_series(above: Axes, below: Axes, findings: Findings, part: slice) -> None:
    """Draw one period of time: readings and band into `above`, scores into `below`."""
    dates, alarms = findings.dates[part], findings.alarms[part]
    forecast_band(
        dates,
        findings.low[part],
        findings.high[part],
        observed=findings.readings[part],
        alarms=alarms,
        unit=DEGREES,
        legend=part.start == 0,
        ax=above,
    )
    lowest = min(findings.low.min(), findings.readings.min())
    highest = max(findings.high.max(), findings.readings.max())
    above.set_ylim(lowest - 0.2, highest + 0.2)
    above.tick_params(labelbottom=False)
    alarm_scores(dates, findings.scores[part], findings.alarm_score, ax=below)
    below.set_ylim(0, 1.45 * max(float(findings.scores.max()), findings.alarm_score))
    _years(above, below)
    for episode in findings.episodes:
        if episode.alarms and part.start <= episode.peak < part.stop:
            _name_episode(below, findings, episode.peak, part)


def state_figure(findings: Findings, size: Size) -> Figure:
    """Draw the hidden state as a heat map with a row for each unit, slow units at the top."""
    figure = Figure(figsize=(size.width, 4.2 if size.rows == 1 else 4.7), layout="constrained")
    axes = np.atleast_1d(figure.subplots(size.rows, 1))
    order = slowest_first(findings.hidden)
    for ax, part in zip(axes, _parts(findings, size.rows), strict=True):
        hidden_state(
            findings.dates[part],
            findings.hidden[part],
            alarms=findings.alarms[part],
            order=order,
            colour_bar=False,
            ax=ax,
        )
        ax.set_yticks([0.5, len(order) - 0.5], ["slow", "fast"])
        _years(ax)
    wide = size.rows == 1
    bar = figure.colorbar(
        axes[-1].images[0],
        ax=list(axes),
        location="right" if wide else "bottom",
        ticks=[-1, 0, 1],
        fraction=0.04 if wide else 0.05,
        pad=0.01 if wide else 0.04,
        aspect=22 if wide else 30,
    )
    bar.outline.set_visible(False)
    bar.set_label("hidden state (from -1 to 1)")
    return figure


def memory_figure(memories: Sequence[Memory], size: Size) -> Figure:
    """Draw the gradient by lag, after training and before, and the error by lag below it."""
    figure = Figure(figsize=(size.width, 5.6 if size.rows == 1 else 5.2), layout="constrained")
    draw_memory(figure, memories)
    return figure


def draw_memory(figure: Figure | SubFigure, memories: Sequence[Memory]) -> None:
    """Draw the gradient of the marked week by its lag, and the error by lag below it."""
    above, below = figure.subplots(2, 1, height_ratios=(1.7, 1), sharex=True)
    trained, untrained = ({each.name: getattr(each, when) for each in memories} for when in ("gradients", "untrained"))
    gradient_norms(trained, untrained, step="weeks", ax=above)
    above.set_xlabel("")
    above.set_title("gradient from the marked week", loc="left")
    draw_errors(below, memories)
    below.set_title("error, by where the mark is", loc="left")
    below.set_xlim(0, LOOKBACK - 1)


def draw_errors(ax: Axes, memories: Sequence[Memory]) -> None:
    """Draw the error by lag, as a share of that of an answer which knows only the last week; bands hold all seeds."""
    lags = lag_bins()
    ax.spines[["top", "right"]].set_visible(False)
    ax.axhline(1, color=ink(), lw=1, ls=DOTTED)
    for each, colour in zip(memories, itertools.cycle(CYCLE)):
        ax.fill_between(lags, each.by_lag.min(axis=0), each.by_lag.max(axis=0), color=colour, alpha=0.15, lw=0)
        ax.plot(lags, np.median(each.by_lag, axis=0), color=colour, lw=1.9)
    ax.set_ylim(0, 1.1 * max(1.0, *(float(each.by_lag.max()) for each in memories)))
    ax.set_yticks([0, 1])
    ax.set_xlabel("lag, weeks back")
    ax.set_ylabel("forgotten = 1")


def readme_figure(findings: Findings, memories: Sequence[Memory], size: Size) -> Figure:
    """Draw the picture of the README: the series with band and scores, and beside or below them what is remembered."""
    with style(size):
        if size.rows == 1:
            figure = Figure(figsize=(size.width, 4.7), layout="constrained")
            first, second = np.asarray(figure.subfigures(1, 2, width_ratios=[2.1, 1]))
        else:
            figure = Figure(figsize=(size.width, 7.4), layout="constrained")
            first, second = np.asarray(figure.subfigures(2, 1, height_ratios=[1, 1.25]))
        above, below = first.subplots(2, 1, height_ratios=HEIGHTS)
        draw_series(above, below, findings, slice(0, len(findings.dates)))
        draw_memory(second, memories)
        _lift_labels(figure, [below])
        return figure


def _parts(findings: Findings, rows: int) -> list[slice]:
    """Split the months into `rows` periods of about the same number of years."""
    edges = (np.linspace(0, len(findings.dates) / 12, rows + 1).round() * 12).astype(int)
    edges[-1] = len(findings.dates)
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]


def _years(*axes: Axes) -> None:
    for ax in axes:
        ax.xaxis.set_major_locator(YearLocator(5))
        ax.xaxis.set_minor_locator(YearLocator(1))


def _name_episode(ax: Axes, findings: Findings, peak: int, part: slice) -> None:
    """Write the month of the peak above its bar, within the axes."""
    place = (peak - part.start) / (part.stop - part.start)
    ax.annotate(
        str(findings.dates[peak].astype("datetime64[M]")),
        (findings.dates[peak], findings.scores[peak]),
        xytext=(0, 2),
        textcoords="offset points",
        ha="left" if place < 0.06 else "right" if place > 0.94 else "center",
        va="bottom",
    )


def _lift_labels(figure: Figure, many: Sequence[Axes]) -> None:
    """Raise the labels of months, those of low bars first, until no two of them overlap."""
    figure.draw_without_rendering()
    for axes in many:
        labels = [text for text in axes.texts if isinstance(text, Annotation)]
        labels.sort(key=lambda text: float(text.xy[1]))
        placed: list[Annotation] = []
        for label in labels:
            while any(label.get_window_extent().overlaps(other.get_window_extent()) for other in placed):
                x, y = label.xyann
                label.xyann = (x, y + 2)
            placed.append(label)
