"""What a forecaster's model reads at each step: the readings, the calendar, and what is known of the steps ahead.

::

    readings      columns whose future is not known; targets are among them           OT, load
    covariates    columns whose future is known: plans, prices, weather forecasts     price
    calendar      sine and cosine of where the time lies in the day, week or year     day_sin, day_cos
    ahead         each covariate at each horizon ahead of the step                    price+1, price+24

All horizons are forecast from one step, so what is known of the steps ahead has to be read there. The calendar of the
steps ahead follows from that of the step itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import pandas as pd

from gatewise.errors import ANY, InputError, Parameter, Wording
from gatewise.heads.quantiles.spec import Spec as Head
from gatewise.layers.base import Array
from gatewise.tables.table import Table
from gatewise.tables.times import listed
from gatewise.tasks.parameters import plain, positions

PERIODS: Mapping[str, float] = {"day": 86400.0, "week": 7 * 86400.0, "year": 365.2425 * 86400.0}
"""Calendar features and the seconds of their period."""

_EPOCH = {"day": 0.0, "week": 4 * 86400.0, "year": 0.0}  # 1970-01-05 was a Monday


@dataclass(frozen=True)
class Layout:
    """The columns of a model's input, in order.

    Attributes:
        readings: names of the columns whose future is not known.
        covariates: names of those whose future is known.
        calendar: names out of `PERIODS`.
        horizons: steps ahead, ascending.
    """

    readings: tuple[str, ...]
    covariates: tuple[str, ...]
    calendar: tuple[str, ...]
    horizons: tuple[int, ...]

    @property
    def read(self) -> tuple[str, ...]:
        """The columns of a table, in the order of the input."""
        return (*self.readings, *self.covariates)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all columns of the input."""
        calendar = [f"{name}_{wave}" for name in self.calendar for wave in ("sin", "cos")]
        return (*self.read, *calendar, *(f"{name}+{h}" for name in self.covariates for h in self.horizons))

    @property
    def lead(self) -> int:
        """Steps ahead for which covariates must be known."""
        return self.horizons[-1] if self.covariates else 0

    def inputs(self, values: Array, times: pd.Index | None, future: Array | None = None) -> Array:
        """The input of one series.

        Args:
            values: (rows, columns read) float32, in the order of `read`.
            times: of the rows; needed for a calendar.
            future: (rows ahead, covariates) float32 that follow on the last row; None = none.

        Returns:
            (rows, inputs) float32. Without all of the future the last rows, up to `lead`, are not known and left out.
        """
        known = values[:, len(self.readings) :]
        if future is not None:
            known = np.concatenate([known, future])
        rows = max(0, min(len(values), len(known) - self.lead))
        ahead = [known[h : h + rows, k, None] for k in range(len(self.covariates)) for h in self.horizons]
        parts = [values[:rows], self._waves(times, rows), *ahead]
        return np.ascontiguousarray(np.concatenate(parts, axis=1, dtype=np.float32))

    def units(self, offset: Array, scale: Array) -> tuple[Array, Array]:
        """Offset and scale of all inputs, given those of the columns read. The calendar stays as it is."""
        return self.spread(offset, 0.0).astype(np.float32), self.spread(scale, 1.0).astype(np.float32)

    def spread(self, values: Array, calendar: float) -> Array:
        """One number for each input (inputs,) float64, given those of the columns read and that of the calendar.

        Nothing is rounded, so that constants to subtract stay what they are.
        """
        wide = np.asarray(values, np.float64)
        ahead = np.repeat(wide[len(self.readings) :], len(self.horizons))
        return np.concatenate([wide, np.full(2 * len(self.calendar), calendar), ahead])

    def _waves(self, times: pd.Index | None, rows: int) -> Array:
        """(rows, 2 * calendar): each period's sine and cosine."""
        if not self.calendar:
            return np.zeros((rows, 0))
        seconds = clock_seconds(times)[:rows]
        phases = [2 * np.pi * ((seconds - _EPOCH[name]) / PERIODS[name] % 1.0) for name in self.calendar]
        return np.stack([wave(phase) for phase in phases for wave in (np.sin, np.cos)], axis=1)


