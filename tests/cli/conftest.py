"""Model files for the command line."""

from pathlib import Path

import numpy as np
import pytest

import gatewise as gw
from cli.program import detector
from sections import ended as after


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def one(folder: Path) -> Path:
    """A detector of one column v that refuses missing values."""
    path = folder / "one.safetensors"
    detector(["v"], 1, "raise", 1).save(path)
    return path


@pytest.fixture(scope="session")
def ended(folder: Path, one: Path) -> Path:
    """The same, with the state after training of the series p, q and r."""
    path = folder / "ended.safetensors"
    model = gw.load(one)
    past = np.random.default_rng(0).normal(size=(3, 20, 1))
    states = [model.run(rows, return_state=True)[1] for rows in past]
    after(model, ["p", "q", "r"], *states).save(path)
    return path


@pytest.fixture(scope="session")
def two(folder: Path) -> Path:
    """A detector of two columns a, b that holds missing values."""
    path = folder / "two.safetensors"
    detector(["a", "b"], 2, "hold", 2).save(path)
    return path


@pytest.fixture(scope="session")
def bare(folder: Path) -> Path:
    """No head and no names: three inputs, two outputs."""
    path = folder / "bare.safetensors"
    layers = [gw.LayerSpec("gru", units=5), gw.LayerSpec("dense", units=2)]
    gw.init(gw.ModelSpec(inputs=3, layers=layers), 3).save(path)
    return path
