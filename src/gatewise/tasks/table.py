"""Reading a table of readings: pandas, NumPy, CSV or Parquet in; checked float32 columns and times out.

Rows are never dropped, sorted, filled or converted from text in silence. What does not fit is refused with the place:
the row (counted from 0, as pandas does), for a CSV file its line, and the timestamp where there is one.
"""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import InputError, MissingExtraError
from gatewise.inputs.numeric.spec import MISSING, MOST, usable
from gatewise.layers.base import Array
from gatewise.tasks.files import read_file
from gatewise.tasks.times import Where, check_order, find_times, listed, uneven

try:
    import pandas as pd
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks read tables with pandas: pip install 'gatewise[train]'") from error

MANY_MISSING = 0.05
"""Share of missing readings in a column above which a caution is given."""

TO_FIT = 'pass missing="hold" to repeat the last finite reading, or fill them in'
FITTED = 'fill them in, or fit with missing="hold" to repeat the last finite reading'
FUTURE = "fill in the future that you pass: it must be known in each row"
"""What to do about missing readings: of data to fit on, of data for a model, of covariates ahead."""

ARRAY = "the array"
"""What an array is called in messages."""

_Ranges = tuple[tuple[str | int | None, int, int], ...]


@dataclass(frozen=True)
class Table:
    """A checked table.

    Attributes:
        values: (rows, columns) float32, C-contiguous; NaN where a reading is missing (not with missing "raise").
        columns: their names.
        deviations: (columns,) standard deviation of each, in the precision of the data.
        named: whether they are the data's own: those of an array are not.
        index: pandas index of the rows.
        times: pandas index of the times, strictly ascending within each series, or None.
        time: name of the time column, or None.
        origin: what to call it in messages: a path, or "the frame".
        cautions: what a user should know but need not change.
        where: says where a row was in the data, for messages.
        series: of each series its id, and the rows where it starts and stops; (None, 0, rows) where there are no ids.
        id: name of the column of ids, or None.
        order: (rows,) the number that each row had in the data: rows are grouped by series.
    """

    values: Array
    columns: tuple[str, ...]
    deviations: Array
    named: bool
    index: pd.Index
    times: pd.Index | None
    time: str | None
    origin: str
    cautions: tuple[str, ...]
    where: Where
    series: _Ranges
    id: str | None
    order: Array

    def __len__(self) -> int:
        return len(self.values)

    def frame(self, columns: dict[str, Array]) -> pd.DataFrame:
        """A frame of results on the rows of this table, led by the series and by the time, if that is not the index."""
        out = pd.DataFrame(columns, index=self.index)
        if self.times is not None and not self.times.equals(self.index):
            out.insert(0, unused(self.time or "time", out), self.times)
        if self.id is not None:
            ids = [name for name, start, stop in self.series for _ in range(start, stop)]
            out.insert(0, unused(self.id, out), ids)
        return out


def unused(name: str, taken: Container[str]) -> str:
    """A name for a column of results: the one given, with "_" behind it where results have a column of that name."""
    while name in taken:
        name += "_"
    return name


def read_table(
    data: Any,
    time: str | None = None,
    columns: Sequence[str] | None = None,
    missing: str = "raise",
    series: str | None = None,
    advice: str = TO_FIT,
) -> Table:
    """Read and check.

    Args:
        data: a pandas DataFrame or Series, a NumPy array (rows,) or (rows, columns), or the path of a .csv (may be
            compressed) or .parquet file. Array columns are called x0, x1, ...
        time: name of the time column (or of the frame's index): dates, ISO 8601 text, or ascending numbers. None = the
            frame's index if it holds dates, else no times.
        columns: names of the columns to read, in order; None = all but the time and the series.
        missing: "raise" refuses non-finite readings, "hold" and "mask" let them through as NaN.
        series: name of the column that tells several series apart, by text or whole numbers. Rows are grouped by it,
            in the order in which the series first appear, and stay in their order within each. None = one series.
        advice: what to do about missing readings that are refused.

    Raises:
        InputError: with the place, when the table is empty, a name is missing or twice there, a column is not numeric,
            readings are missing or too large for float32, ids are missing or of another type, or times cannot be read,
            are out of order or repeated within a series.
    """
    if missing not in MISSING:
        raise InputError(f'missing must be "raise", "hold" or "mask", got {missing!r}')
    frame, origin, first_line = _load(data)
    names = _unique_names(frame, origin)

    if not len(frame):
        raise InputError(f"{origin} has no rows")
    where = _places(first_line)
    times = find_times(frame, time, origin, where)
    order: Array = np.arange(len(frame))
    ranges: _Ranges = ((None, 0, len(frame)),)
    if series is not None:
        order, ranges = _group(_ids(frame, names, series, origin, where))
        frame, times = frame.iloc[order], None if times is None else times[order]
    starts = [start for _, start, _ in ranges]
    where = _places(first_line, None, None if series is None else ranges, order)
    if times is not None:
        check_order(times, starts, where)
        where = _places(first_line, times, None if series is None else ranges, order)
    chosen = _choose(names, time, series, columns, origin)
    values, deviations = np.empty((len(frame), len(chosen)), np.float32), np.zeros(len(chosen))
    cautions = [] if times is None else uneven(times, starts, where)
    for k, name in enumerate(chosen):
        values[:, k], deviations[k] = _numbers(frame.iloc[:, names.index(name)], name, where)
        _check_finite(values[:, k], name, missing, where, cautions, advice)
    return Table(
        values,
        chosen,
        deviations,
        origin != ARRAY,
        frame.index,
        times,
        time,
        origin,
        tuple(cautions),
        where,
        ranges,
        series,
        order,
    )


