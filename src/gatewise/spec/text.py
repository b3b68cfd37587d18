"""Canonical JSON, in which equal values have equal texts, and a parser for JSON from files that may be hostile."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from gatewise.errors import SpecError

MOST_JSON = 1 << 20
MOST_DEPTH = 32

# A whole string, closed or not, or one bracket. The quantifiers are possessive, so that hostile text takes linear time.
_MARK = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{\]}]', re.DOTALL)


def canonical_json(value: object) -> str:
    """Write JSON with sorted keys, no spaces, ASCII only and no NaN, so that equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def parse_json(text: str, what: str, most: int = MOST_JSON) -> Any:
    """Parse JSON from a file that may be hostile: size and depth are limited; NaN and duplicate keys are errors.

    Raises:
        SpecError: the text is invalid. The message names `what` and the place.
    """
    if not isinstance(text, str):
        raise SpecError(f"the {what} must be text, got {type(text).__name__}")
    if len(text) > most:
        raise SpecError(f"the {what} has {len(text)} characters of JSON, more than {most}")
    depth = deepest = 0
    for token in _MARK.finditer(text):
        if (mark := token.group()) in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    if deepest > MOST_DEPTH:
        raise SpecError(f"the {what} is nested {deepest} deep, more than {MOST_DEPTH}")
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_no_twins)
    except ValueError as error:
        raise SpecError(f"the {what} is no valid JSON: {error}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not allowed")


def _finite(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise ValueError(f"the number {digits[:20]} is too large")
    return value


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def short(value: object) -> str:
    """`repr` for a message, cut to 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
