"""The activations of the core against float64, over all magnitudes a float can have.

`make native-test-full` sweeps every float; here every 2048th, through the built module.
"""

from collections.abc import Callable

import numpy as np
import pytest

from gatewise import _core
from gatewise.layers.base import Array

CPUS = _core.instruction_sets()
FLOATS = np.arange(0, 1 << 32, 2048, dtype=np.uint64).astype(np.uint32).view(np.float32)
FINITE = np.sort(FLOATS[np.isfinite(FLOATS)])
SMALLEST_NORMAL = np.finfo(np.float32).tiny

EXACT: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda x: np.where(x < 0, np.exp(np.minimum(x, 0)), 1.0) / (1 + np.exp(-np.abs(x))),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
}


def activation(name: str, x: Array, cpu: str) -> Array:
    out = np.empty_like(x)
    _core.activation(name, x, out, cpu)
    return out


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("name", EXACT)
def test_within_the_stated_error_of_float64(name: str, cpu: str) -> None:
    with np.errstate(under="ignore"):
        exact = EXACT[name](FINITE.astype(np.float64))
    got = activation(name, FINITE, cpu).astype(np.float64)
    assert np.abs(got - exact).max() <= 3e-7
    assert np.isfinite(got).all()


@pytest.mark.parametrize("cpu", CPUS)
def test_tanh_is_relative_near_zero(cpu: str) -> None:
    near = FINITE[(np.abs(FINITE) < 0.5) & (np.abs(FINITE) >= SMALLEST_NORMAL)]
    exact = np.tanh(near.astype(np.float64))
    assert np.abs(activation("tanh", near, cpu) / exact - 1).max() <= 1e-6
    tiny = np.array([0.0, -0.0, 1e-20, -1e-20], np.float32)
    assert activation("tanh", tiny, cpu).tobytes() == tiny.tobytes()


@pytest.mark.parametrize("cpu", CPUS)
def test_sigmoid_is_relative_on_the_left(cpu: str) -> None:
    left = FINITE[(FINITE < 0) & (FINITE > -80)]
    exact = EXACT["sigmoid"](left.astype(np.float64))
    assert np.abs(activation("sigmoid", left, cpu) / exact - 1).max() <= 1e-6


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize(("name", "low", "high"), [("sigmoid", 0.0, 1.0), ("tanh", -1.0, 1.0)])
def test_never_beyond_the_bounds_and_never_falling(name: str, low: float, high: float, cpu: str) -> None:
    got = activation(name, FINITE, cpu)
    assert got.min() == low
    assert got.max() == high
    # Rounding may make neighbours step back by an ulp or two, no more.
    assert np.diff(got.astype(np.float64)).min() >= -2.5e-7


@pytest.mark.parametrize("cpu", CPUS)
def test_at_infinity_and_nan(cpu: str) -> None:
    x = np.array([np.inf, -np.inf, np.nan, -np.nan] * 9, np.float32)
    nan = [np.nan, np.nan]
    for name, wanted in (("sigmoid", [1, 0, *nan]), ("tanh", [1, -1, *nan]), ("relu", [np.inf, 0, *nan])):
        np.testing.assert_array_equal(activation(name, x, cpu), np.array(wanted * 9, np.float32))


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("name", EXACT)
def test_a_value_does_not_depend_on_where_it_stands(name: str, cpu: str) -> None:
    # Tails shorter than a vector go another way than whole vectors.
    x = np.random.default_rng(0).normal(0, 4, 67).astype(np.float32)
    whole = activation(name, x, cpu)
    for length in range(68):
        assert activation(name, x[:length].copy(), cpu).tobytes() == whole[:length].tobytes()
