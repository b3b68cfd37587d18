"""Method: what all simple methods share, and the checks of the windows that they read.

A method answers one question for each window: what will the targets be, given the last rows up to now? The last row of
a window is the one at which the answer is given. Methods are plain: they know nothing of tables, times or names, which
the estimators of `gatewise.baselines` add.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np

from gatewise.errors import InputError, MissingExtraError
from gatewise.layers.base import Array

try:
    from sklearn.model_selection import GroupKFold
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("baselines need scikit-learn: pip install 'gatewise[train]'") from error

CHUNK_BYTES = 64 * 2**20
"""Memory for the float64 copy of the windows that are worked on at once."""

FOLDS = 5
"""Number of parts into which cross-validation divides the windows."""

REGRESSION, CLASSIFICATION = "regression", "classification"


class Method(ABC):
    """A simple method on windows.

    Attributes:
        name: short identifier, e.g. "ridge".
        label: the name in sentences, e.g. "a ridge regression on the window".
        kind: "regression" or "classification".
        parameters: number of fitted numbers.
        bytes: rough size of the fitted numbers in memory.
        shape_: (L, columns) of the windows of the fit.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    kind: str = REGRESSION
    classes: int | None = None
    shape_: tuple[int, int]
    outputs_: int

    def fit(self, windows: Any, targets: Any, groups: Any = None) -> Self:
        """Fit to windows and what followed them.

        Args:
            windows: (n, L, columns) float, in order of time within each group.
            targets: (n, k) float in the units of the data, or (n,) for one target. For classes (n,) int, numbered from
                0.
            groups: (n,) the group of each window, such as its machine or person. Where a method chooses an option by
                cross-validation, the windows of one group stay together. None = consecutive blocks of windows do.

        Raises:
            InputError: the arrays do not fit together, or have readings that are not finite.
        """
        x = checked_windows(windows)
        y = self._checked_targets(targets, len(x))
        if groups is not None and len(groups := np.asarray(groups)) != len(x):
            raise InputError(f"each of the {len(x):,} windows needs a group, got {len(groups):,} groups")
        self.shape_ = (x.shape[1], x.shape[2])
        self.outputs_ = int(y.shape[1]) if y.ndim == 2 else int(self.classes or y.max() + 1)
        self._fit(x, y, groups)
        return self

    def predict(self, windows: Any) -> Array:
        """The answer for each window.

        Args:
            windows: (n, L, columns) float; L and columns as in the fit.

        Returns:
            (n, k) float64 in the units of the targets; for classes (n, classes) probabilities.

        Raises:
            InputError: the method is not fitted, or the windows have another shape or readings that are not finite.
        """
        if not hasattr(self, "shape_"):
            raise InputError(f"{self.name!r} is not fitted; call fit first")
        x = checked_windows(windows)
        if x.shape[1:] != self.shape_:
            raise InputError(
                f"{self.name!r} was fitted on windows of {_shape(self.shape_)}, got windows of {_shape(x.shape[1:])}"
            )
        return np.concatenate([self._predict(x[part].astype(np.float64)) for part in chunks(x)])

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Number of fitted numbers."""

    @property
    def bytes(self) -> int:
        """Rough size of the fitted numbers in memory."""
        return 8 * self.parameters

    @abstractmethod
    def _fit(self, windows: Array, targets: Array, groups: Array | None) -> None:
        """Fit to checked arrays; `windows` may be a view of any float type that should not be copied as a whole."""

    @abstractmethod
    def _predict(self, windows: Array) -> Array:
        """The answers to some windows, (n, L, columns) float64."""

    def _checked_targets(self, targets: Any, count: int) -> Array:
        y = np.asarray(targets)
        if len(y) != count:
            raise InputError(f"each of the {count:,} windows needs a target, got {len(y):,} targets")
        if self.kind == CLASSIFICATION:
            most = np.inf if self.classes is None else self.classes
            if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= most:
                of = "" if self.classes is None else f" below {self.classes}"
                raise InputError(f"the targets of {self.name!r} must be class numbers from 0{of}, (n,) int")
            return y
        y = y[:, None] if y.ndim == 1 else y
        if y.ndim != 2 or not np.issubdtype(y.dtype, np.number) or np.iscomplexobj(y):
            raise InputError(f"the targets of {self.name!r} must be numbers, (n, k), got {y.dtype} {y.shape}")
        if not np.isfinite(y).all():
            n, k = np.argwhere(~np.isfinite(y))[0]
            raise InputError(f"target {k} of window {n} is {y[n, k]}; leave out windows whose targets are missing")
        return y


def checked_windows(windows: Any) -> Array:
    """Windows as floats (n, L, columns), not copied if they are. Raises InputError if they are not finite."""
    x = np.asarray(windows)
    if x.ndim != 3 or not x.size or not (np.issubdtype(x.dtype, np.number) or x.dtype == bool) or np.iscomplexobj(x):
        raise InputError(f"windows must be numbers, (n, L, columns), at least one of each, got {x.dtype} {x.shape}")
    if not np.issubdtype(x.dtype, np.floating):
        x = x.astype(np.float64)
    for part in chunks(x):
        bad = ~np.isfinite(x[part])
        if bad.any():
            n, row, column = np.argwhere(bad)[0]
            value = x[part][n, row, column]
            raise InputError(
                f"window {part.start + n} is {value} in row {row}, column {column}; fill in missing readings, or leave "
                "out such windows"
            )
    return x


def checked_columns(columns: Any, outputs: int, width: int, what: str) -> Array:
    """One column of the window for each output, (outputs,) int. Raises InputError if there is no such column."""
    found = np.asarray(columns)
    if found.shape != (outputs,) or not np.issubdtype(found.dtype, np.integer):
        raise InputError(f"{what} must name one column for each of the {outputs} outputs, got {columns!r}")
    if found.min() < 0 or found.max() >= width:
        raise InputError(f"{what} must be columns from 0 to {width - 1}, got {columns!r}")
    return found


def chunks(x: Array, width: int | None = None) -> Iterator[slice]:
    """Slices of the first axis for which `width` float64 numbers a row take at most CHUNK_BYTES; at least one row.

    Args:
        x: the array.
        width: numbers a row; None = those of the array.
    """
    wide = max(1, int(np.prod(x.shape[1:]))) if width is None else width
    rows = max(1, CHUNK_BYTES // (8 * wide))
    for start in range(0, len(x), rows):
        yield slice(start, min(start + rows, len(x)))


def folds(count: int, groups: Array | None, most: int = FOLDS) -> Array | None:
    """The part of cross-validation to which each window belongs, (n,) int; None = too few windows for two parts.

    Groups are kept together. Without groups, or with only one, the parts are blocks of consecutive windows, because
    windows that overlap are nearly copies of each other.
    """
    if groups is not None and len(unique := np.unique(groups)) >= 2:
        found = np.empty(count, np.int64)
        parts = GroupKFold(min(most, len(unique))).split(np.zeros(count), groups=groups)
        for fold, (_, rows) in enumerate(parts):
            found[rows] = fold
        return found
    number = min(most, count // 2)
    return None if number < 2 else np.arange(count) * number // count


def _shape(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} rows and {shape[1]} columns"
