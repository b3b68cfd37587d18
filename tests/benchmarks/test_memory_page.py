"""docs/memory_tasks.md says what the committed results hold, and the cells of its tables mean what it says."""

import copy
import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

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


def flat(text: str) -> str:
    return " ".join(text.split())


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


def test_tables_and_words_are_those_of_the_results(script: Any) -> None:
    results = json.loads(script.FOUND.read_text())["results"]
    text = script.PAGE.read_text()
    assert text == script.page(text, results), "write it anew: python benchmarks/memory_page.py"
    assert script.tables(results) in text
    assert script.words(results) in text


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


def test_a_row_of_panels_has_one_kind_in_colour(script: Any) -> None:
    panels = script.figure(RESULTS).axes
    assert [panel.get_title() for panel in panels] == ["copy", "parity", "", "", "", ""]
    assert [panel.get_ylabel() for panel in panels[::2]] == ["lstm", "gru", "lru"]
    for panel, kind in zip(panels[::2], ["lstm", "gru", "lru"], strict=True):
        lines = {line.get_label(): line for line in panel.lines}
        assert set(lines) == {"chance", "lstm", "gru", "gru+x", "lru"}
        assert set(lines["chance"].get_ydata()) == {0.25}
        assert list(lines["lstm"].get_xdata()) == [50, 1000]
        assert list(lines["lstm"].get_ydata()) == [1.0, 0.4]
        assert list(lines["gru+x"].get_ydata()) == [0.992, 1.0]
        coloured = [name for name, line in lines.items() if line.get_color() == script.BLUE]
        assert coloured == [name for name in RESULTS["recurrences"] if name.partition("+")[0] == kind]
        assert {line.get_color() for name, line in lines.items() if name not in (*coloured, "chance")} == {
            script.OTHER["color"]
        }
        last = list(lines)[-len(coloured) :]
        assert last == coloured, "the lines in colour lie above the others"


def test_the_plot_is_that_of_the_results_light_and_dark(script: Any) -> None:
    results = json.loads(script.FOUND.read_text())["results"]
    text = script.PLOT.read_text()
    now = script.drawing(results)
    assert ElementTree.fromstring(now).tag == "{http://www.w3.org/2000/svg}svg"
    shown, drawn = (re.findall(r'<path d="([^"]*)" clip-path', one) for one in (text, now))
    assert shown == drawn, "draw it anew: python benchmarks/memory_page.py"
    light, dark = re.findall(r"svg {(.*?)}", text)
    used = set(re.findall(r"var\(--(\w+)\)", text))
    assert used == set(re.findall(r"--(\w+):", light)) == set(re.findall(r"--(\w+):", dark))


def test_words_that_do_not_hold_are_not_written(script: Any) -> None:
    results = json.loads(script.FOUND.read_text())["results"]
    told = (
        "**At 1,000 steps** one of the five tasks is solved within these budgets with any seed: "
        "adding, by `gru` with one seed and `mingru+chrono` with two seeds, of three each."
    )
    assert told in flat(script.words(results))
    others = copy.deepcopy(results)
    for name in others["recurrences"]:
        one = others["tasks"]["adding"][name]["lags"].get("1000")
        if one:
            one["ends"] = ["not learned"] * len(one["ends"])
    assert "none of the five tasks is solved within these budgets. Of all" in flat(script.words(others))
    assert "It takes `mingru` from 50 to 150 steps of adding" in flat(script.words(others))
    others["tasks"]["adding"]["mingru+chrono"] = results["tasks"]["adding"]["mingru+chrono"]
    assert "adding, by `mingru+chrono` with two seeds, of three each." in flat(script.words(others))
    others["tasks"]["copy"]["gru"]["lags"]["50"]["ends"][0] = "solved"
    with pytest.raises(ValueError, match="gru solves copy and delayed recall with no seed"):
        script.words(others)


def test_the_protocol_is_that_of_the_benchmark(script: Any) -> None:
    text = " ".join(script.PAGE.read_text().split())
    results = json.loads(script.FOUND.read_text())["results"]
    settings = results["settings"]
    first, *others = (round(settings["budget"] * (50 / lag) ** (1 / 3)) for lag in results["lags"])
    named = ", ".join(f"{budget:,} at {lag:,}" for budget, lag in zip(others, results["lags"][1:], strict=True))
    assert f"The budget is {first:,} updates at lag 50, and falls with the cube root of the lag: {named}." in text
    *most, last = (f"{rate:g}" for rate in results["learning rates"])
    assert f"The learning rate, of {', '.join(most)} and {last}, is chosen" in text
    assert f"two recurrent layers of {settings['units']} units, a dense layer of {settings['units']} units" in text
    assert f"AdamW on {settings['batch']} rows drawn anew" in text
    assert f"Every {settings['check every']} updates {settings['held-out rows']} held-out rows are scored" in text
    assert f"Scores are those of {settings['test rows']} other rows" in text
    assert f"A task is **solved** at {settings['solved']}" in text
    assert settings["learned"] == 0.1, "the page says: a tenth of the way"
    assert results["seeds"] == 3, "the page says: three seeds"
