"""The challengers that are trained: which, for how long, and in which order.

The questions come first: the same architecture again, another recurrence, half the units. If the budget allows, the
most promising recipe is then trained on shorter windows and on fewer groups, which tells how far back information
helps, and whether more data would help.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from gatewise.assessment.setup import Setup
from gatewise.assessment.words import TOO_SMALL
from gatewise.comparison.budget import Budget
from gatewise.comparison.challengers import (
    LEAST_SECONDS,
    UNITS_OF_TIME,
    Recipe,
    Trained,
    halved,
    same_layers,
    train,
)
from gatewise.comparison.examples import Examples
from gatewise.errors import GatewiseError
from gatewise.spec import LayerSpec

SHARE = 0.85
"""Share of the rest of the budget that goes into training; running, measuring and drawing need the rest."""

SPEED = 1e10
"""Multiply-accumulates in a second that a training does about, for deciding how many questions fit into the budget."""

MOST_PASS = 20_000
"""A full training should last for a pass over the windows, or over this many of them."""

DEFAULT = LayerSpec("gru", units=64)

OTHERS = {"lstm": "gru", "gru": "lstm", "rnn": "gru"}
"""The other recurrence that is tried in place of each kind; for all other kinds, that of `DEFAULT`."""

PARTS = (0.25, 0.5)
"""The shares of the groups on which the curve over the amount of data is measured, besides all of them."""

EXTRA = 0.5
"""The time of a training for a curve, in full trainings."""


@dataclass
class Challenges:
    """What was trained.

    Attributes:
        trained: the recipes after their training.
        unanswered: question whose recipe was not trained -> why.
        faults: point of a curve -> why it could not be trained.
        by_window: number of rows of a window -> metric on the judging rows, of one recipe with one seed.
        by_share: share of the groups of the data -> the same.
        of: name of the recipe of both curves.
    """

    trained: list[Trained] = field(default_factory=list)
    unanswered: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    by_window: dict[int, float] = field(default_factory=dict)
    by_share: dict[float, float] = field(default_factory=dict)
    of: str = ""


def challenge(case: Setup, budget: Budget) -> Challenges:
    """Train the recipes, as many as the budget allows, and then the points of the curves.

    Args:
        case: what is assessed.
        budget: `SHARE` of what is left of it is spent.

    Returns:
        What was trained. What could not be trained is among its `faults` and `unanswered`; no error is raised for it.
    """
    recipes, found = recipes_of(case), Challenges()
    if case.data.targets.shape[1] > 1:
        why = "challengers are trained for one target, and there are several"
        return Challenges(unanswered={each.question: why for each in recipes})
    seconds, extras = SHARE * budget.left, EXTRA * (len(_windows(case)) + len(PARTS) + 1)
    least = _least(case)
    with_extras = seconds >= least * (len(recipes) * UNITS_OF_TIME + extras)
    while recipes and seconds < least * len(recipes) * UNITS_OF_TIME:
        found.unanswered[recipes[-1].question] = TOO_SMALL
        recipes = recipes[:-1]
    unit = seconds / max(1e-9, len(recipes) * UNITS_OF_TIME + (extras if with_extras else 0))
    for recipe in recipes:
        try:
            data = taught(case) if recipe.question == "shrink" else case.data
            found.trained.append(train(recipe, data, unit * UNITS_OF_TIME, budget))
        except GatewiseError as error:
            found.unanswered[recipe.question] = str(error)
    if with_extras and found.trained:
        _curves(case, budget, found, EXTRA * unit)
    return found


def taught(case: Setup) -> Examples:
    """The data with the answers of the incumbent as targets.

    A smaller model that shall take the place of a larger one learns faster from its answers than from true targets,
    because they have no noise (Bucila, Caruana & Niculescu-Mizil 2006; Hinton, Vinyals & Dean 2015).

    Raises:
        InputError: the incumbent has no finite answer to a window of the data.
    """
    return replace(case.data, targets=case.incumbent.answers(case.data))


def recipes_of(case: Setup) -> list[Recipe]:
    """All challengers that make sense, the most important first.

    A model that forgets because of its kind is asked about another recurrence first. Without layers that can be trained
    again, a default recurrence is the only challenger.
    """
    model, loss = case.incumbent.model, case.metric.loss
    layers = None if model is None else same_layers(model, case.data.targets.shape[1])
    if layers is None:
        return [Recipe(f"a {DEFAULT.kind} of {DEFAULT.options['units']} units", "recurrence", (DEFAULT,), loss)]
    again = Recipe("the same architecture, retrained", "retrain", layers, loss)
    other = Recipe(*_other(layers), loss=loss)
    smaller = Recipe("half the units, taught by the model", "shrink", halved(layers), loss)
    forgets = any(layer.kind == "rnn" for layer in layers)  # another training does not mend that
    return [other, again, smaller] if forgets else [again, other, smaller]


def _other(layers: tuple[LayerSpec, ...]) -> tuple[str, str, tuple[LayerSpec, ...]]:
    """The name, the question and the layers of the other recurrence, with the sizes of the given one."""
    units = [layer.options["units"] for layer in layers if layer.kind in OTHERS]
    kind = next((OTHERS[layer.kind] for layer in layers if layer.kind in OTHERS), DEFAULT.kind)
    sizes = units or [DEFAULT.options["units"]]
    article = "an" if kind[0] in "lr" else "a"  # an lstm and an rnn, which are spelt out
    name = f"{article} {kind} of {' and '.join(map(str, sizes))} units"
    return name, "recurrence", tuple(LayerSpec(kind, units=size) for size in sizes)


def _least(case: Setup) -> float:
    """Seconds that a full training of the incumbent's size needs at least."""
    model = case.incumbent.model
    macs = 50_000 if model is None else model.graph.macs
    rows = (case.data.lookback or 1) * min(len(case.data), MOST_PASS)
    return max(LEAST_SECONDS, 3.0 * macs * rows / SPEED)


