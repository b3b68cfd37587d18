"""gatewise train: both tasks with every option, each the same model as through the API."""

import csv
import inspect
import json
import math
import re
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

import gatewise as gw
from cli.program import gatewise
from gatewise.cli.app import cli
from gatewise.cli.stream import ends_of_training
from gatewise.cli.trained import ranges

FORECAST = "--task forecast --time time --series site --units 4 --steps 4 --quiet"
DETECT = "--time time --series site --units 4 --steps 4 --quiet"


def train(data: Path, out: Path, *options: str) -> tuple[str, str]:
    """Run the command in this process, with options as one writes them; standard output and error."""
    given = [str(data), "-o", str(out), *(word for text in options for word in shlex.split(text))]
    ran = CliRunner().invoke(cli, ["train", *given], catch_exceptions=False)
    assert ran.exit_code == 0
    return ran.stdout, ran.stderr


def same_tensors(path: Path, model: gw.Model) -> None:
    found = gw.load(path)
    assert list(found.tensors) == list(model.tensors)
    for name, value in model.tensors.items():
        np.testing.assert_array_equal(found.tensors[name], value, err_msg=name)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two series of 300 hours, in turn, with a column whose name has a comma and gaps in another."""
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("sites") / "sites.csv"
    with open(path, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["site", "time", "load", "price, net", "heat"])
        for i in range(300):
            for k in (8, 3):
                heat = "" if i % 11 == k else round(math.cos(i / 5 + k) + rng.normal() / 9, 3)
                load = round(math.sin(i / 5 + k) + rng.normal() / 9, 3)
                time = f"2024-01-{1 + i // 24:02}T{i % 24:02}:00"
                out.writerow([k, time, load, round(rng.normal(), 3), heat])
    return path


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ("--horizons 3", {"horizons": 3}),
        ("--horizons 3,", {"horizons": [3]}),
        ("--horizons 1,6 --quantiles '0.05, 0.5'", {"horizons": [1, 6], "quantiles": [0.05, 0.5]}),
        ("--context 12 --normalise --no-anchor", {"context": {"window": 12}, "normalise": True, "anchor": False}),
        ("--context carried --calendar day,week --anchor", {"calendar": ["day", "week"]}),
        ("--minimum -2 --maximum load=3,heat=4.5", {"minimum": -2.0, "maximum": {"load": 3.0, "heat": 4.5}}),
        (
            """--covariates '"price, net",' --target load,heat""",
            {"covariates": ["price, net"], "target": ["load", "heat"]},
        ),
        ("""--columns 'load, "price, net"'""", {"columns": ["load", "price, net"]}),
        ("--recurrence lstm --layers 2 --target load", {"recurrence": "lstm", "layers": 2, "target": "load"}),
        (
            "--recurrence lstm --option chrono=9 --option clip=3.5 --option peepholes=true "
            "--option activation=relu --option cell_clip=null "
            """--option 'gate_activation={"kind": "hard_sigmoid", "slope": 0.2, "offset": 0.5}'""",
            {
                "recurrence": "lstm",
                "options": {
                    "chrono": 9,
                    "clip": 3.5,
                    "peepholes": True,
                    "activation": "relu",
                    "gate_activation": {"kind": "hard_sigmoid", "slope": 0.2, "offset": 0.5},
                    "cell_clip": None,
                },
            },
        ),
        ("--recurrence rnn --validation 0.3 --seed 3", {"recurrence": "rnn", "validation": 0.3, "random_state": 3}),
        ("--learning-rate 0.01 --batch 4 --bptt 16", {"learning_rate": 0.01, "batch": 4, "bptt": 16}),
        (
            "--dropout 0.2 --variational-dropout 0.1 --weight-drop 0.3",
            {"dropout": 0.2, "variational_dropout": 0.1, "weight_drop": 0.3},
        ),
    ],
)
def test_forecaster_equals_the_api(sites: Path, tmp_path: Path, options: str, parameters: dict[str, Any]) -> None:
    train(sites, tmp_path / "m", FORECAST, "--missing mask", options)
    own: dict[str, Any] = {"units": 4, "time": "time", "series": "site", "missing": "mask", "steps": 4, **parameters}
    truth = gw.Forecaster(**own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of gaps, told by another test
        truth.fit(sites)
    same_tensors(tmp_path / "m", truth.model_)
    assert gw.Forecaster.load(tmp_path / "m").get_params() == {**truth.get_params(), **plain(parameters)}


@pytest.mark.parametrize(
    ("option", "transform"),
    [("log1p", "log1p"), ('load=log1p,"price, net=log1p"', {"load": "log1p", "price, net": "log1p"})],
)
def test_a_transform_equals_that_of_the_api(tmp_path: Path, option: str, transform: Any) -> None:
    data = tmp_path / "grown.csv"
    rows = "".join(f"{math.exp(i / 50):.4f},{i % 7}\n" for i in range(150))
    data.write_text('load,"price, net"\n' + rows)
    train(data, tmp_path / "m", "--task forecast --horizons 2 --steps 3 --units 4 --transform", shlex.quote(option))
    same_tensors(tmp_path / "m", gw.Forecaster(transform=transform, horizons=2, steps=3, units=4).fit(data).model_)


@pytest.mark.parametrize("text", ["a=1,2", "a=1,a=2", "1,2"])
def test_what_is_no_value_by_column(tmp_path: Path, text: str) -> None:
    ran = CliRunner().invoke(cli, ["train", "x.csv", "-o", "m", "--task", "forecast", "--minimum", text])
    assert ran.exit_code == 2
    assert "is neither one value nor COL=VALUE,... with each column once" in " ".join(ran.output.split())


def plain(parameters: dict[str, Any]) -> dict[str, Any]:
    """The defaults that are tuples, as a file has them: lists."""
    return {"quantiles": [0.1, 0.5, 0.9], "covariates": [], "calendar": []} | parameters


def test_what_it_says_of_a_forecaster(sites: Path, tmp_path: Path) -> None:
    more = """--missing hold --horizons 1,2,3,6 --context 12 --covariates '"price, net",'"""
    out = tmp_path / "my model"
    stdout, stderr = train(sites, out, FORECAST, more, "--json")
    found = json.loads(stdout)
    assert (found["task"], found["target"]) == ("forecast", ["load", "heat"])
    assert found["columns"] == ["load", "price, net", "heat"]
    assert (found["covariates"], found["calendar"], found["window"]) == (["price, net"], [], 12)
    assert (found["horizons"], found["quantiles"]) == ([1, 2, 3, 6], [0.1, 0.5, 0.9])
    assert found["rows"] == {"training": 470, "validation": 130}  # a fifth of 294 rows each; six have no future
    per_step = 3 * (7 * 4 + 4 * 4)
    assert found["macs"] == 12 * per_step + 4 * 2 * 4 * 3
    assert found["state_bytes"] == 4 * (1 + 12 * 7)
    assert len(found["warnings"]) == 1
    assert "column 'heat': " in found["warnings"][0]
    assert stderr == f"gatewise: warning: {found['warnings'][0]}\n"
    page = train(sites, out, FORECAST, more)[0]
    for line in (
        "  forecasts  load, heat",
        "  rows       470 to train on, 130 to stop early",
        "  horizons   1 to 3, 6 steps ahead, each from the last 12 rows",
        "  quantiles  0.1, 0.5, 0.9",
        f"  next       gatewise predict '{out}' {sites} --future next.csv",
    ):
        assert line in page.splitlines()


def test_the_forecaster_predicts(sites: Path, tmp_path: Path) -> None:
    """The command that the page ends with works."""
    page = train(sites, tmp_path / "m", FORECAST, "--columns load --horizons 2")[0]
    (command,) = [line.split(None, 1)[1] for line in page.splitlines() if line.startswith("  next ")]
    program, *arguments = shlex.split(command)
    assert program == "gatewise"
    ran = CliRunner().invoke(cli, arguments)
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert len(ran.stdout.splitlines()) == 1 + 2 * 2


@pytest.mark.parametrize("missing", ["hold", "mask"])
def test_detector_of_many(sites: Path, tmp_path: Path, missing: str) -> None:
    """Several targets of several series: as the API, and the stream that the page tells of goes on where they ended."""
    more = f"--columns load,heat --missing {missing} --validation 0.5 --coverage 0.8 --smooth 2"
    stdout, _ = train(sites, tmp_path / "m", DETECT, more, "--false-alarms-per-1000 50 --json")
    options: dict[str, Any] = {"missing": missing, "validation": 0.5, "units": 4, "steps": 4, "coverage": 0.8}
    truth = gw.Detector(
        time="time", series="site", columns=["load", "heat"], smooth=2, false_alarms_per_1000=50.0, **options
    )
    with pytest.warns(UserWarning, match="of the readings are missing"):
        truth.fit(sites)
    same_tensors(tmp_path / "m", truth.model_)
    found = json.loads(stdout)
    assert (found["target"], found["series"]) == (["load", "heat"], "site")
    assert sum(found["rows"].values()) == 600
    assert found["alarm_score"] == truth.threshold_ == pytest.approx(-math.log10(0.05))
    lines = sites.read_text().splitlines()[:40]
    (tmp_path / "new.csv").write_text("\n".join(lines))
    options = {"stdin": (tmp_path / "new.csv").read_text()}
    ran = gatewise("stream", tmp_path / "m", "--series", "site", "--after-training", **options)
    assert (ran.returncode, ran.stderr) == (0, "")
    with pytest.warns(UserWarning, match="the state given is that after 2024-01-13 11:00:00, the last row fitted"):
        expected = truth.explain(tmp_path / "new.csv", truth.state_)
    results = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [one["site"] for one in results] == [8, 3] * 19 + [8]
    for name in truth.model_.output_names:
        np.testing.assert_array_equal(
            np.array([one[name] for one in results], np.float64).astype(np.float32), expected[name]
        )


def test_options_of_a_detector(sites: Path, tmp_path: Path) -> None:
    train(sites, tmp_path / "m", DETECT, "--columns load --recurrence lstm --option projection=2 --option chrono=30")
    found = gw.Detector.load(tmp_path / "m")
    assert found.options == {"projection": 2, "chrono": 30}
    assert found.model_.tensors["lstm0.weight_hr"].shape == (2, 4)


def test_dropout_of_a_detector(sites: Path, tmp_path: Path) -> None:
    train(sites, tmp_path / "m", DETECT, "--columns load --weight-drop 0.5")
    found = gw.load(tmp_path / "m").provenance
    assert found["training"]["dropout"] == {"outputs": 0.0, "variational": 0.0, "weights": 0.5}
    ran = CliRunner().invoke(cli, ["train", str(sites), "-o", str(tmp_path / "n"), "--dropout", "1"])
    assert ran.exit_code == 2
    assert "1.0 is not in the range 0<=x<1" in ran.stderr


def test_ends_of_training_are_those_of_the_detector(sites: Path, tmp_path: Path) -> None:
    """Read without the class, they are what it holds; and what does not fit is said."""
    train(sites, tmp_path / "many", DETECT, "--columns load")
    train(sites, tmp_path / "one", "--columns load --units 3 --steps 2 --quiet")
    assert ends_of_training(gw.load(tmp_path / "many"), "m") == gw.Detector.load(tmp_path / "many").state_
    assert ends_of_training(gw.load(tmp_path / "one"), "m") == {None: gw.Detector.load(tmp_path / "one").state_}
    ran = gatewise("stream", tmp_path / "one", "--after-training", "--series", "id")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.endswith("was trained on one series, so leave out --series, or leave out --after-training\n")
    ran = gatewise("stream", tmp_path / "many", "--after-training")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.endswith("was trained on several series, so add --series COL, or leave out --after-training\n")
    ran = gatewise("stream", tmp_path / "many", "--after-training", "--series", "site", stdin="site,load\n08,1\n9,1\n")
    assert (
        ran.stderr == "gatewise: series '9' was not trained on, so its stream begins without a past; others may too\n"
    )
    known, new = (json.loads(line) for line in ran.stdout.splitlines())
    assert (known["site"], new["site"]) == ("08", 9)
    assert known["expected"] != new["expected"]


@pytest.mark.parametrize("task", [gw.Detector, gw.Forecaster, gw.Regressor, gw.Classifier])
def test_every_parameter_of_a_task_is_an_option(task: type) -> None:
    """And the help states its default."""
    options = {parameter.name: parameter for parameter in cli.commands["train"].params}
    what = {gw.Detector: "detect", gw.Forecaster: "forecast", gw.Regressor: "regress", gw.Classifier: "classify"}[task]
    for name, parameter in inspect.signature(task).parameters.items():
        option = options["seed" if name == "random_state" else name]
        assert isinstance(option, click.Option)
        default, told = parameter.default, option.default if option.show_default else None
        if told is not None:
            assert told == default, name
        elif default not in (None, False, ()) and name != "bptt":
            shown = {True: name}.get(default, default) if isinstance(default, bool) else default
            text = (
                ",".join(map(str, shown))
                if isinstance(shown, tuple)
                else f"{shown:g}"
                if isinstance(shown, float)
                else shown
            )
            assert option.help
            own = rf"{text}|.*\b{text} to {what}.*|(?!.*\bto {what}\b).*\belse {text}"
            assert re.search(rf"\[default: ({own})\]", option.help), (name, option.help)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([1], "1"),
        ([1, 2], "1, 2"),
        ([1, 2, 3, 24], "1 to 3, 24"),
        (range(1, 97), "1 to 96"),
        ([2, 4, 6], "2, 4, 6"),
        (range(1, 99, 2), "1, 3, 5, 7, 9, 11, ..., 93, 95, 97"),
    ],
)
def test_ranges(numbers: Sequence[int], text: str) -> None:
    assert ranges(numbers) == text
