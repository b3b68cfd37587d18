"""Record which rows a model was trained on, so that a training that continues from it recognises them.

A detector must be calibrated on rows that its weights have never seen. If a training continues from an earlier one,
this must hold for the rows of both. The rows that the earlier training used, to train on or to decide when to stop, are
therefore recorded in its section of the model file in two ways. A row counts as seen if either of them says so.

* **Times**: the last time that was used in each series. Rows at or before it were used. For more than 256 series only
  the last time of all series is kept.
* **Marks**: digests of the readings in runs of 16 rows, and the row at which each run ends. If a run of the new data
  has the same digest, it shows at which row of the old data it lies. If two runs that do not overlap agree on this, all
  rows that were used are found from there; a single run marks only its own 16 rows. Runs that occur more than once, for
  example while a machine stands still, say nothing and are not recorded.

Marks need neither times nor ids, and still work if both were changed. They do not recognise readings that were rounded,
filled or scaled in the meantime. In long series only every second, third, ... run is recorded, 4,096 in all. Without
times, an overlap shorter than the distance between three recorded runs may therefore be missed.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd

from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.tables.table import Table
from gatewise.tables.times import numbers

SPAN = 16
"""The number of rows in a run."""

MOST_MARKS = 1 << 12
MOST_SERIES = 256

Spans = Sequence[tuple[int, int]]
"""For series of a table the first row that was used, and the row before which the used rows end."""

_TYPES = {"digests": "<u8", "rows": "<u4", "parts": "<u4", "used": "<u4"}


def record(table: Table, spans: Spans, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The record of the rows used, as plain JSON values.

    Args:
        table: the data, as they were read.
        spans: for each series the rows used.
        before: the record of the task from which this one continued, whose rows it has seen as well.

    Returns:
        `times`: kind of times -> pairs of the id of a series and its last time; and, in base 64, little-endian, `used`
        (parts,) uint32, the number of rows used of each series; `digests` (marks,) uint64; `rows` (marks,) uint32, the
        row of its series at which each run ends; `parts` (marks,) uint32, the number of that series.
    """
    found = {name: [value] for name, value in _unpacked(before).items()}
    already = len(found["used"][0])
    marks = [(_digests(table.values[start:stop]), stop - start) for start, stop in spans]
    stride = max(1, -(-sum(len(own) for own, _ in marks) // MOST_MARKS))
    every, count = np.unique(np.concatenate([np.zeros(0, np.uint64), *(own for own, _ in marks)]), return_counts=True)
    unique = every[count == 1]
    for own, used in marks:
        ends = np.arange(len(own) - 1, -1, -stride)[::-1]
        ends = ends[np.isin(own[ends], unique)]
        if len(ends):
            found["digests"].append(own[ends])
            found["rows"].append(ends + (SPAN - 1))
            found["parts"].append(np.full(len(ends), already + len(found["used"]) - 1))
            found["used"].append(np.array([used]))
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    thinned = slice(None, None, max(1, -(-len(joined["digests"]) // MOST_MARKS)))
    for name in ("digests", "rows", "parts"):
        joined[name] = joined[name][::-1][thinned][::-1]  # from the end, so that the end of the used rows is found
    packed = {name: base64.b64encode(joined[name].astype(kind).tobytes()).decode() for name, kind in _TYPES.items()}
    return {"times": _last_times(table, spans, {} if before is None else before["times"]), **packed}


def seen(table: Table, before: Mapping[str, Any]) -> Array:
    """Which rows of a table a task has used before: (rows,) bool.

    Args:
        table: the data, as they were read, with the columns in the order of the record.
        before: the record.

    Raises:
        InputError: the record is damaged.
    """
    found = np.zeros(len(table), bool)
    try:
        known = _unpacked(before)
        last = {str(kind): list(pairs) for kind, pairs in before["times"].items()}
        order = np.argsort(known["digests"])
        for name, start, stop in table.series:
            found[start:stop] |= _by_marks(_digests(table.values[start:stop]), stop - start, known, order)
            if table.times is not None:
                kind, times = _times(table.times[start:stop])
                # If one of the two has no ids, the series cannot be distinguished, and all of them count.
                ends = [end for id, end in last.get(kind, []) if id is None or name is None or str(id) == str(name)]
                if ends:
                    found[start:stop] |= times <= max(ends)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(f"its record of the rows it was trained on is damaged ({error!r}); fit it again") from None
    return found


def _by_marks(digests: Array, rows: int, known: Mapping[str, Array], order: Array) -> Array:
    """Which rows of one series have been used according to its runs: (rows,) bool."""
    found = np.zeros(rows, bool)
    stored = known["digests"][order]
    at = np.minimum(np.searchsorted(stored, digests), max(len(stored) - 1, 0))
    hits = np.flatnonzero(stored[at] == digests) if len(stored) else np.zeros(0, np.int64)
    if not len(hits):
        return found
    mark, ends = order[at[hits]], hits + (SPAN - 1)
    found[(ends[:, None] - np.arange(SPAN)).ravel()] = True
    # The row of this series at which the series of each mark would begin. Marks that agree on it belong together.
    begins = ends - known["rows"][mark].astype(np.int64)
    agreed, which = np.unique(np.stack([known["parts"][mark].astype(np.int64), begins]), axis=1, return_inverse=True)
    least, most = np.full(agreed.shape[1], rows), np.zeros(agreed.shape[1], np.int64)
    np.minimum.at(least, which.ravel(), ends)
    np.maximum.at(most, which.ravel(), ends)
    for part, begin in agreed[:, most - least >= SPAN].T.tolist():
        found[max(0, begin) : max(0, begin + int(known["used"][part]))] = True
    return found


def _digests(values: Array) -> Array:
    """The digest of each run of `SPAN` rows: (runs,) uint64. All NaN count as equal, and so do both zeros."""
    plain = np.ascontiguousarray(np.where(np.isnan(values), np.float32(np.nan), values + np.float32(0)), "<f4")
    width, data = 4 * plain.shape[1], memoryview(plain.tobytes())
    rows = b"".join(blake2b(data[at : at + width], digest_size=8).digest() for at in range(0, len(data), width))
    runs = range(0, 8 * (len(plain) - SPAN + 1), 8)
    found = b"".join(blake2b(rows[at : at + 8 * SPAN], digest_size=8).digest() for at in runs)
    return np.frombuffer(found, "<u8").astype(np.uint64)


def _unpacked(before: Mapping[str, Any] | None) -> dict[str, Array]:
    """The arrays of a record; without a record they are empty."""
    if before is None:
        return {name: np.zeros(0, kind) for name, kind in _TYPES.items()}
    found = {name: np.frombuffer(base64.b64decode(before[name], validate=True), kind) for name, kind in _TYPES.items()}
    if len({len(found[name]) for name in ("digests", "rows", "parts")}) > 1:
        raise ValueError("its marks are not of one number")
    if len(found["parts"]) and int(found["parts"].max()) >= len(found["used"]):
        raise ValueError("a mark is of no series")
    return found


def _last_times(table: Table, spans: Spans, before: Mapping[str, Any]) -> dict[str, Any]:
    """For each kind of times the last time of each series, including the rows used before."""
    last = {kind: dict(pairs) for kind, pairs in before.items()}
    if table.times is not None:
        for start, stop in spans:
            name = next(name for name, first, end in table.series if first <= start < end)
            kind, times = _times(table.times[start:stop])
            own, end = last.setdefault(kind, {}), times[-1].item()
            own[name] = max(end, own.get(name, end))
    for kind, own in last.items():
        if len(own) > MOST_SERIES:
            last[kind] = {None: max(own.values())}
    return {kind: [[id, end] for id, end in own.items()] for kind, own in last.items()}


def _times(times: pd.Index) -> tuple[str, Array]:
    """The kind of times, and the times as numbers, which can be compared within a kind. Dates are in microseconds."""
    if isinstance(times, pd.DatetimeIndex):
        kind = "dates" if times.tz is None else "dates with a zone"
        return kind, np.asarray(times.as_unit("us").asi8)
    if isinstance(times, pd.TimedeltaIndex):
        return "durations", np.asarray(times.as_unit("us").asi8)
    return "numbers", numbers(times)