def _windows(case: Setup) -> list[int]:
    """The shorter windows on which a recipe is trained."""
    whole = case.data.lookback or 1
    return sorted({1, whole // 4, whole // 2} - {0, whole})


def _curves(case: Setup, budget: Budget, found: Challenges, seconds: float) -> None:
    """Train the recipe with the lowest held-out loss on shorter windows and on fewer groups."""
    # The held-out losses of a smaller model are about other targets.
    own = [each for each in found.trained if each.recipe.question != "shrink"] or found.trained
    best = min(own, key=lambda each: min(loss for *_, loss in each.held_out))
    found.of = best.recipe.name

    def metric(data: Examples, judge: Examples) -> float:
        trained = train(best.recipe, data, seconds, budget, seeds=1, rates=(best.learning_rate,))
        return case.metric.of(judge.targets, trained.answers(judge)[0])

    shorter = {k: partial(metric, *_shorter(case, k)) for k in _windows(case)}
    groups = np.random.default_rng(case.seed).permutation(np.unique(case.data.groups))
    if case.data.blocks:
        groups = np.sort(groups)[::-1]  # the latest blocks
    parts = {share: case.data.of_groups(groups[: max(1, round(share * len(groups)))]) for share in PARTS}
    fewer = {share: partial(metric, part, case.judge) for share, part in parts.items()}
    _each(shorter, found.by_window, found.faults, "windows")
    _each(fewer, found.by_share, found.faults, "shares")
    whole = case.data.lookback or 1
    _each({whole: partial(metric, case.data, case.judge)}, found.by_window, found.faults, "windows")
    if whole in found.by_window:
        found.by_share[1.0] = found.by_window[whole]


def _each(tasks: Mapping[Any, Callable[[], float]], into: dict[Any, float], faults: dict[str, str], name: str) -> None:
    """Measure each point of a curve; a part of the data on which nothing can be trained has none."""
    for key, measure in tasks.items():
        try:
            into[key] = measure()
        except GatewiseError as error:
            faults[f"{name} {key:g}"] = str(error)


def _shorter(case: Setup, lookback: int) -> tuple[Examples, Examples]:
    """The examples with shorter windows that end in the same rows."""
    return replace(case.data, lookback=lookback), replace(case.judge, lookback=lookback)
