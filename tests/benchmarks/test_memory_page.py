"""docs/memory_tasks.md says what the committed results hold, and the cells of its tables mean what it says."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield importlib.import_module("memory_page")
    sys.path.remove(str(ROOT / "benchmarks"))


def lag(ends: str, scores: list[float], learned: bool = True) -> dict[str, Any]:
    """Ends by their first letter; updates are 100, 200, 300."""
    names = {"s": "solved", "b": "budget", "n": "not learned"}
    steps = [100 * (i + 1) for i in range(len(ends))]
    twice = [score - 0.1 for score in scores]
    found = {"ends": [names[end] for end in ends], "scores": scores, "steps": steps}
    return {**found, "at twice the lag": twice, "learned": learned}


RESULTS = {
    "seeds": 3,
    "lags": [50, 1000],
    "recurrences": ["lstm", "gru", "gru+x", "lru"],
    "chance": {"copy": 0.25, "parity": 0.5},
    "trainings": 1234,
    "cpu minutes": 61.4,
    "tasks": {
        "copy": {
            "lstm": {
                "learning rate": 0.01,
                "lags": {"50": lag("sss", [1.0, 0.99, 1.0]), "1000": lag("bsb", [0.4, 1.0, 0.3])},
            },
            "gru": {"learning rate": 0.003, "lags": {"50": lag("nnn", [0.25, 0.2, 0.3], learned=False)}},
            "gru+x": {
                "learning rate": 0.001,
                "lags": {"50": lag("sbs", [0.995, 0.9, 0.992]), "1000": lag("s", [1.0])},
            },
        }
    },
}


def test_the_tables_are_those_of_the_results(script: Any) -> None:
    results = json.loads(script.FOUND.read_text())["results"]
    text = script.PAGE.read_text()
    assert text == script.page(text, results), "write it anew: python benchmarks/memory_page.py"
    assert script.tables(results) in text


def test_cells(script: Any) -> None:
    lines = script.tables(RESULTS).splitlines()
    assert lines[2:8] == [
        "|  | copy | parity |",
        "| --- | --- | --- |",
        "| `lstm` | 50 | … |",
        "| `gru` | none | … |",
        "| `gru+x` | 50 … | … |",
        "| `lru` | … | … |",
    ]
    start = lines.index("**Copy**, chance 0.25:")
    assert lines[start + 2 : start + 8] == [
        "| copy | learning rate | lag 50 | lag 1,000 | at twice the lag |",
        "| --- | --- | --- | --- | --- |",
        "| `lstm` | 0.01 | 3/3, 1.00, 200 | 1/3, 0.40, 200 | 0.90 at 100 |",
        "| `gru` | 0.003 | 0/3, 0.25 | – | – |",
        "| `gru+x` | 0.001 | 2/3, 0.99, 100 | 1/1, 1.00, 100 | 0.89 at 100 |",
        "| `lru` | … | … | … | … |",
    ]
    assert lines[-1] == "1,234 trainings in 61 minutes of CPU time."


def test_the_plot_shows_the_medians(script: Any) -> None:
    panel = script.figure(RESULTS).axes[0]
    lines = {line.get_label(): line for line in panel.lines}
    assert panel.get_title() == "copy"
    assert list(lines) == ["chance", "lstm", "gru", "gru+x", "lru"]
    assert set(lines["chance"].get_ydata()) == {0.25}
    assert list(lines["lstm"].get_ydata()) == [1.0, 0.4]
    assert list(lines["lstm"].get_xdata()) == pytest.approx([50, 1000], rel=0.06)
    assert list(lines["gru+x"].get_ydata()) == [0.992, 1.0]
    assert lines["gru"].get_color() == lines["gru+x"].get_color() != lines["lstm"].get_color()
