"""Measure the limits of the machine: read bandwidth, FMA peak, and the least time of one step that follows from them.

One step at batch 1 reads every weight once and does two floating-point operations with it, so on one core

    t >= max(packed bytes / bandwidth(packed bytes), 2 MACs / peak)

(the roofline model: Williams, Waterman and Patterson 2009, "Roofline: An Insightful Visual Performance Model for
Multicore Architectures"). The bandwidth is that of the cache level which holds the weights, so it is measured on a
working set of the same size. Activations, gates and the call itself take additional time, so no step reaches the bound.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gatewise import _core
from gatewise.measure.cost import cost
from gatewise.model import Model

KIB = 1024
SIZES = (16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB, 4096 * KIB, 16384 * KIB, 65536 * KIB)
"""Working sets, in bytes, for which `machine_peaks` measures the bandwidth: from the first cache to main memory."""


@dataclass(frozen=True)
class Cache:
    """One cache of the first core: its name (L1d, L2, L3, ...) and size in bytes."""

    name: str
    nbytes: int


@dataclass(frozen=True)
class Peaks:
    """The bandwidth and the arithmetic peak of one core of this machine with one instruction set.

    Attributes:
        cpu: the measured instruction set.
        instruction_sets: all instruction sets that can be used here, best first.
        processor: the name of the processor, as the system gives it.
        cores: number of cores that this process may use.
        caches: the caches of the first core; empty if the system does not list them.
        bandwidth: working set in bytes -> bytes read per second.
        flops: floating-point operations per second in fused multiply-adds (two each).
    """

    cpu: str
    instruction_sets: tuple[str, ...]
    processor: str
    cores: int
    caches: tuple[Cache, ...]
    bandwidth: Mapping[int, float]
    flops: float


@dataclass(frozen=True)
class StepBound:
    """The least time of one step at batch 1 on one core.

    Attributes:
        packed_bytes: size of the weights in the native core.
        read_bytes: bytes of weights that are read in a push. Each weight is read once, or with a window once for each
            step that is rerun.
        macs: multiply-accumulates of a push, two floating-point operations each.
        bandwidth: bytes per second, measured on a working set of packed_bytes.
        flops: floating-point operations per second.
    """

    packed_bytes: int
    read_bytes: int
    macs: int
    bandwidth: float
    flops: float

    @property
    def reading(self) -> float:
        """Seconds to read the weights: read_bytes / bandwidth."""
        return self.read_bytes / self.bandwidth

    @property
    def computing(self) -> float:
        """Seconds to do the arithmetic: 2 macs / flops."""
        return 2 * self.macs / self.flops

    @property
    def seconds(self) -> float:
        """The bound: the longer of the two, as they overlap at best."""
        return max(self.reading, self.computing)


@dataclass(frozen=True)
class StepTimes:
    """Measured seconds for one step at batch 1: in C alone, and through `Stream.push` with `out` given."""

    native: float
    push: float


def machine_peaks(cpu: str | None = None, sizes: Sequence[int] = SIZES) -> Peaks:
    """Measure bandwidth and FMA peak of one core. Takes about 50 ms for each size and 50 ms more.

    Args:
        cpu: instruction set; None = the best this machine has.
        sizes: working sets in bytes.

    Raises:
        SpecError: this machine lacks the instruction set.
    """
    known = _core.instruction_sets()
    return Peaks(
        cpu=cpu or known[0],
        instruction_sets=known,
        flops=_core.fma_peak(cpu),
        bandwidth={size: _core.bandwidth(size, cpu) for size in sizes},
        processor=processor_name(),
        cores=usable_cores(),
        caches=caches(),
    )


def step_bound(model: Model) -> StepBound:
    """Measure the bound for one step of a model, with the instruction set it runs on. Takes about 0.1 s."""
    found = cost(model)
    bandwidth = _core.bandwidth(max(found.packed_bytes, 1), model.cpu)
    read = found.packed_bytes * found.push_macs // max(found.macs, 1)  # a multiply-accumulate reads one weight
    return StepBound(found.packed_bytes, read, found.push_macs, bandwidth, _core.fma_peak(model.cpu))


def step_times(model: Model, seconds: float = 0.5) -> StepTimes:
    """Measure the time of one step of a model in the fastest of several rounds.

    Args:
        model: the model. If it has a window, each step runs over the whole window.
        seconds: approximate duration of the measurement.

    Raises:
        SpecError: the model is not causal and has no window.
    """
    stream = model.relative().stream()
    x = np.zeros(model.inputs, np.float32)
    out = np.empty(model.outputs, np.float32)
    push, start = stream.push, time.perf_counter()
    for _ in range(10):
        push(x, out)
    steps = max(10, int(seconds / 20 * 10 / max(time.perf_counter() - start, 1e-9)))
    native, pushed = [], []
    for _ in range(10):
        native.append(model._native.time_steps(steps))
        start = time.perf_counter()
        for _ in range(steps):
            push(x, out)
        pushed.append((time.perf_counter() - start) / steps)
    return StepTimes(min(native), min(pushed))


def usable_cores() -> int:
    """Number of cores on which this process may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    """The name of the processor from Linux's /proc/cpuinfo, or else from Python's platform module."""
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model", "Hardware") and value.strip():
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def caches(folder: str | os.PathLike[str] = "/sys/devices/system/cpu/cpu0/cache") -> tuple[Cache, ...]:
    """Data caches of the first core, from Linux's sysfs; empty elsewhere."""
    found = []
    for index in sorted(Path(folder).glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction" and size.endswith("K") and size[:-1].isdigit():
            found.append(Cache(f"L{level}{'d' if kind == 'Data' else ''}", int(size[:-1]) * KIB))
    return tuple(found)
