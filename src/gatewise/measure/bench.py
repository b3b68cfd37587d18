"""How fast a model runs here: pushes one by one, many steps in one call, and many sessions side by side.

Each push is timed by itself, so that the median and the 99th percentile can be told; the median time that reading the
clock takes is taken off. The others are the fastest of several rounds, as all that disturbs a round makes it slower.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.measure.machine import StepBound, step_bound
from gatewise.model import Model
from gatewise.stream import Stream

SESSIONS = (16, 256)
ROUNDS = 10
MOST_STEPS = 1 << 16
LEAST_PUSHES = 200


@dataclass(frozen=True)
class Bench:
    """Measured seconds a step of one model, on one thread.

    Attributes:
        cpu: the instruction set the model ran on.
        pushes: how many pushes were timed.
        push_median: of a step through `Stream.push`, with `out` given.
        push_p99: what 99 of 100 pushes do not exceed.
        push_many: of a step within `Stream.push_many`.
        pool: sessions -> of a step of one of them, when `Pool.push` steps them all.
        bound: the least time of a step at batch 1.
    """

    cpu: str
    pushes: int
    push_median: float
    push_p99: float
    push_many: float
    pool: Mapping[int, float]
    bound: StepBound


def bench(model: Model, seconds: float = 1.0, sessions: Sequence[int] = SESSIONS) -> Bench:
    """Measure a model on random readings.

    Args:
        model: the model.
        seconds: time to spend, roughly; at least LEAST_PUSHES pushes are timed.
        sessions: sizes of the pools to measure.

    Raises:
        InputError: no time to spend, or a pool without sessions.
        SpecError: a model that cannot be streamed.
    """
    if not seconds > 0 or any(n < 1 for n in sessions):
        raise InputError(f"bench needs seconds > 0 and pools of at least 1 session, got {seconds}, {list(sessions)}")
    model = model.relative()  # whose readings are float32, as these are
    share = seconds / (2 + len(sessions))
    times = _pushes(model, share)
    pools = {n: _pool(model, n, share) for n in sessions}
    median, p99 = np.quantile(times, [0.5, 0.99])
    return Bench(model.cpu, len(times), float(median), float(p99), _many(model, share), pools, step_bound(model))


def _pushes(model: Model, seconds: float) -> Array:
    """Seconds of each push."""
    stream, clock = _stream(model), time.perf_counter_ns
    x, out = _readings(model, 1)[0], np.empty(model.outputs, np.float32)
    empty = np.array([-clock() + clock() for _ in range(1000)])
    for _ in range(10):
        stream.push(x, out)
    taken: list[int] = []
    end = clock() + 1e9 * seconds
    while clock() < end or len(taken) < LEAST_PUSHES:
        start = clock()
        stream.push(x, out)
        taken.append(clock() - start)
    times: Array = np.maximum(np.array(taken) - np.median(empty), 1) * 1e-9
    return times


def _many(model: Model, seconds: float) -> float:
    stream = _stream(model)

    def rounds(steps: int) -> float:
        x = _readings(model, steps)
        start = time.perf_counter()
        stream.push_many(x)
        return time.perf_counter() - start

    return _fastest(rounds, seconds)


def _pool(model: Model, sessions: int, seconds: float) -> float:
    pool, ids, state = model.pool(sessions), np.arange(sessions), _stream(model).get_state()
    for session in range(sessions):
        pool.set_state(session, state)
    x, out = _readings(model, sessions), np.empty((sessions, model.outputs), np.float32)

    def rounds(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            pool.push(ids, x, out)
        return time.perf_counter() - start

    return _fastest(rounds, seconds) / sessions


def _fastest(rounds: Callable[[int], float], seconds: float) -> float:
    """Seconds a step, by a function that takes so many steps and returns the seconds they took."""
    steps = 1
    while (taken := rounds(steps)) < seconds / ROUNDS / 4 and steps < MOST_STEPS:
        steps *= 2
    steps = max(1, min(round(steps * seconds / ROUNDS / max(taken, 1e-9)), MOST_STEPS))
    return min(rounds(steps) for _ in range(ROUNDS)) / steps


def _stream(model: Model) -> Stream:
    """A stream in the middle of a sequence: a window is full, so that each answer costs what it will always cost."""
    stream = model.stream()
    stream.push_many(_readings(model, model.window or 1))
    return stream


def _readings(model: Model, rows: int) -> Array:
    drawn = np.random.default_rng(0).standard_normal((rows, model.inputs), np.float32)
    return np.where(drawn < model.limits[0], -drawn, drawn)  # of which a transform can make something
