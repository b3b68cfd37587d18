"""Effective dimensions of states, against the eigenvalues of covariances by hand."""

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError, SpecError
from gatewise.measure import state_dimension
from measure.models import delay_line, linear

X = np.random.default_rng(0).standard_normal((640, 3)).astype(np.float32)


def test_the_states_of_a_linear_map_of_noise_have_its_rank() -> None:
    """h = B x: the eigenvalues are the squares of the diagonal of B, but for the covariance of the sample."""
    given = np.zeros((6, 3))
    given[:3] = np.diag([1.0, 1.0, 0.1])
    found = state_dimension(linear(np.zeros((6, 6)), given), X)
    assert found.steps == 640
    (layer,) = found.layers
    eigenvalues = np.linalg.eigvalsh(np.cov(X.astype(np.float64) @ given[:3].T, rowvar=False))
    assert layer.participation == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum(), rel=1e-6)
    assert layer.participation == pytest.approx(2.01**2 / 2.0001, rel=0.01)  # of the distribution
    assert layer.components.tolist() == [2, 2, 2]
    assert (layer.layer, layer.values, layer.constant, layer.saturated) == ("rnn", 6, 3, 0)


def test_a_delay_line_of_noise_has_as_many_dimensions_as_units() -> None:
    found = state_dimension(delay_line(9), [X[:400, :1], X[400:, :1]])
    assert found.total.participation == pytest.approx(10, abs=0.3)
    assert found.total.components.tolist() == [9, 10, 10]


def test_total_is_that_of_all_layers_and_the_steps_are_bounded() -> None:
    layers = [gw.LayerSpec("lstm", units=4), gw.LayerSpec("gru", units=3), gw.LayerSpec("dense", units=1)]
    model = gw.init(gw.ModelSpec(inputs=3, layers=layers), seed=1)
    found = state_dimension(model, X)
    _, states = zip(*(model.run(X[: t + 1], return_state=True) for t in range(640)), strict=True)
    values = np.concatenate([np.concatenate([s.fields[n] for s in states]) for n in states[0].fields], axis=1)
    eigenvalues = np.linalg.eigvalsh(np.cov(values.astype(np.float64), rowvar=False))
    assert [(layer.layer, layer.values) for layer in found.layers] == [("lstm0", 8), ("gru0", 3)]
    assert found.total.values == 11
    assert found.total.participation == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum(), rel=1e-5)
    shares = np.cumsum(eigenvalues[::-1]) / eigenvalues.sum()
    assert found.total.components.tolist() == [int(np.sum(shares < p)) + 1 for p in (0.9, 0.95, 0.99)]
    some: list[tuple[int, int]] = []
    assert state_dimension(model, X, steps=100, progress=lambda *at: some.append(at)).steps == 96
    assert some == [(1, 1)]


def test_dead_and_saturated_units_are_counted() -> None:
    spec = gw.ModelSpec(inputs=3, layers=[gw.LayerSpec("rnn", units=4)])
    drawn = gw.init(spec)
    weight = np.zeros((4, 3), np.float32)
    weight[:2] = [[1, 0, 0], [30, 0, 0]]  # usual; nearly always at an end
    tensors = {
        "rnn0.weight_ih": weight,
        "rnn0.weight_hh": np.zeros((4, 4), np.float32),
        "rnn0.bias_ih": np.array([0, 0, 0, 20], np.float32),  # the third is always 0, the fourth always 1
        "rnn0.bias_hh": np.zeros(4, np.float32),
    }
    (layer,) = state_dimension(drawn.replace(tensors=tensors), np.sign(X) * (np.abs(X) + 0.2)).layers
    assert (layer.constant, layer.saturated) == (2, 2)
    still = state_dimension(drawn.replace(tensors=tensors), np.zeros((50, 3)))
    assert (still.total.participation, still.total.components.tolist(), still.total.constant) == (0, [0, 0, 0], 4)


def test_what_has_no_state_is_refused() -> None:
    dense = gw.init(gw.ModelSpec(inputs=3, layers=[gw.LayerSpec("dense", units=4)]))
    with pytest.raises(SpecError, match="no layer of this model has a state"):
        state_dimension(dense, X)
    with pytest.raises(InputError, match="at least 2 steps, got 1"):
        state_dimension(delay_line(2), np.zeros((1, 1)))
