"""What comes next: readings so far, and the quantiles of what follows as a fan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from gatewise.errors import InputError
from gatewise.figures.frames import times_of
from gatewise.figures.style import BLUE, drawn_on, ink, legend_above, rows_of, time_axis
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
    """Quantiles of the readings to come, as bands around the middle one that open from the last reading.

    Args:
        times: (H,) of the readings forecast, datetime64 or numbers, ascending.
        quantiles: (H, Q) in the units of the data.
        levels: probabilities of the Q quantiles, ascending. The first and the last make the outermost band, and so on;
            the middle one of an odd number is the line.
        past_times: (P,) of the readings so far.
        past: (P,) the readings so far, which end before those forecast; NaN leaves a gap.
        came_times: (C,) of what was observed afterwards.
        came: (C,) what was observed afterwards.
        unit: of the readings, for the label.
        legend: whether what is drawn is named above the axes.
        ax: drawn into; None = a new figure.

    Returns:
        The axes.

    Raises:
        InputError: arrays of different lengths, or without a row.
    """
    at, values = np.asarray(times), np.asarray(quantiles, np.float64)
    rows_of(len(at), quantiles=values)
    if values.shape != (len(at), len(levels)):
        raise InputError(f"quantiles must be (horizons, levels) = {(len(at), len(levels))}, got {values.shape}")
    ax = drawn_on(ax)
    drawn = [at]
    known = []
    for what, whens, readings, ls in (("past", past_times, past, "-"), ("came", came_times, came, (0, (2, 1)))):
        if readings is None:
            continue
        when, seen = np.asarray(at[:0] if whens is None else whens), np.asarray(readings, np.float64)
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
    """A forecast of one column of one series, after the readings that it follows.

    Args:
        ahead: a frame that `Forecaster.predict` gave, or the rows of one series of it.
        past: readings so far, with the target among the columns; the last ones are enough. None = none are drawn.
        came: readings that came afterwards, in the same form; None = none are drawn.
        target: name of the column; None where one was forecast.
        time: name of the column of times; None = "time" if there is one, else dates in the index. Without times, rows
            are numbered such that horizon 1 follows on the last row of `past`.
        unit: for the label; None = the name of the target.
        ax: drawn into; None = a new figure.

    Returns:
        The axes.

    Raises:
        InputError: a frame that is not one of `predict`, several targets of which none is named, or several series.
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
    times = times_of(own, time)
    if not np.issubdtype(times.dtype, np.datetime64) and time is None and "time" not in own:
        times = rows - 1 + horizons
    return forecast_fan(
        times,
        own[levels].to_numpy(float),
        [float(name) for name in levels],
        past_times=None if past is None else times_of(past, time),
        past=None if past is None else past[target].to_numpy(float),
        came_times=None if came is None else times_of(came, time),
        came=None if came is None else came[target].to_numpy(float),
        unit=str(target) if unit is None else unit,
        ax=ax,
    )


def _opened(at: Array, values: Array, past: tuple[Array, Array] | None) -> tuple[Array, Array]:
    """The fan with the last reading before it, from which it opens: (H + 1,) and (H + 1, Q), where there is one."""
    if past is None or not np.isfinite(past[1]).any():
        return at, values
    last = np.flatnonzero(np.isfinite(past[1]))[-1]
    start = np.full((1, values.shape[1]), past[1][last])
    return np.concatenate([past[0][last : last + 1], at]), np.concatenate([start, values])


def _is_level(name: object) -> bool:
    """Whether a column is that of a quantile, such as "0.5"."""
    try:
        return isinstance(name, str) and 0.0 < float(name) < 1.0
    except ValueError:
        return False
