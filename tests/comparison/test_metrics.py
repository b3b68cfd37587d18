"""Metrics against scikit-learn, and functions of the user's own."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from gatewise.comparison import metric_of
from gatewise.errors import InputError

RNG = np.random.default_rng(0)
TRUE, FOUND = RNG.normal(size=(50, 2)), RNG.normal(size=(50, 2))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mse", metrics.mean_squared_error(TRUE, FOUND)),
        ("mae", metrics.mean_absolute_error(TRUE, FOUND)),
        ("rmse", metrics.mean_squared_error(TRUE, FOUND) ** 0.5),
    ],
)
def test_metrics_of_values(name: str, value: float) -> None:
    assert metric_of(name, "value").of(TRUE, FOUND) == pytest.approx(value, rel=1e-12)


def test_metrics_of_classes() -> None:
    shares = RNG.dirichlet(np.ones(3), 50)
    classes = RNG.integers(0, 3, 50)
    assert metric_of("log_loss", "class").of(classes, shares) == pytest.approx(metrics.log_loss(classes, shares))
    wrong = 1 - metrics.accuracy_score(classes, shares.argmax(axis=1))
    assert metric_of("error_rate", "class").of(classes, shares) == pytest.approx(wrong)
    certain = metric_of("log_loss", "class").of(np.array([0]), np.array([[0.0, 1.0]]))
    assert certain == pytest.approx(-np.log(1e-7))


def test_defaults_and_unknown_names() -> None:
    assert metric_of(None, "value").name == "rmse"
    assert metric_of(None, "class").name == "log_loss"
    for name in ("r2", "log_loss", "", 3):
        with pytest.raises(InputError, match="must be one of rmse, mae, mse"):
            metric_of(name, "value")


def test_a_function_of_the_users_own() -> None:
    def pinball(targets: Any, answers: Any) -> Any:
        return np.maximum(0.9 * (targets - answers), 0.1 * (answers - targets)).mean(axis=1)

    found = metric_of(pinball, "value")
    assert (found.name, found.root) == ("pinball", False)
    both = [metrics.mean_pinball_loss(TRUE[:, k], FOUND[:, k], alpha=0.9) for k in range(2)]
    assert found.of(TRUE, FOUND) == pytest.approx(np.mean(both))


def test_answers_for_another_number_of_targets_are_not_stretched_to_it() -> None:
    with pytest.raises(InputError, match=r"shape \(50, 1\) cannot be compared with targets of shape \(50, 2\)"):
        metric_of("rmse", "value").of(TRUE, FOUND[:, :1])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda targets, answers: 1.0,
        lambda targets, answers: (targets - answers) ** 2,
        lambda targets, answers: np.full(len(targets), np.nan),
        lambda targets, answers: -np.ones(len(targets)),
        lambda targets, answers: np.ones(len(targets) - 1),
    ],
)
def test_a_function_that_returns_something_else_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="one finite loss of at least 0 for each of 50 answers"):
        metric_of(wrong, "value").of(TRUE, FOUND)
