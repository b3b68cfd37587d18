"""One table, whatever holds it: pandas, polars, Arrow, xarray, a dict, a structured array, CSV and Parquet."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise.errors import InputError
from gatewise.tables.table import read_table

STAMPS = pd.date_range("2024-03-01", periods=6, freq="5min")


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"stamp": STAMPS, "a": np.arange(6.0), "b": [1.5, -2, 3, 4, 1e-3, 6], **columns})


def polars(data: pd.DataFrame) -> Any:
    return pytest.importorskip("polars").from_pandas(data)


def dataset(data: pd.DataFrame) -> Any:
    return pytest.importorskip("xarray").Dataset.from_dataframe(data)


class OnlyToPandas:
    def __init__(self, data: pd.DataFrame) -> None:
        self.data = data

    def to_pandas(self) -> pd.DataFrame:
        return self.data


class OnlyStream:
    """Arrow's C stream, and nothing else."""

    def __init__(self, data: pd.DataFrame) -> None:
        self.table = pa.Table.from_pandas(data, preserve_index=False)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


HOLDERS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "polars": polars,
    "Arrow": pa.Table.from_pandas,
    "a batch of Arrow": pa.RecordBatch.from_pandas,
    "an Arrow stream": OnlyStream,
    "xarray": dataset,
    "to_pandas": OnlyToPandas,
    "a dict of lists": lambda f: {name: f[name].tolist() for name in f},
    "a dict of series": lambda f: {name: f[name] for name in f},
    "a dict of Arrow columns": lambda f: {name: pa.array(f[name]) for name in f},
    "a structured array": lambda f: f.to_records(index=False),
}


def same(found: Any, wanted: Any) -> None:
    assert found.columns == wanted.columns
    np.testing.assert_array_equal(found.values, wanted.values)
    assert found.series == wanted.series
    assert found.named
    assert (found.times is None) == (wanted.times is None)
    if wanted.times is not None:
        assert list(found.times) == list(wanted.times)


@pytest.mark.parametrize("how", HOLDERS)
def test_every_holder_gives_the_same_table(how: str) -> None:
    data = frame(pump=["x", "y"] * 3)
    wanted = read_table(data, time="stamp", series="pump")
    same(read_table(HOLDERS[how](data), time="stamp", series="pump"), wanted)
    chosen = read_table(HOLDERS[how](data), columns=["b"])
    assert chosen.columns == ("b",)
    with pytest.raises(InputError, match="no column 'c'; it has 'stamp', 'a', 'b', 'pump'"):
        read_table(HOLDERS[how](data), columns=["c"])
    with pytest.raises(InputError, match="'pump' is not numeric: 'x' at row 0"):
        read_table(HOLDERS[how](data), time="stamp")


NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=8).map(lambda s: f"c{s}")
NUMBERS = st.floats(-1e30, 1e30, allow_subnormal=False) | st.integers(-(10**9), 10**9)


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(1, 12))
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    columns: dict[str, Any] = {}
    for name in names:
        kind = draw(st.sampled_from(["numbers", "gaps", "whole", "bool"]))
        if kind == "whole":
            values: Any = np.array(draw(st.lists(st.integers(-(2**40), 2**40), min_size=rows, max_size=rows)), np.int64)
        elif kind == "bool":
            values = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
        else:
            values = np.array(draw(st.lists(NUMBERS, min_size=rows, max_size=rows)), np.float64)
            if kind == "gaps":
                values[draw(st.lists(st.integers(0, rows - 1), max_size=3))] = np.nan
        columns[name] = values
    return pd.DataFrame(columns)


@settings(deadline=None, max_examples=30)
@given(frames(), st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["", "\n", "\n\n"]))
def test_any_table_is_the_same_through_all_holders(data: pd.DataFrame, sep: str, blank: str) -> None:
    wanted = read_table(data, missing="hold")
    holders = [how for how in HOLDERS if how not in ("polars", "xarray")]
    for how in [*holders, *([] if not _has("polars") else ["polars"])]:
        same(read_table(HOLDERS[how](data), missing="hold"), wanted)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.CSV")
        path.write_text(data.to_csv(index=False, sep=sep, na_rep="nan", float_format="%.17g") + blank)
        same(read_table(path, missing="hold"), wanted)
        data.to_parquet(Path(folder, "t.Parquet"))
        same(read_table(Path(folder, "t.Parquet"), missing="hold"), wanted)


def _has(name: str) -> bool:
    try:
        __import__(name)
    except ImportError:
        return False
    return True


