"""Read a table of readings, in any form that `frames` knows, into checked float32 columns and times.

Rows are never silently dropped, sorted, filled or converted from text. Data that do not fit are refused with an error
that gives the place: the row (counted from 0, as in pandas), the line of a CSV file, and the time if there is one.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatewise.errors import ANY, InputError, MissingExtraError, Parameter, Text, Wording
from gatewise.inputs.base import MISSING
from gatewise.layers.base import Array
from gatewise.readings import refuse_rounded
from gatewise.tables.columns import as_float32, as_float64, is_rounded, like_time, says_too_large, too_large
from gatewise.tables.constants import asked, constant_of, evenly_ascending
from gatewise.tables.frames import ARRAY, no_column, to_frame, unique_names, with_levels
from gatewise.tables.times import Where, check_order, find_times, listed, out_of_order

try:
    import pandas as pd
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks read tables with pandas: pip install 'gatewise[train]'") from error

MANY_MISSING = 0.05
"""The share of missing readings in a column above which a warning is given."""

TO_FIT = Text("pass ", Parameter("missing", "hold"), " to repeat the last finite reading, or fill them in")
_HELD = Wording("fit with missing='hold'", "train with --missing hold")
FITTED = Text("fill them in, or ", _HELD, " to repeat the last finite reading")
FUTURE = Text("fill in ", Wording("the future that you pass", "the file of --future"), ": it must be known in each row")
"""What to do about missing readings: in data to fit on, in data for a fitted model, in future covariates."""

_Ranges = tuple[tuple[str | int | None, int, int], ...]


@dataclass(frozen=True)
class Table:
    """A checked table.

    Attributes:
        values: (rows, columns) float32, C-contiguous, after subtraction of `subtract`; missing readings are NaN (with
            missing "raise" there are none).
        columns: names of the columns.
        deviations: (columns,) standard deviation of each column, in the precision of the data.
        named: whether the data have these names; arrays have none.
        index: pandas index of the rows.
        times: pandas index of the times, strictly ascending within each series, or None.
        time: name of the time column, or None.
        origin: name of the table in messages: a path, or "the frame".
        warnings: warnings about the readings.
        where: a function that describes the place of a row in the data, for messages.
        series: for each series its id, its first row and the row before which it ends; (None, 0, rows) without ids.
        id: name of the column of ids, or None.
        order: (rows,) the number of each row in the data; the rows of the table are grouped by series.
        subtract: (columns,) float64, constants that were subtracted before rounding to float32; mostly 0.
        left_out: ids of the series of the data that are left out, and the reasons.
        given: number of rows in the data, including those of series that are left out.
        answers: (rows,) what a task shall answer at each row, as in the data; None = the task finds it in the readings.
    """

    values: Array
    columns: tuple[str, ...]
    deviations: Array
    named: bool
    index: pd.Index
    times: pd.Index | None
    time: str | None
    origin: str
    warnings: tuple[str, ...]
    where: Where
    series: _Ranges
    id: str | None
    order: Array
    subtract: Array
    left_out: tuple[tuple[str | int | None, str], ...] = ()
    given: int = 0
    answers: pd.Series[Any] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def constants(self) -> Array | None:
        """`subtract`, or None if nothing was subtracted."""
        return self.subtract if self.subtract.any() else None

    def wide(self, columns: int | Sequence[int]) -> Array:
        """The readings of one or several columns, by position, in the units of the data: float64."""
        return np.asarray(self.values[:, columns].astype(np.float64) + self.subtract[columns])

    def select(self, columns: Sequence[int]) -> Table:
        """The table with these columns, in this order."""
        return replace(
            self,
            values=self.values[:, columns],
            columns=tuple(self.columns[k] for k in columns),
            deviations=self.deviations[columns],
            subtract=self.subtract[columns],
        )

    def without(self, faults: Mapping[str | int | None, str]) -> Table:
        """The table without some series, given by their ids with the reasons.

        Raises:
            InputError: no series would be left.
        """
        kept = [(name, start, stop) for name, start, stop in self.series if name not in faults]
        if len(kept) == len(self.series):
            return self
        if not kept:
            first = next(iter(faults.values()))
            raise InputError(first, f"; none of the {len(faults):,} series can be used" if len(faults) > 1 else "")
        rows = np.concatenate([np.arange(start, stop) for _, start, stop in kept])
        stops = np.cumsum([stop - start for _, start, stop in kept]).tolist()
        ids = [name for name, _, _ in kept]
        return replace(
            self,
            values=self.values[rows],
            index=self.index[rows],
            times=None if self.times is None else self.times[rows],
            where=lambda row: self.where(int(rows[row])),
            series=tuple(zip(ids, [0, *stops], stops, strict=False)),
            order=self.order[rows],
            left_out=(*self.left_out, *((name, why) for name, why in faults.items())),
            answers=None if self.answers is None else self.answers.iloc[rows].reset_index(drop=True),
        )

    def only(self, which: Any = None) -> Table:
        """The table with one series, which is given by its id; None = the only one.

        Raises:
            InputError: there are several series and none is chosen, there is no such series, or it was left out.
        """
        known = [name for name, *_ in self.series]
        if self.id is None and which is not None:
            raise InputError(f"there is one series, and none called {which!r}; leave the name out")
        if which is None and len(known) == 1:
            which = known[0]
        if which in (faults := dict(self.left_out)):
            raise InputError(faults[which])
        if which not in known:
            raise InputError(
                f"one of {len(known)} series is used, got {which!r}; name one of {listed(known)} with ",
                Parameter("series", ANY),
            )
        return replace(self.without({name: "" for name in known if name != which}), left_out=())

    def frame(self, columns: dict[str, Array]) -> pd.DataFrame:
        """A frame of results on the rows of this table, led by the series and by the time, if that is not the index."""
        out = pd.DataFrame(columns, index=self.index)
        levels = [None if level is None else str(level) for level in self.index.names]
        if self.times is not None and not self.times.equals(self.index) and (not self.time or self.time not in levels):
            out.insert(0, unused(self.time or "time", out), self.times)
        if self.id is not None and self.id not in levels:
            ids = [name for name, start, stop in self.series for _ in range(start, stop)]
            out.insert(0, unused(self.id, {*out, self.time}), ids)
        return out


def unused(name: str, taken: Container[object]) -> str:
    """A name for a column of results: the given one, with "_" appended if another column has that name."""
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
    dated: bool | None = None,
    subtract: Any = None,
    leave_out: bool = False,
    answers: str | int | pd.Series[Any] | None = None,
) -> Table:
    """Read a table and check it.

    Args:
        data: a frame of pandas, polars, Arrow or xarray, a dict of columns, a NumPy array (rows,) or (rows, columns),
            or the path of a .csv (may be compressed) or .parquet file; see `frames`. Array columns are called x0, x1,
            ...
        time: name of the time column (or of a level of the index): dates, ISO 8601 text, or ascending numbers. None =
            the frame's index if it holds dates, else no times. Text whose offsets from UTC differ is read as UTC.
        columns: names of the columns to read, in order; None = all but the time and the series.
        missing: "raise" = non-finite readings are an error; "hold" and "mask" = they become NaN.
        series: name of the column, or level of the index, with the ids of several series, which are text or whole
            numbers. Rows are grouped by series, in the order in which the series first appear, and keep their order
            within each. None = one series.
        advice: the next action for missing readings, for the message of an error.
        dated: whether whole numbers for times are dates, 20240131 or 202401; None = if they can be dates and would not
            be evenly spaced as numbers.
        subtract: (columns,) constants to subtract from the columns in float64; `FIND`, for all or for one, = find a
            constant near the readings if float32 is too coarse for their variation; None = nothing. It may also be a
            function that returns one of these, given the names of the columns.
        leave_out: whether, among several series, one with missing readings although `missing` is "raise", with readings
            too large for float32, or with times out of order, is left out instead of raising an error.
        answers: the column, by name or position, with what a task shall answer at each row, of any type, which is not
            read as a column of readings; or these values themselves, in the order of the rows.

    Raises:
        InputError: the table is empty, a name is missing or occurs twice, a column is not numeric, readings are missing
            or too large for float32, ids are missing or of another type, or times cannot be read, are out of order or
            repeated within a series. The message gives the place.
    """
    if missing not in MISSING:
        raise InputError(f'missing must be "raise", "hold" or "mask", got {missing!r}')
    whole, origin, first_line = to_frame(data)
    frame = with_levels(whole, origin, time, series)
    names = unique_names(frame, origin)

    if not len(frame):
        raise InputError(f"{origin} has no rows")
    where = _places(first_line)
    times = find_times(frame, time, origin, where, dated)
    order: Array = np.arange(len(frame))
    ranges: _Ranges = ((None, 0, len(frame)),)
    if series is not None:
        order, ranges = _group(_ids(frame, names, series, origin, where))
        frame, times = frame.iloc[order], None if times is None else times[order]
    starts = [start for _, start, _ in ranges]
    where = _places(first_line, None, None if series is None else ranges, order)
    faults: dict[str | int | None, str] = {}
    if times is not None:
        try:
            check_order(times, starts, where)
        except InputError:
            if not (leave_out and series is not None):
                raise
            faults = out_of_order(times, ranges, where)
        where = _places(first_line, times, None if series is None else ranges, order)
    answered, known = _answers(whole, answers, origin)
    chosen = _choose(names, {"time": time, "series": series, "target": answered}, columns, origin, frame)
    values, deviations = np.empty((len(frame), len(chosen)), np.float32), np.zeros(len(chosen))
    warnings: list[str] = []
    constants, to_find = asked(subtract, chosen)
    for k, name in enumerate(chosen):
        column = frame.iloc[:, names.index(name)]
        wide = as_float64(column, name, where)
        if to_find[k]:
            constants[k] = 0.0 if is_rounded(column) else constant_of(wide)
            if constants[k] and evenly_ascending(wide, starts):
                raise InputError(like_time(name, time, wide))
        elif is_rounded(column):
            refuse_rounded(column.dtype, f"the readings of column {name!r}", float(constants[k]))
        wide = wide - constants[k] if constants[k] else wide
        if leave_out and series is not None:
            wide = _without_too_large(wide, name, ranges, where, faults)
        values[:, k], deviations[k] = as_float32(wide, name, where)
        if leave_out and series is not None and missing == "raise":
            _faulty(values[:, k], name, ranges, where, advice, faults)
        else:
            _check_finite(values[:, k], name, missing, where, warnings, advice, ranges)
    index = whole.index if series is None else whole.index[order]
    table = Table(
        values,
        chosen,
        deviations,
        origin != ARRAY,
        index,
        times,
        time,
        origin,
        tuple(warnings),
        where,
        ranges,
        series,
        order,
        constants,
        given=len(frame),
        answers=None if known is None else known.iloc[order].reset_index(drop=True),
    )
    return table.without(faults) if faults else table


def _faulty(
    values: Array, name: str, ranges: _Ranges, where: Where, advice: str, faults: dict[str | int | None, str]
) -> None:
    """Note each series with a missing reading in this column."""
    for id, row in _first_of(np.flatnonzero(~np.isfinite(values)), ranges):
        fault = Text(f"column {name!r} has a non-finite reading at {where(row)}: {values[row]}; ", advice)
        faults.setdefault(id, fault)


def _without_too_large(
    wide: Array, name: str, ranges: _Ranges, where: Where, faults: dict[str | int | None, str]
) -> Array:
    """Note each series with readings of this column that are too large for float32; they become NaN."""
    bad = too_large(wide)
    if not bad.size:
        return wide
    for id, row in _first_of(bad, ranges):
        faults.setdefault(id, says_too_large(wide, name, row, where))
    wide = wide.copy()
    wide[bad] = np.nan
    return wide


def _first_of(rows: Array, ranges: _Ranges) -> list[tuple[str | int | None, int]]:
    """The first of the given rows, which ascend, in each series, with its id."""
    which, first = np.unique(np.searchsorted([stop for _, _, stop in ranges], rows, side="right"), return_index=True)
    return [(ranges[i][0], int(rows[at])) for i, at in zip(which.tolist(), first.tolist(), strict=True)]


def _places(
    first_line: int | None, times: pd.Index | None = None, ranges: _Ranges | None = None, order: Array | None = None
) -> Where:
    """A function that describes the place of a row in the data: its row and line, its series and time."""

    def where(row: int) -> str:
        at = row if order is None else int(order[row])
        line = "" if first_line is None else f" (line {at + first_line})"
        own = "" if ranges is None else f", series {next(name for name, _, stop in ranges if row < stop)!r}"
        return f"row {at}{line}{own}" + ("" if times is None else f", {times[row]}")

    return where


def _ids(frame: pd.DataFrame, names: list[str], series: str, origin: str, where: Where) -> pd.Series[Any]:
    """The column of ids, all of them text or all of them whole numbers."""
    if series not in names:
        raise no_column(origin, "column of series", series, frame)
    column = frame.iloc[:, names.index(series)].astype(object)
    absent = np.flatnonzero(column.isna().to_numpy())
    if absent.size:
        raise InputError(f"the series {series!r} is missing at {where(int(absent[0]))} ({absent.size} in all)")
    if (kind := pd.api.types.infer_dtype(column)) not in ("string", "integer"):
        raise InputError(f"the series {series!r} must be all text or all whole numbers, got {kind}; convert it first")
    return column


def _group(ids: pd.Series[Any]) -> tuple[Array, _Ranges]:
    """The order of rows that groups them by id, and for each id its rows in that order."""
    codes, unique = pd.factorize(ids)
    stops = np.cumsum(np.bincount(codes)).tolist()
    named = [name if isinstance(name, str) else int(name) for name in unique]
    return np.argsort(codes, kind="stable"), tuple(zip(named, [0, *stops], stops, strict=False))


def _answers(
    frame: pd.DataFrame, answers: str | int | pd.Series[Any] | None, origin: str
) -> tuple[str | None, pd.Series[Any] | None]:
    """The name of the column of answers, if they are a column, and the answers in the order of the data."""
    if answers is None:
        return None, None
    if isinstance(answers, pd.Series):
        if len(answers) != len(frame):
            raise InputError(f"{origin} has {len(frame):,} rows and y has {len(answers):,} answers; give one a row")
        return None, answers
    own = [str(name) for name in frame.columns]
    name = own[answers] if isinstance(answers, int) and 0 <= answers < len(own) else answers
    if name not in own:
        raise no_column(origin, "target", str(name), frame)
    return str(name), frame.iloc[:, own.index(str(name))]


def _choose(
    names: list[str],
    others: Mapping[str, str | None],
    columns: Sequence[str] | None,
    origin: str,
    frame: pd.DataFrame,
) -> tuple[str, ...]:
    """The columns of readings; `others` are the columns that have another role."""
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
            raise no_column(origin, "column", name, frame)
        if name in others.values():
            role = next(role for role, other in others.items() if name == other)
            raise InputError(
                f"column {name!r} cannot be both the {role} and a reading; leave it out of ", Parameter("columns")
            )
    if len(set(chosen)) < len(chosen):
        raise InputError(f"columns names a column twice: {list(chosen)}")
    return chosen


def _check_finite(
    values: Array, name: str, missing: str, where: Where, warnings: list[str], advice: str, ranges: _Ranges
) -> None:
    """Raise an error for non-finite readings, or count them and make them NaN."""
    bad = np.flatnonzero(~np.isfinite(values))
    if not bad.size:
        return
    if missing == "raise":
        count = f"{bad.size} non-finite readings, the first" if bad.size > 1 else "a non-finite reading"
        of = [id for id, _ in _first_of(bad, ranges)]
        other = f"; there are such in {len(of)} of {len(ranges)} series: {listed(of)}" if len(of) > 1 else ""
        raise InputError(f"column {name!r} has {count} at {where(int(bad[0]))}: {values[bad[0]]}{other}; ", advice)
    share = bad.size / len(values)
    if share > MANY_MISSING:
        longest = max(len(run) for run in np.split(bad, np.flatnonzero(np.diff(bad) > 1) + 1))
        what = "scores there tell nothing" if missing == "hold" else "the model is told where"
        warnings.append(
            f"column {name!r}: {share:.1%} of the readings are missing and filled forward with the last finite one, "
            f"up to {longest:,} in a row; {what}"
        )
    values[bad] = np.nan


def enumerated(parts: list[str]) -> str:
    """The parts as text, at most twelve of them."""
    return ", ".join(parts[:12]) + (f" and {len(parts) - 12} more" if len(parts) > 12 else "")
