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
those too short to give it an example are left out, and `cautions_` names them. They can be forecast all the same.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gatewise.errors import InputError, MissingExtraError
from gatewise.heads.quantiles.spec import Spec as Head
from gatewise.heads.quantiles.spec import level_name
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.tables.left_out import says_left_out, too_short, warn_left_out, without_far
from gatewise.tables.plausible import implausible
from gatewise.tables.seen import record
from gatewise.tables.table import FITTED, Table, read_table, standardise, unused, within_reach
from gatewise.tables.timeline import Timeline, timeline
from gatewise.tables.warn import warn
from gatewise.tasks import backtest as rolling
from gatewise.tasks.beforehand import check_files, check_room
from gatewise.tasks.bounded import beyond, bounded, logged, no_logs, no_logs_ahead
from gatewise.tasks.forecast_inputs import PERIODS, Layout, choose, cut, first_row, wanted_of
from gatewise.tasks.forecast_model import in_units, to_subtract, untrained_model
from gatewise.tasks.future import known_ahead
from gatewise.tasks.parameters import AfterFit, is_array, plain, seed_of
from gatewise.tasks.start import flattering, in_order, origin, rows_seen, started, with_weights

try:
    import pandas as pd
    from sklearn.base import BaseEstimator
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks need scikit-learn: pip install 'gatewise[train]'") from error

if TYPE_CHECKING:
    from gatewise.train import History


