"""Measurements of models, on data or without, and of the machine. Each is one function with its formula in a docstring.

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
from gatewise.measure.dimension import Dimension as Dimension
from gatewise.measure.dimension import StateDimension as StateDimension
from gatewise.measure.dimension import state_dimension as state_dimension
from gatewise.measure.gates import Gate as Gate
from gatewise.measure.gates import Gates as Gates
from gatewise.measure.gates import LayerGates as LayerGates
from gatewise.measure.gates import gates as gates
from gatewise.measure.importance import ColumnImportance as ColumnImportance
from gatewise.measure.importance import column_importance as column_importance
from gatewise.measure.jacobian import JacobianDecay as JacobianDecay
from gatewise.measure.jacobian import jacobian_decay as jacobian_decay
from gatewise.measure.machine import Peaks as Peaks
from gatewise.measure.machine import StepBound as StepBound
from gatewise.measure.machine import StepTimes as StepTimes
from gatewise.measure.machine import machine_peaks as machine_peaks
from gatewise.measure.machine import step_bound as step_bound
from gatewise.measure.machine import step_times as step_times
from gatewise.measure.truncated import TruncatedContext as TruncatedContext
from gatewise.measure.truncated import truncated_context as truncated_context
from gatewise.measure.washout import Washout as Washout
from gatewise.measure.washout import washout as washout

if TYPE_CHECKING:
    from gatewise.measure import gradients as gradients

__all__ = [
    "Bench",
    "ColumnImportance",
    "Cost",
    "Dimension",
    "Gate",
    "Gates",
    "JacobianDecay",
    "LayerGates",
    "NodeCost",
    "Peaks",
    "StateDimension",
    "StepBound",
    "StepTimes",
    "TruncatedContext",
    "Washout",
    "bench",
    "column_importance",
    "cost",
    "gates",
    "jacobian_decay",
    "machine_peaks",
    "state_dimension",
    "step_bound",
    "step_times",
    "truncated_context",
    "washout",
]


def __getattr__(name: str) -> Any:
    if name == "gradients":
        return importlib.import_module("gatewise.measure.gradients")
    raise AttributeError(f"module 'gatewise.measure' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "gradients"})
