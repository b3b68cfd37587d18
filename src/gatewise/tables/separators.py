"""Find the field separator of a CSV file from its first lines, if there is only one way to read them.

A separator fits if it divides the header and the lines after it into the same number of fields, at least two. If
several fit, the separator is not guessed and must be given. A decimal comma is never guessed either, because 1,234 may
be a little more than one or more than a thousand. Needs no pandas.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from itertools import islice

from gatewise.errors import InputError, Parameter, Text, Wording

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""The separators that can be found, and their names in messages."""

LINES = 20
"""The number of lines that are read to find the separator, with the header."""

_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:([.,' ])\d{3})(?:\1\d{3})*(?:[.,]\d*)?|\d*,\d+)")


def find_separator(lines: Iterable[str], path: str, decimal: str = ".") -> str:
    """The separator of a file, given its lines; a comma if there is only one column.

    Raises:
        InputError: several separators fit.
    """
    first = [line.rstrip("\r\n") for line in islice(lines, LINES)]
    header, rest = (first[0], [line for line in first[1:] if line.strip()]) if first else ("", [])
    several = [sep for sep in SEPARATORS if sep != decimal and width(header, sep) > 1]
    fits = [sep for sep in several if all(width(line, sep) == width(header, sep) for line in rest)]
    if len(fits) > 1:
        called = " or by ".join(SEPARATORS[sep] for sep in fits)
        raise InputError(
            f"{path}: whether fields are separated by {called} cannot be told; if by {SEPARATORS[fits[0]]}, ",
            _reading_with("sep", fits[0]),
        )
    if fits:
        return fits[0]
    # None fits: the one whose header has the most fields, for a message about the line that does not.
    return max(several, key=lambda sep: width(header, sep)) if several else "," if decimal != "," else ";"


def width(line: str, sep: str) -> int:
    """How many fields a line has."""
    if '"' not in line:
        return line.count(sep) + 1
    try:
        return len(next(csv.reader([line], delimiter=sep), []))
    except csv.Error:
        return 0


def check_given(sep: str | None, decimal: str) -> None:
    """Raise InputError for an invalid separator or decimal mark."""
    if sep is not None and (len(sep) != 1 or sep in '"\r\n' or sep.isalnum()):
        raise InputError(f"the separator must be one character, such as ; or a tab, got {sep!r}")
    if decimal not in (".", ","):
        raise InputError(f"the decimal mark must be a point or a comma, got {decimal!r}")


def misread(text: str) -> Text | None:
    """What is wrong with a text that is a number with a comma or with thousands separators; None for other texts."""
    if not _NUMBER.fullmatch(text):
        return None
    if sum(text.count(mark) for mark in "., '") > 1 or "," not in text:
        return Text("has marks between thousands; write it without them")
    return Text(
        "has a comma, which may stand before decimals or between thousands; if between thousands, write it without, "
        "if before decimals, ",
        _reading_with("decimal", ","),
    )


def _reading_with(name: str, value: str) -> Wording:
    """How to read a file with another separator or decimal mark; a caller of Python leaves that to pandas."""
    return Wording(
        f"read it with pandas.read_csv(path, {name}={value!r}) and give the frame",
        Text("pass ", Parameter(name, value)),
    )


def counted(fields: Sequence[str]) -> str:
    """How many fields, for a message."""
    return "1 field" if len(fields) == 1 else f"{len(fields)} fields"
