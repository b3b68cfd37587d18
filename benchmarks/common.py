"""Functions that the benchmark scripts share: interleaved timing, and a record of the machine and versions."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from gatewise import _core
from gatewise.measure.machine import processor_name

FOLDER = Path(__file__).parent


def interleave(contestants: Mapping[str, Callable[[int], None]], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Time contestants in turn, round by round, so that a change of the machine's speed affects all of them.

    Args:
        contestants: name -> function that does its work a given number of times.
        rounds: how often each contestant has its turn; the order is reversed every other round.
        seconds: about how long one turn lasts.

    Returns:
        name -> seconds for doing the work once, a number for each round.
    """
    repeats = {}
    for name, work in contestants.items():
        work(1)
        count = 1
        while (took := _seconds(work, count)) < seconds / 4:
            count *= 2
        repeats[name] = max(1, round(count * seconds / took))
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds):
        for name in list(contestants)[:: -1 if turn % 2 else 1]:
            times[name].append(_seconds(contestants[name], repeats[name]) / repeats[name])
    return times


def ratio(others: list[float], ours: list[float]) -> float:
    """Median over the rounds of (other's time / our time) in the same round."""
    return statistics.median(other / own for other, own in zip(others, ours, strict=True))


def record(name: str, results: Any) -> Path:
    """Write results/NAME.json beside the scripts, with the machine, the versions and the commit."""
    path = FOLDER / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"about": about(), "results": results}, indent=1, sort_keys=True) + "\n")
    return path


def about() -> dict[str, Any]:
    """The machine, the versions and the commit with which figures are measured."""
    versions = {}
    for package in ("gatewise", "numpy", "torch", "onnxruntime", "scikit-learn", "scipy"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain", "src") else ""),
        "cores": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d"),
        "instruction_sets": list(_core.instruction_sets()),
        "processor": processor_name(),
        "python": platform.python_version(),
        "system": platform.system(),
        "versions": versions,
    }


def _seconds(work: Callable[[int], None], count: int) -> float:
    start = time.perf_counter()
    work(count)
    return time.perf_counter() - start


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    return done.stdout.strip()
