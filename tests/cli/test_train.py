"""gatewise train: the same model as through the API, and what it says about it."""

import csv
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import gatewise as gw
from cli.program import PROGRAM, gatewise
from gatewise import layers
from gatewise.cli.app import cli, main


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pump: two columns of 1,200 readings with a time."""
    rng = np.random.default_rng(0)
    t = np.arange(1200)
    path = tmp_path_factory.mktemp("data") / "pump.csv"
    vibration = np.sin(t / 9) + 0.1 * rng.normal(size=len(t))
    load = np.cos(t / 9) + 0.1 * rng.normal(size=len(t))
    lines = [
        f"2024-01-01T{i // 60:02}:{i % 60:02}:00,{v:.4f},{w:.4f}" for i, v, w in zip(t, vibration, load, strict=True)
    ]
    path.write_text("\n".join(["time,vibration,load", *lines]) + "\n")
    return path


def test_help_names_every_recurrence() -> None:
    words = " ".join(CliRunner().invoke(cli, ["train", "--help"]).stdout.split())
    known = [kind for kind in layers.KINDS if layers.registry.spec(kind).recurrent]
    assert f"The kind of the recurrent layers: {', '.join(known[:-1])} or {known[-1]}. [default: gru]" in words


FORECAST = ["DATA", "-o", "m", "--task", "forecast", "--time", "time"]
OPTIONS = ["--target", "vibration", "--time", "time", "--units", "6", "--steps", "40"]


def train(*arguments: object) -> tuple[str, str]:
    """Run the command in this process, where torch is imported but once; standard output and error."""
    ran = CliRunner().invoke(cli, ["train", *map(str, arguments)], catch_exceptions=False)
    assert ran.exit_code == 0
    return ran.stdout, ran.stderr


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The model file, standard output and standard error of one training."""
    out = tmp_path_factory.mktemp("trained") / "pump.safetensors"
    return out, *train(data, *OPTIONS, "-o", out, "--json", "--metrics", out.with_suffix(".csv"))


def test_equals_the_api(data: Path, trained: tuple[Path, str, str]) -> None:
    detector = gw.Detector(units=6, steps=40, target="vibration", time="time")
    with pytest.warns(UserWarning, match="false alarms"):
        detector.fit(str(data))
    model = gw.load(trained[0])
    assert set(model.tensors) == set(detector.model_.tensors)
    for name, value in detector.model_.tensors.items():
        np.testing.assert_array_equal(model.tensors[name], value)


def test_what_it_says(data: Path, trained: tuple[Path, str, str]) -> None:
    out, stdout, stderr = trained
    found = json.loads(stdout)
    assert found["file"] == str(out)
    assert (found["task"], found["target"], found["columns"]) == ("detect", ["vibration"], ["vibration", "load"])
    assert (found["time"], found["series"]) == ("time", None)
    assert sum(found["rows"].values()) == 1200
    assert found["steps"] == 40
    with open(out.with_suffix(".csv"), newline="") as file:
        assert found["seconds"] == pytest.approx(float(list(csv.DictReader(file))[-1]["seconds"]), rel=1e-3)
    assert found["alarm_score"] == 3
    assert found["warnings"]
    assert stderr.splitlines() == [f"gatewise: warning: {text}" for text in found["warnings"]]
    with open(out.with_suffix(".csv"), newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["step"] for row in written] == ["25", "40"]
    assert [list(record) for record in found["history"]] == [list(row) for row in written]
    for record, row in zip(found["history"], written, strict=True):
        assert list(record.values()) == pytest.approx([float(value) for value in row.values()], rel=1e-8)


def test_the_model_streams(data: Path, trained: tuple[Path, str, str]) -> None:
    ran = gatewise("stream", trained[0], "--pass", "time", stdin=data.read_text())
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(lines) == 1200
    assert lines[61]["time"] == "2024-01-01T01:01:00"
    truth = gw.Detector.load(trained[0])
    scores = truth.score_samples(str(data))
    np.testing.assert_array_equal(np.array([line["score"] for line in lines], np.float32), -scores.astype(np.float32))
    assert [line["alarm"] for line in lines] == (truth.predict(str(data)) == -1).tolist()


def test_stream_that_follows_on_the_training_data(data: Path, trained: tuple[Path, str, str], tmp_path: Path) -> None:
    lines = data.read_text().splitlines()
    (tmp_path / "new.csv").write_text("\n".join([lines[0], *lines[1:90]]) + "\n")
    detector = gw.Detector.load(trained[0])
    with pytest.warns(UserWarning, match="the state given is that after 2024-01-01 19:59:00, the last row fitted"):
        truth = -detector.score_samples(str(tmp_path / "new.csv"), detector.state_).astype(np.float32)
    assert (truth != -detector.score_samples(str(tmp_path / "new.csv")).astype(np.float32)).any()
    command = ["stream", trained[0], "--after-training", "--state", tmp_path / "s"]
    first = gatewise(*command, stdin="\n".join(lines[:50]))
    second = gatewise(*command, stdin="\n".join(lines[50:90]))
    assert (first.returncode, second.returncode) == (0, 0)
    found = [json.loads(line) for line in (first.stdout + second.stdout).splitlines()]
    assert [line["step"] for line in found] == list(range(1, 90))
    np.testing.assert_array_equal(np.array([line["score"] for line in found], np.float32), truth)


