"""Run `gatewise predict` in this process, and read what it writes."""

import csv
import io
import re
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gatewise.cli.app import cli, main

ROWS = 160
"""Rows of each series in the table that the models of the tests are trained on."""


def run(*arguments: object) -> str:
    """Run the command in this process; standard output."""
    ran = CliRunner().invoke(cli, ["predict", *map(str, arguments)], catch_exceptions=False)
    assert (ran.exit_code, before_summary(ran.stderr)) == (0, "")
    return ran.stdout


def before_summary(stderr: str) -> str:
    """Standard error without what was found in short, with which a detector ends."""
    return re.split(r"^gatewise: [\d,]+ alarms? in ", stderr, flags=re.MULTILINE)[0]


def run_with_warning(warning: str, *arguments: object) -> str:
    """Run the command, which says one thing on standard error; standard output."""
    ran = CliRunner().invoke(cli, ["predict", *map(str, arguments)], catch_exceptions=False)
    assert ran.exit_code == 0
    assert ran.stderr.startswith(f"gatewise: warning: {warning}")
    assert ran.stderr.count("\n") == 1
    return ran.stdout


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[Any, str]:
    """Exit code and message of a command that prints nothing else."""
    with pytest.raises(SystemExit) as ended:
        main(["predict", *map(str, arguments)])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gatewise: ")
    assert err.count("\n") == 1
    return ended.value.code, err.removeprefix("gatewise: ").strip()


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def column(found: list[dict[str, Any]], name: str) -> np.ndarray[Any, Any]:
    return np.array([row[name] for row in found], np.float32)
