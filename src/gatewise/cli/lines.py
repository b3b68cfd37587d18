"""From lines of text to readings: NDJSON (objects, arrays, bare numbers) or CSV, line by line.

A missing value (null, an empty field, NaN, ...) becomes NaN, which the model then fills forward or refuses, as it was
trained. Anything else that is not a number is refused. So is a line that lacks a column, whose name may be
misspelt.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Sequence

from gatewise.errors import InputError
from gatewise.tables.separators import SEPARATORS

FORMATS = ("auto", "ndjson", "csv")
MISSING = frozenset({"", "nan", "na", "n/a", "null", "none"})
MOST_FLOAT32 = 3.4028235677973366e38
"""Halfway from the largest float32 to the next: what is smaller in magnitude rounds to a finite float32."""

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")


class LineError(InputError):
    """A line that is not a valid reading; the caller decides whether to continue with the next line."""


class LineReader:
    """Reads one line at a time.

    Args:
        columns: names of the model's columns, in order; None = the model names none.
        width: how many values a reading has.
        refuses_missing: whether a missing value is refused.
        keep: further fields of a line, whose values are handed back as JSON text.
        format: "ndjson", "csv", or "auto" = what the first line looks like.
        header: names of the CSV fields, when the header has been read before; None = the first line may be one.
        limits: the least and the largest reading of each column; what lies beyond is refused; None = any may come.
        subtract: what is taken from each reading; None = nothing.
        sep: what separates CSV fields; None = found in the first line, else a comma.
        decimal: what stands before decimals in CSV.
    """

    def __init__(
        self,
        columns: Sequence[str] | None,
        width: int,
        refuses_missing: bool,
        keep: Sequence[str] = (),
        format: str = "auto",
        header: Sequence[str] | None = None,
        limits: tuple[Sequence[float], Sequence[float]] | None = None,
        subtract: Sequence[float] | None = None,
        sep: str | None = None,
        decimal: str = ".",
    ) -> None:
        self.subtract = subtract
        self.sep, self.decimal = sep, decimal
        self.columns = None if columns is None else tuple(columns)
        self.width = width
        self.refuses_missing = refuses_missing
        self.limits = limits
        self.keep = tuple(keep)
        self.format = format
        self.header: tuple[str, ...] | None = None
        self._first = True
        self._places: list[int] = list(range(width))
        self._kept_places: list[int] = []
        if header is not None:
            self._take_header(tuple(header))

    def read(self, line: str) -> tuple[list[float], str] | None:
        """The reading of a line, and the fields to keep as JSON members ('"time":"2024-01-01",'); None = no reading.

        Blank lines and a CSV header are no readings.

        Raises:
            LineError: the line is malformed, says how.
            InputError: a CSV header that does not name the model's columns: no line after it can be read.
        """
        text = line.strip(" \r\n" if self.sep == "\t" else None)
        if not text:
            return None
        if self.format == "auto":
            self.format = "ndjson" if text[0] in "{[" else "csv"
        return self._read_json(text) if self.format == "ndjson" else self._read_csv(text)

    def _read_json(self, text: str) -> tuple[list[float], str]:
        try:
            value = json.loads(text, object_pairs_hook=_no_twins)
        except LineError:
            raise
        except RecursionError:
            raise LineError("nested too deeply to be a reading") from None
        except ValueError as error:
            raise LineError(f"no valid JSON: {error}") from None
        kept = ""
        if isinstance(value, dict):
            if self.columns is None:
                send = "CSV with a header" if self.keep else f"an array of {self.width} numbers"
                raise LineError(f"the model does not name its columns, so it reads no objects; send {send}")
            if missing := [name for name in (*self.columns, *self.keep) if name not in value]:
                raise LineError(f"column {missing[0]!r} is absent, got {_names(value)}; a missing value is null")
            values = [value[name] for name in self.columns]
            kept = self._kept([_again_json(name, value[name]) for name in self.keep])
        else:
            if self.keep:
                raise LineError(f"an object is needed, with a field {self.keep[0]!r}, got {_short(text)}")
            values = value if isinstance(value, list) else [value]
            if len(values) != self.width:
                raise LineError(f"expected {self._expected()}, got {len(values)}")
        return [self._from_json(i, v) for i, v in enumerate(values)], kept

    def _read_csv(self, text: str) -> tuple[list[float], str] | None:
        if self.sep is None:
            self.sep = _separator(text, self.decimal)
        if '"' in text:
            try:
                (fields,) = csv.reader([text], strict=True, delimiter=self.sep)
            except (csv.Error, ValueError) as error:
                raise LineError(f"no valid CSV: {error}") from None
        else:
            fields = text.split(self.sep)
        fields = [field.strip() for field in fields]
        # A first line without any number is a header, unless it is a reading of nothing but missing values.
        all_missing = len(fields) == self.width and all(field.lower() in MISSING for field in fields)
        if self._first and not all_missing and not any(map(self._is_number, fields)):
            self._take_header(tuple(fields))
            self._first = False
            return None
        if self.header is None and len(fields) != self.width:
            many = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
            raise LineError(f"expected {self._expected()}, or a header line first, got {many} between {self._marks()}")
        if self.header is not None and len(fields) != len(self.header):
            raise LineError(
                f"expected {len(self.header)} fields as in the header, got {len(fields)} between {self._marks()}"
            )
        if self.keep and self.header is None:
            raise LineError(f"a header line is needed, to tell which field is {self.keep[0]!r}")
        self._first = False
        kept = self._kept([_json_text(fields[place]) for place in self._kept_places])
        return [self._from_csv(i, fields[place]) for i, place in enumerate(self._places)], kept

    def _kept(self, values: Sequence[str]) -> str:
        """The members to keep, from their values as JSON text."""
        return "".join(f"{json.dumps(name)}:{value}," for name, value in zip(self.keep, values, strict=True))

    def _take_header(self, names: tuple[str, ...]) -> None:
        """Find the model's columns in a CSV header."""
        if len(set(names)) != len(names):
            raise InputError(f"the header names a column twice: {_names(names)}")
        columns = self.columns
        if columns is None:
            columns = tuple(name for name in names if name not in self.keep)
            if len(columns) != self.width:
                raise InputError(
                    f"the header has {len(columns)} columns ({_names(columns)}), the model has {self.width} and does "
                    "not name them; send just these"
                )
        if absent := [name for name in (*columns, *self.keep) if name not in names]:
            raise InputError(f"the header does not name column {absent[0]!r}, it names {_names(names)}")
        self.header = names
        self._places = [names.index(name) for name in columns]
        self._kept_places = [names.index(name) for name in self.keep]

    def _from_json(self, i: int, value: object) -> float:
        if value is None:
            return self._missing(i)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise LineError(f"{self._name(i)} must be a number or null, got {_short(json.dumps(value))}")
        return self._checked(i, value)

    def _from_csv(self, i: int, field: str) -> float:
        try:
            value = float(field if self.decimal == "." else self._with_point(field))
        except ValueError:
            if field.lower() in MISSING:
                return self._missing(i)
            how = "; for a decimal comma, pass --decimal ," if "," in field and self.decimal == "." else ""
            raise LineError(f"{self._name(i)} must be a number, got {_short(field)}{how}") from None
        if "_" in field:
            raise LineError(f"{self._name(i)} must be a number, got {_short(field)}")
        return self._checked(i, value)

    def _checked(self, i: int, value: float) -> float:
        if -MOST_FLOAT32 < value < MOST_FLOAT32:
            if self.limits is None or self.limits[0][i] <= value <= self.limits[1][i]:
                return float(value) if self.subtract is None else value - self.subtract[i]
            raise LineError(
                f"{self._name(i)} is {value:g}, too far from the data the model was trained on, so that it counts as "
                "missing, and this model refuses that; train it with --missing hold to repeat the last reading"
            )
        if isinstance(value, int) or math.isfinite(value):
            raise LineError(f"{self._name(i)} is too large for float32 (beyond 3.4e38)")
        return self._missing(i)

    def _missing(self, i: int) -> float:
        if self.refuses_missing:
            raise LineError(
                f"{self._name(i)} is missing or not finite, and this model refuses that; "
                "train it with --missing hold to repeat the last reading"
            )
        return math.nan

    def _is_number(self, field: str) -> bool:
        return _is_number(field if self.decimal == "." else field.replace(",", "."))

    def _with_point(self, field: str) -> str:
        """A number with its decimals after a point. Raises ValueError if it has one already."""
        if "." in field:
            raise ValueError("a point between thousands, or before decimals")
        return field.replace(",", ".")

    def _marks(self) -> str:
        return SEPARATORS.get(str(self.sep), repr(self.sep))

    def _name(self, i: int) -> str:
        return f"column {self.columns[i]!r}" if self.columns is not None else f"value {i + 1}"

    def _expected(self) -> str:
        names = "" if self.columns is None else f" ({_names(self.columns)})"
        return f"{self.width} number{'s' if self.width != 1 else ''}{names}"


def _separator(text: str, decimal: str) -> str:
    """The separator of a first line: a comma, unless exactly one other separator occurs in it."""
    cut = [sep for sep in SEPARATORS if sep in text and sep != decimal]
    return cut[0] if len(cut) == 1 else "," if decimal == "." else ";"


def _no_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object as a dict; LineError if it has a name twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise LineError(f"{_short(twin)!r} occurs twice in one object")
    return found


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return field.lower() not in MISSING


def _again_json(name: str, value: object) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        raise LineError(f"field {name!r} is to be kept, but holds NaN or infinity, which JSON cannot say") from None


def _json_text(field: str) -> str:
    """A CSV field as JSON: a number if it is one, else a text."""
    return field if _NUMBER.fullmatch(field) else json.dumps(field)


def _names(names: object) -> str:
    assert isinstance(names, (dict, tuple))
    return _short(", ".join(map(str, names)), 100)


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
