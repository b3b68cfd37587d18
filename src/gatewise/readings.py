"""Convert readings to the float32 array that a model takes; columns are matched by name if data and model have names.

Data with names are recognised by their attributes, without importing the library that made them, so that an install
without pandas can read frames as well::

    x.columns and x.to_numpy        a frame (pandas, polars)
    x.column_names and x.column     an Arrow table
    x.index, x.name, x.to_numpy     a series (pandas): one row with the names of its index, or one column with its name
    x.keys and x[name]              a dict of columns or of single readings, a Dataset of xarray
    x.dims and x.coords             a DataArray of xarray whose last axis has labels
    x.dtype.names                   a structured array of NumPy
    x._fields                       a named tuple

The names 0, 1, ... of a frame that was made from an array do not count as names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewise.errors import InputError
from gatewise.layers.base import Array

SHOWN = 12
"""Greatest number of names in a message."""


def as_float32(
    x: npt.ArrayLike,
    inputs: int,
    ndims: tuple[int, ...],
    columns: Sequence[str] | None = None,
    rows: str = "time",
    subtract: Array | None = None,
) -> Array:
    """Convert readings to a contiguous float32 array of the expected shape.

    Masked values of a masked array are missing and become NaN. Named columns are put in the order of the model. If
    there is one input, x may be a single number.

    Args:
        x: the readings.
        inputs: number of readings in a step.
        ndims: allowed numbers of axes.
        columns: names of the inputs of the model; None = it has none, so columns are taken by position.
        rows: name, in messages, of the axis before the last.
        subtract: (inputs,) float64, subtracted from the readings before they are rounded; None = nothing.

    Raises:
        InputError: x is not numeric, is complex or ragged, has another shape or other column names than the model,
            holds a number too large for float32, or is float32 already although something is to be subtracted.
    """
    if type(x) is not np.ndarray or x.dtype.names is not None:
        x = _in_order(x, ndims, columns, subtract)
    if isinstance(x, np.ma.MaskedArray) and x.dtype.kind in "fiub":
        x = np.ma.filled(x.astype(np.float64), np.nan)
    try:
        value = np.asarray(x)
    except (TypeError, ValueError) as error:
        raise InputError(f"readings must be an array of real numbers: {error}") from None
    if value.dtype.kind not in "fiub":
        raise InputError(f"readings must be real numbers, got {value.dtype}; convert the column first")
    if value.ndim == 0 and inputs == 1 and 1 in ndims:
        value = value.reshape(1)
    if value.ndim not in ndims or value.shape[-1] != inputs:
        names = {1: "(inputs,)", 2: f"({rows}, inputs)", 3: "(batch, time, inputs)"}
        wanted = " or ".join(names[n] for n in ndims)
        named = f" (columns: {', '.join(columns)})" if columns else ""
        raise InputError(f"expected {wanted} with {inputs} inputs a step{named}, got shape {value.shape}")
    if subtract is not None:
        refuse_rounded(value.dtype, "readings", float(subtract[np.argmax(np.abs(subtract))]))
        value = value.astype(np.float64) - subtract
    with np.errstate(all="ignore"):
        converted = np.require(value, np.float32, ("C", "A"))
    if value.dtype.itemsize > 4 and (np.isinf(converted) & np.isfinite(value)).any():
        raise InputError("a reading is too large for float32 (beyond 3.4e38); scale the data first")
    return converted


def rounded(dtype: Any) -> bool:
    """Whether values of this type have fewer digits than float64."""
    return bool(np.dtype(dtype).kind == "f" and np.dtype(dtype).itemsize <= 4)


def refuse_rounded(dtype: Any, what: str, constant: float) -> None:
    """Raise an error if readings are float32 already, although a constant has to be subtracted in float64.

    Args:
        dtype: the dtype of the readings.
        what: name of the readings in the message.
        constant: the constant to subtract; 0 = nothing.

    Raises:
        InputError: the readings have fewer digits than float64.
    """
    if constant and rounded(dtype):
        step = float(np.spacing(np.abs(np.array(constant, dtype))))
        raise InputError(
            f"{what} are {np.dtype(dtype)}, whose steps around {constant:g} are {step:.3g} wide, and this model was "
            "trained on finer readings; read and pass them as float64"
        )


def _in_order(x: Any, ndims: tuple[int, ...], columns: Sequence[str] | None, subtract: Array | None) -> Any:
    """Data with names as an array with its columns in the order of the model; other data unchanged."""
    found = None if columns is None else _names(x, ndims)
    if found is None or columns is None:
        return x
    names, column = found
    if _numbered(names, columns):
        return x
    texts = [str(name) for name in names]
    _check_names(texts, columns)
    at = {name: i for i, name in enumerate(texts)}
    order = [at[name] for name in columns]
    parts = []
    for place, i in enumerate(order):
        name = names[i]
        try:
            value = column(name)
            value = value if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
        except (TypeError, ValueError) as error:
            raise InputError(f"column {texts[i]!r} is no array of real numbers: {error}") from None
        if value.dtype.kind not in "fiub":
            raise InputError(f"column {texts[i]!r} must hold real numbers, got {value.dtype}; convert it first")
        if subtract is not None and len(order) == len(subtract):
            refuse_rounded(value.dtype, f"the readings of column {texts[i]!r}", float(subtract[place]))
            value = value.astype(np.float64)
        parts.append(np.ma.filled(value.astype(np.float64), np.nan) if isinstance(value, np.ma.MaskedArray) else value)
    if len(shapes := {part.shape for part in parts}) > 1:
        lengths = ", ".join(f"{texts[i]!r} {part.shape}" for i, part in zip(order[:SHOWN], parts, strict=False))
        raise InputError(f"the columns must all have the same shape, got {len(shapes)} different ones: {lengths}")
    return np.stack(parts, axis=-1)


def _numbered(names: Sequence[Any], columns: Sequence[str]) -> bool:
    """Whether the names are the numbers 0, 1, ... and those of the model are not."""
    plain = all(isinstance(name, (int, np.integer)) and not isinstance(name, bool) for name in names)
    return plain and list(names) == list(range(len(names))) and set(map(str, names)) != set(columns)


def _check_names(names: Sequence[str], columns: Sequence[str]) -> None:
    """Raise InputError unless the names are those of the model, in any order."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"the readings have the column {twice!r} {names.count(twice)} times; drop all but one")
    absent = [name for name in columns if name not in set(names)]
    extra = [name for name in names if name not in set(columns)]
    if absent or extra:
        wrong = [f"{what} {shown(some)}" for what, some in (("lack", absent), ("also have", extra)) if some]
        raise InputError(
            f"the readings {' and '.join(wrong)}; the columns of the model are {shown(columns)}; pass exactly these, "
            "in any order, or an array in their order"
        )


