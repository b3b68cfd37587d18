"""Importance of columns, against the formula for linear models."""

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.measure import column_importance
from measure.models import delay_line

RNG = np.random.default_rng(0)
X = (RNG.standard_normal((6000, 3)) * [1.0, 2.0, 1.0]).astype(np.float32)
COEFFICIENTS = np.array([1.5, -0.5, 0.7], np.float32)


def _linear(columns: list[str] | None = None) -> gw.Model:
    """y = 1.5 x0 - 0.5 x1 + 0.7 x2."""
    stage = gw.LayerSpec("numeric", width=3, columns=columns)
    spec = gw.ModelSpec(input=stage, layers=[gw.LayerSpec("dense", "out", units=1)])
    return gw.Model(spec, {"out.weight": COEFFICIENTS[None], "out.bias": np.zeros(1, np.float32)})


def test_the_increase_is_twice_the_variance_of_what_a_column_adds() -> None:
    """The target lacks the third column, so that the model uses a column that has nothing to do with it."""
    targets = X[:, :2] @ COEFFICIENTS[:2]
    seen: list[tuple[int, int]] = []
    found = column_importance(_linear(), X, targets, repeats=6, progress=lambda *at: seen.append(at))
    assert found.columns == ("x0", "x1", "x2")
    assert found.loss == pytest.approx(np.mean((0.7 * X[:, 2].astype(np.float64)) ** 2), rel=1e-5)
    expected = 2 * COEFFICIENTS**2 * X.var(axis=0) * [1, 1, 0]
    assert found.importance == pytest.approx(expected, rel=0.04, abs=0.02)
    # But for the exchange itself, the rest is the covariance of the error, 0.7 x2, with the column in the sample.
    error = 2 * COEFFICIENTS * np.cov(X.T.astype(np.float64))[2] * 0.7 * [1, 1, 0]
    assert (np.abs(found.importance - (expected - error)) < 4 * found.standard_error + 1e-6).all()
    assert found.standard_error == pytest.approx(found.increases.std(axis=1, ddof=1) / np.sqrt(6), rel=1e-12)
    assert seen == [(i, 18) for i in range(1, 19)]


def test_sequences_exchange_whole_courses_within_their_group() -> None:
    """Two sequences can only exchange with each other; a level of the group has no importance within it."""
    level = np.repeat([[0.0], [0.0], [5.0], [5.0]], 50, axis=1)
    x = np.stack([level, np.arange(200.0).reshape(4, 50) / 100, X[:200, 2].reshape(4, 50)], axis=2).astype(np.float32)
    targets = x @ COEFFICIENTS
    found = column_importance(_linear(["a", "b", "c"]), x, targets, groups=["p", "p", "q", "q"])
    assert found.columns == ("a", "b", "c")
    assert found.loss < 1e-12
    changes = (COEFFICIENTS * (x - x[[1, 0, 3, 2]]).astype(np.float64)) ** 2
    assert found.importance == pytest.approx(changes.mean(axis=(0, 1)), abs=1e-6)
    assert found.importance[0] == pytest.approx(0, abs=1e-9)
    assert found.standard_error == pytest.approx([0, 0, 0], abs=1e-9)
    assert column_importance(_linear(), x, targets).importance[0] > 20


def test_lengths_may_differ_and_lone_sequences_exchange_their_steps() -> None:
    parts = [X[:2000], X[2000:4000], X[4000:4500], X[4500:]]
    targets = [part @ COEFFICIENTS for part in parts]
    found = column_importance(_linear(), parts, targets)
    assert found.importance == pytest.approx(2 * COEFFICIENTS**2 * X.var(axis=0), rel=0.05)


def test_a_target_for_each_window_and_a_loss() -> None:
    """A delay line answers the reading of two steps ago; its absolute error is that between two windows."""
    windows = X[:3000, :1].reshape(600, 5, 1)
    found = column_importance(delay_line(2), windows, windows[:, 2, 0], loss=lambda y, t: np.abs(y - t)[:, 0])
    assert found.loss == 0
    assert found.importance[0] == pytest.approx(2 / np.sqrt(np.pi), rel=0.05)  # of two standard normal readings
    assert found.increases.shape == (1, 5)


def test_the_same_seed_gives_the_same() -> None:
    targets = X[:, 0]
    first, again, other = (column_importance(_linear(), X[:500], targets[:500], seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.increases, again.increases)
    assert not np.array_equal(first.increases, other.increases)


def test_what_does_not_fit_is_refused() -> None:
    model, targets = _linear(), X[:, 0]
    with pytest.raises(InputError, match="groups must be 1 labels, one for each sequence, got 2"):
        column_importance(model, X, targets, groups=["a", "b"])
    with pytest.raises(InputError, match="repeats must be a whole number of at least 2"):
        column_importance(model, X, targets, repeats=1)
    with pytest.raises(InputError, match="nothing to exchange"):
        column_importance(model, [X[:1], X[1:2]], [1.0, 2.0], groups=["a", "b"])
    with pytest.raises(InputError, match="targets are given for 2 sequences, the readings are 1"):
        column_importance(model, [X], [targets, targets])
