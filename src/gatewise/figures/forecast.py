"""Draw forecasts: readings so far, and the quantiles of the next readings as a fan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from gatewise.errors import InputError
from gatewise.figures.frames import times_of
from gatewise.figures.style import BLUE, clock, drawn_on, ink, legend_above, rows_of, time_axis
from gatewise.layers.base import Array


def forecast_fan(
    times: ArrayLike,
    quantiles: ArrayLike,
    levels: Sequence[float],
    *,
    past_times: ArrayLike | None = None,
    past: ArrayLike | None = None,
    came_times: ArrayLike | None = None,
    came: ArrayLike | None = None,
    unit: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw quantiles of forecast readings as bands, which begin at the last reading.

    Args:
        times: (H,) times of the forecasts, datetime64 or numbers, ascending.
        quantiles: (H, Q) in the units of the data.
        levels: probabilities of the Q quantiles, ascending. The first and the last are the edges of the outermost band,
            and so on; with an odd number of quantiles the middle one is drawn as a line.
        past_times: (P,) times of the readings so far.
        past: (P,) readings so far, which end before the forecasts; NaN leaves a gap.
        came_times: (C,) times of the readings observed afterwards.
        came: (C,) readings observed afterwards.
        unit: unit of the readings, for the label.
        legend: whether to draw a legend above the axes.
        ax: the axes to draw into; None = a new figure.

    Returns:
        The axes.

    Raises:
        InputError: the arrays have different lengths or no rows.
    """
    at, values = clock(times), np.asarray(quantiles, np.float64)
    rows_of(len(at), quantiles=values)
    if values.shape != (len(at), len(levels)):
        raise InputError(f"quantiles must be (horizons, levels) = {(len(at), len(levels))}, got {values.shape}")
    ax = drawn_on(ax)
    drawn = [at]
    known = []
    for what, whens, readings, ls in (("past", past_times, past, "-"), ("came", came_times, came, (0, (2, 1)))):
        if readings is None:
            continue
        when, seen = clock(at[:0] if whens is None else whens), np.asarray(readings, np.float64)
        rows_of(len(when), **{what: seen})
        ax.plot(when, seen, color=ink(), lw=0.9, ls=ls, zorder=2, label="observed" if what == "past" else "came later")
        known.append((what, when, seen))
        drawn.append(when)
    fan_at, fan = _opened(at, values, next(((when, seen) for what, when, seen in known if what == "past"), None))
    bands = len(levels) // 2
    shares = [f"{round(100 * (levels[-1 - i] - levels[i]), 6):g}" for i in range(bands)]
    label = f"{' and '.join(shares[::-1])} % band{'s' * (bands > 1)}"
    for i in range(bands):
        ax.fill_between(fan_at, fan[:, i], fan[:, -1 - i], color=BLUE, alpha=0.45 / bands, lw=0, zorder=1, label=label)
        label = "_nolegend_"
    if len(levels) % 2:
        middle = "median" if levels[bands] == 0.5 else f"quantile {levels[bands]:g}"
        ax.plot(fan_at, fan[:, bands], color=BLUE, lw=1.4, zorder=3)
        ax.plot(at, values[:, bands], "o-", color=BLUE, lw=1.4, ms=3.5, zorder=3, label=middle)
    ax.set_ylabel(unit)
    time_axis(ax, np.sort(np.concatenate(drawn)))
    if legend:
        legend_above(ax)
    return ax


def forecast(
    ahead: pd.DataFrame,
    past: pd.DataFrame | None = None,
    *,
    came: pd.DataFrame | None = None,
    target: str | None = None,
    time: str | None = None,
    unit: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the forecast of one column of one series, together with the readings before it.

    Args:
        ahead: a frame from `Forecaster.predict`, or its rows for one series.
        past: readings so far, with the target among the columns; the last ones are enough. None = not drawn.
        came: readings observed after the forecast, in the same form; None = not drawn.
        target: name of the target; None = the only one.
        time: name of the column of times in all frames; None = "time" if there is one, else dates in the index. Without
            times, rows are numbered such that horizon 1 and the first row of `came` follow the last row of `past`.
        unit: the unit for the label; None = the name of the target.
        ax: the axes to draw into; None = a new figure.

    Returns:
        The axes.

    Raises:
        InputError: the frame is not from `predict`, has several targets and none is named, or has several series.
    """
    if not isinstance(ahead, pd.DataFrame) or not {"horizon", "target"} <= set(ahead.columns):
        raise InputError("forecast needs the frame that predict gives; pass forecaster.predict(data)")
    names = list(ahead["target"].unique())
    if target is None and len(names) == 1:
        target = names[0]
    if target not in names:
        raise InputError(f"one target is drawn; say which of {names} with target=, got {target!r}")
    own = ahead[ahead["target"] == target]
    if own["horizon"].duplicated().any():
        raise InputError("one series is drawn, and the frame holds several; pass the rows of one of them")
    levels = [name for name in own.columns if _is_level(name)]
    horizons = own["horizon"].to_numpy()
    rows = 0 if past is None else len(past)
    times, later = times_of(own, time), None if came is None else times_of(came, time)
    if not np.issubdtype(times.dtype, np.datetime64) and time is None and "time" not in own:
        times, later = rows - 1 + horizons, None if came is None else rows + np.arange(len(came))
    return forecast_fan(
        times,
        own[levels].to_numpy(float),
        [float(name) for name in levels],
        past_times=None if past is None else times_of(past, time),
        past=None if past is None else past[target].to_numpy(float),
        came_times=later,
        came=None if came is None else came[target].to_numpy(float),
        unit=str(target) if unit is None else unit,
        ax=ax,
    )


def _opened(at: Array, values: Array, past: tuple[Array, Array] | None) -> tuple[Array, Array]:
    """The fan preceded by the last reading before it, if there is one: (H + 1,) and (H + 1, Q)."""
    if past is None or not np.isfinite(past[1]).any():
        return at, values
    last = np.flatnonzero(np.isfinite(past[1]))[-1]
    start = np.full((1, values.shape[1]), past[1][last])
    return np.concatenate([past[0][last : last + 1], at]), np.concatenate([start, values])


def _is_level(name: object) -> bool:
    """Whether a column holds a quantile, as its name, such as "0.5", tells."""
    try:
        return isinstance(name, str) and 0.0 < float(name) < 1.0
    except ValueError:
        return False
