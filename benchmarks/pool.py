"""One step of many sessions: `Pool.push` compared with a batch of the same size in torch and in ONNX Runtime.

    python benchmarks/pool.py [--kinds gru lstm] [--sessions 16 256] [--units 64 128] [--inputs 16]
                              [--rounds 15] [--seconds 0.2]

Everything runs on one thread, and all contestants carry their states from step to step. torch runs the layer and the
cell in eager inference mode. ONNX Runtime runs a graph of a single node with inputs and outputs bound to memory. They
take turns; a ratio is the median over rounds of the ratio within a round. The pool is given its sessions in order and,
as `shuffled`, in another order in each push, so that their states have to be gathered.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np

import gatewise as gw
from common import interleave, ratio, record
from peers import Work, agree, one_layer, onnx_steps, torch_steps


def our_steps(model: gw.Model, x: np.ndarray, shuffled: bool) -> Work:
    """`Pool.push` with all sessions."""
    pool, y = model.pool(len(x)), np.empty((len(x), model.outputs), np.float32)
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(x)) if shuffled else np.arange(len(x)) for _ in range(8)]

    def work(count: int) -> None:
        push = pool.push
        for i in range(count):
            push(orders[i % 8], x, y)

    return work


def measure(kind: str, units: int, sessions: int, inputs: int, rounds: int, seconds: float) -> dict[str, object]:
    """All contestants at one size."""
    model = one_layer(kind, units, inputs)
    x = np.random.default_rng(0).standard_normal((sessions, inputs)).astype(np.float32)
    agree(kind, model, x)
    contestants = {
        "pool": our_steps(model, x, shuffled=False),
        "pool, shuffled": our_steps(model, x, shuffled=True),
        "onnxruntime": onnx_steps(kind, model, x),
        "torch layer": torch_steps(kind, model, x, False, 1),
        "torch cell": torch_steps(kind, model, x, True, 1),
    }
    times = interleave(contestants, rounds, seconds)
    ratios = {name: ratio(taken, times["pool"]) for name, taken in times.items()}
    taken = statistics.median(times["pool"])
    return {
        "kind": kind,
        "units": units,
        "sessions": sessions,
        "inputs": inputs,
        "microseconds": {name: 1e6 * statistics.median(each) for name, each in times.items()},
        "ratio": ratios,
        "ratio to the better peer": min(ratios[name] for name in ("onnxruntime", "torch layer", "torch cell")),
        "GFLOP/s": 2 * model.graph.macs * sessions / taken / 1e9,
    }


def main() -> None:
    """Measure, print a table, write results/pool.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=["gru", "lstm"], choices=["gru", "lstm"])
    parser.add_argument("--sessions", type=int, nargs="+", default=[16, 256])
    parser.add_argument("--units", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--inputs", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.2, help="length of one turn")
    options = parser.parse_args()
    results = [
        measure(kind, units, sessions, options.inputs, options.rounds, options.seconds)
        for kind in options.kinds
        for units in options.units
        for sessions in options.sessions
    ]
    print(
        f"one step of all sessions, {options.inputs} inputs, one thread; medians of {options.rounds} interleaved rounds"
    )
    print("kind  units  sessions   pool us  GFLOP/s  onnxruntime  nn layer  nn cell  shuffled")
    for row in results:
        ratios = row["ratio"]
        print(
            f"{row['kind']:<5} {row['units']:>5} {row['sessions']:>9} {row['microseconds']['pool']:>9.1f}"
            f" {row['GFLOP/s']:>8.0f} {ratios['onnxruntime']:>11.2f}x {ratios['torch layer']:>8.2f}x"
            f" {ratios['torch cell']:>7.2f}x {ratios['pool, shuffled']:>8.2f}x"
        )
    print(f"written to {record('pool', results)}")


if __name__ == "__main__":
    main()
