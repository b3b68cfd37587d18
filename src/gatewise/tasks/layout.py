"""The columns of a model's input: readings, covariates, the calendar, and future covariates.

::

    readings      columns whose future is not known; targets are among them           OT, load
    covariates    columns whose future is known: plans, prices, weather forecasts     price
    calendar      sine and cosine of the time within the day, week or year            day_sin, day_cos
    ahead         each covariate at each horizon ahead of the step                    price+1, price+24

All horizons are forecast from one step, so the model has to read the future covariates at that step. The calendar of
future steps follows from that of the step itself. A task without covariates and calendar reads only its columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gatewise.errors import ANY, InputError, Parameter, Wording
from gatewise.layers.base import Array

PERIODS: Mapping[str, float] = {"day": 86400.0, "week": 7 * 86400.0, "year": 365.2425 * 86400.0}
"""Calendar features and the seconds of their period."""

_EPOCH = {"day": 0.0, "week": 4 * 86400.0, "year": 0.0}  # 1970-01-05 was a Monday


@dataclass(frozen=True)
class Layout:
    """The columns of a model's input, in order.

    Attributes:
        readings: names of the columns whose future is not known.
        covariates: names of those whose future is known.
        calendar: names from `PERIODS`.
        horizons: steps ahead, ascending.
        targets: positions of the target columns among the readings.
        transform: the transform of each column before it is scaled, "log1p" or None; None = no column has one.
    """

    readings: tuple[str, ...]
    covariates: tuple[str, ...] = ()
    calendar: tuple[str, ...] = ()
    horizons: tuple[int, ...] = (1,)
    targets: tuple[int, ...] = (0,)
    transform: tuple[str | None, ...] | None = None

    @property
    def read(self) -> tuple[str, ...]:
        """The columns of a table, in the order of the input."""
        return (*self.readings, *self.covariates)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns of the input."""
        calendar = [f"{name}_{wave}" for name in self.calendar for wave in ("sin", "cos")]
        return (*self.read, *calendar, *(f"{name}+{h}" for name in self.covariates for h in self.horizons))

    @property
    def transforms(self) -> list[str | None] | None:
        """The transform of each column of the input; future covariates have that of their column, the calendar none."""
        if self.transform is None:
            return None
        ahead = [one for one in self.transform[len(self.readings) :] for _ in self.horizons]
        return [*self.transform, *[None] * (2 * len(self.calendar)), *ahead]

    @property
    def lead(self) -> int:
        """Number of steps ahead for which covariates must be known."""
        return self.horizons[-1] if self.covariates else 0

    @property
    def target_names(self) -> tuple[str, ...]:
        """Names of the target columns."""
        return tuple(self.readings[k] for k in self.targets)

    def inputs(self, values: Array, times: pd.Index | None, future: Array | None = None) -> Array:
        """The input of one series.

        Args:
            values: (rows, columns read) float32, in the order of `read`.
            times: times of the rows; needed for a calendar.
            future: (rows ahead, covariates) float32 after the last row; None = none.

        Returns:
            (rows, inputs) float32. The last rows, at most `lead`, are left out if their future covariates are missing.
        """
        known = values[:, len(self.readings) :]
        if future is not None:
            known = np.concatenate([known, future])
        rows = max(0, min(len(values), len(known) - self.lead))
        ahead = [known[h : h + rows, k, None] for k in range(len(self.covariates)) for h in self.horizons]
        parts = [values[:rows], self._waves(times, rows), *ahead]
        return np.ascontiguousarray(np.concatenate(parts, axis=1, dtype=np.float32))

    def units(self, offset: Array, scale: Array) -> tuple[Array, Array]:
        """Offset and scale of all inputs, given those of the columns read. The calendar is not scaled."""
        return self.spread(offset, 0.0).astype(np.float32), self.spread(scale, 1.0).astype(np.float32)

    def spread(self, values: Array, calendar: float) -> Array:
        """One number for each input (inputs,) float64, given those of the columns read and that of the calendar.

        The numbers are not rounded to float32, so that constants to subtract are exact.
        """
        wide = np.asarray(values, np.float64)
        ahead = np.repeat(wide[len(self.readings) :], len(self.horizons))
        return np.concatenate([wide, np.full(2 * len(self.calendar), calendar), ahead])

    def _waves(self, times: pd.Index | None, rows: int) -> Array:
        """Sine and cosine of each period: (rows, 2 * calendar)."""
        if not self.calendar:
            return np.zeros((rows, 0))
        seconds = clock_seconds(times)[:rows]
        phases = [2 * np.pi * ((seconds - _EPOCH[name]) / PERIODS[name] % 1.0) for name in self.calendar]
        return np.stack([wave(phase) for phase in phases for wave in (np.sin, np.cos)], axis=1)


def clock_seconds(times: pd.Index | None) -> Array:
    """Seconds since 1970 in local time, (rows,) float64. Raises InputError if the times are not dates."""
    if not isinstance(times, pd.DatetimeIndex):
        raise InputError(
            "a calendar needs dates: pass ",
            Parameter("time", ANY),
            " with the name of a column of dates, or ",
            Wording("calendar=()", "leave out --calendar"),
        )
    local = times.tz_localize(None) if times.tz is not None else times
    return np.asarray(local.as_unit("ns").asi8 / 1e9)
