"""What a task keeps with its model: valid for the weights that it fitted, and checked when it is read again."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise import train
from gatewise.errors import FileError, InputError, SpecError
from gatewise.tasks import beforehand
from gatewise.tasks.recovery import recovery
from sections import retold

X = np.sin(np.arange(900.0) / 7) + 0.1 * np.random.default_rng(0).normal(size=900)
TINY: dict[str, Any] = {"units": 4, "steps": 3}


@pytest.fixture(scope="module")
def detector() -> gw.Detector:
    found: gw.Detector = gw.Detector(**TINY, false_alarms_per_1000=100).fit(np.stack([X, X[::-1]], 1))
    return found


def test_other_weights_have_no_task(detector: gw.Detector, tmp_path: Path) -> None:
    """A rate of false alarms that was calibrated on some weights says nothing of others."""
    model = detector.model_
    assert model.task is not None
    again, _ = train.fit(model, np.stack([X, X], 1), steps=2)
    assert again.task is None
    again.save(tmp_path / "m")
    with pytest.raises(FileError, match="was not saved by a task"):
        gw.load_task(tmp_path / "m")
    doubled = {**model.tensors, "forecast.bias": 2 * model.tensors["forecast.bias"]}
    assert model.replace(tensors=doubled).task is None
    assert model.replace(provenance={"by": "hand"}).task is model.task
    assert model.with_options(head={"false_alarms_per_1000": 5}).task is model.task
    assert model.relative().task is model.task


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": [1]}, "its targets are not those of its head"),
        ({"targets": [0]}, "its targets are not those of its head"),
        ({"targets": [0, 1.0]}, "its targets must be whole numbers, got 1.0"),
        ({"horizons": [True]}, "its horizons must be whole numbers"),
        ({"readings": None}, "NoneType"),
        ({"split": {"training": 1.5, "validation": 2, "calibration": 3}}, "its training must be whole numbers"),
    ],
)
def test_a_damaged_section_is_refused(
    detector: gw.Detector, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    assert detector.model_.task is not None
    model = retold(detector.model_, {**detector.model_.task.described, **changes})
    model.save(tmp_path / "m")
    with pytest.raises(FileError, match=f"m cannot be read as a Detector: .*{message}"):
        gw.load_task(tmp_path / "m")
    with pytest.raises(FileError, match=f"start cannot be read as a Detector: .*{message}"):
        gw.Detector(**TINY).fit(np.stack([X, X[::-1]], 1), start=model)


def test_a_kind_of_gatewise_is_taken() -> None:
    with pytest.raises(SpecError, match="'detector' is the kind of a task of gatewise; give Mine another kind"):
        type("Mine", (gw.Task,), {"kind": "detector"})


def test_states_beyond_half_a_file_are_refused_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beforehand, "MOST_STATES", 50)
    with pytest.raises(InputError, match="the states of 1 series take 56 bytes, and a model file holds 50"):
        gw.Detector(**TINY).fit(X)


def test_layers_that_need_the_whole_sequence_are_refused_with_what_the_task_can_do() -> None:
    both = gw.bidirectional(gw.LayerSpec("gru", units=3), "both", "input")
    with pytest.raises(SpecError, match=r"because of .*reverse.*cannot be trained step by step; use causal layers"):
        gw.Detector(recurrence=both).fit(X)
    with pytest.raises(SpecError, match=r"step by step; pass context=\{'window': 96\}, for example"):
        gw.Forecaster(recurrence=both).fit(X)


def test_a_calendar_needs_times() -> None:
    data = pd.DataFrame({"v": X}, pd.date_range("2024-01-01", periods=900, freq="h"))
    task = gw.Forecaster(**TINY, horizons=2, calendar=["day", "week"]).fit(data)
    with pytest.raises(InputError, match="reads the day and the week of each row, and an array has no times; give"):
        task.predict(X)


def test_rows_left_out_of_the_calibration_are_told_though_another_warning_names_their_place() -> None:
    """A jump in phase surprises once, and the gap there is told by the warning about the times."""
    phase = np.where(np.arange(1300) < 1200, 0.0, 3.0)
    values = np.sin(np.arange(1300) / 7 + phase) + 0.02 * np.random.default_rng(1).normal(size=1300)
    times = pd.date_range("2024-01-01", periods=1310, freq="h").delete(range(1200, 1210))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        task = gw.Detector(units=8, steps=200, learning_rate=0.01).fit(pd.DataFrame({"v": values}, times))
    assert task.calibration_.wild > 0
    assert any("ends at row 1200" in text for text in task.warnings_)
    assert any("calibration rows, this one and some around it, are left out" in text for text in task.warnings_)


def test_the_pause_is_that_of_the_calibrated_head(detector: gw.Detector) -> None:
    """It is found with the head that measures; the calibrated one, with its tables in float32, finds the same."""
    model = detector.model_
    assert model.spec.head is not None
    assert model.alarm_score is not None
    bare = model.with_options(head={"pause": 0})
    start = detector.split_.training + detector.split_.validation
    kept = [np.stack([X, X[::-1]], 1).astype(np.float32)[start:]]
    found = recovery(bare, lambda answers: answers[..., 0], model.alarm_score, kept, [0, 1])
    assert model.spec.head.options["pause"] == max(detector.calibration_.run - 1, found)
