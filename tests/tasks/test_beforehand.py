"""What the table tells is refused before the training, not after it: no step is made in any of these tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.tables.files import TextFile
from gatewise.tables.table import read_table
from gatewise.tasks.beforehand import check_room
from gatewise.tasks.held_out import significant
from nodes import NODES, node, number_of

ROWS = 1200
CALIBRATION = slice(960, 1200)  # a fifth of the last quarter decides when to stop
STOPPING = slice(900, 960)


@pytest.fixture(autouse=True)
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a step would be made, the test fails: the error is none that fit raises."""

    def step(self: Any) -> None:
        raise AssertionError("a step was made")

    monkeypatch.setattr("gatewise.train.run.Run.step", step)


def noise(columns: str = "abc") -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(rng.normal(size=(ROWS, len(columns))), columns=list(columns))


def without(frame: pd.DataFrame, rows: slice, *columns: str) -> pd.DataFrame:
    found = frame.copy()
    found.loc[frame.index[rows], list(columns)] = np.nan
    return found


def refused(fit: Callable[[], object]) -> str:
    with pytest.raises(InputError) as raised:
        fit()
    return str(raised.value)


def detect(data: Any, **parameters: Any) -> str:
    return refused(lambda: gw.Detector(units=2, **parameters).fit(data))


def forecast(data: Any, **parameters: Any) -> str:
    return refused(lambda: gw.Forecaster(units=2, horizons=2, **parameters).fit(data))


def test_every_target_that_cannot_be_calibrated_is_named_at_once() -> None:
    data = noise("abcde")
    data.loc[CALIBRATION.start :, "b"] = 1.0
    data = without(data, CALIBRATION, "c")
    data = without(data, slice(CALIBRATION.start, ROWS - 49), "d")
    assert detect(data, missing="mask") == (
        "column 'b' is 1 throughout the 240 rows of the calibration part, the last of the series, and column 'c' has "
        "no readings, column 'd' has 49 readings in them; leave them out of target, or give rows that end with at "
        "least 50 readings of each of them, not all of them equal"
    )


def test_advice_is_to_leave_the_column_out_where_another_is_left() -> None:
    data = without(noise(), CALIBRATION, "b")
    assert detect(data, missing="hold") == (
        "column 'b' has no readings in the 240 rows of the calibration part, the last of the series; leave it out of "
        "target, or give rows that end with at least 50 readings of it, not all of them equal"
    )
    alone = detect(data, missing="hold", target="b")
    assert "leave" not in alone
    assert alone.endswith(
        "the last of the series; give rows that end with at least 50 readings of it, not all of them equal"
    )


def test_a_column_that_is_no_target_may_be_anything_there() -> None:
    data = without(noise(), CALIBRATION, "b")
    with pytest.raises(AssertionError, match="a step was made"):
        gw.Detector(units=2, missing="mask", target=["a", "c"]).fit(data)
    data = without(noise(), slice(CALIBRATION.start, ROWS - 50), "b")
    with pytest.raises(AssertionError, match="a step was made"):
        gw.Detector(units=2, missing="mask").fit(data)


def test_readings_too_far_out_do_not_count() -> None:
    """They are taken as missing, so what is left is constant."""
    data = noise("ab")
    data["b"] = np.where(np.arange(ROWS) < CALIBRATION.start, data["b"], 2.0)
    data.loc[ROWS - 1, "b"] = 1e25
    assert "column 'b' is 2 throughout the 240 rows" in detect(data, missing="mask")


def test_of_several_series_all_rows_that_calibrate_count() -> None:
    data = pd.concat([noise("ab").assign(machine=name) for name in ("north", "south")], ignore_index=True)
    gone = without(data, CALIBRATION, "b")
    with pytest.raises(AssertionError, match="a step was made"):
        gw.Detector(units=2, missing="mask", series="machine").fit(gone)
    gone = without(gone, slice(ROWS + CALIBRATION.start, 2 * ROWS), "b")
    found = detect(gone, missing="mask", series="machine")
    assert "column 'b' has no readings in the 480 rows of the calibration part, the last of each series" in found


