"""The tasks of memory by hand, the rules by which trainings end and are chosen, and a run of the script."""

import importlib
import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatewise import layers

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
LAGS = (7, 20)
BLANK, SIGN = 4, 5


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("memory_tasks")
    sys.path.remove(str(BENCHMARKS))


def rows(script: Any, task: str, lag: int, count: int = 50) -> Iterator[tuple[list[list[float]], list[float]]]:
    """Each row's readings and answers, as plain Python lists."""
    batch = script.TASKS[task].sample(np.random.default_rng(lag), count, lag)
    assert batch.x.dtype == np.float32
    yield from zip(batch.x.tolist(), batch.y.tolist(), strict=True)


def one_hot(steps: list[list[float]]) -> list[int]:
    """The place of the 1 in each step, which has nothing else."""
    assert all(sorted(step) == [0.0] * (len(step) - 1) + [1.0] for step in steps)
    return [step.index(1.0) for step in steps]


@pytest.mark.parametrize("lag", LAGS)
def test_adding(script: Any, lag: int) -> None:
    for x, y in rows(script, "adding", lag):
        marked = [i for i, (_, mark) in enumerate(x) if mark]
        assert len(x) == lag
        assert len(marked) == 2
        assert marked[0] < lag // 2 <= marked[1]
        assert all(0 <= number <= 1 and mark in (0, 1) for number, mark in x)
        assert y == [pytest.approx(x[marked[0]][0] + x[marked[1]][0], rel=1e-6)]


@pytest.mark.parametrize("lag", LAGS)
def test_copy(script: Any, lag: int) -> None:
    for x, y in rows(script, "copy", lag):
        shown = one_hot(x)
        assert shown[3:] == [BLANK] * lag + [SIGN] * 3
        assert shown[:3] == y
        assert set(y) <= {0, 1, 2, 3}


@pytest.mark.parametrize("lag", LAGS)
def test_selective_copy(script: Any, lag: int) -> None:
    places = set()
    for x, y in rows(script, "selective copy", lag, 200):
        shown = one_hot(x)
        assert len(shown) == lag + 3
        assert shown[lag:] == [SIGN] * 3
        assert [symbol for symbol in shown[:lag] if symbol != BLANK] == y
        places |= {i for i in range(lag) if shown[i] != BLANK}
    assert places == set(range(lag))


