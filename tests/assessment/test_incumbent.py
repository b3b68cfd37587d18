"""The model that is assessed, in each form in which it may come, answers as that form does by itself."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gatewise as gw
from assessment.tables import answers, linear
from gatewise.assessment.incumbent import Incumbent, context_of, in_units, model_of
from gatewise.assessment.scaler import scaler_of
from gatewise.comparison import Examples, examples
from gatewise.errors import FileError, InputError
from gatewise.importers.origins import KEY

INPUTS = ["u", "v", "w"]


@pytest.fixture(scope="module")
def data() -> Examples:
    return examples(linear(4, 20), INPUTS, ["y"], lookback=5, groups="id", given={"old": ["old"]})


def incumbent(given: Any, data: Examples, context: str = "window", scaler: Any = None, target: Any = None) -> Incumbent:
    name, model, function = model_of(given)
    return Incumbent(
        name, model, function, scaler_of(scaler, INPUTS, data.rows), scaler_of(target, ["y"], data.targets), context,
        (0, 1, 2),
    )  # fmt: skip


def lstm(outputs: int = 1, **more: Any) -> gw.Model:
    layers = [gw.LayerSpec("lstm", units=4), gw.LayerSpec("dense", units=outputs)]
    return gw.init(gw.ModelSpec(inputs=3, layers=layers, **more), 3)


STATED = {"u": {"mean": 0.5, "std": 2.0}, "v": {"mean": -1.0, "std": 0.5}, "w": {"min": -3.0, "max": 3.0}}
TARGET = {"y": {"mean": 10.0, "std": 3.0}}


def scaled(rows: np.ndarray) -> np.ndarray:
    return np.asarray((rows - [0.5, -1.0, -3.0]) / [2.0, 0.5, 6.0], np.float32)


@pytest.mark.parametrize("context", ["window", "series"])
def test_answers_equal_loops_of_pushes(data: Examples, context: str) -> None:
    model = lstm()
    found = incumbent(model, data, context, STATED, TARGET).answers(data)
    for k, end in enumerate(data.ends.tolist()):
        _, start, _ = next(each for each in data.series if each[1] <= end < each[2])
        stream = model.stream()
        for row in range(start if context == "series" else end - 4, end + 1):
            answer = stream.push(scaled(data.rows[row]))
        np.testing.assert_allclose(found[k], 3 * answer + 10, rtol=1e-5, atol=1e-5)


def test_a_model_file_and_a_model_answer_the_same(data: Examples, tmp_path: Path) -> None:
    lstm().save(tmp_path / "legacy.safetensors")
    own = incumbent(lstm(), data).answers(data)
    for path in (tmp_path / "legacy.safetensors", str(tmp_path / "legacy.safetensors")):
        found = incumbent(path, data)
        assert found.name == "legacy.safetensors"
        np.testing.assert_array_equal(found.answers(data), own)


def test_a_file_of_another_library_is_imported(data: Examples, tmp_path: Path) -> None:
    weight, bias = [[0.5], [-1.0], [2.0]], [0.25]
    layers = [{"type": "dense", "activation": "", "shape": [None, None, 1], "weights": [weight, bias]}]
    (tmp_path / "old.json").write_text(json.dumps({"in_shape": [None, None, 3], "layers": layers}))
    found = incumbent(str(tmp_path / "old.json"), data)
    wanted = data.windows()[:, -1].astype(np.float64) @ np.array(weight) + 0.25
    np.testing.assert_allclose(found.answers(data), wanted, rtol=1e-5, atol=1e-5)


class Last(torch.nn.Module):
    """An LSTM whose last output is mapped to the answer, as torch models usually are; from_torch does not know it."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.lstm = torch.nn.LSTM(3, 4, batch_first=True)
        self.out = torch.nn.Linear(4, 1)
        self.drop = torch.nn.Dropout(0.9)

    def forward(self, x: torch.Tensor) -> Any:
        every = self.out(self.drop(self.lstm(x)[0]))
        return {"rows": every[:, -1], "flat": every[:, -1, 0], "all": every, "pair": (every[:, -1], None)}[self.form]


@pytest.mark.parametrize("form", ["rows", "flat", "all", "pair"])
def test_a_torch_module_of_ones_own(data: Examples, form: str) -> None:
    torch.manual_seed(0)
    module = Last(form)
    found = incumbent(module, data)
    assert (found.name, found.model) == ("Last", None)
    own = found.answers(data)
    assert module.training, "the module is as it was"
    assert module.lstm.training
    with torch.no_grad():
        wanted = module.out(module.lstm(torch.from_numpy(data.windows()))[0])[:, -1]
    np.testing.assert_allclose(own, wanted.numpy(), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(incumbent(module.double(), data).answers(data), own, rtol=1e-4, atol=1e-5)


def test_a_torch_module_of_known_layers_becomes_a_model(data: Examples) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh(), torch.nn.Linear(2, 1))
    found = incumbent(module, data)
    assert isinstance(found.model, gw.Model)
    with torch.no_grad():
        wanted = module(torch.from_numpy(data.windows()))[:, -1]
    np.testing.assert_allclose(found.answers(data), wanted.numpy(), rtol=1e-5, atol=1e-6)


def test_a_function_and_its_forms(data: Examples) -> None:
    found = incumbent(answers, data)
    assert found.name == "answers"
    wanted = [answers(window[None])[0] for window in data.windows()]
    np.testing.assert_allclose(found.answers(data)[:, 0], wanted, rtol=1e-5, atol=1e-6)
    column = incumbent(lambda windows: answers(windows)[:, None], data)
    np.testing.assert_array_equal(column.answers(data), found.answers(data))