def test_a_part_that_cannot_tell_when_to_stop_is_refused() -> None:
    said = "the validation part has no step with a target, so it cannot tell which weights are best"
    assert said in detect(without(noise(), STOPPING, "a"), missing="mask", target="a")
    assert said in detect(without(noise(), STOPPING, "a", "b", "c"), missing="mask")
    assert said in forecast(without(noise(), slice(ROWS * 4 // 5, ROWS), "a"), missing="mask", target="a")


def test_a_parameter_that_no_model_file_can_hold_is_refused() -> None:
    model, table = gw.init(gw.ModelSpec(1, [gw.LayerSpec("gru", units=2)])), read_table(noise("a"))
    check_room(model, {"note": {"of": ["text", 1, None]}}, table)
    for value in (object(), {1}, np.nan):
        with pytest.raises(InputError, match="^note must be a value that a model file can hold, got "):
            check_room(model, {"note": value}, table)


@pytest.mark.parametrize("fit", [detect, forecast])
def test_names_too_long_for_a_model_file_are_refused(fit: Callable[..., str]) -> None:
    found = fit(noise("ab").rename(columns={"a": "a" * 400_000}))
    assert "the names of columns (2) and series (1) take " in found
    assert found.endswith("a model file holds 1,015,808; shorten the names, read fewer columns, or fit on fewer series")
    ids = [f"{i:x>6000}" for i in range(200)]
    many = noise("a").assign(machine=np.repeat(ids, ROWS // len(ids)))
    many = pd.concat([many] * 5)
    assert "columns (1) and series (200)" in fit(many, series="machine", validation=0.5)


@pytest.mark.parametrize("name", ["metrics", "checkpoint"])
@pytest.mark.parametrize("task", [gw.Detector, gw.Forecaster])
def test_places_that_are_no_file_are_refused(task: Any, name: str, tmp_path: Path) -> None:
    path = node(tmp_path / "pipe", "pipe")
    before = number_of(path)
    said = refused(lambda: task(units=2).fit(noise(), **{name: path}))
    assert said.startswith(f"{name}='{path}': this is {NODES['pipe']}, which writing a file would replace")
    assert number_of(path) == before


@pytest.mark.parametrize("written", ["metrics", "checkpoint"])
@pytest.mark.parametrize("task", [gw.Detector, gw.Forecaster])
def test_what_is_read_is_not_overwritten(task: Any, written: str, tmp_path: Path) -> None:
    path, link = tmp_path / "own.csv", tmp_path / "hard.csv"
    noise().to_csv(path, index=False)
    os.link(path, link)
    before = path.read_bytes()
    for data in (path, str(path), TextFile(path)):
        for place in (path, link, tmp_path / "." / "own.csv"):
            said = refused(lambda data=data, place=place: task(units=2).fit(data, **{written: place}))
            assert said == f"data and {written} are the same file, {place}; give each a file of its own"
    said = refused(lambda: task(units=2).fit(noise(), start=str(path), **{written: path}))
    assert said == f"start and {written} are the same file, {path}; give each a file of its own"
    said = refused(lambda: task(units=2).fit(noise(), metrics=link, checkpoint=path))
    assert said == f"checkpoint and metrics are the same file, {link}; give each a file of its own"
    assert "data and start are the same file" in refused(lambda: task(units=2).fit(path, start=path))
    assert path.read_bytes() == before


def test_a_learning_rate_is_needed() -> None:
    assert detect(noise(), learning_rate=None) == "learning_rate must be a number above 0, got None"


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (100.0, 2, "100"),
        (1.0, 3, "1"),
        (27.4, 2, "27"),
        (123.4, 2, "120"),
        (0.00123, 2, "0.0012"),
        (8.33333, 3, "8.33"),
    ],
)
def test_numbers_in_warnings_have_no_exponent(value: float, digits: int, text: str) -> None:
    assert significant(value, digits) == text
