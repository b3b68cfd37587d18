"""What all figures have in common: colours, sizes, how time is labelled, and how many points are drawn.

Colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart. Each has a name and a lighter form
for dark pages, into which `gatewise.report` changes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

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
"""Name -> colour on a light page, in which all is drawn."""

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
"""Colours of lines that stand for one name each, in their order."""

BAND = 0.3
"""Opacity of a band."""

DOTTED, DASHED = (0, (1, 1.6)), (0, (5, 3))

MOST_POINTS = 1000
"""Points of one band or of bars, about one for each point (1/72 inch) of a wide figure; more only make files large."""


@dataclass(frozen=True)
class Size:
    """How large a figure of a page is.

    Attributes:
        width: inches; a page shows about 100 pixels an inch.
        font: size of the text in points.
        rows: in how many stretches, one above the other, a long series is cut; more than one in a narrow figure.
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


def style(size: Size) -> AbstractContextManager[None]:
    """The settings of matplotlib for figures of a page, in a `with` block: sizes of the text, colours of text and axes.

    Args:
        size: of the figure.
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
    """The axes given, or those of a new figure of pyplot, without the spines above and on the right.

    Args:
        ax: what a figure was asked to draw into; None = a new figure.
        height: of the new figure in inches.
    """
    if ax is None:
        _, ax = pyplot.subplots(figsize=(8.0, height), layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def ink() -> str:
    """The colour of text, and of what was observed: that of the matplotlib style in use."""
    return str(mpl.rcParams["text.color"])


def legend_above(ax: Axes, named: Mapping[str, Artist] | None = None) -> None:
    """Name what is drawn, above the axes, where it hides nothing: in one line, or in as many as the width asks for.

    Args:
        ax: the axes.
        named: name -> what it stands for; None = all that has a label.
    """
    if named is None:
        handles, labels = ax.get_legend_handles_labels()
        named = dict(zip(labels, handles, strict=True))
    lengths = list(map(len, named))
    em = FontProperties(size=mpl.rcParams["legend.fontsize"]).get_size_in_points() / 72  # inches
    room = ax.figure.bbox.width / ax.figure.dpi / em - 5  # in em; 5 for what stands beside the axes
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
    """Names in columns as matplotlib fills them: from top to bottom, the first ones with one more."""
    return [part.tolist() for part in np.array_split(lengths, count)]


def time_axis(ax: Axes, times: Array) -> None:
    """Limit the horizontal axis to the times, half a step more on either side; label dates in short.

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


def numbers(times: Array) -> Array:
    """Times as matplotlib places them: days for datetime64, other numbers as they are; (T,) float64."""
    return np.asarray(date2num(times) if np.issubdtype(times.dtype, np.datetime64) else times, np.float64)


def rows_of(rows: int, **arrays: Array | None) -> None:
    """Check that arrays have as many rows as there are times.

    Args:
        rows: how many.
        arrays: by name; None = not given.

    Raises:
        InputError: no rows, or another number of them; the message names the array.
    """
    if rows == 0:
        raise InputError("there are no rows to draw; give at least one")
    for name, values in arrays.items():
        if values is not None and np.shape(values)[:1] != (rows,):
            raise InputError(f"{name} must have a row for each of the {rows:,} times, got the shape {np.shape(values)}")


def stretches(rows: int) -> Array:
    """The first row of each of at most `MOST_POINTS` stretches, as `numpy.ufunc.reduceat` takes them; (S,) int64.

    A figure shows of each stretch the lowest or the highest value, so that nothing which stands out is lost. Up to
    `MOST_POINTS` rows each is a stretch of its own.
    """
    count = min(rows, MOST_POINTS)
    return np.asarray(np.arange(count, dtype=np.int64) * rows // max(1, count))
