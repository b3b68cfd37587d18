"""The rules that calendars follow: steps of a length, days of months, times of a week. `calendars` finds them.

A rule says how many steps lie between two times, which times follow a given one and how many steps make a season. It
also describes itself in words. pandas counts the days and months (`date_range` and its offsets).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from gatewise.errors import InputError, MissingExtraError
from gatewise.layers.base import Array
from gatewise.tables.step_lengths import DATES, DURATIONS, NUMBERS, SLACK, step_length
from gatewise.tables.times import numbers

try:
    import pandas as pd
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks read tables with pandas: pip install 'gatewise[train]'") from error

MOST_TIMES = 20_000
"""Greatest number of times in a week for a weekly rule."""

DAY = 86400.0
WEEK = 7 * DAY
NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def kind_of(times: pd.Index) -> str:
    """DATES, DURATIONS or NUMBERS."""
    if isinstance(times, pd.DatetimeIndex):
        return DATES
    return DURATIONS if isinstance(times, pd.TimedeltaIndex) else NUMBERS


def differences(times: pd.Index) -> Array:
    """Differences of successive times, (rows - 1,) float64: in seconds, or in the unit of times that are numbers."""
    steps = np.diff(numbers(times)).astype(np.float64)
    return steps if kind_of(times) == NUMBERS else steps * _unit(times)


def on_the_clock(times: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Dates in local time, without their zone."""
    return times if times.tz is None else times.tz_localize(None)


@dataclass(frozen=True)
class Steps:
    """Each row follows the one before it after a constant step.

    Attributes:
        step: the step in seconds, or as a number.
        clock: whether the step is constant in local time, where the clock may be changed.
        exact: whether it is exact to the last digit; if not, steps may differ by `SLACK`.
    """

    step: float
    clock: bool = False
    exact: bool = True

    def measure(self, times: pd.Index) -> Array:
        """Number of steps between each row and the next: (rows - 1,) float64, 1 for consecutive rows."""
        if self.clock and isinstance(times, pd.DatetimeIndex):
            times = on_the_clock(times)
        steps: Array = differences(times) / self.step
        whole = np.round(steps)
        slack = 1e-6 * np.maximum(whole, 1.0) if self.exact else SLACK
        return np.where(np.abs(steps - whole) <= slack, whole, steps)

    def after(self, last: Any, counts: Sequence[int], unit: Any) -> list[Any]:
        """The times so many steps after the last, in the unit of the times."""
        step: Any = self.step
        if not isinstance(last, (pd.Timestamp, pd.Timedelta)):
            step = int(step) if float(step).is_integer() and isinstance(last, (int, np.integer)) else step
            return [last + h * step for h in counts]
        step = pd.Timedelta(round(step * 1e9), unit="ns")
        if unit is not None and step.as_unit(unit) == step:
            step = step.as_unit(unit)  # otherwise the sum has the finer unit, whose range is smaller
        if not self.clock or not isinstance(last, pd.Timestamp):
            return [last + h * step for h in counts]
        return [_placed(last.tz_localize(None) + h * step, last.tz) for h in counts]

    def season(self) -> int | None:
        """Number of steps in a day for steps below a day, in a week for days, in a year for weeks; else None."""
        for period, slack in ((DAY, 0.05), (WEEK, 0.05), (365.2425 * DAY, 0.25)):  # a year is no whole number of weeks
            if self.step < period:
                steps = round(period / self.step)
                return steps if steps >= 2 and abs(steps * self.step - period) < slack * self.step else None
        return None

    def describe(self, kind: str) -> str:
        """How the rows are, in words."""
        return f"{'' if self.exact else 'about '}{step_length(self.step, kind)} apart"


class Slots:
    """Times of a calendar without a constant step. The next row is `every` of these times later, usually 1."""

    every: int
    block: ClassVar[int] = 1
    """Number of years that are computed together, so that many series share them."""

    def _of_blocks(self, first: int, last: int) -> Array:
        return _slots(self, first - first % self.block, last + self.block - 1 - last % self.block)

    def of_years(self, first: int, last: int) -> pd.DatetimeIndex:
        """All in these years, the last included, on a clock without a zone; in any order."""
        raise NotImplementedError

    def measure(self, times: pd.DatetimeIndex) -> Array:
        """Number of steps between each row and the next: (rows - 1,) float64; NaN for times not in the calendar."""
        clock = on_the_clock(times).as_unit("us")
        slots = self._of_blocks(int(clock.year.min()), int(clock.year.max()))
        at = np.searchsorted(slots, clock.asi8)
        found = np.append(slots, np.iinfo(np.int64).min)[at] == clock.asi8
        return np.asarray(np.diff(np.where(found, at, np.nan)) / self.every)

    def after(self, last: pd.Timestamp, counts: Sequence[int], unit: Any) -> list[Any]:
        """The times so many steps after the last, in the unit of the times."""
        clock = pd.DatetimeIndex([last.tz_localize(None)]).as_unit("us").asi8
        places, years = np.array(counts) * self.every - 1, 1
        while True:
            slots = self._of_blocks(last.year, last.year + years)
            begin = int(np.searchsorted(slots, clock, side="right")[0])
            if begin + places.max() < len(slots):
                break
            years *= 2
        chosen = pd.DatetimeIndex(slots[begin + places].view("datetime64[us]"))
        chosen = chosen if unit is None else chosen.as_unit(unit)
        first_of_two = np.ones(len(chosen), bool)
        return chosen.tz_localize(last.tz, ambiguous=first_of_two, nonexistent="shift_forward").tolist()

    def season(self) -> int | None:
        """Number of steps in a day, a week or a year; None if it is not a whole number."""
        raise NotImplementedError

    def describe(self, kind: str) -> str:
        """How the rows are, in words."""
        raise NotImplementedError


