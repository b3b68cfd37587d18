"""Tables in: what is read, and where exactly what is refused."""

from __future__ import annotations

import gzip
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatewise.errors import InputError
from gatewise.tables.scaling import standardise, within_reach
from gatewise.tables.table import read_table

STAMPS = pd.date_range("2024-03-01", periods=6, freq="5min")


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"stamp": STAMPS.astype(str), "a": np.arange(6.0), **columns})


def written(tmp_path: Path, text: str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_reads_the_same_from_frame_csv_gzip_and_parquet(tmp_path: Path) -> None:
    data = frame(b=np.array([1.5, -2, 3, 4, 1e-3, 6]), on=[True, False] * 3)
    csv, packed, parquet = tmp_path / "t.csv", tmp_path / "t.csv.gz", tmp_path / "t.parquet"
    data.to_csv(csv, index=False)
    packed.write_bytes(gzip.compress(csv.read_bytes()))
    data.to_parquet(parquet)
    expected = data[["a", "b", "on"]].to_numpy(np.float32)
    for source in (data, csv, str(packed), parquet):
        table = read_table(source, time="stamp")
        assert table.columns == ("a", "b", "on")
        assert table.values.dtype == np.float32
        np.testing.assert_array_equal(table.values, expected)
        assert table.times is not None
        assert list(table.times) == list(STAMPS)
        assert table.warnings == ()


def test_reads_arrays_series_and_lists() -> None:
    assert read_table(np.arange(5)).values.tolist() == [[0], [1], [2], [3], [4]]
    assert read_table([1.0, 2.0]).columns == ("x0",)
    assert read_table(np.ones((3, 2))).columns == ("x0", "x1")
    series = pd.Series(np.arange(6.0), index=STAMPS, name="flow")
    table = read_table(series)
    assert table.columns == ("flow",)
    assert table.times is not None
    assert table.times.equals(STAMPS)
    assert read_table(pd.Series([1.0, 2.0])).columns == ("x0",)


def test_columns_are_taken_by_name_in_the_order_asked_for() -> None:
    table = read_table(frame(b=np.arange(6) * 2), columns=["b", "a"])
    assert table.columns == ("b", "a")
    np.testing.assert_array_equal(table.values, np.stack([np.arange(6) * 2, np.arange(6)], axis=1))


def test_object_columns_of_numbers_and_nullable_types_are_read() -> None:
    data = pd.DataFrame({"a": [Decimal("1.5"), Decimal(2)], "b": pd.array([1, 2], "Int64")})
    np.testing.assert_array_equal(read_table(data).values, [[1.5, 1], [2, 2]])
    gap = pd.DataFrame({"a": pd.array([1, None], "Int64"), "b": np.array([1.0, None], object)})
    np.testing.assert_array_equal(read_table(gap, missing="hold").values, [[1, 1], [np.nan, np.nan]])


def test_a_frame_of_results_keeps_index_and_times() -> None:
    out = read_table(frame(), time="stamp").frame({"score": np.zeros(6)})
    assert list(out.columns) == ["stamp", "score"]
    assert list(out["stamp"]) == list(STAMPS)
    dated = read_table(frame().set_index(STAMPS)[["a"]]).frame({"score": np.zeros(6)})
    assert list(dated.columns) == ["score"]
    assert dated.index.equals(STAMPS)


@pytest.mark.parametrize(
    "times",
    [
        ["2024-01-01", "2024-01-01 00:05:00", "2024-01-01T00:10:00"],  # ISO 8601 in several spellings
        ["2024-01-01T00:00:00Z", "2024-01-01T00:05:00Z", "2024-01-01T00:10:00Z"],
        ["2024/02/01 00:00", "2024/02/01 00:05", "2024/02/01 00:10"],
        [0.0, 0.5, 1.0],
        [1704067200, 1704067500, 1704067800],
    ],
)
def test_times_in_several_notations_are_read(times: list[Any]) -> None:
    table = read_table(pd.DataFrame({"t": times, "v": [1.0, 2.0, 3.0]}), time="t")
    assert table.times is not None
    assert table.times.is_monotonic_increasing
    assert table.warnings == ()


@pytest.mark.parametrize("first", ["03/04/2024", "31.12.2023 00:00", "3-4-24", "12/31/2023"])
def test_dates_that_do_not_begin_with_the_year_are_refused(first: str) -> None:
    for times, row in (([first, "2024-04-05", "2024-04-06"], 0), (["2024-04-05", "2024-04-06 01:00 PM", first], 2)):
        message = f"the time 't' is '{first}' at row {row}, .* what is day .* ISO 8601, .* dayfirst=True"
        with pytest.raises(InputError, match=message):
            read_table(pd.DataFrame({"t": times, "v": [1.0, 2.0, 3.0]}), time="t")


def test_whole_times_are_told_apart_to_the_last_digit() -> None:
    begin = 1_700_000_000_000_000_000
    for dtype in ("int64", "uint64", "Int64"):
        times = pd.Series([begin, begin + 100, begin + 200], dtype=dtype)
        table = read_table(pd.DataFrame({"t": times, "v": [1.0, 2.0, 3.0]}), time="t")
        assert table.times is not None
        assert table.times.tolist() == times.tolist()
        assert table.warnings == ()
        with pytest.raises(InputError, match=r"1700000000000000000 at row 2 is earlier than 1700000000000000100"):
            read_table(pd.DataFrame({"t": times[[0, 1, 0]].reset_index(drop=True), "v": [1.0, 2.0, 3.0]}), time="t")


def swapped(name: str, row: int, value: Any) -> pd.DataFrame:
    data = frame()
    data[name] = data[name].astype(object)
    data.loc[row, name] = value
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (swapped("stamp", 3, str(STAMPS[1])), r"00:05:00 at row 3 is earlier than 2024-03-01 00:10:00 .*sort the rows"),
        (swapped("stamp", 3, str(STAMPS[2])), r"00:10:00 at row 3 is that of the row before \(1 such rows\)"),
        (swapped("stamp", 2, "yesterday"), r"cannot be read at row 2: 'yesterday'"),
        (swapped("stamp", 2, None), r"the time 'stamp' is missing at row 2 \(1 in all\)"),
        (swapped("stamp", 4, "2024-03-01T00:20:00+01:00"), r"mix UTC offsets: none at row 0, \+01:00 at row 4"),
        (swapped("a", 2, "n.a."), r"'a' is not numeric: 'n.a.' at row 2, 2024-03-01 00:10:00"),
        (swapped("a", 5, np.nan), "a non-finite reading at row 5, 2024-03-01 00:25:00: nan; pass missing='hold'"),
        (swapped("a", 0, np.inf), r"at row 0, 2024-03-01 00:00:00: inf"),
        (swapped("a", 1, 1e39), r"'a' holds 1e\+39 at row 1, 2024-03-01 00:05:00, too large for float32"),
        (swapped("a", 3, 10**400), r"'a' holds a whole number at row 3, 2024-03-01 00:15:00, too large for float32"),
        (swapped("stamp", 3, 10**400), r"the time 'stamp' cannot be read at row 3: '1000"),
        (frame(b=["1", "2", "3", "4", "5", "6"]), r"'b' holds numbers as text .*pandas.to_numeric"),
        (frame(b=STAMPS), r"'b' holds dates; pass time='b'"),
        (frame(b=np.arange(6) * 1j), r"'b' is not numeric"),
        (frame(b=pd.Categorical(list("xyxyxy"))), r"'b' is not numeric: 'x' at row 0"),
        (frame().iloc[:0], "the frame has no rows"),
        (frame()[["stamp"]], "no columns of readings besides the time"),
        (pd.DataFrame([[1, 2, 3]], columns=["stamp", "v", "v"]), r"the column 'v' 2 times, at \[1, 2\]"),
        (frame().rename(columns={"stamp": "when"}), r"no time column 'stamp'; it has 'when', 'a'"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(data: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_table(data, time="stamp")


def test_a_text_column_that_looks_like_the_time_says_so() -> None:
    with pytest.raises(InputError, match="pass time='stamp'"):
        read_table(frame())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((2, 3, 4)), r"got shape \(2, 3, 4\)"),
        (np.array(["a"]), "must hold real numbers"),
        (np.array([1j]), "must hold real numbers"),
        ([[1, 2], [3]], "no array"),
        (np.zeros(0), "no rows"),
        (np.zeros((0, 2)), "no rows"),
        (np.float32(3), "got shape"),
        (Path("/nowhere/t.csv"), "there is no file"),
        (Path(__file__).parent, "is a folder; give the path of a .csv or .parquet file"),
        (iter([1.0]), "a list_iterator is not a table; pass a frame"),
        (None, "a NoneType is not a table"),
    ],
)
def test_what_is_no_table_is_refused(data: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_table(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("1.5,2\n2.5,3\n", "has no header line: its first line is 1.5,2"),
        (",v\n0,1\n1,2\n", "column 0 has no name"),
        ("a;b,c;d\n1;2,5;3\n", "by commas or by semicolons cannot be told; if by commas, read it with .*sep=','"),
        ("a;b\n1;2\n3\n", "line 3 has 1 field; every line must have 2 fields"),
        ("a;b\n1;1,234\n", r"'b' is not numeric: '1,234' at row 0 \(line 2\) has a comma, .*decimal=','"),
        ('a,b\n1,"1,234"\n', "'1,234' .* has a comma, which may stand before decimals or between thousands"),
        ('a,b\n1,"1,234,567"\n', "'1,234,567' at .* has marks between thousands; write it without them"),
        ("a;b\n1;1.234.567\n", "'1.234.567' at .* has marks between thousands"),
        ("a;b\n1;1.234,5\n", "'1.234,5' at .* has marks between thousands"),
        ("v,v\n1,2\n", r"column 'v' 2 times"),
        ("a,b\n1,2\n3,4,5\n", "csv: line 3 has 3 fields; every line must have 2 fields"),
        ("a,b\n1,2,9\n3,4,9\n", "csv: line 2 has 3 fields; every line must have 2 fields"),
        ("a,b\n1,2\n3\n", r"csv: line 3 has 1 field; every line must have 2 fields, .*; is the file cut off\?"),
        ('a,b,c\n1,"2\n",3\n4,5\n6,7,8\n', r"csv: line 4 has 2 fields; every line must have 3 fields"),
        ("a,b\n1,2\n3,\n", r"'b' has a non-finite reading at row 1 \(line 3\): nan"),
        ('a,b\n1,2\n3,"4\n', "EOF inside string"),
        ("a\n1\n\n3\n", r"'a' has a non-finite reading at row 1 \(line 3\): nan"),
        ("a\n1\nx\n3\n", r"'a' is not numeric: 'x' at row 1 \(line 3\)"),
        ("a,b\n", "has no rows"),
    ],
)
def test_csv_files_that_do_not_fit_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_table(written(tmp_path, text))


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.csv.zip"])
def test_a_file_that_is_cut_off_is_not_filled_up(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    text = frame(b=np.arange(6.0) * 2).to_csv(index=False).rstrip()
    for part in (text, text.rpartition(",")[0]):
        if name.endswith("zip"):
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("t.csv", part)
        else:
            path.write_bytes(gzip.compress(part.encode()) if name.endswith("gz") else part.encode())
        if part == text:
            assert len(read_table(path, "stamp", missing="hold")) == 6
    with pytest.raises(InputError, match=r"line 7 has 2 fields; .* is the file cut off\?"):
        read_table(path, "stamp", missing="hold")


def test_blank_lines_are_rows_without_readings(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "a,b\n1,2\n\n3,\n"), missing="hold")
    np.testing.assert_array_equal(table.values, [[1, 2], [np.nan, np.nan], [3, np.nan]])


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither .csv nor .parquet"):
        read_table(written(tmp_path, "v\n1\n", "t.txt"))
    with pytest.raises(InputError, match="no readable Parquet"):
        read_table(written(tmp_path, "v\n1\n", "t.parquet"))
    broken = tmp_path / "t.csv.gz"
    broken.write_bytes(gzip.compress(b"v\n1\n2\n")[:-6])
    with pytest.raises(InputError, match="cannot be read"):
        read_table(broken)
    latin = tmp_path / "latin.csv"
    latin.write_bytes("a,größe\n1,2\n".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8"):
        read_table(latin)


def test_a_byte_order_mark_is_no_part_of_the_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfv\n1\n2\n")
    assert read_table(path).columns == ("v",)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["b"], "no column 'b'; it has 'stamp', 'a'"),
        (["a", "a"], "names a column twice"),
        ("a", r"list of names, got the text 'a'"),
        (["stamp"], "both the time and a reading"),
        ([], "empty list"),
        (5, "columns must be a list of names, got 5"),
        ({"a"}, "columns must be a list of names, got {'a'}"),
        (np.int64(5), "columns must be a list of names, got "),
        (np.array(["b"]), "no column 'b'"),
    ],
)
def test_bad_choices_of_columns_are_refused(columns: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_table(frame(), time="stamp", columns=columns)


def test_missing_readings_are_let_through_and_counted_when_held() -> None:
    values = np.arange(100.0)
    values[10:14] = np.nan
    values[50:54] = np.inf
    table = read_table(values, missing="hold")
    assert np.isnan(table.values).sum() == 8
    assert table.warnings == (
        "column 'x0': 8.0% of the readings are missing and filled forward with the last finite one, up to 4 in a row; "
        "scores there tell nothing",
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32, np.bool_])
def test_what_a_masked_array_hides_is_missing(dtype: Any) -> None:
    hidden = np.ma.masked_array(np.ones((4, 2), dtype), mask=[[0, 1], [0, 0], [1, 0], [0, 0]])
    expected = [[1, np.nan], [1, 1], [np.nan, 1], [1, 1]]
    for source in (hidden, list(hidden)):
        np.testing.assert_array_equal(read_table(source, missing="hold").values, expected)
        with pytest.raises(InputError, match="'x0' has a non-finite reading at row 2: nan"):
            read_table(source)
    np.testing.assert_array_equal(read_table(hidden[1]).values, [[1], [1]])


