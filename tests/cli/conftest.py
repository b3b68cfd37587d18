"""Model files for the command line."""

import base64
from pathlib import Path

import numpy as np
import pytest

import gatewise as gw
from cli.program import detector


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
    """The same, with the state after training of the series p, q and r in its provenance."""
    path = folder / "ended.safetensors"
    model = gw.load(one)
    past = np.random.default_rng(0).normal(size=(3, 20, 1))
    state = model.run(past, return_state=True)[1]
    told = {"state": base64.b64encode(state.to_bytes()).decode(), "series": ["p", "q", "r"]}
    model.replace(provenance={"detector": told}).save(path)
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
