"""Further options of the recurrence: both tasks give them to each layer, keep them in the file, and take no others."""

import warnings
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import gatewise as gw
from gatewise.errors import InputError, SpecError
from gatewise.layers.base import Array
from sections import retold

X: Array = np.sin(np.arange(900.0) / 7) + 0.1 * np.random.default_rng(0).normal(size=900)
TASKS = [gw.Detector, gw.Forecaster]


def fitted(task: Any, **parameters: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the rate that so few rows support
        return task(**{"units": 6, "steps": 1, "learning_rate": 1e-9, "random_state": 3, **parameters}).fit(X)


@pytest.mark.parametrize("task", TASKS)
def test_each_layer_has_them_and_the_file_keeps_them(task: Any, tmp_path: Path) -> None:
    given = {"chrono": np.int64(40), "peepholes": True, "projection": 3, "clip": 8}
    options = MappingProxyType(given) if task is gw.Forecaster else given
    found = fitted(task, recurrence="lstm", layers=2, options=options)
    assert found.options is options
    plain = {"chrono": 40, "peepholes": True, "projection": 3, "clip": 8}
    layers = [node for node in found.model_.spec.nodes if node.kind == "lstm"]
    assert [{name: node.options[name] for name in ("units", *plain)} for node in layers] == [{"units": 6, **plain}] * 2
    for name in ("lstm0", "lstm1"):
        assert found.model_.tensors[f"{name}.weight_hr"].shape == (3, 6)
        into, forget = found.model_.tensors[f"{name}.bias_ih"].reshape(4, 6)[:2]
        assert ((forget > 0) & (forget < np.log(39))).all()
        np.testing.assert_allclose(into, -forget, atol=1e-6)
    found.save(tmp_path / "m")
    again = task.load(tmp_path / "m")
    assert again.options == plain
    assert clone(again).get_params() == again.get_params()
    refitted = fitted(task, **{**clone(again).get_params(), "random_state": 3})
    assert all(np.array_equal(value, refitted.model_.tensors[key]) for key, value in found.model_.tensors.items())


@pytest.mark.parametrize("task", TASKS)
def test_none_are_needed(task: Any, tmp_path: Path) -> None:
    """And a file that says nothing of them is read."""
    found = fitted(task)
    assert found.options is None
    described = dict(found.model_.task.described)
    assert described["parameters"]["options"] is None
    described["parameters"] = {name: value for name, value in described["parameters"].items() if name != "options"}
    retold(found.model_, described).save(tmp_path / "m")
    assert task.load(tmp_path / "m").options is None


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"chrono": 96}, SpecError, "gru 'gru0' has no option 'chrono'; its options are activation, .*, units$"),
        ({"name": "x"}, SpecError, "gru 'gru0' has no option 'name'; its options are"),
        ({"kind": "lstm"}, SpecError, "gru 'gru0' has no option 'kind'"),
        ({"sources": "input"}, SpecError, "gru 'gru0' has no option 'sources'"),
        ({"reset": "never"}, SpecError, "gru 'gru0': reset must be one of 'after', 'before', got 'never'"),
        ({"units": 5}, InputError, "options has units, which is a parameter of its own; take it out and give units"),
        ("chrono=96", InputError, "options must be those of the recurrence by name, .*, got 'chrono=96'"),
        ({1: 2}, InputError, "options must be those of the recurrence by name"),
        ([("reset", "before")], InputError, "options must be those of the recurrence by name"),
    ],
)
def test_refusals(task: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fitted(task, options=options)
