"""One step of a recurrent layer with batch size 1: gatewise through its Python API, torch and ONNX Runtime.

    python benchmarks/step.py [--kinds gru lstm] [--rounds 15] [--seconds 0.1] [--units 32 64 128 256] [--inputs 16]

All contestants carry their state from step to step, read one float32 reading and return one output. torch runs in eager
inference mode with 1 and with 2 threads, and the faster one counts. ONNX Runtime runs a graph of a single node with
inputs and outputs bound to memory, on one thread. They take turns; a ratio is the median over rounds of the ratio
within a round. The table also shows the time of a step in C, and its lower bound on this machine, which follows from
the bandwidth of the caches and the peak of multiply-adds.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np

import gatewise as gw
from common import interleave, ratio, record
from gatewise.measure.machine import step_bound
from peers import Work, agree, one_layer, onnx_steps, torch_steps


def our_step(model: gw.Model, x: np.ndarray, reuse: bool) -> Work:
    """`Stream.push`, into a given array or into a new one each time."""
    stream = model.stream()
    y = np.empty(model.outputs, np.float32)

    def work(count: int) -> None:
        push = stream.push
        if reuse:
            for _ in range(count):
                push(x, y)
        else:
            for _ in range(count):
                push(x)

    return work


def step_in_c(model: gw.Model, rounds: int, seconds: float) -> dict[str, float]:
    """A step in C, in turn with its lower bound: the longer of reading all weights and multiplying them."""
    native = model._native
    steps = max(10, round(seconds / native.time_steps(1000)))
    pairs = [(native.time_steps(steps), step_bound(model).seconds) for _ in range(rounds)]
    return {
        "C microseconds": 1e6 * statistics.median(taken for taken, _ in pairs),
        "bound microseconds": 1e6 * statistics.median(bound for _, bound in pairs),
        "C over bound": statistics.median(taken / bound for taken, bound in pairs),
    }


def measure(kind: str, units: int, inputs: int, rounds: int, seconds: float) -> dict[str, object]:
    """All contestants at one size."""
    model = one_layer(kind, units, inputs)
    x = np.random.default_rng(0).standard_normal(inputs).astype(np.float32)
    agree(kind, model, x[None])
    contestants = {
        "push": our_step(model, x, reuse=True),
        "push, new array": our_step(model, x, reuse=False),
        "onnxruntime": onnx_steps(kind, model, x[None]),
    }
    for threads in (1, 2):
        contestants[f"torch layer, {threads} threads"] = torch_steps(kind, model, x[None], False, threads)
        contestants[f"torch cell, {threads} threads"] = torch_steps(kind, model, x[None], True, threads)
    times = interleave(contestants, rounds, seconds)
    ours = times["push"]
    ratios = {name: ratio(taken, ours) for name, taken in times.items()}
    return {
        "kind": kind,
        "units": units,
        "inputs": inputs,
        "microseconds": {name: 1e6 * statistics.median(taken) for name, taken in times.items()},
        "ratio": ratios,
        "ratio to torch layer": min(ratios[f"torch layer, {threads} threads"] for threads in (1, 2)),
        "ratio to torch cell": min(ratios[f"torch cell, {threads} threads"] for threads in (1, 2)),
        "ratio to onnxruntime": ratios["onnxruntime"],
        **step_in_c(model, rounds, seconds),
    }


def main() -> None:
    """Measure, print a table, write results/step.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=["gru", "lstm"], choices=["gru", "lstm"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.1, help="length of one turn")
    parser.add_argument("--units", type=int, nargs="+", default=[32, 64, 128, 256])
    parser.add_argument("--inputs", type=int, default=16)
    options = parser.parse_args()
    results = [
        measure(kind, units, options.inputs, options.rounds, options.seconds)
        for kind in options.kinds
        for units in options.units
    ]
    print(f"one step, batch 1, {options.inputs} inputs; medians of {options.rounds} interleaved rounds")
    print("kind  units   push us  nn layer  nn cell  onnxruntime     C us  bound us  C/bound")
    for row in results:
        print(
            f"{row['kind']:<5} {row['units']:>5} {row['microseconds']['push']:>9.3f}"
            f" {row['ratio to torch layer']:>8.1f}x {row['ratio to torch cell']:>7.1f}x"
            f" {row['ratio to onnxruntime']:>11.1f}x"
            f" {row['C microseconds']:>8.3f} {row['bound microseconds']:>9.3f} {row['C over bound']:>8.2f}"
        )
    print(f"written to {record('step', results)}")


if __name__ == "__main__":
    main()
