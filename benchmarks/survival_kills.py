"""SIGKILL at random moments: nothing may be lost, and the result must be that of an uninterrupted run.

    python benchmarks/survival_kills.py [--kills 300]

A third of the kills each are for

- `gatewise train --checkpoint`: the same command is started again until it is done. Its model must be equal to that of
  an uninterrupted training in every bit. (Here checkpoints are written after each update, not twice a minute.)
- `gatewise stream --state --replay`: it is started again until the input ends. Its output file must be equal to that of
  an uninterrupted stream in every byte.
- `Model.save` over an older file: afterwards the file must be the complete old model or the complete new one.

A kill counts as `midway` if there was progress since the last start; for saves, if a half-written file was left beside
the complete one. Any difference ends the script with a message. It writes results/survival_kills.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from common import record

PROGRAM = [sys.executable, "-c", "from gatewise.cli import main; main()"]
OFTEN = """
from gatewise.cli import main
from gatewise.train.loop import fit
assert "checkpoint_every" in fit.__kwdefaults__
fit.__kwdefaults__["checkpoint_every"] = 0.0
main()
"""
TRAINING = ["--steps", "1000", "--units", "8", "--quiet"]
LINES = 20_000
PATIENCE = 50
"""The number of kills in a row without progress after which the script gives up."""


def life(command: Sequence[str], moment: float | None, stdin: Path | None = None, stdout: Path | None = None) -> bool:
    """Start a command and kill it after the given seconds; returns whether it was done before."""
    source = open(stdin, "rb") if stdin else subprocess.DEVNULL  # noqa: SIM115
    output = open(stdout, "ab") if stdout else subprocess.DEVNULL  # noqa: SIM115
    try:
        process = subprocess.Popen(command, stdin=source, stdout=output, stderr=subprocess.PIPE)
        try:
            _, said = process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return False
    finally:
        for file in (source, output):
            if not isinstance(file, int):
                file.close()
    if process.returncode:
        raise SystemExit(f"{' '.join(command[3:])} failed: {said.decode()}")
    return True


def seconds(command: Sequence[str], stdin: Path | None = None, stdout: Path | None = None) -> float:
    """The seconds that a command takes without interruption."""
    start = time.monotonic()
    life(command, None, stdin, stdout)
    return time.monotonic() - start


def tensors(path: Path) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in gw.load(path).tensors.items()}


def kill_training(kills: int, folder: Path, chance: random.Random) -> dict[str, Any]:
    """Run trainings, each of which is killed and started again until it is done."""
    data, reference, output, checkpoint = (folder / name for name in ("data.csv", "ref", "out", "checkpoint"))
    rng = np.random.default_rng(0)
    t = np.arange(1500)
    values = np.sin(t / 9) + 0.1 * rng.normal(size=len(t))
    data.write_text("v\n" + "".join(f"{v:.4f}\n" for v in values))
    whole = seconds([*PROGRAM, "train", str(data), "-o", str(reference), *TRAINING])
    wanted = tensors(reference)
    command = [sys.executable, "-c", OFTEN, "train", str(data), "-o", str(output)]
    command += ["--checkpoint", str(checkpoint), *TRAINING]
    done = killed = midway = in_a_row = 0
    while killed < kills or in_a_row:
        was_there = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
        if life(command, chance.uniform(0, 1.2 * whole) if killed < kills else None):
            if tensors(output) != wanted:
                raise SystemExit(f"the model after {in_a_row} kills is not that of an uninterrupted training")
            done, in_a_row = done + 1, 0
            output.unlink()
            checkpoint.unlink()
            continue
        killed, in_a_row = killed + 1, in_a_row + 1
        if output.exists():
            tensors(output)
        now_there = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
        if was_there and not now_there:
            raise SystemExit("a checkpoint is gone")
        midway += now_there != was_there
        if in_a_row > PATIENCE:
            raise SystemExit(f"{in_a_row} kills in a row, and the training is not done")
    return {"kills": killed, "midway": midway, "completed": done, "equal": done}


def kill_streams(kills: int, folder: Path, chance: random.Random) -> dict[str, Any]:
    """Run streams, each of which is killed and started again until its input ends."""
    model, lines, reference, output, state = (folder / name for name in ("model", "lines", "ref", "out", "state"))
    layers = [gw.LayerSpec("gru", units=16), gw.LayerSpec("dense", units=2)]
    gw.init(gw.ModelSpec(2, layers)).save(model)
    readings = np.random.default_rng(1).normal(size=(LINES, 2))
    lines.write_text("".join(json.dumps(row) + "\n" for row in readings.tolist()))
    whole = seconds([*PROGRAM, "stream", str(model)], lines, reference)
    wanted = reference.read_bytes()
    command = [*PROGRAM, "stream", str(model), "--state", str(state), "--replay"]
    done = killed = midway = in_a_row = 0
    while killed < kills or in_a_row:
        before = output.stat().st_size if output.exists() else 0
        finished = life(command, chance.uniform(0, 1.5 * whole) if killed < kills else None, lines, output)
        now = output.read_bytes()
        # Also in between: only whole results that are wanted, but for the line that was being written.
        if len(now) < before - 1000 or not wanted.startswith(now):
            raise SystemExit(f"after {in_a_row} kills the results are not those of an uninterrupted stream")
        if finished:
            if now != wanted:
                raise SystemExit(f"after {in_a_row} kills results are missing")
            done, in_a_row = done + 1, 0
            output.unlink()
            state.unlink()
            continue
        killed, in_a_row, midway = killed + 1, in_a_row + 1, midway + (len(now) > before)
        if in_a_row > PATIENCE:
            raise SystemExit(f"{in_a_row} kills in a row, and the stream is not done")
    return {"kills": killed, "midway": midway, "completed": done, "equal": done}


def kill_saves(kills: int, folder: Path, chance: random.Random) -> dict[str, Any]:
    """Save two models in turn over one file, each time until a kill."""
    path = folder / "model"
    spec = gw.ModelSpec(4, [gw.LayerSpec("gru", units=96)])
    models = [gw.init(spec, seed).replace(provenance={"seed": seed, "pad": "x" * 50_000 * seed}) for seed in (0, 1)]
    start = time.perf_counter()
    for model in (models[1], models[0]):
        model.save(path)
    each = (time.perf_counter() - start) / 2
    seen, torn = [0, 0], 0
    ready, tell = os.pipe()
    for _ in range(kills):
        child = os.fork()
        if not child:
            os.write(tell, b".")
            while True:
                for model in (models[1], models[0]):
                    model.save(path)
        os.read(ready, 1)
        time.sleep(chance.uniform(0, 4 * each))
        os.kill(child, 9)
        os.waitpid(child, 0)
        found = gw.load(path)
        which = found.provenance["seed"]
        if any((found.tensors[name] != value).any() for name, value in models[which].tensors.items()):
            raise SystemExit("the file holds neither of the two models")
        seen[which] += 1
        for piece in folder.glob(".model.*.tmp"):  # a kill in the middle of a write leaves this, in nobody's way
            torn += 1
            piece.unlink()
    return {"kills": kills, "midway": torn, "old": seen[0], "new": seen[1], "equal": kills}


def main() -> None:
    """Kill, check, print, write results/survival_kills.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    each = -(-options.kills // 3)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for what, work in (("train", kill_training), ("stream", kill_streams), ("save", kill_saves)):
            folder = Path(name) / what
            folder.mkdir()
            start = time.monotonic()
            results[what] = work(each, folder, random.Random(f"{options.seed} {what}"))
            print(f"{what}: {results[what]}, {time.monotonic() - start:.0f} s", flush=True)
    results["kills"] = sum(results[what]["kills"] for what in ("train", "stream", "save"))
    print(f"{results['kills']} kills; written to {record('survival_kills', results)}")


if __name__ == "__main__":
    main()
