"""The count of warnings: the guide says what the committed results hold, and the series are what they are called."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield importlib.import_module("plausible")
    sys.path.remove(str(ROOT / "benchmarks"))


def test_the_tables_are_those_of_the_results(script: Any) -> None:
    results = json.loads(script.FOUND.read_text())["results"]
    text = script.PAGE.read_text()
    assert text == script.page(text, results), "write it anew: python benchmarks/plausible.py --page"
    quiet = [name for name, found in results["clean"].items() if not any(each["any"] for each in found.values())]
    assert f"\nthe {len(quiet)} kinds that never had one" in text
    assert set(results["clean"]) == set(script.CLEAN)
    assert set(results["faulty"]) == set(script.FAULTY)
    assert {f"AR(1) 0.8 and season, {law} noise" for law in script.calibration.LAWS} < set(quiet)


@pytest.mark.parametrize("rows", [1000, 1010])
def test_series_have_the_rows_asked_for(script: Any, rows: int) -> None:
    for name, make in {**script.CLEAN, **{name: make for name, (make, _) in script.FAULTY.items()}}.items():
        values = make(np.random.default_rng(0), rows)
        assert abs(len(values) - rows) <= (rows % 100 if name == "ids of stacked series" else 0), name
        assert np.isfinite(values).all()


def test_faults_are_there(script: Any) -> None:
    rng = np.random.default_rng(1)
    made = {name: make(rng, 2000) for name, (make, _) in script.FAULTY.items()}
    assert (made["season, -999 in 20 rows"] == -999).sum() == 20
    assert np.sort(made["season, five spikes of 5"])[-5:].min() > 3.5
    assert (np.diff(made["meter, two resets"]) < 0).sum() == 2
    assert (np.diff(made["season, stuck for 100 rows"]) == 0).sum() == 99


def test_a_count(script: Any) -> None:
    make, wanted = script.FAULTY["meter"]
    assert script.count("meter", make, wanted, 1000, 3) == {"any": 3, "right": 3, "counter": 3}
    assert script.count("white", script.normal, None, 1000, 3) == {"any": 0, "right": 0}
