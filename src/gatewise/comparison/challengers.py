"""Challengers: architectures that are trained on the examples, with successive halving and several seeds.

A recipe is trained with each learning rate for a short time, the better ones longer (successive halving: Jamieson &
Talwalkar 2016), and the best one for its full time with each seed. What chooses is the loss on groups of the training
data that are held out; the rows that judge are not looked at.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.comparison.budget import Budget
from gatewise.comparison.examples import Examples
from gatewise.comparison.running import answers_of_windows
from gatewise.errors import GatewiseWarning
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.spec import LayerSpec
from gatewise.tables.table import unused
from gatewise.tasks.conformal import margin
from gatewise.tasks.regressor import Regressor

if TYPE_CHECKING:
    import pandas as pd


RATES = (1e-3, 3e-3, 1e-2)
"""The learning rates that are tried."""

RUNGS = ((len(RATES), 1 / 8), (2, 1 / 4))
"""Successive halving: how many learning rates are trained, each for which share of the full time."""

SEEDS = 3

MAP = "dense"
"""The kind of the last map to the answer, which a task adds to the layers of a recipe."""

UNITS_OF_TIME = sum(count * share for count, share in RUNGS) + SEEDS
"""The time that a recipe takes, in full trainings."""

LEAST_SECONDS = 2.0
"""The least time for one full training; with less, a recipe is not tried."""


@dataclass(frozen=True)
class Recipe:
    """An architecture to train.

    Attributes:
        name: for people, e.g. "the same architecture, retrained".
        question: the question that it answers, e.g. "retrain".
        layers: its layers, without the last map to the answer.
        loss: "squared" or "absolute".
    """

    name: str
    question: str
    layers: tuple[LayerSpec, ...]
    loss: str = "squared"


@dataclass(frozen=True)
class Trained:
    """A recipe after its training.

    Attributes:
        recipe: the recipe.
        tasks: the trained task for each seed.
        learning_rate: the learning rate that was chosen.
        seconds: how long one full training took.
        whole: how long all trainings took.
        converged: whether more training promises little: the training ended by itself for most seeds, or it made at
            least `PASSES` over the data, and four times the time lowered the held-out loss by less than `ENOUGH`.
        held_out: the held-out loss of each rung and learning rate: (seconds, learning rate, loss).
    """

    recipe: Recipe
    tasks: tuple[Regressor, ...]
    learning_rate: float
    seconds: float
    whole: float
    converged: bool
    held_out: tuple[tuple[float, float, float], ...]

    def answers(self, examples: Examples) -> list[Array]:
        """The answers of each seed, (n, k) float64 each."""
        return [answers_of_task(task, examples) for task in self.tasks]


def middle(metrics: Sequence[float]) -> int:
    """The number of the seed with the middle metric, which is neither lucky nor unlucky.

    Args:
        metrics: the metric of each seed on the same rows. Their held-out losses cannot be compared, because each seed
            holds out other groups.
    """
    order = np.argsort(metrics, kind="stable")
    return int(order[(len(order) - 1) // 2])


def calibrated(task: Regressor, answers: Array, examples: Examples) -> Model:
    """The model of a task with an interval from its errors on examples that it was not trained on.

    Args:
        task: the task; its own interval is from held-out series, of which there are few.
        answers: (n, 1) its answers to the examples.
        examples: the examples; the errors of one group count as much as those of another.
    """
    errors = np.abs(answers - examples.targets)[:, 0]
    found, _ = margin([errors[examples.groups == group] for group in np.unique(examples.groups)], task.coverage)
    tensors = {**task.model_.tensors, "head.margin": np.array([found], np.float32)}
    return task.model_.replace(tensors=tensors, task=task.model_.task)


ENOUGH, PASSES = 0.02, 2
"""When a training has converged, see `Trained`."""


def train(
    recipe: Recipe,
    data: Examples,
    seconds: float,
    budget: Budget,
    seeds: int = SEEDS,
    rates: Sequence[float] = RATES,
) -> Trained:
    """Train a recipe.

    Raises:
        GatewiseError: it cannot be trained on these data; the message says why.

    Args:
        recipe: the recipe.
        data: the examples to train on; a part of their groups is held out.
        seconds: the time for all its trainings; `seconds / UNITS_OF_TIME` is that of one full training.
        budget: records the time.
        seeds: number of seeds.
        rates: the learning rates that are tried; with one, none has to be chosen.
    """
    frame = frame_of(data)
    rungs = RUNGS if len(rates) > 1 else ()
    full = seconds / (sum(count * share for count, share in rungs) + seeds)
    tried: list[tuple[float, float, float]] = []
    left = list(rates)
    begun = budget.used
    with budget.doing(f"training {recipe.name}"):
        for count, share in rungs:
            losses = {}
            for rate in left[:count]:
                task = _fit(recipe, data, frame, rate, 0, full * share)
                losses[rate] = _held_out(task)
                tried.append((full * share, rate, losses[rate]))
            left = sorted(losses, key=lambda rate: losses[rate])
        before = min((loss for seconds, _, loss in tried if seconds == tried[-1][0]), default=math.inf)
        tasks = tuple(_fit(recipe, data, frame, left[0], seed, full) for seed in range(seeds))
    first = _held_out(tasks[0])
    tried.append((full, left[0], first))
    ended = sum(task.history_.stopped == "patience" for task in tasks) > seeds / 2
    passed = all(task.history_.records[-1].epoch >= PASSES for task in tasks)
    still = before - first < ENOUGH * abs(before)
    return Trained(
        recipe, tasks, left[0], full, budget.used - begun, ended or (passed and still), tuple(tried)
    )  # fmt: skip


def frame_of(data: Examples) -> pd.DataFrame:
    """The examples as a long frame: the series, the columns, and the target in the last rows of the windows.

    Rows that no window reads are left out, such as those with missing readings; what is left of a series are its parts.
    Columns that are constant in the rows of the windows are left out, because nothing can be learnt from them.
    """
    import pandas as pd

    frame = pd.DataFrame(data.rows, columns=list(data.columns))
    frame = frame[[name for name, varies in zip(data.columns, data.varying, strict=True) if varies]]
    used = data.read
    ids = np.empty(len(frame), object)
    for name, start, stop in data.series:
        stretch = np.cumsum(np.diff(used[start:stop], prepend=False) & used[start:stop])
        ids[start:stop] = [f"{name}" if k <= 1 else f"{name}, part {k}" for k in stretch]
    target = np.full(len(frame), np.nan)
    target[data.ends] = data.targets[:, 0]
    frame[target_name(data)] = target
    frame[series_name(data)] = ids
    return frame[used].reset_index(drop=True)


def series_name(data: Examples) -> str:
    """The name of the column of ids in `frame_of`: that in the data, if there is one."""
    return data.by or unused("series", [*data.columns, target_name(data)])


def target_name(data: Examples) -> str:
    """The name of the column of the target in `frame_of`: that in the data, if it is not an input as well."""
    return unused(data.target_names[0], data.columns)


def answers_of_task(task: Regressor, examples: Examples) -> Array:
    """The answers of a trained task to examples, (n, k) float64."""
    at = [examples.columns.index(name) for name in task.columns_]
    answers = answers_of_windows(task.model_, examples, lambda readings: readings[..., at])
    return answers[:, :1]  # without the ends of the interval


def _fit(recipe: Recipe, data: Examples, frame: pd.DataFrame, rate: float, seed: int, seconds: float) -> Regressor:
    task = Regressor(
        recurrence=list(recipe.layers),
        target=target_name(data),
        series=series_name(data) if frame[series_name(data)].nunique() > 1 else None,
        context={"window": data.lookback or 1},
        loss=recipe.loss,
        learning_rate=rate,
        batch=64,
        random_state=seed,
    )
    with warnings.catch_warnings():  # what is odd about the data is told once, by the assessment
        warnings.simplefilter("ignore", GatewiseWarning)
        if task.series is None:
            frame = frame.drop(columns=series_name(data))
        return task.fit(frame, seconds=seconds, baselines=False)  # which the caller compares


def _held_out(task: Regressor) -> float:
    found = task.history_.best_validation
    return math.inf if found is None else found


def same_layers(model: Model, outputs: int) -> tuple[LayerSpec, ...] | None:
    """The layers of a model without its last linear map to the answer; None if it has no other layer."""
    nodes = model.spec.nodes
    last = nodes[-1].options
    if last.get("units") == outputs and last.get("activation", "linear") == "linear" and nodes[-1].kind == MAP:
        nodes = nodes[:-1]
    return nodes or None


def halved(layers: Sequence[LayerSpec]) -> tuple[LayerSpec, ...]:
    """The layers with half the units."""

    def half(layer: LayerSpec) -> LayerSpec:
        units: Any = layer.options.get("units")
        return layer if units is None else layer.replace(units=max(1, units // 2))

    return tuple(half(layer) for layer in layers)
