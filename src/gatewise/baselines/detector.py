"""Detector: a method that scores windows behind the face of `gatewise.Detector`.

The method is fitted to the windows of the first rows of each series, and scores those that end in the held-out rows
(`validation`). The n scores c of these convert every other score s to a probability: the share of held-out windows that
are at least as unusual and, among the highest scores, an exponential tail (Pickands 1975, with shape 0)::

    p(s) = (1 + #{c >= s}) / (n + 1)            s <= u, the score that one in twenty, at least ten, exceed
    p(s) = p(u) exp(-(s - u) / m)               s >  u, with m = mean (c - u) of the c above u

The score of a row is -log10 p of the window that ends there, and an alarm is a row with p of at most
`false_alarms_per_1000` / 1000, as for the task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from gatewise.baselines.estimator import Baseline, finite, thinned, windows_at
from gatewise.baselines.unusual import IsolationForestWindows, KMeansWindows, PCAWindows, Unusual
from gatewise.errors import InputError, MissingExtraError, Parameter
from gatewise.layers.base import Array
from gatewise.tables.table import Table

try:
    import pandas as pd
    from sklearn.base import OutlierMixin
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("baselines need scikit-learn: pip install 'gatewise[train]'") from error

METHODS: Mapping[str, type[Any]] = {one.name: one for one in (PCAWindows, KMeansWindows, IsolationForestWindows)}

LEAST = 20
"""Least number of held-out windows."""


@dataclass(eq=False, repr=False, kw_only=True)
class Detector(OutlierMixin, Baseline):  # type: ignore[misc]
    """Finds unusual windows of one or many series, at a stated rate of false alarms.

    Args:
        method: "pca", "kmeans" or "isolation_forest", see `gatewise.baselines.unusual`.
        options: options of the method, e.g. {"clusters": 50}; None = its defaults.
        false_alarms_per_1000: expected number of alarms in 1,000 rows of data like the held-out rows.

    All other parameters are those of every baseline. The targets are the columns of the windows; others are not read
    by the method.

    Attributes:
        threshold_: score from which a row is an alarm.
        offset_: -threshold_.
    """

    method: str = field(default="pca", kw_only=False)
    lookback: int = 50
    validation: float = 0.25
    options: Mapping[str, Any] | None = None
    false_alarms_per_1000: float = 1.0

    def fit(self, data: Any, y: Any = None) -> Self:
        """Fit the method to the first rows of each series, and calibrate it on the others.

        Args:
            data: the series; rows are steps in order of time, and mostly usual.
            y: not used.

        Raises:
            InputError: data or parameters are invalid, or there are too few rows.
        """
        rate = self.false_alarms_per_1000
        if isinstance(rate, bool) or not 0 < rate < 1000:
            raise InputError(Parameter("false_alarms_per_1000"), f" must be between 0 and 1,000, got {rate!r}")
        name = self._chosen(tuple(METHODS))
        table = self._read_to_fit(data, self.columns, self.target)
        cuts = [stop - round(self.validation * (stop - start)) for _, start, stop in table.series]
        first = self.lookback - 1
        to_fit = [np.arange(start + first, cut) for (_, start, _), cut in zip(table.series, cuts, strict=True)]
        held = [np.arange(max(a + first, cut), stop) for (_, a, stop), cut in zip(table.series, cuts, strict=True)]
        values = self._values(table)[:, self._own]
        training, held_out = self._usable(values, to_fit), self._usable(values, held)
        if len(training) < LEAST or len(held_out) < LEAST:
            raise InputError(
                f"there are {len(training):,} windows of {self.lookback} rows to fit and {len(held_out):,} to "
                f"calibrate on, and at least {LEAST} of each are needed; give more rows, or shorter windows"
            )
        try:
            method: Unusual = METHODS[name](**{"random_state": self.random_state, **(self.options or {})})
        except TypeError as error:
            raise InputError(Parameter("options"), f" are not those of {name!r}: {error}") from None
        self.method_ = method.fit(windows_at(values, training, self.lookback))
        self._calibrate(self.method_.score(windows_at(values, held_out, self.lookback)))
        self.threshold_ = float(-np.log10(rate / 1000))
        self.offset_ = -self.threshold_
        if len(held_out) * rate < 1000:
            text = (
                f"the rate of false alarms, {rate:g} in 1,000, rests on a fitted tail: there are {len(held_out):,} "
                f"held-out windows, and {int(np.ceil(1000 / rate)):,} would show one such alarm"
            )
            self.warnings_ = (*self.warnings_, text)
        return self._warn()

    def score_samples(self, data: Any) -> Array:
        """How normal each row is: log10 of the probability of a window at least as unusual, 0 or negative.

        Args:
            data: rows in order of time, with the columns of the fit.

        Returns:
            (rows,) float64; NaN for the first rows of each series, which end no window, and for series that cannot be
            used.
        """
        table = self._read(data)
        scores = np.full(table.given, np.nan)
        scores[table.order] = self._scores(table)[0]
        return -scores

    def decision_function(self, data: Any) -> Array:
        """`score_samples` - `offset_`, (rows,) float64: alarms are 0 or negative, rows without a score NaN."""
        return self.score_samples(data) - self.offset_

    def predict(self, data: Any) -> Array:
        """-1 for an alarm, else 1, also for rows without a score. (rows,) int64."""
        return np.where(self.decision_function(data) <= 0, -1, 1)

    def explain(self, data: Any) -> pd.DataFrame:
        """The readings and scores of all rows as a frame.

        Returns:
            A frame as that of `gatewise.Detector.explain`, without what only a forecast has: `observed`, `score`,
            `extrapolated` (whether the score is beyond those of the held-out windows) and `alarm`. With several targets
            `score`, `NAME:observed` of each, `extrapolated` and `alarm`.
        """
        table = self._read(data)
        scores, beyond = self._scores(table)
        readings = table.wide(self._own)
        one = len(self.targets_) == 1
        observed = {"observed" if one else f"{name}:observed": readings[:, k] for k, name in enumerate(self.targets_)}
        led = {**observed, "score": scores} if one else {"score": scores, **observed}
        return table.frame({**led, "extrapolated": beyond, "alarm": scores >= self.threshold_})

    def _usable(self, values: Array, rows: list[Array]) -> Array:
        """The rows that end a window with all readings."""
        numbers = self.lookback * values.shape[1]
        ends = thinned(np.concatenate(rows), numbers)
        if not len(ends) or self.missing == "raise":
            return ends
        return np.asarray(ends[finite(windows_at(values, ends, self.lookback))])

    def _calibrate(self, scores: Array) -> None:
        """Take the scores of the held-out windows as those of usual ones."""
        self._usual = np.sort(scores)
        most = max(10, len(scores) // 20)
        self._edge = float(self._usual[-most - 1])
        excess = float((self._usual[-most:] - self._edge).mean())
        self._excess = max(excess, 1e-9 * max(abs(self._edge), 1e-9))

    def _probability(self, scores: Array) -> Array:
        """The probability of a score at least as large: (n,)."""
        below = np.minimum(scores, self._edge)
        share = (1 + len(self._usual) - np.searchsorted(self._usual, below, side="left")) / (len(self._usual) + 1)
        return np.asarray(share * np.exp(-(scores - below) / self._excess))

    def _scores(self, table: Table) -> tuple[Array, Array]:
        """The score of each row, NaN if it ends no window, and whether it is beyond those of the held-out windows."""
        values = self._values(table)[:, self._own]
        each = [np.arange(start + self.lookback - 1, stop) for _, start, stop in table.series]
        ends = np.concatenate(each)
        found, beyond = np.full(len(table), np.nan), np.zeros(len(table), bool)
        if len(ends) and self.missing != "raise":
            ends = ends[finite(windows_at(values, ends, self.lookback))]
        if len(ends):
            raw = self.method_.score(windows_at(values, ends, self.lookback))
            with np.errstate(divide="ignore"):
                found[ends] = np.minimum(-np.log10(self._probability(raw)), 300.0)
            beyond[ends] = raw > self._usual[-1]
        return found, beyond