def test_scaling_is_that_of_the_training_part() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal([5, -3], [2, 0.1], (200, 2))
    values[7, 0] = np.nan
    offset, scale = standardise(read_table(values, missing="hold"), np.arange(100))
    np.testing.assert_allclose(offset, np.nanmean(values[:100], axis=0), rtol=1e-6)
    np.testing.assert_allclose(scale, np.nanstd(values[:100], axis=0), rtol=1e-5)


def test_what_scaling_takes_too_far_is_missing() -> None:
    values = np.array([[1.0, 5.0], [2.0, 3.4e38], [-2e18, np.nan], [3.0, 7.0]])
    offset, scale = np.array([2, 6], np.float32), np.array([1, 2], np.float32)
    table = read_table(values, missing="hold")
    kept = within_reach(table, offset, scale, "hold").values
    np.testing.assert_array_equal(kept, [[1, 5], [2, np.nan], [np.nan, np.nan], [3, 7]])
    message = r"column 'x1' is 3.4e\+38 at row 1, more than 1e\+18 .* mean of 6; .* pass missing='hold'"
    with pytest.raises(InputError, match=message):
        within_reach(read_table(values[:2]), offset, scale, "raise")
    table = read_table(values[[0, 3]])
    assert within_reach(table, offset, scale, "raise") is table


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.r_[np.full(50, 7.25), np.arange(50)], "'x0' is 7.25 throughout in the 50 rows of the training part"),
        (np.r_[np.full(50, np.nan), np.arange(50)], "'x0' has no readings in the 50 rows .*; leave it out"),
        (1.7e9 + np.random.default_rng(0).normal(0, 300, 100), "float32 has steps of 128; give it as float64, or"),
        (np.random.default_rng(0).normal(0, 1e-40, 100), "'x0' varies by .*e-41, less than the 1e-30 .* multiply it"),
        (
            1e9 + np.random.default_rng(0).normal(0, 1, 100),
            r"'x0' varies by 0.9\d+ around 1e\+09, where float32 has steps of 64; give it as float64",
        ),
        (
            np.stack([np.full(100, 2.0), np.arange(100), np.full(100, 0.1), np.r_[np.full(50, 7), np.arange(50)]], 1),
            "column 'x0' is 2 throughout, column 'x2' is 0.1 throughout, column 'x3' is 7 throughout in the 50 rows",
        ),
        (
            np.stack([np.arange(100) + 1e9, np.arange(100), np.arange(100) + 1e10], 1),
            "'x0' varies by .* steps of 64, column 'x2' varies by .* steps of 1.02e.03; give them .* mean of each",
        ),
    ],
)
def test_columns_that_teach_nothing_are_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        standardise(read_table(values, missing="hold"), np.arange(50))


