"""Measure how fast a model runs on this machine: single pushes, many steps in one call, and many sessions in a pool.

Each push is timed separately, which gives the median and the 99th percentile; the median time for reading the clock is
subtracted. The other times are those of the fastest of several rounds, because disturbances only make a round slower.
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
    """Measured seconds for a step of one model, on one thread.

    Attributes:
        cpu: the instruction set with which the model ran.
        pushes: number of pushes that were timed.
        push_median: median time of `Stream.push`, with `out` given.
        push_p99: the 99th percentile of these times.
        push_many: time of a step within `Stream.push_many`.
        pool: number of sessions -> time of a step of one session, if `Pool.push` advances all of them.
        bound: the least possible time of a step at batch 1.
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
        seconds: approximate duration of the measurement; at least LEAST_PUSHES pushes are timed.
        sessions: sizes of the pools to measure.

    Raises:
        InputError: `seconds` is not positive, or a pool has no sessions.
        SpecError: the model cannot run step by step.
    """
    if not seconds > 0 or any(n < 1 for n in sessions):
        raise InputError(f"bench needs seconds > 0 and pools of at least 1 session, got {seconds}, {list(sessions)}")
    model = model.relative()  # its readings are float32, like those drawn below
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
    """Seconds a step. `rounds` runs the given number of steps and returns the seconds that they took."""
    steps = 1
    while (taken := rounds(steps)) < seconds / ROUNDS / 4 and steps < MOST_STEPS:
        steps *= 2
    steps = max(1, min(round(steps * seconds / ROUNDS / max(taken, 1e-9)), MOST_STEPS))
    return min(rounds(steps) for _ in range(ROUNDS)) / steps


def _stream(model: Model) -> Stream:
    """A stream in the middle of a sequence, with a full window, so that all answers take equally long."""
    stream = model.stream()
    stream.push_many(_readings(model, model.window or 1))
    return stream


def _readings(model: Model, rows: int) -> Array:
    drawn = np.random.default_rng(0).standard_normal((rows, model.inputs), np.float32)
    return np.where(drawn < model.limits[0], -drawn, drawn)  # within the limits, also with a transform