@dataclass(frozen=True)
class Months(Slots):
    """Certain days of each month.

    Attributes:
        on: "days", days of the month by number; "business start" or "business end", its first or last day from Monday
            to Friday; or "weekday", a weekday in one of its weeks.
        days: for "days", the numbers in ascending order. If a month has fewer days, its last day counts.
        week, weekday: for "weekday": 0 = the first in the month, -1 = the last; 0 = Monday.
        at: seconds since midnight.
        every: the next row is `every` of these times later: 3 with the first of each month means quarters.
    """

    on: str
    days: tuple[int, ...] = ()
    week: int = 0
    weekday: int = 0
    at: float = 0.0
    every: int = 1
    block: ClassVar[int] = 20

    def of_years(self, first: int, last: int) -> pd.DatetimeIndex:
        """All in these years, the last included, on a clock without a zone; in any order."""
        starts = pd.date_range(f"{first}-01-01", f"{last}-12-01", freq="MS", unit="us")
        if self.on == "days":
            ends = starts.days_in_month
            each = [starts + pd.to_timedelta(np.minimum(day, ends) - 1, unit="D") for day in self.days]
            days = each[0].append(each[1:]) if len(each) > 1 else each[0]
        elif self.on == "weekday":
            weekday: Any = self.weekday
            offset: Any = pd.offsets.LastWeekOfMonth(weekday=weekday)
            if self.week >= 0:
                offset = pd.offsets.WeekOfMonth(week=self.week, weekday=weekday)
            days = pd.DatetimeIndex([offset.rollforward(start) for start in starts])
        else:
            offset = pd.offsets.BMonthEnd(0) if self.on == "business end" else pd.offsets.BMonthBegin(0)
            days = starts + offset
        at: Any = pd.Timedelta(microseconds=round(self.at * 1e6))
        return pd.DatetimeIndex(days + at).unique()

    def season(self) -> int | None:
        """Steps in a year."""
        a_year = 12 * max(1, len(self.days))
        return a_year // self.every if a_year % self.every == 0 and a_year > self.every else None

    def describe(self, kind: str) -> str:
        """How the rows are, in words."""
        if self.on == "days":
            which = " and ".join("last" if day == 31 else _ordinal(day) for day in self.days) + " day"
        elif self.on == "weekday":
            which = f"{'last' if self.week < 0 else _ordinal(self.week + 1)} {NAMES[self.weekday]}"
        else:
            which = f"{'last' if self.on == 'business end' else 'first'} business day"
        if self.every == 1:
            return f"on the {which} of each month"
        if len(self.days) > 1:
            return f"at every {_ordinal(self.every)} time on the {which} of each month"
        return f"on the {which} of every {_ordinal(self.every)} month"


@dataclass(frozen=True)
class Session:
    """A range of times on some weekdays.

    Attributes:
        weekdays: 0 = Monday.
        opens, closes: the first and the last time, in seconds since midnight.
    """

    weekdays: tuple[int, ...]
    opens: float
    closes: float


