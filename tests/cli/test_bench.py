"""gatewise bench: what it says it measured is what the model does."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import gatewise as gw
from cli.program import gatewise
from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.measure import bench


def test_json(two: Path) -> None:
    ran = gatewise("bench", two, "--seconds", "0.2", "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    found = json.loads(ran.stdout)
    model = gw.load(two)
    assert (found["file"], found["cpu"]) == (str(two), model.cpu)
    assert (found["packed_bytes"], found["macs"]) == (model._native.packed_bytes, model.graph.macs)
    assert found["pushes"] >= 200
    assert set(found["pool_seconds"]) == {"16", "256"}
    times = [found["push_median_seconds"], found["push_many_seconds"], *found["pool_seconds"].values()]
    assert all(0 < seconds < 1e-3 for seconds in times)
    assert found["push_p99_seconds"] >= found["push_median_seconds"]


def test_page(two: Path) -> None:
    page = gatewise("bench", two, "--seconds", "0.1", "--cpu", "base").stdout
    lines = page.splitlines()
    assert max(map(len, lines[1:])) <= 80
    assert lines[0] == f"a step of {two} (base, one thread)"
    named = [line[2:].partition("  ")[0] for line in lines[2:]]
    assert named == [
        "Stream.push, median",
        "Stream.push, p99",
        "Stream.push_many",
        "Pool of 16",
        "Pool of 256",
        "bound",
    ]
    assert lines[-1].endswith("1.00")


class Clock:
    """A clock that stands still, but for 30 ns whenever it is read and what the work is said to take."""

    def __init__(self) -> None:
        self.now = 0

    def perf_counter_ns(self) -> int:
        self.now += 30
        return self.now

    def perf_counter(self) -> float:
        return 1e-9 * self.now


def test_what_is_told_is_what_the_clock_said(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(sys.modules[bench.__module__], "time", clock)
    calls = 0

    def push(x: Array, out: Array) -> None:
        nonlocal calls
        calls += 1
        clock.now += 9000 if calls % 50 == 0 else 900  # one in fifty is disturbed: the 99th percentile

    def push_many(x: Array) -> None:
        clock.now += 700 * len(x)

    def push_pool(ids: Array, x: Array, out: Array) -> None:
        assert (len(ids), len(set(ids.tolist()))) == (len(x), len(x)) == (len(out), len(x))
        clock.now += 4000 + 100 * len(ids)

    small = gw.init(gw.ModelSpec(4, [gw.LayerSpec("gru", units=3)]))
    model: Any = SimpleNamespace(
        inputs=4,
        outputs=3,
        cpu=small.cpu,
        window=None,
        graph=small.graph,
        tensors=small.tensors,
        parameters=small.parameters,
        limits=small.limits,
        _native=small._native,
        stream=lambda: SimpleNamespace(push=push, push_many=push_many, get_state=lambda: b"state"),
        pool=lambda sessions: SimpleNamespace(push=push_pool, set_state=lambda session, state: None),
    )
    model.relative = lambda: model
    found = bench(model, 1e-3, [16, 40])
    assert found.push_median == pytest.approx(900e-9)
    assert found.push_p99 == pytest.approx(9000e-9)
    assert found.push_many == pytest.approx(700e-9)
    assert found.pool == pytest.approx({16: (4000 + 1600) / 16 * 1e-9, 40: (4000 + 4000) / 40 * 1e-9})


@pytest.mark.parametrize(("seconds", "sessions"), [(0.0, [1]), (-1.0, [1]), (float("nan"), [1]), (1.0, [0])])
def test_nothing_to_measure(seconds: float, sessions: list[int]) -> None:
    with pytest.raises(InputError, match="bench needs seconds > 0 and pools of at least 1 session"):
        bench(gw.init(gw.ModelSpec(1, [gw.LayerSpec("gru", units=1)])), seconds, sessions)


def test_unknown_instruction_set(two: Path) -> None:
    ran = gatewise("bench", two, "--cpu", "z80")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "z80" in ran.stderr


def test_a_window_is_full_when_it_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, seen = Clock(), []
    spec = gw.ModelSpec(1, [gw.LayerSpec("gru", units=1)], context={"window": 7})
    model = gw.init(spec)
    monkeypatch.setattr(sys.modules[bench.__module__], "time", clock)

    def push(self: gw.Stream | gw.Pool, *arguments: Array) -> None:
        clock.now += 1000
        states = [self.state] if isinstance(self, gw.Stream) else [self.state(i) for i in range(len(self))]
        seen.extend(state.fields["window.count"].item() for state in states)

    monkeypatch.setattr(gw.Stream, "push", push)
    monkeypatch.setattr(gw.Pool, "push", push)
    run = gw.Stream.push_many

    def push_many(self: gw.Stream, x: Array) -> None:
        clock.now += 1000 * len(x)
        run(self, x)

    monkeypatch.setattr(gw.Stream, "push_many", push_many)
    bench(model, 1e-5, [3])
    assert len(seen) > 200
    assert set(seen) == {7}
