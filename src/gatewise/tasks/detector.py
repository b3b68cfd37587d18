"""Detector: anomalies in series of readings, by the calibrated surprise of one-step forecasts.

A recurrent model forecasts, at each step, the next readings of the target columns and how far off it expects to be. How
far off it was, in those units and smoothed over `smooth` steps, is looked up in a table measured on held-out data: the
score, -log10 of the chance of a residual at least this large. Of several targets the largest score counts, looked up in
a table of such maxima, so that the rate of alarms is that of all together. A row is an alarm when its chance is at most
`false_alarms_per_1000` / 1000. `gatewise.tasks.held_out` says which rows train and which calibrate.

Weights never see the calibration rows, and there is no second training on all rows: its residuals would not be those
calibrated. Several series train and calibrate one model.

What the stated rate rests on is that the series go on as in the calibration part. After a lasting change (another
operating point, a season not seen, wear) alarms come at another rate, usually a higher one: fit again on recent rows.
How exact the rate can be with so many calibration rows is what `cautions_` tells.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gatewise.drift import tell_drift
from gatewise.errors import InputError, MissingExtraError
from gatewise.heads.tail_probability.spec import Spec as Head
from gatewise.layers.base import Array
from gatewise.model import Model, init
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.state import State
from gatewise.tables.constants import FIND
from gatewise.tables.left_out import says_left_out, warn_left_out, without_far
from gatewise.tables.plausible import implausible
from gatewise.tables.seen import record
from gatewise.tables.table import FITTED, Table, read_table, standardise, within_reach
from gatewise.tables.timeline import Timeline, timeline
from gatewise.tables.warn import warn
from gatewise.tasks.beforehand import check_calibration, check_files, check_room
from gatewise.tasks.calibrate import Calibration
from gatewise.tasks.episodes import Found, of_rows, summarise
from gatewise.tasks.held_out import Split, cut, faults, measure, unsupported
from gatewise.tasks.parameters import AfterFit, is_array, number, plain, positions, recurrent_layers, seed_of
from gatewise.tasks.start import (
    constants_of,
    flattering,
    in_order,
    origin,
    rows_seen,
    start_columns,
    started,
    with_weights,
)
from gatewise.tasks.states import MOST_STATE_BYTES, States, after_training, by_series, join_states, split_states

try:
    import pandas as pd
    from sklearn.base import BaseEstimator, OutlierMixin
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks need scikit-learn: pip install 'gatewise[train]'") from error

if TYPE_CHECKING:
    from gatewise.train import History

EXPLAINED = ("score", "expected", "low", "high")
"""What a model answers about each target."""


class Detector(AfterFit, OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """Finds readings that a forecast of the series did not expect, at a stated rate of false alarms.

    In the manner of scikit-learn: parameters are stored as given, `fit` checks them, fitted attributes end in `_`. The
    data may be a frame of pandas, polars, Arrow or xarray, a dict of columns, a NumPy array (rows,) or (rows, columns),
    or the path of a .csv or .parquet file; rows are steps in order of time.

    After `fit` another `false_alarms_per_1000` (and `time`) takes effect when it is set; where another parameter is
    changed, the detector is to be fitted again, and refuses to be used before.

    Args:
        recurrence: kind of the recurrent layers, e.g. "gru".
        units: size of each.
        layers: how many, one upon the other.
        options: further options of each, as its kind has them, e.g. {"chrono": 96} of an "lstm"; None = none.
        target: the columns that are forecast, by name or position: one or a list; None = all. All columns are read.
        time: name of the time column; None = the frame's index if it holds dates, else none.
        series: name of the column that tells several series apart; None = one series.
        columns: names of the columns to read; None = all but time and series.
        missing: "raise" refuses non-finite readings, "hold" repeats the last finite one of the column, "mask" also
            tells the model where it did. Rows without a reading of a target neither train nor calibrate it.
            With "hold" what they score tells nothing; with "mask" a missing reading is no surprise.
        smooth: span, in steps, over which residuals are smoothed: 1 finds single strange readings, more finds lasting
            shifts, later, and needs more calibration rows for the same rate.
        false_alarms_per_1000: alarms to expect in 1,000 steps of data like those calibrated on.
        coverage: share of held-out readings that the band from low to high is to hold.
        validation: share of the rows of each series, at their end, that is kept from training: a fifth of it decides
            when to stop, the rest calibrates.
        learning_rate, batch, window: of the training, see `gatewise.train.fit`.
        dropout, variational_dropout, weight_drop: shares, from 0 to below 1, that the training leaves out of the
            recurrent layers at random: of what they write, at each step anew or for all steps of a sequence, and of
            their recurrent weights; see `gatewise.train.Dropout`. The trained model runs without.
        steps, epochs: its budget; also `seconds` of `fit`. None at all = 2,000 steps.
        random_state: seed of weights and sampling. The same seed, machine and data give the same bits, unless the
            budget is in seconds. None = another one each time.

    Attributes:
        model_: the trained `gatewise.Model`, with scaling, head and table; `model_.stream()` scores step by step.
        columns_: names of the columns read, in order.
        targets_: names of the columns forecast.
        threshold_: score from which a reading is an alarm.
        offset_: -threshold_, so that decision_function = score_samples - offset_.
        calibration_: the table that alarms rest on, and what it rests on: of several targets that of the largest score.
        split_: rows in each part.
        timeline_: what is known of the times of the rows fitted, with which those of later data are compared.
        state_: `gatewise.State` after the last row fitted: where rows that follow on directly begin; with `series` a
            dict from the id of each to its state.
        cautions_: what to know about data and calibration; `fit` also issues each as a warning.
        history_: what the training went through (after `fit`, not after `load`).
        n_features_in_: columns of the data, as in scikit-learn.
        feature_names_in_: their names, only where the data have them.
    """

    _about = "detector"
    _follows = ("false_alarms_per_1000", "time")

    def __init__(
        self,
        recurrence: str = "gru",
        units: int = 32,
        layers: int = 1,
        *,
        options: Mapping[str, Any] | None = None,
        target: str | int | Sequence[str | int] | None = None,
        time: str | None = None,
        series: str | None = None,
        columns: Sequence[str] | None = None,
        missing: str = "raise",
        smooth: int = 1,
        false_alarms_per_1000: float = 1.0,
        coverage: float = 0.95,
        validation: float = 0.25,
        learning_rate: float = 3e-3,
        batch: int = 16,
        window: int = 64,
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
        self.target = target
        self.time = time
        self.series = series
        self.columns = columns
        self.missing = missing
        self.smooth = smooth
        self.false_alarms_per_1000 = false_alarms_per_1000
        self.coverage = coverage
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
        """Train on the first rows of each series and calibrate on the last.

        Of several series those that cannot be used are left out, and `cautions_` names them: too short to train on,
        missing readings that are refused, readings too large, times out of order. One series alone is refused.

        Args:
            data: the series.
            y: not used.
            start: a fitted task of this class, its model or the path of its file, to go on from. Its weights are
                trained on; its scaling, columns, targets, layers and sizes are kept. Rows that it was trained on or
                stopped by, as their times or readings tell, never calibrate: see `gatewise.tables.seen`.
            seconds: budget of the training in seconds.
            progress: True to show how far it is, with a bar on a terminal and a line every ten seconds elsewhere; "bar"
                for the bar alone; a function called with a `gatewise.train.Status`, which explains the words; or None.
            checkpoint: a file from which an interrupted training goes on; see `gatewise.train.fit`.
            resume: False = start anew whatever the checkpoint holds.
            metrics: a CSV file for the course of the training.

        Raises:
            InputError: data or parameters that do not fit, saying where.
            SpecError: options or sizes that make no model.
            TrainError: the training diverged.
            MissingExtraError: torch is not installed.
        """
        coverage = plain(self.coverage)
        if isinstance(coverage, bool) or not isinstance(coverage, (int, float)) or not 0.0 < coverage < 1.0:
            raise InputError(f"coverage must be a share between 0 and 1, got {coverage!r}")
        check_files(data, start, checkpoint, metrics)
        old = started(self, start)
        subtract = FIND if old is None else constants_of(old, start_columns(old))
        table = read_table(data, self.time, self.columns, self.missing, self.series, subtract=subtract, leave_out=True)
        table = without_far(table, self.missing)
        if old is not None:
            table = in_order(table, start_columns(old))
        read = table
        names = table.columns
        targets = list(range(len(names))) if self.target is None else positions("target", self.target, names)
        if not targets:
            raise InputError("target is an empty list; name at least one, or give None for all")
        seen = rows_seen(table, self, old)
        cuts = cut(table, plain(self.validation), seen)
        kept = cuts.of(table)
        doubts = implausible(kept, cuts.rows(kept, "training"), cuts.rows(kept, "calibration"))
        if old is None:
            offset, scale = standardise(kept, cuts.rows(kept, "training"))
        else:
            offset, scale = (old.tensors[f"input.{name}"] for name in ("offset", "scale"))
        table = within_reach(table, offset, scale, self.missing)
        kept = cuts.of(table)
        check_calibration(kept, targets, cuts)
        seed = seed_of(self.random_state)
        untrained = self._untrained(table, targets, offset, scale, seed)
        if old is not None:
            untrained = with_weights(self, untrained, old)
        states = len(table.series) * untrained.graph.state_bytes
        if states > MOST_STATE_BYTES:
            raise InputError(
                f"the states of {len(table.series):,} series take {states:,} bytes, more than the {MOST_STATE_BYTES:,} "
                "that a model file keeps; fit on fewer series, or with fewer units"
            )
        check_room(untrained, {**self.get_params(), "random_state": seed}, table, states)
        from gatewise.train import Dropout, fit  # torch takes seconds, and what is refused is refused at once

        trained, history = fit(
            untrained,
            [kept.values[start : start + used] for (_, start, _), used in zip(kept.series, cuts.used, strict=True)],
            validation=cuts.validation,
            steps=plain(self.steps),
            seconds=plain(seconds),
            epochs=plain(self.epochs),
            batch=plain(self.batch),
            bptt=plain(self.window),
            learning_rate=plain(self.learning_rate),
            dropout=Dropout(plain(self.dropout), plain(self.variational_dropout), plain(self.weight_drop)),
            seed=seed,
            checkpoint=checkpoint,
            resume=resume,
            metrics=metrics,
            progress=progress,
        )
        model, calibration = measure(trained, kept, targets, cuts, coverage)
        times, uneven = timeline(table, ends=True)
        used = [(start, start + rows) for (_, start, _), rows in zip(kept.series, cuts.used, strict=True)]
        cautions = (
            *says_left_out(table.left_out, len(table.series)),
            *uneven,
            *table.cautions,
            *cuts.cautions,
            *doubts,
            *faults(model, calibration, kept, cuts, doubts),
            *flattering(cuts.seen, cuts.rows(kept, "stopping"), "that decide when to stop"),
            *unsupported(calibration, float(self.false_alarms_per_1000)),
        )
        ends = [model.run(table.values[start:stop], return_state=True)[1] for _, start, stop in table.series]
        ends = [model.settled(state) for state in ends]  # rows that were fitted tell nothing of what is to come
        described = {
            "parameters": {key: plain(value) for key, value in {**self.get_params(), "random_state": seed}.items()},
            "split": asdict(cuts.split),
            "calibration": {k: v for k, v in asdict(calibration).items() if k not in ("statistic", "score")},
            "cautions": list(cautions),
            "series": None if self.series is None else [name for name, _, _ in table.series],
            "state": base64.b64encode(join_states(model, ends).to_bytes()).decode(),
            "times": times.to_json(),
            "seen": record(cuts.of(read), used, None if old is None else old.provenance["detector"]["seen"]),
            **origin(self, old),
        }
        self._take(model.replace(provenance={**model.provenance, "detector": described}).absolute(table.constants))
        self.history_: History = history
        for caution in cautions:
            warn(caution)
        return self

    def score_samples(self, data: Any, state: States = None) -> Array:
        """How unremarkable each reading is: log10 of the chance of a residual at least as large, 0 or negative.

        Args:
            data: rows in order of time, with the columns fitted.
            state: where to start: `state_` for rows that follow directly on those fitted, or any `State` of the model;
                with `series` a dict from ids to states; None, or no state for an id, = the start of a series, where the
                first forecasts know little.

        Returns:
            (rows,) float64; the negative of what `model_.stream()` answers for the same rows, bit for bit.

            Of several series those with missing readings that are refused, with readings too large, or with times out
            of order, are not scored: their rows are NaN, and a warning names them.
        """
        table = self._read(data)
        warn_left_out(table.left_out, len(table.series))
        scores = np.full(table.given, np.nan)
        scores[table.order] = self._answers(table, state)[:, 0]
        return -scores

    def decision_function(self, data: Any, state: States = None) -> Array:
        """`score_samples` - `offset_`: zero and below are alarms, NaN a row without a score. (rows,) float64."""
        return self.score_samples(data, state) - self.offset_

    def predict(self, data: Any, state: States = None) -> Array:
        """-1 for an alarm, else 1, which is also that of a row without a score. (rows,) int64."""
        return np.where(self.decision_function(data, state) <= 0, -1, 1)

    def explain(self, data: Any, state: States = None) -> pd.DataFrame:
        """What was seen and what was expected, row by row.

        Returns:
            A frame on the rows of the data: the series and the time, if there are such; `observed` (NaN where missing),
            `score` (-log10 of the chance of a residual at least this large), `expected`, `low` and `high` (the forecast
            and its band, in the units of the data), `extrapolated` (the score lies beyond what the calibration rows can
            show) and `alarm`. Of several targets: `score`, then `NAME:observed`, `NAME:score`, `NAME:expected`,
            `NAME:low` and `NAME:high` of each, `extrapolated` and `alarm`.

            Of several series those with missing readings that are refused, with readings too large, or with times out
            of order, are left out, and a warning names them.
        """
        table = self._read(data)
        warn_left_out(table.left_out, len(table.series))
        answers = dict(zip(self.model_.output_names, self._answers(table, state).astype(np.float64).T, strict=True))
        several = len(self.targets_) > 1
        columns = {"score": answers["score"]} if several else {}
        for target in self.targets_:
            own = f"{target}:" if several else ""
            k = self.columns_.index(target)
            columns[f"{own}observed"] = table.wide(k)
            columns |= {name: answers[name] for name in (f"{own}{what}" for what in EXPLAINED)}
            for what in EXPLAINED[1:]:
                columns[f"{own}{what}"] = columns[f"{own}{what}"] + table.subtract[k]
        columns["extrapolated"] = answers["extrapolated"] > 0
        columns["alarm"] = answers["score"] >= self.threshold_
        return table.frame(columns).iloc[np.argsort(table.order)]

    def summary(self, found: pd.DataFrame) -> Found:
        """What was found in short: alarms against those expected, and the episodes they make, the strongest first.

        Args:
            found: a frame that `explain` gave.

        Returns:
            A `gatewise.tasks.episodes.Found`, whose text is for people and whose attributes are for programs.

        Raises:
            InputError: the frame is not one that `explain` gives.
        """
        check_is_fitted(self)
        if not isinstance(found, pd.DataFrame) or not {"score", "alarm"} <= set(found.columns):
            raise InputError("summary needs the frame that explain gives; pass detector.explain(data)")
        when, ids = (of_rows(found, name) for name in (self.time or "time", self.series))
        return summarise(found, float(self.false_alarms_per_1000), self.targets_, when, ids)

    def _take(self, model: Model) -> None:
        """Set every fitted attribute from a model and its provenance; raises many kinds of errors where they lie."""
        if model.spec.head is None or model.spec.head.kind != Head.kind:
            raise InputError(f"it has no head {Head.kind}")
        described = model.provenance["detector"]
        head = Head.parse("head", model.spec.head.options)
        names = model.spec.input.options.get("columns")
        columns = tuple(names) if names is not None else tuple(f"x{i}" for i in range(model.inputs))
        key = "head." if len(head.targets) == 1 else "head.joint_"
        statistic, score = (model.tensors[f"{key}{name}"].reshape(-1) for name in ("statistic", "score"))
        calibration = Calibration(statistic, score, **{k: number(k, v) for k, v in described["calibration"].items()})
        if not isinstance(described["cautions"], list):
            raise InputError("its cautions are no list")
        ids, state = described["series"], State.from_bytes(base64.b64decode(described["state"], validate=True))
        if ids is not None and not (isinstance(ids, list) and all(type(name) in (str, int) for name in ids)):
            raise InputError("its series are no list of ids")
        ends = split_states(model, state, 1 if ids is None else len(ids))
        self.split_ = Split(**{k: number(k, v) for k, v in described["split"].items()})
        self.cautions_: tuple[str, ...] = tuple(map(str, described["cautions"]))
        self.columns_ = columns
        self.targets_ = tuple(columns[k] for k in head.targets)
        self.threshold_ = head.alarm_score
        self.offset_ = -head.alarm_score
        self.calibration_ = calibration
        self.timeline_ = Timeline.from_json(described.get("times"))
        self.state_: Any = ends[0] if ids is None else dict(zip(ids, ends, strict=True))
        self.n_features_in_ = len(columns)
        if names is not None:
            self.feature_names_in_ = np.array(columns, object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.model_ = model

    def _untrained(self, table: Table, targets: list[int], offset: Array, scale: Array, seed: int) -> Model:
        """The model before training: scaled input, recurrent layers, locations and log scales, head."""
        spec = ModelSpec(
            input=LayerSpec(
                "numeric",
                width=len(table.columns),
                columns=list(table.columns) if table.named else None,
                scaling="standard",
                missing=self.missing,
            ),
            layers=[
                *recurrent_layers(self.recurrence, self.units, self.layers, self.options),
                LayerSpec("dense", name="forecast", units=2 * len(targets)),
            ],
            head=LayerSpec(
                "tail_probability",
                targets=targets,
                names=[table.columns[k] for k in targets],
                masked=self.missing == "mask",
                smooth=plain(self.smooth),
                false_alarms_per_1000=plain(self.false_alarms_per_1000),
            ),
        )
        model = init(spec, seed)
        unit = np.stack([offset[targets], scale[targets]], axis=1)
        given = {"input.offset": offset, "input.scale": scale, "head.unit": unit}
        return model.replace(tensors={**model.tensors, **given})

    def _following(self, values: Mapping[str, Any]) -> Model:
        """The model with another rate of false alarms, whose `cautions_` say whether it is supported."""
        model, name = self.model_, "false_alarms_per_1000"
        if name not in values or model.spec.head is None:
            return model
        head = model.spec.head
        new = Head.parse("head", {**head.options, name: values[name]}).false_alarms_per_1000
        described = model.provenance["detector"]
        before = unsupported(self.calibration_, float(head.options[name]))
        kept = [caution for caution in described["cautions"] if caution not in before]
        cautions = unsupported(self.calibration_, new)
        for caution in cautions:
            warn(caution)
        provenance = {**model.provenance, "detector": {**described, "cautions": [*kept, *cautions]}}
        spec = model.spec.replace(head=head.replace(**{name: new}))
        return model.replace(spec=spec, provenance=provenance)

    def _read(self, data: Any) -> Table:
        check_is_fitted(self)
        self._check_unchanged()
        named = hasattr(self, "feature_names_in_") and not is_array(data)
        time, columns = None if is_array(data) else self.time, self.columns_ if named else None
        constants, dated = self.model_.subtract, self.timeline_.dated
        table = read_table(data, time, columns, self.missing, self.series, FITTED, dated, constants, True)
        if len(table.columns) != self.n_features_in_:
            raise InputError(
                f"this detector was fitted on {self.n_features_in_} columns, {list(self.columns_)}; "
                f"{table.origin} has {len(table.columns)}"
            )
        for caution in self.timeline_.compare(table):
            warn(caution)
        offset, scale = (self.model_.tensors[f"input.{name}"] for name in ("offset", "scale"))
        return within_reach(table, offset, scale, self.missing, FITTED, leave_out=True)

    def _answers(self, table: Table, state: States) -> Array:
        """What the model answers to each row, (rows, outputs) float32 in the order of the table."""
        given = by_series(state, self.series, [name for name, *_ in (*table.series, *table.left_out)], self.state_)
        for caution in self.timeline_.follows(table, after_training(given, self.state_)):
            warn(caution)
        model = self.model_.relative()
        answers = np.empty((len(table), model.outputs), np.float32)
        told = []
        for name, start, stop in table.series:
            rows, begin = table.values[start:stop], given.get(name)
            answer, end = model.run(rows, begin, return_state=True)
            answers[start:stop] = answer
            if model.drifts(end) and (drift := tell_drift(model, rows, begin, end, self.model_)):
                told.append((start + drift[0], drift[1]))
        if told:
            others = f" (and so have {len(told) - 1} other series)" if len(told) > 1 else ""
            warn(f"{table.where(told[0][0])}: {told[0][1]}{others}")
        return answers