@dataclass(frozen=True)
class Week(Slots):
    """The same times of each week.

    Attributes:
        sessions: the sessions in which rows come.
        step: seconds from one row to the next in a session; 0 if each session has one row.
        every: the next row is `every` of these times later.
    """

    sessions: tuple[Session, ...]
    step: float = 0.0
    every: int = 1

    def of_years(self, first: int, last: int) -> pd.DatetimeIndex:
        """All in these years, the last included, on a clock without a zone; in any order."""
        days = pd.date_range(f"{first}-01-01", f"{last}-12-31", freq="D", unit="us")
        found = [np.zeros(0, np.int64)]
        for each in self.sessions:
            own = days[days.day_of_week.isin(each.weekdays)].asi8
            times = np.array(each.opens) + self.step * np.arange(self._rows(each))
            found.append((own[:, None] + np.round(times * 1e6).astype(np.int64)).ravel())
        return pd.DatetimeIndex(np.concatenate(found).view("datetime64[us]"))

    @property
    def slots(self) -> int:
        """Rows in a week."""
        return sum(self._rows(each) * len(each.weekdays) for each in self.sessions)

    def _rows(self, session: Session) -> int:
        return 1 + (round((session.closes - session.opens) / self.step) if self.step else 0)

    def season(self) -> int | None:
        """Number of rows in a day if it is the same each day and more than one; otherwise that in a week."""
        days = [sum(self._rows(s) for s in self.sessions if day in s.weekdays) for day in range(7)]
        a_day = {rows for rows in days if rows}
        rows = a_day.pop() if len(a_day) == 1 and max(days) > 1 else self.slots
        return rows // self.every if rows % self.every == 0 and rows > self.every else None

    def describe(self, kind: str) -> str:
        """How the rows are, in words."""
        parts = []
        for one in self.sessions:
            hours = f" from {_clock(one.opens)} to {_clock(one.closes)}" if one.opens < one.closes else ""
            if not hours and (one.opens or len(self.sessions) > 1):
                hours = f" at {_clock(one.opens)}"
            parts.append(_weekdays(one.weekdays) + hours)
        shown = "; ".join(parts[:4]) + ("; ..." if len(parts) > 4 else "")
        rare = f"at every {_ordinal(self.every)} time " if self.every > 1 else ""
        return rare + (f"{step_length(self.step)} apart " if self.step else "") + f"on {shown}"


Rule = Steps | Months | Week
RULES: Mapping[str, type[Rule]] = {"steps": Steps, "months": Months, "week": Week}


def read_rule(name: str, options: dict[str, Any]) -> Rule:
    """A rule from its options, checked. Raises KeyError, TypeError, ValueError or InputError."""
    if name == "steps":
        return Steps(positive(options.pop("step")), bool(options.pop("clock")), bool(options.pop("exact")))
    if name == "week":
        told = options.pop("sessions")
        sessions = tuple(Session(tuple(map(int, s["weekdays"])), float(s["opens"]), float(s["closes"])) for s in told)
        week = Week(sessions, positive(options.pop("step"), 0), int(options.pop("every")))
        right = all(
            s.weekdays and 0 <= s.opens <= s.closes < DAY and set(s.weekdays) <= set(range(7)) for s in sessions
        )
        if not right or not 0 < week.slots <= MOST_TIMES or not 1 <= week.every <= MOST_TIMES:
            raise InputError("its calendar is not a valid week")
        return week
    days = tuple(map(int, options.pop("days")))
    months = Months(str(options["on"]), days, int(options["week"]), int(options["weekday"]), float(options["at"]))
    months = replace(months, every=int(options["every"]))
    kinds = ("days", "weekday", "business start", "business end")
    right = months.on in kinds and (months.on == "days") == bool(days) and all(1 <= day <= 31 for day in days)
    if not right or not (-1 <= months.week <= 3 and 0 <= months.weekday < 7 and 0 <= months.at < DAY):
        raise InputError("its calendar is none of months")
    if not 1 <= months.every <= 12_000:
        raise InputError("its calendar is none of months")
    return months


def positive(value: Any, least: float = 1e-300) -> float:
    """The value, if it is a number of at least `least`. Raises InputError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < np.inf:
        raise InputError(f"its calendar has {value!r} for a length of time")
    return value


def _unit(times: Any) -> float:
    return {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[times.unit]


@lru_cache(maxsize=8)
def _slots(rule: Slots, first: int, last: int) -> Array:
    """The times of these years in microseconds, ascending: (times,) int64. Many series share the cached result."""
    slots = np.sort(rule.of_years(first, last).as_unit("us").asi8)
    slots.flags.writeable = False
    return slots


def _weekdays(days: Sequence[int]) -> str:
    """Weekdays as text, such as "Sun to Thu", or listed one by one."""
    for first in days if len(days) > 2 else ():
        if set(days) == {(first + i) % 7 for i in range(len(days))}:
            return f"{NAMES[first]} to {NAMES[(first + len(days) - 1) % 7]}"
    return ", ".join(NAMES[day] for day in days)


def _placed(time: pd.Timestamp, zone: Any) -> pd.Timestamp:
    """A local time with its zone. For an hour that a clock change skips, the next; for one it repeats, the first."""
    return time.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")


def _ordinal(number: int) -> str:
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _clock(seconds: float) -> str:
    """A time of day, e.g. "09:30"."""
    return str(pd.Timedelta(seconds=seconds)).rpartition(" ")[2].removesuffix(":00")
