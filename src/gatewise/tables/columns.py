"""Convert a column of a table to float64, and then to the float32 of a model, or explain why it cannot be converted."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.errors import InputError, MissingExtraError, Parameter, Text
from gatewise.layers.base import Array
from gatewise.readings import rounded
from gatewise.tables.separators import misread
from gatewise.tables.times import Where

try:
    import pandas as pd
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks read tables with pandas: pip install 'gatewise[train]'") from error

_OR_LEAVE_OUT = Text(", or leave it out of ", Parameter("columns"))


def as_float64(column: pd.Series[Any], name: str, where: Where) -> Array:
    """One column as float64; missing values become NaN, infinite values are kept."""
    dtype: Any = column.dtype
    numeric = pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype)
    if pd.api.types.is_object_dtype(dtype):
        kinds = ("floating", "integer", "mixed-integer-float", "decimal", "boolean", "empty")
        numeric = pd.api.types.infer_dtype(column, skipna=True) in kinds
    if not numeric or pd.api.types.is_complex_dtype(dtype):
        raise InputError(_not_numeric(column, name, where))
    try:
        return column.to_numpy(np.float64, na_value=np.nan)
    except OverflowError:
        most = float(np.finfo(np.float32).max)
        row = next(i for i, value in enumerate(column) if isinstance(value, int) and abs(value) > most)
        raise InputError(
            f"column {name!r} holds a whole number at {where(row)}, too large for float32 (3.4e38); scale it"
        ) from None


def as_float32(wide: Array, name: str, where: Where) -> tuple[Array, float]:
    """A column as float32, and its standard deviation in float64."""
    if (bad := too_large(wide)).size:
        raise InputError(says_too_large(wide, name, int(bad[0]), where))
    narrow = wide.astype(np.float32)
    known = wide[np.isfinite(wide)]
    with np.errstate(over="ignore"):
        return narrow, float(known.std()) if known.size and np.ptp(known) else 0.0


def too_large(wide: Array) -> Array:
    """The rows, ascending, whose finite readings are too large for float32."""
    with np.errstate(over="ignore"):
        return np.flatnonzero(np.isinf(wide.astype(np.float32)) & np.isfinite(wide))


def says_too_large(wide: Array, name: str, row: int, where: Where) -> str:
    """The message about such a reading."""
    return f"column {name!r} holds {wide[row]:g} at {where(row)}, too large for float32 (3.4e38); scale it"


def _not_numeric(column: pd.Series[Any], name: str, where: Where) -> Text:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return Text(f"column {name!r} holds dates; pass ", Parameter("time", name), _OR_LEAVE_OUT)
    present = column[column.notna().to_numpy()]
    as_numbers = pd.to_numeric(present.astype(str), errors="coerce").isna().to_numpy()
    rows = np.flatnonzero(column.notna().to_numpy())
    if not as_numbers.any():
        return Text(f"column {name!r} holds numbers as text ({column.dtype}); convert it with pandas.to_numeric")
    row = int(rows[as_numbers][0])
    value = str(column.iloc[row])
    if (otherwise := misread(value)) is not None:
        return Text(f"column {name!r} is not numeric: {value!r} at {where(row)} ", otherwise)
    if as_numbers.all() and not pd.isna(pd.to_datetime(value, errors="coerce")):
        return Text(f"column {name!r} is not numeric: {value!r}; if it is the time, pass ", Parameter("time", name))
    short = value if len(value) <= 40 else value[:37] + "..."
    return Text(f"column {name!r} is not numeric: {short!r} at {where(row)}; correct it", _OR_LEAVE_OUT)


def is_rounded(column: pd.Series[Any]) -> bool:
    """Whether the numbers of a column have fewer digits than float64."""
    dtype = getattr(column.dtype, "numpy_dtype", column.dtype)
    return isinstance(dtype, np.dtype) and rounded(dtype)


def like_time(name: str, time: str | None, wide: Array) -> Text:
    """The message about a column that looks like a time; `time` is the name of the time column, if there is one."""
    step = float(np.median(np.diff(wide[np.isfinite(wide)])))
    return Text(
        f"column {name!r} ascends evenly, by {step:g} with each row from {wide[0]:.12g} on, as a time or a row number "
        "does; ",
        *(("pass ", Parameter("time", name), ", or ") if time is None else ()),
        "leave it out of ",
        Parameter("columns"),
    )
