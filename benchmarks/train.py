"""Training: forward, backward and a step of the optimiser, compared with torch's own layers and scans.

    python benchmarks/train.py [--parts layers ragged scans memory] [--kinds rnn lstm gru] [--batches 16 32]
                               [--steps 64 128 512] [--units 32 64 128 256] [--inputs 16] [--rounds 7] [--seconds 0.1]

Everything is in float32. All contestants take turns, each with one thread and with all of them. A ratio is the time of
the other contestant with its better number of threads, divided by ours with our better one; both are medians over the
rounds.

layers   one recurrent layer, its squared output as the loss, AdamW: torch's `nn.RNN`, `nn.LSTM` or `nn.GRU`
ragged   the same with rows of random lengths, by `pack_padded_sequence`; and torch over the padding, which solves
         another problem, because it also learns from the padding
scans    h[t] = a[t] h[t-1] + b[t] and its gradient: in the log domain (Heinsen 2023), by doubling (Hillis & Steele
         1986), and as a loop in torch
memory   the largest resident size of a process beyond its size before, for one training step of four layers
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import gatewise as gw
from common import interleave, record
from gatewise.train import scan, to_torch

TORCH = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
THREADS = sorted({1, os.cpu_count() or 1})
Work = Callable[[int], None]
Forward = Callable[[Tensor], Tensor]


def training(parameters: Sequence[Tensor], forward: Forward, x: Tensor) -> Callable[[], None]:
    """A training step with the mean square of the output of `forward` as the loss."""
    optimiser = torch.optim.AdamW(parameters, lr=1e-4)

    def step() -> None:
        optimiser.zero_grad()
        forward(x).square().mean().backward()
        optimiser.step()

    return step


def gatewise_layer(kind: str, units: int, inputs: int, depth: int = 1, recompute: bool = False) -> torch.nn.Module:
    """One or more layers of gatewise; the module returns (y, state)."""
    layers = [gw.LayerSpec(kind, units=units) for _ in range(depth)]
    return to_torch(gw.init(gw.ModelSpec(inputs, layers)), recompute=recompute)


def torch_layer(kind: str, units: int, inputs: int, depth: int = 1) -> torch.nn.Module:
    """A layer of torch; it returns (y, state)."""
    return TORCH[kind](inputs, units, depth, batch_first=True)


def at(threads: int, step: Callable[[], object]) -> Work:
    """A function that runs the step repeatedly with the given number of threads."""

    def work(count: int) -> None:
        torch.set_num_threads(threads)
        for _ in range(count):
            step()

    return work


def compare(steps: Mapping[str, Callable[[], object]], rounds: int, seconds: float) -> dict[str, Any]:
    """Milliseconds of each contestant at its better thread count, and the ratio of each to the first."""
    contestants = {(name, threads): at(threads, step) for name, step in steps.items() for threads in THREADS}
    labels = {f"{name}, {threads}": (name, threads) for name, threads in contestants}
    taken = interleave({label: contestants[key] for label, key in labels.items()}, rounds, seconds)
    medians = {labels[label]: 1e3 * statistics.median(times) for label, times in taken.items()}
    best = {name: min((medians[name, threads], threads) for threads in THREADS) for name in steps}
    own = best[next(iter(steps))][0]
    return {
        "milliseconds": {name: {str(threads): medians[name, threads] for threads in THREADS} for name in steps},
        "threads": {name: threads for name, (_, threads) in best.items()},
        "ratio": {name: taken / own for name, (taken, _) in best.items()},
    }


def sgemm_peak(rounds: int) -> dict[int, float]:
    """GFLOP/s of a product of two 1,024 x 1,024 matrices in torch, by threads."""
    a = torch.randn(1024, 1024)
    work = {str(threads): at(threads, lambda: a @ a) for threads in THREADS}
    taken = interleave(work, rounds, 0.1)
    return {int(threads): 2 * 1024**3 / statistics.median(times) / 1e9 for threads, times in taken.items()}


def layers(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One layer with rows of equal length."""
    peak = sgemm_peak(options.rounds)
    for kind in options.kinds:
        for batch in options.batches:
            for time in options.steps:
                for units in options.units:
                    torch.manual_seed(0)
                    x = torch.randn(batch, time, options.inputs)
                    own, theirs = (make(kind, units, options.inputs) for make in (gatewise_layer, torch_layer))
                    found = compare(
                        {
                            "gatewise": training(list(own.parameters()), lambda x, net=own: net(x)[0], x),
                            "torch": training(list(theirs.parameters()), lambda x, net=theirs: net(x)[0], x),
                        },
                        options.rounds,
                        options.seconds,
                    )
                    threads = found["threads"]["gatewise"]
                    # forward, the gradient of the state, that of the weights; that of x is not wanted
                    rows = int(next(own.parameters()).shape[0])
                    macs = rows * (2 * (units + options.inputs) + units) * batch * time
                    speed = 2 * macs / found["milliseconds"]["gatewise"][str(threads)] / 1e6
                    yield {
                        "kind": kind,
                        "batch": batch,
                        "steps": time,
                        "units": units,
                        "inputs": options.inputs,
                        **found,
                        "GFLOP/s": speed,
                        "of sgemm": speed / peak[threads],
                    }


