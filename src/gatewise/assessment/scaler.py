"""How columns were scaled before the model read them: stated by the user, never guessed from the model."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import InputError, Parameter, SpecError
from gatewise.layers.base import Array
from gatewise.spec.text import parse_json

PAIRS = (("min", "max"), ("mean", "std"))
"""The columns of a file of scalings: a column was mapped to (x - min) / (max - min), or to (x - mean) / std."""

SCALERS = ("none", "minmax", "standard")
"""The scalers that have a name."""

MOST_BYTES = 1 << 22


@dataclass(frozen=True)
class Scaler:
    """The map x -> (x - offset) / scale of each column.

    Attributes:
        name: "none", "minmax", "standard", or the name of a file.
        offset, scale: (columns,) float64; the scale is never 0.
        limits: the least and the greatest reading of each column in the training of the model, (columns,) each, if the
            scaling says so; None = it does not.
    """

    name: str
    offset: Array
    scale: Array
    limits: tuple[Array, Array] | None = None

    def scaled(self, values: Array) -> Array:
        """Values (..., columns) as the model reads them, float32."""
        return ((values - self.offset) / self.scale).astype(np.float32)

    def unscaled(self, values: Array) -> Array:
        """Answers (..., columns) in the units of the data, float64."""
        return np.asarray(values, np.float64) * self.scale + self.offset


def scaler_of(given: Any, columns: Sequence[str], values: Array) -> Scaler:
    """The scaler that a user states.

    Args:
        given: "minmax" or "standard" (fitted here, to the values: min and max, or mean and population standard
            deviation, as scikit-learn does it; a constant column becomes 0); the path of a .csv or .json file, or a
            mapping, from names of columns to min and max or to mean and std; "none" or None = not scaled.
        columns: names of the columns.
        values: (rows, columns), the values to which "minmax" and "standard" are fitted.

    Raises:
        InputError: the file cannot be read, lacks a column, or has an invalid number.
    """
    if given is None or given == "none":
        return Scaler("none", np.zeros(len(columns)), np.ones(len(columns)))
    wide = np.asarray(values, np.float64)
    if given == "minmax":
        low, high = np.nanmin(wide, axis=0), np.nanmax(wide, axis=0)
        return Scaler("minmax", low, _not_zero(high - low), (low, high))
    if given == "standard":
        return Scaler("standard", np.nanmean(wide, axis=0), _not_zero(np.nanstd(wide, axis=0)))
    named, origin = (given, "the scaler") if isinstance(given, Mapping) else (_read(given), os.fspath(given))
    offset, scale, high = map(np.array, zip(*(_entry(named, name, origin) for name in columns), strict=True))
    name = "given" if isinstance(given, Mapping) else Path(given).name
    return Scaler(name, offset, scale, None if np.isnan(high).any() else (offset, high))


def _not_zero(scale: Array) -> Array:
    return np.where(scale > 0, scale, 1.0)


def _read(given: Any) -> Mapping[str, Mapping[str, Any]]:
    """The entries of a file, by the names of the columns."""
    if not isinstance(given, (str, os.PathLike)):
        raise InputError(f'the scaler must be "minmax", "standard", "none" or a file, got {type(given).__name__}')
    path = Path(given)
    if not path.is_file():
        raise InputError(
            'the scaler must be "minmax", "standard", "none" or the path of a .csv or .json file, got '
            f"{os.fspath(given)!r}, which is no file; pass ",
            Parameter("scaler", "minmax"),
        )
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path}: a file of scalings has at most {MOST_BYTES:,} bytes")
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: a file of scalings is text, CSV or JSON; a pickled scaler is not read, because reading it would "
            "run what it contains. Write its numbers to a file with the columns name, min, max (or mean, std)"
        ) from None
    if text.lstrip().startswith("{"):
        try:
            found = parse_json(text, "file of scalings", MOST_BYTES)
        except SpecError as error:
            raise InputError(f"{path}: ", error) from None
        return {str(name): entry for name, entry in found.items() if isinstance(entry, Mapping)}
    try:
        lines = list(csv.DictReader(text.splitlines(), strict=True))
    except csv.Error as error:
        raise InputError(f"{path}: no file of scalings: {error}") from None
    if not lines or "name" not in lines[0]:
        raise InputError(f"{path}: a CSV file of scalings has the columns name, min, max or name, mean, std")
    entries: dict[str, Mapping[str, Any]] = {}
    for line in lines:
        if line["name"] in entries:
            raise InputError(f"{path}: column {line['name']!r} is given twice")
        entries[line["name"]] = line
    return entries


def _entry(named: Mapping[str, Mapping[str, Any]], column: str, origin: str) -> tuple[float, float, float]:
    """Offset and scale of a column, and its greatest reading, NaN if that is not given."""
    if column not in named:
        raise InputError(f"{origin} has no scaling for column {column!r}; it has {sorted(map(str, named))[:12]}")
    entry = named[column]
    for first, second in PAIRS:
        if entry.get(first) not in (None, "") and entry.get(second) not in (None, ""):
            if isinstance(entry[first], bool) or isinstance(entry[second], bool):
                break
            try:
                offset, other = float(entry[first]), float(entry[second])
            except (TypeError, ValueError):
                break
            scale = other - offset if second == "max" else other
            if not (np.isfinite(offset) and np.isfinite(scale) and scale >= 0):
                break
            return offset, scale or 1.0, other if second == "max" else np.nan
    raise InputError(
        f"{origin}: column {column!r} needs finite numbers min <= max, or mean and std >= 0, got {dict(entry)}"
    )
