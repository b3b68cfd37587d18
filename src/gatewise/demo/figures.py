"""The figures of the demo, drawn with matplotlib: each as SVG text, in a wide rendering and in a narrow one for phones.

Colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart. In the SVG each of them is a CSS
variable, so that the page decides on them: a dark page has lighter ones.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import matplotlib as mpl
import matplotlib.dates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import YearLocator
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import MaxNLocator

from gatewise.demo.findings import Episode, Findings, LagCurve

BLUE, ORANGE, GREEN, SKY, GREY, INK = "#0072B2", "#D55E00", "#009E73", "#9CCBEA", "#8A8A8A", "#222222"
CURVE_COLOURS = {"RNN": ORANGE, "LSTM": GREEN, "GRU": BLUE}
VARIABLES = {BLUE: "blue", ORANGE: "orange", GREEN: "green", SKY: "sky", GREY: "grey", INK: "ink"}
"""Names of the colours in SVG: `var(--blue)`, and so on."""

DEGREES = "°C"


@dataclass(frozen=True)
class Size:
    """A rendering.

    Attributes:
        width: in inches, at 100 pixels an inch.
        font: size of the text in points.
        rows: in how many stretches of time, one above the other, a long series is cut; more than one where the
            rendering is narrow.
    """

    width: float
    font: float
    rows: int


WIDE = Size(width=12.0, font=11.5, rows=1)
"""As wide as the page."""

BESIDE = Size(width=7.8, font=11.0, rows=1)
"""As wide as the larger of two columns."""

NARROW = Size(width=3.6, font=8.5, rows=2)
"""As wide as the text column of a phone, so that letters keep their size on it."""

README_WIDE = Size(width=11.6, font=12.5, rows=1)
README_NARROW = Size(width=3.9, font=9.5, rows=2)


def series_figure(findings: Findings, size: Size) -> Figure:
    """Readings with forecast band, and scores under them; alarms are marked in both."""
    with _style(size):
        heights = [2.6, 1.4] * size.rows
        scale = 1.0 if size.rows == 1 else 0.62
        figure = Figure(figsize=(size.width, sum(heights) * scale), layout="constrained")
        axes = figure.subplots(2 * size.rows, 1, height_ratios=heights)
        for row, part in enumerate(_parts(findings, size.rows)):
            draw_series(axes[2 * row], axes[2 * row + 1], findings, part)
        _series_key(axes[0])
        _lift_labels(figure, axes)
        return figure


def draw_series(above: Axes, below: Axes, findings: Findings, part: slice) -> None:
    """One stretch of time: readings and band into one axes, scores into the other."""
    dates, alarms = findings.dates[part], findings.alarms[part]
    readings, scores = findings.readings[part], findings.scores[part]
    above.fill_between(dates, findings.low[part], findings.high[part], color=SKY, alpha=0.75, lw=0, zorder=1)
    above.plot(dates, readings, color=INK, lw=0.9, zorder=2)
    above.plot(dates[alarms], readings[alarms], "o", color=ORANGE, ms=4.5, zorder=3)
    above.set_ylabel(DEGREES)
    lowest, highest = float(findings.low.min()), float(findings.high.max())
    above.set_ylim(min(lowest, findings.readings.min()) - 0.2, max(highest, findings.readings.max()) + 0.2)

    below.axhline(findings.alarm_score, color=ORANGE, lw=0.9, ls=(0, (5, 3)), zorder=1)
    below.vlines(dates, 0, scores, color=GREY, lw=1.0, zorder=2)
    below.vlines(dates[alarms], 0, scores[alarms], color=ORANGE, lw=1.8, zorder=3)
    below.set_ylabel("score")
    below.set_ylim(0, 1.45 * max(float(findings.scores.max()), findings.alarm_score))
    below.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    half_month = np.timedelta64(15, "D")
    for axes in (above, below):
        axes.set_xlim(dates[0] - half_month, dates[-1] + half_month)
        _years(axes)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    above.tick_params(labelbottom=False)
    for episode in findings.episodes:
        if episode.alarms and part.start <= episode.peak < part.stop:
            _name_episode(below, findings, episode, part)


def state_figure(findings: Findings, size: Size) -> Figure:
    """The hidden state as a heat map: months to the right, one row a unit, slow units above."""
    units = findings.hidden.shape[1]
    with _style(size):
        figure = Figure(figsize=(size.width, 4.2 if size.rows == 1 else 4.7), layout="constrained")
        axes = np.atleast_1d(figure.subplots(size.rows, 1))
        order = findings.slowest_first
        image = None
        for axis, part in zip(axes, _parts(findings, size.rows), strict=True):
            months = mpl.dates.date2num(findings.dates[part])
            image = axis.imshow(
                findings.hidden[part][:, order].T,
                aspect="auto",
                cmap="PuOr",
                vmin=-1,
                vmax=1,
                interpolation="nearest",
                extent=(months[0] - 15, months[-1] + 15, units, 0),
            )
            alarmed = months[findings.alarms[part]]
            axis.plot(alarmed, np.full(len(alarmed), -0.02 * units), "v", color=ORANGE, ms=4, clip_on=False)
            axis.set_ylim(units, 0)
            axis.xaxis_date()
            _years(axis)
            axis.set_yticks([])
            axis.set_ylabel("fast    units    slow")
            for side in ("top", "right", "left"):
                axis.spines[side].set_visible(False)
        assert image is not None
        wide = size.rows == 1
        bar = figure.colorbar(
            image,
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


def gradient_figure(curves: Sequence[LagCurve], size: Size) -> Figure:
    """Gradient norm by lag on a logarithmic scale, after training and before."""
    with _style(size):
        figure = Figure(figsize=(size.width, 4.3 if size.rows == 1 else 3.6), layout="constrained")
        draw_gradients(figure.subplots(), curves)
        return figure


def draw_gradients(axes: Axes, curves: Sequence[LagCurve], named: bool = True) -> None:
    """The curves into one axes, each named at its end."""
    for curve in curves:
        colour = CURVE_COLOURS[curve.name]
        lags = np.arange(len(curve.median))
        axes.fill_between(lags, curve.low, curve.high, color=colour, alpha=0.15, lw=0)
        axes.plot(lags, curve.untrained, color=colour, lw=1.1, ls=(0, (1, 1.6)))
        axes.plot(lags, curve.median, color=colour, lw=1.9)
    last = len(curves[0].median) - 1
    axes.set_yscale("log")
    axes.set_xlim(0, last)
    axes.set_xticks(range(0, last + 1, 12))
    axes.set_xlabel("lag k, months back")
    axes.set_ylabel("gradient norm, lag 0 = 1")
    for curve, y in zip(curves, _spread([curve.median[-1] for curve in curves], axes.get_ylim()), strict=True):
        label = axes.annotate(
            curve.name, (1, y), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points"
        )
        label.set(color=CURVE_COLOURS[curve.name], va="center", fontweight="bold")
    if named:
        axes.plot([], [], color=INK, lw=1.9, label="trained")
        axes.plot([], [], color=INK, lw=1.1, ls=(0, (1, 1.6)), label="before training")
        axes.legend(frameon=False, loc="lower left")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def readme_figure(findings: Findings, curves: Sequence[LagCurve], size: Size) -> Figure:
    """The picture of the README: the series with band and scores, and the gradient by lag beside them, or below."""
    with _style(size):
        if size.rows == 1:
            figure = Figure(figsize=(size.width, 4.7), layout="constrained")
            first, second = np.asarray(figure.subfigures(1, 2, width_ratios=[2.25, 1]))
        else:
            figure = Figure(figsize=(size.width, 5.6), layout="constrained")
            first, second = np.asarray(figure.subfigures(2, 1, height_ratios=[1.15, 1]))
        above, below = first.subplots(2, 1, height_ratios=[2.6, 1.4])
        draw_series(above, below, findings, slice(0, len(findings.dates)))
        _series_key(above)
        draw_gradients(second.subplots(), curves)
        _lift_labels(figure, [below])
        return figure


def svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element to stand in a page, the same for the same data: no date, no random names.

    Letters are drawn as paths, the background is that of the page, and colours are CSS variables of it (`VARIABLES`).

    Args:
        figure: what is drawn.
        name: begins each id in it, as ids are those of the whole page.
    """
    data = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "gatewise", "svg.fonttype": "path"}):
        figure.savefig(data, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = data.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"\b([1-9]\d*\.\d\d)\d+", r"\1", text)  # a hundredth of a point will do
    for colour, variable in VARIABLES.items():
        text = re.sub(colour, f"var(--{variable})", text, flags=re.IGNORECASE)
    return text


