"""The layouts in which versions of Keras write their files, and how a file says which version it is."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from gatewise.errors import FileError
from gatewise.importers import load, origins
from importers import keras_passes as by_hand
from importers.keras_files import Layer, dense, functional, hdf5, keras, named, numbered, recurrent, sequential
from importers.keras_passes import error

pytestmark = pytest.mark.usefixtures("in_process")

X = np.random.default_rng(0).normal(size=(5, 7, 3))


def chain(gate: str = "sigmoid") -> list[Layer]:
    """Two layers of one class, so that numbers matter, and one that does nothing."""
    return named(
        [
            recurrent("LSTM", 3, 4, 1, recurrent_activation=gate, return_sequences=True),
            Layer("Dropout", {"rate": 0.2}),
            recurrent("LSTM", 4, 2, 2, recurrent_activation=gate),
            dense(2, 1, 3),
        ]
    )


def answer(layers: list[Layer], gate: by_hand.Function = by_hand.sigmoid, x: by_hand.Array = X) -> by_hand.Array:
    first, _, second, last = ([value.astype(np.float64) for value in layer.weights.values()] for layer in layers)
    return by_hand.dense(by_hand.lstm(by_hand.lstm(x, *first, gate=gate), *second, gate=gate)[:, -1], *last)


def right(path: Path, layers: list[Layer], spec: Any = None, gate: by_hand.Function = by_hand.sigmoid) -> None:
    assert error(load(path, spec).run(X)[:, -1], answer(layers, gate)) < 1e-5


@pytest.mark.parametrize("describe", [sequential, functional])
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("cell", ["", "lstm_cell/", "lstm_cell_17/"])
def test_hdf5(cell: str, version: int, describe: Any, tmp_path: Path) -> None:
    layers = chain()
    hdf5(tmp_path / "m.h5", layers, describe(layers, (7, 3), version), version, cell)
    right(tmp_path / "m.h5", layers)


@pytest.mark.parametrize("describe", [sequential, functional])
@pytest.mark.parametrize("top", ["layers", "_layer_checkpoint_dependencies"])
def test_keras_file(top: str, describe: Any, tmp_path: Path) -> None:
    layers = chain()
    keras(tmp_path / "m.keras", layers, describe(layers, (7, 3), 3), top=top)
    right(tmp_path / "m.keras", layers)
    assert origins(load(tmp_path / "m.keras")).layers[2].weights["lstm_2.bias_ih"] == (f"{top}/lstm_1/cell/vars/2",)


@pytest.mark.parametrize("wrapped", [True, False])
def test_weights_alone_with_the_architecture(wrapped: bool, tmp_path: Path) -> None:
    layers = chain("hard_sigmoid")
    described = {**sequential(layers, (7, 3), 2), "keras_version": "2.1.6", "backend": "tensorflow"}
    hdf5(tmp_path / "w.h5", layers, None)
    spec = {"architecture": described} if wrapped else described
    right(tmp_path / "w.h5", layers, spec, by_hand.old_hard_sigmoid)
    (tmp_path / "a.json").write_text(json.dumps(spec))
    right(tmp_path / "w.h5", layers, tmp_path / "a.json", by_hand.old_hard_sigmoid)
    with pytest.raises(
        FileError, match=r"no description of a model, only weights.*model\.to_json\(\).*spec='architecture\.json'"
    ):
        load(tmp_path / "w.h5")


def test_weights_alone_of_keras_3_whose_json_does_not_say_its_version(tmp_path: Path) -> None:
    layers = chain("hard_sigmoid")
    (tmp_path / "w.weights.h5").write_bytes(numbered(layers))
    right(tmp_path / "w.weights.h5", layers, sequential(layers, (7, 3), 3), by_hand.new_hard_sigmoid)


@pytest.mark.parametrize(
    ("said", "gate"),
    [
        ("1.2.2", by_hand.old_hard_sigmoid),
        ("2.0.5", by_hand.old_hard_sigmoid),
        ("2.2.4-tf", by_hand.old_hard_sigmoid),
        ("2.15.0", by_hand.old_hard_sigmoid),
        ("3.0.0", by_hand.new_hard_sigmoid),
    ],
)
def test_the_version_decides_what_hard_sigmoid_is(said: str, gate: by_hand.Function, tmp_path: Path) -> None:
    layers = chain("hard_sigmoid")
    hdf5(tmp_path / "m.h5", layers, sequential(layers, (7, 3), 2), said)
    right(tmp_path / "m.h5", layers, gate=gate)
    assert origins(load(tmp_path / "m.h5")).written_by == f"Keras {said}"


def test_an_unknown_version(tmp_path: Path) -> None:
    layers = chain()
    hdf5(tmp_path / "m.h5", layers, sequential(layers, (7, 3), 2), "4.0")
    with pytest.raises(FileError, match=r"version '4\.0' of Keras; gatewise knows 1, 2 and 3"):
        load(tmp_path / "m.h5")


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    layers = chain()
    keras(tmp_path / "model.bin", layers, sequential(layers, (7, 3), 3))
    right(tmp_path / "model.bin", layers)
    (tmp_path / "model.h5").write_text("hello")
    with pytest.raises(FileError, match=r"model\.h5: the format is not known; gatewise imports Keras \(\.h5"):
        load(tmp_path / "model.h5")


def test_the_shape_of_a_model_that_was_built_later(tmp_path: Path) -> None:
    layers = chain()
    described = sequential(layers, (7, 3), 2)
    del described["config"]["layers"][0]["config"]["batch_input_shape"]
    hdf5(tmp_path / "m.h5", layers, described)
    with pytest.raises(FileError, match="does not say how many inputs it has"):
        load(tmp_path / "m.h5")
    described["config"]["build_input_shape"] = [None, 7, 3]
    hdf5(tmp_path / "m.h5", layers, described)
    right(tmp_path / "m.h5", layers)


def test_what_is_no_weight_is_left_out(tmp_path: Path) -> None:
    """The state of the random generators of dropout, and of metrics."""
    layers = chain()
    described = sequential(layers, (7, 3), 3)
    memory = io.BytesIO(numbered(layers))
    with h5py.File(memory, "a") as file:
        file["layers/dropout/seed_generator/vars/0"] = np.ones(2, np.uint32)
        file["metrics/mean/vars/0"] = np.float32(1)
        file["compile_metrics/vars/0"] = np.float32(1)
    (tmp_path / "w.weights.h5").write_bytes(memory.getvalue())
    right(tmp_path / "w.weights.h5", layers, described)


def test_each_weight_is_used(tmp_path: Path) -> None:
    layers = chain()
    hdf5(tmp_path / "m.h5", layers, sequential(layers, (7, 3), 2))
    with h5py.File(tmp_path / "m.h5", "a") as file:
        file["model_weights/dropout_1/dropout_1/kernel:0"] = np.ones(3)
    with pytest.raises(
        FileError, match="1 weights in the file belong to no layer.*'model_weights/dropout_1/dropout_1/k"
    ):
        load(tmp_path / "m.h5")


def test_the_record(tmp_path: Path) -> None:
    layers = chain("hard_sigmoid")
    hdf5(tmp_path / "m.h5", layers, sequential(layers, (7, 3), 2))
    record = origins(load(tmp_path / "m.h5"))
    assert [(layer.name, layer.kind, layer.becomes) for layer in record.layers] == [
        ("lstm_0", "LSTM", ("lstm_0",)),
        ("dropout_1", "Dropout", ()),
        ("lstm_2", "LSTM", ("lstm_2",)),
        ("dense_3", "Dense", ("dense_3",)),
    ]
    assert record.layers[0].weights == {
        "lstm_0.weight_ih": ("model_weights/lstm_0/lstm_0/kernel:0",),
        "lstm_0.weight_hh": ("model_weights/lstm_0/lstm_0/recurrent_kernel:0",),
        "lstm_0.bias_ih": ("model_weights/lstm_0/lstm_0/bias:0",),
    }
    assert record.layers[0].converted == (
        "Keras stores the matrices transposed.",
        "hard_sigmoid of Keras 2 is clip(0.2 x + 0.5, 0, 1).",
        "Keras has one bias; it is bias_ih, and bias_hh is zero.",
    )
    assert (record.format, record.answers, record.file) == ("Keras HDF5", "last", "m.h5")


def test_what_normalisation_became_and_where_its_weights_went(tmp_path: Path) -> None:
    def norm(width: int) -> Layer:
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        return Layer("BatchNormalization", {"axis": [2]}, {name: np.ones(width, np.float32) for name in names})

    lstm = recurrent("LSTM", 3, 4, 1, recurrent_activation="sigmoid", return_sequences=True)
    second = recurrent("LSTM", 4, 2, 1, recurrent_activation="sigmoid")
    layers = named([norm(3), lstm, norm(4), second])
    hdf5(tmp_path / "m.h5", layers, sequential(layers, (7, 3), 2))
    first, _, after, _ = origins(load(tmp_path / "m.h5")).layers
    assert (first.becomes, set(first.weights)) == (("input",), {"input.offset", "input.scale"})
    assert (after.becomes, set(after.weights)) == (("lstm_3",), {"lstm_3.weight_ih", "lstm_3.bias_ih"})
    for sources in (*first.weights.values(), *after.weights.values()):
        ends = [path.rpartition("/")[2] for path in sources]
        assert ends == ["gamma:0", "beta:0", "moving_mean:0", "moving_variance:0"]


def test_readings_far_from_zero_keep_their_digits(tmp_path: Path) -> None:
    """A pressure of 100,000 +- 100 Pa: folded into the weights, the scaling would lose three digits."""
    mean = np.full(3, 1e5, np.float32)
    norm = Layer("Normalization", {"axis": [-1]},
                 {"mean": mean, "variance": np.full(3, 1e4, np.float32), "count": np.int64(9)})  # fmt: skip
    layers = named([norm, *chain()])
    hdf5(tmp_path / "m.h5", layers, sequential(layers, (7, 3), 2))
    x = np.float32(1e5 + 100 * X)
    wanted = answer(layers[1:], x=(x.astype(np.float64) - 1e5) / 100)
    assert error(load(tmp_path / "m.h5").run(x)[:, -1], wanted) < 1e-6
