"""gatewise train --start: the same as fit(start=...), with what the model says of itself where no option differs."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import gatewise as gw
from gatewise.cli.app import cli, main


def readings(rows: int, seed: int) -> pd.DataFrame:
    rng, t = np.random.default_rng(seed), np.arange(rows)
    frame = pd.DataFrame({"t": t, "a": np.sin(t / 9), "b": np.cos(t / 9)})
    frame[["a", "b"]] += rng.normal(0, 0.1, (rows, 2))
    return frame.round(4)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with old.csv, all.csv, which goes on from it, and a model of each task trained on the first."""
    folder = tmp_path_factory.mktemp("start")
    data = readings(1400, 0)
    data[:900].to_csv(folder / "old.csv", index=False)
    data.to_csv(folder / "all.csv", index=False)
    common = [folder / "old.csv", "--time", "t", "--target", "a", "--units", "5", "--steps", "4"]
    ran(*common, "-o", folder / "detector", "--batch", "4", "--false-alarms-per-1000", "40")
    ran(*common, "-o", folder / "forecaster", "--task", "forecast", "--horizons", "2")
    return folder


def ran(*arguments: object) -> Result:
    found = CliRunner().invoke(cli, ["train", *map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 0
    return found


@pytest.mark.parametrize(
    ("task", "options", "parameters"),
    [
        ("detector", [], {}),
        ("detector", ["--epochs", 1, "--smooth", 3, "--seed", 7], {"epochs": 1, "steps": None, "smooth": 3}),
        ("forecaster", ["--steps", 6, "--minimum", "-1"], {"steps": 6, "minimum": -1.0}),
    ],
    ids=["as before", "options", "forecaster"],
)
def test_equals_the_api(place: Path, tmp_path: Path, task: str, options: list[Any], parameters: dict[str, Any]) -> None:
    found = json.loads(ran(place / "all.csv", "--start", place / task, "-o", tmp_path / "m", "--json", *options).stdout)
    kind = gw.Detector if task == "detector" else gw.Forecaster
    old = kind.load(place / task)
    more = {"random_state": 7} if "--seed" in options else {}
    truth = kind(**{**old.get_params(), **parameters, **more})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        truth.fit(place / "all.csv", start=old)
    new = kind.load(tmp_path / "m")
    assert new.get_params() == truth.get_params()
    for name, value in truth.model_.tensors.items():
        np.testing.assert_array_equal(new.model_.tensors[name], value, err_msg=name)
    assert new.model_.task.described["start"] == truth.model_.task.described["start"]
    assert found["target"] == ["a"]
    if task == "detector":
        assert found["rows"]["calibration"] == 280


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["train", *map(str, arguments)])
    return int(ended.value.code or 0), " ".join(capsys.readouterr().err.split())


def test_refusals(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = [place / "all.csv", "-o", tmp_path / "m", "--start"]
    gw.init(gw.ModelSpec(1, [gw.LayerSpec("gru", units=2)])).save(tmp_path / "bare")
    cases: list[tuple[list[object], int, str]] = [
        ([place / "detector", "--task", "forecast"], 2, "was trained to detect, not to forecast; leave --task out"),
        ([place / "forecaster", "--smooth", "3"], 2, "--smooth is for --task detect, not for --task forecast"),
        ([place / "detector", "--units", "6"], 1, "units is 5 there and 6 here"),
        ([place / "detector", "--columns", "a"], 1, "start reads the columns 'a', 'b'; the data lack 'b'"),
        ([tmp_path / "bare"], 1, "was not made by gatewise train, so training cannot continue from it"),
        ([tmp_path / "none"], 1, "none"),
        ([place / "old.csv"], 1, "old.csv"),
    ]
    for options, code, words in cases:
        found, text = refused(capsys, *common, *options)
        assert (found, words in text) == (code, True), text
    assert not (tmp_path / "m").exists()
