"""Regressor and Classifier: a simple method that gives one answer for each window or sequence.

The data are either a table, in which a column says the answer for each row, given the window that ends there; or
sequences, a list of arrays or a 3-D array, with one answer each. Of a sequence the last `lookback` rows are read. One
that is shorter is filled at its beginning with its first row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from gatewise.baselines.estimator import Baseline, finite, one_target, thinned, whole, windows_at
from gatewise.baselines.methods import CLASSIFICATION, REGRESSION, Method, named
from gatewise.errors import InputError, MissingExtraError, Parameter
from gatewise.layers.base import Array
from gatewise.tables.chosen import positions
from gatewise.tables.frames import to_frame
from gatewise.tables.table import unused

try:
    import pandas as pd
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("baselines read tables with pandas: pip install 'gatewise[train]'") from error


@dataclass(eq=False, repr=False, kw_only=True)
class Answers(Baseline):
    """Base class of the regressor and the classifier, which have the parameters of every baseline."""

    lookback: int = 50

    kind: ClassVar[str]
    METHODS: ClassVar[tuple[str, ...]]

    def fit(self, data: Any, y: Any = None, groups: Any = None) -> Self:
        """Fit the method.

        Args:
            data: a table with the target among its columns; or sequences, (n, L, columns) or a list of (L, columns),
                with `y`.
            y: (n,) the answer for each sequence; None = the target is a column of the table.
            groups: (n,) the group of each sequence, such as its machine, whose sequences stay together in
                cross-validation; None = no groups. The groups of a table are its series.

        Raises:
            InputError: data or parameters are invalid.
        """
        self._chosen(self.METHODS)
        whole(self.lookback, "lookback")
        if y is not None:
            windows = self._sequences(data)
            self.columns_ = tuple(f"x{k}" for k in range(windows.shape[2]))
            self.targets_, self.warnings_, self._tabular = ("y",), (), False
            answers = np.asarray(y)
        else:
            windows, answers, groups = self._from_table(data)
        known = self._known(answers)
        self.method_: Method = self._method().fit(windows, known, groups)
        return self._warn()

    def predict(self, data: Any) -> pd.DataFrame:
        """The answer for each sequence, or for each row of a table.

        Args:
            data: as for `fit`; a table needs no target.

        Returns:
            A frame with the column `prediction`, and for classes one more for the probability of each, named as the
            class. For a table it has the rows of the data, led by series and time; the answer is missing for the first
            rows of each series, which end no window.

        Raises:
            InputError: the data do not fit.
        """
        check_is_fitted(self)
        if not self._tabular:
            return pd.DataFrame(self._columns(self.method_.predict(self._sequences(data))))
        table = self._read(data)
        values = self._values(table)
        ends = np.concatenate([np.arange(a + self.lookback - 1, b) for _, a, b in table.series])
        if len(ends) and self.missing != "raise":
            ends = ends[finite(windows_at(values, ends, self.lookback))]
        found = np.full((len(table), self.method_.outputs_), np.nan)
        if len(ends):
            found[ends] = self.method_.predict(windows_at(values, ends, self.lookback))
        return table.frame(self._columns(found))

    def _known(self, answers: Array) -> Array:
        """The answers as the method takes them."""
        return answers

    def _columns(self, found: Array) -> dict[str, Array]:
        """The columns of the result, of the answers of the method (n, outputs)."""
        raise NotImplementedError

    def _method(self) -> Method:
        return named(self.method, self.kind, random_state=self.random_state)

    def _from_table(self, data: Any) -> tuple[Array, Array, Array | None]:
        """The windows of a table, the answers at their ends, and the series of each if there are several."""
        frame = to_frame(data)[0]
        names = [str(name) for name in frame.columns if name not in (self.time, self.series)]
        if self.target is None:
            raise InputError("a table needs a column with the answers; name it with ", Parameter("target", ...))
        target = names[one_target(positions("target", self.target, names), names)]
        read = [name for name in (names if self.columns is None else self.columns) if name != target]
        if not read:
            raise InputError(f"the only column is the target, {target!r}; give a table with more columns")
        table = self._read_to_fit(data, read, None)
        self.targets_, self._tabular = (target,), True
        values = self._values(table)
        rows = [np.arange(a + self.lookback - 1, b) for _, a, b in table.series]
        ends = thinned(np.concatenate(rows), self.lookback * values.shape[1])
        answers = frame.iloc[table.order, [str(name) for name in frame.columns].index(target)]
        if len(ends):
            usable = answers.notna().to_numpy()[ends]
            if self.missing != "raise":
                usable &= finite(windows_at(values, ends, self.lookback))
            ends = ends[usable]
        if not len(ends):
            raise InputError(f"no row with an answer ends a window of {self.lookback} rows; give longer series")
        which = np.searchsorted([b for *_, b in table.series], ends, side="right")
        groups = which if len(table.series) > 1 else None
        return windows_at(values, ends, self.lookback), answers.to_numpy()[ends], groups

    def _sequences(self, data: Any) -> Array:
        """Windows (n, lookback, columns) of sequences."""
        if not isinstance(data, (list, tuple, np.ndarray)) or not len(data):
            raise InputError("sequences are a list of arrays (L, columns), or an array (n, L, columns)")
        each = [np.asarray(one, np.float64) for one in data]
        shapes = {one.shape[1:] for one in each}
        if len(shapes) != 1 or len(each[0].shape) != 2 or not all(len(one) for one in each):
            raise InputError(f"each sequence must be an array (L, columns) of the same columns, got {each[0].shape}")
        rows = [np.maximum(np.arange(-self.lookback, 0) + len(one), 0) for one in each]
        return np.stack([one[row] for one, row in zip(each, rows, strict=True)])


@dataclass(eq=False, repr=False, kw_only=True)
class Regressor(Answers):
    """A number for each window or sequence, by a simple method.

    Args:
        method: "constant" (the mean), "ridge", "trees_last" (boosted trees on the last row) or "trees_window" (on
            features of the window).
        target: the column of a table with the answers, which the method does not read.
        loss: "squared" or "absolute", the error that is minimised by the methods that can minimise either.

    All other parameters are those of every baseline; `validation` is not used.
    """

    method: str = field(default="ridge", kw_only=False)
    loss: str = "squared"

    kind = REGRESSION
    METHODS = ("constant", "ridge", "trees_last", "trees_window")

    def _method(self) -> Method:
        return named(self.method, self.kind, loss=self.loss, random_state=self.random_state)

    def _known(self, answers: Array) -> Array:
        try:
            return answers.astype(np.float64)
        except (TypeError, ValueError):
            raise InputError(f"the answers of a regressor must be numbers, got {answers[:1].tolist()[0]!r}") from None

    def _columns(self, found: Array) -> dict[str, Array]:
        return {"prediction": found[:, 0]}


@dataclass(eq=False, repr=False, kw_only=True)
class Classifier(Answers):
    """A class for each window or sequence, by a simple method.

    Args:
        method: "constant" (the frequencies), "logistic", "trees_last" (boosted trees on the last row) or "trees_window"
            (on features of the window).
        target: the column of a table with the classes, which the method does not read: text or numbers.

    All other parameters are those of every baseline; `validation` is not used.

    Attributes:
        classes_: the classes, sorted.
    """

    method: str = field(default="logistic", kw_only=False)

    kind = CLASSIFICATION
    METHODS = ("constant", "logistic", "trees_last", "trees_window")

    def _known(self, answers: Array) -> Array:
        self.classes_: Sequence[Any]
        self.classes_, numbers = np.unique(answers, return_inverse=True)  # type: ignore[assignment]
        return np.asarray(numbers)

    def _columns(self, found: Array) -> dict[str, Array]:
        answers = np.asarray(self.classes_, object)[found.argmax(axis=1)]
        answers[np.isnan(found).any(axis=1)] = None
        columns: dict[str, Array] = {"prediction": answers}
        for k, name in enumerate(self.classes_):
            columns[unused(str(name), columns)] = found[:, k]
        return columns
