"""Series that are left out of a call, because of what is wrong with each: all are named, none stops the others."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from gatewise.tasks.table import Table

MOST = 100
"""Names in a warning."""


def warn_left_out(left_out: Sequence[tuple[str | int | None, str]], kept: int, stacklevel: int = 3) -> None:
    """Warn of the series that are left out.

    Args:
        left_out: their ids, and why.
        kept: how many others there are.
        stacklevel: as `warnings.warn` takes it; 3 = of who called the caller.
    """
    if not left_out:
        return
    names = [repr(name) for name, _ in left_out]
    more = f" and {len(names) - MOST:,} more" if len(names) > MOST else ""
    are, because = ("is", "because") if len(names) == 1 else ("are", "the first because")
    warnings.warn(
        f"{len(names):,} of {len(names) + kept:,} series {are} left out: {', '.join(names[:MOST])}{more}; {because} "
        f"{left_out[0][1]}",
        UserWarning,
        stacklevel=stacklevel,
    )


def too_short(table: Table, window: int) -> dict[str | int | None, str]:
    """The series with fewer rows than a forecast is made from, and what to say of each."""
    return {
        name: f"a forecast is made from the last {window} rows, got {stop - start}"
        + ("" if name is None else f" in series {name!r}")
        + "; give more"
        for name, start, stop in table.series
        if stop - start < window
    }