def _places(
    first_line: int | None, times: pd.Index | None = None, ranges: _Ranges | None = None, order: Array | None = None
) -> Where:
    """Says where a row of the table was in the data: its row and line there, its series and time."""

    def where(row: int) -> str:
        at = row if order is None else int(order[row])
        line = "" if first_line is None else f" (line {at + first_line})"
        own = "" if ranges is None else f", series {next(name for name, _, stop in ranges if row < stop)!r}"
        return f"row {at}{line}{own}" + ("" if times is None else f", {times[row]}")

    return where


def _ids(frame: pd.DataFrame, names: list[str], series: str, origin: str, where: Where) -> pd.Series[Any]:
    """The column of ids, all of them text or all of them whole numbers."""
    if series not in names:
        raise InputError(f"{origin} has no column of series {series!r}; it has {listed(names)}")
    column = frame.iloc[:, names.index(series)].astype(object)
    absent = np.flatnonzero(column.isna().to_numpy())
    if absent.size:
        raise InputError(f"the series {series!r} is missing at {where(int(absent[0]))} ({absent.size} in all)")
    if (kind := pd.api.types.infer_dtype(column)) not in ("string", "integer"):
        raise InputError(f"the series {series!r} must be all text or all whole numbers, got {kind}; convert it first")
    return column


def _group(ids: pd.Series[Any]) -> tuple[Array, _Ranges]:
    """The order of rows that groups them by id, and of each id its rows in that order."""
    codes, unique = pd.factorize(ids)
    stops = np.cumsum(np.bincount(codes)).tolist()
    named = [name if isinstance(name, str) else int(name) for name in unique]
    return np.argsort(codes, kind="stable"), tuple(zip(named, [0, *stops], stops, strict=False))


def _load(data: Any) -> tuple[pd.DataFrame, str, int | None]:
    """The data as a frame, what to call it, and for text files the line of row 0."""
    if isinstance(data, pd.DataFrame):
        return data, "the frame", None
    if isinstance(data, pd.Series):
        return data.to_frame("x0" if data.name is None else data.name), "the series", None
    if isinstance(data, (str, os.PathLike)):
        return read_file(Path(data))
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


