"""Methods without weights: a constant, the last value, and the value one season earlier (Hyndman and Athanasopoulos,
"Forecasting: principles and practice", section 5.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gatewise.baselines.method import CLASSIFICATION, REGRESSION, Method, checked_columns
from gatewise.errors import InputError
from gatewise.layers.base import Array


@dataclass(eq=False)
class Constant(Method):
    """The same answer for each window, whatever it holds.

    Args:
        loss: "squared" = the mean of the targets, which has the least squared error; "absolute" = their median, which
            has the least absolute error. Not used for classes, for which the answer is their frequencies.
        kind: "regression" or "classification".
        classes: number of classes; None = the largest class of the fit plus 1.
    """

    loss: str = "squared"
    kind: str = REGRESSION
    classes: int | None = None

    name = "constant"
    label = "a constant"

    def _fit(self, windows: Array, targets: Array, groups: Array | None) -> None:
        if self.kind == CLASSIFICATION:
            self.value_ = np.bincount(targets, minlength=self.outputs_) / len(targets)
        elif self.loss in ("squared", "absolute"):
            self.value_ = (np.mean if self.loss == "squared" else np.median)(targets.astype(np.float64), axis=0)
        else:
            raise InputError(f'loss must be "squared" or "absolute", got {self.loss!r}')

    def _predict(self, windows: Array) -> Array:
        return np.tile(self.value_, (len(windows), 1))

    @property
    def parameters(self) -> int:
        """One number for each output."""
        return int(self.value_.size)


@dataclass(eq=False)
class RepeatLast(Method):
    """The last value of a column, for targets that are future values of columns of the window.

    Args:
        columns: for each output the position of its column in the window.
    """

    columns: Sequence[int]

    name = "last"
    label = "the last value"

    def _fit(self, windows: Array, targets: Array, groups: Array | None) -> None:
        checked_columns(self.columns, self.outputs_, self.shape_[1], "columns")

    def _predict(self, windows: Array) -> Array:
        return windows[:, -1, np.asarray(self.columns)]

    @property
    def parameters(self) -> int:
        """Nothing is fitted."""
        return 0


@dataclass(eq=False)
class SeasonalNaive(Method):
    """The value of the same phase in the last season: x(t + h) = x(t + h - m s), with the least m that is known at t.

    Args:
        columns: for each output the position of its column in the window.
        season: s, the number of rows in a season, at most L.
        horizons: h, for each output the number of rows from the last of the window to the target, at least 1.
    """

    columns: Sequence[int]
    season: int
    horizons: Sequence[int]

    name = "seasonal"
    label = "the value one season earlier"

    def _fit(self, windows: Array, targets: Array, groups: Array | None) -> None:
        checked_columns(self.columns, self.outputs_, self.shape_[1], "columns")
        steps = np.asarray(self.horizons)
        if steps.shape != (self.outputs_,) or not np.issubdtype(steps.dtype, np.integer) or steps.min() < 1:
            raise InputError(
                f"horizons must be a whole number of at least 1 for each of the {self.outputs_} outputs, got "
                f"{self.horizons!r}"
            )
        if isinstance(self.season, bool) or not isinstance(self.season, (int, np.integer)) or self.season < 1:
            raise InputError(f"season must be a whole number of rows, at least 1, got {self.season!r}")
        if self.season > self.shape_[0]:
            raise InputError(
                f"a season of {self.season} rows is longer than the windows of {self.shape_[0]} rows; give longer "
                "windows"
            )
        self.rows_ = self.shape_[0] - 1 + steps - self.season * -(-steps // self.season)

    def _predict(self, windows: Array) -> Array:
        return windows[:, self.rows_, np.asarray(self.columns)]

    @property
    def parameters(self) -> int:
        """Nothing is fitted."""
        return 0
