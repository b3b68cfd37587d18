"""Detector: anomalies in a series of readings, by the calibrated surprise of a one-step forecast.

A recurrent model forecasts, at each step, the next reading of one column and how far off it expects to be. How far off
it was, in those units and smoothed over `smooth` steps, is looked up in a table measured on held-out data: the score,
-log10 of the chance of a residual at least this large. A reading is an alarm when that chance is at most
`false_alarms_per_1000` / 1000.

The rows are cut in order of time::

    |-- training -------------------------------|-- stopping --|-- calibration ----------------|
                  1 - validation                 validation / 5        4 validation / 5

Weights are trained on the first part; the second decides which of them are kept; the table is measured on the third,
which they have never seen. There is no second training on all rows: its residuals would not be those calibrated.

What the stated rate rests on is that the series goes on as in the calibration part. After a lasting change (another
operating point, a season not seen, wear) alarms come at another rate, usually a higher one: fit again on recent rows.
How exact the rate can be with so many calibration rows is what `cautions_` tells.
"""

from __future__ import annotations

import base64
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gatewise.errors import FileError, GatewiseError, InputError, MissingExtraError
from gatewise.heads.tail_probability.spec import KNOTS
from gatewise.heads.tail_probability.spec import Spec as Head
from gatewise.layers.base import Array
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.state import State
from gatewise.stream import Model, init
from gatewise.stream import load as load_model
from gatewise.tasks.calibrate import LEAST, NEEDED, Calibration, calibrate
from gatewise.tasks.parameters import is_array, number, plain, recurrent_layers, seed_of
from gatewise.tasks.table import Table, read_table, standardise

try:
    from sklearn.base import BaseEstimator, OutlierMixin
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks need scikit-learn: pip install 'gatewise[train]'") from error

if TYPE_CHECKING:
    import pandas as pd

    from gatewise.train import History

LEAST_TRAINING = 100
LEAST_STOPPING = 20


@dataclass(frozen=True)
class Split:
    """Rows in each part, in order of time.

    Attributes:
        training: weights are trained on these.
        stopping: these decide which weights are kept.
        calibration: the table of scores is measured on these.
    """

    training: int
    stopping: int
    calibration: int


