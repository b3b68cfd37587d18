"""The comparison of an imported model with given answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.importers import check, origins
from gatewise.importers.origins import KEY, Imported

SUM = gw.LayerSpec("dense", name="sum", units=1)


def model(answers: str | None, outputs: int = 1) -> gw.Model:
    """A model that answers with the sum of two readings, and twice of it, ..."""
    weights = np.arange(1.0, outputs + 1)[:, None] * np.ones((1, 2))
    tensors = {"sum.weight": weights.astype(np.float32), "sum.bias": np.zeros(outputs, np.float32)}
    record = None if answers is None else {KEY: Imported("F", None, "f", "0", answers, ()).to_dict()}
    return gw.Model(gw.ModelSpec(2, [SUM.replace(units=outputs)]), tensors, record)


X = np.arange(24.0).reshape(3, 4, 2)
Y = X.sum(-1, keepdims=True)


def test_each_step_and_the_last() -> None:
    assert check(model("each"), X, Y).holds
    assert check(model("each"), X, Y[..., 0]).holds
    assert check(model("each"), X[0], Y[0]).holds
    assert check(model("last"), X, Y[:, -1]).holds
    assert check(model("last"), X, Y[:, -1, 0]).holds
    assert check(model(None), X, Y).answers == "each"
    found = check(model("last", 2), X, np.concatenate([Y, 2 * Y], axis=-1)[:, -1])
    assert (found.holds, found.values, found.answers, found.error) == (True, 6, "last", 0.0)


def test_the_largest_error_is_relative_above_one() -> None:
    wanted = Y.copy()
    wanted[2, 1] += 0.37
    found = check(model("each"), X, wanted, tolerance=0.01)
    assert found.error == pytest.approx(0.37 / 37.37)
    assert (found.holds, found.at, found.found, found.expected) == (True, (2, 1, 0), 37.0, 37.37)
    assert not check(model("each"), X, wanted, tolerance=0.009).holds
    small = np.full((1, 1, 2), 0.1)
    assert check(model("each"), small, [[[0.3]]]).error == pytest.approx(0.1, rel=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_answers_that_should_not_be_finite(value: float) -> None:
    wanted = Y.copy()
    wanted[0, 0] = value
    found = check(model("each"), X, wanted)
    assert (found.error, found.at, found.holds) == (np.inf, (0, 0, 0), False)


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        (X, Y[:, -1], r"outputs must have the shape \(3, 4, 1\) for inputs of the shape \(3, 4, 2\).*each step"),
        (X, Y[:2], r"got \(2, 4, 1\)"),
        (X, Y.reshape(4, 3, 1), r"got \(4, 3, 1\)"),
        (X[..., :1], Y, "expects|2 inputs|width"),
        (np.array([["a"]]), Y, "inputs must be real numbers"),
        (X, np.zeros(0), "outputs must be real numbers, at least one"),
    ],
)
def test_shapes_that_do_not_fit(inputs: Any, outputs: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check(model("each"), inputs, outputs)


def test_a_tolerance_that_is_none() -> None:
    with pytest.raises(InputError, match="tolerance must be 0 or more, got -1"):
        check(model("each"), X, Y, -1)


def test_a_model_that_was_not_imported_has_no_record() -> None:
    with pytest.raises(InputError, match="not imported from another library"):
        origins(model(None))
