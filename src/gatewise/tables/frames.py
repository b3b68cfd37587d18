"""Convert data to a pandas frame: anything that holds named columns, or numbers without names.

The kinds of data are tried in this order, so that as much as possible is known about the columns::

    pandas            a DataFrame, a Series
    a path            CSV or Parquet, see `files`
    xarray            with its to_pandas or to_dataframe, which keep the labels as an index
    Arrow             `__arrow_c_stream__` or `__arrow_c_array__` (polars, pyarrow, DuckDB and others), with pyarrow
    to_pandas         any other object with this method, or with to_dataframe
    a dict            of columns; a structured array of NumPy
    an array          (rows,) or (rows, columns), whose columns are called x0, x1, ...
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from gatewise.errors import ANY, InputError, MissingExtraError, Parameter
from gatewise.layers.base import Array
from gatewise.tables.files import TextFile, read_file
from gatewise.tables.times import listed

try:
    import pandas as pd
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks read tables with pandas: pip install 'gatewise[train]'") from error

ARRAY = "the array"
"""The name of an array in messages."""


def to_frame(data: Any) -> tuple[pd.DataFrame, str, int | None]:
    """The data as a frame, its name in messages, and for text files the line of row 0. Raises InputError."""
    if isinstance(data, pd.DataFrame):
        return data, "the frame", None
    if isinstance(data, pd.Series):
        return _named(data), "the series", None
    if isinstance(data, TextFile):
        return read_file(data)
    if isinstance(data, (str, os.PathLike)):
        return read_file(TextFile(data))
    if not isinstance(data, (np.ndarray, list, tuple)):
        labelled = hasattr(data, "dims")  # xarray, whose labels Arrow would turn into columns
        ways = (_of_pandas, _of_arrow, _of_dict) if labelled else (_of_arrow, _of_pandas, _of_dict)
        for way in ways:
            if (found := way(data)) is not None:
                return found, "the table", None
    if isinstance(data, np.ndarray) and data.dtype.names is not None:
        return _structured(data), "the structured array", None
    return _of_array(data), ARRAY, None


def with_levels(frame: pd.DataFrame, origin: str, time: str | None, series: str | None) -> pd.DataFrame:
    """The frame with the levels of its index that are named as time or series converted to columns.

    Raises:
        InputError: the index has several levels, and one that distinguishes rows is neither the time nor the series.
    """
    several = isinstance(frame.index, pd.MultiIndex)
    names = {str(name) for name in frame.columns}
    levels = [None if level is None else str(level) for level in frame.index.names]
    asked = [name for name in dict.fromkeys((series, time)) if name is not None and name in levels]
    if several:
        for place, level in enumerate(levels):
            if (level is None or level not in asked) and frame.index.get_level_values(place).nunique() > 1:
                called = f"level {place}" if level is None else f"level {level!r}"
                raise InputError(
                    f"{origin} has an index of several levels, and {called} is neither the time nor the series; pass ",
                    Parameter("time", ANY),
                    " and ",
                    Parameter("series", ANY),
                    " with the names of levels, or drop it with droplevel",
                )
    wanted = [name for name in asked if name not in names and (several or name == series)]
    if not wanted:
        return frame
    found = frame.copy(deep=False)
    for name in wanted:
        place = levels.index(name)
        found.insert(0, name, frame.index.get_level_values(place))
    return found


def _named(series: pd.Series[Any]) -> pd.DataFrame:
    return series.to_frame("x0" if series.name is None else series.name)


def _of_arrow(data: Any) -> pd.DataFrame | None:
    """Convert an object with Arrow's C interface: a table, a batch, or one column."""
    stream, array = hasattr(data, "__arrow_c_stream__"), hasattr(data, "__arrow_c_array__")
    if not (stream or array):
        return None
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError("reading Arrow tables needs pyarrow: pip install 'gatewise[train]'") from error
    try:
        if stream:
            whole = pa.chunked_array(data)
            kind = whole.type
            table = pa.table(data) if pa.types.is_struct(kind) else None
        else:
            whole = pa.array(data)
            table = pa.Table.from_batches([pa.record_batch(data)]) if pa.types.is_struct(whole.type) else None
        if table is None:
            name = getattr(data, "name", None)
            table = pa.table({str(name) if isinstance(name, str) and name else "x0": whole})
        if len(set(table.column_names)) < len(table.column_names):
            twice = next(name for name in table.column_names if table.column_names.count(name) > 1)
            raise InputError(f"the table has the column {twice!r} more than once; rename or drop all but one")
        return pd.DataFrame(table.to_pandas())
    except pa.ArrowException as error:
        raise InputError(f"the {type(data).__name__} cannot be read with Arrow: {error}") from None


