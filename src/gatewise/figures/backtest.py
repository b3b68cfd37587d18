"""Draw the error of forecasts by horizon: a model compared with simple forecasts."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gatewise.errors import InputError
from gatewise.figures.style import BLUE, DASHED, DOTTED, GREY, drawn_on, legend_above

_MODEL: dict[str, Any] = {"color": BLUE, "lw": 1.9, "marker": "o", "ms": 4.5, "zorder": 3}
_NAIVE: tuple[dict[str, Any], ...] = tuple(
    {"color": GREY, "lw": 1.3, "ms": 3.5, "marker": marker, "ls": dashes}
    for marker, dashes in (("s", DASHED), ("D", DOTTED), ("^", (0, (5, 2, 1, 2))), ("v", (0, (1, 3))))
)
"""Style of the line of the model, and styles of those of the simple forecasts."""


def error_by_horizon(errors: pd.DataFrame, *, label: str = "error", ax: Axes | None = None) -> Axes:
    """Draw the error of each forecast by horizon: the model in colour, the others in grey.

    Args:
        errors: a frame as `Backtest.compare` returns it, with a row for each horizon, whose index is the number of
            steps ahead, and a column for each forecast, that of the model first. NaN leaves a gap.
        label: name and unit of the errors, such as "mean absolute error, °C".
        ax: the axes to draw into; None = a new figure.

    Returns:
        The axes.

    Raises:
        InputError: the frame has no forecast, or no horizon.
    """
    if not errors.size:
        raise InputError(f"there is no error to draw in a frame of the shape {errors.shape}; give at least one")
    ax = drawn_on(ax)
    horizons = errors.index.to_numpy()
    for name, style in zip(errors.columns, itertools.chain([_MODEL], itertools.cycle(_NAIVE)), strict=False):
        ax.plot(horizons, errors[name].to_numpy(float), label=str(name).replace("_", " "), **style)
    ax.set_ylim(0, 1.08 * max(float(np.nanmax(errors.to_numpy(float), initial=0.0)), 1e-12))
    ax.set_xlabel("horizon, steps ahead")
    ax.set_ylabel(label)
    if len(horizons) <= 8:
        ax.set_xticks(horizons)
    legend_above(ax)
    return ax
