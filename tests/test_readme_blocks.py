"""Each block of README runs as it stands there, in a checkout where the demo has left its tables."""

import json
import re
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest

import gatewise as gw
from docs.scripts import script
from gatewise.demo.data import NEW_ROWS, make_pump, write_series

ROOT = Path(__file__).parents[1]
examples = script("examples")
BLOCKS = examples.blocks((ROOT / "README.md").read_text())
PYTHON = [block for block in BLOCKS if block.language == "python"]
SHELL = [block for block in BLOCKS if block.language == "sh"]
SETUP = ("make ", "pip install ")
"""What begins the lines that set up or test everything: they are not run, but what they name is there."""


def lines(block: object) -> list[str]:
    """The lines of a shell block, without comments."""
    return [line.partition("#")[0].rstrip() for line in block.body.splitlines()]  # type: ignore[attr-defined]


def short(code: str) -> str:
    """The same with a budget of two seconds for each that is in seconds."""
    return re.sub(r"(seconds[ =])\d+", r"\g<1>2", code)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the demo in a checkout, with all that lies in it but the page."""
    checkout = tmp_path_factory.mktemp("checkout")
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "activate").write_text(f'PATH="{programs}:$PATH"\n')
    program = programs / "gatewise"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from gatewise.cli import main; main()' \"$@\"\n")
    program.chmod(0o755)
    (checkout / "demo").mkdir()
    write_series(checkout / "demo")
    return checkout / "demo"


def test_there_is_no_other_block() -> None:
    assert len(PYTHON) + len(SHELL) == len(BLOCKS)
    assert len(PYTHON) >= 2
    assert sum(not block.body.startswith(SETUP) for block in SHELL) == 1


@pytest.mark.slow
def test_the_python_runs(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo)
    names: dict[str, Any] = {"__name__": "__main__"}
    outputs = ("score", "expected", "low", "high", "extrapolated")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)  # warnings, of which a short training has more
        for block in PYTHON:
            exec(compile(short("\n" * (block.line - 1) + block.body), "README.md", "exec"), names)
            if block is PYTHON[0]:
                whole = names["model"].run(make_pump()[1][["load", "vibration"]].to_numpy(), names["detector"].state_)
                assert [names[name] for name in outputs] == whole[-1, :5].tolist()
                assert names["model"].output_names[:5] == outputs
                assert gw.State.from_bytes(names["saved"]) == names["stream"].state
    assert names["y"].shape == (100, 1)


@pytest.mark.slow
def test_the_commands_run(demo: Path) -> None:
    (block,) = (block for block in SHELL if not block.body.startswith(SETUP))
    code = "set -e\n" + short(block.body)
    done = subprocess.run(["sh", "-c", code], cwd=demo.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in (demo / "found.ndjson").read_text().splitlines()]
    assert [result["step"] for result in results] == list(range(1, NEW_ROWS + 1))
    assert any(result["alarm"] for result in results)
    assert "2011-12-01,12,temperature," in done.stdout  # a year after the last month of the series
    assert len(re.findall("^20..-..-01,", done.stdout, re.MULTILINE)) == 12


def test_what_sets_up_names_what_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for block in SHELL:
        if not block.body.startswith(SETUP):
            continue
        for line in lines(block):
            if line.startswith("make "):
                (target,) = line.split()[1:]
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), line
            else:
                wanted = re.fullmatch(r"pip install -c (\S+) '?\.(?:\[(\w+)\])?'?", line)
                assert wanted, line
                assert (ROOT / wanted[1]).is_file()
                assert wanted[2] is None or wanted[2] in project["optional-dependencies"]


def test_the_first_page_of_the_docs_begins_with_the_same() -> None:
    assert examples.blocks((ROOT / "docs" / "index.md").read_text())[0].body == PYTHON[0].body


def test_pictures_are_there() -> None:
    named = re.findall(r'(?:src|srcset)="([^"]+)"', (ROOT / "README.md").read_text())
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []
