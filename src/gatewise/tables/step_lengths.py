"""Describe the distance of rows in words, for messages of the tasks and of the command line. Needs no pandas."""

from __future__ import annotations

from datetime import timedelta

DATES, DURATIONS, NUMBERS = "dates", "durations", "numbers"
"""The kinds of times."""

COUNTS = "the model counts steps, not time"
"""The reason, in messages, why the distance of rows matters."""

SLACK = 0.1
"""A step may differ from the usual one by this share of it: a day may have 23 hours, a clock may be read late."""

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def step_length(step: float, kind: str = DATES) -> str:
    """A difference of two times as text, e.g. "15 minutes".

    Args:
        step: the difference in seconds; for times that are numbers, their difference.
        kind: DATES, DURATIONS or NUMBERS.
    """
    if kind == NUMBERS:
        return f"{step:.15g}"
    if step < 1:
        return f"{step:.9g} seconds"
    for size, name in _UNITS:
        if step % size == 0:
            return f"{step / size:,.0f} {name}" + ("" if step == size else "s")
    try:
        return str(timedelta(seconds=step))
    except OverflowError:
        return f"{step:g} seconds"