def _unique_names(frame: pd.DataFrame, origin: str) -> list[str]:
    names = [str(name) for name in frame.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        at = [i for i, name in enumerate(names) if name == twice[0]]
        raise InputError(f"{origin} has the column {twice[0]!r} {len(at)} times, at {at}; rename or drop all but one")
    return names


def _choose(
    names: list[str], time: str | None, series: str | None, columns: Sequence[str] | None, origin: str
) -> tuple[str, ...]:
    others = {"time": time, "series": series}
    if columns is None:
        chosen = tuple(name for name in names if name not in others.values())
        if not chosen:
            besides = " and the ".join(role for role, name in others.items() if name is not None)
            raise InputError(f"{origin} has no columns of readings" + (besides and f" besides the {besides}"))
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
            raise InputError(f"{origin} has no column {name!r}; it has {listed(names)}")
        if name in others.values():
            role = "time" if name == time else "series"
            raise InputError(f"column {name!r} cannot be both the {role} and a reading; take it out of columns")
    if len(set(chosen)) < len(chosen):
        raise InputError(f"columns names a column twice: {list(chosen)}")
    return chosen


def _numbers(column: pd.Series[Any], name: str, where: Where) -> tuple[Array, float]:
    """A column as float32, and the standard deviation that it has before."""
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
    known = wide[np.isfinite(wide)]
    with np.errstate(over="ignore"):
        return narrow, float(known.std()) if known.size and np.ptp(known) else 0.0


def _not_numeric(column: pd.Series[Any], name: str, where: Where) -> str:
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


def _check_finite(
    values: Array, name: str, missing: str, where: Where, cautions: list[str], advice: str = TO_FIT
) -> None:
    """Refuse or count non-finite readings, and make them all NaN."""
    bad = np.flatnonzero(~np.isfinite(values))
    if not bad.size:
        return
    if missing == "raise":
        count = f"{bad.size} non-finite readings, the first" if bad.size > 1 else "a non-finite reading"
        raise InputError(f"column {name!r} has {count} at {where(int(bad[0]))}: {values[bad[0]]}; {advice}")
    share = bad.size / len(values)
    if share > MANY_MISSING:
        longest = max(len(run) for run in np.split(bad, np.flatnonzero(np.diff(bad) > 1) + 1))
        what = "scores there tell nothing" if missing == "hold" else "the model is told where"
        cautions.append(
            f"column {name!r}: {share:.1%} of the readings are missing and held at the last finite one, "
            f"up to {longest:,} in a row; {what}"
        )
    values[bad] = np.nan


def within_reach(
    table: Table,
    offset: Array,
    scale: Array,
    missing: str,
    advice: str = TO_FIT,
    transform: Sequence[str | None] | None = None,
) -> Table:
    """The table, where what scaling takes too far for any model to work with is missing, see `inputs/numeric/spec.py`.

    Args:
        table: the readings.
        offset, scale: (columns,) each.
        missing, advice: as for `read_table`.
        transform: of the columns before they are scaled.

    Raises:
        InputError: there are such readings, and missing ones are refused.
    """
    far = np.isfinite(table.values) & ~usable(table.values, offset, scale, transform)
    if not far.any():
        return table
    if missing == "raise":
        row, k = np.argwhere(far)[0].tolist()
        raise InputError(
            f"column {table.columns[k]!r} is {table.values[row, k]:g} at {table.where(row)}, more than {MOST:g} "
            f"standard deviations from the training mean of {offset[k]:g}; correct it, or take it as missing: {advice}"
        )
    return replace(table, values=np.where(far, np.float32(np.nan), table.values))


def standardise(table: Table, rows: int | Array) -> tuple[Array, Array]:
    """Mean and deviation of each column over the training part, which must be able to teach something.

    Args:
        table: the readings.
        rows: of the training part: how many there are, from the first; or, of several series, (rows,) bool.

    Returns:
        offset (columns,) and scale (columns,), float32.

    Raises:
        InputError: columns without readings there, constant, or with variations that float32 cannot hold.
    """
    training = table.values[rows if isinstance(rows, np.ndarray) else slice(rows)].astype(np.float64)
    part = f"in the {len(training):,} rows of the training part"
    offset, scale = np.zeros(training.shape[1]), np.ones(training.shape[1])
    empty, constant, coarse = [], [], []
    for k, name in enumerate(table.columns):
        values = training[:, k][np.isfinite(training[:, k])]
        if not values.size:
            empty.append(f"column {name!r} has no readings")
            continue
        offset[k], scale[k] = values.mean(), values.std()
        step = float(np.spacing(np.float32(np.abs(values).max())))
        varies = float(scale[k])
        if (values == values[0]).all():
            whole = table.values[:, k]
            varies = float(table.deviations[k]) if np.nanmin(whole) == np.nanmax(whole) else 0.0
        if not varies:
            constant.append(f"column {name!r} is {values[0]:g} throughout")
        elif step > 0.01 * varies:
            coarse.append(
                f"column {name!r} varies by {varies:.3g} around {offset[k]:.9g}, where float32 holds steps of "
                f"{step:.3g}"
            )
    them = "them" if len(empty) + len(constant) > 1 else "it"
    if empty:
        raise InputError(f"{enumerated(empty + constant)} {part}; leave {them} out of columns")
    if constant:
        vary = "they vary" if len(constant) > 1 else "it varies"
        raise InputError(
            f"{enumerated(constant)} {part}; leave {them} out of columns, or, for a target, give rows in which {vary}"
        )
    if coarse:
        each = "each" if len(coarse) > 1 else "it"
        raise InputError(f"{enumerated(coarse)}; subtract a constant near the mean of {each} before")
    return offset.astype(np.float32), scale.astype(np.float32)


def enumerated(parts: list[str]) -> str:
    """At most twelve of them."""
    return ", ".join(parts[:12]) + (f" and {len(parts) - 12} more" if len(parts) > 12 else "")