def ragged(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One layer with rows whose lengths are uniformly distributed from 1 step to all."""
    for kind in options.kinds:
        for units in options.units:
            torch.manual_seed(0)
            batch, time = max(options.batches), 128
            x, lengths = torch.randn(batch, time, options.inputs), torch.randint(1, time + 1, (batch,))
            own, theirs = (make(kind, units, options.inputs) for make in (gatewise_layer, torch_layer))

            def packed(x: Tensor, net: torch.nn.Module = theirs, lengths: Tensor = lengths) -> Tensor:
                rows = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
                return pad_packed_sequence(net(rows)[0], batch_first=True, total_length=x.shape[1])[0]

            found = compare(
                {
                    "gatewise": training(
                        list(own.parameters()), lambda x, net=own, lengths=lengths: net(x, lengths=lengths)[0], x
                    ),
                    "torch, packed": training(list(theirs.parameters()), packed, x),
                    "torch, padded": training(list(theirs.parameters()), lambda x, net=theirs: net(x)[0], x),
                },
                options.rounds,
                options.seconds,
            )
            yield {"kind": kind, "batch": batch, "steps": time, "units": units, "inputs": options.inputs, **found}


def log_scan(log_a: Tensor, log_b: Tensor) -> Tensor:
    """In the log domain, for positive a and b and from zero: log h = s + logcumsumexp(log b - s), s = cumsum(log a)."""
    s = log_a.cumsum(1)
    return (s + (log_b - s).logcumsumexp(1)).exp()


def doubling_scan(a: Tensor, b: Tensor) -> Tensor:
    """A scan in rounds, each of which joins pairs of neighbouring segments of steps."""
    reach = 1
    while reach < b.shape[1]:
        b = torch.cat([b[:, :reach], b[:, reach:] + a[:, reach:] * b[:, :-reach]], 1)
        a = torch.cat([a[:, :reach], a[:, reach:] * a[:, :-reach]], 1)
        reach *= 2
    return b


def loop_scan(a: Tensor, b: Tensor) -> Tensor:
    """One step after the other."""
    h, found = torch.zeros_like(b[:, 0]), []
    for one, two in zip(a.unbind(1), b.unbind(1), strict=True):
        h = one * h + two
        found.append(h)
    return torch.stack(found, 1)


SCANS = (64, 128, 256, 512, 1024, 2048)
"""Steps of the scans."""


def scans(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The scan alone, from zero, with a and b in (0, 1), as the log domain requires."""
    batch, width = max(options.batches), 64
    for time in SCANS:
        torch.manual_seed(0)
        a, b = torch.rand(2, batch, time, width).clamp(1e-3).unbind(0)
        zero, weights = torch.zeros(batch, width), torch.randn(batch, time, width)
        logs = [value.log().requires_grad_() for value in (a, b)]
        given = [value.clone().requires_grad_() for value in (a, b)]
        close = [log_scan(*(value.detach() for value in logs)), doubling_scan(a, b), loop_scan(a, b)]
        for other in close:
            torch.testing.assert_close(other, scan(a, b, zero)[0], rtol=1e-3, atol=1e-4)

        def step(
            forward: Callable[[], Tensor], inputs: list[Tensor], weights: Tensor = weights
        ) -> Callable[[], object]:
            return lambda: torch.autograd.grad((forward() * weights).sum(), inputs)

        steps = {
            "gatewise": step(lambda given=given, zero=zero: scan(*given, zero)[0], given),
            "log domain": step(lambda logs=logs: log_scan(*logs), logs),
            "doubling": step(lambda given=given: doubling_scan(*given), given),
            "loop": step(lambda given=given: loop_scan(*given), given),
        }
        found = compare(steps, options.rounds, options.seconds)
        yield {"batch": batch, "steps": time, "width": width, **found}


MEMORY = {"depth": 4, "batch": 32, "steps": 1024, "units": 128}


def memory(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Each contestant in a process of its own."""
    for kind in options.kinds:
        found = {}
        for who in ("gatewise", "gatewise, recompute", "torch"):
            command = [sys.executable, __file__, "--peak-of", who, "--kinds", kind, "--inputs", str(options.inputs)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[who] = json.loads(done.stdout)
        yield {"kind": kind, **MEMORY, "inputs": options.inputs, "MiB": found}


def peak_of(who: str, kind: str, inputs: int) -> float:
    """The peak of memory of a training step in MiB; it must be the first work of this process."""
    make = torch_layer if who == "torch" else gatewise_layer
    more = {"recompute": True} if "recompute" in who else {}
    net = make(kind, MEMORY["units"], inputs, MEMORY["depth"], **more)
    step = training(list(net.parameters()), lambda x: net(x)[0], torch.randn(MEMORY["batch"], MEMORY["steps"], inputs))
    training(list(net.parameters()), lambda x: net(x)[0], torch.randn(1, 2, inputs))()  # what is loaded at first use
    before = greatest_size()
    step()
    return greatest_size() - before


def greatest_size() -> float:
    """The peak of memory of this process in MiB. Only on Linux; getrusage would include the memory of the parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


PARTS: Mapping[str, Callable[[argparse.Namespace], Iterator[dict[str, Any]]]] = {
    "layers": layers,
    "ragged": ragged,
    "scans": scans,
    "memory": memory,
}


def line(part: str, row: dict[str, Any]) -> str:
    """A row of the results as a printed line."""
    keys = ("kind", "depth", "batch", "steps", "units", "width")
    sizes = "  ".join(f"{key} {row[key]}" for key in keys if key in row)
    if part == "memory":
        return f"{sizes}: " + ", ".join(f"{who} {size:.0f} MiB" for who, size in row["MiB"].items())
    own = min(row["milliseconds"]["gatewise"].values())
    ratios = ", ".join(f"{ratio:.2f}x of {who}" for who, ratio in list(row["ratio"].items())[1:])
    speed = f", {row['GFLOP/s']:.0f} GFLOP/s, {row['of sgemm']:.0%} of sgemm" if "GFLOP/s" in row else ""
    return f"{sizes}: {own:.2f} ms, {ratios}{speed}"


def means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The geometric mean of the ratios, by kind and peer."""
    found: dict[str, list[float]] = {}
    for row in rows:
        for who, ratio in list(row["ratio"].items())[1:]:
            found.setdefault(f"{row['kind']} against {who}" if "kind" in row else who, []).append(ratio)
    return {name: math.exp(statistics.fmean(map(math.log, ratios))) for name, ratios in found.items()}


def main() -> None:
    """Measure, print, write results/train.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--kinds", nargs="+", default=list(TORCH), choices=TORCH)
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--steps", type=int, nargs="+", default=[64, 128, 512])
    parser.add_argument("--units", type=int, nargs="+", default=[32, 64, 128, 256])
    parser.add_argument("--inputs", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.1, help="length of one turn")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_of:
        print(peak_of(options.peak_of, *options.kinds, options.inputs))
        return
    results: dict[str, Any] = {}
    for part in options.parts:
        rows = []
        for row in PARTS[part](options):
            print(line(part, row), flush=True)
            rows.append(row)
        results[part] = {"rows": rows} if part == "memory" else {"rows": rows, "geometric mean": means(rows)}
        for name, mean in results[part].get("geometric mean", {}).items():
            print(f"{part}, geometric mean: {mean:.2f}x of {name}")
    whole = set(options.parts) == set(PARTS)
    print(f"written to {record('train', results)}" if whole else "not written: only with all parts")


if __name__ == "__main__":
    main()