class Detector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """Finds readings that a forecast of the series did not expect, at a stated rate of false alarms.

    In the manner of scikit-learn: parameters are stored as given, `fit` checks them, fitted attributes end in `_`. The
    data may be a pandas DataFrame or Series, a NumPy array (rows,) or (rows, columns), or the path of a .csv or
    .parquet file; rows are steps in order of time.

    Args:
        recurrence: kind of the recurrent layers, e.g. "gru".
        units: size of each.
        layers: how many, one upon the other.
        target: the column that is forecast, by name or position; None = the only one. All columns are read.
        time: name of the time column; None = the frame's index if it holds dates, else none.
        columns: names of the columns to read; None = all but the time.
        missing: "raise" refuses non-finite readings, "hold" repeats the last finite one of the column. Rows without a
            reading of the target neither train nor calibrate; what they score tells nothing.
        smooth: span, in steps, over which residuals are smoothed: 1 finds single strange readings, more finds lasting
            shifts, later, and needs more calibration rows for the same rate.
        false_alarms_per_1000: alarms to expect in 1,000 steps of data like those calibrated on.
        coverage: share of held-out readings that the band from low to high is to hold.
        validation: share of the rows, at the end, that is kept from training: a fifth of it decides when to stop, the
            rest calibrates.
        learning_rate, batch, window: of the training, see `gatewise.train.fit`.
        steps, epochs: its budget; also `seconds` of `fit`. None at all = 2,000 steps.
        random_state: seed of weights and sampling. The same seed, machine and data give the same bits, unless the
            budget is in seconds. None = another one each time.

    Attributes:
        model_: the trained `gatewise.Model`, with scaling, head and table; `model_.stream()` scores step by step.
        columns_: names of the columns read, in order.
        target_: name of the column forecast.
        threshold_: score from which a reading is an alarm.
        offset_: -threshold_, so that decision_function = score_samples - offset_.
        calibration_: the table and what it rests on.
        split_: rows in each part.
        state_: `gatewise.State` after the last row fitted: where rows that follow on directly begin.
        cautions_: what to know about data and calibration; `fit` also issues each as a warning.
        history_: what the training went through (after `fit`, not after `load`).
        n_features_in_, feature_names_in_: as in scikit-learn (names only where the data have them).
    """

    def __init__(
        self,
        recurrence: str = "gru",
        units: int = 32,
        layers: int = 1,
        *,
        target: str | int | None = None,
        time: str | None = None,
        columns: Sequence[str] | None = None,
        missing: str = "raise",
        smooth: int = 1,
        false_alarms_per_1000: float = 1.0,
        coverage: float = 0.95,
        validation: float = 0.25,
        learning_rate: float = 3e-3,
        batch: int = 16,
        window: int = 64,
        steps: int | None = None,
        epochs: int | None = None,
        random_state: Any = 0,
    ) -> None:
        self.recurrence = recurrence
        self.units = units
        self.layers = layers
        self.target = target
        self.time = time
        self.columns = columns
        self.missing = missing
        self.smooth = smooth
        self.false_alarms_per_1000 = false_alarms_per_1000
        self.coverage = coverage
        self.validation = validation
        self.learning_rate = learning_rate
        self.batch = batch
        self.window = window
        self.steps = steps
        self.epochs = epochs
        self.random_state = random_state

    def fit(
        self,
        data: Any,
        y: Any = None,
        *,
        seconds: float | None = None,
        progress: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = True,
        metrics: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train on the first rows and calibrate on the last.

        Args:
            data: the series.
            y: not used.
            seconds: budget of the training in seconds.
            progress: "bar" for a progress bar, a function called with a `gatewise.train.Status`, or None.
            checkpoint: a file from which an interrupted training goes on; see `gatewise.train.fit`.
            resume: False = start anew whatever the checkpoint holds.
            metrics: a CSV file for the course of the training.

        Raises:
            InputError: data or parameters that do not fit, saying where.
            TrainError: the training diverged.
            MissingExtraError: torch is not installed.
        """
        from gatewise.train import fit

        table = read_table(data, self.time, self.columns, self.missing)
        target = self._find_target(table)
        split = self._split(len(table))
        offset, scale = standardise(table, split.training)
        seed = seed_of(self.random_state)
        untrained = self._untrained(table, target, offset, scale, seed)
        used = split.training + split.stopping
        trained, history = fit(
            untrained,
            table.values[:used],
            validation=split.stopping / used,
            steps=plain(self.steps),
            seconds=plain(seconds),
            epochs=plain(self.epochs),
            batch=plain(self.batch),
            window=plain(self.window),
            learning_rate=plain(self.learning_rate),
            seed=seed,
            checkpoint=checkpoint,
            resume=resume,
            metrics=metrics,
            progress=progress,
        )
        calibration, band = self._calibrate(trained, table, target, split)
        cautions = (*table.cautions, *self._unsupported(calibration))
        model = _with_head(trained, calibration, band)
        state = model.run(table.values, return_state=True)[1]
        described = {
            "parameters": {key: plain(value) for key, value in {**self.get_params(), "random_state": seed}.items()},
            "split": asdict(split),
            "calibration": {k: v for k, v in asdict(calibration).items() if k not in ("statistic", "score")},
            "cautions": list(cautions),
            "until": None if table.times is None else str(table.times[-1]),
            "state": base64.b64encode(state.to_bytes()).decode(),
        }
        self._take(model.replace(provenance={**model.provenance, "detector": described}))
        self.history_: History = history
        for caution in cautions:
            warnings.warn(caution, UserWarning, stacklevel=2)
        return self

    def score_samples(self, data: Any, state: State | bytes | None = None) -> Array:
        """How unremarkable each reading is: log10 of the chance of a residual at least as large, 0 or negative.

        Args:
            data: rows in order of time, with the columns fitted.
            state: where to start: `state_` for rows that follow directly on those fitted, or any `State` of the model;
                None = the start of a series, where the first forecasts know little.

        Returns:
            (rows,) float64; the negative of what `model_.stream()` answers for the same rows, bit for bit.
        """
        return -self._answers(self._read(data), state)[:, 0].astype(np.float64)

    def decision_function(self, data: Any, state: State | bytes | None = None) -> Array:
        """`score_samples` - `offset_`: zero and below are alarms. (rows,) float64."""
        return self.score_samples(data, state) - self.offset_

    def predict(self, data: Any, state: State | bytes | None = None) -> Array:
        """-1 for an alarm, else 1. (rows,) int64."""
        return np.where(self.decision_function(data, state) <= 0, -1, 1)

    def explain(self, data: Any, state: State | bytes | None = None) -> pd.DataFrame:
        """What was seen and what was expected, row by row.

        Returns:
            A frame on the rows of the data: the time, if there is one; `observed` (NaN where missing), `score` (-log10
            of the chance of a residual at least this large), `expected`, `low` and `high` (the forecast and its band,
            in the units of the data), `extrapolated` (the score lies beyond what the calibration rows can show) and
            `alarm`.
        """
        table = self._read(data)
        answers = self._answers(table, state).astype(np.float64)
        columns: dict[str, Array] = dict(zip(self.model_.output_names, answers.T, strict=True))
        columns["extrapolated"] = columns["extrapolated"] > 0
        observed = table.values[:, self.columns_.index(self.target_)].astype(np.float64)
        return table.frame({"observed": observed, **columns, "alarm": columns["score"] >= self.threshold_})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, with all that `load` needs. `gatewise.load` reads it as a model, without this class."""
        check_is_fitted(self)
        self.model_.save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote; torch is not needed.

        Raises:
            FileError: damaged, or a model that was not made by a Detector.
            OSError: no such file, or no permission.
        """
        model = load_model(path)
        described = model.provenance.get("detector")
        try:
            if not isinstance(described, Mapping):
                raise InputError("it was not made by a Detector; gatewise.load reads it as a model")
            parameters = described["parameters"]
            if set(parameters) - set(cls._get_param_names()):
                raise InputError("its parameters are not those of this version; upgrade gatewise")
            found = cls(**parameters)
            found._take(model)
        except KeyError as error:
            raise FileError(f"{path} cannot be read as a Detector: it does not say {error}") from None
        except (GatewiseError, TypeError, ValueError, AttributeError) as error:
            raise FileError(f"{path} cannot be read as a Detector: {error}") from None
        return found

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "hold"
        return tags

    def _take(self, model: Model) -> None:
        """Set every fitted attribute from a model and its provenance; raises many kinds of errors where they lie."""
        if model.spec.head is None or model.spec.head.kind != Head.kind:
            raise InputError(f"it has no head {Head.kind}")
        described = model.provenance["detector"]
        head = Head.parse("head", model.spec.head.options)
        names = model.spec.input.options.get("columns")
        columns = tuple(names) if names is not None else tuple(f"x{i}" for i in range(model.inputs))
        table = model.tensors["head.statistic"], model.tensors["head.score"]
        calibration = Calibration(*table, **{k: number(k, v) for k, v in described["calibration"].items()})
        if not isinstance(described["cautions"], list):
            raise InputError("its cautions are no list")
        state = State.from_bytes(base64.b64decode(described["state"], validate=True))
        state.rows(model.graph, 1)
        self.split_ = Split(**{k: number(k, v) for k, v in described["split"].items()})
        self.cautions_: tuple[str, ...] = tuple(map(str, described["cautions"]))
        self.columns_ = columns
        self.target_ = columns[head.target]
        self.threshold_ = head.alarm_score
        self.offset_ = -head.alarm_score
        self.calibration_ = calibration
        self.state_ = state
        self.n_features_in_ = len(columns)
        if names is not None:
            self.feature_names_in_ = np.array(columns, object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.model_ = model

    def _find_target(self, table: Table) -> int:
        """Column number of the target."""
        names = list(table.columns)
        if self.target is None:
            if len(names) > 1:
                raise InputError(
                    f"{table.origin} has {len(names)} columns, {names}; pass target= to say which to forecast"
                )
            return 0
        if isinstance(self.target, str) and self.target in names:
            return names.index(self.target)
        if isinstance(self.target, (int, np.integer)) and 0 <= self.target < len(names):
            return int(self.target)
        raise InputError(f"target is {self.target!r}, but the columns read are {names}; give a name or a position")

    def _split(self, rows: int) -> Split:
        share, coverage = plain(self.validation), plain(self.coverage)
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0.0 < share < 1.0:
            raise InputError(f"validation must be a share between 0 and 1, got {share!r}")
        if not isinstance(coverage, (int, float)) or not 0.0 < coverage < 1.0:
            raise InputError(f"coverage must be a share between 0 and 1, got {coverage!r}")
        held = round(share * rows)
        stopping = max(LEAST_STOPPING, held // 5)
        split = Split(rows - held, stopping, held - stopping)
        if split.training < LEAST_TRAINING or split.calibration < LEAST:
            needed = max(LEAST_TRAINING / (1 - share), (LEAST_STOPPING + LEAST) / share)
            raise InputError(
                f"{rows} rows are too few: {split.training} to train on (at least {LEAST_TRAINING}), {stopping} to "
                f"decide when to stop, {max(split.calibration, 0)} to calibrate on (at least {LEAST}); "
                f"give at least {math.ceil(needed)}"
            )
        return split

    def _untrained(self, table: Table, target: int, offset: Array, scale: Array, seed: int) -> Model:
        """The model before training: scaled input, recurrent layers, location and log scale, head."""
        spec = ModelSpec(
            input=LayerSpec(
                "numeric",
                width=len(table.columns),
                columns=list(table.columns) if table.named else None,
                scaling="standard",
                missing=self.missing,
            ),
            layers=[
                *recurrent_layers(self.recurrence, self.units, self.layers),
                LayerSpec("dense", name="forecast", units=2),
            ],
            head=LayerSpec(
                "tail_probability",
                target=target,
                smooth=plain(self.smooth),
                false_alarms_per_1000=plain(self.false_alarms_per_1000),
            ),
        )
        model = init(spec, seed)
        unit = np.array([offset[target], scale[target]], np.float32)
        given = {"input.offset": offset, "input.scale": scale, "head.unit": unit}
        return model.replace(tensors={**model.tensors, **given})

    def _calibrate(self, model: Model, table: Table, target: int, split: Split) -> tuple[Calibration, Array]:
        """The table of scores, and the band (2,) of standardised residuals, from the calibration part.

        The statistic is what the head itself computes: with a table on which score = statistic, a band from 0 to 1 and
        no units, it answers |smoothed residual|, m, m and m + exp(s).
        """
        ruler = np.arange(KNOTS, dtype=np.float32)
        plain = np.array([0.0, 1.0], np.float32)
        given = {"head.statistic": ruler, "head.score": ruler, "head.band": plain, "head.unit": plain}
        measuring = model.replace(tensors={**model.tensors, **given})
        answers = np.asarray(measuring.run(table.values), np.float64)
        readings = table.values[:, target].astype(np.float64)
        held_out = np.isfinite(readings)
        held_out[: split.training + split.stopping] = False
        if held_out.any() and np.ptp(readings[held_out]) == 0:
            raise InputError(
                f"column {table.columns[target]!r} is {readings[held_out][0]:g} throughout the {split.calibration:,} "
                "rows of the calibration part; give rows in which it varies"
            )
        statistic, location, _, end = answers[held_out, :4].T
        offset, scale = (float(model.tensors[f"input.{key}"][target]) for key in ("offset", "scale"))
        residual = ((readings[held_out] - offset) / scale - location) / np.maximum(end - location, 1e-30)
        tail = (1.0 - float(self.coverage)) / 2.0
        return calibrate(statistic), np.quantile(residual, [tail, 1.0 - tail]).astype(np.float32)

    def _unsupported(self, calibration: Calibration) -> list[str]:
        """A caution when the rate asked for is finer than the calibration part can show."""
        rate, finest = float(self.false_alarms_per_1000), calibration.finest_per_1000
        if rate >= finest:
            return []
        needed = math.ceil(1000.0 * NEEDED / rate * calibration.samples / calibration.effective)
        return [
            f"{rate:g} false alarms in 1,000 rests on a fitted tail and may be off by more than a factor of 2: the "
            f"{calibration.samples:,} calibration rows are worth {calibration.effective:,.0f} independent ones, which "
            f"support {finest:.2g} in 1,000; about {needed:,} such rows would support {rate:g}"
        ]

    def _read(self, data: Any) -> Table:
        check_is_fitted(self)
        named = hasattr(self, "feature_names_in_")
        table = read_table(data, None, None, self.missing) if is_array(data) else None
        if table is None:
            table = read_table(data, self.time, self.columns_ if named else None, self.missing)
        if len(table.columns) != self.n_features_in_:
            raise InputError(
                f"this detector was fitted on {self.n_features_in_} columns, {list(self.columns_)}; "
                f"{table.origin} has {len(table.columns)}"
            )
        return table

    def _answers(self, table: Table, state: State | bytes | None) -> Array:
        return np.asarray(self.model_.run(table.values, state))


def _with_head(model: Model, calibration: Calibration, band: Array) -> Model:
    assert model.spec.head is not None
    given = {"head.statistic": calibration.statistic, "head.score": calibration.score, "head.band": band}
    spec = model.spec.replace(head=model.spec.head.replace(samples=calibration.samples))
    return model.replace(spec=spec, tensors={**model.tensors, **given})
