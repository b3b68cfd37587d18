"""The columns that a forecaster reads and forecasts, the split of its rows, and the targets of its forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gatewise.errors import InputError, Parameter
from gatewise.heads.quantiles.spec import Spec as Head
from gatewise.layers.base import Array
from gatewise.tables.table import Table
from gatewise.tasks.layout import PERIODS, Layout
from gatewise.tasks.parameters import as_json, positions


def choose(names: Sequence[str], target: Any, covariates: Any, calendar: Any, horizons: Any) -> Layout:
    """The columns of the model's input and the targets among them, from the parameters of a Forecaster.

    Args:
        names: names of the columns of the table.
        target, covariates, calendar, horizons: the parameters of the Forecaster.

    Raises:
        InputError: a column does not exist, or has two roles.
        SpecError: the horizons are invalid.
    """
    known = positions("covariates", covariates, names)
    readings = tuple(name for i, name in enumerate(names) if i not in known)
    if not readings:
        raise InputError("all columns are covariates, so there is none to forecast")
    ahead = as_json(horizons)
    if isinstance(ahead, int) and not isinstance(ahead, bool):
        if ahead < 1:
            raise InputError(
                Parameter("horizons"), f" must be a number of steps ahead from 1, or a list of such, got {ahead}"
            )
        ahead = list(range(1, ahead + 1))
    elif isinstance(ahead, float):
        whole = f"; write {int(ahead)}" if ahead.is_integer() else ""
        raise InputError(
            Parameter("horizons"), f" must be a whole number of steps ahead, or a list of such, got {ahead}{whole}"
        )
    periods = as_json(calendar)
    if not isinstance(periods, list) or not set(periods) <= set(PERIODS) or len(set(periods)) < len(periods):
        raise InputError(Parameter("calendar"), f" must be a list out of {list(PERIODS)}, got {calendar!r}")
    steps = tuple(Head(horizons=ahead).horizons)
    chosen = list(readings) if target is None else [names[i] for i in positions("target", target, names)]
    if clash := [name for name in chosen if name not in readings]:
        raise InputError(f"column {clash[0]!r} cannot be both a target and a covariate")
    if not chosen:
        raise InputError(Parameter("target"), " is an empty list; name at least one, or give None for all")
    targets = tuple(readings.index(name) for name in chosen)
    return Layout(readings, tuple(names[i] for i in known), tuple(periods), steps, targets)


def wanted_of(scaled: Array, horizons: Sequence[int], rows: int, end: int) -> Array:
    """The targets of the forecasts of one series: (rows, K H) float32, NaN if there is none.

    Args:
        scaled: (all rows, K) readings, NaN if missing.
        horizons: steps ahead.
        rows: number of rows that have an input.
        end: number of rows in the training part. Targets of these rows are taken from the training part only.
    """
    row = np.arange(rows)[:, None]
    at = row + np.array(horizons)  # (rows, H)
    seen = (at < len(scaled)) & ((at < end) | (row >= end))
    found = np.where(seen[:, :, None], scaled[np.minimum(at, len(scaled) - 1)], np.nan)  # (rows, H, K)
    return np.ascontiguousarray(found.transpose(0, 2, 1).reshape(rows, -1), np.float32)


def first_row(table: Table, start: Any) -> int | None:
    """The number of the row at which a backtest begins, given as a number or as a date, by default in the data's zone.

    Raises:
        InputError: it is neither, or it is a date and the data have no dates or several series.
    """
    if start is None or isinstance(start, (int, np.integer)):
        return None if start is None else int(start)
    times = table.times
    if not isinstance(times, pd.DatetimeIndex) or len(table.series) > 1:
        raise InputError(
            Parameter("start"), f" must be a number of rows, or a date for one series with dates, got {start!r}"
        )
    try:
        date: Any = pd.Timestamp(start)
        if date is not pd.NaT and times.tz is not None and date.tz is None:
            # For an hour that a clock change skips, the next hour; for one that it repeats, the first.
            date = date.tz_localize(times.tz, ambiguous=True, nonexistent="shift_forward")
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(Parameter("start"), f" is {start!r}, which is not a date: {error}") from None
    if date is pd.NaT:
        raise InputError(Parameter("start"), f" is {start!r}, which is not a date; give one, e.g. {times[0]}")
    if times.tz is None and date.tz is not None:
        raise InputError(
            Parameter("start"),
            f" is {start!r}, a date with a zone, but the times of the data have none; leave the zone out",
        )
    return int(times.searchsorted(date))