@pytest.mark.parametrize("lag", LAGS)
def test_parity(script: Any, lag: int) -> None:
    for x, y in rows(script, "parity", lag):
        odd, wanted = False, []
        for bit in one_hot(x):
            odd ^= bool(bit)
            wanted.append(odd)
        assert y == wanted
        assert len(y) == lag
    assert script.TASKS["parity"].sample(np.random.default_rng(0), 2, lag).scored == -(-lag // 2)


@pytest.mark.parametrize("lag", LAGS)
def test_delayed_recall(script: Any, lag: int) -> None:
    for x, y in rows(script, "delayed recall", lag):
        assert len(x) == 1 + lag + 1
        assert [step[4] for step in x] == [1] + [0] * (lag + 1)
        assert [step[5] for step in x] == [0] * (lag + 1) + [1]
        shown = one_hot([step[:4] for step in x[:-1]])
        assert x[-1][:4] == [0] * 4
        assert y == shown[:1]


def test_scores_at_chance_and_when_right(script: Any) -> None:
    """The best answer that never looks scores chance; the right ones score 1; one wrong costs its share."""
    for task in script.TASKS.values():
        batch = task.sample(np.random.default_rng(1), 20_000, 8)
        blind = np.zeros((*batch.y.shape, task.outputs))
        blind[..., 0] = 1.0  # the mean of a sum of two uniform numbers; and the class 0
        assert task.score(blind, batch) == pytest.approx(task.chance, abs=0.015)  # four standard errors at most
        right = batch.y[..., None] if task.outputs == 1 else np.eye(task.outputs)[batch.y]
        assert task.score(right, batch) == pytest.approx(1, abs=1e-12)
        wrong = right.copy()
        wrong[0, -1] = 1 + wrong[0, -1] if task.outputs == 1 else np.roll(wrong[0, -1], 1)
        share = 1 / (task.variance or 1) / (20_000 * batch.scored)
        assert 1 - task.score(wrong, batch) == pytest.approx(share, rel=1e-6)
    assert script.progress(script.TASKS["copy"], 0.25) == 0
    assert script.progress(script.TASKS["copy"], 0.4375) == 0.25


def test_the_loss_is_that_of_the_answers(script: Any) -> None:
    """Against the definitions written out, for a module that answers with what it is given."""
    for name in ("adding", "copy"):
        task = script.TASKS[name]
        batch = task.sample(np.random.default_rng(2), 4, 7)
        out = np.random.default_rng(3).normal(0, 1, (*batch.x.shape[:2], task.outputs))
        answers = out[:, -batch.y.shape[1] :]
        found = script.loss(task, lambda x, out=out: (torch.from_numpy(out), {}), batch).item()
        if name == "adding":
            wanted = np.mean((answers[..., 0] - batch.y) ** 2)
        else:
            shares = np.exp(answers) / np.exp(answers).sum(-1, keepdims=True)
            wanted = -np.log(np.take_along_axis(shares, batch.y[..., None], -1)).mean()
        assert found == pytest.approx(wanted, rel=1e-6)


def test_no_two_draws_are_alike(script: Any) -> None:
    job = script.Job("adding", "gru", 7, 0.01, 0)
    others = [script.draw(job, split, 5, lag).x[:, :7] for split in ("held out", "test") for lag in (7, 14)] + [
        script.draw(job._replace(seed=1), "test", 5).x
    ]
    updates = script.rows(job, "training")
    others += [np.random.default_rng(next(updates)).uniform(size=3) for _ in range(2)]
    assert len({other.tobytes() for other in others}) == len(others)
    same = job._replace(recurrence="lstm", learning_rate=0.1)
    assert script.draw(job, "test", 5).x.tobytes() == script.draw(same, "test", 5).x.tobytes()


def test_every_recurrence_takes_part(script: Any) -> None:
    recurrent = [kind for kind in layers.KINDS if layers.registry.spec(kind).recurrent]
    assert [name for name in script.RECURRENCES if "+" not in name] == recurrent
    for name in script.RECURRENCES:
        nodes = script.spec(name, script.TASKS["copy"], 9).nodes
        assert [node.kind for node in nodes] == [nodes[0].kind, "dense", nodes[0].kind, "dense", "dense"]
    assert script.spec("lstm+chrono", script.TASKS["copy"], 9).nodes[2].options == {"units": 32, "chrono": 9}


def test_how_a_training_ends(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"units": 4, "budget": 30, "check every": 10, "held-out rows": 32, "test rows": 64}
    monkeypatch.setattr(script, "SETTINGS", {**script.SETTINGS, **few})
    job = script.Job("parity", "gru", 4, 0.01, 0)
    assert script.train(job._replace(learning_rate=float("inf")))["end"] == "not finite"
    monkeypatch.setitem(script.SETTINGS, "solved", 2.0)
    monkeypatch.setitem(script.SETTINGS, "learned", 2.0)
    found = script.train(job)
    assert (found["end"], found["steps"]) == ("not learned", 30)
    assert script.train(job) == {**found, "seconds": pytest.approx(found["seconds"], abs=60)}, "the seed settles it"
    monkeypatch.setitem(script.SETTINGS, "learned", -9.0)
    found = script.train(job)
    assert found["end"] == "budget"
    assert found["steps"] == script.budget(4) == 70  # 30 (50 / 4)^(1/3)
    monkeypatch.setitem(script.SETTINGS, "solved", found["held out"])
    stopped = script.train(job)
    assert stopped["end"] == "solved"
    assert stopped["steps"] <= 70
    assert stopped["held out"] == found["held out"]


def training(script: Any, task: str, name: str, lag: int, rate: float, seed: int, **fields: Any) -> dict[str, Any]:
    made = {"end": "budget", "steps": 9, "held out": 0.5, "score": 0.5, "at twice the lag": 0.5, "seconds": 1.0}
    return {**script.Job(task, name, lag, rate, seed)._asdict(), **made, **fields}


def test_what_is_trained_next(script: Any) -> None:
    options = Namespace(tasks=["copy"], kinds=["gru", "lru"], lags=[100, 50], seeds=[7, 8], learning_rates=[0.1, 0.2])
    found: dict[Any, Any] = {}

    def made(jobs: list[Any], **fields: Any) -> None:
        for job in jobs:
            found[job] = training(script, *job, **fields)

    stages = script.stages(options, found)
    first = next(stages)
    assert set(first) == {script.Job("copy", name, 50, rate, 7) for name in ("gru", "lru") for rate in (0.1, 0.2)}
    made(first)
    found[first[0]].update(end="solved", steps=300, **{"held out": 0.991})
    found[first[1]].update(end="solved", steps=200, **{"held out": 0.99})
    found[first[2]].update({"held out": 0.3})
    found[first[3]].update({"held out": 0.2})
    second = next(stages)
    assert second == [script.Job("copy", "gru", 50, 0.2, 8), script.Job("copy", "lru", 50, 0.1, 8)]
    made(second, **{"held out": 0.3})
    assert next(stages) == [script.Job("copy", "gru", 100, 0.2, seed) for seed in (7, 8)], "lru has not learned"


def test_lines_resume(script: Any, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    one = training(script, "copy", "gru", 50, 0.1, 0)
    script.Lines(path, resume=False).add(one)
    with path.open("a") as file:
        file.write('{"task": "co')  # a kill in the middle of a line
    assert script.Lines(path, resume=True).found == {script.Job("copy", "gru", 50, 0.1, 0): one}
    assert len(path.read_text().splitlines()) == 2
    with pytest.raises(SystemExit, match="pass --resume"):
        script.Lines(path, resume=False)
    path.write_text(json.dumps({**script.SETTINGS, "units": 3}) + "\n")
    with pytest.raises(SystemExit, match="other settings"):
        script.Lines(path, resume=True)


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv.pop(1))
import common, memory_tasks
if __name__ == "__main__":
    common.FOLDER = Path(sys.argv.pop(1))
    memory_tasks.main()
"""


def test_a_run_and_its_resumption(script: Any, tmp_path: Path) -> None:
    """Lags so short that the whole budget is not needed: delayed recall over 2 steps is learned."""
    program, lines = tmp_path / "program.py", tmp_path / "lines"
    program.write_text(PROGRAM)
    base = [sys.executable, str(program), str(BENCHMARKS), str(tmp_path), "--lines", str(lines)]
    base += ["--tasks", "delayed recall", "--kinds", "lstm", "--lags", "2", "--learning-rates", "0.01", "--seeds", "0"]
    base += ["--processes", "1"]

    def call(*more: str) -> str:
        return subprocess.run([*base, *more], capture_output=True, text=True, timeout=200, check=True).stdout

    assert "1 trainings to do, 0 done before" in call()
    written = lines.read_text()
    again = call("--resume")
    assert "0 trainings to do, 1 done before" in again
    assert lines.read_text() == written
    results = json.loads((tmp_path / "results" / "memory_tasks.json").read_text())["results"]
    own = results["tasks"]["delayed recall"]["lstm"]["lags"]["2"]
    assert (own["ends"], own["learned"]) == (["solved"], True)
    assert own["scores"][0] > 0.95
