"""The program as a whole: help, version, errors, exit codes, lightness."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

import gatewise as gw
from cli.program import PROGRAM, gatewise
from gatewise.cli.app import cli, main

COMMANDS = (
    *("assess", "train", "stream", "predict", "inspect", "file", "import", "bench", "doctor", "demo", "completion"),
)
HEAVY = ("torch", "pandas", "sklearn", "scipy", "statsmodels", "matplotlib", "pyarrow", "rich", "jinja2")


def test_version() -> None:
    ran = gatewise("--version")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"gatewise {gw.__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_lists_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    lines = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()
    assert tuple(line.split()[0] for line in lines) == COMMANDS == tuple(cli.commands)
    assert not any("..." in line for line in lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_fits_the_terminal(command: str) -> None:
    found = CliRunner().invoke(cli, [command, "--help"], terminal_width=80)
    assert found.exit_code == 0
    assert found.stdout.startswith(f"Usage: cli {command}")
    assert max(map(len, found.stdout.splitlines())) <= 80
    options = found.stdout.partition("Options:\n")[2]
    undescribed = [line for line in options.splitlines() if line.startswith("  -") and len(line.split()) < 2]
    assert undescribed == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_json(command: str) -> None:
    assert any("--json" in parameter.opts for parameter in cli.commands[command].params)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "gatewise: No such command 'nothing'. (see 'gatewise --help')\n"),
        (["--nothing"], "gatewise: No such option '--nothing'. (see 'gatewise --help')\n"),
        (["inspect"], "gatewise: Missing argument 'MODEL'. (see 'gatewise inspect --help')\n"),
        (["doctor", "a", "b"], "gatewise: Got unexpected extra argument (b) (see 'gatewise doctor --help')\n"),
        (["train", "x.csv"], "gatewise: Missing option '-o' / '--output'. (see 'gatewise train --help')\n"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", message)


@pytest.mark.parametrize("command", ["inspect", "stream", "predict", "doctor", "file", "bench"])
def test_files_that_are_no_models(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["data.csv"] if command == "predict" else []
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("hello\n" * 50)
    for name, message in (
        ("none", "No such file or directory"),
        ("folder", "not a regular file"),
        ("text", "no safetensors data"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([command, str(tmp_path / name), *more])
        out, err = capsys.readouterr()
        assert (ended.value.code, out) == (1, "")
        assert err.startswith(f"gatewise: {tmp_path / name}: {message}")
        assert err.count("\n") == 1


def test_interrupt(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, one: Path) -> None:
    def interrupted(path: object, cpu: object = None) -> None:
        raise KeyboardInterrupt("step 7 was kept")

    monkeypatch.setattr("gatewise.model.load", interrupted)
    with pytest.raises(SystemExit) as ended:
        main(["inspect", str(one)])
    assert ended.value.code == 130
    assert capsys.readouterr().err.strip() == "gatewise: step 7 was kept"


@pytest.mark.parametrize("command", ["train", "predict"])
def test_missing_extra(command: str, one: Path, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("v\n1\n")
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['pandas'] = sys.modules['torch'] = None\n")
    options = ["-o", tmp_path / "m.safetensors"] if command == "train" else []
    model = [one] if command == "predict" else []
    ran = gatewise(command, *model, tmp_path / "data.csv", *options, env={"PYTHONPATH": str(tmp_path)})
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.endswith("pip install 'gatewise[train]'\n")
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["train", "--help"],
        ["inspect", "one"],
        ["predict", "--help"],
        ["stream", "one"],
        ["stream", "one", "--series", "id"],
        ["stream", "ended", "--series", "id", "--after-training"],
        ["doctor", "one"],
        ["file", "one"],
        ["bench", "one"],
        ["completion", "bash"],
    ],
)
def test_light_commands_import_nothing_heavy(arguments: list[str], one: Path, ended: Path) -> None:
    places = {"one": str(one), "ended": str(ended)}
    assert imported(HEAVY, [places.get(argument, argument) for argument in arguments]) == []


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["predict", "--help"], ["completion", "bash"]])
def test_what_needs_no_model_does_not_even_import_numpy(arguments: list[str]) -> None:
    assert imported((*HEAVY, "numpy", "safetensors"), arguments) == []


def imported(names: Sequence[str], arguments: list[str]) -> list[str]:
    """Which of these modules a command imports, by its end."""
    code = (
        "import atexit, json, sys\n"
        f"atexit.register(lambda: print(json.dumps(sorted(set({names!r}) & set(sys.modules))), file=sys.stderr))\n"
        "from gatewise.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        input=b'{"id": "p", "v": 1}\n',
        capture_output=True,
        timeout=120,
        check=True,
    )
    found: list[str] = json.loads(ran.stderr)
    return found


def test_reader_that_goes_away(one: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run([*PROGRAM, "inspect", str(one)], stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)
    assert ran.stderr == b""
    assert ran.returncode == 128 + signal.SIGPIPE
