"""Detector: find anomalies in series of readings with calibrated one-step forecasts.

At each step a recurrent model forecasts the next readings of the target columns and their uncertainty. The residual is
divided by that uncertainty and smoothed over `smooth` steps. A table that was measured on held-out rows converts it to
the score, -log10 of the probability of a residual at least this large. With several targets, the largest score is
converted with a table of such maxima, so that the rate of alarms is that of all targets together. A row is an alarm if
its probability is at most `false_alarms_per_1000` / 1000. `gatewise.tasks.held_out` describes which rows train and
which calibrate.

The weights are never trained on the calibration rows. There is also no second training on all rows, because the
calibration would not be valid for its residuals. Several series train and calibrate one model.

The stated rate is valid as long as the series behave as in the calibration part. After a lasting change (another
operating point, a season not seen, wear) alarms come at another rate, usually a higher one. Then fit again on recent
rows. `warnings_` says how exact the rate can be with the given number of calibration rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from gatewise.errors import InputError, MissingExtraError, Parameter
from gatewise.heads.tail_probability.spec import Spec as Head
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.tables.left_out import warn_left_out
from gatewise.tables.split import Parts
from gatewise.tables.table import Table
from gatewise.tables.warn import warn
from gatewise.tasks.beforehand import check_calibration
from gatewise.tasks.calibrate import Calibration
from gatewise.tasks.episodes import Found, summarise
from gatewise.tasks.explained import answers_of, explained, with_known_names
from gatewise.tasks.fitted import head_of
from gatewise.tasks.fitting import Fitted, Fitting
from gatewise.tasks.held_out import cut, faults, measure, unsupported
from gatewise.tasks.layout import Layout
from gatewise.tasks.parameters import as_json, number
from gatewise.tasks.states import States, after_training, by_series
from gatewise.tasks.task import Task

try:
    import pandas as pd
    from sklearn.base import OutlierMixin
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks need scikit-learn: pip install 'gatewise[train]'") from error


@dataclass(eq=False, repr=False, kw_only=True)
class Detector(OutlierMixin, Task):  # type: ignore[misc]
    """Finds anomalous readings, those far from a forecast of the series, at a stated rate of false alarms.

    After `fit`, a new value of `false_alarms_per_1000` or `time` takes effect when it is set. If another parameter is
    changed, the detector raises an error until it is fitted again.

    Args:
        smooth: span, in steps, over which residuals are smoothed. 1 finds single anomalous readings. Larger values find
            lasting shifts, but later, and need more calibration rows for the same rate.
        false_alarms_per_1000: expected number of alarms in 1,000 steps of data like the calibration rows.
        coverage: share of held-out readings that the band from low to high should contain.
        validation: share of the rows of each series, at their end, that is held out from training. A fifth of it
            decides when to stop, the rest calibrates.
        missing: as for every task. Rows without a reading of a target neither train nor calibrate it. With "hold" the
            scores of missing readings are meaningless; with "mask" a missing reading has residual 0.

    All other parameters are those of every `Task`. The targets are the columns that are forecast; all columns are read.

    Attributes:
        threshold_: score from which a reading is an alarm.
        offset_: -threshold_, so that decision_function = score_samples - offset_.
        calibration_: the table by which alarms are decided, with statistics of the calibration. With several targets it
            is the table of the largest score.
    """

    smooth: int = 1
    false_alarms_per_1000: float = 1.0
    coverage: float = 0.95
    validation: float = 0.25

    kind = "detector"
    follows = ("false_alarms_per_1000", "time")

    def score_samples(self, data: Any, state: States = None) -> Array:
        """How normal each reading is: log10 of the probability of a residual at least as large, 0 or negative.

        Args:
            data: rows in order of time, with the columns of the fit.
            state: the initial state: `state_` for rows that directly follow those of the fit, or any `State` of the
                model; with `series` a dict from ids to states. None, or no state for an id, = the start of a series,
                where the first forecasts are inaccurate.

        Returns:
            (rows,) float64; the negative of the scores from `model_.stream()` for the same rows, bit for bit. If there
            are several series, those that cannot be used are not scored: they have missing readings although `missing`
            is "raise", readings that are too large, or times out of order. Their rows are NaN, and a warning names
            them.
        """
        table = self._read(data)
        warn_left_out(table.left_out, len(table.series))
        scores = np.full(table.given, np.nan)
        scores[table.order] = self._answers(table, state)[:, 0]
        return -scores

    def decision_function(self, data: Any, state: States = None) -> Array:
        """`score_samples` - `offset_`, (rows,) float64: alarms are 0 or negative, rows without a score NaN."""
        return self.score_samples(data, state) - self.offset_

    def predict(self, data: Any, state: States = None) -> Array:
        """-1 for an alarm, else 1, also for rows without a score. (rows,) int64."""
        return np.where(self.decision_function(data, state) <= 0, -1, 1)

    def explain(self, data: Any, state: States = None) -> pd.DataFrame:
        """The readings, forecasts and scores of all rows as a frame; arguments as for `score_samples`.

        Returns:
            A frame with the index of the data. Its columns are the series and the time, if the data have them;
            `observed` (NaN if missing), `score` (-log10 of the probability of a residual at least this large),
            `expected`, `low` and `high` (the forecast and its band, in the units of the data), `extrapolated` (whether
            the score is beyond the range of the calibration rows) and `alarm`. With several targets they are `score`,
            then `NAME:observed`, `NAME:score`, `NAME:expected`, `NAME:low` and `NAME:high` of each target,
            `extrapolated` and `alarm`. If there are several series, those that cannot be used are left out (see
            `score_samples`), and a warning names them.
        """
        table = self._read(data)
        warn_left_out(table.left_out, len(table.series))
        return explained(self, table, self._answers(table, state))

    def summary(self, found: pd.DataFrame) -> Found:
        """Summarise the alarms: their number, the expected number, and the episodes, the strongest first.

        Args:
            found: a frame from `explain`.

        Returns:
            A `gatewise.tasks.episodes.Found`. `str` of it is a text for people.

        Raises:
            InputError: the frame is not from `explain`.
        """
        check_is_fitted(self)
        found = with_known_names(self, found, "summary")
        rate = float(self.false_alarms_per_1000)
        return summarise(found, rate, self.targets_, found.get("time"), found.get("series"))

    def plot(self, found: pd.DataFrame, *, series: Any = None, targets: Any = None, axes: Any = None) -> list[Any]:
        """Draw the result of `explain`: each target with its band and alarms, and the scores with their threshold.

        Args:
            found: a frame from `explain`.
            series: id of the series to draw, if there are several.
            targets: names of the targets to draw; None = all, at most six of them.
            axes: matplotlib Axes to draw into, one more than targets; None = new ones.

        Returns:
            The Axes; see `gatewise.figures.detection`.

        Raises:
            InputError: the frame is not from `explain`, or there is no such series.
        """
        from gatewise.figures import detection, of_series

        check_is_fitted(self)
        named = self.targets_ if targets is None else targets
        found = with_known_names(self, found, "plot")
        rows = of_series(found, "series" if "series" in found else None, series)
        return detection(rows, self.threshold_, targets=named, axes=axes)

    def _check(self) -> None:
        coverage = as_json(self.coverage)
        if isinstance(coverage, bool) or not isinstance(coverage, (int, float)) or not 0.0 < coverage < 1.0:
            raise InputError(Parameter("coverage"), f" must be a share between 0 and 1, got {coverage!r}")

    def _parts(self, table: Table, layout: Layout, window: int, seen: Array | None, seed: int) -> Parts:
        return cut(table, as_json(self.validation), seen)

    def _spec(self, table: Table, layout: Layout) -> ModelSpec:
        """The spec: scaled input, the stack, a dense layer for locations and log scales, and the head."""
        head = LayerSpec(
            Head.kind,
            targets=list(layout.targets),
            names=list(layout.target_names),
            masked=self.missing == "mask",
            smooth=as_json(self.smooth),
            false_alarms_per_1000=as_json(self.false_alarms_per_1000),
        )
        forecast = LayerSpec("dense", name="forecast", units=2 * len(layout.targets))
        return ModelSpec(input=self._input(table, layout), layers=[*self._stack(), forecast], head=head)

    def _tensors(self, model: Model, fitting: Fitting) -> Mapping[str, Array]:
        targets = list(fitting.layout.targets)
        return {"head.unit": np.stack([fitting.offset[targets], fitting.scale[targets]], axis=1)}

    def _examples(self, fitting: Fitting) -> tuple[list[Array], list[Array] | None]:
        check_calibration(fitting.table, fitting.layout.targets, fitting.parts)
        return super()._examples(fitting)

    def _finish(self, model: Model, fitting: Fitting) -> Fitted:
        """Calibrate the head."""
        table, parts = fitting.table, fitting.parts
        model, calibration = measure(model, table, fitting.layout.targets, parts, as_json(self.coverage))
        described = {k: v for k, v in asdict(calibration).items() if k not in ("statistic", "score")}
        warnings = [
            *faults(model, calibration, table, parts, fitting.doubts),
            *unsupported(calibration, float(self.false_alarms_per_1000)),
        ]
        return Fitted(model, {"calibration": described}, warnings)

    def _take_own(self, model: Model, described: Mapping[str, Any]) -> None:
        head = head_of(model, Head)
        key = "head." if len(head.targets) == 1 else "head.joint_"
        statistic, score = (model.tensors[f"{key}{name}"].reshape(-1) for name in ("statistic", "score"))
        told = {name: number(name, value) for name, value in described["calibration"].items()}
        self.calibration_ = Calibration(statistic, score, **told)
        self.threshold_ = head.alarm_score
        self.offset_ = -head.alarm_score

    def _following(self, values: Mapping[str, Any]) -> Model:
        """The model with another rate of false alarms; updates `warnings_`, which say whether the data support it."""
        name, section = "false_alarms_per_1000", self._section()
        if name not in values:
            return self.model_
        model = self.model_.with_options(head={name: values[name]})
        old, new = (head_of(each, Head).false_alarms_per_1000 for each in (self.model_, model))
        before = unsupported(self.calibration_, old)
        kept = [text for text in self.warnings_ if text not in before]
        warnings = unsupported(self.calibration_, new)
        for text in warnings:
            warn(text)
        told = {**section.described, "warnings": [*kept, *warnings]}
        return model.replace(task=replace(section, described=told))

    def _answers(self, table: Table, state: States) -> Array:
        """The answers of the model to all rows, (rows, outputs) float32 in the order of the table."""
        ids: Sequence[Any] = [name for name, *_ in (*table.series, *table.left_out)]
        given = by_series(state, self.series, ids, self.state_)
        for text in self.timeline_.follows(table, after_training(given, self.state_)):
            warn(text)
        return answers_of(self.model_, table, given)
