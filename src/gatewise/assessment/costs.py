"""What an answer costs: bytes, memory of a session, and time on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from gatewise.assessment.findings import Candidate
from gatewise.assessment.words import duration, size
from gatewise.measure import bench
from gatewise.model import Model

REPEATS = 15


def of_model(model: Model) -> dict[str, Any]:
    """The cost of a model in the native core, as fields of a `Candidate`."""
    streams = model.graph.streams
    return {
        "bytes": sum(value.nbytes for value in model.tensors.values()),
        "state_bytes": model.graph.state_bytes,
        "step_seconds": bench(model, 0.2, ()).push_median if streams else seconds_of(lambda: _one_run(model)),
        "native": True,
    }


def seconds_of(answer: Callable[[], object]) -> float:
    """The median time of one answer."""
    times = []
    answer()
    for _ in range(REPEATS):
        start = time.perf_counter()
        answer()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def obstacle(candidate: Candidate, latency: float | None, memory: int | None) -> str:
    """Why a candidate is not shown to satisfy the constraints, in a sentence; "" if it does; see `breaks`."""
    if latency is not None and candidate.step_seconds is None:
        return f"The time of one answer of {candidate.name} is not known, so it is not shown to meet the constraint."
    if memory is not None and candidate.memory is None:
        return f"The size of {candidate.name} is not known, so it is not shown to meet the constraint."
    return breaks(candidate, latency, memory)


def breaks(candidate: Candidate, latency: float | None, memory: int | None) -> str:
    """Which constraint a candidate is known to break, in a sentence; "" if none.

    Args:
        candidate: the candidate.
        latency: the most seconds for an answer.
        memory: the most bytes for parameters and one session.
    """
    if latency is not None and candidate.step_seconds is not None and candidate.step_seconds > latency:
        return (
            f"One answer of {candidate.name} takes {duration(candidate.step_seconds)} on this machine, more than the "
            f"{duration(latency)} that are allowed."
        )
    if memory is not None and candidate.memory is not None and candidate.memory > memory:
        return (
            f"The parameters and one session of {candidate.name} take {size(candidate.memory)}, more than the "
            f"{size(memory)} that are allowed."
        )
    return ""


def _one_run(model: Model) -> Any:
    return model.run(np.zeros((1, model.window or 1, model.inputs), np.float32))
