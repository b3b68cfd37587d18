"""What the pages say of drift stands in the results."""

import json
import re
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import drift

ROOT = Path(__file__).parents[2]
RESULTS = json.loads((ROOT / "benchmarks" / "results" / "drift.json").read_text())["results"]
PAGE = " ".join((ROOT / "docs" / "guides" / "detect.md").read_text().split())


def test_the_guide_has_the_measured_figures() -> None:
    median = {multiple: round(found["median"]) for multiple, found in RESULTS["rates"].items()}
    assert f"after a median of {median['10']:,} rows, at fifty times after {median['50']:,}" in PAGE
    series = re.search(r"On (\d+) clean series of 100,000 rows there was none", PAGE)
    assert series is not None
    assert int(series[1]) == len(RESULTS["cells"])
    warned = [cell["alarms per 1000"] for cell in RESULTS["cells"] if cell["warned on clean rows"] is not None]
    assert len(warned) == 1
    assert f"one warning came on a series whose alarms came {warned[0]:.1f} times as often as stated" in PAGE
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"no wrong warning on {len(RESULTS['cells'])} clean series of 100,000 rows" in readme
    for cell in RESULTS["cells"]:
        assert cell["warned on clean rows"] is None or cell["alarms per 1000"] > 2.0, cell


def test_a_change_begins_where_the_benchmark_says() -> None:
    clean = drift.series("normal", 3, 500 + drift.FRESH)[500 : 500 + drift.CHANGED]
    changed = drift.changes("normal", 3, 500)
    assert abs(changed["level shift by 5 deviations of the noise"] - clean - 5.0).max() < 0.5
    assert changed["ramp"][0] == clean[0]
    season = 3.0 * np.sin(2.0 * np.pi * np.arange(500, 500 + drift.CHANGED) / 48.0)
    noise = drift.LAWS["normal"](np.random.default_rng([3, *b"normal"]), 500 + drift.FRESH)[500:]
    louder = changed["noise five times as large"] - season
    np.testing.assert_allclose(louder[1:] - 0.8 * louder[:-1], 5.0 * noise[1 : drift.CHANGED], atol=1e-9)
