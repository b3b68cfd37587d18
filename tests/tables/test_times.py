"""Reading times: offsets from UTC that differ, dates of Arrow, dates written as whole numbers."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatewise.errors import InputError
from gatewise.tables.table import read_table

HOURS = pd.date_range("2024-10-26 20:00", periods=12, freq="h", tz="Europe/Berlin")


def read(times: Any, **options: Any) -> pd.Index:
    found = read_table(pd.DataFrame({"t": times, "v": np.arange(float(len(times)))}), time="t", **options).times
    assert found is not None
    return found


def test_offsets_that_differ_are_those_of_utc() -> None:
    wanted = HOURS.tz_convert("UTC").tolist()
    forms = [
        HOURS.astype(str),
        HOURS.map(lambda time: time.isoformat()),
        HOURS.map(lambda time: f"{time:%Y-%m-%dT%H:%M:%S%z}"),
        HOURS.map(lambda time: f"{time:%Y-%m-%d %H:%M %z}"),
        HOURS.map(lambda time: f"{time:%Y-%m-%dT%H:%M%z}"[:-2]),
        HOURS.map(lambda time: f"{time:%Y%m%dT%H%M%S%z}"),
        pd.Series(HOURS).map(lambda time: time.to_pydatetime()).astype(object),
    ]
    for times in forms:
        found = read(times)
        assert found.tolist() == wanted
    mixed = [*HOURS.tz_convert("UTC").map(lambda time: f"{time:%Y-%m-%dT%H:%M:%SZ}")[:6], *HOURS.astype(str)[6:]]
    assert read(mixed).tolist() == wanted


def test_one_offset_is_kept() -> None:
    found = read([f"2024-01-01T{hour:02}:00+01:00" for hour in range(5)])
    assert isinstance(found, pd.DatetimeIndex)
    assert found.tz is not None
    assert str(found[0]) == "2024-01-01 00:00:00+01:00"


@pytest.mark.parametrize("odd", [0, 3])
def test_an_offset_in_some_rows_only_is_refused(odd: int) -> None:
    times = [f"2024-01-01T{hour:02}:00+0{1 + hour % 2}:00" for hour in range(1, 9, 2)]
    times[odd] = times[odd][:16]
    seen = ("none", r"\+02:00") if odd == 0 else (r"\+02:00", "none")
    message = (
        rf"mix UTC offsets: {seen[0]} at row 0, {seen[1]} at row {odd or 1}; write an offset in every row, or in none"
    )
    with pytest.raises(InputError, match=message):
        read(times)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("as_index", [False, True])
def test_times_of_arrow_keep_their_zone(unit: str, as_index: bool) -> None:
    arrow = pd.Series(HOURS).astype(f"timestamp[{unit}, Europe/Berlin][pyarrow]")
    if as_index:
        found = read_table(pd.DataFrame({"v": np.arange(12.0)}, index=pd.Index(arrow))).times
    else:
        found = read(arrow)
    assert isinstance(found, pd.DatetimeIndex)
    assert str(found.tz) == "Europe/Berlin"
    assert found.tolist() == HOURS.tolist()


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("date32[pyarrow]", pd.date_range("2024-01-01", periods=5)),
        ("date64[pyarrow]", pd.date_range("2024-01-01", periods=5)),
        ("timestamp[us][pyarrow]", pd.date_range("2024-01-01", periods=5)),
        ("duration[ns][pyarrow]", pd.timedelta_range("1h", periods=5, freq="h")),
        ("int64[pyarrow]", pd.Index(range(5, 10))),
    ],
)
def test_other_times_of_arrow(kind: str, wanted: pd.Index) -> None:
    found = read(pd.Series(wanted).astype(kind))
    assert found.tolist() == wanted.tolist()
    assert isinstance(found, type(wanted)) or kind.startswith("int")
    text = pd.Series(pd.date_range("2024-01-01", periods=5).astype(str)).astype("string[pyarrow]")
    assert read(text).tolist() == pd.date_range("2024-01-01", periods=5).tolist()


def test_missing_times_of_arrow_are_refused() -> None:
    arrow = pd.Series(HOURS).astype("timestamp[ns, Europe/Berlin][pyarrow]")
    arrow[3] = None
    with pytest.raises(InputError, match=r"the time 't' is missing at row 3 \(1 in all\)"):
        read(arrow)


@pytest.mark.parametrize("dtype", ["int64", "Int64", "int64[pyarrow]", "uint32"])
def test_dates_written_as_whole_numbers(dtype: str) -> None:
    days = pd.date_range("2024-01-20", periods=40)
    assert read(pd.Series([int(f"{day:%Y%m%d}") for day in days], dtype=dtype)).tolist() == days.tolist()
    months = pd.date_range("2023-11-01", periods=14, freq="MS")
    assert read(pd.Series([int(f"{month:%Y%m}") for month in months], dtype=dtype)).tolist() == months.tolist()
    assert read([20240101, 20240102]).tolist() == list(pd.date_range("2024-01-01", periods=2))


@pytest.mark.parametrize(
    "times",
    [
        list(range(1990, 2024)),
        list(range(202401, 202420)),
        list(range(20240101, 20240140)),
        list(range(190001, 192101, 100)),
        [20240230, 20240301],
        [1, 2, 3],
        [1704067200, 1704153600],
        [10240101, 10240102],
        [20240101.0, 20240102.0],
    ],
)
def test_other_numbers_stay_numbers(times: list[int | float]) -> None:
    assert read(times).tolist() == times


def test_whether_numbers_are_dates_may_be_known() -> None:
    assert read([202401], dated=True).tolist() == [pd.Timestamp("2024-01-01")]
    assert read([202401, 202402], dated=False).tolist() == [202401, 202402]
    assert read([199001, 199101], dated=True).tolist() == [pd.Timestamp("1990-01-01"), pd.Timestamp("1991-01-01")]
