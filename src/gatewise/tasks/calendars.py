"""The calendar of a series: at which times its rows come, and so which time comes next.

A calendar is found from the times of a table, and is only taken for one where it gives these times again. The kinds:

    steps     each row so long after the one before it; of whole days, or where the steps are those of the clock of the
              place and no others, on that clock, which a change of it does not move
    months    on the same days of each month, or of each third or twelfth: the 1st, the 15th and the last, the 30th; on
              its first or last business day; on its third Friday
    week      at the same times of each week: on weekdays, from Sunday to Thursday, in opening hours

pandas counts the days and months (`date_range` and its offsets). Rows may be absent, as they are on holidays, at up to
`GAPS` of the steps, and at most `STRAYS` of the rows may lie beside the calendar. Where none of them fits, the usual step
is all that is known, and the times to come are estimates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from gatewise.errors import InputError, MissingExtraError
from gatewise.layers.base import Array
from gatewise.tasks.apart import DATES, DURATIONS, NUMBERS, apart
from gatewise.tasks.times import numbers

try:
    import pandas as pd
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks read tables with pandas: pip install 'gatewise[train]'") from error

GAPS = 0.1
"""Share of the steps that may leave rows out, or be of another length, for a calendar to be one."""

STRAYS = 0.01
"""Share of the rows that may lie beside the days of months or the times of a week."""

SLACK = 0.1
"""Share of a step by which one that is not exact may differ from the usual."""

MOST_TIMES = 20_000
"""Times in a week, of which each has to come again."""

DAY = 86400.0
WEEK = 7 * DAY
NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
COMMON_WEEKS = ({0, 1, 2, 3, 4}, {0, 1, 2, 3, 4, 5}, {6, 0, 1, 2, 3}, set(range(7)))
"""Weekdays that less than two weeks are enough to tell."""


def kind_of(times: pd.Index) -> str:
    """DATES, DURATIONS or NUMBERS."""
    if isinstance(times, pd.DatetimeIndex):
        return DATES
    return DURATIONS if isinstance(times, pd.TimedeltaIndex) else NUMBERS


def differences(times: pd.Index) -> Array:
    """Of successive times, (rows - 1,) float64: in seconds, or as the numbers that they are."""
    steps = np.diff(numbers(times)).astype(np.float64)
    return steps if kind_of(times) == NUMBERS else steps * _unit(times)


def on_the_clock(times: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Dates as a clock at the place shows them, without a zone."""
    return times if times.tz is None else times.tz_localize(None)


@dataclass(frozen=True)
class Steps:
    """Each row so long after the one before it.

    Attributes:
        step: in seconds, or as a number.
        clock: whether on the clock of the place, which may be put forward or back meanwhile.
        exact: whether to the last digit; else give or take `SLACK`.
    """

    step: float
    clock: bool = False
    exact: bool = True

    def measure(self, times: pd.Index) -> Array:
        """How many steps lie between each row and the next: (rows - 1,) float64, 1 where they are as they should."""
        on_clock = self.clock and isinstance(times, pd.DatetimeIndex)
        steps: Array = differences(on_the_clock(times) if on_clock else times) / self.step
        whole = np.round(steps)
        slack = 1e-6 * np.maximum(whole, 1.0) if self.exact else SLACK
        return np.where(np.abs(steps - whole) <= slack, whole, steps)

    def after(self, last: Any, counts: Sequence[int], unit: str | None) -> list[Any]:
        if not isinstance(last, (pd.Timestamp, pd.Timedelta)):
            step = (
                int(self.step) if float(self.step).is_integer() and isinstance(last, (int, np.integer)) else self.step
            )
            return [last + h * step for h in counts]
        step = pd.Timedelta(round(self.step * 1e9), unit="ns")
        if unit is not None and step.as_unit(unit) == step:
            step = step.as_unit(unit)  # else the sum is of the finer unit, and reaches less far
        if not self.clock or not isinstance(last, pd.Timestamp):
            return [last + h * step for h in counts]
        return [_placed(last.tz_localize(None) + h * step, last.tz) for h in counts]

    def season(self) -> int | None:
        """Steps in a day for steps shorter than a day, in a week for days, in a year for weeks; else None."""
        for period, slack in ((DAY, 0.05), (WEEK, 0.05), (365.2425 * DAY, 0.25)):  # a year is no whole number of weeks
            if self.step < period:
                steps = round(period / self.step)
                return steps if steps >= 2 and abs(steps * self.step - period) < slack * self.step else None
        return None

    def describe(self, kind: str) -> str:
        return f"{'' if self.exact else 'about '}{apart(self.step, kind)} apart"


