"""Methods that say how unusual a window is: PCA, k-means and isolation forests of scikit-learn.

Columns are standardised with their mean and standard deviation over the windows of the fit. A window is one vector of
its L rows and all columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from gatewise.baselines.method import checked_windows, chunks
from gatewise.errors import InputError, MissingExtraError, Parameter
from gatewise.layers.base import Array

try:
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.ensemble import IsolationForest
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("baselines need scikit-learn: pip install 'gatewise[train]'") from error

MOST_NUMBERS = 10_000_000
"""Greatest number of values in the windows of a fit; of more windows, a random sample of this size is used."""


class Unusual(ABC):
    """A method that scores windows.

    Attributes:
        name: short identifier, e.g. "pca".
        label: the name in sentences.
        random_state: seed of the sample of windows, if there are too many, and of the method.
        shape_: (L, columns) of the windows of the fit.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    random_state: int = 0
    shape_: tuple[int, int]

    def fit(self, windows: Any) -> Self:
        """Fit to usual windows, (n, L, columns) float.

        Raises:
            InputError: they are not such an array, or have readings that are not finite.
        """
        x = checked_windows(windows)
        self.shape_ = (x.shape[1], x.shape[2])
        most = max(100, MOST_NUMBERS // (x.shape[1] * x.shape[2]))
        if len(x) > most:
            x = x[np.sort(np.random.default_rng(self.random_state).choice(len(x), most, replace=False))]
        x = x.astype(np.float64)
        self.mean_, scale = x.mean((0, 1)), x.std((0, 1))
        self.scale_ = np.where(scale > 0, scale, 1.0)
        self._fit(self._vectors(x))
        return self

    def score(self, windows: Any) -> Array:
        """How unusual each window is, larger = more unusual: (n,) float64.

        Args:
            windows: (n, L, columns) float; L and columns as in the fit.

        Raises:
            InputError: the method is not fitted, or the windows have another shape or readings that are not finite.
        """
        if not hasattr(self, "shape_"):
            raise InputError(f"{self.name!r} is not fitted; call fit first")
        x = checked_windows(windows)
        if x.shape[1:] != self.shape_:
            raise InputError(f"{self.name!r} was fitted on windows of shape {self.shape_}, got {x.shape[1:]}")
        return np.concatenate([self._score(self._vectors(x[part].astype(np.float64))) for part in chunks(x)])

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Number of fitted numbers."""

    @property
    def bytes(self) -> int:
        """Rough size of the fitted numbers in memory."""
        return 8 * self.parameters

    def _vectors(self, windows: Array) -> Array:
        return np.asarray(((windows - self.mean_) / self.scale_).reshape(len(windows), -1))

    @abstractmethod
    def _fit(self, vectors: Array) -> None:
        """Fit to vectors (n, L * columns)."""

    @abstractmethod
    def _score(self, vectors: Array) -> Array:
        """The scores of vectors: (n,)."""


@dataclass(eq=False)
class PCAWindows(Unusual):
    """Principal component analysis: how far a window is from the space of the leading components.

    The score is the root mean square of the values that remain after the projection to these components (the Q
    statistic of Jackson and Mudholkar 1979, per value and with a root).

    Args:
        variance: the share of the variance that the leading components explain, above 0 and at most 1.
        random_state: seed of the sample of windows, if there are too many.
    """

    variance: float = 0.9
    random_state: int = 0

    name = "pca"
    label = "principal components of windows"

    def _fit(self, vectors: Array) -> None:
        if isinstance(self.variance, bool) or not 0 < self.variance <= 1:
            raise InputError(Parameter("variance"), f" must be a share above 0 and at most 1, got {self.variance!r}")
        self.mean_vector_ = vectors.mean(axis=0)
        self.components_ = np.zeros((0, vectors.shape[1]))
        if len(vectors) < 2 or not np.ptp(vectors, axis=0).any():  # there is no variance to explain
            return
        solver = "covariance_eigh" if len(vectors) > vectors.shape[1] else "full"
        share = float(self.variance) if self.variance < 1 else None
        self.components_ = PCA(share, svd_solver=solver).fit(vectors).components_

    def _score(self, vectors: Array) -> Array:
        centred = vectors - self.mean_vector_
        rest = centred - (centred @ self.components_.T) @ self.components_
        return np.asarray(np.sqrt((rest**2).mean(axis=1)))

    @property
    def parameters(self) -> int:
        """The components, and the mean of the vectors."""
        return int(self.components_.size + self.mean_vector_.size)


@dataclass(eq=False)
class KMeansWindows(Unusual):
    """k-means: the distance of a window to the nearest of the centres of usual windows.

    The score is the root mean square of the differences from the centre.

    Args:
        clusters: number of centres; with fewer windows, one for each.
        normalise: whether each column of each window is standardised with its own mean and deviation first, so that
            only shapes are compared and not levels (as Goldin and Kanellakis 1995 compare sub-sequences).
        random_state: seed of the first centres, and of the sample of windows, if there are too many.
    """

    clusters: int = 20
    normalise: bool = False
    random_state: int = 0

    name = "kmeans"
    label = "k-means of windows"

    def _fit(self, vectors: Array) -> None:
        if isinstance(self.clusters, bool) or not isinstance(self.clusters, (int, np.integer)) or self.clusters < 1:
            raise InputError(Parameter("clusters"), f" must be a whole number of at least 1, got {self.clusters!r}")
        number = min(int(self.clusters), len(np.unique(vectors, axis=0)))
        self.model_ = KMeans(number, n_init=3, random_state=self.random_state).fit(vectors)

    def _score(self, vectors: Array) -> Array:
        return np.asarray(self.model_.transform(vectors).min(axis=1) / np.sqrt(vectors.shape[1]))

    def _vectors(self, windows: Array) -> Array:
        if not self.normalise:
            return super()._vectors(windows)
        centred = windows - windows.mean(axis=1, keepdims=True)
        deviation = centred.std(axis=1, keepdims=True)
        # A window that hardly moves has no shape: rounding would become one.
        steady = deviation <= 1e-6 * self.scale_
        return np.where(steady, 0.0, centred / np.where(steady, 1.0, deviation)).reshape(len(windows), -1)

    @property
    def parameters(self) -> int:
        """The centres."""
        return int(self.model_.cluster_centers_.size)


@dataclass(eq=False)
class IsolationForestWindows(Unusual):
    """Isolation forest (Liu, Ting and Zhou 2008): how few random splits separate a window from the usual ones.

    The score is that of the paper, from 0 to 1.

    Args:
        trees: number of trees.
        random_state: seed of the trees, and of the sample of windows, if there are too many.
    """

    trees: int = 100
    random_state: int = 0

    name = "isolation_forest"
    label = "an isolation forest on windows"

    def _fit(self, vectors: Array) -> None:
        self.model_ = IsolationForest(n_estimators=self.trees, random_state=self.random_state).fit(vectors)

    def _score(self, vectors: Array) -> Array:
        return np.asarray(-self.model_.score_samples(vectors))

    @property
    def parameters(self) -> int:
        """The column and the threshold of each split."""
        return 2 * sum(int(tree.tree_.node_count - tree.tree_.n_leaves) for tree in self.model_.estimators_)

    @property
    def bytes(self) -> int:
        """The nodes of all trees in memory, of 64 bytes each."""
        return 64 * sum(int(tree.tree_.node_count) for tree in self.model_.estimators_)


def unusual(random_state: int = 0) -> list[Unusual]:
    """All methods that score windows, with their default options."""
    return [
        PCAWindows(random_state=random_state),
        KMeansWindows(random_state=random_state),
        IsolationForestWindows(random_state=random_state),
    ]
