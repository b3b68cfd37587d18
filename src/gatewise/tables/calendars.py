"""The calendar of a series: the rule that its times follow, from which future times are derived.

A calendar is found from the times of a table, and is only accepted if it reproduces these times. The kinds are:

    steps     each row follows the one before it after a constant time. Steps of whole days, and steps that are constant
              only in local time, are counted in local time, so that a change of the clock does not move them
    months    on the same days of each month, or of each third or twelfth: the 1st, the 15th and the last, the 30th; on
              its first or last business day; on its third Friday
    week      at the same times of each week: on weekdays, from Sunday to Thursday, in opening hours

Rows may be missing, as on holidays, at up to a share of `GAPS` of the steps, and up to a share of `STRAYS` of the rows
may have times that are not in the calendar. If no calendar fits, only the usual step is known, and future times are
estimates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from gatewise.errors import InputError, MissingExtraError
from gatewise.layers.base import Array
from gatewise.tables.rules import (
    DAY,
    MOST_TIMES,
    RULES,
    WEEK,
    Months,
    Rule,
    Session,
    Slots,
    Steps,
    Week,
    differences,
    kind_of,
    on_the_clock,
    positive,
    read_rule,
)
from gatewise.tables.step_lengths import DATES, DURATIONS, NUMBERS, SLACK, step_length

try:
    import pandas as pd
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks read tables with pandas: pip install 'gatewise[train]'") from error

GAPS = 0.1
"""The largest share of steps that may leave out rows, or have another length, for a calendar to be accepted."""

STRAYS = 0.01
"""The largest share of rows whose times may not be in the calendar, of those by months or weeks."""

COMMON_WEEKS = ({0, 1, 2, 3, 4}, {0, 1, 2, 3, 4, 5}, {6, 0, 1, 2, 3}, set(range(7)))
"""Common sets of weekdays, which are accepted from less than two weeks of data."""


@dataclass(frozen=True)
class Calendar:
    """The usual step and the rule of the times of a series.

    Attributes:
        kind: DATES, DURATIONS or NUMBERS.
        usual: the usual step, in seconds or as a number.
        rule: the rule that the times follow, or None if it is not known.
        steps: number of steps from which it was found.
        odd: number of those steps that left rows out, or had another length.
        longest: the longest of these, in seconds or as a number; 0 if there are none.
        span: time from the first to the last row of the longest series, in seconds or as a number.
    """

    kind: str
    usual: float
    rule: Rule | None
    steps: int = 0
    odd: int = 0
    longest: float = 0.0
    span: float = 0.0

    @property
    def counted(self) -> Rule:
        """The rule in which steps are counted; without a rule, the usual step."""
        return Steps(self.usual, exact=False) if self.rule is None else self.rule

    def measure(self, times: pd.Index) -> Array:
        """Number of steps of the calendar between each row and the next, (rows - 1,); 1 if no row is left out."""
        rule = self.counted
        if isinstance(rule, Slots):
            assert isinstance(times, pd.DatetimeIndex)
            return rule.measure(times)
        return rule.measure(times)

    def after(self, times: pd.Index, counts: Sequence[int]) -> list[Any]:
        """The times that are `counts` steps after the last one, of the same type."""
        last = times[-1]
        return self.counted.after(last, counts, getattr(times, "unit", None))

    def season(self) -> int | None:
        """Number of steps in a day, a week or a year, whichever is the season; None if the times do not tell."""
        return None if self.rule is None or self.kind != DATES else self.rule.season()

    def describe(self) -> str:
        """The spacing of the rows, for messages: "1 hour apart", "on the last day of each month"."""
        if self.rule is None:
            return f"at no regular times, usually {step_length(self.usual, self.kind)} apart"
        return self.rule.describe(self.kind)

    def to_dict(self) -> dict[str, Any]:
        """The calendar as plain JSON values."""
        told: dict[str, Any] = {"kind": self.kind, "usual": self.usual, "rule": None}
        if self.rule is not None:
            name = next(name for name, rule in RULES.items() if isinstance(self.rule, rule))
            told |= {"rule": name, **_as_lists(asdict(self.rule))}
        return told | {"steps": self.steps, "odd": self.odd, "longest": self.longest, "span": self.span}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Calendar:
        """The reverse of `to_dict`. Raises KeyError, TypeError, ValueError or InputError if it is not a calendar."""
        options = dict(told)
        kind, name = options.pop("kind"), options.pop("rule")
        usual, longest = (positive(options.pop(key), least) for key, least in (("usual", 1e-300), ("longest", 0)))
        steps, odd = int(options.pop("steps")), int(options.pop("odd"))
        span = positive(options.pop("span", steps * usual), 0)  # older files do not have it
        if kind not in (DATES, DURATIONS, NUMBERS) or (name is not None and name not in RULES):
            raise InputError(f"its calendar is of no known kind: {kind!r}, {name!r}")
        if name in ("months", "week") and kind != DATES:
            raise InputError(f"its calendar is one of dates, and its times are {kind}")
        return cls(kind, usual, None if name is None else read_rule(name, options), steps, odd, longest, span)


def find(times: pd.Index) -> Calendar | None:
    """The calendar of one series, or None if it has only one row.

    Args:
        times: ascending.
    """
    if len(times) < 2:
        return None
    kind, steps = kind_of(times), differences(times)
    usual, span = float(np.median(steps)), float(steps.sum())
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
        return Calendar(kind, usual, None, len(steps), int(uneven.sum()), _longest(steps, uneven), span)
    return Calendar(kind, usual, best[1], len(steps), best[0], _longest(steps, best[2]), span)


def _candidates(times: pd.Index, steps: Array, usual: float) -> list[Rule]:
    """Rules that the times may follow, in order of preference."""
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
    """Rules by days of months that the times may follow."""
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
        rules.append(Months("weekday", week=-1 if last else min(3, int(_most_common(week))), weekday=weekday, at=at))
    return rules


def _of_week(clock: pd.DatetimeIndex, steps: Array) -> list[Rule]:
    """The times of a week that repeat. With less than three weeks of data, weekdays and times of day are used."""
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
    """Times of a week, in seconds, as sessions; None if there would be too many."""
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
    """The most frequent value, or the least of several; 0 if there are none."""
    found, counts = np.unique(np.asarray(values), return_counts=True)
    return found[np.argmax(counts)].item() if len(found) else 0.0


def _as_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_lists(each) for key, each in value.items()}
    return [_as_lists(each) for each in value] if isinstance(value, (tuple, list)) else value
