"""Going on from a trained task: with its weights and scaling, and without calibrating on what it has learnt from."""

import base64
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise.errors import FileError, InputError
from gatewise.tables.split import Parts, Span, Split
from gatewise.tables.table import read_table
from gatewise.tasks import held_out
from sections import retold

TINY: dict[str, Any] = {"units": 4, "steps": 3, "batch": 4, "bptt": 16}
STILL = {**TINY, "steps": 1, "learning_rate": 1e-12}
"""A training that changes nothing that can be seen."""


def pump(rows: int, seed: int = 0, start: int = 0) -> pd.DataFrame:
    t = start + np.arange(rows)
    noise = np.random.default_rng(seed).normal(0, 0.1, (rows, 2))
    return pd.DataFrame({"a": np.sin(t / 9) + noise[:, 0], "b": 5 + np.cos(t / 9) + noise[:, 1]})


A, B = pump(1000), pump(600, seed=1, start=1000)
SPLIT = (750, 50, 200)
"""Of A: a quarter is kept from training, and a fifth of that stops."""


def quiet(task: Any, data: Any, **more: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a rate that so few rows do not support
        return task.fit(data, **more)


def joined(*frames: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def first() -> gw.Detector:
    found: gw.Detector = quiet(gw.Detector(**TINY), A)
    assert (found.split_.training, found.split_.validation, found.split_.calibration) == SPLIT
    return found


@pytest.fixture(scope="module")
def forecast() -> gw.Forecaster:
    return gw.Forecaster(horizons=2, **TINY).fit(A)


def calibrated_on(monkeypatch: pytest.MonkeyPatch, task: gw.Detector, data: Any, **more: Any) -> list[int]:
    """The rows of the data that a fit calibrates on."""
    rows: list[int] = []

    def measure(model: Any, table: Any, targets: Any, cuts: Any, coverage: float) -> Any:
        rows.extend(table.order[cuts.calibration].tolist())
        return held_out.measure(model, table, targets, cuts, coverage)

    monkeypatch.setattr("gatewise.tasks.detector.measure", measure)
    quiet(task, data, **more)
    assert len(rows) == task.split_.calibration
    assert task.calibration_.samples <= len(rows)
    return rows


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (joined(A, B), [*range(1200 + 80, 1600)]),
        (joined(A[:800], B[:80]), [*range(800, 880)]),
        (joined(A[:850], B[:80]), [*range(800, 930)]),
        (joined(B[:80], A), [*range(880, 1080)]),
        (joined(B, A[:700]), None),
        (A[200:], [*range(640, 800)]),
        (B, [*range(480, 600)]),
    ],
    ids=["A+B", "A used+B", "A and its calibration+B", "B before A", "B before A used", "end of A", "B"],
)
def test_rows_that_were_learnt_from_do_not_calibrate(
    first: gw.Detector, data: pd.DataFrame, rows: list[int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only rows that are new, or calibrated the start as well: of A those from 800 on."""
    task = gw.Detector(**TINY)
    if rows is None:
        with pytest.raises(InputError, match=r"of the 260 rows of the calibration part 260 are rows that"):
            quiet(task, data, start=first)
        return
    assert calibrated_on(monkeypatch, task, data, start=first) == rows


def test_nothing_left_to_calibrate_on_is_refused(first: gw.Detector) -> None:
    words = r"160 are rows that start was trained on or stopped by, which leaves 0 to calibrate on \(at least 50\)"
    with pytest.raises(InputError, match=words + "; give rows that came later, at least 50 more of them"):
        gw.Detector(**TINY).fit(A[:800], start=first)
    with pytest.raises(InputError, match="leaves 30 to calibrate on .* at least 20 more of them"):
        gw.Detector(**TINY).fit(joined(A[:800], B[:30]), start=first)


def test_a_table_of_scores_is_that_of_new_rows_alone(first: gw.Detector) -> None:
    """Held to a calibration by hand: by the residuals of the same weights on the new rows."""
    data = joined(A[:800], B[:150])
    found = quiet(gw.Detector(target="a", **STILL), data, start=quiet(gw.Detector(target="a", **TINY), A))
    cuts = Parts((Span(0, 750, 800, 950),), 50 / 800)
    _, wanted = held_out.measure(found.model_, read_table(data), [0], cuts, 0.95)
    assert wanted.samples == found.calibration_.samples == 150
    np.testing.assert_array_equal(found.calibration_.statistic, wanted.statistic)
    np.testing.assert_array_equal(found.calibration_.score, wanted.score)


@pytest.mark.parametrize("form", ["task", "model", "path", "loaded"])
def test_weights_and_scaling_are_those_of_the_start(first: gw.Detector, form: str, tmp_path: Path) -> None:
    first.save(tmp_path / "m")
    start: Any = {
        "task": first,
        "model": first.model_,
        "path": tmp_path / "m",
        "loaded": gw.Detector.load(tmp_path / "m"),
    }[form]
    data = joined(A, B * 2)  # whose own scaling would be another
    found = quiet(gw.Detector(**STILL, false_alarms_per_1000=50, smooth=3), data, start=start)
    for name, value in first.model_.tensors.items():
        if not name.startswith("head.") or name == "head.unit":
            np.testing.assert_allclose(found.model_.tensors[name], value, atol=1e-9, err_msg=name)
    assert found.model_.alarm_score == pytest.approx(-np.log10(0.05))
    assert found.model_.task.described["start"]["weights"] == gw.file.digest(first.model_.tensors)
    learnt = quiet(gw.Detector(**TINY), data, start=start)
    assert not np.allclose(learnt.model_.tensors["gru0.weight_hh"], first.model_.tensors["gru0.weight_hh"], atol=1e-6)


def test_a_task_goes_on_from_itself_and_remembers_all_rows(first: gw.Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    task = quiet(gw.Detector(**TINY), A)
    quiet(task, joined(A, B), start=task)
    assert task.split_.calibration == 320
    new = pump(120, seed=5)
    # Of the rows that both trainings have used, none calibrates the third.
    assert calibrated_on(monkeypatch, task, joined(A, B[:280], new), start=task) == [*range(1280, 1400)]


def test_times_tell_rows_that_were_rounded_since(monkeypatch: pytest.MonkeyPatch) -> None:
    def dated(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(t=pd.date_range("2024-01-01", periods=len(frame), freq="min"))

    start = quiet(gw.Detector(time="t", **TINY), dated(A))
    again = dated(joined(A[:800], B[:80]).round(2))
    assert calibrated_on(monkeypatch, gw.Detector(time="t", **TINY), again, start=start) == [*range(800, 880)]


def test_each_series_is_told_by_its_own_times(monkeypatch: pytest.MonkeyPatch) -> None:
    def named(frame: pd.DataFrame, id: str) -> pd.DataFrame:
        return frame.assign(t=np.arange(len(frame)), s=id)

    start = quiet(gw.Detector(time="t", series="s", **TINY), joined(named(A, "x"), named(B, "y")))
    again = joined(named(pump(800, 7), "x"), named(pump(600, 8), "z"))
    rows = calibrated_on(monkeypatch, gw.Detector(time="t", series="s", **TINY), again, start=start)
    assert rows == [*range(1280, 1400)], "those of z, since x was used up to 799"


def test_stopping_by_rows_that_were_trained_on_is_warned_about(first: gw.Detector) -> None:
    found = quiet(gw.Detector(**TINY, validation=0.5), joined(A[:900], B[:200]), start=first)
    (warning,) = [text for text in found.warnings_ if "flatters" in text]
    assert warning == (
        "of the 110 rows of the validation part 110 are rows that start was trained on or stopped by, so the "
        "held-out loss flatters the model; give rows that came later"
    )


@pytest.mark.parametrize(
    ("parameters", "data", "words"),
    [
        ({"units": 5}, A, "units is 4 there and 5 here; give the task the parameters and columns of the start"),
        (
            {"recurrence": "lstm", "layers": 2},
            A,
            "layers is 1 there and 2 here; recurrence is 'gru' there and 'lstm' here",
        ),
        ({"missing": "mask"}, A, "missing is 'raise' there and 'mask' here"),
        ({"target": "a"}, A, r"its targets are \['a', 'b'\], and \['a'\] here"),
        ({}, A.rename(columns={"b": "c"}), "start reads the columns 'a', 'b'; the data lack 'b' and have 'c' besides"),
        ({}, A[["a"]], "start reads the columns 'a', 'b'; the data lack 'b'$"),
        ({}, A.assign(c=1.0), "the data have 'c' besides; pass columns=... to leave out those that it does not read"),
        ({}, A.to_numpy(), "the data lack 'a', 'b' and have 'x0', 'x1'"),
    ],
)
def test_another_model_is_refused(first: gw.Detector, parameters: dict[str, Any], data: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        gw.Detector(**{**TINY, **parameters}).fit(data, start=first)


def test_columns_in_another_order_are_put_in_that_of_the_start(first: gw.Detector) -> None:
    data = joined(A, B)
    one, other = (quiet(gw.Detector(**TINY), frame, start=first) for frame in (data, data[["b", "a"]]))
    assert other.columns_ == ("a", "b")
    for name, value in one.model_.tensors.items():
        np.testing.assert_array_equal(other.model_.tensors[name], value, err_msg=name)


def test_what_is_no_start(first: gw.Detector, forecast: gw.Forecaster, tmp_path: Path) -> None:
    changed = quiet(gw.Detector(**TINY), A).set_params(smooth=4)
    old = {key: value for key, value in first.model_.task.described.items() if key != "seen"}
    broken = {**first.model_.task.described, "seen": {"times": {}}}
    cases: list[tuple[Any, str]] = [
        (forecast, "start must be a fitted Detector, its model or the path of its file, got Forecaster"),
        (forecast.model_, "start was not fitted by a Detector"),
        (3, "got int"),
        (gw.Detector(), "start is a Detector that is not fitted"),
        (changed, "smooth was changed after fit from 1 to 4"),
        (retold(first.model_, old), "has no record of the rows on which it was trained"),
        (retold(first.model_, broken), "start cannot be used: its record .* is damaged"),
    ]
    for start, words in cases:
        with pytest.raises(InputError, match=words):
            gw.Detector(**TINY).fit(joined(A, B), start=start)
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(FileError):
        gw.Detector(**TINY).fit(A, start=tmp_path / "junk")
    with pytest.raises(FileNotFoundError):
        gw.Detector(**TINY).fit(A, start=tmp_path / "none")


def test_a_file_keeps_the_record_and_no_readings(first: gw.Detector, tmp_path: Path) -> None:
    first.save(tmp_path / "m")
    kept = gw.load(tmp_path / "m").task.described["seen"]
    assert kept == first.model_.task.described["seen"]
    for name in ("digests", "rows", "parts", "used"):
        base64.b64decode(kept[name], validate=True)


def test_a_forecaster_goes_on(forecast: gw.Forecaster) -> None:
    data = joined(A, B)
    found = gw.Forecaster(horizons=2, **STILL, minimum=-3).fit(data, start=forecast)
    for name, value in forecast.model_.tensors.items():
        np.testing.assert_allclose(found.model_.tensors[name], value, atol=1e-9, err_msg=name)
    assert found.warnings_ == ()
    assert found.split_ == Split(1280, 320)
    with pytest.raises(InputError, match=r"horizons is 2 there and 3 here"):
        gw.Forecaster(horizons=3, **TINY).fit(data, start=forecast)
    with pytest.raises(InputError, match=r"transform is None there and 'log1p' here"):
        gw.Forecaster(horizons=2, transform="log1p", **TINY).fit(np.exp(data), start=forecast)


def test_a_forecaster_validates_on_rows_it_has_not_trained_on(forecast: gw.Forecaster) -> None:
    with pytest.warns(UserWarning, match=r"of the 160 rows of the validation part 160 are rows that start"):
        gw.Forecaster(horizons=2, **TINY).fit(A[:800], start=forecast)
    found = gw.Forecaster(horizons=2, **TINY).fit(A, start=forecast)
    assert found.warnings_ == (), "those that it validated on may validate again"


@pytest.mark.parametrize(
    "more", [{"transform": "log1p"}, {"covariates": ["b"]}, {"context": {"window": 8}, "normalise": True, "bptt": None}]
)
def test_every_form_of_a_forecaster_goes_on(more: dict[str, Any]) -> None:
    options = {**TINY, "horizons": 2, **more}
    data = joined(A, B) + 7.0
    start = gw.Forecaster(**options).fit(data[:1000])
    found = gw.Forecaster(**{**options, "steps": 1, "learning_rate": 1e-12}).fit(data, start=start)
    future = {"future": data[["b"]][:2]} if "covariates" in more else {}
    pd.testing.assert_frame_equal(found.predict(data[:-2], **future), start.predict(data[:-2], **future), rtol=1e-5)