def choose(
    names: Sequence[str], target: Any, covariates: Any, calendar: Any, horizons: Any
) -> tuple[Layout, list[int]]:
    """The columns of the model's input, and the positions of the targets in it, from what a user says.

    Args:
        names: of the columns read.
        target, covariates, calendar, horizons: as a Forecaster takes them.

    Raises:
        InputError: names that are not there, or in two roles.
        SpecError: horizons that are none.
    """
    known = positions("covariates", covariates, names)
    readings = tuple(name for i, name in enumerate(names) if i not in known)
    if not readings:
        raise InputError("all columns are covariates, so there is none to forecast")
    ahead = plain(horizons)
    if isinstance(ahead, int) and not isinstance(ahead, bool):
        if ahead < 1:
            raise InputError(f"horizons must be a number of steps ahead from 1, or a list of such, got {ahead}")
        ahead = list(range(1, ahead + 1))
    elif isinstance(ahead, float):
        whole = f"; write {int(ahead)}" if ahead.is_integer() else ""
        raise InputError(f"horizons must be a whole number of steps ahead, or a list of such, got {ahead}{whole}")
    periods = plain(calendar)
    if not isinstance(periods, list) or not set(periods) <= set(PERIODS) or len(set(periods)) < len(periods):
        raise InputError(f"calendar must be a list out of {list(PERIODS)}, got {calendar!r}")
    layout = Layout(readings, tuple(names[i] for i in known), tuple(periods), tuple(Head(horizons=ahead).horizons))
    if target is None:
        return layout, list(range(len(readings)))
    chosen = [names[i] for i in positions("target", target, names)]
    if clash := [name for name in chosen if name not in readings]:
        raise InputError(f"column {clash[0]!r} cannot be both a target and a covariate")
    if not chosen:
        raise InputError("target is an empty list; name at least one, or give None for all")
    return layout, [readings.index(name) for name in chosen]


@dataclass(frozen=True)
class Cuts:
    """Which series are trained on, and where they are cut.

    Attributes:
        spans: of each series trained on its first row, the row its validation part begins at, and that it ends before.
        cautions: which series are left out.
    """

    spans: tuple[tuple[int, int, int], ...]
    cautions: tuple[str, ...]

    @property
    def training(self) -> Array:
        """The rows of the training part: (rows,) int."""
        return np.concatenate([np.arange(start, end) for start, end, _ in self.spans])

    @property
    def held(self) -> Array:
        """The rows of the validation part: (rows,) int."""
        return np.concatenate([np.arange(end, stop) for _, end, stop in self.spans])

    @property
    def split(self) -> tuple[int, int]:
        """Rows in the training and in the validation part."""
        return sum(end - start for start, end, _ in self.spans), sum(stop - end for _, end, stop in self.spans)


def cut(table: Table, layout: Layout, targets: Sequence[int], window: int, validation: Any) -> Cuts:
    """Cut each series in two, as `gatewise.train.fit` cuts the inputs, and leave out those that give no example.

    An example is a row of the training part with a window up to it, and a reading of a target ahead in that part.

    Args:
        table: the data, with its columns in the order of the input.
        layout: what the model reads.
        targets: positions of the columns that are forecast.
        window: rows that a forecast is made from at the least.
        validation: share of the rows of each series, at their end, that is kept from training.

    Raises:
        InputError: no share, or no series that is long enough.
    """
    share = plain(validation)
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
            f"the longest series{own} has {training} rows to train on and {kept} to validate on, too few to look "
            f"{far} steps ahead in each; give more rows, or nearer horizons"
        )
    seen: Array = np.isfinite(table.values[:, list(targets)])
    spans, out = [], []
    for (name, start, stop), length, rows in zip(table.series, lengths, trained, strict=True):
        if seen[start + window - 1 + near : start + rows].any() and _can_be_cut(length, share):
            spans.append((start, start + rows, stop))
        else:
            out.append((name, stop - start))
    if not out:
        return Cuts(tuple(spans), ())
    takes = f"that takes at least {layout.lead + _least(window + near, share)} rows, with readings of a target"
    most = max(rows for _, rows in out)
    if not spans:
        raise InputError(
            f"no series gives an example to train on: {takes}, and the longest has {most}; "
            "give more rows, a shorter context or nearer horizons"
        )
    gives, are = ("gives", "is") if len(out) == 1 else ("give", "are")
    caution = (
        f"{len(out)} of {len(lengths)} series {gives} no example to train on, and {are} left out: "
        f"{listed([name for name, _ in out])}; {takes}, and the longest of these has {most}"
    )
    return Cuts(tuple(spans), (caution,))


