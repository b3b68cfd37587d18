"""Columns that a user chooses by name or by position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatewise.errors import InputError, Parameter


def positions(what: str, chosen: Any, names: Sequence[str]) -> list[int]:
    """Positions of columns that are given by names or positions, one or a list of them. Raises InputError."""
    listed = _plain(chosen)
    listed = [listed] if isinstance(listed, (str, int)) else listed
    if not isinstance(listed, list):
        raise InputError(Parameter(what), f" must be a name, a position, or a list of these, got {chosen!r}")
    found = []
    for one in map(_plain, listed):
        if isinstance(one, str) and one in names:
            found.append(list(names).index(one))
        elif isinstance(one, int) and not isinstance(one, bool) and 0 <= one < len(names):
            found.append(one)
        else:
            raise InputError(
                Parameter(what), f" is {one!r}, but the columns read are {list(names)}; give a name or a position"
            )
    if len(set(found)) < len(found):
        raise InputError(Parameter(what), f" names a column twice: {listed}")
    return found


def _plain(value: Any) -> Any:
    """NumPy scalars and arrays, tuples and ranges as plain values and lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return list(value) if isinstance(value, (tuple, range)) else value
