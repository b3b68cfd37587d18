"""Measurements: what a model costs, and what the machine allows. Each is one function with its formula."""

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
