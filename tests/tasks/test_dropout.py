"""Dropout as parameters of both tasks: plain numbers that reach the training and stay out of the model."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import gatewise as gw
from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.train import Status, loop
from sections import retold

X: Array = np.sin(np.arange(900.0) / 7) + 0.1 * np.random.default_rng(0).normal(size=900)
TASKS = [gw.Detector, gw.Forecaster]
GIVEN = {"dropout": 0.2, "variational_dropout": np.float32(0.5), "weight_drop": 0.3}


def fitted(task: Any, more: Any = None, **parameters: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the rate that so few rows support
        return task(**{"units": 6, "steps": 6, "random_state": 3, **parameters}).fit(X, **(more or {}))


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(value, other.model_.tensors[name]) for name, value in one.model_.tensors.items())


@pytest.mark.parametrize("task", TASKS)
def test_they_reach_the_training(task: Any, tmp_path: Path) -> None:
    found, plain = fitted(task, **GIVEN), fitted(task)
    told = found.model_.provenance["training"]["dropout"]
    assert told == {"outputs": 0.2, "variational": 0.5, "weights": 0.3}
    assert plain.model_.provenance["training"]["dropout"] is None
    assert found.model_.spec == plain.model_.spec
    for name in GIVEN:
        assert not same(fitted(task, **{name: 0.5}), plain), name
    assert same(fitted(task, **dict.fromkeys(GIVEN, 0)), plain)
    found.save(tmp_path / "m")
    again = task.load(tmp_path / "m")
    assert {name: getattr(again, name) for name in GIVEN} == GIVEN
    assert same(fitted(task, **{**clone(again).get_params(), "random_state": 3}), found)


@pytest.mark.parametrize("task", TASKS)
def test_a_file_that_says_nothing_of_them_is_read(task: Any, tmp_path: Path) -> None:
    model = fitted(task).model_
    described = dict(model.task.described)
    described["parameters"] = {name: value for name, value in described["parameters"].items() if name not in GIVEN}
    retold(model, described).save(tmp_path / "m")
    assert [getattr(task.load(tmp_path / "m"), name) for name in GIVEN] == [0.0, 0.0, 0.0]


def test_a_forecaster_with_windows_goes_on_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(status: Status) -> None:
        if status.step == 4:
            raise EOFError

    monkeypatch.setattr(loop, "FIRST_CHECKPOINT", 0.0)  # after the first step, and no other
    path = tmp_path / "run"
    options: dict[str, Any] = {"context": {"window": 24}, "normalise": True, "layers": 2, **GIVEN}
    straight = fitted(gw.Forecaster, **options)
    with pytest.raises(EOFError):
        fitted(gw.Forecaster, {"checkpoint": path, "progress": stop}, **options)
    steps: list[int] = []
    more = {"checkpoint": path, "progress": lambda status: steps.append(status.step)}
    assert same(fitted(gw.Forecaster, more, **options), straight)
    assert steps == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"dropout": 1.0}, r"^dropout \(outputs\) must be a probability from 0 to below 1, got 1.0"),
        ({"variational_dropout": -0.1}, "^variational dropout must be a probability from 0 to below 1, got -0.1"),
        ({"weight_drop": "0.5"}, r"^weight drop \(weights\) must be a probability from 0 to below 1, got '0.5'"),
        ({"weight_drop": True}, r"^weight drop \(weights\) must be .* got True"),
        ({"dropout": None}, r"^dropout \(outputs\) must be .* got None"),
    ],
)
def test_refusals(task: Any, parameters: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fitted(task, **parameters)
