"""How long can each recurrent layer remember? Trains all of them on five tasks with lags from 50 to 1,000 steps.

    python benchmarks/memory_tasks.py [--minutes 90] [--resume]
    python benchmarks/memory_page.py           writes tables and a figure of the results into docs/memory_tasks.md

The tasks are in `memory_data.py`. Every recurrent kind takes part, and variants of some: with chrono initialisation for
the lag of the task, and with signed gates. All have the same architecture: two recurrent layers of 32 units, a dense
layer with ReLU after each, and a dense layer for the answer. A kind whose step is linear, or whose gates do not depend
on the state, therefore has nonlinear layers, too. Rows are drawn anew for each update. The optimiser is AdamW; the norm
of the gradient is clipped at 1, and the learning rate falls to 0 along a cosine.

Rules that are the same for all keep the benchmark short:

- Every 50 updates 256 held-out rows are scored. At a score of 0.99 the task is solved and the training ends.
- A training ends at a third of its budget if it has not learnt the task by then, that is, if its score has not come a
  tenth of the way from chance to 1.
- The budget is 2,000 updates at the shortest lag and falls with the cube root of the lag.
- The learning rate is chosen for each task and recurrent layer at the shortest lag, with the first seed: the one that
  solves the task in the fewest updates, or has the best held-out score. The other seeds and lags use the same rate.
- If no seed has learnt the task at one lag, longer lags are not run. The table says so.

The score of a training is that on 512 rows that were used neither for training nor for stopping, and once more at twice
the lag. Every training is written to the file of --lines as soon as it ends; the summary is written to
results/memory_tasks.json.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import gatewise as gw
from common import FOLDER, record
from gatewise import layers
from gatewise.train import Recurrent, to_torch
from memory_data import TASKS, Batch, Task

KINDS = tuple(kind for kind in layers.KINDS if layers.registry.spec(kind).recurrent)
VARIANTS = ("lstm+chrono", "mingru+chrono", "rglru+signed")
RECURRENCES = tuple(name for kind in KINDS for name in (kind, *(v for v in VARIANTS if v.partition("+")[0] == kind)))
LAGS = (50, 150, 1000)
LEARNING_RATES = (0.001, 0.003, 0.01, 0.03)

SETTINGS: dict[str, Any] = {
    "units": 32,
    "batch": 32,
    "budget": 2000,
    "check every": 50,
    "held-out rows": 256,
    "test rows": 512,
    "solved": 0.99,
    "learned": 0.1,
}
SHORTEST = 50
"""The lag at which the whole budget may be spent, steps."""


class Job(NamedTuple):
    """One training."""

    task: str
    recurrence: str
    lag: int
    learning_rate: float
    seed: int


def spec(recurrence: str, task: Task, lag: int) -> gw.ModelSpec:
    """The model with the given recurrent layer: a kind, or KIND+VARIANT."""
    kind, _, variant = recurrence.partition("+")
    options: Mapping[str, Any] = {"": {}, "chrono": {"chrono": lag}, "signed": {"signed": True}}[variant]
    units = SETTINGS["units"]
    memory = [gw.LayerSpec(kind, units=units, **options), gw.LayerSpec("dense", units=units, activation="relu")]
    return gw.ModelSpec(task.inputs, [*memory, *memory, gw.LayerSpec("dense", units=task.outputs)])


def budget(lag: int) -> int:
    """The most updates of a training."""
    return round(SETTINGS["budget"] * (SHORTEST / lag) ** (1 / 3))


def progress(task: Task, score: float) -> float:
    """How far from chance, 0, to a perfect score, 1."""
    return (score - task.chance) / (1 - task.chance)


def rows(job: Job, split: str, lag: int | None = None) -> Iterator[np.random.SeedSequence]:
    """Seeds of the draws for a split, task, lag and seed; they are the same for all recurrent layers."""
    key = zlib.crc32(f"{split} {job.task} {lag or job.lag} {job.seed}".encode())
    root = np.random.SeedSequence(key)
    while True:
        yield from root.spawn(1)


def draw(job: Job, split: str, count: int, lag: int | None = None) -> Batch:
    """The given number of rows of a split, as `memory_data` makes them."""
    chance = np.random.default_rng(next(rows(job, split, lag)))
    return TASKS[job.task].sample(chance, count, lag or job.lag)


def loss(task: Task, module: Recurrent, batch: Batch) -> torch.Tensor:
    """Mean squared error or cross-entropy of the answers."""
    wanted = torch.from_numpy(batch.y)
    out = module(torch.from_numpy(batch.x))[0][:, -wanted.shape[1] :]
    if task.outputs == 1:
        return torch.nn.functional.mse_loss(out[:, :, 0], wanted)
    return torch.nn.functional.cross_entropy(out.flatten(0, 1), wanted.flatten())


def score(task: Task, module: Recurrent, batch: Batch) -> float:
    """`Task.score` of the module's answers to a batch."""
    parts = []
    with torch.no_grad():
        for x in torch.from_numpy(batch.x).split(64):
            parts.append(module(x)[0][:, -batch.y.shape[1] :].numpy())
    return task.score(np.concatenate(parts), batch)