def many(ids: Any = ("b", "a", "b", "a", "a", "b")) -> pd.DataFrame:
    """Two series interleaved."""
    return frame().assign(pump=pd.Series(ids, dtype=object))


def test_series_are_grouped_in_the_order_of_first_appearance(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    many().to_csv(path, index=False)
    for source in (many(), path, many().astype({"pump": "category"}), many().astype({"pump": "string"})):
        table = read_table(source, time="stamp", series="pump")
        assert table.series == (("b", 0, 3), ("a", 3, 6))
        assert table.columns == ("a",)
        assert table.values[:, 0].tolist() == [0, 2, 5, 1, 3, 4]
        assert table.order.tolist() == [0, 2, 5, 1, 3, 4]
        assert table.times is not None
        assert list(table.times) == [STAMPS[i] for i in table.order]
        shown = table.frame({"score": np.arange(6.0)})
        assert list(shown.columns) == ["pump", "stamp", "score"]
        assert shown["pump"].tolist() == ["b"] * 3 + ["a"] * 3
        assert shown.index.tolist() == [0, 2, 5, 1, 3, 4]
        assert table.where(4).startswith("row 3")
        assert table.where(4).endswith("series 'a', 2024-03-01 00:15:00")
    assert read_table(frame(), time="stamp").series == ((None, 0, 6),)


def test_ids_may_be_whole_numbers_and_times_may_repeat_across_series() -> None:
    data = many([7, 7, 7, 3, 3, 3])
    data["stamp"] = [*STAMPS[:3].astype(str)] * 2
    table = read_table(data.astype({"pump": np.int64}), time="stamp", series="pump")
    assert table.series == ((7, 0, 3), (3, 3, 6))
    assert all(type(name) is int for name, _, _ in table.series)
    assert table.warnings == ()
    dated = data.set_index(pd.DatetimeIndex(data["stamp"]))[["pump", "a"]]
    assert read_table(dated, series="pump").series == table.series


@pytest.mark.parametrize(
    ("data", "more", "message"),
    [
        (many(), {"series": "fan"}, "no column of series 'fan'; it has 'stamp', 'a', 'pump'"),
        (many(["a", None, "a", "b", "b", "b"]), {}, r"series 'pump' is missing at row 1 \(1 in all\)"),
        (many([1.5, 2.5, 1.5, 1.5, 1.5, 1.5]), {}, "all text or all whole numbers, got floating"),
        (many(["a", 1, "a", 1, "a", 1]), {}, "all text or all whole numbers, got mixed"),
        (many([True, False] * 3), {}, "all text or all whole numbers, got boolean"),
        (many().drop(columns="a"), {}, "no columns of readings besides the time and the series"),
        (many(), {"columns": ["pump"]}, "'pump' cannot be both the series and a reading"),
        (many().iloc[::-1], {}, r"00:10:00 at row 3, series 'b' is earlier than .*00:25:00 in"),
        (many().assign(a=[0, 1, 2, np.nan, 4, 5]), {}, "non-finite reading at row 3, series 'a', 2024-03-01 00:15:00"),
    ],
)
def test_series_that_do_not_fit_are_refused(data: pd.DataFrame, more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_table(data, time="stamp", **{"series": "pump", **more})


def test_scaling_of_several_series_is_that_of_their_training_parts() -> None:
    values = np.random.default_rng(1).normal(size=200)
    table = read_table(pd.DataFrame({"v": values, "id": np.repeat([1, 2], 100)}), series="id")
    training = np.arange(200) % 100 < 70
    offset, scale = standardise(table, training)
    assert offset[0] == pytest.approx(values[training].mean(), rel=1e-5)
    assert scale[0] == pytest.approx(values[training].std(), rel=1e-5)
