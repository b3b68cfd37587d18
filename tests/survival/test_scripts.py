"""The survival scripts themselves, with counts that take seconds; they end with a message where something is lost."""

import importlib.util
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gatewise as gw

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def scripts() -> Iterator[Any]:
    """A function that imports one of the scripts."""

    def script(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)  # where dataclasses look for it
        spec.loader.exec_module(module)
        return module

    sys.path.insert(0, str(BENCHMARKS))
    yield script
    sys.path.remove(str(BENCHMARKS))


@pytest.mark.slow
def test_kills(scripts: Any, tmp_path: Path) -> None:
    kills = scripts("survival_kills")
    for what, work, count in (("stream", kills.kill_streams, 5), ("save", kills.kill_saves, 20)):
        (tmp_path / what).mkdir()
        found = work(count, tmp_path / what, random.Random(0))
        assert found["kills"] == count
        assert found["equal"] == found.get("completed", count) > 0


def test_a_wrong_result_is_noticed(scripts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kills = scripts("survival_kills")
    alter = "import sys\ntext = sys.stdin.read()\nprint(text if '--state' not in sys.argv else text.replace('1', '2'))"
    monkeypatch.setattr(kills, "PROGRAM", [sys.executable, "-c", alter])
    with pytest.raises(SystemExit, match="not those of an uninterrupted stream"):
        kills.kill_streams(1, tmp_path, random.Random(0))


def test_drift(scripts: Any) -> None:
    drift = scripts("survival_drift")
    for kind in set(drift.LAYERS) & set(drift.KINDS):
        found = drift.drift(kind, 3000)
        assert found["steps"] == 3000
        assert 0 < max(found["error by tenth"]) < drift.LIMIT


def test_sessions(scripts: Any) -> None:
    sessions = scripts("survival_sessions")
    for shared in sessions.models().values():
        alone = [sessions.checksum([shared.run(sessions.readings(s, 20))]) for s in range(80)]
        assert len(set(alone)) == 80
        for serve in (sessions.by_streams, sessions.by_pools):
            found, calls = serve(shared, 80, 20, 8)
            assert found == alone
            assert 0 < calls.released < calls.made, "calls above the threshold, and below"


def test_other_answers_and_too_short_calls_are_noticed(scripts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = scripts("survival_sessions")
    shared = gw.init(gw.ModelSpec(sessions.INPUTS, [gw.LayerSpec("dense", units=1)]))
    monkeypatch.setattr(sessions, "readings", lambda s, steps: np.full((steps, sessions.INPUTS), s, np.float32))
    with pytest.raises(SystemExit, match="0 of .* calls let other threads run: too few"):
        sessions.served(shared, 10, 20, 2)
    monkeypatch.setattr(sessions, "by_streams", lambda *_: (["other"] * 10, sessions.Calls(shared)))
    with pytest.raises(SystemExit, match="10 sessions answer otherwise than alone"):
        sessions.served(shared, 10, 20, 2)
