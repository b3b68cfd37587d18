"""Gradient-boosted trees, scikit-learn's with its default settings, on the last row or on features of the window.

The features of a window are, for each column over the L rows: the last value, mean, standard deviation, least and
greatest value, and slope, the least-squares change per row. With t = 0 ... L - 1::

    slope = sum (t - t_mean) x(t) / sum (t - t_mean)^2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.baselines.method import CLASSIFICATION, REGRESSION, Method, chunks
from gatewise.errors import MissingExtraError
from gatewise.layers.base import Array

try:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("baselines need scikit-learn: pip install 'gatewise[train]'") from error

MOST_WINDOWS = 50_000
"""Greatest number of windows of a fit; of more, a random sample of this size is used."""

FEATURES = ("last", "mean", "deviation", "least", "greatest", "slope")
"""Names of the features of a column, in the order of `features`."""


@dataclass(eq=False)
class _Trees(Method):
    """What the two share: one boosting for each output."""

    loss: str = "squared"
    kind: str = REGRESSION
    classes: int | None = None
    random_state: int = 0

    def _features(self, windows: Array) -> Array:
        """(n, L, columns) float64 -> (n, features)."""
        raise NotImplementedError

    def _fit(self, windows: Array, targets: Array, groups: Array | None) -> None:
        if len(windows) > MOST_WINDOWS:
            chosen = np.random.default_rng(self.random_state).choice(len(windows), MOST_WINDOWS, replace=False)
            windows, targets = windows[np.sort(chosen)], targets[np.sort(chosen)]
        x = np.concatenate([self._features(windows[part].astype(np.float64)) for part in chunks(windows)])
        options: dict[str, Any] = {"early_stopping": False, "random_state": self.random_state}
        if self.kind == CLASSIFICATION:
            self.seen_ = np.unique(targets)
            one = len(self.seen_) == 1
            self.models_ = [] if one else [HistGradientBoostingClassifier(**options).fit(x, targets)]
            return
        options["loss"] = f"{self.loss}_error"
        columns = targets.astype(np.float64).T
        self.models_ = [HistGradientBoostingRegressor(**options).fit(x, column) for column in columns]

    def _predict(self, windows: Array) -> Array:
        x = self._features(windows)
        if self.kind != CLASSIFICATION:
            return np.stack([model.predict(x) for model in self.models_], axis=1)
        found = np.zeros((len(windows), self.outputs_))
        found[:, self.seen_] = self.models_[0].predict_proba(x) if self.models_ else 1.0
        return found

    @property
    def parameters(self) -> int:
        """Two numbers for each split, its column and its threshold, and one for each leaf, its value."""
        leaves = [tree.get_n_leaf_nodes() for tree in self._each()]
        return sum(3 * count - 2 for count in leaves)

    @property
    def bytes(self) -> int:
        """The nodes of all trees in memory."""
        return sum(tree.nodes.nbytes for tree in self._each())

    def _each(self) -> list[Any]:
        return [tree for model in self.models_ for trees in model._predictors for tree in trees]


@dataclass(eq=False)
class TreesLast(_Trees):
    """Gradient-boosted trees on the last row of the window.

    Args:
        loss: "squared" or "absolute", the error that is minimised; not used for classes.
        kind: "regression" or "classification".
        classes: number of classes; None = the largest class of the fit plus 1.
        random_state: seed of the sample of windows, if there are more than `MOST_WINDOWS`, and of the boosting.
    """

    name = "trees_last"
    label = "boosted trees on the last row"

    def _features(self, windows: Array) -> Array:
        return windows[:, -1]


@dataclass(eq=False)
class TreesWindow(_Trees):
    """Gradient-boosted trees on features of the window, see the head of this file.

    Args:
        loss: "squared" or "absolute", the error that is minimised; not used for classes.
        kind: "regression" or "classification".
        classes: number of classes; None = the largest class of the fit plus 1.
        random_state: seed of the sample of windows, if there are more than `MOST_WINDOWS`, and of the boosting.
    """

    name = "trees_window"
    label = "boosted trees on features of the window"

    def _features(self, windows: Array) -> Array:
        return features(windows)


def features(windows: Array) -> Array:
    """The features of each window: (n, L, columns) float64 -> (n, 6 * columns), all columns of one feature together."""
    t = np.arange(windows.shape[1]) - (windows.shape[1] - 1) / 2
    slope = np.einsum("t,ntc->nc", t, windows) / max(float((t * t).sum()), 1.0)
    found = [windows[:, -1], windows.mean(1), windows.std(1), windows.min(1), windows.max(1), slope]
    return np.concatenate(found, axis=1)
