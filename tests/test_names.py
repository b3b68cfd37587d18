"""Readings with names of columns go to a model by name, whoever made them; what has none goes by position."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise.errors import InputError

COLUMNS = ["v", "w", "load"]
MODEL = gw.init(
    gw.ModelSpec(input=gw.LayerSpec("numeric", width=3, columns=COLUMNS), layers=[gw.LayerSpec("gru", units=4)]), seed=1
)
X = np.random.default_rng(0).normal(size=(20, 3))
FRAME = pd.DataFrame(X, columns=COLUMNS)[["load", "v", "w"]]
Row = namedtuple("Row", ["load", "v", "w"])


def polars(frame: pd.DataFrame) -> Any:
    return pytest.importorskip("polars").from_pandas(frame)


def arrow(frame: pd.DataFrame) -> Any:
    return pytest.importorskip("pyarrow").Table.from_pandas(frame)


def dataset(frame: pd.DataFrame) -> Any:
    return pytest.importorskip("xarray").Dataset.from_dataframe(frame)


def labelled(frame: pd.DataFrame) -> Any:
    return pytest.importorskip("xarray").DataArray(frame)


MANY: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda f: f,
    "pandas of its own types": lambda f: f.astype("Float64"),
    "polars": polars,
    "Arrow": arrow,
    "a batch of Arrow": lambda f: arrow(f).to_batches()[0],
    "a Dataset": dataset,
    "a DataArray": labelled,
    "a dict of lists": lambda f: f.to_dict("list"),
    "a dict of arrays": lambda f: {name: f[name].to_numpy() for name in f},
    "a structured array": lambda f: f.to_records(index=False),
}
ONE: dict[str, Callable[[pd.Series], Any]] = {
    "a series": lambda row: row,
    "a dict": lambda row: row.to_dict(),
    "a named tuple": lambda row: Row(*row),
    "a structured value": lambda row: row.to_frame().T.to_records(index=False)[0],
}


@pytest.mark.parametrize("how", MANY)
def test_many_rows_go_by_name(how: str) -> None:
    given = MANY[how](FRAME)
    wanted = MODEL.run(X).tobytes()
    assert MODEL.run(given).tobytes() == wanted
    assert MODEL.stream().push_many(given).tobytes() == wanted
    pool = MODEL.pool(20)
    assert pool.push(range(20), given).tobytes() == MODEL.pool(20).push(range(20), X).tobytes()


@pytest.mark.parametrize("how", ONE)
def test_one_row_goes_by_name(how: str) -> None:
    stream, other = MODEL.stream(), MODEL.stream()
    for i in range(5):
        assert stream.push(ONE[how](FRAME.iloc[i])).tobytes() == other.push(X[i]).tobytes()


def test_batches_of_a_dict() -> None:
    batch = np.stack([X, 2 * X])
    given = {name: batch[:, :, i] for i, name in reversed([*enumerate(COLUMNS)])}
    assert MODEL.run(given).tobytes() == MODEL.run(batch).tobytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda f: f[["v", "w"]],
            r"the readings lack 'load'; the columns of the model are 'v', 'w', 'load'; pass exactly",
        ),
        (lambda f: f.assign(t=1.0), r"the readings also have 't'"),
        (lambda f: f.rename(columns={"v": "V"}), r"lack 'v' and also have 'V'"),
        (lambda f: f.rename(columns={"v": "w"}), r"the column 'w' 2 times"),
        (lambda f: f.assign(w="x"), r"column 'w' must hold real numbers, got (object|<U1)"),
        (lambda f: f.assign(w=1j), r"column 'w' must hold real numbers, got complex128"),
        (lambda f: {**f.to_dict("list"), "w": [1.0]}, r"must all have the same shape, .*'w' \(1,\)"),
        (lambda f: {**f.to_dict("list"), "w": [[1.0], [1.0, 2.0]]}, r"column 'w' is no array of real numbers"),
        (lambda f: f.assign(w=np.nan), r"is nan"),
    ],
)
def test_other_names_and_types_are_refused(change: Callable[[pd.DataFrame], Any], words: str) -> None:
    stream = MODEL.stream()
    before = stream.save()
    for call in (MODEL.run, stream.push_many, lambda x: MODEL.pool(20).push(range(20), x)):
        with pytest.raises(InputError, match=words):
            call(change(FRAME))
    assert stream.save() == before


def test_one_row_with_other_names_is_refused() -> None:
    for row in (FRAME.iloc[0][["v", "w"]], pd.Series({"a": 1.0, "b": 2.0, "c": 3.0}), {"v": 1.0, "w": 2.0}):
        with pytest.raises(InputError, match="the readings lack 'v'|the readings lack 'load'"):
            MODEL.stream().push(row)


def test_what_has_no_names_goes_by_position() -> None:
    wanted = MODEL.run(X).tobytes()
    assert MODEL.run(pd.DataFrame(X)).tobytes() == wanted
    assert MODEL.stream().push(pd.Series(X[0])).tobytes() == MODEL.stream().push(X[0]).tobytes()
    nameless = gw.init(gw.ModelSpec(3, [gw.LayerSpec("gru", units=4)]), seed=1)
    assert nameless.run(FRAME).tobytes() == nameless.run(FRAME.to_numpy()).tobytes()
    with pytest.raises(InputError, match="must be real numbers, got object"):
        nameless.run(FRAME.to_dict("list"))


def test_numbers_may_be_names() -> None:
    spec = gw.ModelSpec(
        input=gw.LayerSpec("numeric", width=2, columns=["0", "1"]), layers=[gw.LayerSpec("gru", units=4)]
    )
    model = gw.init(spec, seed=1)
    frame = pd.DataFrame(X[:, :2])
    assert model.run(frame[[1, 0]]).tobytes() == model.run(X[:, :2]).tobytes()


def test_a_series_is_a_column_where_there_is_one() -> None:
    spec = gw.ModelSpec(input=gw.LayerSpec("numeric", width=1, columns=["v"]), layers=[gw.LayerSpec("gru", units=4)])
    model = gw.init(spec, seed=1)
    assert model.run(FRAME["v"]).tobytes() == model.run(X[:, :1]).tobytes()
    with pytest.raises(InputError, match="lack 'v' and also have 'w'"):
        model.stream().push_many(FRAME["w"])


def test_a_training_takes_its_columns_by_name() -> None:
    from gatewise.train import fit

    stage = gw.LayerSpec("numeric", width=3, columns=COLUMNS)
    layers = [gw.LayerSpec("gru", units=4), gw.LayerSpec("dense", units=6)]
    model = gw.init(gw.ModelSpec(input=stage, layers=layers, head=gw.LayerSpec("tail_probability", targets=[0, 1, 2])))
    by_name, by_position = (fit(model, data, steps=2, batch=2, bptt=5)[0] for data in (FRAME, X))
    for name, value in by_position.tensors.items():
        assert np.array_equal(by_name.tensors[name], value), name
    with pytest.raises(InputError, match="series 0: the readings lack 'v'"):
        fit(model, [FRAME[["w", "load"]]], steps=2)
