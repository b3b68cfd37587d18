"""What axes show, taken out of the artists of matplotlib."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D

from gatewise.layers.base import Array


def line(ax: Axes, label: str) -> Line2D:
    """The one line with a label."""
    (found,) = [each for each in ax.lines if each.get_label() == label]
    return found


def bands(ax: Axes) -> list[PolyCollection]:
    """All filled bands, in the order in which they were drawn."""
    return [each for each in ax.collections if isinstance(each, PolyCollection)]


def edges(band: PolyCollection) -> tuple[Array, Array, Array]:
    """Where a band stands, and its lowest and highest vertex there: (T,) each."""
    x, y = band.get_paths()[0].vertices.T
    at = np.unique(x)
    return at, np.array([y[x == t].min() for t in at]), np.array([y[x == t].max() for t in at])


def bars(drawn: Line2D) -> dict[float, float]:
    """Where -> how high, of bars drawn as one line with gaps: from 0 up, then a gap."""
    x = np.asarray(drawn.get_xdata(orig=False), float).reshape(-1, 3)
    y = np.asarray(drawn.get_ydata(orig=False), float).reshape(-1, 3)
    assert (x == x[:, :1]).all()
    assert (y[:, 0] == 0).all()
    assert np.isnan(y[:, 2]).all()
    return dict(zip(x[:, 0].tolist(), y[:, 1].tolist(), strict=True))


def legend(ax: Axes) -> list[str]:
    """The names in the legend."""
    found = ax.get_legend()
    assert found is not None
    return [text.get_text() for text in found.get_texts()]