def _of_pandas(data: Any) -> pd.DataFrame | None:
    """Convert an object that has a method to convert it to pandas."""
    failed: Exception | None = None
    for name in ("to_pandas", "to_dataframe"):
        way = getattr(data, name, None)
        if not callable(way):
            continue
        try:
            found = way()
        except (TypeError, ValueError) as error:
            failed = error
            continue
        if isinstance(found, pd.Series):
            return _named(found)
        if isinstance(found, pd.DataFrame):
            return found
    if failed is not None:
        raise InputError(f"the {type(data).__name__} cannot be converted to a pandas frame: {failed}") from None
    return None


def _of_dict(data: Any) -> pd.DataFrame | None:
    """A dict of columns, all of one length."""
    if not isinstance(data, Mapping):
        return None
    columns: dict[Any, Any] = {}
    for name, value in data.items():
        whole = value if isinstance(value, (pd.Series, pd.Index)) else _of_arrow(value)
        if isinstance(whole, pd.DataFrame):
            whole = whole.iloc[:, 0]
        columns[name] = _column(value, name) if whole is None else whole
    lengths = {name: len(value) for name, value in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name!r} {length}" for name, length in list(lengths.items())[:12])
        raise InputError(f"the columns of the dict must all have the same length, got {told}")
    index = next((value.index for value in columns.values() if isinstance(value, pd.Series)), None)
    for name, value in columns.items():
        if isinstance(value, pd.Series) and index is not None and not value.index.equals(index):
            raise InputError(f"column {name!r} of the dict has another index than those before; make one frame of them")
    return pd.DataFrame(columns, index=index)


def _column(value: Any, name: Any) -> Any:
    """One column of a dict."""
    try:
        array = _as_array(value)
    except ValueError as error:
        raise InputError(f"column {name!r} of the dict is no array: {error}; give (rows,)") from None
    if array.ndim != 1:
        raise InputError(f"column {name!r} of the dict must be (rows,), got shape {array.shape}")
    return list(value) if array.dtype.kind in "OU" and isinstance(value, (list, tuple)) else array


def _structured(data: Array) -> pd.DataFrame:
    if data.ndim != 1 or data.dtype.names is None:
        raise InputError(f"a structured array must be (rows,), got shape {data.shape}")
    return pd.DataFrame({name: _column(np.asarray(data)[name], name) for name in data.dtype.names})


def _of_array(data: Any) -> pd.DataFrame:
    try:
        array = _as_array(data)
    except ValueError as error:
        raise InputError(f"the data are no array: {error}; give (rows,) or (rows, columns)") from None
    if array.ndim == 0 and array.dtype.kind == "O":
        raise InputError(
            f"a {type(data).__name__} is not a table; pass a frame (pandas, polars, Arrow, xarray), a dict of columns, "
            "an array, or the path of a .csv or .parquet file"
        )
    if array.dtype.kind not in "fiub":
        raise InputError(f"the array must hold real numbers, got {array.dtype}; convert it first")
    if array.ndim not in (1, 2):
        raise InputError(f"the array must be (rows,) or (rows, columns), got shape {array.shape}")
    array = array.reshape(len(array), -1) if array.size else array.reshape(len(array), array.shape[-1:][0] or 1)
    return pd.DataFrame(array, columns=[f"x{i}" for i in range(array.shape[1])])


def _as_array(data: Any) -> Array:
    """The data as an array. Masked values become NaN. Raises ValueError if they are ragged."""
    if isinstance(data, (list, tuple)) and any(isinstance(row, np.ma.MaskedArray) for row in data):
        data = np.ma.array(data)
    if isinstance(data, np.ma.MaskedArray) and data.dtype.kind in "fiub":
        return np.asarray(np.ma.filled(data.astype(np.float64), np.nan))
    return np.asarray(data)


def unique_names(frame: pd.DataFrame, origin: str) -> list[str]:
    """The names of the columns as texts. Raises InputError if a name occurs twice."""
    names = [str(name) for name in frame.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        at = [i for i, name in enumerate(names) if name == twice[0]]
        raise InputError(f"{origin} has the column {twice[0]!r} {len(at)} times, at {at}; rename or drop all but one")
    return names


def no_column(origin: str, what: str, name: str, frame: pd.DataFrame) -> InputError:
    """The error for a column that is not in the data, which names the columns and index levels that are."""
    levels = [str(level) for level in frame.index.names if level is not None]
    there = listed([str(column) for column in frame.columns]) + (f"; its index is {listed(levels)}" if levels else "")
    return InputError(f"{origin} has no {what} {name!r}; it has {there}")
