"""Series that a call leaves out because of a fault; the warning names them, and the other series are used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatewise.errors import Text
from gatewise.inputs.base import transformed
from gatewise.tables.robust import location_scale
from gatewise.tables.scaling import within_reach
from gatewise.tables.table import Table
from gatewise.tables.warn import warn

MOST = 100
"""Greatest number of names in a warning."""


def says_left_out(left_out: Sequence[tuple[str | int | None, str]], kept: int) -> list[str]:
    """The warning about the series that are left out: one text, or none if no series is left out.

    Args:
        left_out: the ids of these series and the reasons.
        kept: number of the other series.
    """
    if not left_out:
        return []
    names = [repr(name) for name, _ in left_out]
    more = f" and {len(names) - MOST:,} more" if len(names) > MOST else ""
    are, because = ("is", "because ") if len(names) == 1 else ("are", "the first because ")
    shown = ", ".join(names[:MOST]) + more
    return [
        Text(
            f"{len(names):,} of {len(names) + kept:,} series {are} left out: {shown}; {because}",
            left_out[0][1],
        )
    ]


def warn_left_out(left_out: Sequence[tuple[str | int | None, str]], kept: int) -> None:
    """Warn of the series that are left out; `left_out` and `kept` are as for `says_left_out`."""
    for text in says_left_out(left_out, kept):
        warn(text)


def without_far(table: Table, missing: str, transform: Sequence[str | None] | None = None) -> Table:
    """The table without those series that have a reading too far from all others to be scaled.

    Args:
        table: the readings.
        missing: as for `read_table`; such a reading is an error only with "raise".
        transform: the transforms of the columns before they are scaled.

    Raises:
        InputError: no series would be left.
    """
    if missing != "raise" or table.id is None:
        return table
    scaled = transformed(table.values, transform).astype(np.float64)
    offset, scale = np.transpose([location_scale(scaled[:, k]) for k in range(scaled.shape[1])])
    scale = np.where(scale > 0, scale, np.inf)  # a constant column raises an error later
    return within_reach(table, offset, scale, missing, leave_out=True, transform=transform)


def too_short(table: Table, window: int) -> dict[str | int | None, str]:
    """The series with fewer rows than a forecast needs, each with a message."""
    return {
        name: f"a forecast is made from the last {window} rows, got {stop - start}"
        + ("" if name is None else f" in series {name!r}")
        + "; give more"
        for name, start, stop in table.series
        if stop - start < window
    }
