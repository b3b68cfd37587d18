"""Peaks, bounds and step times."""

import os
from pathlib import Path

import pytest

import gatewise as gw
from gatewise import _core
from gatewise.errors import SpecError
from gatewise.measure import StepBound, machine_peaks, step_bound, step_times
from gatewise.measure.machine import Cache, caches, processor_name, usable_cores

SPEC = gw.ModelSpec(inputs=16, layers=[gw.LayerSpec("gru", units=64), gw.LayerSpec("dense", units=3)])


def test_bound_is_the_longer_of_reading_and_computing() -> None:
    bound = StepBound(packed_bytes=64_000, read_bytes=64_000, macs=16_000, bandwidth=32e9, flops=20e9)
    assert (bound.reading, bound.computing) == (2e-6, 1.6e-6)
    assert bound.seconds == 2e-6
    assert StepBound(packed_bytes=64_000, read_bytes=64_000, macs=30_000, bandwidth=32e9, flops=20e9).seconds == 3e-6


@pytest.mark.parametrize("cpu", _core.instruction_sets())
def test_bound_of_a_model(cpu: str) -> None:
    model = gw.init(SPEC, cpu=cpu)
    bound = step_bound(model)
    macs = 3 * (16 * 64 + 64 * 64) + 64 * 3
    assert bound.macs == macs
    weights = 4 * (macs + 2 * 3 * 64 + 3)
    assert weights <= bound.packed_bytes <= 1.2 * weights + 1024, "packing pads to whole panels, no more"
    assert 1e8 < bound.bandwidth < 1e13
    assert 1e8 < bound.flops < 1e13


def test_bound_of_a_window_counts_every_step_that_is_rerun() -> None:
    plain = gw.ModelSpec(inputs=16, layers=[gw.LayerSpec("gru", units=64)])
    window = gw.ModelSpec(inputs=16, layers=[gw.LayerSpec("gru", units=64)], context={"window": 12})
    one, all_steps = step_bound(gw.init(plain)), step_bound(gw.init(window))
    assert (all_steps.macs, all_steps.read_bytes) == (12 * one.macs, 12 * one.packed_bytes)
    assert all_steps.packed_bytes == one.packed_bytes == one.read_bytes


def test_step_times() -> None:
    times = step_times(gw.init(SPEC), seconds=0.05)
    assert 1e-8 < times.native < 1e-3
    assert times.native / 2 < times.push < 1e-3, "a push contains the step; half allows for a busy machine"


def test_peaks() -> None:
    peaks = machine_peaks(sizes=(1 << 14, 1 << 22))
    assert peaks.instruction_sets == _core.instruction_sets()
    assert peaks.cpu == peaks.instruction_sets[0]
    assert list(peaks.bandwidth) == [1 << 14, 1 << 22]
    assert peaks.processor == processor_name() != ""
    assert 1 <= peaks.cores == usable_cores() <= (os.cpu_count() or 1)
    assert machine_peaks("base", sizes=()).cpu == "base"
    with pytest.raises(SpecError, match="z80"):
        machine_peaks("z80", sizes=())


def test_caches(tmp_path: Path) -> None:
    described = [("1", "Data", "32K"), ("1", "Instruction", "32K"), ("2", "Unified", "1024K"), ("3", "Unified", "odd")]
    for i, (level, kind, size) in enumerate(described):
        folder = tmp_path / f"index{i}"
        folder.mkdir()
        for name, value in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(value + "\n")
    (tmp_path / "index9").mkdir()
    assert caches(tmp_path) == (Cache("L1d", 32768), Cache("L2", 1048576))
    assert caches(tmp_path / "none") == ()
