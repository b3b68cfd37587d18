"""Ten thousand sessions of one model at once, from eight threads: each answers as if it were alone.

    python benchmarks/survival_sessions.py [--sessions 10000] [--threads 8] [--steps 60]

The truth is a checksum over the answers of each session, run alone and in one go on the main thread. Then all sessions
are open at once and the threads serve them in random order:

- as streams, each step pushed by itself or several in a call; now and then a session is saved, and goes on in a new
  stream from the bytes, on whichever thread comes next;
- in pools, one for each thread: at each turn a random part of its sessions steps, in random order.

Writes results/survival_sessions.json.
"""

from __future__ import annotations

import argparse
import hashlib
import queue
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import gatewise as gw
from common import record

INPUTS = 4


def model() -> gw.Model:
    """A detector's shape: scaled input with missing readings held, two recurrent layers, an answer."""
    stage = gw.LayerSpec("numeric", width=INPUTS, scaling="standard", missing="hold")
    layers = [
        gw.LayerSpec("gru", units=17),
        gw.LayerSpec("gru", units=9, reset="before"),
        gw.LayerSpec("dense", units=2),
    ]
    return gw.init(gw.ModelSpec(input=stage, layers=layers), seed=3)


def readings(session: int, steps: int) -> np.ndarray:
    """What one session reads: noise, a twentieth of it missing."""
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


def by_streams(shared: gw.Model, sessions: int, steps: int, threads: int) -> list[str]:
    """All sessions as streams in one queue, from which the threads take whichever comes next."""
    answers: list[list[np.ndarray]] = [[] for _ in range(sessions)]
    waiting: queue.SimpleQueue[tuple[int, int, gw.Stream]] = queue.SimpleQueue()
    for session in random.Random(1).sample(range(sessions), sessions):
        waiting.put((session, 0, shared.stream()))

    def serve(which: int) -> None:
        chance = random.Random(which)
        while True:
            try:
                session, at, stream = waiting.get_nowait()
            except queue.Empty:
                return
            x = readings(session, steps)[at : at + chance.randint(1, 9)]
            if chance.random() < 0.5:
                answers[session].append(stream.push_many(x))
            else:
                answers[session] += [stream.push(row) for row in x]
            if chance.random() < 0.1:
                stream = shared.stream(stream.save())
            if at + len(x) < steps:
                waiting.put((session, at + len(x), stream))

    in_threads(serve, threads)
    return [checksum(parts) for parts in answers]


def by_pools(shared: gw.Model, sessions: int, steps: int, threads: int) -> list[str]:
    """A pool for each thread with its share of the sessions."""
    found = [""] * sessions

    def serve(which: int) -> None:
        rng = np.random.default_rng(which)
        mine = np.arange(which, sessions, threads)
        pool, at = shared.pool(len(mine)), np.zeros(len(mine), np.int64)
        x = np.array([readings(session, steps) for session in mine])
        y = np.empty((len(mine), steps, shared.outputs), np.float32)
        while (left := np.flatnonzero(at < steps)).size:
            ids = rng.permutation(left)[: rng.integers(1, left.size + 1)]
            y[ids, at[ids]] = pool.push(ids, x[ids, at[ids]])
            at[ids] += 1
        for session, answers in zip(mine, y, strict=True):
            found[session] = checksum([answers])

    in_threads(serve, threads)
    return found


def main() -> None:
    """Serve, compare, print, write results/survival_sessions.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    sys.setswitchinterval(1e-4)  # seconds: fifty times as many changes of thread as usual
    shared = model()
    alone = [checksum([np.asarray(shared.run(readings(s, options.steps)))]) for s in range(options.sessions)]
    if len(set(alone)) != options.sessions:
        raise SystemExit("two sessions have the same answers: then equal checksums prove nothing")
    results: dict[str, Any] = {"sessions": options.sessions, "threads": options.threads, "steps": options.steps}
    for name, serve in (("streams", by_streams), ("pools", by_pools)):
        start = time.monotonic()
        found = serve(shared, options.sessions, options.steps, options.threads)
        differ = sum(one != other for one, other in zip(alone, found, strict=True))
        results[name] = {"equal": options.sessions - differ, "answers": options.sessions * options.steps}
        print(f"{name}: {differ} of {options.sessions:,} sessions differ, {time.monotonic() - start:.0f} s", flush=True)
        if differ:
            raise SystemExit(f"{differ} sessions answer otherwise than alone")
    print(f"written to {record('survival_sessions', results)}")


if __name__ == "__main__":
    main()