def _least(training: int, share: float) -> int:
    """The least length that leaves so many steps to train on."""
    begin = max(training / (1 - share), 1.5 / share if share else 0.0)  # but for the rounding
    return next(n for n in count(int(begin)) if n - round(share * n) >= training and _can_be_cut(n, share))


def _can_be_cut(length: int, share: float) -> bool:
    """Whether both parts have the two steps that `gatewise.train.fit` asks for."""
    return not share or 2 <= length - round(share * length) <= length - 2


def wanted_of(scaled: Array, horizons: Sequence[int], rows: int, end: int) -> Array:
    """What the forecasts of one series are held to: (rows, K H) float32, NaN where there is nothing.

    Args:
        scaled: (all rows, K) readings, NaN where one is missing.
        horizons: steps ahead.
        rows: how many of the rows have an input.
        end: rows that are trained on; what their forecasts are held to lies among them, not in the validation part.
    """
    row = np.arange(rows)[:, None]
    at = row + np.array(horizons)  # (rows, H)
    seen = (at < len(scaled)) & ((at < end) | (row >= end))
    found = np.where(seen[:, :, None], scaled[np.minimum(at, len(scaled) - 1)], np.nan)  # (rows, H, K)
    return np.ascontiguousarray(found.transpose(0, 2, 1).reshape(rows, -1), np.float32)


def clock_seconds(times: pd.Index | None) -> Array:
    """Seconds since 1970 on the clock of the place (rows,), float64. Raises InputError where the times are no dates."""
    if not isinstance(times, pd.DatetimeIndex):
        raise InputError(
            "a calendar needs dates: pass ",
            Parameter("time", ANY),
            " with the name of a column of dates, or ",
            Wording("calendar=()", "leave out --calendar"),
        )
    local = times.tz_localize(None) if times.tz is not None else times
    return np.asarray(local.as_unit("ns").asi8 / 1e9)


def first_row(table: Table, start: Any) -> int | None:
    """The row at which a backtest begins, as a number: given as one, or as a date, by default of the zone of the times.

    Raises:
        InputError: neither, or a date where there are no dates or several series.
    """
    if start is None or isinstance(start, (int, np.integer)):
        return None if start is None else int(start)
    times = table.times
    if not isinstance(times, pd.DatetimeIndex) or len(table.series) > 1:
        raise InputError(f"start must be a number of rows, or a date for one series with dates, got {start!r}")
    try:
        date: Any = pd.Timestamp(start)
        if date is not pd.NaT and times.tz is not None and date.tz is None:
            # Of an hour that a clock change takes away, the next; of one that it repeats, the first.
            date = date.tz_localize(times.tz, ambiguous=True, nonexistent="shift_forward")
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"start is {start!r}, which is no date: {error}") from None
    if date is pd.NaT:
        raise InputError(f"start is {start!r}, which is no date; give one, e.g. {times[0]}")
    if times.tz is None and date.tz is not None:
        raise InputError(f"start is {start!r}, a date with a zone, but the times of the data have none; leave it out")
    return int(times.searchsorted(date))
