"""Measure the gates of recurrent layers on data: how open they are, and how long their units remember.

A gate is closed at a step if its value is below 0.05, and open if it is above 0.95. The state of a unit is multiplied
by its retention gate f_t in each step, such as the forget gate of an LSTM, so that k steps keep the share f_1 ... f_k.
The time constant is the number of steps in which the mean share falls to 1/e, if the values of the gate at different
steps are independent::

    tau  =  -1 / ln(mean_t f_t)                       = -1 / ln f for a constant gate

A gate that is usually 1, and 0 once in T steps, therefore has a time constant of about T steps.

Gers, Schmidhuber and Cummins 2000, "Learning to forget"; Mozer 1992, "Induction of multiscale temporal structure"
(units with time constants); Tallec and Ollivier 2018, "Can recurrent neural networks warp time?" (arXiv 1804.11188),
where 1 / (1 - f), which is close to tau where f is close to 1, is the characteristic forgetting time.

The time constant describes the direct path of a state to itself. Where gates or candidates read the state, as in an
LSTM, information can also be kept on other paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gatewise.layers.base import Array
from gatewise.measure.sampled import STEPS, Visits, visits
from gatewise.measure.sequences import Progress, Readings, sequences
from gatewise.model import Model

CLOSED, OPEN = 0.05, 0.95
"""A gate is closed below the first value and open above the second one."""

QUANTILES = (0.1, 0.5, 0.9)
"""The quantiles over units that `LayerGates.quantiles` gives."""


@dataclass(frozen=True)
class Gate:
    """One gate of a layer at the sampled steps.

    Attributes:
        mean: mean value of each unit, (units,) float64.
        closed: share of steps at which the gate of each unit is closed, below 0.05, (units,).
        open: share of steps at which it is open, above 0.95, (units,).
    """

    mean: Array
    closed: Array
    open: Array


@dataclass(frozen=True)
class LayerGates:
    """The gates of one layer.

    Attributes:
        layer: name of the layer.
        kind: its kind.
        gates: name of the gate -> its statistics.
        retention: name of the gate that multiplies the state; None = the layer has no such gate.
        time_constants: time constant of each unit in steps, (units,) float64: 0 if the unit keeps nothing, inf if it
            never forgets; empty without a retention gate.
    """

    layer: str
    kind: str
    gates: Mapping[str, Gate]
    retention: str | None
    time_constants: Array

    @property
    def quantiles(self) -> Array:
        """The quantiles 0.1, 0.5 and 0.9 of the time constants over units, (3,): each is that of one unit."""
        if not self.time_constants.size:
            return np.full(len(QUANTILES), np.nan)
        return np.quantile(self.time_constants, QUANTILES, method="inverted_cdf")


@dataclass(frozen=True)
class Gates:
    """The gates of a model on data.

    Attributes:
        layers: the layers that have gates, in order of execution.
        steps: number of steps that were sampled.
    """

    layers: tuple[LayerGates, ...]
    steps: int


def gates(model: Model, x: Readings, steps: int = STEPS, progress: Progress | None = None) -> Gates:
    """Measure the gates of all layers that have some, in float64.

    At most `steps` steps are sampled, in stretches spread evenly over the data, see `gatewise.measure.sampled`.

    Args:
        model: the model.
        x: readings (time, inputs) or (batch, time, inputs), or a list of (time, inputs).
        steps: greatest number of steps that are sampled.
        progress: called with the number of parts done and their total number; None = not called.

    Returns:
        the gates of each layer; no layers for a model without gates.

    Raises:
        InputError: the readings do not fit the model.
    """
    found = visits(sequences(model, x), steps, progress)
    measured = [one for one in map(_measured, found) if one is not None]
    return Gates(tuple(measured), len(found[0].reads[0]) if found else 0)


def _measured(visit: Visits) -> LayerGates | None:
    layer = visit.node.layer
    if not layer.causal:
        return None
    values = layer.gates(visit.tensors, visit.before, *visit.reads)  # name -> (steps, units)
    if not values:
        return None
    statistics = {
        name: Gate(value.mean(axis=0), (value < CLOSED).mean(axis=0), (value > OPEN).mean(axis=0))
        for name, value in values.items()
    }
    kept = values[layer.retention] if layer.retention is not None else np.empty((1, 0))
    return LayerGates(visit.node.name, layer.kind, statistics, layer.retention, time_constants(kept))


def time_constants(retention: Array) -> Array:
    """The time constant of each unit, in steps.

    Args:
        retention: factors of the state (steps, units).

    Returns:
        (units,) float64.
    """
    with np.errstate(divide="ignore"):
        rate = np.log(np.abs(retention).mean(axis=0))  # a step; -inf where nothing is kept
        return np.where(rate < 0, -1.0 / np.minimum(rate, 0.0), np.inf)