@pytest.mark.parametrize("how", ["pandas", "Arrow"])
def test_levels_of_the_index_are_time_and_series(how: str) -> None:
    data = frame(pump=["x", "y"] * 3)
    wanted = read_table(data, time="stamp", series="pump")
    hold: Any = pa.Table.from_pandas if how == "Arrow" else lambda f: f
    for levels in (["pump", "stamp"], ["stamp", "pump"], ["pump"], ["stamp"]):
        found = read_table(hold(data.set_index(levels)), time="stamp", series="pump")
        same(found, wanted)
        shown = found.frame({"score": np.zeros(6)})
        assert shown.reset_index(levels if len(levels) > 1 else None)[["pump", "stamp"]].to_numpy().tolist() == (
            data.iloc[wanted.order][["pump", "stamp"]].to_numpy().tolist()
        )
    both = data.set_index(["pump", "stamp"])
    with pytest.raises(
        InputError, match="level 'pump' is neither the time nor the series; pass time=... and series=..."
    ):
        read_table(hold(both), time="stamp")
    one = data.assign(pump="x").set_index(["pump", "stamp"])
    same(read_table(hold(one), time="stamp"), read_table(data.drop(columns="pump"), time="stamp"))
    with pytest.raises(InputError, match="no column of series 'fan'; it has 'stamp', 'a', 'b'; its index is 'pump'"):
        read_table(hold(data.set_index("pump")), time="stamp", series="fan")


def test_an_xarray_of_two_dimensions_is_a_panel() -> None:
    xr = pytest.importorskip("xarray")
    values = np.arange(12.0).reshape(6, 2)
    data = xr.Dataset({"v": (("stamp", "pump"), values)}, coords={"stamp": STAMPS, "pump": ["x", "y"]})
    table = read_table(data, time="stamp", series="pump")
    assert table.columns == ("v",)
    assert table.series == (("x", 0, 6), ("y", 6, 12))
    np.testing.assert_array_equal(table.values[:, 0], values.T.ravel())
    wide = read_table(data["v"])
    assert wide.columns == ("x", "y")
    np.testing.assert_array_equal(wide.values, values)


def test_one_column_of_arrow_or_polars_is_a_table() -> None:
    assert read_table(pa.chunked_array([[1.0, 2.0], [3.0]])).columns == ("x0",)
    assert read_table(pa.array([1, 2, 3])).values.tolist() == [[1], [2], [3]]
    series = pytest.importorskip("polars").Series("flow", [1.0, 2.0])
    assert read_table(series).columns == ("flow",)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"a": [1.0, 2.0], "b": [1.0]}, r"columns of the dict must all have the same length, got 'a' 2, 'b' 1"),
        ({"a": 1.0}, r"column 'a' of the dict must be \(rows,\), got shape \(\)"),
        ({"a": [[1.0, 2.0]]}, r"column 'a' of the dict must be \(rows,\), got shape \(1, 2\)"),
        ({"a": [[1.0], [1.0, 2.0]]}, "column 'a' of the dict is no array"),
        ({"a": pd.Series([1.0], [0]), "b": pd.Series([1.0], [1])}, "column 'b' of the dict has another index"),
        ({}, "has no rows"),
        (np.zeros((2, 2), [("a", "f4")]), r"a structured array must be \(rows,\)"),
        (pa.table([[1.0], [2.0]], names=["a", "a"]), "has the column 'a' more than once"),
        (SimpleNamespace(a=1), "a SimpleNamespace is not a table; pass a frame"),
        (SimpleNamespace(to_pandas=lambda: 1 / int("x")), "cannot be converted to a pandas frame: invalid literal"),
    ],
)
def test_what_is_no_table_is_refused(data: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_table(data)


def test_masked_columns_of_a_dict_are_missing_where_masked() -> None:
    data = {"a": np.ma.masked_array([1.0, 2.0], [False, True]), "b": [1.0, None]}
    np.testing.assert_array_equal(read_table(data, missing="hold").values, [[1, 1], [np.nan, np.nan]])


def test_a_task_keeps_the_names_whoever_holds_them() -> None:
    from gatewise import Detector, Forecaster

    rng = np.random.default_rng(0)
    data = pd.DataFrame({"v": rng.normal(size=400), "w": rng.normal(size=400)})
    quick: dict[str, Any] = {"units": 3, "steps": 2}
    detector = Detector(**quick, target="v", false_alarms_per_1000=100.0).fit(pa.Table.from_pandas(data))
    assert detector.columns_ == ("v", "w")
    wanted = detector.score_samples(data)
    forecaster = Forecaster(**quick, horizons=2).fit(data)
    for how in HOLDERS:
        held = HOLDERS[how](data[["w", "v"]])
        np.testing.assert_array_equal(detector.score_samples(held), wanted)
        pd.testing.assert_frame_equal(forecaster.predict(held), forecaster.predict(data))
