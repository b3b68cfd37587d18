"""The record of rows used: what is seen again is found, and nothing else."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.tables.seen import MOST_MARKS, record, seen
from gatewise.tables.table import Table, read_table

RNG = np.random.default_rng(0)
A: Array = RNG.normal(size=(600, 2)).astype(np.float32)
B: Array = RNG.normal(size=(400, 2)).astype(np.float32)
USED = 450
"""Of A the first rows were used."""


def table(values: Any, **given: Any) -> Table:
    return read_table(values, missing="hold", **given)


RECORD = record(table(A), [(0, USED)])


def found(values: Any, before: Any = RECORD) -> list[int]:
    return np.flatnonzero(seen(table(values), before)).tolist()


def span(first: int, end: int) -> list[int]:
    return list(range(first, end))


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (A, span(0, 450)),
        (np.concatenate([A, B]), span(0, 450)),
        (np.concatenate([A[100:], B]), span(0, 350)),
        (np.concatenate([B, A]), span(400, 850)),
        (A[200:330], span(0, 130)),
        (A[420:], span(0, 30)),
        (A[434:], span(0, 16)),
        (A[430:440], []),
        (A[450:], []),
        (B, []),
        (A[:5], []),
        (A[:, ::-1], []),
    ],
    ids=["same", "longer", "later", "behind", "piece", "end", "one-run", "less", "unused", "others", "few", "swapped"],
)
def test_rows_are_known_by_their_readings(values: Array, wanted: list[int]) -> None:
    assert found(values) == wanted


def test_rows_around_what_was_corrected_are_known() -> None:
    edited = A.copy()
    edited[[100, 220], 0] += 1
    assert found(edited) == span(0, 450)
    dropped = np.delete(A, [100, 101, 220], axis=0)
    assert found(dropped) == span(0, 450), "as many rows more at the end as were dropped before it, to be safe"


def test_missing_readings_and_zeros_are_what_they_are() -> None:
    holes = A.copy()
    holes[::7, 0], holes[::5, 1] = np.nan, 0.0
    before = record(table(holes), [(0, USED)])
    again = holes.copy()
    again[::7, 0], again[::5, 1] = -np.float32(np.nan), -0.0
    assert found(again, before) == span(0, 450)


def test_a_machine_that_stands_still_is_not_taken_for_rows_used() -> None:
    """Off for long stretches in the old and in the new rows, which have nothing else in common."""
    old, new = A.copy(), B.copy()
    old[100:200], old[300:400], new[50:300] = 0.0, 0.0, 0.0
    before = record(table(old), [(0, USED)])
    assert found(new, before) == []
    assert found(np.concatenate([old, new]), before) == span(0, 450)


def test_long_series_keep_few_marks_and_are_known_all_the_same() -> None:
    long = RNG.normal(size=(30_000, 1)).astype(np.float32)
    before = record(table(long), [(0, 24_000)])
    assert len(str(before)) < 30 * MOST_MARKS
    assert found(long[5_000:], before) == span(0, 19_000)
    assert found(long[23_900:], before) == span(0, 100)


def test_records_add_up() -> None:
    both = record(table(B), [(0, 300)], RECORD)
    assert found(np.concatenate([A, B]), both) == [*span(0, 450), *span(600, 900)]
    many = both
    for seed in range(6):
        more = np.random.default_rng(10 + seed).normal(size=(1000, 2))
        many = record(table(more), [(0, 1000)], many)
    assert len(str(many)) < 30 * MOST_MARKS
    assert found(np.concatenate([A, B]), many) == [*span(0, 450), *span(600, 900)]


def dated(values: Array, start: str = "2024-01-01", zone: str | None = None, **more: Any) -> pd.DataFrame:
    return pd.DataFrame(values, columns=["a", "b"]).assign(
        t=pd.date_range(start, periods=len(values), freq="h", tz=zone), **more
    )


def at(frame: pd.DataFrame, before: Any, **given: Any) -> list[int]:
    known = read_table(frame, time="t", missing="hold", **given)
    rows = np.empty(len(known), bool)
    rows[known.order] = seen(known, before)
    return np.flatnonzero(rows).tolist()


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_times_tell_where_readings_do_not(zone: str | None) -> None:
    first = read_table(dated(A, zone=zone), time="t")
    before = record(first, [(0, USED)])
    rounded = dated(A.round(1), zone=zone)
    assert at(rounded, before) == span(0, 450)
    assert at(rounded[300:], before) == span(0, 150)
    assert at(dated(B, "2024-01-19 17:00", zone), before) == [0]
    assert at(dated(B, "2025-01-01", zone), before) == []
    if zone is not None:
        moved = rounded.assign(t=rounded.t.dt.tz_convert("Asia/Tokyo"))
        assert at(moved, before) == span(0, 450)
        assert at(rounded.assign(t=rounded.t.dt.tz_localize(None)), before) == [], "which cannot be compared"
    assert at(dated(A, "2030-01-01", zone), before) == span(0, 450), "the readings tell"


def test_each_series_has_its_own_last_time() -> None:
    def two(values: Array, ids: tuple[Any, Any], used: tuple[int, int] = (0, 0)) -> pd.DataFrame:
        return pd.concat([dated(values, s=id) for id in ids], ignore_index=True)

    first = read_table(two(A, (1, 2)), time="t", series="s")
    before = record(first, [(0, 100), (600, 900)])
    again = two(B[:200], (2, 3))
    assert at(again, before, series="s") == span(0, 200)
    assert at(two(B[:200], ("1", "3")), before, series="s") == span(0, 100), "ids are compared as text"
    assert at(dated(B[:350]), before) == span(0, 300), "without ids all count"
    assert at(again, record(read_table(dated(A), time="t"), [(0, 50)]), series="s") == [*span(0, 50), *span(200, 250)]


def test_of_very_many_series_the_last_time_of_all_counts() -> None:
    frame = pd.concat([dated(A[:20], f"2024-01-{1 + i // 24:02}", s=i) for i in range(300)], ignore_index=True)
    before = record(read_table(frame, time="t", series="s"), [(20 * i, 20 * i + 10) for i in range(300)])
    assert len(before["times"]["dates"]) == 1
    assert at(dated(B[:350]), before) == span(0, 24 * 12 + 10)


@pytest.mark.parametrize(
    "change",
    [
        {"digests": "###"},
        {"rows": ""},
        {"parts": None},
        {"used": ""},
        {"times": None},
        {"times": {"numbers": [1]}},
        {"times": {"numbers": [[None, "x"]]}},
    ],
    ids=str,
)
def test_a_damaged_record_is_refused(change: dict[str, Any]) -> None:
    frame = pd.DataFrame({"t": np.arange(600), "a": A[:, 0], "b": A[:, 1]})
    with pytest.raises(InputError, match="its record of the rows it was trained on is damaged .* fit it again"):
        seen(read_table(frame, time="t"), {**RECORD, **change})
