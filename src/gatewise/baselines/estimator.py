"""What the estimators of `gatewise.baselines` share: parameters, tables, and the windows in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np

from gatewise.errors import ANY, InputError, MissingExtraError, Parameter
from gatewise.inputs.base import fill_forward
from gatewise.layers.base import Array
from gatewise.tables.chosen import positions
from gatewise.tables.constants import FIND
from gatewise.tables.left_out import says_left_out, warn_left_out
from gatewise.tables.table import FITTED, Table, read_table
from gatewise.tables.timeline import Timeline, timeline
from gatewise.tables.warn import warn

try:
    from sklearn.base import BaseEstimator
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("baselines need scikit-learn: pip install 'gatewise[train]'") from error

MOST_NUMBERS = 50_000_000
"""Greatest number of values in the windows of a fit; of more windows, evenly spaced ones are used."""


@dataclass(eq=False, repr=False)
class Baseline(BaseEstimator):  # type: ignore[misc]
    """Base class of estimators that fit a simple method to the windows of a table.

    The data may be in any form that the tasks read. Parameters are stored as given, `fit` checks them, and fitted
    attributes end in `_`.

    Args:
        method: name of the method.
        lookback: L, number of rows in a window.
        target: the target columns by name or position, one or a list; None = all.
        time, series, columns: names, as for every task.
        missing: "raise" = missing readings are an error; "hold" = fill them forward.
        validation: share of the rows of each series, at their end, on which errors are measured.
        random_state: seed of methods that sample.

    Attributes:
        method_: the fitted method.
        columns_: names of the columns read.
        targets_: names of the target columns.
        warnings_: warnings about the data, which `fit` also issues.
    """

    method: str = ""
    _: KW_ONLY
    lookback: int = 96
    target: str | int | Sequence[str | int] | None = None
    time: str | None = None
    series: str | None = None
    columns: Sequence[str] | None = None
    missing: str = "raise"
    validation: float = 0.2
    random_state: int = 0

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "method_")

    def _chosen(self, known: Sequence[str]) -> str:
        """The name of the method. Raises InputError if there is none of this name."""
        if self.method not in known:
            raise InputError(Parameter("method"), f" must be one of {list(known)}, got {self.method!r}")
        return self.method

    def _read_to_fit(self, data: Any, columns: Sequence[str] | None, target: Any) -> Table:
        """The table of the fit, with these columns and targets, and the attributes that follow from it."""
        whole(self.lookback, "lookback")
        if self.missing not in ("raise", "hold"):
            raise InputError(Parameter("missing"), f' must be "raise" or "hold" for a baseline, got {self.missing!r}')
        if isinstance(self.validation, bool) or not 0.0 < self.validation < 1.0:
            raise InputError(Parameter("validation"), f" must be a share between 0 and 1, got {self.validation!r}")
        table = read_table(data, self.time, columns, self.missing, self.series, subtract=FIND, leave_out=True)
        self.columns_ = table.columns
        self.n_features_in_ = len(table.columns)
        if table.named:
            self.feature_names_in_ = np.array(table.columns, object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        every = range(len(self.columns_))
        self._own = list(every) if target is None else positions("target", target, self.columns_)
        if not self._own:
            raise InputError(Parameter("target"), " is an empty list; name at least one, or give None for all")
        self.targets_ = tuple(self.columns_[k] for k in self._own)
        self._subtract = table.subtract
        self.timeline_: Timeline
        self.timeline_, uneven = timeline(table)
        self.warnings_ = (*says_left_out(table.left_out, len(table.series)), *uneven, *table.warnings)
        return table

    def _warn(self) -> Self:
        for text in self.warnings_:
            warn(text)
        return self

    def _read(self, data: Any, warned: bool = True) -> Table:
        """A table for the fitted method. Raises InputError if it is not fitted, or the columns differ."""
        check_is_fitted(self)
        named = hasattr(self, "feature_names_in_") and not _is_array(data)
        time = None if _is_array(data) else self.time
        table = read_table(
            data,
            time,
            self.columns_ if named else None,
            self.missing,
            self.series,
            FITTED,
            self.timeline_.dated,
            self._subtract,
            leave_out=True,
        )
        if len(table.columns) != self.n_features_in_:
            raise InputError(
                f"this baseline was fitted on {self.n_features_in_} columns, {list(self.columns_)}; {table.origin} has "
                f"{len(table.columns)}"
            )
        for text in self.timeline_.compare(table):
            warn(text)
        if warned:
            warn_left_out(table.left_out, len(table.series))
        return table

    def _values(self, table: Table) -> Array:
        """The readings, less the constants that are subtracted: (rows, columns) float32, filled forward if asked."""
        if self.missing == "raise":
            return table.values
        filled: Array = np.concatenate([fill_forward(table.values[start:stop]) for _, start, stop in table.series])
        return filled


def windows_at(values: Array, ends: Array, lookback: int) -> Array:
    """The windows that end at some rows: (n, L, columns); a view if the rows follow each other."""
    every = np.lib.stride_tricks.sliding_window_view(values, lookback, axis=0).transpose(0, 2, 1)
    first = ends - (lookback - 1)
    if len(first) and first[-1] - first[0] == len(first) - 1:
        return every[first[0] : first[-1] + 1]
    found: Array = every[first]
    return found


def thinned(ends: Array, numbers: int) -> Array:
    """Of these rows, evenly spaced ones, so that windows of so many numbers have at most MOST_NUMBERS together."""
    return ends[:: -(-len(ends) * numbers // MOST_NUMBERS) or 1]


def finite(windows: Array) -> Array:
    """Which windows have all readings: (n,) bool. Before its first reading a column cannot be filled forward."""
    return np.asarray(np.isfinite(windows).all(axis=(1, 2)))


def whole(value: Any, name: str) -> int:
    """A whole number of at least 1. Raises InputError if it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(Parameter(name), f" must be a whole number of at least 1, got {value!r}")
    return int(value)


def one_target(own: Sequence[int], names: Sequence[str]) -> int:
    """The only target. Raises InputError if there are several."""
    if len(own) != 1:
        raise InputError(f"one of the columns {list(names)} is the target; name it with ", Parameter("target", ANY))
    return own[0]


def _is_array(data: Any) -> bool:
    return isinstance(data, (list, tuple)) or (isinstance(data, np.ndarray) and data.dtype.names is None)
