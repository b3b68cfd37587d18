"""Measure how many dimensions of its state a model uses on data.

With the eigenvalues l_1 >= l_2 >= ... of the covariance of the states that a model reaches, over steps::

    participation ratio  =  (sum_i l_i)^2 / sum_i l_i^2        n for n equal ones, 1 if one of them dominates
    components(p)        =  the least m with  l_1 + ... + l_m  >=  p sum_i l_i

Rajan, Abbott and Sompolinsky 2010, "Inferring stimulus selectivity from the spatial structure of neural network
dynamics", NIPS 23; Gao, Trautmann, Yu, Santhanam, Ryu, Shenoy and Ganguli 2017, "A theory of multineuronal
dimensionality, dynamics and measurement" (bioRxiv 214262). Values are not rescaled, so that those that vary more count
more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.measure.sampled import STEPS, remembering, visits
from gatewise.measure.sequences import Progress, Readings, sequences
from gatewise.model import Model

SHARES = (0.9, 0.95, 0.99)
"""The shares of the variance for which `Dimension.components` says how many components they need."""

SATURATED = 0.95
"""A value within -1 and 1 is saturated if its absolute value exceeds this in at least this share of the steps."""

CONSTANT = 1e-6
"""A value is constant if its range is at most this share of its greatest absolute value."""


@dataclass(frozen=True)
class Dimension:
    """How many dimensions a state has, and how many of them the model uses.

    Attributes:
        layer: name of the layer; "" for the states of all layers together.
        values: number of values in the state.
        participation: the participation ratio, from 1 to `values`; 0 if the state does not change.
        components: the number of principal components that hold 90, 95 and 99 % of the variance, (3,) int.
        constant: number of values that do not change over the steps sampled, such as dead units.
        saturated: number of values that are beyond 0.95 in absolute value in at least 95 % of the steps, counted in
            states that lie within -1 and 1 by their equation only.
    """

    layer: str
    values: int
    participation: float
    components: Array
    constant: int
    saturated: int


@dataclass(frozen=True)
class StateDimension:
    """The effective dimension of the state of a model.

    Attributes:
        layers: that of each layer with a state, in order of execution.
        total: that of the states of all layers together.
        steps: number of steps that were sampled.
    """

    layers: tuple[Dimension, ...]
    total: Dimension
    steps: int


def state_dimension(model: Model, x: Readings, steps: int = STEPS, progress: Progress | None = None) -> StateDimension:
    """Measure the effective dimension of the states that a model reaches on data, in float64.

    At most `steps` steps are sampled, in stretches spread evenly over the data, see `gatewise.measure.sampled`. The
    number should exceed that of the values in the state, because so many states cannot have more dimensions.

    Args:
        model: the model.
        x: readings (time, inputs) or (batch, time, inputs), or a list of (time, inputs).
        steps: greatest number of steps that are sampled.
        progress: called with the number of parts done and their total number; None = not called.

    Returns:
        the dimensions of each layer and of all layers.

    Raises:
        InputError: the readings do not fit the model, or are fewer than two steps.
        SpecError: no layer has a state.
    """
    data = sequences(model, x)
    named = {node.name for node in remembering(data.model)}
    found = [visit for visit in visits(data, steps, progress) if visit.node.name in named]
    states, bounded = [], []
    for visit in found:
        states.append(np.concatenate([value.reshape(len(value), -1) for value in visit.after.values()], axis=1))
        bounded.append(np.concatenate([np.full(field.size, field.bounded) for field in visit.node.state]))
    count = len(states[0])
    if count < 2:
        raise InputError(f"a dimension needs at least 2 steps, got {count}; pass longer sequences")
    layers = tuple(
        _dimension(visit.node.name, values, bound) for visit, values, bound in zip(found, states, bounded, strict=True)
    )
    return StateDimension(layers, _dimension("", np.concatenate(states, 1), np.concatenate(bounded)), count)


def _dimension(layer: str, states: Array, bounded: Array) -> Dimension:
    """The dimension of states (steps, values), some of which are bounded by 1, (values,) bool."""
    centred = states - states.mean(axis=0)
    # The eigenvalues of the covariance, but for its common factor, which cancels in shares.
    eigenvalues = np.linalg.svd(centred, compute_uv=False) ** 2
    constant = np.ptp(states, axis=0) <= CONSTANT * np.abs(states).max(axis=0)
    saturated = bounded & ((np.abs(states) > SATURATED).mean(axis=0) >= SATURATED)
    still = bool(constant.all())
    share = np.cumsum(eigenvalues) / (1.0 if still else eigenvalues.sum())
    components = [0 if still else int(np.argmax(share >= p - 1e-12)) + 1 for p in SHARES]
    ratio = 0.0 if still else float(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())
    return Dimension(layer, states.shape[1], ratio, np.array(components), int(constant.sum()), int(saturated.sum()))