class Slots:
    """Times of a calendar that is no constant step. `every` is how many of them on the next row is, mostly 1."""

    every: int

    def between(self, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
        """All from `first` to `last`, both without a zone, ascending."""
        raise NotImplementedError

    def measure(self, times: pd.DatetimeIndex) -> Array:
        """How many steps lie between each row and the next: (rows - 1,) float64; NaN beside the calendar."""
        clock = on_the_clock(times).as_unit("us")
        slots = self.between(clock.min(), clock.max())
        at = np.searchsorted(slots.asi8, clock.asi8)
        found = np.append(slots.asi8, -1)[at] == clock.asi8
        place = np.where(found, at, np.nan)
        return np.asarray(np.diff(place) / self.every)

    def after(self, last: pd.Timestamp, counts: Sequence[int], unit: str | None) -> list[Any]:
        begin = last.tz_localize(None).as_unit("us")
        needed = max(counts) * self.every
        days = 64
        while True:
            slots = self.between(begin, begin + pd.Timedelta(days=days))
            slots = slots[slots > begin]
            if len(slots) >= needed:
                break
            days *= 4
        chosen = slots[np.array(counts) * self.every - 1]
        return [_placed(each if unit is None else each.as_unit(unit), last.tz) for each in chosen]

    def season(self) -> int | None:
        return None

    def describe(self, kind: str) -> str:
        raise NotImplementedError


@dataclass(frozen=True)
class Months(Slots):
    """On days of each month.

    Attributes:
        on: "days" of the month; "business start" or "business end", its first or last day from Monday to Friday; or
            "weekday", one of its weeks.
        days: for "days", ascending; where a month has fewer, its last.
        week, weekday: for "weekday": 0 = the first in the month, -1 = the last; 0 = Monday.
        at: seconds since midnight.
        every: how many of these on the next row is: 3 of the first of the month are quarters.
    """

    on: str
    days: tuple[int, ...] = ()
    week: int = 0
    weekday: int = 0
    at: float = 0.0
    every: int = 1

    def between(self, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
        begin = (first - pd.Timedelta(days=first.day - 1)).normalize()
        starts = pd.date_range(begin, last, freq="MS").as_unit("us")
        if self.on == "days":
            ends = starts.days_in_month
            each = [starts + pd.to_timedelta(np.minimum(day, ends) - 1, unit="D") for day in self.days]
            days = each[0].append(each[1:]) if len(each) > 1 else each[0]
        elif self.on == "weekday":
            offset: Any = pd.offsets.WeekOfMonth(week=self.week, weekday=self.weekday)
            if self.week < 0:
                offset = pd.offsets.LastWeekOfMonth(weekday=self.weekday)
            days = pd.DatetimeIndex([offset.rollforward(start) for start in starts])
        else:
            days = starts + (pd.offsets.BMonthEnd(0) if self.on == "business end" else pd.offsets.BMonthBegin(0))
        times = (days + pd.Timedelta(microseconds=round(self.at * 1e6))).as_unit("us").unique().sort_values()
        return times[(times >= first) & (times <= last)]

    def season(self) -> int | None:
        a_year = 12 * max(1, len(self.days))
        return a_year // self.every if a_year % self.every == 0 and a_year > self.every else None

    def describe(self, kind: str) -> str:
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
    """Times of some weekdays, from one to another.

    Attributes:
        weekdays: 0 = Monday.
        opens, closes: the first and the last time, in seconds since midnight.
    """

    weekdays: tuple[int, ...]
    opens: float
    closes: float


@dataclass(frozen=True)
class Week(Slots):
    """At the same times of each week.

    Attributes:
        sessions: when rows come.
        step: seconds from one to the next in a session; 0 where each is of one row.
        every: how many of these on the next row is.
    """

    sessions: tuple[Session, ...]
    step: float = 0.0
    every: int = 1

    def between(self, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
        days = pd.date_range(first.normalize(), last, freq="D").as_unit("us")
        found = [np.zeros(0, np.int64)]
        for each in self.sessions:
            own = days[days.day_of_week.isin(each.weekdays)].asi8
            times = np.array(each.opens) + self.step * np.arange(self._rows(each))
            found.append((own[:, None] + np.round(times * 1e6).astype(np.int64)).ravel())
        slots = np.sort(np.concatenate(found))
        slots = slots[(slots >= first.as_unit("us")._value) & (slots <= last.as_unit("us")._value)]
        return pd.DatetimeIndex(slots.view("datetime64[us]"))

    @property
    def slots(self) -> int:
        """Rows in a week."""
        return sum(self._rows(each) * len(each.weekdays) for each in self.sessions)

    def _rows(self, session: Session) -> int:
        return 1 + (round((session.closes - session.opens) / self.step) if self.step else 0)

    def season(self) -> int | None:
        """Rows in a day where there are several, the same number each day; else in a week."""
        days = [sum(self._rows(s) for s in self.sessions if day in s.weekdays) for day in range(7)]
        a_day = {rows for rows in days if rows}
        rows = a_day.pop() if len(a_day) == 1 and max(days) > 1 else self.slots
        return rows // self.every if rows % self.every == 0 and rows > self.every else None

    def describe(self, kind: str) -> str:
        parts = []
        for each in self.sessions:
            on = ", ".join(NAMES[day] for day in each.weekdays)
            hours = f" from {_clock(each.opens)} to {_clock(each.closes)}" if each.opens < each.closes else ""
            parts.append(on + (hours or (f" at {_clock(each.opens)}" if each.opens or len(self.sessions) > 1 else "")))
        shown = "; ".join(parts[:4]) + ("; ..." if len(parts) > 4 else "")
        each = f"at every {_ordinal(self.every)} time " if self.every > 1 else ""
        return each + (f"{apart(self.step)} apart " if self.step else "") + f"on {shown}"


Rule = Steps | Months | Week
RULES: Mapping[str, type[Rule]] = {"steps": Steps, "months": Months, "week": Week}


@dataclass(frozen=True)
class Calendar:
    """What is known of the times of a series.

    Attributes:
        kind: DATES, DURATIONS or NUMBERS.
        usual: the usual step, in seconds or as a number.
        rule: what they follow, or None where that is not known.
        steps: steps that it was found from.
        odd: those among them that left rows out, or were of another length.
        longest: the longest of these, in seconds or as a number; 0 where there is none.
    """

    kind: str
    usual: float
    rule: Rule | None
    steps: int = 0
    odd: int = 0
    longest: float = field(default=0.0)

    @property
    def counted(self) -> Rule:
        """What times are counted in: the rule, or the usual step where there is none."""
        return Steps(self.usual, exact=False) if self.rule is None else self.rule

    def measure(self, times: pd.Index) -> Array:
        """How many steps of the calendar lie between each row and the next, (rows - 1,): 1 where none is left out."""
        rule = self.counted
        if isinstance(rule, Slots):
            assert isinstance(times, pd.DatetimeIndex)
            return rule.measure(times)
        return rule.measure(times)

    def after(self, times: pd.Index, counts: Sequence[int]) -> list[Any]:
        """The times so many steps after the last, of the same type."""
        last = times[-1]
        return self.counted.after(last, counts, getattr(times, "unit", None))

    def season(self) -> int | None:
        """Steps after which a day, a week or a year begins anew, or None where the times do not say."""
        return None if self.rule is None or self.kind != DATES else self.rule.season()

    def describe(self) -> str:
        """How the rows are, for messages: "1 hour apart", "on the last day of each month"."""
        if self.rule is None:
            return f"at no regular times, usually {apart(self.usual, self.kind)} apart"
        return self.rule.describe(self.kind)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        told: dict[str, Any] = {"kind": self.kind, "usual": self.usual, "rule": None}
        if self.rule is not None:
            name = next(name for name, rule in RULES.items() if isinstance(self.rule, rule))
            told |= {"rule": name, **_plain(asdict(self.rule))}
        return told | {"steps": self.steps, "odd": self.odd, "longest": self.longest}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Calendar:
        """What `to_json` gave. Raises KeyError, TypeError, ValueError or InputError where it is no calendar."""
        options = dict(told)
        kind, name = options.pop("kind"), options.pop("rule")
        usual, longest = (_positive(options.pop(key), least) for key, least in (("usual", 1e-300), ("longest", 0)))
        steps, odd = int(options.pop("steps")), int(options.pop("odd"))
        if kind not in (DATES, DURATIONS, NUMBERS) or (name is not None and name not in RULES):
            raise InputError(f"its calendar is of no known kind: {kind!r}, {name!r}")
        if name in ("months", "week") and kind != DATES:
            raise InputError(f"its calendar is one of dates, and its times are {kind}")
        return cls(kind, usual, None if name is None else _rule(name, options), steps, odd, longest)


def find(times: pd.Index) -> Calendar | None:
    """The calendar of one series, or None where one row alone tells nothing.

    Args:
        times: ascending.
    """
    if len(times) < 2:
        return None
    kind, steps = kind_of(times), differences(times)
    usual = float(np.median(steps))
    best: tuple[int, Rule | None, Array] | None = None
    for rule in _candidates(times, steps, usual):
        found = rule.measure(times)  # type: ignore[arg-type]
        if isinstance(rule, Slots) and (every := _most_common(found[np.isfinite(found)])) > 1:
            rule = replace(rule, every=int(every))
            found = rule.measure(times)  # type: ignore[arg-type]
        odd = int((found != 1).sum())
        beside = np.isnan(found).sum() / 2 if isinstance(rule, Slots) else 0
        if beside <= STRAYS * len(steps) and (best is None or odd < best[0]):
            best = odd, rule, found != 1
        if odd == 0:
            break
    allowed = max(GAPS * len(steps), 1 if len(steps) >= 5 else 0)
    if best is None or best[0] > allowed:
        uneven = np.abs(steps - usual) > SLACK * usual
        return Calendar(kind, usual, None, len(steps), int(uneven.sum()), _longest(steps, uneven))
    return Calendar(kind, usual, best[1], len(steps), best[0], _longest(steps, best[2]))


def _candidates(times: pd.Index, steps: Array, usual: float) -> list[Rule]:
    """Rules that may hold, those first that are to be taken where several do."""
    common = _most_common(steps)
    rules: list[Rule] = [Steps(common)]
    if usual < WEEK or not isinstance(times, pd.DatetimeIndex):
        rules.append(Steps(usual, exact=False))
    if not isinstance(times, pd.DatetimeIndex):
        return rules
    clock = on_the_clock(times).as_unit("us")
    on_clock = _most_common(differences(clock))
    if on_clock > 0:
        rules.insert(0 if on_clock % DAY == 0 else 1, Steps(on_clock, clock=True))
    if usual >= 5 * DAY:
        return [*_of_months(clock), *rules]
    return [*rules, *_of_week(clock, steps)]


def _of_months(clock: pd.DatetimeIndex) -> list[Rule]:
    """Days of months that the times may be."""
    months = clock.year * 12 + clock.month
    each = len(clock) / len(np.unique(months))
    at = float(_most_common((clock - clock.normalize()).as_unit("us").asi8)) / 1e6
    if each > 1.3:
        days, counts = np.unique(clock.day[clock.days_in_month == 31], return_counts=True)
        chosen = days[2 * counts >= counts.max(initial=0)]
        return [Months("days", tuple(map(int, chosen)), at=at)] if 1 < len(chosen) <= 6 else []
    day = 31 if clock.is_month_end.mean() > 1 - GAPS else int(_most_common(clock.day))
    week, weekday = (clock.day - 1) // 7, int(_most_common(clock.day_of_week))
    rules: list[Rule] = [Months("days", (day,), at=at)]
    rules += [Months(f"business {side}", at=at) for side in ("end", "start")]
    if (clock.day_of_week == weekday).mean() > 1 - GAPS:
        last = (clock.day + 7 > clock.days_in_month).mean() > 1 - GAPS
        rules.append(Months("weekday", week=-1 if last else int(_most_common(week)), weekday=weekday, at=at))
    return rules


def _of_week(clock: pd.DatetimeIndex, steps: Array) -> list[Rule]:
    """The times of a week that come again. Three weeks show which; before, weekdays and times of day have to do."""
    micro = 1_000_000
    hours = (clock - clock.normalize()).as_unit("us").asi8
    weekdays = np.asarray(clock.day_of_week).astype(np.int64)
    slots, counts = np.unique(weekdays * int(DAY) * micro + hours, return_counts=True)
    if len(slots) > MOST_TIMES:
        return []
    if counts.max() >= 3:
        slots = slots[2 * counts >= counts.max()]
    else:
        span = (clock[-1] - clock[0]) / pd.Timedelta(days=1)
        days, often = np.unique(weekdays[np.append(True, np.diff(weekdays) != 0)], return_counts=True)
        times, each = np.unique(hours, return_counts=True)
        days, times = days[2 * often >= often.max()], times[2 * each >= each.max()]
        if span < 7 or (span < 14 and set(days.tolist()) not in COMMON_WEEKS):
            return []
        slots = (days[:, None] * int(DAY) * micro + times).ravel()
    rule = _sessions(slots / micro, _most_common(steps))
    return [] if rule is None else [rule]


def _sessions(slots: Array, step: float) -> Week | None:
    """Times of a week, in seconds, as sessions; None where these would be too many."""
    runs: dict[tuple[float, float], list[int]] = {}
    several = False
    for day in range(7):
        own = slots[(slots >= day * DAY) & (slots < (day + 1) * DAY)] - day * DAY
        cuts = np.flatnonzero(np.abs(np.diff(own) - step) > 1e-6) + 1
        for run in np.split(own, cuts) if len(own) else []:
            several |= len(run) > 1
            runs.setdefault((float(run[0]), float(run[-1])), []).append(day)
    if not runs or len(runs) > 60:
        return None
    sessions = tuple(Session(tuple(days), *ends) for ends, days in sorted(runs.items()))
    return Week(sessions, step if several else 0.0)


def _longest(steps: Array, odd: Array) -> float:
    return float(steps[odd].max(initial=0.0))


def _most_common(values: Any) -> float:
    """The value that there is most often, the least of several; 0 of none."""
    found, counts = np.unique(np.asarray(values), return_counts=True)
    return found[np.argmax(counts)].item() if len(found) else 0.0  # type: ignore[no-any-return]


def _unit(times: Any) -> float:
    return {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[times.unit]


def _placed(time: pd.Timestamp, zone: Any) -> pd.Timestamp:
    """A time of the clock at the place; of an hour that a change takes away the next, of two the first."""
    return time.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")  # type: ignore[arg-type]


def _ordinal(number: int) -> str:
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _clock(seconds: float) -> str:
    text = str(pd.Timedelta(seconds=seconds)).rpartition(" ")[2]
    return text.removesuffix(":00") if text.count(":") == 2 else text


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (tuple, list)) else value


def _positive(value: Any, least: float = 1e-300) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < np.inf:
        raise InputError(f"its calendar has {value!r} for a length of time")
    return value


def _rule(name: str, options: dict[str, Any]) -> Rule:
    """A rule from its options, checked."""
    if name == "steps":
        return Steps(_positive(options.pop("step")), bool(options.pop("clock")), bool(options.pop("exact")))
    if name == "week":
        told = options.pop("sessions")
        sessions = tuple(Session(tuple(map(int, s["weekdays"])), float(s["opens"]), float(s["closes"])) for s in told)
        week = Week(sessions, _positive(options.pop("step"), 0), int(options.pop("every")))
        right = all(
            s.weekdays and 0 <= s.opens <= s.closes < DAY and set(s.weekdays) <= set(range(7)) for s in sessions
        )
        if not right or not 0 < week.slots <= MOST_TIMES or not 1 <= week.every <= MOST_TIMES:
            raise InputError("its calendar is no week")
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
