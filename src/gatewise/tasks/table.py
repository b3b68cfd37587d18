"""Reading a table of readings: pandas, NumPy, CSV or Parquet in; checked float32 columns and times out.

Rows are never dropped, sorted, filled or converted from text in silence. What does not fit is refused with the place:
the row (counted from 0, as pandas does), for a CSV file its line, and the timestamp where there is one.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import InputError, MissingExtraError
from gatewise.layers.base import Array

try:
    import pandas as pd
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks read tables with pandas: pip install 'gatewise[train]'") from error

MANY_MISSING = 0.05
"""Share of missing readings in a column above which a caution is given."""

ARRAY = "the array"
"""What an array is called in messages."""

_Where = Callable[[int], str]
_OFFSET = re.compile(r"(Z|[+-]\d{2}:?\d{2})\s*$")


@dataclass(frozen=True)
class Table:
    """A checked table.

    Attributes:
        values: (rows, columns) float32, C-contiguous; NaN where a reading is missing (only with missing "hold").
        columns: their names.
        named: whether they are the data's own: those of an array are not.
        index: pandas index of the rows, as handed in.
        times: pandas index of the times, strictly ascending, or None.
        time: name of the time column, or None.
        origin: what to call it in messages: a path, or "the frame".
        cautions: what a user should know but need not change.
        where: says where a row is, for messages.
    """

    values: Array
    columns: tuple[str, ...]
    named: bool
    index: pd.Index
    times: pd.Index | None
    time: str | None
    origin: str
    cautions: tuple[str, ...]
    where: _Where

    def __len__(self) -> int:
        return len(self.values)

    def frame(self, columns: dict[str, Array]) -> pd.DataFrame:
        """A frame of results on the rows of this table, led by the time column where that is not the index already."""
        out = pd.DataFrame(columns, index=self.index)
        if self.times is not None and not self.times.equals(self.index):
            name = self.time or "time"
            out.insert(0, name if name not in out else f"{name}_", self.times)
        return out


def read_table(
    data: Any,
    time: str | None = None,
    columns: Sequence[str] | None = None,
    missing: str = "raise",
) -> Table:
    """Read and check.

    Args:
        data: a pandas DataFrame or Series, a NumPy array (rows,) or (rows, columns), or the path of a .csv (may be
            compressed) or .parquet file. Array columns are called x0, x1, ...
        time: name of the time column (or of the frame's index): dates, ISO 8601 text, or ascending numbers. None = the
            frame's index if it holds dates, else no times.
        columns: names of the columns to read, in order; None = all but the time.
        missing: "raise" refuses non-finite readings, "hold" lets them through as NaN.

    Raises:
        InputError: with the place, when the table is empty, a name is missing or twice there, a column is not numeric,
            readings are missing or too large for float32, or times cannot be read, are out of order or repeated.
    """
    if missing not in ("raise", "hold"):
        raise InputError(f'missing must be "raise" or "hold", got {missing!r}')
    frame, origin, first_line = _load(data)
    names = _unique_names(frame, origin)

    if not len(frame):
        raise InputError(f"{origin} has no rows")
    where = _places(first_line, None)
    times = _find_times(frame, time, origin, where)
    if times is not None:
        _check_order(times, where)
        where = _places(first_line, times)
    chosen = _choose(names, time, columns, origin)
    values = np.empty((len(frame), len(chosen)), np.float32)
    cautions = [] if times is None else _spacing(times, where)
    for k, name in enumerate(chosen):
        values[:, k] = _numbers(frame.iloc[:, names.index(name)], name, where)
        _check_finite(values[:, k], name, missing, where, cautions)
    return Table(values, chosen, origin != ARRAY, frame.index, times, time, origin, tuple(cautions), where)


def _places(first_line: int | None, times: pd.Index | None) -> _Where:
    """Says where a row is."""

    def where(row: int) -> str:
        line = "" if first_line is None else f" (line {row + first_line})"
        return f"row {row}{line}" + ("" if times is None else f", {times[row]}")

    return where


def _load(data: Any) -> tuple[pd.DataFrame, str, int | None]:
    """The data as a frame, what to call it, and for text files the line of row 0."""
    if isinstance(data, pd.DataFrame):
        return data, "the frame", None
    if isinstance(data, pd.Series):
        return data.to_frame("x0" if data.name is None else data.name), "the series", None
    if isinstance(data, (str, os.PathLike)):
        return _read_file(Path(data))
    try:
        array = _array(data)
    except ValueError as error:
        raise InputError(f"the data are no array: {error}; give (rows,) or (rows, columns)") from None
    if array.dtype.kind not in "fiub":
        raise InputError(f"the array must hold real numbers, got {array.dtype}; convert it first")
    if array.ndim not in (1, 2):
        raise InputError(f"the array must be (rows,) or (rows, columns), got shape {array.shape}")
    array = array.reshape(len(array), -1) if array.size else array.reshape(len(array), array.shape[-1:][0] or 1)
    return pd.DataFrame(array, columns=[f"x{i}" for i in range(array.shape[1])]), ARRAY, None


def _array(data: Any) -> Array:
    """As an array; what a masked one hides is missing, so it becomes NaN. Raises ValueError where it is ragged."""
    if isinstance(data, (list, tuple)) and any(isinstance(row, np.ma.MaskedArray) for row in data):
        data = np.ma.array(data)
    if isinstance(data, np.ma.MaskedArray) and data.dtype.kind in "fiub":
        return np.asarray(np.ma.filled(data.astype(np.float64), np.nan))
    return np.asarray(data)


def _read_file(path: Path) -> tuple[pd.DataFrame, str, int | None]:
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    suffixes = path.suffixes
    if suffixes[-1:] in ([".parquet"], [".pq"]):
        try:
            return pd.read_parquet(path), str(path), None
        except ImportError as error:
            raise MissingExtraError("reading Parquet needs pyarrow: pip install 'gatewise[train]'") from error
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is no readable Parquet file: {error}") from None
    if ".csv" not in suffixes[-2:]:
        raise InputError(f"{path} is neither .csv nor .parquet; read it with pandas and give the frame")
    return _read_csv(path), str(path), 2


def _read_csv(path: Path) -> pd.DataFrame:
    """Read a comma-separated file with one header line, keeping every line: a blank one is a row without readings."""
    common: dict[str, Any] = {"encoding": "utf-8-sig", "skip_blank_lines": False}
    try:
        head = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, **common)
        header = [str(name).strip() for name in head.iloc[0]]
        _check_header(header, path)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame: pd.DataFrame = pd.read_csv(path, low_memory=False, index_col=False, **common)
    except pd.errors.EmptyDataError:
        raise InputError(f"{path} is empty") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error}); convert it, or read it with pandas") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise InputError(f"{path}: {str(error).strip()}; every line must have {len(header)} fields") from None
    except (OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    frame.columns = pd.Index(header)  # as they stand in the file: pandas renames those that are there twice
    return frame


def _check_header(header: list[str], path: Path) -> None:
    if all(_is_number(name) for name in header):
        raise InputError(f"{path} has no header line: its first line is {','.join(header)[:60]}; add column names")
    if "" in header:
        raise InputError(
            f"{path}: column {header.index('')} has no name; name it (an index: write the file with index=False)"
        )
    if len(header) == 1 and re.search(r"[;\t|]", header[0]):
        raise InputError(
            f"{path}: the only column is {header[0]!r}, so fields are not separated by commas; "
            "read it with pandas.read_csv(path, sep=...) and give the frame"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _unique_names(frame: pd.DataFrame, origin: str) -> list[str]:
    names = [str(name) for name in frame.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        at = [i for i, name in enumerate(names) if name == twice[0]]
        raise InputError(f"{origin} has the column {twice[0]!r} {len(at)} times, at {at}; rename or drop all but one")
    return names


def _choose(names: list[str], time: str | None, columns: Sequence[str] | None, origin: str) -> tuple[str, ...]:
    if columns is None:
        chosen = tuple(name for name in names if name != time)
        if not chosen:
            raise InputError(f"{origin} has no columns of readings" + ("" if time is None else " besides the time"))
        return chosen
    if isinstance(columns, str):
        raise InputError(f"columns must be a list of names, got the text {columns!r}; write [{columns!r}]")
    columns = columns.tolist() if hasattr(columns, "tolist") else columns
    if not isinstance(columns, (list, tuple)):
        raise InputError(f"columns must be a list of names, got {columns!r}")
    chosen = tuple(columns)
    if not chosen:
        raise InputError("columns is an empty list; name at least one, or give None for all")
    for name in chosen:
        if name not in names:
            raise InputError(f"{origin} has no column {name!r}; it has {_listed(names)}")
        if name == time:
            raise InputError(f"column {name!r} cannot be both the time and a reading; take it out of columns")
    if len(set(chosen)) < len(chosen):
        raise InputError(f"columns names a column twice: {list(chosen)}")
    return chosen


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:12]))
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"


def _numbers(column: pd.Series[Any], name: str, where: _Where) -> Array:
    """One column as float32; missing values become NaN, infinite ones stay."""
    dtype: Any = column.dtype
    numeric = pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype)
    if pd.api.types.is_object_dtype(dtype):
        kinds = ("floating", "integer", "mixed-integer-float", "decimal", "boolean", "empty")
        numeric = pd.api.types.infer_dtype(column, skipna=True) in kinds
    if not numeric or pd.api.types.is_complex_dtype(dtype):
        raise InputError(_not_numeric(column, name, where))
    try:
        wide = column.to_numpy(np.float64, na_value=np.nan)
    except OverflowError:
        most = float(np.finfo(np.float32).max)
        row = next(i for i, value in enumerate(column) if isinstance(value, int) and abs(value) > most)
        raise InputError(
            f"column {name!r} holds a whole number at {where(row)}, too large for float32 (3.4e38); scale it"
        ) from None
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    if (bad := np.flatnonzero(np.isinf(narrow) & np.isfinite(wide))).size:
        raise InputError(
            f"column {name!r} holds {wide[bad[0]]:g} at {where(int(bad[0]))}, too large for float32 (3.4e38); scale it"
        )
    return narrow


def _not_numeric(column: pd.Series[Any], name: str, where: _Where) -> str:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return f"column {name!r} holds dates; pass time={name!r}, or leave it out of columns"
    present = column[column.notna().to_numpy()]
    as_numbers = pd.to_numeric(present.astype(str), errors="coerce").isna().to_numpy()
    rows = np.flatnonzero(column.notna().to_numpy())
    if not as_numbers.any():
        return f"column {name!r} holds numbers as text ({column.dtype}); convert it with pandas.to_numeric"
    row = int(rows[as_numbers][0])
    value = str(column.iloc[row])
    if as_numbers.all() and not pd.isna(pd.to_datetime(value, errors="coerce")):
        return f"column {name!r} is not numeric: {value!r}; if it is the time, pass time={name!r}"
    short = value if len(value) <= 40 else value[:37] + "..."
    return f"column {name!r} is not numeric: {short!r} at {where(row)}; correct it, or leave it out of columns"


def _check_finite(values: Array, name: str, missing: str, where: _Where, cautions: list[str]) -> None:
    """Refuse or count non-finite readings, and make them all NaN."""
    bad = np.flatnonzero(~np.isfinite(values))
    if not bad.size:
        return
    if missing == "raise":
        count = f"{bad.size} non-finite readings, the first" if bad.size > 1 else "a non-finite reading"
        raise InputError(
            f"column {name!r} has {count} at {where(int(bad[0]))}: {values[bad[0]]}; "
            'pass missing="hold" to repeat the last finite reading, or fill them in'
        )
    share = bad.size / len(values)
    if share > MANY_MISSING:
        longest = max(len(run) for run in np.split(bad, np.flatnonzero(np.diff(bad) > 1) + 1))
        cautions.append(
            f"column {name!r}: {share:.1%} of the readings are missing and held at the last finite one, "
            f"up to {longest:,} in a row; scores there tell nothing"
        )
    values[bad] = np.nan


def _find_times(frame: pd.DataFrame, time: str | None, origin: str, where: _Where) -> pd.Index | None:
    if time is None:
        if isinstance(frame.index, pd.MultiIndex):
            raise InputError(f"{origin} has an index of several levels; fit each series by itself")
        if isinstance(frame.index, (pd.DatetimeIndex, pd.PeriodIndex)):
            return _parse_times(frame.index, str(frame.index.name or "the index"), where)
        return None
    names = [str(name) for name in frame.columns]
    if time in names:
        return _parse_times(pd.Index(frame.iloc[:, names.index(time)]), time, where)
    if frame.index.name is not None and str(frame.index.name) == time:
        return _parse_times(frame.index, time, where)
    raise InputError(f"{origin} has no time column {time!r}; it has {_listed(names)}")


def _parse_times(values: pd.Index, name: str, where: _Where) -> pd.Index:
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


def _parse_text(text: pd.Index, name: str, where: _Where) -> pd.DatetimeIndex:
    """Dates from text: ISO 8601, else the one format of the first row. Naive and zoned times are not mixed."""
    ways: list[dict[str, Any]] = [{"format": "ISO8601"}, {}]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns where it guesses the order of day and month
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


def _check_order(times: pd.Index, where: _Where) -> None:
    steps = _steps(times)
    wrong = np.flatnonzero(steps <= 0)
    if not wrong.size:
        return
    row = int(wrong[0]) + 1
    if steps[row - 1] == 0:
        raise InputError(
            f"the time {times[row]} at {where(row)} is there already in the row before ({wrong.size} such rows); "
            "keep one row for each time, or convert local times across a clock change to UTC"
        )
    raise InputError(
        f"the time {times[row]} at {where(row)} is earlier than {times[row - 1]} in the row before; "
        "sort the rows by time, or convert local times across a clock change to UTC"
    )


def _spacing(times: pd.Index, where: _Where) -> list[str]:
    """A caution when the steps are not evenly spaced."""
    steps = _steps(times)
    if len(steps) < 2:
        return []
    usual = float(np.median(steps))
    uneven = np.abs(steps - usual) > 0.1 * usual  # calendar months (28 to 31 days) and days of 23 hours are even
    if not uneven.any():
        return []
    longest = int(np.argmax(steps))
    shown: tuple[object, object] = (times[longest + 1] - times[longest], usual)
    if isinstance(times, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        shown = shown[0], pd.Timedelta(int(usual), unit=times.unit)
    return [
        f"{int(uneven.sum()):,} of {len(steps):,} steps are not the usual {shown[1]} apart; the longest, {shown[0]}, "
        f"ends at {where(longest + 1)}. The model counts steps, not time"
    ]


def _steps(times: pd.Index) -> Array:
    """Differences of successive times, as numbers."""
    dated = isinstance(times, (pd.DatetimeIndex, pd.TimedeltaIndex))
    return np.diff(times.asi8 if dated else times.to_numpy(np.float64))  # type: ignore[attr-defined]


def standardise(table: Table, rows: int) -> tuple[Array, Array]:
    """Mean and deviation of each column over the first `rows` rows, which must be able to teach something.

    Returns:
        offset (columns,) and scale (columns,), float32.

    Raises:
        InputError: a column without readings there, constant, or with variations that float32 cannot hold.
    """
    training = table.values[:rows].astype(np.float64)
    part = f"in the {rows:,} rows of the training part"
    offset, scale = np.zeros(training.shape[1]), np.ones(training.shape[1])
    for k, name in enumerate(table.columns):
        values = training[:, k][np.isfinite(training[:, k])]
        if not values.size:
            raise InputError(f"column {name!r} has no readings {part}; leave it out of columns")
        if (values == values[0]).all():
            raise InputError(
                f"column {name!r} is {values[0]:g} throughout {part}; leave it out of columns, or, if it is the "
                "target, give rows in which it varies"
            )
        offset[k], scale[k] = values.mean(), values.std()
        step = float(np.spacing(np.float32(np.abs(values).max())))
        if step > 0.01 * scale[k]:
            raise InputError(
                f"column {name!r} varies by {scale[k]:.3g} around {offset[k]:.9g}, where float32 holds steps of "
                f"{step:.3g}; subtract a constant near its mean first"
            )
    return offset.astype(np.float32), scale.astype(np.float32)
