"""Challengers: what is handed over of several seeds, and what their recipes are made of."""

from typing import Any

import pytest

from gatewise.comparison.challengers import halved, middle, same_layers
from gatewise.model import init
from gatewise.spec import LayerSpec, ModelSpec


@pytest.mark.parametrize(
    ("metrics", "number"), [([3.0, 1.0, 2.0], 2), ([1.0, 1.0, 2.0], 1), ([5.0], 0), ([2.0, 1.0], 1)]
)
def test_the_middle_seed(metrics: list[float], number: int) -> None:
    assert middle(metrics) == number


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
