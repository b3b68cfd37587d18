"""Commands say once that readings have drifted, and at which step; `predict` ends with what was found."""

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from cli.program import detector, gatewise
from gatewise.drift import first_drift
from sections import retold

FAR = np.full((80, 1), 1e3, np.float32)
LINES = "\n".join(["1000"] * 80) + "\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.safetensors"
    detector(["v"], 1, "raise", seed=1).save(path)
    return path


def warned(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if "warning: " in line]


def test_a_stream_says_once_where_it_drifted(model: Path) -> None:
    found = first_drift(gw.load(model), FAR)
    assert found is not None
    assert 0 < found[0] < 79
    ran = gatewise("stream", model, stdin=LINES)
    (warning,) = warned(ran.stderr)
    assert warning.startswith(
        f"gatewise: warning: step {found[0] + 1}: the alarms of 'v' come more than twice as often"
    )
    assert len(ran.stdout.splitlines()) == 80


def test_a_stream_that_goes_on_does_not_say_it_again(model: Path, tmp_path: Path) -> None:
    state = tmp_path / "s"
    few = "\n".join(["1000"] * 5) + "\n"
    assert not warned(gatewise("stream", model, "--state", state, stdin=few).stderr)
    (warning,) = warned(gatewise("stream", model, "--state", state, stdin=LINES).stderr)
    assert re.search(r"step \d+:", warning)
    again = gatewise("stream", model, "--state", state, stdin=LINES)
    (warning,) = warned(again.stderr)
    assert "'v' drifted before this step, so scores are not calibrated" in warning
    assert "--settle forgets it" in warning
    settled = gatewise("stream", model, "--state", state, "--settle", stdin=LINES)
    (warning,) = warned(settled.stderr)
    assert re.search(r"step \d+: the alarms of 'v'", warning), "told anew"
    steps = [json.loads(line)["step"] for line in settled.stdout.splitlines()]
    assert steps == list(range(166, 246))


def test_of_several_series_the_one_is_named(model: Path) -> None:
    ids = ["good", "bad"] * 3 + ["bad"] * 60  # three readings are too few to tell
    lines = "".join(json.dumps({"v": 1000, "id": id}) + "\n" for id in ids)
    (warning,) = warned(gatewise("stream", model, "--series", "id", stdin=lines).stderr)
    found = first_drift(gw.load(model), FAR)
    assert found is not None
    assert f"series 'bad', step {found[0] + 1}: the alarms of 'v'" in warning


def test_predict_warns_and_ends_with_what_it_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"v": rng.normal(size=2000), "w": rng.normal(size=2000)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = gw.Detector(units=4, steps=20).fit(data)
    fitted.save(tmp_path / "m.safetensors")
    new = pd.DataFrame({"v": rng.normal(size=400), "w": rng.normal(size=400)})
    new.loc[100:, "w"] += 9.0
    new.to_csv(tmp_path / "new.csv", index=False)
    ran = gatewise("predict", tmp_path / "m.safetensors", tmp_path / "new.csv", "--json")
    assert ran.returncode == 0
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    (warning,) = warned(ran.stderr)
    row = int(re.search(r"row (\d+) \(line", warning)[1])  # type: ignore[index]
    assert 100 <= row < 300
    assert "'w'" in warning
    alarms = sum(row["alarm"] for row in rows)
    summary = ran.stderr[ran.stderr.index(warning) + len(warning) :].splitlines()[1:]
    assert summary[0].startswith(f"gatewise: {alarms} alarms in 400 rows, 0.4 expected, in ")
    assert "column 'w'" in summary[1]


def test_a_model_of_several_series_asks_for_the_column_that_tells_them_apart(model: Path, tmp_path: Path) -> None:
    fleet = gw.load(model)
    retold(fleet, {"series": ["a", "b"]}).save(tmp_path / "fleet.safetensors")
    one = gatewise("stream", tmp_path / "fleet.safetensors", stdin="9\n")
    assert "trained on several series; if these readings are of several, pass --series COL" in one.stderr
    each = gatewise("stream", tmp_path / "fleet.safetensors", "--series", "id", stdin='{"v": 9, "id": "a"}\n')
    assert "several series" not in each.stderr