def test_page(data: Path, tmp_path: Path) -> None:
    """On a terminal: a bar while it trains, then a summary; the command it ends with works."""
    out = tmp_path / "m.safetensors"
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "train", data.name, *OPTIONS, "-o", str(out)],
        cwd=data.parent,
        stdout=subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "COLUMNS": "100", "TERM": "xterm"},
    )
    os.close(terminal)
    bar = b""
    while True:
        try:
            piece = os.read(screen, 4096)
        except OSError:  # Linux says so when the other side of a terminal is closed
            break
        if not piece:
            break
        bar += piece
    os.close(screen)
    page = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 0
    assert b"step " in bar
    assert b"steps/s" in bar
    assert "  forecasts  vibration\n  reads      vibration, load\n" in page
    (command,) = [line.split(None, 1)[1] for line in page.splitlines() if line.startswith("  next ")]
    assert command == f"gatewise stream {out} --after-training --pass time < new.csv"


STOPPED = """
import signal, sys
from gatewise.cli import main
from gatewise.train import loop

number = int(sys.argv[1])
# As in a shell: a process in the background, or under nohup, may have been told to ignore it.
signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
write_csv = loop.write_csv

def stopping(*arguments):
    write_csv(*arguments)
    signal.raise_signal(number)

loop.write_csv = stopping
main(sys.argv[2:])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_goes_on_from_its_checkpoint(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    """Ctrl-C ends it with 130 and a checkpoint; the same command then gives the bits of an uninterrupted run.

    The program sends itself the signal at its first evaluation, after 25 steps, so that the speed does not matter.
    """
    options = ["--target", "vibration", "--time", "time", "--units", "6", "--steps", "50", "--quiet"]
    out, metrics, checkpoint = (tmp_path / name for name in ("m.safetensors", "m.csv", "run.ckpt"))
    command = [data, *options, "-o", out, "--metrics", metrics, "--checkpoint", checkpoint]
    stopped = subprocess.run(
        [sys.executable, "-c", STOPPED, str(int(number)), "train", *map(str, command)],
        stderr=subprocess.PIPE,
        timeout=120,
    )
    assert stopped.returncode == 130
    message = stopped.stderr.decode()
    assert message.strip().startswith("gatewise: training stopped after step 25, ")
    assert message.strip().endswith(f"run it again to continue from {checkpoint}")
    assert not out.exists()
    with pytest.raises(SystemExit) as ended:
        main(["train", *map(str, command), "--units", "7"])
    assert ended.value.code == 1
    refusal = capsys.readouterr().err.splitlines()[-1]
    assert "belongs to another run, which differs in " in refusal
    assert refusal.endswith("give this run a checkpoint of its own, or remove that one first")
    assert train(*command)[1].startswith(f"gatewise: continuing from {checkpoint}\n")
    train(data, *options, "-o", tmp_path / "whole.safetensors")
    whole, resumed = gw.load(tmp_path / "whole.safetensors"), gw.load(out)
    for name, value in whole.tensors.items():
        np.testing.assert_array_equal(resumed.tensors[name], value)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["none.csv", "-o", "m"], 1, "none.csv: no such file"),
        (["DATA", "-o", "DATA"], 2, "FILE and --output are the same file"),
        (["DATA", "-o", "m", "--metrics", "DATA"], 2, "FILE and --metrics are the same file"),
        (["DATA", "-o", "m", "--checkpoint", "DATA"], 2, "FILE and --checkpoint are the same file"),
        (["DATA", "-o", "m", "--start", "DATA"], 2, "FILE and --start are the same file"),
        (["DATA", "-o", "m", "--start", "s", "--metrics", "s"], 2, "--start and --metrics are the same file"),
        (["DATA", "-o", "m", "--start", "s", "--checkpoint", "s"], 2, "--start and --checkpoint are the same file"),
        (["DATA", "-o", "m", "--start", "m"], 2, "--start and --output are the same file"),
        (["DATA", "-o", "m", "--checkpoint", "./m"], 2, "--output and --checkpoint are the same file"),
        (["DATA", "-o", "m", "--metrics", "../LINK/m"], 2, "--output and --metrics are the same file"),
        (["DATA", "-o", "m", "--metrics", "c", "--checkpoint", "c"], 2, "--checkpoint and --metrics are the same"),
        (["DATA", "-o", "none/m"], 1, "there is no folder"),
        (["DATA", "-o", "m", "--time", "time", "--metrics", "none/m"], 1, "there is no folder"),
        (["DATA", "-o", "m" * 250], 1, "File name too long"),
        (["DATA", "-o", "."], 1, ".: this is a folder; give the name of a file in it"),
        (["DATA", "-o", "m"], 1, "if it is the time, pass --time time"),
        (["DATA", "-o", "m", "--target", "pressure", "--time", "time"], 1, "pressure"),
        (["DATA", "-o", "m", "--recurrence", "abacus", "--target", "load", "--time", "time"], 1, "abacus"),
        (["DATA", "-o", "m", "--units", "0"], 2, "0 is not in the range x>=1"),
        (["DATA", "-o", "m", "--task", "guess"], 2, "'guess' is not one of 'detect', 'forecast'"),
        (["DATA", "-o", "m", "--horizons", "3"], 2, "--horizons is for --task forecast, not for --task detect"),
        (["DATA", "-o", "m", "--no-anchor"], 2, "--anchor is for --task forecast, not for --task detect"),
        (["DATA", "-o", "m", "--task", "forecast", "--smooth", "1"], 2, "--smooth is for --task detect, not for"),
        (["DATA", "-o", "m", "--columns", "time,,load"], 2, "'time,,load' is no list of names with commas between"),
        (["DATA", "-o", "m", "--columns", ""], 2, "'' is no list of names with commas between them"),
        (["DATA", "-o", "m", "--columns", 'load,"x'], 2, "is no list of names with commas between them"),
        ([*FORECAST, "--horizons", "x"], 2, "'x' is no list of whole numbers with commas between them"),
        ([*FORECAST, "--horizons", "0"], 1, "horizons must be "),
        ([*FORECAST, "--horizons", "3,2"], 1, "horizons must ascend, got [3, 2]"),
        ([*FORECAST, "--quantiles", "0.1,x"], 2, "'0.1,x' is no list of numbers with commas between them"),
        ([*FORECAST, "--quantiles", "0.5,1"], 1, "a quantile must be a number between 0 and 1, got 1.0"),
        ([*FORECAST, "--context", "long"], 2, "'long' is neither \"carried\" nor a number of steps"),
        ([*FORECAST, "--context", "0"], 2, "'0' is neither \"carried\" nor a number of steps"),
        ([*FORECAST, "--context", "8", "--bptt", "9"], 1, "so a length of 9 has no effect; leave out --bptt"),
        (
            [*FORECAST, "--normalise"],
            1,
            "normalise needs a window, in whose units it forecasts: pass, for example, --context 96",
        ),
        ([*FORECAST, "--calendar", "month"], 1, "calendar must be a list out of ['day', 'week', 'year']"),
        ([*FORECAST, "--covariates", "load,vibration"], 1, "all columns are covariates"),
        ([*FORECAST, "--series", "pump"], 1, "has no column of series 'pump'"),
        (["DATA", "-o", "m", "--task", "forecast", "--calendar", "day", "--columns", "load"], 1, "pass --time"),
        ([*FORECAST, "--option", "chrono=96"], 1, "gru 'gru0' has no option 'chrono'; its options are activation, "),
        (["DATA", "-o", "m", "--time", "time", "--option", "chrono=96"], 1, "gru 'gru0' has no option 'chrono'; its"),
        (["DATA", "-o", "m", "--time", "time", "--option", "units=4"], 1, "options has units, which is a parameter"),
        (["DATA", "-o", "m", "--option", "chrono"], 2, "'chrono' is not of the form KEY=VALUE, e.g. chrono=96"),
        (["DATA", "-o", "m", "--option", "=1"], 2, "'=1' is not of the form KEY=VALUE"),
        (["DATA", "-o", "m", "--option", "a=1", "--option", "a=2"], 2, "'a' is given twice; give it once"),
        (["DATA", "-o", "m", "--seconds", "0"], 2, "0.0 is not in the range x>0"),
    ],
)
def test_refused(
    data: Path,
    tmp_path: Path,
    arguments: list[str],
    status: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = data.read_bytes()
    arguments = [argument.replace("LINK", tmp_path.name) for argument in arguments]
    with pytest.raises(SystemExit) as ended:
        main(["train", *(str(data) if argument == "DATA" else argument for argument in arguments)])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (status, "")
    assert err.startswith("gatewise: ")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    assert data.read_bytes() == before


def test_advice_in_other_quotes(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gap.csv").write_text("v\n1\n\n3\n")
    with pytest.raises(SystemExit):
        main(["train", str(tmp_path / "gap.csv"), "-o", str(tmp_path / "m")])
    assert "pass --missing hold to repeat the last finite reading" in capsys.readouterr().err
    flat = [f"{i % 7},{i % 5 if i < 300 else 1}" for i in range(400)]
    (tmp_path / "flat.csv").write_text("\n".join(["a,b", *flat]))
    with pytest.raises(SystemExit):
        main(["train", str(tmp_path / "flat.csv"), "-o", str(tmp_path / "m")])
    said = capsys.readouterr().err
    assert "column 'b' is 1 throughout the 80 rows of the calibration part" in said
    assert "; leave it out of --target, or give rows " in said


def test_links_to_the_data_are_the_data(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "soft").symlink_to(data)
    (tmp_path / "hard").hardlink_to(data)
    before = data.read_bytes()
    for name in ("soft", "hard"):
        with pytest.raises(SystemExit) as ended:
            main(["train", str(data), *OPTIONS, "-o", str(tmp_path / name)])
        assert ended.value.code == 2
        assert "FILE and --output are the same file" in capsys.readouterr().err
    assert data.read_bytes() == before