class Forecaster(AfterFit, BaseEstimator):  # type: ignore[misc]
    """Forecasts columns of one or many series, with quantiles that never cross.

    In the manner of scikit-learn: parameters are stored as given, `fit` checks them, fitted attributes end in `_`. The
    data may be a frame of pandas, polars, Arrow or xarray, a dict of columns, a NumPy array (rows,) or (rows, columns),
    or the path of a .csv or .parquet file; rows are steps in order of time.

    After `fit` another `minimum` or `maximum` (and `time`) takes effect when it is set; where another parameter is
    changed, the forecaster is to be fitted again, and refuses to be used before.

    Args:
        recurrence: kind of the recurrent layers, e.g. "gru".
        units: size of each.
        layers: how many, one upon the other.
        options: further options of each, as its kind has them, e.g. {"chrono": 96} of an "lstm"; None = none.
        horizons: steps ahead that are forecast: a number n for all from 1 to n, or an ascending list.
        quantiles: probabilities, ascending, e.g. (0.1, 0.5, 0.9): the middle, and a band that holds 8 of 10 readings.
        target: the columns that are forecast, by name or position: one or a list; None = all whose future is not known.
        time: name of the time column; None = the frame's index if it holds dates, else none.
        series: name of the column that tells several series apart; None = one series.
        columns: names of the columns to read; None = all but time and series.
        covariates: the columns, by name or position, whose future is known: the model reads them ahead as well, at each
            horizon, and `predict` needs their rows to come.
        calendar: which of "day", "week" and "year" the model reads, as sine and cosine of where in it the time lies.
        missing: "raise" refuses non-finite readings, "hold" repeats the last finite one of the column, "mask" also
            tells the model where it did, and has `normalise` take the units of what was read alone.
        context: "carried" or {"window": L}; see the head of this file.
        normalise: whether each window is read and forecast in its own units; needs a window.
        anchor: whether forecasts are changes from the last reading. Better for the steps just ahead.
        minimum, maximum: numbers beyond which no forecast goes, in the units of the data: one for all targets, or a
            dict from names of targets to numbers; None = no bound.
        transform: "log1p" to read, learn and scale log(1 + x) of the targets, with forecasts in the units of the data
            all the same: for quantities above -1 whose changes are ratios. A dict from names of columns read to "log1p"
            or None says it of these alone, covariates included; None = of no column.
        validation: share of the rows of each series, at their end, that decides which weights are kept.
        learning_rate, batch, window: of the training, see `gatewise.train.fit`; window is for a carried context.
        dropout, variational_dropout, weight_drop: shares, from 0 to below 1, that the training leaves out of the
            recurrent layers at random: of what they write, at each step anew or for all steps of a sequence, and of
            their recurrent weights; see `gatewise.train.Dropout`. The trained model runs without.
        steps, epochs: its budget; also `seconds` of `fit`. None at all = 2,000 steps.
        random_state: seed of weights and sampling. The same seed, machine and data give the same bits, unless the
            budget is in seconds. None = another one each time.

    Attributes:
        model_: the trained `gatewise.Model`; `model_.stream()` forecasts step by step, `model_.columns` says what each
            step must hold.
        columns_: names of the columns read, as in the data.
        targets_: names of the columns forecast.
        horizons_: the steps ahead.
        quantiles_: the probabilities.
        timeline_: what is known of the times of the rows fitted: forecasts go on by their calendar, and later data are
            compared with it.
        layout_: how a step of the model's input is made of a row.
        split_: rows of training and of validation in all series together, but for those too short to train on.
        cautions_: what to know about the data; `fit` also issues each as a warning.
        history_: what the training went through (after `fit`, not after `load`).
        n_features_in_: columns of the data, as in scikit-learn.
        feature_names_in_: their names, only where the data have them.
    """

    _about = "forecaster"
    _follows = ("time", "minimum", "maximum")

    def __init__(
        self,
        recurrence: str = "gru",
        units: int = 64,
        layers: int = 1,
        *,
        options: Mapping[str, Any] | None = None,
        horizons: int | Sequence[int] = 24,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        target: str | int | Sequence[str | int] | None = None,
        time: str | None = None,
        series: str | None = None,
        columns: Sequence[str] | None = None,
        covariates: Sequence[str | int] = (),
        calendar: Sequence[str] = (),
        missing: str = "raise",
        context: str | Mapping[str, int] = "carried",
        normalise: bool = False,
        anchor: bool = True,
        minimum: float | Mapping[str, float | None] | None = None,
        maximum: float | Mapping[str, float | None] | None = None,
        transform: str | Mapping[str, str | None] | None = None,
        validation: float = 0.2,
        learning_rate: float = 3e-3,
        batch: int = 32,
        window: int | None = None,
        dropout: float = 0.0,
        variational_dropout: float = 0.0,
        weight_drop: float = 0.0,
        steps: int | None = None,
        epochs: int | None = None,
        random_state: Any = 0,
    ) -> None:
        self.recurrence = recurrence
        self.units = units
        self.layers = layers
        self.options = options
        self.horizons = horizons
        self.quantiles = quantiles
        self.target = target
        self.time = time
        self.series = series
        self.columns = columns
        self.covariates = covariates
        self.calendar = calendar
        self.missing = missing
        self.context = context
        self.normalise = normalise
        self.anchor = anchor
        self.minimum = minimum
        self.maximum = maximum
        self.transform = transform
        self.validation = validation
        self.learning_rate = learning_rate
        self.batch = batch
        self.window = window
        self.dropout = dropout
        self.variational_dropout = variational_dropout
        self.weight_drop = weight_drop
        self.steps = steps
        self.epochs = epochs
        self.random_state = random_state

    def fit(
        self,
        data: Any,
        y: Any = None,
        *,
        start: Any = None,
        seconds: float | None = None,
        progress: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = True,
        metrics: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train on the first rows of each series; the last decide which weights are kept.

        Of several series those that cannot be used are left out, and `cautions_` names them: too short to train on,
        missing readings that are refused, readings too large or without a logarithm that `transform` asks for, times
        out of order. One series alone is refused.

        Args:
            data: the series.
            y: not used.
            start: a fitted task of this class, its model or the path of its file, to go on from. Its weights are
                trained on; its scaling, columns, targets, layers and sizes are kept. Validation rows that it was
                trained on, as their times or readings tell, are cautioned against: see `gatewise.tables.seen`.
            seconds: budget of the training in seconds.
            progress: True to show how far it is, with a bar on a terminal and a line every ten seconds elsewhere; "bar"
                for the bar alone; a function called with a `gatewise.train.Status`, which explains the words; or None.
            checkpoint: a file from which an interrupted training goes on; see `gatewise.train.fit`.
            resume: False = start anew whatever the checkpoint holds.
            metrics: a CSV file for the course of the training.

        Raises:
            InputError: data or parameters that do not fit, saying where.
            SpecError: horizons, quantiles, context, options or sizes that make no model.
            TrainError: the training diverged.
            MissingExtraError: torch is not installed.
        """
        check_files(data, start, checkpoint, metrics)
        old = started(self, start)
        subtract = to_subtract(self, old)
        table = read_table(data, self.time, self.columns, self.missing, self.series, subtract=subtract, leave_out=True)
        if old is not None:
            table = in_order(table, old.provenance["forecaster"]["columns"])
        layout, targets = choose(table.columns, self.target, self.covariates, self.calendar, self.horizons)
        ends = bounded(self.minimum, self.maximum, self.transform, layout, targets)
        seed = seed_of(self.random_state)
        read = table.select([table.columns.index(name) for name in layout.read])
        untrained = untrained_model(self, table.named, layout, targets, ends.less(read.subtract[targets]), seed)
        if old is not None:
            untrained = with_weights(self, untrained, old)
        check_room(untrained, {**self.get_params(), "random_state": seed}, table)
        read = without_far(read.without(no_logs(read, ends.columns)), self.missing, ends.columns)
        table = table.without(dict(read.left_out[len(table.left_out) :]))
        cuts = cut(read, layout, targets, untrained.window or 1, self.validation)
        lasting = [k for k in range(len(read.columns)) if not (self.normalise or (self.anchor and k in targets))]
        doubts = implausible(read, cuts.training, cuts.held, lasting)
        seen = rows_seen(read, self, old)
        if old is None:
            offset, scale = standardise(logged(read, ends.columns), cuts.training, ends.columns)
            untrained = in_units(untrained, layout, targets, offset, scale)
        else:
            offset, scale = (old.tensors[f"input.{name}"][: len(layout.read)] for name in ("offset", "scale"))
        trained_on = record(
            read,
            [(start, end) for start, end, _ in cuts.spans],
            None if old is None else old.provenance["forecaster"]["seen"],
        )
        read = within_reach(read, offset, scale, self.missing, transform=ends.columns)
        logs = logged(read, ends.columns).values
        inputs, wanted = [], []
        for start, end, stop in cuts.spans:
            inputs.append(layout.inputs(read.values[start:stop], _at(table.times, slice(start, stop))))
            scaled = (logs[start:stop, targets] - offset[targets]) / scale[targets]
            wanted.append(wanted_of(scaled, layout.horizons, len(inputs[-1]), end - start))
        from gatewise.train import Dropout, fit  # torch takes seconds, and what is refused is refused at once

        trained, history = fit(
            untrained,
            inputs,
            wanted if layout.lead else None,  # else the head takes them from the inputs
            validation=float(self.validation),
            steps=plain(self.steps),
            seconds=plain(seconds),
            epochs=plain(self.epochs),
            batch=plain(self.batch),
            window=plain(self.window),
            learning_rate=plain(self.learning_rate),
            dropout=Dropout(plain(self.dropout), plain(self.variational_dropout), plain(self.weight_drop)),
            seed=seed,
            checkpoint=checkpoint,
            resume=resume,
            metrics=metrics,
            progress=progress,
        )
        times, uneven = timeline(table)
        described = {
            "parameters": {key: plain(value) for key, value in {**self.get_params(), "random_state": seed}.items()},
            "columns": list(table.columns),
            "named": table.named,
            "readings": list(layout.readings),
            "covariates": list(layout.covariates),
            "calendar": list(layout.calendar),
            "split": list(cuts.split),
            "cautions": [
                *says_left_out(table.left_out, len(table.series)),
                *uneven,
                *table.cautions,
                *cuts.cautions,
                *doubts,
                *beyond(read, targets, ends),
                *flattering(seen, cuts.held, "of the validation part"),
            ],
            "times": times.to_json(),
            "seen": trained_on,
            **origin(self, old),
        }
        if ends.targets is not None:  # by which errors in standard units are measured
            described["deviations"] = np.nanstd(read.values[cuts.training][:, targets], axis=0, dtype=float).tolist()
        constants = None if read.constants is None else layout.spread(read.subtract, 0.0)
        self._take(trained.replace(provenance={**trained.provenance, "forecaster": described}).absolute(constants))
        self.history_: History = history
        for caution in described["cautions"]:
            warn(caution)
        return self

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
        table = table.without(
            no_logs_ahead({name: ahead[name] for name, *_ in table.series}, self.layout_, self._transform())
        )
        warn_left_out(table.left_out, len(table.series))
        times = self.timeline_.ahead(table, self.horizons_)
        model, frames = self.model_.relative(), []
        for name, start, stop in table.series:
            span = slice(start, stop)
            x = self.layout_.inputs(table.values[span], _at(table.times, span), ahead[name])
            answer = rolling.forecast_at(model, x, np.array([len(x) - 1]))[0]
            frames.append(self._tidy(answer, name, table, times[name]))
        return pd.concat(frames, ignore_index=True)

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
        table = self._read(data)
        spans = [slice(a, b) for _, a, b in table.series]
        guessed = season == "auto"
        if guessed:
            season = self.timeline_.season(table)
        constants = self._constants()
        targets = [self.layout_.read.index(name) for name in self.targets_]
        found = rolling.backtest(
            self.model_.relative(),
            [self.layout_.inputs(table.values[span], _at(table.times, span)) for span in spans],
            table.values[:, targets],
            table.series,
            start=first_row(table, start),
            stride=stride,
            season=plain(season),
            guessed=guessed,
            names=self.targets_,
            times=table.times,
            labels=(self.time or "time", self.series or "series"),
            constants=None if constants is None else constants[targets],
            scale=None if (own := self.model_.provenance["forecaster"].get("deviations")) is None else np.array(own),
        )
        out = [*table.left_out, *((name, rolling.TOO_SHORT) for name in found.left_out)]
        warn_left_out(out, len(table.series) - len(found.left_out))
        return replace(found, left_out=tuple(name for name, _ in out))

    def _take(self, model: Model) -> None:
        """Set every fitted attribute from a model and its provenance; raises many kinds of errors where they lie."""
        if model.spec.head is None or model.spec.head.kind != Head.kind:
            raise InputError(f"it has no head {Head.kind}")
        described = model.provenance["forecaster"]
        head = Head.parse("head", model.spec.head.options)
        names = {key: tuple(map(str, described[key])) for key in ("columns", "readings", "covariates", "calendar")}
        layout = Layout(names["readings"], names["covariates"], names["calendar"], tuple(head.horizons))
        if sorted(layout.read) != sorted(names["columns"]) or not set(layout.calendar) <= set(PERIODS):
            raise InputError("its columns do not fit together")
        if len(layout.names) != model.inputs or max(head.targets) >= len(layout.readings):
            raise InputError("its columns are not those that its model reads")
        training, validation = (int(rows) for rows in described["split"])
        self.split_ = (training, validation)
        self.cautions_: tuple[str, ...] = tuple(map(str, described["cautions"]))
        self.timeline_ = Timeline.from_json(described.get("times"))
        self.layout_ = layout
        self.columns_ = names["columns"]
        self.targets_ = tuple(layout.readings[k] for k in head.targets)
        self.horizons_ = tuple(head.horizons)
        self.quantiles_ = tuple(head.quantiles)
        self.n_features_in_ = len(self.columns_)
        if described["named"]:
            self.feature_names_in_ = np.array(self.columns_, object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.model_ = model

    def _following(self, values: Mapping[str, Any]) -> Model:
        """The model with other bounds."""
        head, constants = self.model_.spec.head, self._constants()
        if head is None:
            return self.model_
        given = {"minimum": self.minimum, "maximum": self.maximum, **values}
        targets = head.options["targets"]
        ends = bounded(given["minimum"], given["maximum"], None, self.layout_, targets)
        if (constants := self._constants()) is not None:
            ends = ends.less(constants[list(targets)])
        spec = self.model_.spec.replace(head=head.replace(minimum=ends.minimum, maximum=ends.maximum))
        return self.model_.replace(spec=spec)

    def _transform(self) -> list[str | None] | None:
        """How each column read is transformed, in the order of the input."""
        each = self.model_.spec.input.options["transform"]
        return None if each is None else list(each[: len(self.layout_.read)])

    def _read(self, data: Any) -> Table:
        """The table with its columns in the order of the input."""
        check_is_fitted(self)
        self._check_unchanged()
        by_name = hasattr(self, "feature_names_in_") and not is_array(data)
        constants, dated = self._constants(), self.timeline_.dated
        if constants is not None:
            constants = constants[[self.layout_.read.index(name) for name in self.columns_]]
        names = self.columns_ if by_name else None
        table = read_table(data, self.time, names, self.missing, self.series, FITTED, dated, constants, leave_out=True)
        if len(table.columns) != self.n_features_in_:
            raise InputError(
                f"this forecaster was fitted on {self.n_features_in_} columns, {list(self.columns_)}; "
                f"{table.origin} has {len(table.columns)}"
            )
        for caution in self.timeline_.compare(table):
            warn(caution)
        table = table.select([self.columns_.index(name) for name in self.layout_.read])
        table = table.without(no_logs(table, self._transform()))
        offset, scale = (self.model_.tensors[f"input.{name}"][: len(table.columns)] for name in ("offset", "scale"))
        return within_reach(table, offset, scale, self.missing, FITTED, leave_out=True, transform=self._transform())

    def _constants(self) -> Array | None:
        """What is subtracted from the columns of `layout_.read`; None = nothing."""
        constants = self.model_.subtract
        return None if constants is None else constants[: len(self.layout_.read)]

    def _tidy(self, answer: Array, name: str | int | None, table: Table, times: list[Any] | None) -> pd.DataFrame:
        """One series' forecast (outputs,), and the times of its horizons, as a frame."""
        K, H, Q = len(self.targets_), len(self.horizons_), len(self.quantiles_)
        values = answer.reshape(K * H, Q)
        if table.constants is not None:
            values = (
                values
                + np.repeat([table.subtract[self.layout_.read.index(name)] for name in self.targets_], H)[:, None]
            )
        found: dict[str, Any] = {
            "horizon": list(self.horizons_) * K,
            "target": np.repeat(np.array(self.targets_, object), H),
            **{level_name(q): values[:, i] for i, q in enumerate(self.quantiles_)},
        }
        if times is not None:
            found = {unused(self.time or "time", found): times * K, **found}
        if self.series is not None:
            found = {unused(self.series, found): [name] * (K * H), **found}
        return pd.DataFrame(found)


def _at(times: pd.Index | None, span: slice) -> pd.Index | None:
    return None if times is None else times[span]