def shown(names: Sequence[str]) -> str:
    """The names as a text for a message."""
    text = ", ".join(map(repr, names[:SHOWN]))
    return text if len(names) <= SHOWN else f"{text} and {len(names) - SHOWN} more"


def named(x: Any) -> bool:
    """Whether readings (time, inputs) have names of their own."""
    return _names(x, (2,)) is not None


def _names(x: Any, ndims: tuple[int, ...]) -> tuple[list[Any], Any] | None:
    """The names of columns, and a function that returns the values of a column; None if there are no names."""
    if isinstance(x, (str, bytes, int, float, complex, list)):
        return None
    if isinstance(x, (np.ndarray, np.generic)):
        whole: Any = x
        return None if x.dtype.names is None else (list(x.dtype.names), lambda name: whole[name])
    if isinstance(x, tuple):
        fields = getattr(x, "_fields", None)
        return None if fields is None else (list(fields), lambda name: getattr(x, name))
    if hasattr(x, "column_names") and callable(getattr(x, "column", None)):
        return list(x.column_names), x.column
    if hasattr(x, "columns") and hasattr(x, "to_numpy"):
        return list(x.columns), lambda name: _column(x[name])
    if isinstance(x, Mapping):
        return list(x), lambda name: x[name]
    if hasattr(x, "dims") and hasattr(x, "coords") and hasattr(x, "values"):
        return _labelled(x)
    if hasattr(x, "index") and hasattr(x, "to_numpy") and hasattr(x, "name"):
        return _series(x, ndims)
    return None


def _labelled(x: Any) -> tuple[list[Any], Any] | None:
    """Names and columns of an array whose last axis has text labels."""
    if not x.dims or x.dims[-1] not in x.coords:
        return None
    values, labels = x.values, x.coords[x.dims[-1]].values.tolist()
    at = {label: i for i, label in enumerate(labels)}
    return (labels, lambda name: values[..., at[name]]) if all(isinstance(one, str) for one in labels) else None


def _series(x: Any, ndims: tuple[int, ...]) -> tuple[list[Any], Any] | None:
    """Names and columns of a pandas series: one row with the names of its index, or one column with its own name."""
    if 1 in ndims:
        values = dict(zip(x.index, _column(x), strict=True))
        return list(x.index), values.__getitem__
    return ([x.name], lambda name: _column(x)) if isinstance(x.name, str) else None


def _column(column: Any) -> Array:
    """The values of a column; missing values of pandas' own types become NaN."""
    values = np.asarray(column.to_numpy())
    if values.dtype.kind == "O" and getattr(column.dtype, "kind", "O") in "fiub":
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    return values


def check_out(out: Array | None, shape: tuple[int, ...]) -> None:
    """Raise InputError unless `out` is None or a float64 array of this shape."""
    if out is not None and not (isinstance(out, np.ndarray) and out.dtype == np.float64 and out.shape == shape):
        got = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise InputError(f"out must be float64 {shape}, as a model that subtracts constants answers, got {got}")


def into(out: Array | None, answers: Array) -> Array:
    """Write the answers into `out`, if it was given, and return them."""
    if out is None:
        return answers
    out[...] = answers
    return out
