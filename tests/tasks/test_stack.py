"""The layers of a task: plain ones, residual blocks around any mixer, or a list that is taken as it is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import GatewiseWarning, InputError, SpecError
from gatewise.spec import LayerSpec, bidirectional, residual
from gatewise.tasks.stack import stack

X = np.sin(np.arange(900.0) / 7) + 0.1 * np.random.default_rng(0).normal(size=900)
TINY: dict[str, Any] = {"steps": 3, "random_state": 1}


def fitted(**parameters: Any) -> gw.Forecaster:
    return gw.Forecaster(horizons=2, **{**TINY, **parameters}).fit(X)


def test_blocks_are_those_of_residual_by_hand() -> None:
    mixer = LayerSpec("gru", units=5, reset="before")
    wanted = [
        LayerSpec("dense", "block0", units=8),
        *residual(mixer, 8, "block1", "block0"),
        *residual(mixer, 8, "block2", "block1"),
        LayerSpec("norm", "blocks"),
    ]
    assert stack("gru", 5, 1, {"reset": "before"}, 2, 8, (32, 1)) == wanted


def test_blocks_are_as_wide_as_units_unless_said_otherwise() -> None:
    assert stack("lstm", 6, 1, None, 1, None, (32, 1))[0] == LayerSpec("dense", "block0", units=6)


def test_without_blocks_the_layers_are_plain() -> None:
    assert stack("lstm", np.int64(6), 2, {"chrono": 9}, 0, None, (32, 1)) == [LayerSpec("lstm", units=6, chrono=9)] * 2


@pytest.mark.parametrize("parameters", [{"units": 5, "blocks": 2, "width": 8}, {"recurrence": "mingru", "blocks": 1}])
def test_a_task_with_blocks_is_kept_and_streams(parameters: dict[str, Any], tmp_path: Path) -> None:
    task = fitted(**parameters)
    kinds = [node.kind for node in task.model_.spec.nodes]
    assert kinds.count("add") == 2 * parameters["blocks"]
    task.save(tmp_path / "m")
    again = gw.load_task(tmp_path / "m")
    assert isinstance(again, gw.Forecaster)
    assert all(getattr(again, name) == value for name, value in parameters.items())
    ahead = task.predict(X)
    assert again.predict(X).equals(ahead)
    stream = again.model_.stream()
    for reading in X.astype(np.float32):
        answer = stream.push([reading])
    np.testing.assert_array_equal(answer.reshape(2, 3), ahead[["0.1", "0.5", "0.9"]].to_numpy(np.float32))


def test_a_list_of_layers_is_taken_as_it_is(tmp_path: Path) -> None:
    layers = [LayerSpec("lstm", units=3, projection=2), LayerSpec("dense", units=4, activation="tanh")]
    task = fitted(recurrence=layers)
    assert [(node.kind, node.options["units"]) for node in task.model_.spec.nodes[:2]] == [("lstm", 3), ("dense", 4)]
    task.save(tmp_path / "m")
    again = gw.Forecaster.load(tmp_path / "m")
    assert list(again.recurrence) == layers
    assert again.predict(X).equals(task.predict(X))
    plain = fitted(recurrence=[LayerSpec("gru", units=4)])
    same = fitted(recurrence="gru", units=4)
    for name, value in same.model_.tensors.items():
        np.testing.assert_array_equal(plain.model_.tensors[name], value, err_msg=name)


def test_layers_in_both_directions_need_a_window() -> None:
    both = bidirectional(LayerSpec("gru", units=3), "both", "input")
    task = fitted(recurrence=both, context={"window": 12})
    assert len(task.predict(X)) == 2
    with pytest.raises(SpecError, match="needs the whole sequence"):
        fitted(recurrence=both)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"blocks": -1}, "blocks must be a whole number of at least 0, got -1"),
        ({"blocks": 1.5}, "blocks must be a whole number of at least 0, got 1.5"),
        ({"width": 8}, "a width of 8 is that of residual blocks, and there are none; pass blocks=..."),
        ({"blocks": 2, "layers": 2}, "each block has one recurrent layer, got 2 layers; leave out layers"),
        ({"recurrence": []}, "recurrence is an empty list"),
        ({"recurrence": ["gru"]}, "recurrence must be a kind of recurrent layer or a list of LayerSpec"),
        ({"recurrence": [LayerSpec("gru", units=2)], "layers": 2}, "so layers=2 has no effect"),
        ({"recurrence": [LayerSpec("gru", units=2)], "units": 8}, "so units=8 has no effect"),
        ({"recurrence": [LayerSpec("gru", units=2)], "blocks": 1}, "so blocks=1 has no effect"),
        ({"recurrence": [LayerSpec("gru", units=2)], "options": {}}, "so options={} has no effect"),
    ],
)
def test_what_makes_no_stack_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fitted(**parameters)


def test_a_model_that_forgets_all_earlier_rows_is_warned_of() -> None:
    with pytest.warns(GatewiseWarning, match=r"its layers are dense\), so each answer depends on one row alone"):
        forgets = fitted(recurrence=[LayerSpec("dense", units=4, activation="tanh")])
    ends = np.sin(np.arange(20.0)), np.cos(np.arange(20.0))
    first, second = (np.asarray(forgets.model_.run(np.float32(np.append(x, 0.5))[:, None]))[-1] for x in ends)
    np.testing.assert_array_equal(first, second)
