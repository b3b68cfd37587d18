"""The times of the training data, which a fitted task keeps and compares with the times of every table that it reads.

A model counts steps, not time. If rows have another distance in time, are left out, or do not follow the given state,
the model still treats each as the next step. The calendar is therefore found once, at fit, and stored with the model,
and every table that the task reads is compared with it. Rows that are left out as often, and for as long, as in the
training data give no warning.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gatewise.errors import InputError, MissingExtraError, Text, Wording
from gatewise.layers.base import Array
from gatewise.tables.calendars import GAPS, Calendar, find
from gatewise.tables.rules import DAY, WEEK, Steps, differences, kind_of
from gatewise.tables.step_lengths import COUNTS, DATES, NUMBERS, step_length
from gatewise.tables.table import Table
from gatewise.tables.times import listed
from gatewise.tables.warn import warn

try:
    import pandas as pd
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks read tables with pandas: pip install 'gatewise[train]'") from error

Id = str | int | None
"""The id of a series; None if there is only one, without an id."""

LIKELY = 0.05
"""Warn if a future time falls where the data have no rows with at least this probability."""

YEAR = 366 * DAY
LONG_BREAK = 3600.0
"""A longer step than this, in seconds, may lead from closing to opening, however rare it is."""


@dataclass(frozen=True)
class Timeline:
    """The times of the data that a task was fitted on.

    Attributes:
        calendar: the calendar of all series except those in `others`; None if the data had no times, or too few.
        others: id -> calendar of a series that has another one.
        ends: id -> the time of its last row: a date in ISO 8601, or a number (of a duration: its seconds).
    """

    calendar: Calendar | None = None
    others: Mapping[Id, Calendar] = field(default_factory=dict)
    ends: Mapping[Id, str | int | float] = field(default_factory=dict)

    @property
    def dated(self) -> bool | None:
        """Whether the times were dates, for `read_table`; None if there were no times."""
        return None if self.calendar is None else self.calendar.kind == DATES

    def of(self, name: Id, times: pd.Index) -> Calendar | None:
        """The calendar by which the times of a series continue: that of the training data, unless they follow another.

        None if the training data had none and the series has only one row.
        """
        kept = self.others.get(name, self.calendar)
        if kept is not None and kept.kind == kind_of(times) and (kept.rule is not None or len(times) < 2):
            return kept if (other := _another(kept, times)) is None else other
        return find(times)

    def ahead(self, table: Table, horizons: Sequence[int]) -> dict[Id, list[Any] | None]:
        """For each series the times of the horizons after its last row, or None if the table has no times.

        If these times are uncertain, warnings say why. Times that are not known are NaT, or NaN for numbers.
        """
        found: dict[Id, list[Any] | None] = {}
        used: dict[Id, Calendar | None] = {}
        for name, start, stop in table.series:
            if table.times is None:
                found[name] = None
                continue
            own = table.times[start:stop]
            calendar = used[name] = self.of(name, own)
            unknown = np.nan if kind_of(own) == NUMBERS else pd.NaT
            found[name] = [unknown] * len(horizons) if calendar is None else calendar.after(own, horizons)
        for doubt in _doubts(used, horizons[-1]):
            warn(doubt)
        return found

    def season(self, table: Table) -> int | None:
        """The number of steps in a season, found from the times of the longest series; None if it cannot be found."""
        name, start, stop = max(table.series, key=lambda span: span[2] - span[1])
        calendar = None if table.times is None else self.of(name, table.times[start:stop])
        return None if calendar is None else calendar.season()

    def compare(self, table: Table) -> list[str]:
        """Warnings about the times of a table: another distance of rows, rows left out, or no times at all.

        There are none if the times are like those of the training data, or if the table is an array without times.
        """
        if self.calendar is None:
            return []
        if table.times is None:
            if not table.named:  # an array has no times
                return []
            return [
                f"the rows have no times, and the model was fitted on rows {self.calendar.describe()}, so it cannot be "
                "checked whether these are as far apart, and whether some are left out; give a frame whose index holds "
                "the times, or set time to the name of their column"
            ]
        if (kind := kind_of(table.times)) != self.calendar.kind:
            return [
                f"the times are {kind}, and the model was fitted on {self.calendar.kind}, so it cannot be checked "
                "whether the rows are as far apart as those; give times of the same kind"
            ]
        said: dict[str, list[tuple[Id, str]]] = {"rate": [], "gaps": []}
        for name, start, stop in table.series:
            if stop - start >= 2:
                for what, text in _differs(self.others.get(name, self.calendar), table, start, stop).items():
                    said[what].append((name, text))
        return [_first(told) for told in said.values() if told]

    def follows(self, table: Table, names: Collection[Id]) -> list[str]:
        """Warnings about series that begin from the state after training but do not follow on the training data."""
        if self.calendar is None or table.times is None or kind_of(table.times) != self.calendar.kind:
            return []
        told: list[tuple[Id, str]] = []
        for name, start, _ in table.series:
            if name not in names or name not in self.ends:
                continue
            begins = table.times[start : start + 1]
            end = _end(self.ends[name], table.times)
            if end is None:
                told.append((
                    name,
                    f"the state given is that after {self.ends[name]}, the last row fitted, and the rows begin at "
                    f"{begins[0]}: only one of them has a time zone, so it cannot be checked whether the rows follow; "
                    "give times with the zone of those fitted",
                ))  # fmt: skip
                continue
            calendar = self.others.get(name, self.calendar)
            both = end.append(begins)
            step = float(differences(both)[0])
            if step > 0 and (calendar.measure(both)[0] == 1 or step <= calendar.longest):
                continue
            expected = calendar.after(end, [1])[0]
            text = Text(
                f"the state given is that after {end[0]}, the last row fitted, and the rows begin at {begins[0]}, "
                f"where {expected} would follow; give the rows that follow those, or ",
                Wording("pass state=None", "leave out --after-training"),
                " to begin a new sequence",
            )
            told.append((name, text))
        return [_first(told)] if told else []

    def to_dict(self) -> dict[str, Any]:
        """The timeline as plain JSON values."""
        return {
            "calendar": None if self.calendar is None else self.calendar.to_dict(),
            "others": [[name, calendar.to_dict()] for name, calendar in self.others.items()],
            "ends": [[name, end] for name, end in self.ends.items()],
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any] | None) -> Timeline:
        """The reverse of `to_dict`; None = a file without times.

        Raises:
            KeyError, TypeError, ValueError, InputError: it is not a timeline.
        """
        if told is None:
            return cls()
        calendar = None if told["calendar"] is None else Calendar.from_dict(told["calendar"])
        others = {name: Calendar.from_dict(each) for name, each in told["others"]}
        ends: dict[Id, Any] = dict(told["ends"])
        if not all(isinstance(end, (str, int, float)) for end in ends.values()):
            raise InputError("the ends of its series are neither dates nor numbers")
        return cls(calendar, others, ends)


def timeline(table: Table, ends: bool = False) -> tuple[Timeline, list[str]]:
    """The timeline of the table that a task is fitted on, and warnings about its times.

    Args:
        table: the data.
        ends: whether to record the time of the last row of each series.
    """
    times = table.times
    if times is None:
        return Timeline(), []
    kept = {name: _as_json(times[stop - 1]) for name, _, stop in table.series} if ends else {}
    spans = sorted(table.series, key=lambda span: span[1] - span[2])
    main = find(times[spans[0][1] : spans[0][2]])
    if main is None:
        return Timeline(None, {}, kept), []
    others: dict[Id, Calendar] = {}
    seen: dict[bytes, tuple[Array, Calendar | None]] = {}
    steps, odd, longest, at = 0, 0, 0.0, 0
    for name, start, stop in spans:
        own = times[start:stop]
        key = own.to_numpy().tobytes()
        if key not in seen:
            seen[key] = _fit(main, own)
        wrong, other = seen[key]
        if other is not None:
            others[name] = other
            continue
        steps, odd = steps + len(wrong), odd + int(wrong.sum())
        if wrong.any() and (most := float(differences(own)[wrong].max())) > longest:
            longest, at = most, start + 1 + int(np.argmax(np.where(wrong, differences(own), -1)))
    main = replace(main, steps=steps, odd=odd, longest=longest)
    warnings = _uneven(main, table, at)
    if others:
        shown = "; ".join(f"{name!r}: rows {other.describe()}" for name, other in list(others.items())[:3])
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        warnings.append(
            f"{len(others)} of {len(spans)} series {'has' if len(others) == 1 else 'have'} other times than the rest "
            f"({main.describe()}): {shown}{more}. {COUNTS.capitalize()}"
        )
    return Timeline(main, others, kept), warnings


def _doubts(calendars: Mapping[Id, Calendar | None], horizon: int) -> list[str]:
    """Warnings about times up to `horizon` steps ahead, which were derived from these calendars of the series."""
    known = {name: calendar for name, calendar in calendars.items() if calendar is not None}
    if unknown := [name for name in calendars if name not in known]:
        return [f"the times of the forecast{_of(unknown)} are not known: one row does not tell how far apart rows are"]
    if guessed := [name for name, calendar in known.items() if calendar.rule is None]:
        calendar = known[guessed[0]]
        return [
            f"no calendar fits the times{_of(guessed)}, so those of the forecast go on in the usual step of "
            f"{step_length(calendar.usual, calendar.kind)} and are estimates"
        ]
    for calendar in known.values():
        if doubt := _too_short(calendar, horizon):
            return [doubt]
        if calendar.odd >= 3 and calendar.odd * horizon >= LIKELY * calendar.steps:
            return [
                f"the times of the forecast leave out no rows, as holidays do: {calendar.odd:,} of {calendar.steps:,} "
                f"steps of the data were not those of rows {calendar.describe()}"
            ]
    return []


def _too_short(calendar: Calendar, horizon: int) -> str | None:
    """A warning if there were odd steps and the data are too short to show whether they repeat each week or year."""
    if not calendar.odd:
        return None
    period, name = (WEEK, "weeks") if calendar.usual < WEEK else (YEAR, "years")
    dated = calendar.kind != NUMBERS
    if dated and calendar.span >= 2 * period:
        return None
    likely = calendar.odd * horizon >= LIKELY * calendar.steps
    if not likely and not (dated and calendar.longest >= LONG_BREAK):
        return None
    if not dated and calendar.odd >= 3:  # for numbers the period is not known
        return None
    less = f", and less than two {name} do not show whether such steps come again" if dated else ""
    return (
        f"the times of the forecast go on with rows {calendar.describe()} and may be wrong: {calendar.odd:,} of "
        f"{calendar.steps:,} steps of the data {'was' if calendar.odd == 1 else 'were'} not so{less}; fit on more "
        "rows, or set the times yourself"
    )


def _fit(main: Calendar, own: pd.Index) -> tuple[Array, Calendar | None]:
    """Which steps of a series are not in the calendar, (rows - 1,) bool; and its own calendar, if that fits better."""
    wrong = _odd(main, own)
    if wrong.sum() > max(GAPS * len(wrong), 1):
        other = find(own)
        if other is not None and other.rule is not None:
            return wrong, other
    return wrong, None


def _another(kept: Calendar, times: pd.Index) -> Calendar | None:
    """The calendar of times that do not follow the recorded one; None if they do, or if no other fits better."""
    odd = _odd(kept, times)
    if odd.sum() <= GAPS * len(odd):
        return None
    found = find(times)
    assert found is not None
    better = found.rule is not None and found.odd < odd.sum()
    return found if better or odd.mean() > 0.5 else None


def _odd(calendar: Calendar, times: pd.Index) -> Array:
    """Which steps leave rows out, or have another length: (rows - 1,) bool."""
    return np.asarray(calendar.measure(times) != 1) if len(times) > 1 else np.zeros(0, bool)


def _uneven(calendar: Calendar, table: Table, row: int) -> list[str]:
    """A warning if some times of the training data do not follow the calendar."""
    if not calendar.odd:
        if calendar.rule is not None:
            return []
        return [
            f"the rows are {calendar.describe()}: no calendar fits, so times ahead are estimates. {COUNTS.capitalize()}"
        ]
    estimated = "; no calendar fits, so times ahead are estimates" if calendar.rule is None else ""
    return [f"{_counted(calendar, calendar.steps, calendar.odd, calendar.longest, table, row)}{estimated}. "
            f"{COUNTS.capitalize()}"]  # fmt: skip


def _counted(calendar: Calendar, steps: int, odd: int, longest: float, table: Table, row: int) -> str:
    """A text that gives the number of odd steps, and the place of the longest."""
    if isinstance(calendar.counted, Steps):
        what = f"the usual {step_length(calendar.counted.step, calendar.kind)}"
    else:
        what = f"those of rows {calendar.describe()}"
    return (
        f"{odd:,} of {steps:,} steps {'is' if odd == 1 else 'are'} not {what}; the longest, "
        f"{step_length(longest, calendar.kind)}, ends at {table.where(row)}"
    )


def _differs(calendar: Calendar, table: Table, start: int, stop: int) -> dict[str, str]:
    """The differences to the times of the training data in one series: "rate" or "gaps" -> message."""
    assert table.times is not None
    times = table.times[start:stop]
    raw = differences(times)
    usual = float(np.median(raw))
    wrong = _odd(calendar, times)
    odd = int(wrong.sum())
    irregular = calendar.rule is None
    if irregular:
        another = None if 2 / 3 <= usual / calendar.usual <= 1.5 else find(times)
    else:
        another = _another(calendar, times)
    if another is not None:
        return {
            "rate": f"the rows are {another.describe()}, but the model was fitted on rows {calendar.describe()}, and "
            "it counts steps, not time; give rows like those, or fit again on rows like these"
        }
    longest = float(raw[wrong].max(initial=0.0))
    usually = np.inf if irregular else 3 + 2 * calendar.odd * len(wrong) / max(1, calendar.steps)
    if not odd or (longest <= calendar.longest and odd <= usually):
        return {}
    row = start + 1 + int(np.argmax(np.where(wrong, raw, -1)))
    return {
        "gaps": f"{_counted(calendar, len(wrong), odd, longest, table, row)}; {COUNTS}, so fill in the rows left out, "
        "or give the parts between them one by one"
    }


def _first(told: Sequence[tuple[Id, str]]) -> Text:
    """The text about the first series, and for how many other series the same is true."""
    name, text = told[0]
    own = "" if name is None else f"series {name!r}: "
    return Text(own, text, f" ({len(told) - 1} more series alike)" if len(told) > 1 else "")


def _of(names: Sequence[Id]) -> str:
    return "" if list(names) == [None] else f" of series {listed(names)}"


def _as_json(time: Any) -> str | int | float:
    if isinstance(time, pd.Timestamp):
        return time.isoformat()
    if isinstance(time, pd.Timedelta):
        return time.total_seconds()
    return time.item() if isinstance(time, np.generic) else time  # type: ignore[no-any-return]


def _end(end: str | int | float, times: pd.Index) -> pd.Index | None:
    """The time of a last row as an index of length one of the same type as the times; None if they do not compare."""
    kind = kind_of(times)
    if kind == NUMBERS:
        return pd.Index([end])
    if not isinstance(times, pd.DatetimeIndex):
        return pd.TimedeltaIndex([pd.Timedelta(seconds=float(end))]).as_unit(times.unit)  # type: ignore[attr-defined]
    last = pd.DatetimeIndex([pd.Timestamp(end)]).as_unit(times.unit)
    if (last.tz is None) != (times.tz is None):
        return None
    return last if times.tz is None else last.tz_convert(times.tz)