def test_predictions_alone_stand_in_the_data(data: Examples) -> None:
    found = replace(incumbent(None, data, target=TARGET), name="old")
    np.testing.assert_array_equal(found.answers(data), data.given["old"])


def test_a_model_that_is_called_as_a_challenger_gives_its_own_answers(data: Examples) -> None:
    found = replace(incumbent(lstm(), data), name="old")
    np.testing.assert_array_equal(found.answers(data), incumbent(lstm(), data).answers(data))


def test_exchanged_inputs_keep_the_scaling_of_their_columns(data: Examples) -> None:
    own = incumbent(lambda windows: windows[:, -1, :1], data, scaler=STATED)
    rows = scaled(data.rows[data.ends])
    np.testing.assert_allclose(own.answers(data)[:, 0], rows[:, 0], rtol=1e-6)
    np.testing.assert_allclose(own.swapped(0, 2).answers(data)[:, 0], rows[:, 2], rtol=1e-6)
    np.testing.assert_array_equal(own.swapped(1, 2).answers(data), own.answers(data))
    np.testing.assert_array_equal(own.swapped(0, 2).swapped(0, 2).answers(data), own.answers(data))


def test_answers_that_are_none_are_refused(data: Examples) -> None:
    def holes(windows: np.ndarray) -> np.ndarray:
        return np.where(windows[:, -1, 0] > 1, np.nan, 0.0)

    with pytest.raises(InputError, match=r"holes has no finite answer to \d+ of 64 windows"):
        incumbent(holes, data).answers(data)
    with pytest.raises(InputError, match="answers with 3 values, but the number of targets is 1"):
        incumbent(lambda windows: windows[:, -1], data).answers(data)
    for wrong in (lambda windows: 0.0, lambda windows: windows, lambda windows: windows[1:, 0, 0]):
        with pytest.raises(InputError, match="must return one row of answers for each of"):
            incumbent(wrong, data).answers(data)


def test_what_is_no_model(tmp_path: Path) -> None:
    for given in (3, [1, 2], {"a": 1}):
        with pytest.raises(InputError, match="the model must be"):
            model_of(given)
    (tmp_path / "text.txt").write_text("This is no model.")
    with pytest.raises((InputError, FileError)):
        model_of(tmp_path / "text.txt")
    with pytest.raises(OSError, match="none"):
        model_of(tmp_path / "none.h5")


def test_contexts() -> None:
    carried, windowed = lstm(), lstm(context={"window": 9})
    assert context_of(carried, None, None, None) == ("series", None)
    assert context_of(carried, None, 5, None) == ("window", 5)
    assert context_of(carried, None, 5, "series") == ("series", 5)
    assert context_of(windowed, None, None, None) == ("window", 9)
    assert context_of(windowed, None, 9, "series") == ("series", 9)
    assert context_of(None, None, None, None) == ("series", None), "predictions alone"
    assert context_of(None, answers, 5, None) == ("window", 5)
    for model, function, lookback, stated, told in (
        (windowed, None, 8, None, "windows of 9 rows, but lookback is 8"),
        (carried, None, None, "window", "not known; pass lookback"),
        (None, answers, None, None, "not known; pass lookback"),
        (None, answers, 5, "series", "a function answers from windows"),
        (carried, None, 5, "windows", "context must be"),
        (carried, None, 0, None, "lookback must be"),
        (carried, None, 2.5, None, "lookback must be"),
        (carried, None, True, None, "lookback must be"),
    ):
        with pytest.raises(InputError, match=told):
            context_of(model, function, lookback, stated)  # type: ignore[arg-type]


def test_a_model_that_answers_once_needs_the_length_of_its_sequences(tmp_path: Path) -> None:
    """Carried over a whole series it would give answers, but none that anybody has trained."""
    layers = [{"type": "dense", "activation": "", "shape": [None, None, 1], "weights": [[[1.0]] * 3, [0.0]]}]
    (tmp_path / "old.json").write_text(json.dumps({"in_shape": [None, None, 3], "layers": layers}))
    _, model, _ = model_of(str(tmp_path / "old.json"))
    assert model is not None
    assert context_of(model, None, None, None) == ("series", None), "it answers at each row"
    model = model.replace(provenance={KEY: {**model.provenance[KEY], "answers": "last"}})
    with pytest.raises(InputError, match="does not say how many rows.*lookback="):
        context_of(model, None, None, None)
    assert context_of(model, None, 5, None) == ("window", 5)
    assert context_of(model, None, None, "series") == ("series", None), "what is stated is taken"


@pytest.mark.parametrize("scaler", ["none", "standard", "minmax"])
@pytest.mark.parametrize("target", ["none", "standard"])
def test_a_model_in_the_units_of_the_data_answers_the_same(data: Examples, scaler: str, target: str) -> None:
    found = incumbent(lstm(), data, scaler=scaler, target=target).swapped(0, 2)
    assert found.model is not None
    ready = in_units(found, found.model, data.columns)
    assert ready is not None
    assert ready.columns == ("w", "v", "u")
    plain = incumbent(ready, data).answers(replace(data, rows=data.rows[:, ::-1]))
    np.testing.assert_allclose(plain, found.answers(data), rtol=1e-4, atol=1e-4)


def test_a_scaling_that_no_last_layer_can_undo() -> None:
    spec = gw.ModelSpec(inputs=3, layers=[gw.LayerSpec("dense", units=1, activation="tanh")])
    some = examples(linear(2), INPUTS, ["y"], lookback=2, groups="id")
    found = incumbent(gw.init(spec), some, target="standard")
    assert found.model is not None
    assert in_units(found, found.model, some.columns) is None
