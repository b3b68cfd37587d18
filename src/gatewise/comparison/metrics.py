"""Metrics: how wrong an answer is, and how the losses of many answers become one number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.errors import InputError, Parameter
from gatewise.layers.base import Array

Losses = Callable[[Array, Array], Array]
"""losses(targets, answers) -> (n,) the loss of each answer, from (n, k) each; for classes, targets (n,) are the numbers
of the classes and answers (n, classes) their probabilities."""

LEAST_PROBABILITY = 1e-7
"""Probabilities below this are raised to it in the logarithmic loss, so that one certain error is not infinite."""


@dataclass(frozen=True)
class Metric:
    """A measure of error, of which less is better.

    Attributes:
        name: e.g. "rmse".
        losses: the loss of each answer; the metric is the mean of these losses, or its root.
        root: whether the metric is the square root of the mean loss.
        answer: "value" or "class": the kind of answers it is for.
        loss: "squared" or "absolute", what simple methods and challengers minimise for it.
    """

    name: str
    losses: Losses
    root: bool = False
    answer: str = "value"
    loss: str = "squared"

    def of(self, targets: Array, answers: Array) -> float:
        """The metric of all answers."""
        return self.total(self.checked(targets, answers))

    def total(self, losses: Array) -> float:
        """The metric from the losses of all answers, (n,)."""
        mean = float(np.mean(losses))
        return mean**0.5 if self.root else mean

    def checked(self, targets: Array, answers: Array) -> Array:
        """The losses of all answers, (n,) float64.

        Raises:
            InputError: there is not one answer for each target, or a function of the user's own returned something
                else.
        """
        if self.answer == "value" and answers.shape != targets.shape:
            raise InputError(
                f"answers of shape {answers.shape} cannot be compared with targets of shape {targets.shape}"
            )
        losses = np.asarray(self.losses(targets, answers), np.float64)
        wrong = (
            f"the metric {self.name} must return one finite loss of at least 0 for each of {len(targets):,} answers, "
        )
        if losses.shape != (len(targets),):
            raise InputError(f"{wrong}got an array of shape {losses.shape}; return an array of shape (n,)")
        if (bad := ~(np.isfinite(losses) & (losses >= 0))).any():
            raise InputError(
                f"{wrong}got {losses[bad][0]:g} for {int(bad.sum()):,} of them, the first of which is answer "
                f"{int(bad.argmax())}; return a loss of which less is better"
            )
        return losses


def _squared(targets: Array, answers: Array) -> Array:
    return np.asarray(((answers - targets) ** 2).mean(axis=1))


def _absolute(targets: Array, answers: Array) -> Array:
    return np.asarray(np.abs(answers - targets).mean(axis=1))


def _log(targets: Array, answers: Array) -> Array:
    return np.asarray(-np.log(np.maximum(answers[np.arange(len(targets)), targets], LEAST_PROBABILITY)))


def _error(targets: Array, answers: Array) -> Array:
    return np.asarray((answers.argmax(axis=1) != targets).astype(np.float64))


METRICS = {
    metric.name: metric
    for metric in (
        Metric("rmse", _squared, root=True),
        Metric("mae", _absolute, loss="absolute"),
        Metric("mse", _squared),
        Metric("log_loss", _log, answer="class"),
        Metric("error_rate", _error, answer="class"),
    )
}


def metric_of(given: Any, answer: str) -> Metric:
    """The metric that a user names or gives as a function.

    Args:
        given: a name in `METRICS`; a function `Losses`; or None for the default, "rmse" or "log_loss".
        answer: "value" or "class".

    Raises:
        InputError: there is no such metric for answers of this kind.
    """
    if given is None:
        return METRICS["rmse" if answer == "value" else "log_loss"]
    if isinstance(given, Metric):
        return given
    if callable(given):
        return Metric(getattr(given, "__name__", "own"), given, answer=answer)
    known = [name for name, metric in METRICS.items() if metric.answer == answer]
    if given not in known:
        raise InputError(
            f"the metric for answers that are a {answer} must be one of {', '.join(known)}, or a function "
            f"(targets, answers) -> losses, got {given!r}; pass ",
            Parameter("metric", known[0]),
        )
    return METRICS[given]
