"""The columns that a forecaster reads and forecasts, the split of its rows, and the targets of its forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
import pandas as pd

from gatewise.errors import InputError
from gatewise.heads.quantiles.spec import Spec as Head
from gatewise.layers.base import Array
from gatewise.tables.split import Parts, Span
from gatewise.tables.table import Table
from gatewise.tables.times import listed
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
            raise InputError(f"horizons must be a number of steps ahead from 1, or a list of such, got {ahead}")
        ahead = list(range(1, ahead + 1))
    elif isinstance(ahead, float):
        whole = f"; write {int(ahead)}" if ahead.is_integer() else ""
        raise InputError(f"horizons must be a whole number of steps ahead, or a list of such, got {ahead}{whole}")
    periods = as_json(calendar)
    if not isinstance(periods, list) or not set(periods) <= set(PERIODS) or len(set(periods)) < len(periods):
        raise InputError(f"calendar must be a list out of {list(PERIODS)}, got {calendar!r}")
    steps = tuple(Head(horizons=ahead).horizons)
    chosen = list(readings) if target is None else [names[i] for i in positions("target", target, names)]
    if clash := [name for name in chosen if name not in readings]:
        raise InputError(f"column {clash[0]!r} cannot be both a target and a covariate")
    if not chosen:
        raise InputError("target is an empty list; name at least one, or give None for all")
    targets = tuple(readings.index(name) for name in chosen)
    return Layout(readings, tuple(names[i] for i in known), tuple(periods), steps, targets)


def cut(table: Table, layout: Layout, window: int, validation: Any) -> Parts:
    """Split each series in two, as `gatewise.train.fit` splits the inputs, and leave out series without an example.

    An example is a row of the training part with a full window up to it and a later reading of a target in that part.

    Args:
        table: the data, with its columns in the order of the input.
        layout: the columns that the model reads and forecasts.
        window: the least number of rows from which a forecast is made.
        validation: share of the rows of each series, at their end, that is held out from training.

    Raises:
        InputError: `validation` is not a share, or no series is long enough.
    """
    share = as_json(validation)
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0.0 <= share < 1.0:
        raise InputError(f"validation must be a share from 0 to below 1, got {share!r}")
    near, far = layout.horizons[0], layout.horizons[-1]
    lengths = [max(0, stop - start - layout.lead) for _, start, stop in table.series]
    trained = [length - round(share * length) for length in lengths]
    longest = max(range(len(lengths)), key=lambda i: lengths[i])
    training, kept = trained[longest], lengths[longest] - trained[longest]
    own = "" if (name := table.series[longest][0]) is None else f", {name!r},"
    if training <= far or (share and kept <= far - layout.lead):
        raise InputError(
            f"the longest series{own} has {training} rows to train on and {kept} to validate on, too few to forecast "
            f"{far} steps ahead in each; give more rows, or nearer horizons"
        )
    seen: Array = np.isfinite(table.values[:, list(layout.targets)])
    spans, out = [], []
    for (name, start, stop), length, rows in zip(table.series, lengths, trained, strict=True):
        if seen[start + window - 1 + near : start + rows].any() and _can_be_cut(length, share):
            spans.append(Span(start, start + rows, stop, stop))
        else:
            out.append((name, stop - start))
    if not out:
        return Parts(tuple(spans), float(share))
    takes = f"that takes at least {layout.lead + _least(window + near, share)} rows, with readings of a target"
    most = max(rows for _, rows in out)
    if not spans:
        raise InputError(
            f"no series gives an example to train on: {takes}, and the longest has {most}; "
            "give more rows, a shorter context or nearer horizons"
        )
    gives, are = ("gives", "is") if len(out) == 1 else ("give", "are")
    warning = (
        f"{len(out)} of {len(lengths)} series {gives} no example to train on, and {are} left out: "
        f"{listed([name for name, _ in out])}; {takes}, and the longest of these has {most}"
    )
    return Parts(tuple(spans), float(share), (warning,))


def _least(training: int, share: float) -> int:
    """The least length of a series that has this number of steps in the training part."""
    begin = max(training / (1 - share), 1.5 / share if share else 0.0)  # apart from rounding
    return next(n for n in count(int(begin)) if n - round(share * n) >= training and _can_be_cut(n, share))


def _can_be_cut(length: int, share: float) -> bool:
    """Whether both parts have the two steps that `gatewise.train.fit` needs."""
    return not share or 2 <= length - round(share * length) <= length - 2


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
        raise InputError(f"start must be a number of rows, or a date for one series with dates, got {start!r}")
    try:
        date: Any = pd.Timestamp(start)
        if date is not pd.NaT and times.tz is not None and date.tz is None:
            # For an hour that a clock change skips, the next hour; for one that it repeats, the first.
            date = date.tz_localize(times.tz, ambiguous=True, nonexistent="shift_forward")
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"start is {start!r}, which is not a date: {error}") from None
    if date is pd.NaT:
        raise InputError(f"start is {start!r}, which is not a date; give one, e.g. {times[0]}")
    if times.tz is None and date.tz is not None:
        raise InputError(f"start is {start!r}, a date with a zone, but the times of the data have none; leave it out")
    return int(times.searchsorted(date))
