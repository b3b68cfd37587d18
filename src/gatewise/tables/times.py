"""Read the times of a table's rows from dates, text or numbers, and check that they ascend in each series."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gatewise.errors import ANY, InputError, MissingExtraError, Parameter
from gatewise.layers.base import Array

try:
    import pandas as pd
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks read tables with pandas: pip install 'gatewise[train]'") from error

Where = Callable[[int], str]
"""A function that describes the place of a row, for messages."""

_YEAR_FIRST = r"\s*\d{4}"
_NUMBERS = re.compile(r"\s*\d{1,2}\s*[/.\- ]\s*\d{1,2}\s*[/.\- ]\s*\d{2,4}\b")
_OFFSET = re.compile(r"[T ]\d{2}[\d:.,]*\s*(Z|[+-]\d{2}(?::?\d{2})?)\s*$")


def listed(names: Sequence[object]) -> str:
    """The names as text for a message, at most twelve of them."""
    shown = ", ".join(map(repr, names[:12]))
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"


def find_times(
    frame: pd.DataFrame, time: str | None, origin: str, where: Where, dated: bool | None = None
) -> pd.Index | None:
    """The times in a column or in the index, or None if there are none; see `read_table`."""
    if time is None:
        if isinstance(frame.index, pd.MultiIndex):
            raise InputError(
                f"{origin} has an index of several levels; reset_index(), and pass ",
                Parameter("time", ANY),
                " and ",
                Parameter("series", ANY),
            )
        if isinstance(index := _of_pandas(frame.index), (pd.DatetimeIndex, pd.PeriodIndex)):
            return _parse_times(index, str(index.name or "the index"), where, dated)
        return None
    names = [str(name) for name in frame.columns]
    if time in names:
        return _parse_times(pd.Index(frame.iloc[:, names.index(time)]), time, where, dated)
    if frame.index.name is not None and str(frame.index.name) == time:
        return _parse_times(frame.index, time, where, dated)
    raise InputError(f"{origin} has no time column {time!r}; it has {listed(names)}")


def _of_pandas(values: pd.Index) -> pd.Index:
    """Convert Arrow's dates and durations to those of pandas, in their zone; other values are not changed."""
    kind = values.dtype.kind if isinstance(values.dtype, pd.ArrowDtype) else ""
    if kind == "M" or str(values.dtype).startswith("date"):
        return pd.DatetimeIndex(values)
    return pd.TimedeltaIndex(values) if kind == "m" else values


def _parse_times(values: pd.Index, name: str, where: Where, dated: bool | None) -> pd.Index:
    values = _of_pandas(values)
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
        dates = None if dated is False else _written_as_numbers(values, bool(dated))
        return values if dates is None else dates
    if isinstance(values, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        return values
    return _parse_text(values.astype(str), name, where)


def _written_as_numbers(values: pd.Index, dated: bool) -> pd.DatetimeIndex | None:
    """Dates that are written as whole numbers: 20240131, or 202401. None if they are more likely numbers.

    Numbers that count rows soon exceed the days of a month or the months of a year, so they are no dates. Numbers that
    would all be the same day of different years, such as 199001 and 199101, are left as numbers, because they are
    evenly spaced.

    Args:
        values: numbers, none of them missing.
        dated: whether they are known to be dates.
    """
    if not pd.api.types.is_integer_dtype(values.dtype) or len(values) < (1 if dated else 2):
        return None
    whole = pd.Series(values.to_numpy())
    for form, digits in (("%Y%m%d", 10_000), ("%Y%m", 100)):
        years = whole // digits
        if years.min() < 1800 or years.max() > 2200 or (not dated and (whole % digits).nunique() == 1):
            continue
        dates = pd.to_datetime(whole.astype(str), format=form, errors="coerce")
        if not dates.isna().any():
            return pd.DatetimeIndex(dates)
    return None


def _parse_text(text: pd.Index, name: str, where: Where) -> pd.DatetimeIndex:
    """Dates from text: ISO 8601, or another notation with the year first. Naive and zoned times are not mixed.

    If the offsets from UTC differ, as across a change of the clock, the dates are in UTC. Notations such as 03/04/2024
    are an error, because it may be a day in March or in April.
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
    offsets = text.str.extract(_OFFSET, expand=False)
    ways: list[dict[str, Any]] = [{"format": "ISO8601"}, {}]
    if not offsets.isna().any() and offsets.nunique() > 1:
        ways = [{**way, "utc": True} for way in ways]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns if it parses each row separately
        for way in ways:
            try:
                return pd.DatetimeIndex(pd.to_datetime(text, **way))
            except (ValueError, TypeError, OverflowError):
                continue
        failed = [np.flatnonzero(pd.to_datetime(text, errors="coerce", **{**way, "utc": True}).isna()) for way in ways]
    if not all(rows.size for rows in failed):
        row = int(np.argmax(offsets.isna() != offsets.isna()[0]))
        first, another = ("none" if pd.isna(offset) else offset for offset in offsets[[0, row]])
        raise InputError(
            f"the times {name!r} mix UTC offsets: {first} at {where(0)}, {another} at {where(row)}; write an offset in "
            "every row, or in none"
        )
    row = int(max(rows[0] for rows in failed))
    raise InputError(f"the time {name!r} cannot be read at {where(row)}: {text[row]!r}; use ISO 8601 throughout")


def check_order(times: pd.Index, starts: Sequence[int], where: Where) -> None:
    """Raise InputError if times do not ascend within the series that begin at `starts`."""
    steps, rows = _steps(times, starts)
    wrong = np.flatnonzero(steps <= 0)
    if not wrong.size:
        return
    row = int(rows[wrong[0]])
    if steps[wrong[0]] == 0:
        raise InputError(
            f"the time {times[row]} at {where(row)} is that of the row before ({wrong.size} such rows); "
            "keep one row for each time, or convert local times across a clock change to UTC"
        )
    raise InputError(
        f"the time {times[row]} at {where(row)} is earlier than {times[row - 1]} in the row before; "
        "sort the rows by time, or convert local times across a clock change to UTC; if they are of several series, "
        "pass ",
        Parameter("series", ANY),
        " with the column that tells them apart",
    )


def out_of_order(
    times: pd.Index, ranges: Sequence[tuple[str | int | None, int, int]], where: Where
) -> dict[str | int | None, str]:
    """The id of each series whose times do not ascend, with the reason; `ranges` has ids, first rows and ends."""
    found: dict[str | int | None, str] = {}
    for name, start, stop in ranges:

        def own(row: int, start: int = start) -> str:
            return where(start + row)

        try:
            check_order(times[start:stop], [0], own)
        except InputError as error:
            found[name] = error.text
    return found


def numbers(times: pd.Index) -> Array:
    """Times as numbers: int64 for dates and whole numbers, else float64."""
    if isinstance(times, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        return np.asarray(times.asi8)
    whole = pd.api.types.is_integer_dtype(times.dtype) and int(times.max()) <= np.iinfo(np.int64).max
    return times.to_numpy(np.int64 if whole else np.float64)


def _steps(times: pd.Index, starts: Sequence[int]) -> tuple[Array, Array]:
    """Differences of successive times within each series, as numbers, and the row at which each step ends."""
    steps = np.diff(numbers(times))
    within = np.ones(len(times), bool)
    within[[0, *starts]] = False
    rows = np.flatnonzero(within)
    return steps[rows - 1], rows
