"""Washout, against linear recurrences, whose distances are powers of their eigenvalues."""

import math

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError, SpecError
from gatewise.measure import washout
from measure.models import delay_line, linear

X = np.random.default_rng(0).standard_normal((400, 1)).astype(np.float32)


@pytest.mark.parametrize("rate", [0.5, -0.8, 0.95])
def test_distances_fall_with_the_eigenvalue(rate: float) -> None:
    found = washout(linear([[rate]], [[1.0]]), [X[:150], X[150:]], trials=40, tolerance=1e-2)
    assert found.states.shape == (40, 126)
    assert np.allclose(found.states, found.states[:, :1] * np.abs(rate) ** np.arange(126), rtol=1e-3, atol=2e-6)
    needed = np.ceil(np.log(1e-2 / found.states[:, 0]) / math.log(abs(rate)))
    assert found.state_steps == np.sort(needed)[37]
    # The answer to reading n is the state after it, in another unit: the standard deviation over all steps.
    ratio = found.answers[:, :8] / found.states[:, 1:9]
    assert np.allclose(ratio, ratio[0, 0], rtol=1e-3)
    assert 0.8 < ratio[0, 0] < 1.2
    assert abs(found.steps - (found.state_steps - 1)) <= 1
    assert found.reset_matters


def test_rotation_keeps_its_shrinking_distance() -> None:
    turn = 0.9 * np.array([[math.cos(1), -math.sin(1)], [math.sin(1), math.cos(1)]])
    found = washout(linear(turn, [[1.0], [0.0]]), X, trials=10, steps=60, tolerance=1e-2)
    assert np.allclose(found.states, found.states[:, :1] * 0.9 ** np.arange(61), rtol=1e-4, atol=1e-6)


def test_a_delay_line_forgets_all_at_once() -> None:
    found = washout(delay_line(7), X, tolerance=1e-6)
    assert (found.states[:, 8:] == 0).all()
    assert (found.steps, found.state_steps) == (7, 8)
    # Nothing is remembered, so there is nothing to discard.
    now = washout(linear([[0.0]], [[1.0]]), X)
    assert (now.steps, now.state_steps, now.reset_matters) == (0, 1, False)


def test_two_attractors_never_agree() -> None:
    drawn = gw.init(gw.ModelSpec(inputs=1, layers=[gw.LayerSpec("rnn", units=1)]))
    tensors = {name: np.zeros_like(value) for name, value in drawn.tensors.items()}
    tensors["rnn0.weight_hh"] = np.array([[3.0]], np.float32)
    tensors["rnn0.weight_ih"] = np.array([[10.0]], np.float32)
    x = X.copy()
    x[60:] = 0  # from here on a unit stays near -1 or 1, or at 0, where it began
    found = washout(drawn.replace(tensors=tensors), x[:160], steps=60)
    assert found.steps == found.state_steps == math.inf
    assert found.reset_matters


def test_the_same_seed_gives_the_same_and_progress_is_told() -> None:
    model, seen = linear([[0.5]], [[1.0]]), []
    first = washout(model, X, steps=9, seed=3, progress=lambda *at: seen.append(at))
    assert np.array_equal(first.states, washout(model, X, steps=9, seed=3).states)
    assert not np.array_equal(first.states, washout(model, X, steps=9, seed=4).states)
    assert seen == [(i, 9) for i in range(1, 10)]


def test_a_detector_is_measured_by_its_layers() -> None:
    """The states of the input stage and the head, in units of the readings and of evidence, are left out."""
    stage = gw.LayerSpec("numeric", width=1, scaling="standard", missing="hold")
    layers = [gw.LayerSpec("gru", units=3), gw.LayerSpec("dense", units=2)]
    spec = gw.ModelSpec(input=stage, layers=layers, head=gw.LayerSpec("tail_probability"))
    found = washout(gw.init(spec), np.concatenate([X[:50], [[np.nan]], X[50:]]), trials=5)
    assert np.isfinite(found.states).all()
    assert found.state_steps < 30


def test_what_cannot_be_washed_out_is_refused() -> None:
    model = delay_line(3)
    with pytest.raises(SpecError, match="window of 5 readings .* nothing to wash out; measure truncated_context"):
        washout(model.replace(spec=model.spec.replace(context={"window": 5})), X)
    both = gw.bidirectional(gw.LayerSpec("gru", units=3), source="input")
    with pytest.raises(SpecError, match="needs the whole sequence, .* measure truncated_context"):
        washout(gw.init(gw.ModelSpec(inputs=1, layers=both)), X)
    with pytest.raises(SpecError, match="no layer of this model has a state"):
        washout(gw.init(gw.ModelSpec(inputs=1, layers=[gw.LayerSpec("dense", units=3)])), X)
    with pytest.raises(InputError, match="steps must be 1 to 400"):
        washout(model, X, steps=401)
    with pytest.raises(InputError, match="tolerance >= 1e-06"):
        washout(model, X, tolerance=1e-9)
    with pytest.raises(InputError, match="at least two steps"):
        washout(model, X[:1])
