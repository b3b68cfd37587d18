"""gatewise assess: its options, exit codes and outputs, on predictions and on a small model file."""

import json
import re
import shlex
from pathlib import Path

import click
import numpy as np
import pytest

import gatewise as gw
from assessment.tables import linear
from cli.program import gatewise
from gatewise.cli.assess import BYTES, SECONDS, quantity


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and unseen data with predictions, and the file of a model that is better than a constant."""
    folder = tmp_path_factory.mktemp("<b>assess")
    for k, name in enumerate(("data", "unseen")):
        table = linear(12, 30, k)
        table["old"] += 0.5 * np.random.default_rng(k).normal(size=len(table))
        table.to_csv(folder / f"{name}.csv", index=False)
    model = gw.init(gw.ModelSpec(inputs=3, layers=[gw.LayerSpec("dense", units=1)]))
    weights = {name: np.zeros_like(value) for name, value in model.tensors.items()}
    (key,) = [name for name in weights if "weight" in name]
    weights[key][:] = [[1.0, 0.2, -0.5]]
    model.replace(tensors=weights).save(folder / "<i>legacy.safetensors")
    return folder


def predictions(folder: Path, *more: str, budget: str = "5s") -> tuple[str, ...]:
    data, unseen = str(folder / "data.csv"), str(folder / "unseen.csv")
    stated = ("--inputs", "u,v,w", "--target", "y", "--groups", "id", "--lookback", "3", "--budget", budget)
    return ("assess", data, "--unseen", unseen, "--predictions", "old=old", *stated, *more)


def legacy(folder: Path, *more: str) -> tuple[str, ...]:
    stated = ("--inputs", "u,v,w", "--target", "y", "--groups", "id", "--lookback", "3", "--scaler", "none")
    files = (str(folder / "<i>legacy.safetensors"), str(folder / "data.csv"), "--unseen", str(folder / "unseen.csv"))
    return ("assess", *files, *stated, *more)


def test_a_verdict_for_people_and_a_page(folder: Path, tmp_path: Path) -> None:
    page, model = tmp_path / "verdict.html", tmp_path / "best.safetensors"
    ran = gatewise(*predictions(folder, "--html", str(page), "-o", str(model)))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("Replace the model by a simple method (a ridge regression on the")
    assert "No model was written: a ridge regression on the window has no model file" in " ".join(ran.stdout.split())
    assert not model.exists()
    assert "Confidence: more than 99.9 %" in ran.stdout.replace("\n", " ")
    assert max(map(len, ran.stdout.splitlines())) <= 100
    assert "gatewise:   0%  reading model and data" in ran.stderr
    text = page.read_text()
    assert str(folder) not in text
    assert text.lower().startswith("<!doctype html>")


def test_json_and_the_code_of_a_verdict_that_shall_fail(folder: Path) -> None:
    ran = gatewise(*predictions(folder, "--json", "--fail-on", "retrain,baseline"))
    assert ran.returncode == 4, ran.stderr
    found = json.loads(ran.stdout)
    assert found["verdict"] == "baseline"
    assert {"confidence", "reasons", "findings", "candidates", "model", "data", "budget"} <= set(found)
    assert found["budget"]["seconds"] == 5.0
    assert gatewise(*predictions(folder, "--fail-on", "retrain,recurrence")).returncode == 0


def test_json_says_on_standard_error_why_no_model_was_written(folder: Path, tmp_path: Path) -> None:
    ran = gatewise(*predictions(folder, "--json", "-o", str(tmp_path / "best.safetensors")))
    assert json.loads(ran.stdout)["verdict"] == "baseline"
    assert "gatewise: no model was written: a ridge regression on the window has no model file" in ran.stderr


def test_a_constraint_that_nothing_meets(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "verdict.html"
    ran = gatewise(*legacy(folder, "--latency", "0.001us", "--budget", "400ms", "--json", "--html", str(page)))
    assert ran.returncode == 3, ran.stderr
    found = json.loads(ran.stdout)
    assert found["reasons"][0]["of"] == "GW006"
    assert all(each["obstacle"] for each in found["questions"])
    assert found["model"]["name"] == "<i>legacy.safetensors"
    text = page.read_text()
    assert "&lt;i&gt;legacy" in text
    assert "<i>legacy" not in text
    assert str(folder) not in text
    assert gatewise(*legacy(folder, "--memory", "1", "--budget", "10ms", "--fail-on", "insufficient")).returncode == 4


def test_a_budget_too_small_for_anything(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "verdict.html"
    more = ("--html", str(page), "--latency", "2ms", "--scaler", "none", "--min-gain", "0.1")
    ran = gatewise(*predictions(folder, *more, budget="1ms"))
    assert ran.returncode == 3
    assert ran.stdout.startswith("Not enough evidence")
    (command,) = re.findall(r"<dt>Next</dt><dd><code>(.*?)</code>", page.read_text())
    assert command == (
        "gatewise assess data.csv --unseen unseen.csv --inputs u,v,w --target y --lookback 3 --groups id "
        "--scaler none --predictions old=old --latency 0.002s --min-gain 0.1 --budget 1m"
    )
    here = [str(folder / word) if word.endswith(".csv") else word for word in shlex.split(command)[1:-1]]
    assert gatewise(*here, "10ms").returncode == 3, "the command is one that the program understands"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--target", "z"), "no column 'z'"),
        (("--lookback", "31"), "pass longer series, or a smaller --lookback"),
        (("--scaler", "robust"), "pass --scaler minmax"),
        (("--challenger", "old=w", "--inputs", "u"), "the model and a challenger are both called 'old'"),
        (("--metric", "r2"), "pass --metric rmse"),
        (("--inputs", "u,old"), "leave it out of --inputs"),
    ],
)
def test_errors_name_the_options(folder: Path, more: tuple[str, ...], told: str) -> None:
    ran = gatewise(*predictions(folder, *more))
    assert ran.returncode == 1
    assert told in re.sub(r"\s+", " ", ran.stderr)
    assert ran.stdout == ""


@pytest.mark.parametrize(
    "more",
    [
        ("--budget", "fast"),
        ("--budget", "0s"),
        ("--budget", "-5m"),
        ("--latency", "2kb"),
        ("--memory", "64ms"),
        ("--min-gain", "5"),
        ("--min-gain", "0"),
        ("--fail-on", "exchange"),
        ("--challenger", "new"),
        ("--challenger", "=w"),
        ("--predictions", "old=w"),
        ("--context", "rows"),
        ("--lookback", "0"),
        ("--horizon", "-1"),
    ],
)
def test_usage_errors(folder: Path, more: tuple[str, ...]) -> None:
    ran = gatewise(*predictions(folder, *more))
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr


def test_what_is_to_be_judged_must_be_clear(folder: Path) -> None:
    data = str(folder / "data.csv")
    for arguments in ((data,), (data, data, data), (data, data, "--predictions", "old=old"), ()):
        assert gatewise("assess", *arguments, "--target", "y").returncode == 2
    assert gatewise("assess", data, "--predictions", "old=old").returncode == 2, "no target"
    assert gatewise(*predictions(folder, "--html", data)).returncode == 2, "the page would overwrite the data"
    assert gatewise(*predictions(folder, "--html", str(folder / "none" / "page.html"))).returncode in (1, 2)


@pytest.mark.parametrize(
    ("text", "seconds"), [("5m", 300), ("2ms", 0.002), ("500us", 5e-4), ("1.5h", 5400), ("90", 90), (" 3 s ", 3)]
)
def test_times(text: str, seconds: float) -> None:
    assert _read(SECONDS, text) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "size"), [("64k", 65536), ("64KiB", 65536), ("2M", 2 << 20), ("100", 100)])
def test_sizes(text: str, size: float) -> None:
    assert _read(BYTES, text) == size


@pytest.mark.parametrize("text", ["", "m", "5 minutes", "1e3s", "-1s", "nan", "infs", "5m5s", "0", "1,5s"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no time"):
        _read(SECONDS, text)


def _read(units: dict[str, float] | dict[str, int], text: str) -> float | None:
    command = click.Command("assess")
    return quantity(units, "time such as 2ms")(click.Context(command), click.Option(["--budget"]), text)
