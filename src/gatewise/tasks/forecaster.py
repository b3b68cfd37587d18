"""Forecaster: how large will these columns be, some steps on? Quantiles at several horizons at once.

A recurrent model reads one row after the other and answers, at each of them, all quantiles at all horizons (head
`quantiles`, which has the equations). Two contexts are to be had:

* "carried": the state goes from row to row for ever. One row costs one step, however long the memory is.
* {"window": L}: each forecast is made from the last L rows, which costs L steps. With `normalise` each window is read
  in its own units, the forecast is made in them, and is put back: what holds at one level then holds at another. On
  series that wander this is worth more than any choice of layer.

The rows of each series are cut in order of time::

    |-- training -------------------------------------|-- validation ------|
                     1 - validation                        validation

Weights and scaling come from the first part; the second decides which weights are kept. Several series train one model;
those too short to give it an example are left out, and `warnings_` names them. They can be forecast all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gatewise.errors import InputError, MissingExtraError
from gatewise.heads.quantiles.spec import Spec as Head
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.spec import ModelSpec
from gatewise.tables.left_out import too_short, warn_left_out
from gatewise.tables.split import Parts
from gatewise.tables.table import Table
from gatewise.tasks import backtest as rolling
from gatewise.tasks.bounded import beyond, bounded, logged, no_logs_ahead
from gatewise.tasks.fitting import Fitted, Fitting
from gatewise.tasks.forecast_inputs import choose, cut, wanted_of
from gatewise.tasks.forecast_model import forecast_spec, forecast_tensors, forecasts, tested
from gatewise.tasks.future import known_ahead
from gatewise.tasks.layout import PERIODS, Layout
from gatewise.tasks.task import Task

try:
    import pandas as pd
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks read tables with pandas: pip install 'gatewise[train]'") from error


@dataclass(eq=False, repr=False, kw_only=True)
class Forecaster(Task):
    """Forecasts columns of one or many series, with quantiles that never cross.

    After `fit` another `minimum` or `maximum` (and `time`) takes effect when it is set; where another parameter is
    changed, the forecaster is to be fitted again, and refuses to be used before.

    Args:
        horizons: steps ahead that are forecast: a number n for all from 1 to n, or an ascending list.
        quantiles: probabilities, ascending, e.g. (0.1, 0.5, 0.9): the middle, and a band that holds 8 of 10 readings.
        covariates: the columns, by name or position, whose future is known: the model reads them ahead as well, at each
            horizon, and `predict` needs their rows to come.
        calendar: which of "day", "week" and "year" the model reads, as sine and cosine of where in it the time lies.
        context: "carried" or {"window": L}; see the head of this file.
        normalise: whether each window is read and forecast in its own units; needs a window. With missing="mask" these
            are the units of what was read alone.
        anchor: whether forecasts are changes from the last reading. Better for the steps just ahead.
        minimum, maximum: numbers beyond which no forecast goes, in the units of the data: one for all targets, or a
            dict from names of targets to numbers; None = no bound.
        transform: "log1p" to read, learn and scale log(1 + x) of the targets, with forecasts in the units of the data
            all the same: for quantities above -1 whose changes are ratios. A dict from names of columns read to "log1p"
            or None says it of these alone, covariates included; None = of no column.

    All other parameters are those of every `Task`. The targets are the columns that are forecast, by default all whose
    future is not known. `bptt` is for a carried context.

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

    def predict(self, data: Any, future: Any = None) -> pd.DataFrame:
        """What comes after the last row of each series.

        Args:
            data: rows in order of time, with the columns fitted: all the history there is for a carried context, at
                least a window of it for the other.
            future: the covariates in the rows that follow, up to the last horizon, in the same form as the data (time
                and series included where there are such; times go on in the steps of the data). Only, and then always,
                for a forecaster with covariates.

        Returns:
            A frame with a row for each series, target and horizon: the series (where there are several), the time
            (where there is one), `horizon`, `target`, and a column for each quantile, called "0.5" and so on, in the
            units of the data. Where the series or the time is called as one of the others, "_" is put behind it.

            Of several series those that cannot be forecast are left out, and a warning names them: too few rows, or
            too few in `future`, missing readings that are refused, readings too large or without a logarithm that
            `transform` asks for, times out of order.

        Raises:
            InputError: data that do not fit, or too few rows.
        """
        table = self._read(data)
        table = table.without(too_short(table, self.model_.window or 1))
        constants = self._constants()
        covariates = None if constants is None else constants[len(self.layout_.readings) :]
        ahead, faults = known_ahead(table, future, self.layout_, self.time, self.series, self.timeline_, covariates)
        table = table.without(faults)
        table = table.without(no_logs_ahead({name: ahead[name] for name, *_ in table.series}, self.layout_))
        warn_left_out(table.left_out, len(table.series))
        return forecasts(self, table, ahead)

    def backtest(
        self, data: Any, start: Any = None, stride: int = 1, season: int | str | None = "auto"
    ) -> rolling.Backtest:
        """Forecast again and again as time goes on, and hold the forecasts to what came.

        Args:
            data: rows in order of time, with the columns fitted; rows before `start` are read, but not forecast.
            start: the first row of each series that is forecast: a number, or a date for one series with times, which
                is one of their zone if it names none. None = as soon as there is a window, or one row. Rows that the
                model was fitted on flatter it: give the first row after them.
            stride: rows from one forecast to the next.
            season: steps in a season for the forecast that repeats the last one, e.g. 24; None or 0 = no such forecast;
                "auto" = a day, or a week of days, or a year of months, where the times say so and the data are longer.

        Returns:
            Forecasts, what came, and what repeating the last reading, or the last season, would have said:
            `.scores()`, `.compare()`, `.frame()`. Of several series those with too few rows, with missing readings
            that are refused, with readings too large or without a logarithm, or with times out of order, are left out,
            and a warning names them.

        Raises:
            InputError: data that do not fit, too few rows, or a season that is longer than they are.
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
            data, future: as `predict` takes them.
            came: the rows that came after the data, in the same form, to draw beside the forecast; None = none.
            target: name of the target to draw; None = the only one.
            series: id of the series to draw, where there are several.
            rows: how many of the rows before the forecast are drawn; None = all.
            ax: matplotlib Axes to draw in; None = new ones.

        Returns:
            The Axes; see `gatewise.figures.forecast`.

        Raises:
            InputError: as `predict` raises it, or no such target or series.
        """
        from gatewise.figures import forecast, of_series

        ahead = of_series(self.predict(data, future), self.series, series)
        past = of_series(self._frame(data), self.series, series).iloc[-rows if rows else 0 :]
        since = None if came is None else of_series(self._frame(came), self.series, series)
        return forecast(ahead, past, came=since, target=target, time=self.time, ax=ax)

    def _layout(self, names: Sequence[str]) -> Layout:
        layout = choose(names, self.target, self.covariates, self.calendar, self.horizons)
        columns = bounded(self.minimum, self.maximum, self.transform, layout).columns
        return replace(layout, transform=None if columns is None else tuple(columns))

    def _parts(self, table: Table, layout: Layout, seen: Array | None) -> Parts:
        context = self._spec(table, layout).context
        return cut(table, layout, 1 if isinstance(context, str) else context["window"], self.validation)

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
            return inputs, None  # the head takes them from the inputs
        targets = list(layout.targets)
        scaled = (logged(table, layout.transform).values[:, targets] - fitting.offset[targets]) / fitting.scale[targets]
        spans = zip(inputs, fitting.parts.spans, strict=True)
        return inputs, [wanted_of(scaled[a:stop], layout.horizons, len(x), b - a) for x, (a, b, _, stop) in spans]

    def _finish(self, model: Model, fitting: Fitting) -> Fitted:
        table, layout, targets = fitting.table, fitting.layout, list(fitting.layout.targets)
        ends = bounded(self.minimum, self.maximum, self.transform, layout)
        described = {}
        if ends.targets is not None:  # by which errors in standard units are measured
            training = table.values[fitting.parts.training][:, targets]
            described["deviations"] = np.nanstd(training, axis=0, dtype=float).tolist()
        return Fitted(model, described, beyond(table, targets, ends))

    def _take_own(self, model: Model, described: Mapping[str, Any]) -> None:
        if model.spec.head is None or model.spec.head.kind != Head.kind:
            raise InputError(f"it has no head {Head.kind}")
        head = Head.parse("head", model.spec.head.options)
        if tuple(head.horizons) != tuple(described["horizons"]) or tuple(head.targets) != tuple(described["targets"]):
            raise InputError("its targets and horizons are not those of its head")
        if not set(described["calendar"]) <= set(PERIODS):
            raise InputError("its columns do not fit together")
        self.horizons_ = tuple(head.horizons)
        self.quantiles_ = tuple(head.quantiles)

    def _following(self, values: Mapping[str, Any]) -> Model:
        """The model with other bounds."""
        head, constants = self.model_.spec.head, self._constants()
        if head is None:
            return self.model_
        given = {"minimum": self.minimum, "maximum": self.maximum, **values}
        ends = bounded(given["minimum"], given["maximum"], None, self.layout_)
        if constants is not None:
            ends = ends.less(constants[list(self.layout_.targets)])
        return self.model_.with_options(head={"minimum": ends.minimum, "maximum": ends.maximum})
