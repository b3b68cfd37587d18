"""What of Keras is refused: the message names the layer, what is supported, and the way out."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import FileError, InputError
from gatewise.importers import load
from importers.keras_files import Layer, dense, functional, hdf5, keras, named, recurrent, saved, sequential

pytestmark = pytest.mark.usefixtures("in_process")

LSTM = recurrent("LSTM", 3, 4, 1, recurrent_activation="sigmoid", return_sequences=True)
WAYS_OUT = r"retrain it without this part, export it from Keras to ONNX .* gatewise assess --predictions"
NORM = {name: np.ones(4, np.float32) for name in ("gamma", "beta", "moving_mean", "moving_variance")}


def lstm(changed: dict[str, Any]) -> Layer:
    """The LSTM with other options."""
    return Layer("LSTM", {**LSTM.config, **changed}, LSTM.weights)


def refused(folder: Path, layers: list[Layer], words: str, version: int = 2, ways_out: bool = True) -> None:
    with pytest.raises(FileError, match=words) as caught:
        load(saved(folder, layers, (7, 3), version))
    message = str(caught.value)
    assert message.startswith(str(folder)), "the message names the file"
    assert "\n" not in message
    if ways_out:
        assert re.search(f"Ways out: {WAYS_OUT}$", message)


@pytest.mark.parametrize(
    "kind",
    ["Conv1D", "Embedding", "Attention", "MultiHeadAttention", "RepeatVector", "Permute", "GlobalAveragePooling1D",
     "PReLU", "Lambda", "ConvLSTM2D", "MaxPooling1D", "Concatenate", "Add", "TCN", "LSTM "],
)  # fmt: skip
def test_layers(kind: str, tmp_path: Path) -> None:
    refused(
        tmp_path,
        [LSTM, Layer(kind, {}, {}, "mine")],
        rf"layer 'mine' \({kind}\) is not supported; gatewise imports LSTM, ",
    )


OPTIONS: dict[str, tuple[Layer, str]] = {
    "an unknown option": (lstm({"peephole": True}), "option 'peephole' = True, which"),
    "time_major": (lstm({"time_major": True}), "time_major = True"),
    "a state that is read backwards": (lstm({"go_backwards": True, "stateful": True}), "is stateful, which is not"),
    "an activation": (lstm({"activation": "sparsemax"}), "activation 'sparsemax'.*tanh"),
    "a function of the user": (
        lstm({"activation": {"class_name": "function", "config": "tanh"}}),
        "activation {'class_name': 'function'",
    ),
    "softmax in a recurrent layer": (lstm({"activation": "softmax"}), "softmax"),
    "another axis": (Layer("BatchNormalization", {"axis": 1}, NORM), "runs over axis 1; only the last, 2, is"),
    "renormalisation": (Layer("BatchNormalization", {"axis": -1, "renorm": True}, NORM), "option 'renorm' = True"),
    "a clipped ReLU": (Layer("ReLU", {"max_value": 1.0}), "max_value 1.0, negative_slope 0 and threshold 0"),
    "quantised": (
        Layer("Dense", {"units": 2, "dtype": {"class_name": "QuantizedDTypePolicy",
                                              "config": {"name": "int8_from_float32"}}}, dense(4, 2, 1).weights),
        "computes in 'int8_from_float32'",
    ),
    "masking": (Layer("Masking", {"mask_value": 0.0}), r"masks each step .* are all 0: .*with spec='\{.masking"),
    "flattening a sequence": (Layer("Flatten"), "joins the steps of a sequence to one row"),
    "another shape": (Layer("Reshape", {"target_shape": [28]}), r"makes the shape \[28\] of \[7, 4\]"),
    "something distributed in time": (
        Layer("TimeDistributed", {"layer": {"class_name": "Conv1D", "config": {}}}),
        "wraps a Conv1D; supported are Dense, ",
    ),
    "both directions apart": (
        Layer("Bidirectional", {"merge_mode": None, "layer": {"class_name": "LSTM", "config": LSTM.config}}),
        "merge_mode None; supported are concat, sum, mul, ave",
    ),
    "both directions of something else": (
        Layer("Bidirectional", {"layer": {"class_name": "ConvLSTM1D", "config": {}}}),
        "wraps a ConvLSTM1D; supported are LSTM, ",
    ),
    "both directions with a state": (
        Layer("Bidirectional", {"layer": {"class_name": "LSTM", "config": {**LSTM.config, "stateful": True}}},
              {f"{way}_a/{name}": value for way in ("forward", "backward")
               for name, value in recurrent("LSTM", 4, 4, 1).weights.items()}),
        "is stateful, which is not supported for one that reads backwards",
    ),
    "another cell": (
        Layer("RNN", {"cell": {"class_name": "NestedLSTMCell", "config": {}}}),
        "cell NestedLSTMCell; supported are LSTMCell, GRUCell, SimpleRNNCell",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name: str, tmp_path: Path) -> None:
    layer, words = OPTIONS[name]
    first = layer.kind == "LSTM"
    refused(tmp_path, [layer] if first else [LSTM, layer], words, ways_out=name != "softmax in a recurrent layer")


BROKEN: dict[str, tuple[Layer, str]] = {
    "a missing weight": (
        Layer("LSTM", LSTM.config, {"kernel": LSTM.weights["kernel"], "bias": LSTM.weights["bias"]}),
        r"layer 'lstm_0' \(LSTM\) must have one weight recurrent_kernel, and the file has model_weights/",
    ),
    "a weight of another shape": (lstm({"units": 5}), r"shape \(3, 16\).*\(any, 20\)"),
    "a layer for other inputs": (recurrent("LSTM", 5, 4, 1, recurrent_activation="sigmoid"), r"weight_ih.*\(16, 3\)"),
    "a weight that is not a number": (
        Layer("LSTM", LSTM.config, {**LSTM.weights, "bias": np.full(16, np.nan, np.float32)}), "bias_ih.*finite"
    ),
    "units that are no number": (lstm({"units": "many"}), "units must be a whole"),
    "a number that is too large": (Layer("ELU", {"alpha": 10**400}), "alpha must be a number up to 1e.30, got 1000"),
    "no units": (Layer("LSTM", {}, LSTM.weights), "units must be a whole number from 1 to 65,536, got None"),
    "a flag that is none": (lstm({"go_backwards": 1}), "go_backwards must be true or"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_weights_and_options_that_do_not_fit(name: str, tmp_path: Path) -> None:
    layer, words = BROKEN[name]
    refused(tmp_path, [layer], words, ways_out=False)


def test_a_sequence_is_needed(tmp_path: Path) -> None:
    layers = [recurrent("LSTM", 3, 4, 1, recurrent_activation="sigmoid"), recurrent("SimpleRNN", 4, 2, 2)]
    refused(
        tmp_path, layers, r"layer 'simplernn_1' \(SimpleRNN\) needs a sequence, and what it reads has no axis of time"
    )


def test_some_layers_that_carry_their_state(tmp_path: Path) -> None:
    layers = [LSTM, recurrent("SimpleRNN", 4, 2, 2, stateful=True)]
    refused(tmp_path, layers, "simplernn_1 carry their state from one sequence to the next .stateful., and the other")


def test_a_class_of_the_user_with_the_name_of_one_of_keras(tmp_path: Path) -> None:
    layers = named([LSTM])
    described = sequential(layers, (7, 3), 3)
    described["config"]["layers"][1]["module"] = "project.layers"
    keras(tmp_path / "m.keras", layers, described)
    with pytest.raises(FileError, match=r"\(project\.layers\.LSTM\) is not supported"):
        load(tmp_path / "m.keras")


def second_input(model: dict[str, Any]) -> None:
    model["config"]["layers"][2]["inbound_nodes"] = [[["lstm_0", 0, 0, {}], ["i", 0, 0, {}]]]


def branch(model: dict[str, Any]) -> None:
    beside = {"class_name": "Dense", "config": {"name": "beside"}, "inbound_nodes": [[["i", 0, 0, {}]]]}
    model["config"]["layers"].append(beside)


def shared(model: dict[str, Any]) -> None:
    model["config"]["layers"][2]["inbound_nodes"] *= 2


def state(model: dict[str, Any]) -> None:
    model["config"]["layers"][2]["inbound_nodes"] = [[["lstm_0", 0, 1, {}]]]


def called(model: dict[str, Any]) -> None:
    model["config"]["layers"][2]["inbound_nodes"] = [[["lstm_0", 0, 0, {"training": True}]]]


def outputs(model: dict[str, Any]) -> None:
    model["config"]["output_layers"].append(["lstm_0", 0, 0])


def circle(model: dict[str, Any]) -> None:
    model["config"]["layers"][1]["inbound_nodes"] = [[["dense_1", 0, 0, {}]]]


def nested(model: dict[str, Any]) -> None:
    model["config"]["layers"].append({"class_name": "Functional", "config": {"name": "inner"}})


def nowhere(model: dict[str, Any]) -> None:
    model["config"]["layers"][2]["inbound_nodes"] = [[["elsewhere", 0, 0, {}]]]


def twins(model: dict[str, Any]) -> None:
    model["config"]["layers"].append(copy.deepcopy(model["config"]["layers"][1]))


def subclass(model: dict[str, Any]) -> None:
    model["class_name"] = "MyModel"


def images(model: dict[str, Any]) -> None:
    model["config"]["layers"][0]["config"]["batch_input_shape"] = [None, 7, 3, 3]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (second_input, r"layer 'dense_1' \(Dense\) reads 2 layers; gatewise imports chains"),
        (branch, "the model branches: layer 'beside' does not lie between input and output"),
        (shared, r"layer 'dense_1' \(Dense\) is called more than once"),
        (state, "output 1 of call 0 of layer 'lstm_0' is used; only the first"),
        (called, r"layer 'dense_1' \(Dense\) is called with 'training' = True"),
        (outputs, "the model has 2 outputs"),
        (circle, "nothing leads to 'dense_1'"),
        (nested, r"layer 'inner' is a model in itself \(Functional\)"),
        (nowhere, "nothing leads to 'elsewhere'"),
        (twins, "two layers have the name 'lstm_0'"),
        (subclass, "the model is of the class 'MyModel'; gatewise imports Sequential and Model and Functional"),
        (images, r"the input has the shape \(7, 3, 3\); supported are \(steps, features\)"),
    ],
)
def test_models_that_are_no_chain(change: Callable[[dict[str, Any]], None], words: str, tmp_path: Path) -> None:
    layers = named([LSTM, dense(4, 1, 2)])
    described = functional(layers, (7, 3), 2)
    change(described)
    hdf5(tmp_path / "m.h5", layers, described)
    with pytest.raises(FileError, match=words):
        load(tmp_path / "m.h5")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"maskig": "ignore"}, "unknown key 'maskig'; this format takes .architecture."),
        ({"masking": "keep"}, "masking in the spec must be \"ignore\", got 'keep'"),
        ({"architecture": {}}, "describes its model itself, so the spec must not have an architecture"),
        ("{", "the spec is no valid JSON"),
        ("hello", "must be JSON text that begins with {, or the path of a .json file, got 'hello'"),
        (5, "the spec must be a dict"),
    ],
)
def test_specs(spec: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        load(saved(tmp_path, [LSTM], (7, 3)), spec)


@pytest.mark.parametrize("place", ["kind", "name", "key", "value", "activation", "units", "version", "option"])
def test_a_megabyte_of_text_is_not_quoted_whole(place: str, tmp_path: Path) -> None:
    text = "x" * (1 << 20)
    (layer,) = named([lstm({})])
    if place in ("kind", "name"):
        setattr(layer, place, text)
        layer.weights = {}
    changed = {"key": {text: 1}, "value": {"k": text}, "units": {"units": text}, "option": {"go_backwards": text}}
    layer.config = {**layer.config, **changed.get(place, {place: text} if place == "activation" else {})}
    hdf5(tmp_path / "m.h5", [layer], sequential([layer], (7, 3), 2), text if place == "version" else 2)
    with pytest.raises(FileError) as caught:
        load(tmp_path / "m.h5")
    assert len(str(caught.value)) < 1500