def png(figure: Figure, dpi: float) -> bytes:
    """The figure as PNG, the same for the same data."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=dpi, metadata={"Software": None})
    return data.getvalue()


def _style(size: Size) -> AbstractContextManager[None]:
    return mpl.rc_context(
        {
            "font.size": size.font,
            "axes.labelsize": size.font,
            "xtick.labelsize": size.font,
            "ytick.labelsize": size.font,
            "legend.fontsize": size.font,
            "text.color": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.edgecolor": GREY,
            "figure.facecolor": "white",
        }
    )


def _parts(findings: Findings, rows: int) -> list[slice]:
    """The months in `rows` stretches of about the same number of years."""
    edges = (np.linspace(0, len(findings.dates) / 12, rows + 1).round() * 12).astype(int)
    edges[-1] = len(findings.dates)
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]


def _years(axes: Axes) -> None:
    axes.xaxis.set_major_locator(YearLocator(5))
    axes.xaxis.set_minor_locator(YearLocator(1))


def _series_key(axes: Axes) -> None:
    axes.plot([], [], color=INK, lw=1.2, label="measured")
    axes.fill_between([], [], [], color=SKY, lw=0, label="forecast band")
    axes.plot([], [], "o", color=ORANGE, ms=4.5, label="alarm")
    axes.legend(
        frameon=False,
        ncols=3,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.2,
        handlelength=1.4,
        columnspacing=1.2,
    )


def _name_episode(axes: Axes, findings: Findings, episode: Episode, part: slice) -> None:
    """The month of the peak over its bar; kept inside the axes at either end."""
    place = (episode.peak - part.start) / (part.stop - part.start)
    axes.annotate(
        str(findings.dates[episode.peak].astype("datetime64[M]")),
        (findings.dates[episode.peak], findings.scores[episode.peak]),
        xytext=(0, 2),
        textcoords="offset points",
        ha="left" if place < 0.06 else "right" if place > 0.94 else "center",
        va="bottom",
    )


def _lift_labels(figure: Figure, many: Sequence[Axes]) -> None:
    """Raise labels of months, those of low bars first, until none lies on another."""
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


def _spread(values: Sequence[float], limits: tuple[float, float]) -> list[float]:
    """Places for labels on a logarithmic axis: at the values, moved until none are closer than a line of text."""
    gap = 0.055 * (np.log10(limits[1]) - np.log10(limits[0]))
    places = np.log10(np.asarray(values))
    order = np.argsort(places)
    for _ in range(50):
        for lower, upper in itertools.pairwise(order):
            lack = gap - (places[upper] - places[lower])
            if lack > 0:
                places[lower] -= lack / 2
                places[upper] += lack / 2
    return [float(10.0**p) for p in places]
