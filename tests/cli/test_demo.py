"""gatewise demo hands on what it is given; the demo itself has tests of its own."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

import gatewise.demo
from gatewise.cli.app import cli


def test_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(folder: str, *, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
        say("at work")
        return {"folder": folder, "seed": seed}

    monkeypatch.setattr(gatewise.demo, "run", run)
    found = CliRunner().invoke(cli, ["demo"])
    assert (found.exit_code, found.stdout) == (0, "at work\n")
    found = CliRunner().invoke(cli, ["demo", "--folder", "x", "--seed", "3", "--json"])
    assert json.loads(found.stdout) == {"folder": "x", "seed": 3}
    assert found.stderr == "gatewise: at work\n"