def train(job: Job) -> dict[str, Any]:
    """One training, by the rules above.

    Returns:
        The fields of the job; `end`: "solved", "budget", "not learned" or "not finite"; `steps`: updates made;
        `held out`: the best score of the held-out rows; `score`; `at twice the lag`; and the CPU `seconds`.
    """
    torch.set_num_threads(1)
    began = time.process_time()
    task, most = TASKS[job.task], budget(job.lag)
    module = to_torch(gw.init(spec(job.recurrence, task, job.lag), job.seed))
    optimizer = torch.optim.AdamW(module.parameters(), lr=job.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, most)
    held_out = draw(job, "held out", SETTINGS["held-out rows"])
    best, end = -math.inf, "budget"
    for steps, seed in enumerate(rows(job, "training"), 1):
        optimizer.zero_grad()
        value = loss(task, module, task.sample(np.random.default_rng(seed), SETTINGS["batch"], job.lag))
        value.backward()
        norm = torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        if not torch.isfinite(value + norm):
            end = "not finite"
            break
        optimizer.step()
        schedule.step()
        if steps % SETTINGS["check every"] and steps < most:
            continue
        best = max(best, score(task, module, held_out))
        if best >= SETTINGS["solved"]:
            end = "solved"
            break
        if 3 * steps >= most and progress(task, best) < SETTINGS["learned"]:
            end = "not learned"
            break
        if steps == most:
            break
    found = {"end": end, "steps": steps, "held out": best}
    if end != "not finite":
        found["score"] = score(task, module, draw(job, "test", SETTINGS["test rows"]))
        found["at twice the lag"] = score(task, module, draw(job, "test", SETTINGS["test rows"], 2 * job.lag))
    return {**job._asdict(), **found, "seconds": round(time.process_time() - began, 2)}


class Lines:
    """The file of trainings: a line with the settings, then a line for each training.

    Args:
        path: of the file.
        resume: whether to continue a file that exists.

    Raises:
        SystemExit: the file exists and `resume` is false, or it contains trainings with other settings.
    """

    def __init__(self, path: Path, resume: bool) -> None:
        self.path = path
        self.found: dict[Job, dict[str, Any]] = {}
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(SETTINGS) + "\n")
            return
        if not resume:
            raise SystemExit(f"{path} is there; pass --resume to go on with it, or remove it")
        text = path.read_text()
        whole = text[: text.rfind("\n") + 1]  # what follows the last end of line, a kill has cut off
        first, *lines = whole.splitlines() or ["{}"]
        if json.loads(first) != SETTINGS:
            raise SystemExit(f"{path} holds trainings of other settings: {first}, not {SETTINGS}; remove it")
        if whole != text:
            path.write_text(whole)
        for line in lines:
            self._keep(json.loads(line))

    def add(self, found: dict[str, Any]) -> None:
        """Write and keep one training."""
        with self.path.open("a") as file:
            file.write(json.dumps(found) + "\n")
        self._keep(found)

    def _keep(self, found: dict[str, Any]) -> None:
        self.found[Job(*(found[name] for name in Job._fields))] = found


def at(found: Iterable[Mapping[str, Any]], **fields: Any) -> list[Mapping[str, Any]]:
    """The trainings that have these values."""
    return [one for one in found if all(one[name] == value for name, value in fields.items())]


def learned(one: Mapping[str, Any]) -> bool:
    """Whether the score of a training has come a tenth of the way from chance to a perfect score."""
    return progress(TASKS[one["task"]], one["held out"]) >= SETTINGS["learned"]


def choice(tried: Sequence[Mapping[str, Any]]) -> float:
    """The learning rate that solved the task in the fewest updates, or had the best score if none solved it."""

    def merit(one: Mapping[str, Any]) -> tuple[float, float]:
        return (1.0, -one["steps"]) if one["end"] == "solved" else (0.0, one["held out"])

    return float(max(tried, key=merit)["learning_rate"])


