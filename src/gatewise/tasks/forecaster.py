"""Forecaster: forecast quantiles of columns at several horizons at once.

A recurrent model reads one row after the other, and at each row forecasts all quantiles at all horizons (the head
`quantiles`, where the equations are). There are two contexts:

* "carried": the state is carried from row to row without end. Each row takes one step, however long the memory is.
* {"window": L}: each forecast is made from the last L rows, which takes L steps. With `normalise` each window is
  standardised with its own mean and deviation, and the forecast is converted back. The model can then apply what it
  learnt at one level to another. For series whose level wanders, this helps more than any choice of layer.

The rows of each series are cut in order of time::

    |-- training -------------------------------------|-- validation ------|
                     1 - validation                        validation

Weights and scaling come from the first part; the second part decides which weights are kept. Several series train one
model. Series that are too short for a training example are left out, and `warnings_` names them; they can still be
forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gatewise.errors import InputError, MissingExtraError, Parameter, Text
from gatewise.heads.quantiles.spec import Spec as Head
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.spec import ModelSpec
from gatewise.tables.table import Table
from gatewise.tasks import backtest as rolling
from gatewise.tasks.bounded import beyond, bounded, logged
from gatewise.tasks.fitted import head_of
from gatewise.tasks.fitting import Fitted, Fitting
from gatewise.tasks.forecast_inputs import choose, wanted_of
from gatewise.tasks.forecast_model import drawn, forecast_spec, forecast_tensors, forecasts, tested
from gatewise.tasks.forecast_rivals import forecast_rivals
from gatewise.tasks.layout import PERIODS, Layout
from gatewise.tasks.task import Task

try:
    import pandas as pd
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks read tables with pandas: pip install 'gatewise[train]'") from error


@dataclass(eq=False, repr=False, kw_only=True)
class Forecaster(Task):
    """Forecasts columns of one or many series, with quantiles that never cross.

    After `fit`, a new value of `minimum`, `maximum` or `time` takes effect when it is set. If another parameter is
    changed, the forecaster raises an error until it is fitted again.

    Args:
        horizons: the steps ahead that are forecast: a number n for all from 1 to n, or an ascending list.
        quantiles: probabilities, ascending, e.g. (0.1, 0.5, 0.9) for the median and a band that should contain 80 % of
            the readings.
        covariates: the columns, by name or position, whose future is known, such as plans or prices. The model also
            reads their values at each horizon, so `predict` needs their future rows.
        calendar: which of "day", "week" and "year" the model reads, as sine and cosine of the position of the time
            within it.
        context: "carried" or {"window": L}; see the head of this file.
        normalise: whether each window is read and forecast in its own units; needs a window. With missing="mask" the
            units come from the observed readings only.
        anchor: whether the model forecasts changes from the last reading, which is better for the nearest steps.
        minimum, maximum: bounds of the forecasts in the units of the data: a number for all targets, or a dict from
            names of targets to numbers; None = no bound.
        transform: "log1p" to read, scale and forecast log(1 + x) of the targets; forecasts are converted back to the
            units of the data. It is for quantities above -1 that change by ratios. A dict from names of columns to
            "log1p" or None applies to these columns only, which may be covariates; None = no column.

    All other parameters are those of every `Task`. The targets are the columns that are forecast, by default all except
    the covariates. `bptt` only matters with a carried context.

    Attributes:
        horizons_: the steps ahead.
        quantiles_: the probabilities.
    """

    units: int = field(default=64, kw_only=False)
    batch: int = 32
    bptt: int | None = None
    horizons: int | Sequence[int] = 24
    quantiles: Sequence[float] = (0.1, 0.5, 0.9)
    covariates: Sequence[str | int] = ()
    calendar: Sequence[str] = ()
    context: str | Mapping[str, int] = "carried"
    normalise: bool = False
    anchor: bool = True
    minimum: float | Mapping[str, float | None] | None = None
    maximum: float | Mapping[str, float | None] | None = None
    transform: str | Mapping[str, str | None] | None = None

    kind = "forecaster"
    keeps_states = False
    follows = ("time", "minimum", "maximum")

    _causal_advice = Text("pass ", Parameter("context", {"window": 96}), ", for example")

    def predict(self, data: Any, future: Any = None) -> pd.DataFrame:
        """Forecast the rows after the last row of each series.

        Args:
            data: rows in order of time, with the columns of the fit. With a carried context pass the whole history,
                with a window at least the rows of one window.
            future: the covariates in the next rows up to the last horizon, in the same form as the data, including time
                and series if the data have them. Times must continue in the steps of the data. It is required if the
                forecaster has covariates, and not allowed otherwise.

        Returns:
            A frame with a row for each series, target and horizon. Its columns are the series (if there are several),
            the time (if there is one), `horizon`, `target`, and a column for each quantile, named "0.5" and so on, in
            the units of the data. If the series or the time has the name of another column, "_" is appended to it. If
            there are several series, those that cannot be forecast are left out, and a warning names them: too few rows
            in the data or in `future`, missing readings although `missing` is "raise", readings that are too large or
            have no logarithm for `transform`, or times out of order. A warning also names readings that look like
            errors among the rows from which the forecasts are made.

        Raises:
            InputError: the data do not fit, or have too few rows.
        """
        return forecasts(self, self._read(data), future)

    def backtest(
        self, data: Any, start: Any = None, stride: int = 1, season: int | str | None = "auto"
    ) -> rolling.Backtest:
        """Forecast from many origins in time, and compare the forecasts with the readings that came.

        Args:
            data: rows in order of time, with the columns of the fit; rows before `start` are read but not forecast.
            start: the first row of each series that is forecast: a number, or a date if there is one series with times.
                A date without a time zone is in that of the data. None = as soon as there is a window, or one row.
                Scores are too good on rows of the fit, so pass the first row after them.
            stride: number of rows from one forecast to the next.
            season: number of steps in a season, e.g. 24, for the forecast that repeats the last season; None or 0 = no
                such forecast; "auto" = a day for steps within a day, a week for days, or a year for months, if the
                times allow it and the data are longer than that.

        Returns:
            A Backtest with the forecasts, the readings, and the simple forecasts that repeat the last reading or the
            last season; see `.scores()`, `.compare()` and `.frame()`. If there are several series, those that cannot be
            used are left out, and a warning names them: too few rows, missing readings although `missing` is "raise",
            readings that are too large or have no logarithm, or times out of order.

        Raises:
            InputError: the data do not fit or have too few rows, or a season is longer than the data.
        """
        return tested(self, self._read(data), start, stride, season)

    def plot(
        self,
        data: Any,
        future: Any = None,
        *,
        came: Any = None,
        target: str | None = None,
        series: Any = None,
        rows: int | None = None,
        ax: Any = None,
    ) -> Any:
        """Draw the forecast after the last row of the data, with the rows before it.

        Args:
            data, future: as for `predict`.
            came: the rows observed after the data, in the same form, to draw with the forecast; None = not drawn.
            target: name of the target to draw; None = the only one.
            series: id of the series to draw, if there are several.
            rows: number of rows drawn before the forecast; None = four times the last horizon, but at least 24.
            ax: matplotlib Axes to draw into; None = new ones.

        Returns:
            The Axes; see `gatewise.figures.forecast`.

        Raises:
            InputError: as for `predict`, there is no such target or series, or `rows` is invalid.
        """
        table = self._read(data).only(series)
        return drawn(self, table, future, None if came is None else self._read(came).only(series), target, rows, ax)

    def _layout(self, names: Sequence[str]) -> Layout:
        layout = choose(names, self.target, self.covariates, self.calendar, self.horizons)
        columns = bounded(self.minimum, self.maximum, self.transform, layout).columns
        return replace(layout, transform=None if columns is None else tuple(columns))

    def _lasting(self, layout: Layout) -> Sequence[int] | None:
        return [k for k in range(len(layout.read)) if not (self.normalise or (self.anchor and k in layout.targets))]

    def _spec(self, table: Table, layout: Layout) -> ModelSpec:
        ends = bounded(self.minimum, self.maximum, self.transform, layout)
        return forecast_spec(self, table, layout, ends.less(table.subtract[list(layout.targets)]))

    def _tensors(self, model: Model, fitting: Fitting) -> Mapping[str, Array]:
        return forecast_tensors(model, fitting)

    def _examples(self, fitting: Fitting) -> tuple[list[Array], list[Array] | None]:
        layout, table = fitting.layout, fitting.table
        inputs, _ = super()._examples(fitting)
        if not layout.lead:
            return inputs, None  # the head takes the targets from the inputs
        targets = list(layout.targets)
        scaled = (logged(table, layout.transform).values[:, targets] - fitting.offset[targets]) / fitting.scale[targets]
        spans = zip(inputs, fitting.parts.spans, strict=True)
        return inputs, [wanted_of(scaled[a:stop], layout.horizons, len(x), b - a) for x, (a, b, _, stop) in spans]

    def _finish(self, model: Model, fitting: Fitting) -> Fitted:
        table, layout, targets = fitting.table, fitting.layout, list(fitting.layout.targets)
        ends = bounded(self.minimum, self.maximum, self.transform, layout)
        described = {}
        if ends.targets is not None:  # for errors in standard units
            training = table.values[fitting.parts.training][:, targets]
            described["deviations"] = np.nanstd(training, axis=0, dtype=float).tolist()
        return Fitted(model, described, beyond(table, targets, ends))

    def _rivals(self, model: Model, fitting: Fitting) -> list[str]:
        return forecast_rivals(model, fitting) if fitting.parts.share else []

    def _take_own(self, model: Model, described: Mapping[str, Any]) -> None:
        head = head_of(model, Head)
        if tuple(head.horizons) != tuple(described["horizons"]):
            raise InputError("its horizons are not those of its head")
        if not set(described["calendar"]) <= set(PERIODS):
            raise InputError("its columns do not fit together")
        self.horizons_ = tuple(head.horizons)
        self.quantiles_ = tuple(head.quantiles)

    def _following(self, values: Mapping[str, Any]) -> Model:
        """The model with other bounds."""
        constants = self._constants()
        given = {"minimum": self.minimum, "maximum": self.maximum, **values}
        ends = bounded(given["minimum"], given["maximum"], None, self.layout_)
        if constants is not None:
            ends = ends.less(constants[list(self.layout_.targets)])
        return self.model_.with_options(head={"minimum": ends.minimum, "maximum": ends.maximum})
