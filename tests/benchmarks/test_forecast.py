"""The forecast benchmark: its split and its measure by hand, and that a model goes through it."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatewise.tables.split import Split

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TINY: dict[str, Any] = {"units": 2, "context": {"window": 4}, "normalise": True, "steps": 2}


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    sys.path.insert(0, str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("forecast", BENCHMARKS / "forecast.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def raw(data_dir: Path) -> pd.DataFrame:
    return pd.read_csv(data_dir / "ett" / "ETTh1.csv.gz").drop(columns="date")


def test_the_split_and_the_measure_are_those_stated(script: Any, raw: pd.DataFrame, data_dir: Path) -> None:
    """What needs no model, worked out from the file: 2,785 origins, each with 96 steps in the 2,880 test rows."""
    x = raw.to_numpy()
    z = ((x - x[:8640].mean(0)) / x[:8640].std(0))[:14400]
    origins = np.arange(11519, 14400 - 96)
    assert len(origins) == 2880 - 96 + 1
    steps = np.arange(1, 97)
    came = z[origins[:, None] + steps]
    repeated = came - z[origins][:, None]
    yesterday = came - z[origins[:, None] + steps - 24 * np.ceil(steps / 24).astype(int)]

    forecaster = script.fit(script.read(data_dir, script.VALIDATION), 96, **TINY)
    assert forecaster.split_ == Split(7 * 8640, 7 * 2880)
    found = script.score(forecaster, script.read(data_dir, script.TEST), script.VALIDATION)
    assert len(found.origins) == 7 * len(origins)
    answer = script.errors(found)
    assert answer["readings scored"] == came.size
    for name, u in (("repeat_last", repeated), ("seasonal_naive", yesterday)):
        assert answer["mse"][name] == pytest.approx((u**2).mean(), rel=1e-5)
        assert answer["mae"][name] == pytest.approx(np.abs(u).mean(), rel=1e-5)
        np.testing.assert_allclose(answer["mse by step"][name], (u**2).mean((0, 2)), rtol=1e-4)
    median = found.forecasts[..., 1].reshape(7, len(origins), 96).transpose(1, 2, 0)
    assert answer["mse"]["model"] == pytest.approx(((came - median) ** 2).mean(), rel=1e-5)
    better = ((came - median) ** 2).mean((0, 2)) < np.minimum((repeated**2).mean((0, 2)), (yesterday**2).mean((0, 2)))
    assert answer["mse better at"] == better.sum()


def test_nothing_is_chosen_by_the_test_rows(script: Any, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    monkeypatch.setattr(script, "TRIED", ({"together": True}, {"units": 3}))
    monkeypatch.setattr(script, "SETTINGS", TINY)
    whole = script.read
    monkeypatch.setattr(script, "read", lambda root, rows: read.append(rows) or whole(root, rows))
    found = script.choose(data_dir, seeds=1, steps=1)
    assert read == [11520]
    assert [row["changes"] for row in found] == [{"together": True}, {"units": 3}]
    assert all(row["mean"]["mse"] == row["seeds"][0]["mse"] > 0 for row in found)


def test_seeds_and_costs(script: Any, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "SETTINGS", {key: value for key, value in TINY.items() if key != "steps"})
    found = script.measure(data_dir, 24, seeds=2, steps=1)
    held = [row["validation mse"] for row in found["seeds"]]
    assert found["chosen seed"] == int(np.argmin(held))
    assert found["mean mse"] == pytest.approx(np.mean([row["mse"]["model"] for row in found["seeds"]]))
    spent = script.cost(data_dir, rounds=1)
    assert spent["window"]["rows read"] == 7 * (2880 - 96 + 4)
    assert spent["carried"]["rows read"] == 7 * (14400 - 96)
    assert spent["window"]["forecasts"] == spent["carried"]["forecasts"] == 7 * (2880 - 96 + 1) * 96
