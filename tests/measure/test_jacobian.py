"""Lyapunov exponents, against eigenvalues that were chosen, formulas of gates, and Jacobians by torch."""

import math

import numpy as np
import pytest
import torch

import gatewise as gw
from gatewise.errors import InputError, SpecError
from gatewise.layers.base import Array
from gatewise.measure import jacobian_decay
from measure.models import delay_line, linear

X = np.random.default_rng(0).standard_normal((600, 2)).astype(np.float32)


def test_the_rates_are_the_logarithms_of_the_eigenvalues() -> None:
    rotated = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    a = rotated @ np.diag([0.9, -0.5, 0.1]) @ rotated.T
    found = jacobian_decay(linear(a, np.ones((3, 2))), X, exponents=3)
    assert found.rates.shape == (3, 3)
    assert np.allclose(found.rates, np.log([0.9, 0.5, 0.1]), atol=1e-6)  # A is rounded to float32
    assert found.rate == pytest.approx(math.log(0.9), abs=1e-6)
    assert found.half_life == pytest.approx(math.log(2) / -math.log(0.9), rel=1e-5)
    turn = 0.8 * np.array([[math.cos(1), -math.sin(1)], [math.sin(1), math.cos(1)]])
    assert np.allclose(jacobian_decay(linear(turn, np.ones((2, 2))), X, 2).rates, math.log(0.8), atol=1e-6)


def test_what_grows_has_no_half_life_and_what_is_forgotten_at_once_has_none_left() -> None:
    grows = jacobian_decay(linear([[1.01]], [[1.0, 0.0]]), X)
    assert grows.rate == pytest.approx(math.log(1.01), abs=1e-6)
    assert grows.half_life == math.inf
    gone = jacobian_decay(delay_line(4), X[:, :1])
    assert (gone.rate, gone.half_life) == (-math.inf, 0.0)


@pytest.mark.parametrize("window", [None, 40])
def test_a_gate_that_is_constant_keeps_its_share(window: int | None) -> None:
    context = "carried" if window is None else {"window": window}
    stage = gw.LayerSpec("numeric", width=2, scaling="standard", missing="hold")  # whose state is left out
    drawn = gw.init(gw.ModelSpec(input=stage, layers=[gw.LayerSpec("gru", units=3)], context=context))
    tensors = dict(drawn.tensors) | {
        "gru0.weight_ih": np.zeros((9, 2), np.float32),
        "gru0.weight_hh": np.zeros((9, 3), np.float32),
        "gru0.bias_ih": np.array([0, 0, 0, 1, 3, 2, 0, 0, 0], np.float32),
    }
    found = jacobian_decay(drawn.replace(tensors=tensors), X, exponents=3, length=200)
    assert found.steps == (100 if window is None else 20)
    expected = [math.log(1 / (1 + math.exp(-b))) for b in (3, 2, 1)]
    assert np.allclose(found.rates.sum(axis=1), sum(expected), atol=1e-6)  # the determinant, whatever the directions
    assert np.allclose(found.rates.mean(axis=0), expected, atol=1e-6 if window is None else 0.02)


def _by_torch(model: gw.Model, x: Array, count: int, skip: int) -> Array:
    """The exponents of an LSTM on one sequence, from Jacobians by automatic differentiation."""
    cell = torch.nn.LSTMCell(2, 4, dtype=torch.float64)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        getattr(cell, name).data = torch.from_numpy(model.tensors[f"lstm0.{name}"].copy()).double()
    state, q = torch.zeros(8, dtype=torch.float64), torch.linalg.qr(torch.randn(8, count, dtype=torch.float64))[0]
    logs = []
    for reading in torch.from_numpy(x).double():

        def step(s: torch.Tensor, reading: torch.Tensor = reading) -> torch.Tensor:
            return torch.cat(cell(reading[None], (s[None, :4], s[None, 4:])), dim=1)[0]

        q, r = torch.linalg.qr(torch.autograd.functional.jacobian(step, state) @ q)
        state = step(state).detach()
        logs.append(r.diagonal().abs().log())
    return torch.stack(logs[skip:]).mean(0).numpy()


def test_an_lstm_has_the_exponents_of_the_jacobians_by_torch() -> None:
    model = gw.init(gw.ModelSpec(inputs=2, layers=[gw.LayerSpec("lstm", units=4)]), seed=5)
    seen: list[tuple[int, int]] = []
    found = jacobian_decay(model, X, exponents=2, length=600, progress=lambda *at: seen.append(at))
    assert np.allclose(found.rates[0], _by_torch(model, X, 2, 300), atol=1e-6)
    assert (found.rates.shape, found.steps, seen[-1]) == ((1, 2), 300, (600, 600))


def test_what_has_no_jacobian_is_refused() -> None:
    model = delay_line(3)
    both = gw.bidirectional(gw.LayerSpec("gru", units=3), source="input")
    with pytest.raises(SpecError, match="needs the whole sequence, .* measure truncated_context"):
        jacobian_decay(gw.init(gw.ModelSpec(inputs=2, layers=both, context={"window": 9})), X)
    with pytest.raises(SpecError, match="no layer of this model has a state"):
        jacobian_decay(gw.init(gw.ModelSpec(inputs=2, layers=[gw.LayerSpec("dense", units=3)])), X)
    with pytest.raises(InputError, match="exponents must be 1 to 4"):
        jacobian_decay(model, X[:, :1], exponents=5)
    with pytest.raises(InputError, match="at least two steps"):
        jacobian_decay(model, X[:1, :1])
    with pytest.raises(InputError, match="no longer finite"):
        jacobian_decay(linear([[1e20]], [[1.0, 0.0]]), X[:40])
