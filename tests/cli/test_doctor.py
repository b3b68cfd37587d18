"""gatewise doctor: what it measures, and the bound that follows."""

import json
import sys
from pathlib import Path

import pytest

import gatewise as gw
from cli.program import gatewise
from gatewise import _core


def test_model(two: Path) -> None:
    ran = gatewise("doctor", two, "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    found = json.loads(ran.stdout)
    assert found["gatewise"] == gw.__version__
    assert tuple(found["instruction_sets"]) == _core.instruction_sets()
    assert found["cpu"] == found["instruction_sets"][0]
    sizes = [point["bytes"] for point in found["bandwidth"]]
    assert (sizes[0], sizes[-1]) == (16 * 1024, 64 * 1024 * 1024)
    assert all(1e8 < point["bytes_per_second"] < 1e13 for point in found["bandwidth"])
    assert 1e8 < found["flops"] < 1e13
    step = found["model"]
    model = gw.load(two)
    assert step["macs"] == model.graph.macs
    assert step["packed_bytes"] == model._native.packed_bytes
    assert step["bound_seconds"] == max(step["packed_bytes"] / step["bandwidth"], 2 * step["macs"] / step["flops"])
    assert 0 < step["native_seconds"] < 1e-3
    assert 0 < step["push_seconds"] < 1e-3
    assert found["packages"]["numpy"] == sys.modules["numpy"].__version__


def test_page(two: Path) -> None:
    page = gatewise("doctor", two, "--cpu", "base").stdout
    assert max(map(len, page.splitlines())) <= 80 + max(0, len(str(two)) - 60)
    for text in ("FMA peak", "GFLOP/s", "64 MiB", "packed weights at", "x the bound", "(base)"):
        assert text in page


def test_without_a_model() -> None:
    assert "model" not in json.loads(gatewise("doctor", "--json").stdout)


@pytest.mark.parametrize("arguments", [[], ["MODEL"]])
def test_unknown_instruction_set(arguments: list[str], two: Path) -> None:
    ran = gatewise("doctor", *(str(two) for _ in arguments), "--cpu", "z80")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "z80" in ran.stderr
    assert ran.stderr.count("\n") == 1
