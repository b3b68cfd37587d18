"""Model files and tables for the command line."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from cli.predicting import ROWS
from cli.program import detector
from gatewise.tasks.forecaster import Forecaster
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


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hourly readings of two sites, line by line in turn: sites.csv; of the first alone: north.csv; rows to come."""
    tables, rng = tmp_path_factory.mktemp("tables"), np.random.default_rng(0)
    t = np.arange(ROWS + 3)
    times = pd.date_range("2024-03-01", periods=len(t), freq="h")
    parts = []
    for k, site in enumerate(["south", "north"]):
        price = rng.normal(size=len(t)).round(3)
        load = (np.sin(t / 4 + k) + 0.3 * price + 0.1 * rng.normal(size=len(t))).round(3)
        heat = (np.cos(t / 4 + k) + 0.1 * rng.normal(size=len(t))).round(3)
        parts.append(pd.DataFrame({"time": times, "site": site, "load": load, "price": price, "heat": heat}))
    whole = pd.concat(parts).sort_values(["time", "site"])
    past, ahead = whole[whole.time < times[ROWS]], whole[whole.time >= times[ROWS]]
    past.to_csv(tables / "sites.csv", index=False)
    ahead.drop(columns=["load", "heat"]).to_csv(tables / "next.csv", index=False)
    past[past.site == "north"].drop(columns="site").to_csv(tables / "north.csv", index=False)
    return tables


@pytest.fixture(scope="session")
def sites(tables: Path) -> Path:
    """A forecaster of two series with a covariate, in windows."""
    path = tables / "sites.safetensors"
    options: dict[str, Any] = {"time": "time", "series": "site", "covariates": ["price"], "calendar": ["day"]}
    found = Forecaster(units=3, horizons=3, context={"window": 8}, normalise=True, steps=5, **options)
    found.fit(tables / "sites.csv").save(path)
    return path


@pytest.fixture(scope="session")
def north(tables: Path) -> Path:
    """A forecaster of one series that carries its state."""
    path = tables / "north.safetensors"
    found = Forecaster(units=3, horizons=[1, 3], target="load", quantiles=(0.1, 0.5), time="time", steps=5)
    found.fit(tables / "north.csv").save(path)
    return path


@pytest.fixture(scope="session")
def watch(tables: Path) -> Path:
    """A detector of two columns of two series."""
    path = tables / "watch.safetensors"
    found = gw.Detector(units=3, steps=5, time="time", series="site", target=["load", "heat"], validation=0.5)
    with pytest.warns(UserWarning, match="false alarms"):
        found.fit(tables / "sites.csv").save(path)
    return path
