"""Real files of Keras, against forward passes by hand on weights that h5py read."""

import io
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import gatewise as gw
from gatewise.importers import load, origins
from importers.keras_passes import Array, dense, error, lstm, old_hard_sigmoid

TURBOFAN = "turbofan-rul-keras2-h5/regression_model.h5"
TEMPERATURE = "temperature-keras3/model_50_sens.keras"
STEPS = 50


def engines(path: Path) -> list[Array]:
    """For each engine its cycles: cycle, three settings and 21 sensors."""
    rows = np.loadtxt(path)
    return [rows[rows[:, 0] == unit, 1:] for unit in np.unique(rows[:, 0])]


@pytest.fixture(scope="module")
def windows(data_dir: Path) -> Array:
    """The last 50 cycles of each test engine that has as many, scaled and ordered as the model was trained on."""
    folder = data_dir / "cmapss"
    train = np.concatenate(engines(folder / "train_FD001.txt.gz"))
    least, most = train.min(0), train.max(0)
    order = [1, 2, 3, 0, *range(4, 25)]
    test = [rows for rows in engines(folder / "test_FD001.txt.gz") if len(rows) >= STEPS]
    spread = np.where(most > least, most - least, 1.0)
    return np.stack([((rows[-STEPS:] - least) / spread)[:, order] for rows in test])


@pytest.fixture(scope="module")
def left(data_dir: Path) -> Array:
    """The cycles that are left to these engines."""
    folder = data_dir / "cmapss"
    long = [len(rows) >= STEPS for rows in engines(folder / "test_FD001.txt.gz")]
    return np.loadtxt(folder / "RUL_FD001.txt.gz")[long]


def test_turbofan_is_as_good_as_its_readme_says(windows: Array, left: Array, models_dir: Path) -> None:
    model = load(models_dir / TURBOFAN)
    with h5py.File(models_dir / TURBOFAN) as file:
        found = {}
        file["model_weights"].visititems(
            lambda name, item: found.update({name: item[()].astype(float)}) if isinstance(item, h5py.Dataset) else None
        )
    x = windows
    for name in ("lstm_1", "lstm_2"):
        own = (found[f"{name}/{name}/{short}:0"] for short in ("kernel", "recurrent_kernel", "bias"))
        x = lstm(x, *own, gate=old_hard_sigmoid)
    wanted = dense(x[:, -1], found["dense_1/dense_1/kernel:0"], found["dense_1/dense_1/bias:0"])
    answers = model.run(windows)[:, -1]
    assert error(answers, wanted) < 1e-5
    assert np.sqrt(np.mean((answers[:, 0] - left) ** 2)) == pytest.approx(18.44, abs=0.01)
    assert len(left) == 93


def test_turbofan_and_its_record(models_dir: Path) -> None:
    model = load(models_dir / TURBOFAN)
    assert model.window == STEPS
    assert (model.inputs, model.outputs) == (25, 1)
    assert [layer.kind for layer in model.spec.nodes] == ["lstm", "lstm", "dense"]
    record = origins(model)
    assert (record.format, record.written_by, record.answers) == ("Keras HDF5", "Keras 2.0.5", "last")
    assert [layer.becomes for layer in record.layers] == [("lstm_1",), (), ("lstm_2",), (), ("dense_1",), ()]
    assert record.layers[0].weights["lstm_1.weight_ih"] == ("model_weights/lstm_1/lstm_1/kernel:0",)
    assert "hard_sigmoid of Keras 2 is clip(0.2 x + 0.5, 0, 1)." in record.layers[0].converted


def test_temperature(models_dir: Path) -> None:
    model = load(models_dir / TEMPERATURE)
    with (
        zipfile.ZipFile(models_dir / TEMPERATURE) as archive,
        h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file,
    ):
        first, second = (
            [file[f"layers/{n}/cell/vars/{i}"][()].astype(float) for i in range(3)] for n in ("lstm", "lstm_1")
        )
        last = [file[f"layers/dense/vars/{i}"][()].astype(float) for i in range(2)]
    x = np.random.default_rng(0).uniform(-1, 1, (40, 20, 1))
    wanted = dense(lstm(lstm(x, *first), *second)[:, -1], *last)
    assert error(model.run(x)[:, -1], wanted) < 1e-5
    assert model.window == 20
    assert isinstance(model, gw.Model)
