"""Ten thousand sessions of one model in eight threads: each must answer as if it were alone.

    python benchmarks/survival_sessions.py [--sessions 10000] [--threads 8] [--steps 60]

The reference is a checksum over the answers of each session, which is run alone and at once on the main thread. Then
all sessions are open at the same time, and the threads serve them in random order:

- as streams, with several steps in a call or sometimes one step; sometimes a session is saved, and continues from the
  bytes in a new stream, on the thread that takes it next;
- in pools, one for each thread: in each call a few random sessions of the pool take a step, in random order.

Both are done for a model that carries its state and for one with a window. The core lets other threads run during a
call only if the call has enough work. The calls above this threshold are counted and must be the majority, so that
native code does run in several threads at once.

Writes results/survival_sessions.json.
"""

from __future__ import annotations

import argparse
import hashlib
import queue
import random
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from common import record

INPUTS = 4
NATIVE = Path(__file__).parents[1] / "src" / "gatewise" / "native" / "pycommon.h"
MOST = 0.75
"""At least this share of the calls must be above the threshold."""


def models() -> dict[str, gw.Model]:
    """Models of an LSTM, a GRU and a dense layer that read missing values: with carried state, and with a window."""
    stage = gw.LayerSpec("numeric", width=INPUTS, scaling="standard", missing="hold")
    carried = [gw.LayerSpec("lstm", units=160), gw.LayerSpec("gru", units=96), gw.LayerSpec("dense", units=2)]
    windowed = [
        gw.LayerSpec("lstm", units=48),
        gw.LayerSpec("gru", units=32, reset="before"),
        gw.LayerSpec("dense", units=2),
    ]
    return {
        "carried": gw.init(gw.ModelSpec(input=stage, layers=carried), seed=3),
        "window of 16": gw.init(
            gw.ModelSpec(input=stage.replace(missing="mask"), layers=windowed, context={"window": 16}), seed=4
        ),
    }


@dataclass
class Calls:
    """The number of calls into the core, and of those that let other threads run at the same time."""

    model: gw.Model
    made: int = 0
    released: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        bits = re.search(r"release_work = 1u << (\d+);", NATIVE.read_text())
        if bits is None:
            raise SystemExit(f"{NATIVE} names no release_work")
        # As step_work in pymodel.h: multiply-accumulates in one step of one session.
        self.enough = -(-(1 << int(bits[1])) // (self.model.graph.macs * (self.model.window or 1)))

    def add(self, steps: list[int]) -> None:
        """Add the calls of one thread: the number of steps of each call, over all its sessions."""
        with self.lock:
            self.made += len(steps)
            self.released += sum(count >= self.enough for count in steps)


def readings(session: int, steps: int) -> np.ndarray:
    """The readings of one session: noise, of which a twentieth is missing."""
    rng = np.random.default_rng(session)
    x = rng.standard_normal((steps, INPUTS), np.float32)
    x[rng.random(x.shape) < 0.05] = np.nan
    return x


def checksum(answers: list[np.ndarray]) -> str:
    return hashlib.sha256(b"".join(answer.tobytes() for answer in answers)).hexdigest()


def in_threads(work: Callable[[int], None], count: int) -> None:
    """Run work(0) ... work(count - 1), each in a thread of its own; the first error is raised."""
    errors: list[BaseException] = []

    def guarded(which: int) -> None:
        try:
            work(which)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(which,)) for which in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def by_streams(shared: gw.Model, sessions: int, steps: int, threads: int) -> tuple[list[str], Calls]:
    """Serve all sessions as streams from one queue, from which each thread takes the next."""
    answers: list[list[np.ndarray]] = [[] for _ in range(sessions)]
    waiting: queue.SimpleQueue[tuple[int, int, gw.Stream]] = queue.SimpleQueue()
    calls = Calls(shared)
    for session in random.Random(1).sample(range(sessions), sessions):
        waiting.put((session, 0, shared.stream()))

    def serve(which: int) -> None:
        chance = random.Random(which)
        took: list[int] = []
        while True:
            try:
                session, at, stream = waiting.get_nowait()
            except queue.Empty:
                return calls.add(took)
            alone = chance.random() < 0.04
            x = readings(session, steps)[at : at + (chance.randint(1, 3) if alone else chance.randint(4, 24))]
            if alone:
                answers[session] += [stream.push(row) for row in x]
                took += [1] * len(x)
            else:
                answers[session].append(stream.push_many(x))
                took.append(len(x))
            if chance.random() < 0.1:
                stream = shared.stream(stream.save())
            if at + len(x) < steps:
                waiting.put((session, at + len(x), stream))

    in_threads(serve, threads)
    return [checksum(parts) for parts in answers], calls


def by_pools(shared: gw.Model, sessions: int, steps: int, threads: int) -> tuple[list[str], Calls]:
    """Serve the sessions from pools, one for each thread with its share of the sessions."""
    found = [""] * sessions
    calls = Calls(shared)

    def serve(which: int) -> None:
        rng = np.random.default_rng(which)
        mine = np.arange(which, sessions, threads)
        pool, at = shared.pool(len(mine)), np.zeros(len(mine), np.int64)
        x = np.array([readings(session, steps) for session in mine])
        y = np.empty((len(mine), steps, shared.outputs), np.float32)
        took: list[int] = []
        while (left := np.flatnonzero(at < steps)).size:
            ids = rng.permutation(left)[: rng.integers(1, max(left.size // 8, 32) + 1)]
            y[ids, at[ids]] = pool.push(ids, x[ids, at[ids]])
            at[ids] += 1
            took.append(len(ids))
        calls.add(took)
        for session, answers in zip(mine, y, strict=True):
            found[session] = checksum([answers])

    in_threads(serve, threads)
    return found, calls


def served(shared: gw.Model, sessions: int, steps: int, threads: int) -> dict[str, Any]:
    """Serve one model in both ways, and compare. Any difference to a session run alone ends the script."""
    alone = [checksum([np.asarray(shared.run(readings(s, steps)))]) for s in range(sessions)]
    if len(set(alone)) != sessions:
        raise SystemExit("two sessions have the same answers: then equal checksums prove nothing")
    results: dict[str, Any] = {"macs": shared.graph.macs * (shared.window or 1)}
    for name, serve in (("streams", by_streams), ("pools", by_pools)):
        start, cpu = time.monotonic(), time.process_time()
        found, calls = serve(shared, sessions, steps, threads)
        seconds, cpu_seconds = time.monotonic() - start, time.process_time() - cpu
        differ = sum(one != other for one, other in zip(alone, found, strict=True))
        results[name] = {
            "equal": sessions - differ,
            "answers": sessions * steps,
            "calls": calls.made,
            "released": calls.released,
            "seconds": round(seconds, 1),
            "cpu_seconds": round(cpu_seconds, 1),
        }
        print(f"{name}: {results[name]}", flush=True)
        if differ:
            raise SystemExit(f"{differ} sessions answer otherwise than alone")
        if calls.released < MOST * calls.made:
            raise SystemExit(f"{calls.released:,} of {calls.made:,} calls let other threads run: too few to prove much")
    return results


def main() -> None:
    """Serve, compare, print, write results/survival_sessions.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    sys.setswitchinterval(1e-4)  # seconds: fifty times as many changes of thread as usual
    results: dict[str, Any] = {"sessions": options.sessions, "threads": options.threads, "steps": options.steps}
    results["models"] = {
        name: served(model, options.sessions, options.steps, options.threads) for name, model in models().items()
    }
    print(f"written to {record('survival_sessions', results)}")


if __name__ == "__main__":
    main()
