"""gatewise import: what it shows, checks and writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import gatewise as gw
from gatewise.cli.app import main
from gatewise.importers import load, origins
from gatewise.importers.keras import child, files
from importers import keras_passes as by_hand
from importers.keras_files import Layer, dense, recurrent, saved

X = np.random.default_rng(0).normal(size=(6, 5, 3))
LAYERS = [recurrent("LSTM", 3, 4, 1, recurrent_activation="sigmoid"), Layer("Dropout", {"rate": 0.1}), dense(4, 2, 2)]


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_answer", lambda data: b"".join(child.answer(data)))


@pytest.fixture
def legacy(tmp_path: Path) -> Path:
    """A model of Keras, and beside it inputs and what it answers to them."""
    first, _, last = ([value.astype(np.float64) for value in layer.weights.values()] for layer in LAYERS)
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", by_hand.dense(by_hand.lstm(X, *first)[:, -1], *last))
    return saved(tmp_path, LAYERS, (5, 3))


@dataclass(frozen=True)
class Ran:
    exit_code: int
    stdout: str
    stderr: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `gatewise import` with arguments in this process."""

    def call(*arguments: object) -> Ran:
        with pytest.raises(SystemExit) as ended:
            main(["import", *map(str, arguments)])
        return Ran(int(ended.value.code or 0), *capsys.readouterr())

    return call


def test_what_it_shows(run: Run, legacy: Path) -> None:
    ran = run(legacy)
    assert ran.exit_code == 0
    shown = [line.split() for line in ran.stdout.splitlines()]
    for line in (
        ["format", "Keras", "HDF5,", "written", "by", "Keras", "2.2.4"],
        ["inputs", "3", "a", "step"],
        ["context", "window", "of", "5", "steps"],
        ["lstm_0", "LSTM", "lstm_0"],
        ["dropout_1", "Dropout", "-"],
        ["lstm_0.weight_ih", "(16,", "3)", "model_weights/lstm_0/lstm_0/kernel:0"],
        ["lstm_0.bias_hh", "(16,)", "made", "by", "the", "import"],
        ["Keras", "stores", "the", "matrices", "transposed.", "(lstm_0,", "dense_2)"],
        ["gatewise", "import", str(legacy), "-o", "MODEL.safetensors"],
    ):
        assert line in shown
    assert "check" not in ran.stdout


def test_what_it_writes(run: Run, legacy: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    ran = run(legacy, "-o", out)
    assert (ran.exit_code, ran.stdout.splitlines()[-1]) == (0, f"  gatewise inspect {out}")
    written = gw.load(out)
    assert np.array_equal(written.run(X), load(legacy).run(X))
    assert origins(written) == origins(load(legacy))
    with pytest.raises(SystemExit, match="^0$"):
        main(["inspect", str(out)])


def test_a_check_that_holds(run: Run, legacy: Path, tmp_path: Path) -> None:
    ran = run(legacy, "--check", tmp_path / "x.npy", tmp_path / "y.npy", "-o", tmp_path / "m.safetensors")
    assert ran.exit_code == 0
    assert "the answers agree" in ran.stdout
    assert (tmp_path / "m.safetensors").exists()


def test_a_check_that_fails_writes_nothing(run: Run, legacy: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", np.load(tmp_path / "y.npy") + 0.01)
    given = (legacy, "--check", tmp_path / "x.npy", tmp_path / "y.npy")
    ran = run(*given, "-o", tmp_path / "m.safetensors")
    assert ran.exit_code == 1
    assert "THE ANSWERS DIFFER" in ran.stdout
    assert "nothing was written" in ran.stdout
    assert not (tmp_path / "m.safetensors").exists()
    assert run(*given, "--tolerance", 0.02).exit_code == 0


def test_json(run: Run, legacy: Path, tmp_path: Path) -> None:
    found = json.loads(run(legacy, "--json").stdout)
    assert (found["check"], found["written"], found["answers"]) == (None, None, "last")
    assert (found["inputs"], found["outputs"], found["context"]) == (3, 2, {"window": 5})
    assert [layer["kind"] for layer in found["layers"]] == ["LSTM", "Dropout", "Dense"]
    assert found["shapes"]["dense_2.weight"] == [2, 4]
    out = tmp_path / "m.safetensors"
    ran = run(legacy, "--json", "--check", tmp_path / "x.npy", tmp_path / "y.npy", "-o", out)
    found = json.loads(ran.stdout)
    assert found["written"] == str(out)
    assert found["check"]["holds"] is True
    assert found["check"]["error"] < 1e-5
    assert (found["check"]["values"], found["check"]["answers"]) == (12, "last")


def test_json_of_answers_that_are_not_finite(run: Run, legacy: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", np.full((6, 2), np.nan))
    ran = run(legacy, "--json", "--check", tmp_path / "x.npy", tmp_path / "y.npy")
    found = json.loads(ran.stdout)["check"]
    assert (ran.exit_code, found["error"], found["expected"], found["holds"]) == (1, None, None, False)


def test_a_spec(run: Run, tmp_path: Path) -> None:
    path = saved(tmp_path, [Layer("Masking", {"mask_value": 0.0}), *LAYERS], (5, 3))
    (tmp_path / "spec.json").write_text('{"masking": "ignore"}')
    refused = run(path)
    assert refused.exit_code == 1
    assert """say so with --spec '{"masking": "ignore"}'; else""" in refused.stderr
    assert run(path, "--spec", tmp_path / "spec.json").exit_code == 0
    assert run(path, "--spec", '{"masking": "ignore"}').exit_code == 0


def test_bad_arguments(run: Run, legacy: Path, tmp_path: Path) -> None:
    objects, text, archive = tmp_path / "o.npy", tmp_path / "t.npy", tmp_path / "a.npz"
    np.save(objects, np.array([{}]), allow_pickle=True)
    text.write_text("hello")
    np.savez(archive, x=X)
    for inputs, words in (
        (objects, "o.npy: no .npy file of numbers: Array can't be memory-mapped: Python objects"),
        (text, "t.npy: no .npy file of numbers"),
        (archive, "a.npz: an archive of arrays; give a .npy file"),
    ):
        ran = run(legacy, "--check", inputs, tmp_path / "y.npy")
        assert ran.exit_code == 1
        assert words in ran.stderr.replace("\n", " ")
    ran = run(legacy, "-o", legacy)
    assert (ran.exit_code, "are the same file" in ran.stderr) == (2, True)
    ran = run(legacy, "-o", tmp_path / "none" / "m.safetensors")
    assert (ran.exit_code, "no folder" in ran.stderr) == (1, True)
    ran = run(tmp_path / "none.h5")
    assert ran.exit_code == 1
    ran = run(tmp_path)
    assert (ran.exit_code, "not a regular file" in ran.stderr) == (1, True)
