"""Forecaster: a simple method on windows behind the face of `gatewise.Forecaster`.

The method forecasts one number for each target and horizon. Its errors on the held-out rows, the last ones of each
series, give the quantiles: a quantile of a forecast is the forecast plus that quantile of these errors, for each target
and horizon of its own. Then the method is fitted again, to all rows. (This is split conformal prediction, Vovk,
Gammerman and Shafer 2005, but the errors of a series depend on each other, so that the quantiles are estimates.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from gatewise.baselines.estimator import Baseline, finite, thinned, whole, windows_at
from gatewise.baselines.methods import REGRESSION, Method, named
from gatewise.errors import ANY, InputError, MissingExtraError, Parameter
from gatewise.layers.base import Array
from gatewise.tables.left_out import too_short, warn_left_out
from gatewise.tables.table import Table, unused

try:
    import pandas as pd
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("baselines read tables with pandas: pip install 'gatewise[train]'") from error

METHODS = ("constant", "last", "seasonal", "ridge", "trees_last", "trees_window")


@dataclass(eq=False, repr=False, kw_only=True)
class Forecaster(Baseline):
    """Forecasts columns of one or many series with a simple method on the last rows.

    Args:
        method: "constant" (the median), "last" (repeat the last reading), "seasonal" (the reading one season earlier),
            "ridge", "trees_last" (boosted trees on the last row) or "trees_window" (on features of the window). The
            trees need a boosting for each target and horizon.
        horizons: the steps ahead that are forecast: a number n for all from 1 to n, or an ascending list.
        quantiles: probabilities, ascending.
        season: number of rows in a season, for the method "seasonal"; "auto" = from the times, as in
            `gatewise.Forecaster.backtest`.

    All other parameters are those of every baseline, see `Baseline`. All columns are read.

    Attributes:
        horizons_: the steps ahead.
        quantiles_: the probabilities.
        season_: number of rows in a season, or None.
        errors_: (targets, horizons, quantiles), the quantiles of the errors on held-out rows.
    """

    method: str = field(default="ridge", kw_only=False)
    horizons: int | Sequence[int] = 24
    quantiles: Sequence[float] = (0.1, 0.5, 0.9)
    season: int | str | None = "auto"

    def fit(self, data: Any, y: Any = None) -> Self:
        """Fit the method to the windows of a table.

        Args:
            data: the series; rows are steps in order of time.
            y: not used.

        Raises:
            InputError: data or parameters are invalid, or the series are too short.
        """
        table = self._read_to_fit(data, self.columns, self.target)
        self.horizons_, self.quantiles_ = _steps(self.horizons), _probabilities(self.quantiles)
        self.season_ = self.timeline_.season(table) if self.season == "auto" else _season(self.season)
        values, (origins, held_out, every) = self._values(table), self._origins(table)
        groups = np.repeat(np.arange(len(table.series)), [stop - start for _, start, stop in table.series])
        fitted = self._fitted(values, origins, groups)
        windows, wanted, _ = self._examples(values, held_out)
        errors = np.quantile(wanted - fitted.predict(windows), self.quantiles_, axis=0)  # (Q, K H)
        self.errors_: Array = errors.T.reshape(len(self.targets_), len(self.horizons_), -1)
        self.method_ = self._fitted(values, every, groups)
        return self._warn()

    def predict(self, data: Any) -> pd.DataFrame:
        """Forecast the rows after the last row of each series.

        Args:
            data: rows in order of time, with the columns of the fit; at least `lookback` of each series.

        Returns:
            A frame as that of `gatewise.Forecaster.predict`: the series, the time, `horizon`, `target`, and a column
            for each quantile in the units of the data.

        Raises:
            InputError: the data do not fit, or have too few rows.
        """
        table = self._read(data, warned=False)
        table = table.without(too_short(table, self.lookback))
        warn_left_out(table.left_out, len(table.series))
        times = self.timeline_.ahead(table, self.horizons_)
        answers = self._quantiles(table, np.array([stop - 1 for *_, stop in table.series]))
        K, H, frames = len(self.targets_), len(self.horizons_), []
        for (name, *_), answer in zip(table.series, answers, strict=True):
            found: dict[str, Any] = {
                "horizon": list(self.horizons_) * K,
                "target": np.repeat(np.array(self.targets_, object), H),
                **self._levels(answer),
            }
            if (ahead := times[name]) is not None:
                found = {unused(self.time or "time", found): ahead * K, **found}
            if self.series is not None:
                found = {unused(self.series, found): [name] * (K * H), **found}
            frames.append(pd.DataFrame(found))
        return pd.concat(frames, ignore_index=True)

    def backtest(self, data: Any, start: int | None = None, stride: int = 1) -> pd.DataFrame:
        """Forecast from many origins in time, next to the readings that came.

        Args:
            data: rows in order of time, with the columns of the fit.
            start: the number of the first row of each series that is forecast; None = as soon as there is a window.
                Rows of the fit were seen, so pass the first row after them.
            stride: number of rows from one origin to the next.

        Returns:
            A frame as that of `gatewise.tasks.backtest.Backtest.frame`: series, origin, time, target, horizon,
            quantiles and `observed`, with a row for each origin, target and horizon.

        Raises:
            InputError: the data do not fit, or no origin has a window before it and all horizons after it.
        """
        table = self._read(data)
        first = self.lookback if start is None else max(whole(start, "start"), self.lookback)
        last = self.horizons_[-1]
        each = [np.arange(a + first - 1, b - last, whole(stride, "stride")) for _, a, b in table.series]
        origins = np.concatenate(each)
        if not len(origins):
            raise InputError(
                f"no origin has {self.lookback} rows up to it and {last} after it in its series; give more rows"
            )
        K, H = len(self.targets_), len(self.horizons_)
        values = table.wide(self._own)
        observed = np.stack([values[origins + h] for h in self.horizons_], axis=2)  # (N, K, H)
        found: dict[str, Any] = {
            "origin": np.repeat(origins, K * H),
            "target": np.tile(np.repeat(np.array(self.targets_, object), H), len(origins)),
            "horizon": np.tile(self.horizons_, len(origins) * K),
            **self._levels(self._quantiles(table, origins)),
            "observed": observed.ravel(),
        }
        if table.times is not None:
            found = {unused(self.time or "time", found): table.times[np.repeat(origins, K * H)], **found}
            found = {"origin": found.pop("origin"), **found}
        if self.series is not None:
            counts = [len(rows) * K * H for rows in each]
            found = {unused(self.series, found): np.repeat([name for name, *_ in table.series], counts), **found}
        return pd.DataFrame(found)

    def _method(self) -> Method:
        """The method, not fitted. Raises InputError if it is unknown, or has no season."""
        name = self._chosen(METHODS)
        if name == "seasonal" and self.season_ is None:
            raise InputError(
                "no season can be found from the times; name its number of rows with ", Parameter("season", ANY)
            )
        return named(
            name,
            REGRESSION,
            self._own,
            self.season_,
            self.horizons_,
            loss="absolute" if name == "constant" else "squared",  # with trees the median would take minutes
            random_state=self.random_state,
        )

    def _fitted(self, values: Array, origins: Array, groups: Array) -> Method:
        windows, wanted, kept = self._examples(values, origins)
        return self._method().fit(windows, wanted, groups[kept] if groups[-1] else None)

    def _origins(self, table: Table) -> tuple[Array, Array, Array]:
        """The rows from which forecasts are made: those whose targets are training rows, or held-out rows; and all."""
        first, last = self.lookback - 1, self.horizons_[-1]
        training, held_out, every = [], [], []
        for _, start, stop in table.series:
            cut = stop - round(self.validation * (stop - start))
            training.append(np.arange(start + first, cut - last))
            held_out.append(np.arange(max(start + first, cut - 1), stop - last))
            every.append(np.arange(start + first, stop - last))
        found = np.concatenate(training), np.concatenate(held_out), np.concatenate(every)
        if not all(len(rows) for rows in found):
            longest = max(stop - start for _, start, stop in table.series)
            raise InputError(
                f"the longest series has {longest} rows, too few for windows of {self.lookback} rows and {last} rows "
                f"after them, both in the rows to fit and in the {self.validation:.0%} that are held out; give more "
                "rows, shorter windows or nearer horizons"
            )
        return found

    def _examples(self, values: Array, origins: Array) -> tuple[Array, Array, Array]:
        """The windows at some rows, their targets (n, K H), and these rows; without those with a missing reading."""
        origins = thinned(origins, self.lookback * values.shape[1])
        wanted = np.stack([values[:, self._own][origins + h] for h in self.horizons_], axis=2)
        wanted = wanted.reshape(len(origins), -1)
        windows = windows_at(values, origins, self.lookback)
        if self.missing != "raise":
            usable = finite(windows) & np.isfinite(wanted).all(axis=1)
            windows, wanted, origins = windows[usable], wanted[usable], origins[usable]
            if not len(wanted):
                raise InputError("no window has readings of all columns; give more rows, or fewer columns")
        return windows, wanted, origins

    def _quantiles(self, table: Table, origins: Array) -> Array:
        """The forecasts from some rows of a table in the units of the data: (N, K, H, Q) float64."""
        shape = (len(origins), len(self.targets_), len(self.horizons_), 1)
        windows = windows_at(self._values(table), origins, self.lookback)
        points = self.method_.predict(windows).reshape(shape)
        return np.asarray(points + self._subtract[self._own][:, None, None] + self.errors_)

    def _levels(self, found: Array) -> dict[str, Array]:
        """The columns of the quantiles, of forecasts (..., Q)."""
        return {repr(float(q)): found[..., i].ravel() for i, q in enumerate(self.quantiles_)}


def _steps(horizons: Any) -> tuple[int, ...]:
    """The steps ahead, ascending. Raises InputError if they are none."""
    if isinstance(horizons, (int, np.integer)) and not isinstance(horizons, bool):
        return tuple(range(1, whole(horizons, "horizons") + 1))
    try:
        found = tuple(whole(step, "horizons") for step in horizons)
    except TypeError:
        found = ()
    if not found or list(found) != sorted(set(found)):
        raise InputError(
            Parameter("horizons"), f" must be a number of steps ahead from 1, or an ascending list, got {horizons!r}"
        )
    return found


def _season(season: Any) -> int | None:
    """The given season; 0 = none. Raises InputError if it is no number of rows."""
    return None if season is None or (season == 0 and season is not False) else whole(season, "season")


def _probabilities(quantiles: Any) -> tuple[float, ...]:
    """The probabilities, ascending. Raises InputError if they are none."""
    try:
        found = tuple(float(q) for q in quantiles)
    except (TypeError, ValueError):
        found = ()
    if not found or not all(0 < q < 1 for q in found) or list(found) != sorted(set(found)):
        raise InputError(Parameter("quantiles"), f" must be ascending probabilities between 0 and 1, got {quantiles!r}")
    return found
