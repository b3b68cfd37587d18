"""Measurements of models and of the machine. Each is one function, whose docstring gives the formula.

`gradients`, which measures how far back a recurrence can learn, needs torch and is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gatewise.measure.bench import Bench as Bench
from gatewise.measure.bench import bench as bench
from gatewise.measure.cost import Cost as Cost
from gatewise.measure.cost import NodeCost as NodeCost
from gatewise.measure.cost import cost as cost
from gatewise.measure.machine import Peaks as Peaks
from gatewise.measure.machine import StepBound as StepBound
from gatewise.measure.machine import StepTimes as StepTimes
from gatewise.measure.machine import machine_peaks as machine_peaks
from gatewise.measure.machine import step_bound as step_bound
from gatewise.measure.machine import step_times as step_times

if TYPE_CHECKING:
    from gatewise.measure import gradients as gradients

__all__ = [
    "Bench",
    "Cost",
    "NodeCost",
    "Peaks",
    "StepBound",
    "StepTimes",
    "bench",
    "cost",
    "machine_peaks",
    "step_bound",
    "step_times",
]


def __getattr__(name: str) -> Any:
    if name == "gradients":
        return importlib.import_module("gatewise.measure.gradients")
    raise AttributeError(f"module 'gatewise.measure' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "gradients"})
