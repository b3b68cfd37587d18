"""The times of a table's rows: read from dates, text or numbers, ascending in each series, evenly spaced or not."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gatewise.errors import InputError, MissingExtraError
from gatewise.layers.base import Array

try:
    import pandas as pd
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks read tables with pandas: pip install 'gatewise[train]'") from error

Where = Callable[[int], str]
"""Says where a row is, for messages."""

_YEAR_FIRST = r"\s*\d{4}"
_NUMBERS = re.compile(r"\s*\d{1,2}\s*[/.\- ]\s*\d{1,2}\s*[/.\- ]\s*\d{2,4}\b")
_OFFSET = re.compile(r"(Z|[+-]\d{2}:?\d{2})\s*$")


def listed(names: Sequence[object]) -> str:
    """Names for a message: at most twelve of them."""
    shown = ", ".join(map(repr, names[:12]))
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"


def find_times(frame: pd.DataFrame, time: str | None, origin: str, where: Where) -> pd.Index | None:
    """The times that a column or the index holds, or None where there are none; `read_table` says what may be one."""
    if time is None:
        if isinstance(frame.index, pd.MultiIndex):
            raise InputError(f"{origin} has an index of several levels; reset_index(), and pass time= and series=")
        if isinstance(frame.index, (pd.DatetimeIndex, pd.PeriodIndex)):
            return _parse_times(frame.index, str(frame.index.name or "the index"), where)
        return None
    names = [str(name) for name in frame.columns]
    if time in names:
        return _parse_times(pd.Index(frame.iloc[:, names.index(time)]), time, where)
    if frame.index.name is not None and str(frame.index.name) == time:
        return _parse_times(frame.index, time, where)
    raise InputError(f"{origin} has no time column {time!r}; it has {listed(names)}")


def _parse_times(values: pd.Index, name: str, where: Where) -> pd.Index:
    if isinstance(values, pd.PeriodIndex):
        values = values.to_timestamp()
    if (absent := np.flatnonzero(values.isna())).size:
        raise InputError(f"the time {name!r} is missing at {where(int(absent[0]))} ({absent.size} in all)")
    dtype: Any = values.dtype
    if pd.api.types.is_bool_dtype(dtype):
        raise InputError(f"the time {name!r} is {dtype}; it must be dates, ISO 8601 text or ascending numbers")
    if pd.api.types.is_numeric_dtype(dtype):
        numbers = values.to_numpy(np.float64)
        if (bad := np.flatnonzero(~np.isfinite(numbers))).size:
            raise InputError(f"the time {name!r} is {numbers[bad[0]]} at {where(int(bad[0]))}")
        return values
    if isinstance(values, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        return values
    return _parse_text(values.astype(str), name, where)


def _parse_text(text: pd.Index, name: str, where: Where) -> pd.DatetimeIndex:
    """Dates from text: ISO 8601, or another notation with the year first. Naive and zoned times are not mixed.

    Elsewhere 03/04/2024 is a day in March or in April, and which cannot be told from the text.
    """
    if (other := np.flatnonzero(~text.str.match(_YEAR_FIRST))).size:
        row = int(other[0])
        if _NUMBERS.match(text[row]):
            raise InputError(
                f"the time {name!r} is {text[row]!r} at {where(row)}, which does not say what is day and what month; "
                "write ISO 8601, the year first, or parse it before, e.g. pandas.to_datetime(..., dayfirst=True)"
            )
        raise InputError(
            f"the time {name!r} cannot be read at {where(row)}: {text[row]!r}; use ISO 8601 throughout, or parse it "
            "before with pandas.to_datetime"
        )
    ways: list[dict[str, Any]] = [{"format": "ISO8601"}, {}]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns where it reads each row on its own
        for way in ways:
            try:
                return pd.DatetimeIndex(pd.to_datetime(text, **way))
            except (ValueError, TypeError, OverflowError):
                continue
        failed = [np.flatnonzero(pd.to_datetime(text, errors="coerce", utc=True, **way).isna()) for way in ways]
    if not all(rows.size for rows in failed):
        zones = np.array([(match.group(1) if (match := _OFFSET.search(t)) else "none") for t in text])
        row = int(np.argmax(zones != zones[0]))
        raise InputError(
            f"the times {name!r} mix UTC offsets: {zones[0]} at {where(0)}, {zones[row]} at {where(row)}; convert them "
            f"with pandas.to_datetime(..., utc=True)"
        )
    row = int(max(rows[0] for rows in failed))
    raise InputError(f"the time {name!r} cannot be read at {where(row)}: {text[row]!r}; use ISO 8601 throughout")


def check_order(times: pd.Index, starts: Sequence[int], where: Where) -> None:
    """Refuse times that do not ascend within the series that begin at `starts`."""
    steps, rows = _steps(times, starts)
    wrong = np.flatnonzero(steps <= 0)
    if not wrong.size:
        return
    row = int(rows[wrong[0]])
    if steps[wrong[0]] == 0:
        raise InputError(
            f"the time {times[row]} at {where(row)} is there already in the row before ({wrong.size} such rows); "
            "keep one row for each time, or convert local times across a clock change to UTC"
        )
    raise InputError(
        f"the time {times[row]} at {where(row)} is earlier than {times[row - 1]} in the row before; "
        "sort the rows by time, or convert local times across a clock change to UTC"
    )


def uneven(times: pd.Index, starts: Sequence[int], where: Where) -> list[str]:
    """A caution when the steps within the series that begin at `starts` are not evenly spaced."""
    steps, rows = _steps(times, starts)
    if len(steps) < 2:
        return []
    usual = float(np.median(steps))
    odd = ~even(steps, usual)
    if not odd.any():
        return []
    longest = int(rows[np.argmax(steps)])
    shown: tuple[object, object] = (times[longest] - times[longest - 1], f"{usual:g}")
    if isinstance(times, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        shown = shown[0], pd.Timedelta(int(usual), unit=times.unit)
    return [
        f"{int(odd.sum()):,} of {len(steps):,} steps are not the usual {shown[1]} apart; the longest, {shown[0]}, "
        f"ends at {where(longest)}. The model counts steps, not time"
    ]


def on_weekdays(times: pd.Index) -> bool:
    """Whether the times are days from Monday to Friday, with the weekends left out."""
    if not isinstance(times, pd.DatetimeIndex) or len(times) < 2:
        return False
    days = times.tz_localize(None).normalize()
    gaps = np.diff(days.as_unit("s").asi8) // 86400
    return bool((days.day_of_week < 5).all() and np.median(gaps) == 1 and (gaps > days.day_of_week[1:]).any())


def steps_ahead(times: pd.Index, step: Any, horizons: Sequence[int]) -> list[Any]:
    """The times so many steps after the last: of whole days on the clock of the place, and of weekdays on weekdays."""
    if not isinstance(times, pd.DatetimeIndex):
        return [times[-1] + h * step for h in horizons]
    local = times.tz_localize(None)
    usual = pd.Timedelta(int(np.median(np.diff(local.asi8))), unit=local.unit)
    weekdays = on_weekdays(times)
    if not weekdays and (usual % pd.Timedelta(days=1) or len(set(local[-13:].time)) > 1):
        return [times[-1] + h * step for h in horizons]
    clock = [local[-1] + (pd.offsets.BDay(h) if weekdays else h * usual) for h in horizons]
    return [each.tz_localize(times.tz, ambiguous=True, nonexistent="shift_forward") for each in clock]


def numbers(times: pd.Index) -> Array:
    """Times as numbers: int64 where they are dates or whole numbers, else float64."""
    if isinstance(times, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        return np.asarray(times.asi8)
    whole = pd.api.types.is_integer_dtype(times.dtype) and int(times.max()) <= np.iinfo(np.int64).max
    return times.to_numpy(np.int64 if whole else np.float64)


def _steps(times: pd.Index, starts: Sequence[int]) -> tuple[Array, Array]:
    """Differences of successive times within each series, as numbers, and the row at which each ends."""
    steps = np.diff(numbers(times))
    within = np.ones(len(times), bool)
    within[[0, *starts]] = False
    rows = np.flatnonzero(within)
    return steps[rows - 1], rows


def even(steps: Any, usual: Any) -> Array:
    """Whether steps are the usual one, give or take a tenth: calendar months (28 to 31 days), days of 23 hours."""
    return np.asarray(np.abs(steps - usual) <= 0.1 * usual)
