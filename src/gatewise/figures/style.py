"""Shared parts of all figures: colours, sizes, labels of the time axis, and the number of points that are drawn.

The colours are those of Okabe and Ito (2008), which colour-blind readers can distinguish. Each has a name and a lighter
form for dark pages, by which `gatewise.report` replaces it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.font_manager import FontProperties

from gatewise.errors import InputError
from gatewise.layers.base import Array

LIGHT = {
    "ink": "#222222",
    "grey": "#8A8A8A",
    "blue": "#0072B2",
    "orange": "#D55E00",
    "green": "#009E73",
    "purple": "#B0578D",
    "gold": "#A87900",
}
"""Name -> colour on a light page. Figures are drawn in these colours."""

DARK = {
    "ink": "#E4E4E1",
    "grey": "#85888C",
    "blue": "#58B1EA",
    "orange": "#FF8A45",
    "green": "#2CC79B",
    "purple": "#E59AC6",
    "gold": "#E0B040",
}
"""Name -> the same colour on a dark page."""

INK, GREY, BLUE, ORANGE, GREEN, PURPLE, GOLD = LIGHT.values()
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, GOLD)
"""Colours of lines, in the order in which they are used."""

BAND = 0.3
"""Opacity of a band."""

DOTTED, DASHED = (0, (1, 1.6)), (0, (5, 3))

MOST_POINTS = 1000
"""Greatest number of points of a band or of bars, about one for each point (1/72 inch) of a wide figure."""


@dataclass(frozen=True)
class Size:
    """The size of a figure on a page.

    Attributes:
        width: width in inches; a page shows about 100 pixels an inch.
        font: size of the text in points.
        rows: number of parts, one below the other, into which a long series is split; a narrow figure has several.
    """

    width: float
    font: float
    rows: int


WIDE = Size(width=12.0, font=11.5, rows=1)
"""As wide as the page."""

BESIDE = Size(width=7.8, font=11.0, rows=1)
"""As wide as the larger of two columns."""

NARROW = Size(width=3.6, font=8.5, rows=2)
"""As wide as the text column of a phone, so that text is not scaled down."""


def style(size: Size) -> AbstractContextManager[None]:
    """A context with matplotlib's settings for figures of a page: sizes of text, and colours of text and axes.

    Args:
        size: size of the figure.
    """
    return mpl.rc_context(
        {
            "font.size": size.font,
            "axes.titlesize": size.font,
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


def drawn_on(ax: Axes | None, height: float = 3.4) -> Axes:
    """The given axes, or those of a new pyplot figure, without the spines above and on the right.

    Args:
        ax: the axes to draw into; None = a new figure.
        height: height of the new figure in inches.
    """
    if ax is None:
        _, ax = pyplot.subplots(figsize=(8.0, height), layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def ink() -> str:
    """The colour of text and of observed readings, from the current matplotlib style."""
    return str(mpl.rcParams["text.color"])


def legend_above(ax: Axes, named: Mapping[str, Artist] | None = None) -> None:
    """Draw a legend above the axes, where it hides no data, in as many lines as the width requires.

    Args:
        ax: the axes.
        named: name -> artist; None = all artists that have a label.
    """
    if named is None:
        handles, labels = ax.get_legend_handles_labels()
        named = dict(zip(labels, handles, strict=True))
    lengths = list(map(len, named))
    em = FontProperties(size=mpl.rcParams["legend.fontsize"]).get_size_in_points() / 72  # inches
    room = ax.figure.bbox.width / ax.figure.dpi / em - 5  # in em; 5 for the labels beside the axes
    columns = range(len(lengths), 1, -1)
    ax.legend(
        named.values(),
        named,
        frameon=False,
        ncols=next((n for n in columns if sum(3 + 0.6 * max(own) for own in _columns(lengths, n)) <= room), 1),
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.2,
        handlelength=1.4,
        handletextpad=0.5,
        columnspacing=1.1,
    )


def _columns(lengths: list[int], count: int) -> list[list[int]]:
    """Divide names into columns as matplotlib does: from top to bottom, where the first columns may have one more."""
    return [part.tolist() for part in np.array_split(lengths, count)]


def time_axis(ax: Axes, times: Array) -> None:
    """Limit the horizontal axis to the times and half a step on either side, and label dates in a short form.

    Args:
        ax: the axes.
        times: (T,) datetime64 or numbers, ascending.
    """
    at = numbers(times)
    if len(at) > 1:
        half = np.median(np.diff(at)) / 2
        ax.set_xlim(at[0] - half, at[-1] + half)
    if np.issubdtype(times.dtype, np.datetime64):
        locator = AutoDateLocator(minticks=3, maxticks=7)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def clock(times: Any) -> Array:
    """Times as an array: datetime64, in local time if they have a zone, or numbers; (T,).

    Raises:
        InputError: they are neither dates nor numbers.
    """
    found = times.dt if hasattr(times, "dt") else times
    if getattr(found, "tz", None) is not None:
        times = found.tz_localize(None)
    values = np.asarray(times)
    if values.dtype.kind not in "iufM":
        raise InputError(f"times must be dates or numbers, got {values.dtype}; convert text with pandas.to_datetime")
    return values


def numbers(times: Array) -> Array:
    """Times in the units of matplotlib: days for datetime64, other numbers unchanged; (T,) float64."""
    return np.asarray(date2num(times) if np.issubdtype(times.dtype, np.datetime64) else times, np.float64)


def rows_of(rows: int, **arrays: Array | None) -> None:
    """Check that arrays have a row for each time.

    Args:
        rows: number of times.
        arrays: name -> array, or None if it is not given.

    Raises:
        InputError: there are no rows, or an array has another number of them; the message names the array.
    """
    if rows == 0:
        raise InputError("there are no rows to draw; give at least one")
    for name, values in arrays.items():
        if values is not None and np.shape(values)[:1] != (rows,):
            raise InputError(f"{name} must have a row for each of the {rows:,} times, got the shape {np.shape(values)}")


def stretches(rows: int) -> Array:
    """The first row of each of at most `MOST_POINTS` intervals, for `numpy.ufunc.reduceat`; (S,) int64.

    A figure shows the lowest or the highest value in each interval, so that extremes are not lost. With up to
    `MOST_POINTS` rows, each row is an interval.
    """
    count = min(rows, MOST_POINTS)
    return np.asarray(np.arange(count, dtype=np.int64) * rows // max(1, count))