def stages(options: argparse.Namespace, found: Mapping[Job, dict[str, Any]]) -> Iterator[list[Job]]:
    """The trainings, stage after stage; each stage depends on the results of the stages before."""
    first, *seeds = options.seeds
    shortest, *longer = sorted(options.lags)
    rates = {}
    for task in options.tasks:
        yield [Job(task, name, shortest, rate, first) for name in options.kinds for rate in options.learning_rates]
        for name in options.kinds:
            tried = at(found.values(), task=task, recurrence=name, lag=shortest, seed=first)
            rates[task, name] = choice(tried)
        yield [Job(task, name, shortest, rates[task, name], seed) for name in options.kinds for seed in seeds]
    for before, lag in zip([shortest, *longer], longer, strict=False):
        for task, name in list(rates):
            if not any(map(learned, at(found.values(), task=task, recurrence=name, lag=before))):
                del rates[task, name]
        yield [Job(task, name, lag, rate, seed) for (task, name), rate in rates.items() for seed in options.seeds]


def run(options: argparse.Namespace, lines: Lines) -> None:
    """Run the trainings that are not in the file yet, until the time is over."""
    until = time.monotonic() + 60 * options.minutes
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for jobs in stages(options, lines.found):
            todo = [job for job in jobs if job not in lines.found]
            print(f"{len(todo)} trainings to do, {len(jobs) - len(todo)} done before", flush=True)
            in_time = (job for job in todo if time.monotonic() < until)
            for one in _in_turn(pool, in_time, options.processes):
                lines.add(one)
                name = f"{one['task']:<16}{one['recurrence']:<14}{one['lag']:>5}{one['learning_rate']:>7}"
                cells = f"{one['seed']:>3}  {one['end']:<12}{one['steps']:>5}{one.get('score', math.nan):>7.3f}"
                print(f"{name}{cells}{one['seconds']:>7.1f} s", flush=True)
            if time.monotonic() >= until:
                print("the minutes are over; --resume goes on")
                return


def _in_turn(pool: Any, jobs: Iterator[Job], processes: int) -> Iterator[dict[str, Any]]:
    """The results of `train` as they come; a job is taken when a process is free."""
    running: list[Any] = []
    while True:
        while len(running) < processes and (job := next(jobs, None)) is not None:
            running.append(pool.apply_async(train, (job,)))
        if not running:
            return
        for one in [one for one in running if one.ready()]:
            running.remove(one)
            yield one.get()
        time.sleep(0.02)


def summary(found: Iterable[Mapping[str, Any]], rates: int) -> dict[str, Any]:
    """The contents of results/memory_tasks.json: task -> recurrent layer -> chosen rate and, for each lag, the seeds.

    Recurrent layers for which not all learning rates have been tried yet are left out. A training that ended with
    values that are not finite has the score of chance.
    """
    found = list(found)
    answer: dict[str, Any] = {}
    for task, name in sorted({(one["task"], one["recurrence"]) for one in found}):
        own = at(found, task=task, recurrence=name)
        shortest, first = min(one["lag"] for one in own), own[0]["seed"]  # by which the rate is chosen
        tried = at(own, lag=shortest, seed=first)
        if len(tried) < rates:
            continue
        rate = choice(tried)
        lags = {}
        for lag in sorted({one["lag"] for one in own}):
            seeds = sorted(at(own, lag=lag, learning_rate=rate), key=lambda one: one["seed"])
            lags[lag] = {
                "ends": [one["end"] for one in seeds],
                "scores": [round(one.get("score", TASKS[task].chance), 4) for one in seeds],
                "steps": [one["steps"] for one in seeds],
                "at twice the lag": [round(one.get("at twice the lag", TASKS[task].chance), 4) for one in seeds],
                "learned": any(map(learned, at(own, lag=lag))),
            }
        answer.setdefault(task, {})[name] = {"learning rate": rate, "lags": lags}
    return answer


def main() -> None:
    """Train, print a line for each, write results/memory_tasks.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=RECURRENCES, choices=RECURRENCES, metavar="KIND")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--lags", nargs="+", type=int, default=LAGS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--learning-rates", nargs="+", type=float, default=LEARNING_RATES)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=90.0, help="no training is begun after these")
    parser.add_argument("--lines", type=Path, default=FOLDER.parent / "build" / "memory_tasks.jsonl")
    parser.add_argument("--resume", action="store_true", help="go on with that file")
    options = parser.parse_args()
    lines = Lines(options.lines, options.resume)
    run(options, lines)
    found = list(lines.found.values())
    spent = sum(one["seconds"] for one in found) / 60
    chance = {name: task.chance for name, task in TASKS.items()}
    results = {"settings": SETTINGS, "lags": sorted(options.lags), "seeds": len(options.seeds), "chance": chance}
    results |= {"recurrences": list(options.kinds), "learning rates": list(options.learning_rates)}
    results |= {
        "trainings": len(found),
        "cpu minutes": round(spent, 1),
        "tasks": summary(found, len(options.learning_rates)),
    }
    print(f"{len(found)} trainings, {spent:.0f} minutes of CPU; written to {record('memory_tasks', results)}")


if __name__ == "__main__":
    main()
