"""Logistic: multinomial logistic regression on the rows of a window, scikit-learn's, with a squared penalty."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from gatewise.baselines.method import CLASSIFICATION, Method, folds
from gatewise.errors import MissingExtraError
from gatewise.layers.base import Array

try:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("baselines need scikit-learn: pip install 'gatewise[train]'") from error

MOST_NUMBERS = 2_000_000
"""Greatest number of values in the windows of a fit; of more windows, a random sample of this size is used."""

STRENGTHS = (1e-3, 1e-2, 1e-1)
"""The values of C, of which cross-validation chooses one: 1 / C is the penalty of scikit-learn."""

STEPS = 50
"""Steps of the solver. Where it has not converged by then, because the rows of a window are nearly equal, more steps
change the weights, but next to nothing of the cross-entropy, so that the warning of scikit-learn is not passed on."""


@dataclass(eq=False)
class Logistic(Method):
    """Logistic regression on the standardised values of all rows of a window.

    Args:
        classes: number of classes; None = the largest class of the fit plus 1. Those without a window in the fit have
            probability 0.
        random_state: seed of the sample of windows, if there are too many.

    Attributes:
        strength_: C of scikit-learn, with the least cross-entropy in cross-validation over groups or blocks.
    """

    classes: int | None = None
    random_state: int = 0

    name = "logistic"
    label = "a logistic regression on the window"
    kind = CLASSIFICATION

    def _fit(self, windows: Array, targets: Array, groups: Array | None) -> None:
        most = max(100, MOST_NUMBERS // (windows.shape[1] * windows.shape[2]))
        if len(windows) > most:
            rows = np.sort(np.random.default_rng(self.random_state).choice(len(windows), most, replace=False))
            windows, targets, groups = windows[rows], targets[rows], None if groups is None else groups[rows]
        x = windows.reshape(len(windows), -1).astype(np.float64)
        self.mean_, scale = x.mean(axis=0), x.std(axis=0)
        self.scale_ = np.where(scale > 0, scale, 1.0)
        x -= self.mean_
        x /= self.scale_
        self.seen_ = np.unique(targets)
        self.strength_ = _strength(x, targets, folds(len(x), groups, 3))
        self.model_ = None if len(self.seen_) == 1 else _fitted(x, targets, self.strength_)

    def _predict(self, windows: Array) -> Array:
        found = np.zeros((len(windows), self.outputs_))
        x = (windows.reshape(len(windows), -1) - self.mean_) / self.scale_
        found[:, self.seen_] = 1.0 if self.model_ is None else self.model_.predict_proba(x)
        return found

    @property
    def parameters(self) -> int:
        """The weights, and a constant for each class."""
        return 1 if self.model_ is None else int(self.model_.coef_.size + self.model_.intercept_.size)


def _fitted(x: Array, y: Array, strength: float) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=STEPS, tol=1e-3).fit(x, y)


def _strength(x: Array, y: Array, parts: Array | None) -> float:
    """The C with the least cross-entropy, over those parts of which the rest has all classes; the middle, if none."""
    usable = [] if parts is None else [i for i in range(parts.max() + 1) if set(y[parts == i]) <= set(y[parts != i])]
    usable = [i for i in usable if len(set(y[parts != i])) > 1]
    if not usable:
        return STRENGTHS[1]
    errors = []
    for strength in STRENGTHS:
        total = 0.0
        for i in usable:
            rest: Array = np.asarray(parts != i)
            model = _fitted(x[rest], y[rest], strength)
            total += log_loss(y[~rest], model.predict_proba(x[~rest]), labels=model.classes_) * (~rest).sum()
        errors.append(total)
    return STRENGTHS[int(np.argmin(errors))]
