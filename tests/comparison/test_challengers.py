"""Challengers: what is handed over of several seeds, and what their recipes are made of."""

import warnings
from typing import Any

import numpy as np
import pytest

from assessment.tables import linear
from gatewise.comparison import examples
from gatewise.comparison.challengers import answers_of_task, calibrated, halved, middle, same_layers
from gatewise.errors import GatewiseWarning
from gatewise.model import init
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.tasks.regressor import Regressor


@pytest.mark.parametrize(
    ("metrics", "number"), [([3.0, 1.0, 2.0], 2), ([1.0, 1.0, 2.0], 1), ([5.0], 0), ([2.0, 1.0], 1)]
)
def test_the_middle_seed(metrics: list[float], number: int) -> None:
    assert middle(metrics) == number


def test_the_interval_is_from_the_examples_that_judge() -> None:
    """Nine groups reach a coverage of 0.9 with the largest error; of 100 equal groups it is the 91st error of 100."""
    table = linear(14, 20)
    task = Regressor(recurrence="gru", units=2, target="y", series="id", context={"window": 3}, steps=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GatewiseWarning)
        task.fit(table[["id", "u", "y"]], baselines=False)
    judge = examples(linear(100, 3, seed=1), ["u"], ["y"], lookback=3, groups="id")
    answers = answers_of_task(task, judge)
    errors = np.sort(np.abs(answers - judge.targets)[:, 0])
    model = calibrated(task, answers, judge)
    assert model.tensors["head.margin"][0] == pytest.approx(errors[90], rel=1e-6)
    assert model.task == task.model_.task
    nine = judge.of_groups(np.arange(9))
    few = calibrated(task, answers[:9], nine)
    assert few.tensors["head.margin"][0] == pytest.approx(np.abs(answers[:9] - nine.targets).max(), rel=1e-6)


def test_the_layers_of_a_model_without_its_last_map() -> None:
    gru, tanh = LayerSpec("gru", units=5), LayerSpec("dense", units=1, activation="tanh")
    last = LayerSpec("dense", units=1)

    def layers(*given: LayerSpec) -> Any:
        found = same_layers(init(ModelSpec(inputs=2, layers=list(given)), 0), 1)
        return None if found is None else [(each.kind, each.options["units"]) for each in found]

    assert layers(gru, last) == [("gru", 5)]
    assert layers(gru, tanh) == [("gru", 5), ("dense", 1)], "a bounded answer is a layer of its own"
    assert layers(last) is None


def test_half_the_units_are_at_least_one() -> None:
    found = halved((LayerSpec("gru", units=5), LayerSpec("rnn", units=1)))
    assert [each.options["units"] for each in found] == [2, 1]
