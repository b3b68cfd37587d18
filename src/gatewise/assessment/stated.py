"""Checks of the numbers that a user states."""

from __future__ import annotations

import math
import numbers
from typing import Any

from gatewise.errors import InputError, Parameter


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, of Python or NumPy."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_real(value: Any) -> bool:
    """Whether a value is a number, of Python or NumPy."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def check_numbers(*, horizon: Any, season: Any, latency: Any, memory: Any, min_gain: Any, seed: Any) -> None:
    """Check numbers of `gatewise.assess`.

    Raises:
        InputError: one of them is no number, or not in its range.
    """
    if not (is_real(min_gain) and 0 < min_gain < 1):
        raise InputError(
            f"the least gain must be a share above 0 and below 1, got {min_gain!r}; pass ", Parameter("min_gain", 0.05)
        )
    if not is_whole(horizon) or horizon < 0:
        raise InputError(
            f"the horizon must be a whole number of rows of at least 0, got {horizon!r}; for a target in the last row "
            "that is read pass ",
            Parameter("horizon", 0),
        )
    for word, limit, unit in (("latency", latency, "seconds"), ("memory", memory, "bytes")):
        if limit is not None and not (is_real(limit) and 0 < limit < math.inf):
            raise InputError(
                f"{word} must be a number of {unit} above 0, got {limit!r}; without a constraint, leave out ",
                Parameter(word),
            )
    if not is_whole(seed) or seed < 0:
        raise InputError(f"the seed must be a whole number of at least 0, got {seed!r}; pass ", Parameter("seed", 0))
    if season is not None and not (is_whole(season) and season >= 1):
        raise InputError(
            f"the season must be a whole number of rows of at least 1, got {season!r}; without one, leave out ",
            Parameter("season"),
        )
