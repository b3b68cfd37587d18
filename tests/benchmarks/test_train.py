"""The benchmark of training: its scans by hand, its ratios and means, and that each part goes through."""

import argparse
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TINY = argparse.Namespace(kinds=["gru"], batches=[2], steps=[3], units=[4], inputs=2, rounds=1, seconds=0.001)


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    sys.path.insert(0, str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("train_benchmark", BENCHMARKS / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    threads = torch.get_num_threads()
    spec.loader.exec_module(module)
    yield module
    torch.set_num_threads(threads)
    sys.path.remove(str(BENCHMARKS))


def test_the_peers_of_the_scan_are_scans(script: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 3, 9, 4, generator=generator, dtype=torch.float64).clamp(1e-3).unbind(0)
    h, wanted = torch.zeros(3, 4, dtype=torch.float64), []
    for t in range(9):
        h = a[:, t] * h + b[:, t]
        wanted.append(h)
    for found in (script.loop_scan(a, b), script.doubling_scan(a, b), script.log_scan(a.log(), b.log())):
        torch.testing.assert_close(found, torch.stack(wanted, 1), rtol=1e-12, atol=0.0)


def test_a_ratio_is_that_of_the_better_thread_counts(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {
        "gatewise, 1": [2.0, 9.0, 3.0],
        "gatewise, 2": [4.0, 4.0, 4.0],
        "torch, 1": [9.0] * 3,
        "torch, 2": [6.0] * 3,
    }
    monkeypatch.setattr(script, "THREADS", [1, 2])
    monkeypatch.setattr(script, "interleave", lambda *given: taken)
    found = script.compare({"gatewise": lambda: None, "torch": lambda: None}, 3, 0.1)
    assert found["ratio"] == {"gatewise": 1.0, "torch": 2.0}
    assert found["threads"] == {"gatewise": 1, "torch": 2}
    assert found["milliseconds"]["torch"] == {"1": 9000.0, "2": 6000.0}
    rows = [{"kind": "gru", "ratio": {"gatewise": 1.0, "torch": ratio}} for ratio in (2.0, 8.0)]
    assert script.means(rows) == {"gru against torch": pytest.approx(4.0)}


@pytest.mark.parametrize("part", ["layers", "ragged", "scans"])
def test_a_part_goes_through(script: Any, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "SCANS", (4, 8))
    rows = list(script.PARTS[part](TINY))
    assert len(rows) == (2 if part == "scans" else 1)
    for row in rows:
        assert all(ratio > 0 for ratio in row["ratio"].values())
        assert script.line(part, row)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_the_greatest_size_of_the_process_grows_with_it(script: Any) -> None:
    size = script.greatest_size()
    held = np.ones(int(size) << 20, np.uint8)  # as much again, so that it is more than ever before
    assert script.greatest_size() >= size + 1
    assert held[-1] == 1
