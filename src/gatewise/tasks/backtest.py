"""Rolling-origin backtests: forecasts from many origins in time, compared with later readings (Tashman 2000).

At each origin, the last row that is read, the model forecasts all horizons. Two simple forecasts are made from the same
rows:

    repeat last       x(t + h) = x(t)
    seasonal naive    x(t + h) = x(t + h - m s), with the season s and the least m for which this lies at or before t

They replace missing readings by the last one before. All three forecasts are scored on the same readings: those that
were observed, at origins where each of the three has a forecast. With u = x - p, for each horizon and target::

    mse = mean u^2      mae = mean |u|      pinball = mean over all quantiles q of max(q u, (q - 1) u)

mse and mae are computed from the median forecast. Coverage is the share of readings between the lowest and the highest
quantile. In standard units u is divided by the standard deviation of the target in the training part.

A model with a carried state runs over the rows once, whatever the number of origins, and between distant origins only
through the layers that have a state. A model with a window runs over one window for each origin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.errors import ANY, InputError, MissingExtraError, Parameter
from gatewise.heads.quantiles.spec import Spec as Head
from gatewise.heads.quantiles.spec import level_name
from gatewise.inputs.base import fill_forward
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.state import COUNT, READINGS, State
from gatewise.tables.table import unused
from gatewise.tables.times import listed
from gatewise.tables.warn import warn

try:
    import pandas as pd
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks read tables with pandas: pip install 'gatewise[train]'") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHUNK = 512
"""Number of rows that are run at once, to limit the memory for outputs of rows that are not origins."""

TOO_SHORT = "it has too few rows for a forecast and for what comes after it"
"""The reason in messages for leaving out a series."""

MEASURES = {
    "mse": "mean squared error",
    "mae": "mean absolute error",
    "pinball": "mean pinball loss",
    "mse_standard": "mean squared error, standard units",
    "mae_standard": "mean absolute error, standard units",
    "pinball_standard": "mean pinball loss, standard units",
}
"""Names of the measures in figures."""

REPEAT, SEASONAL = "repeat_last", "seasonal_naive"


@dataclass(frozen=True, eq=False)
class Backtest:
    """The forecasts from each origin, and the readings that came. N origins, K targets, H horizons, Q quantiles.

    Attributes:
        origins: rows of the data after which the forecasts were made, (N,).
        targets: names of the forecast columns.
        horizons: steps ahead.
        quantiles: probabilities, ascending.
        forecasts: (N, K, H, Q) float32, in the units of the data. If the model subtracts constants, `forecasts`,
            `observed` and `naive` are float64.
        observed: (N, K, H) float32; NaN if the reading is missing.
        scale: (K,) standard deviation of each target in training.
        naive: name -> (N, K, H) float32: "repeat_last" and, given a season, "seasonal_naive"; NaN if there is no such
            forecast.
        season: number of steps after which the seasonal forecast repeats, or None.
        times: times of the origins, or None.
        series: the series of each origin, or None.
        left_out: ids of the series that are too short for one origin, or whose data cannot be used.
        time_name: name of the column of times in `frame`.
        series_name: name of the column of series in `frame`.
    """

    origins: Array
    targets: tuple[str, ...]
    horizons: tuple[int, ...]
    quantiles: tuple[float, ...]
    forecasts: Array
    observed: Array
    scale: Array
    naive: Mapping[str, Array]
    season: int | None = None
    times: pd.Index | None = None
    series: Array | None = None
    left_out: tuple[str | int | None, ...] = ()
    time_name: str = "time"
    series_name: str = "series"

    @cached_property
    def median(self) -> Array:
        """The forecast at probability 0.5, interpolated if it is not one of the quantiles: (N, K, H) float64."""
        return median_of(self.forecasts, self.quantiles)

    @cached_property
    def counts(self) -> Array:
        """Whether a forecast is scored: bool (N, K, H)."""
        known = [np.isfinite(values) for values in (self.observed, *self.naive.values())]
        return np.asarray(np.logical_and.reduce(known))

    def scores(self, target: str | None = None, forecast: str = "model") -> pd.DataFrame:
        """The errors of the forecasts for each horizon.

        Args:
            target: the column; None = the mean over all of them. Use that with standard units, or if all columns have
                the same unit.
            forecast: "model", "repeat_last" or "seasonal_naive".

        Returns:
            A frame with a row for each horizon and the columns mse, mae and pinball, the same in standard units
            (mse_standard, ...), coverage (of the model) and count, the number of scored readings.

        Raises:
            InputError: there is no such target or forecast.
        """
        k = self._columns(target)
        point = self._points(forecast)[:, k]
        u = self.observed[:, k] - point
        counts = self.counts[:, k]
        spread = self.scale[k].astype(np.float64)[:, None]
        if forecast == "model":
            low, high = self.forecasts[:, k][..., 0], self.forecasts[:, k][..., -1]
            covered = (self.observed[:, k] >= low) & (self.observed[:, k] <= high)
            each = [self.observed[:, k] - self.forecasts[:, k][..., i] for i in range(len(self.quantiles))]
        else:
            each = [u] * len(self.quantiles)
        losses = [np.maximum(q * v, (q - 1.0) * v) for q, v in zip(self.quantiles, each, strict=True)]
        found: dict[str, Array] = {}
        pairs = [("mse", u * u, 2), ("mae", np.abs(u), 1), ("pinball", np.mean(losses, axis=0), 1)]
        for name, values, _ in pairs:
            found[name] = _mean(values, counts)
        for name, values, power in pairs:
            found[f"{name}_standard"] = _mean(values / spread**power, counts)
        if forecast == "model":
            found["coverage"] = _mean(covered.astype(np.float64), counts)
        found["count"] = counts.sum((0, 1))
        return pd.DataFrame(found, index=pd.Index(self.horizons, name="horizon"))

    def compare(self, measure: str = "mse_standard", target: str | None = None) -> pd.DataFrame:
        """One measure of the model and of the simple forecasts side by side, with a row for each horizon."""
        names = ["model", *self.naive]
        scored = {name: self.scores(target, name) for name in names}
        if any(measure not in frame for frame in scored.values()):
            shared = [name for name in scored[names[-1]] if name != "count"]
            raise InputError(f"measure must be one of {shared}, got {measure!r}")
        return pd.DataFrame({name: frame[measure] for name, frame in scored.items()})

    def plot(self, measure: str | None = None, target: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw one measure of the model and of the simple forecasts by horizon.

        Args:
            measure: a column of `scores` other than coverage and count: an error in units of the data or, such as
                "mae_standard", in standard deviations of the training data. None = "mae" for one target, and
                "mae_standard" for the mean over several, which may differ in their units.
            target: the column; None = the mean over all of them, as in `scores`.
            ax: matplotlib axes to draw into; None = a new figure.

        Returns:
            The axes.

        Raises:
            InputError: there is no such measure or target.
            MissingExtraError: matplotlib is not installed.
        """
        from gatewise.figures import error_by_horizon

        if measure is None:
            measure = "mae_standard" if target is None and len(self.targets) > 1 else "mae"
        return error_by_horizon(self.compare(measure, target), label=MEASURES[measure], ax=ax)

    def calibration(self, target: str | None = None) -> pd.DataFrame:
        """The share of readings at or below each quantile, which should equal its probability, for each horizon."""
        k = self._columns(target)
        seen, counts = self.observed[:, k], self.counts[:, k]
        below = {
            q: _mean((seen <= self.forecasts[:, k][..., i]).astype(np.float64), counts)
            for i, q in enumerate(self.quantiles)
        }
        return pd.DataFrame(below, index=pd.Index(self.horizons, name="horizon"))

    def frame(self) -> pd.DataFrame:
        """A frame with a row for each origin, target and horizon: the quantiles, the reading, and the naive forecasts.

        The columns of series and times have the names of the data, with "_" appended if another column has that name.
        """
        n, columns, horizons = self.observed.shape
        each = columns * horizons
        levels = {level_name(q): self.forecasts[..., i].ravel() for i, q in enumerate(self.quantiles)}
        naive = {name: values.ravel() for name, values in self.naive.items()}
        taken = {"origin", "target", "horizon", "observed", *levels, *naive}
        led: dict[str, Any] = {}
        if self.series is not None:
            led[unused(self.series_name, taken)] = np.repeat(self.series, each)
        led["origin"] = np.repeat(self.origins, each)
        if self.times is not None:
            led[unused(self.time_name, {*taken, *led})] = self.times.repeat(each)
        led["target"] = np.tile(np.repeat(np.array(self.targets, object), horizons), n)
        led["horizon"] = np.tile(np.array(self.horizons), n * columns)
        return pd.DataFrame({**led, **levels, "observed": self.observed.ravel(), **naive})

    def __repr__(self) -> str:
        mean = self.compare().mean()
        found = ", ".join(f"{name} {value:.4g}" for name, value in mean.items())
        first, last = self.horizons[0], self.horizons[-1]
        return (
            f"Backtest: {len(self.origins):,} origins, {len(self.targets)} targets, horizons {first} to {last}; "
            f"mean squared error in standard units, over all horizons: {found}"
            + (f"; series left out: {listed(self.left_out)}" if self.left_out else "")
        )

    def _columns(self, target: str | None) -> list[int]:
        if target is None:
            return list(range(len(self.targets)))
        if target not in self.targets:
            raise InputError(f"target must be one of {list(self.targets)}, or None for all, got {target!r}")
        return [self.targets.index(target)]

    def _points(self, forecast: str) -> Array:
        if forecast != "model" and forecast not in self.naive:
            raise InputError(f"forecast must be one of {['model', *self.naive]}, got {forecast!r}")
        return self.median if forecast == "model" else self.naive[forecast].astype(np.float64)


def backtest(
    model: Model,
    inputs: Sequence[Array],
    readings: Array,
    spans: Sequence[tuple[Any, int, int]],
    *,
    start: int | None = None,
    stride: int = 1,
    season: int | None = None,
    guessed: bool = False,
    names: Sequence[str] | None = None,
    times: pd.Index | None = None,
    labels: tuple[str, str] = ("time", "series"),
    constants: Array | None = None,
    scale: Array | None = None,
) -> Backtest:
    """Forecast at every `stride`-th origin of each series from which all horizons are within the series.

    Series without such an origin are left out and named in the result.

    Args:
        model: a model with a head `quantiles`.
        inputs: for each series the input of the model, (rows, inputs) float32. The rows of the last horizons may be
            left out.
        readings: the target columns in the units of the data, (rows, K); NaN if missing.
        spans: for each series its id, its first row, and the row before which it ends.
        start: the first row of each series that is forecast, from 1; None = as soon as there is a window, or one row.
        stride: number of rows from one origin to the next.
        season: number of steps in a season, e.g. 24 for hourly readings; None or 0 = no seasonal forecast.
        guessed: whether the season was not given by the user. If it is then longer than the data, there is no seasonal
            forecast.
        names: names of the targets; None = those of the head.
        times: times of the rows, or None.
        labels: names of the columns of times and of series in `Backtest.frame`.
        constants: (K,) float64, constants that were subtracted from the targets. They are added to forecasts and
            readings in float64.
        scale: (K,) standard deviation of each target in training; None = the scale of the head.

    Raises:
        InputError: start, stride or season is invalid, no series is long enough for one origin, or the season is longer
            than the data.
    """
    season = None if season == 0 and not isinstance(season, bool) else season
    for name, value in (("start", start), ("stride", stride), ("season", season)):
        if value is None and name != "stride":
            continue
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise InputError(Parameter(name), f" must be a whole number of at least 1, got {value!r}")
    assert model.spec.head is not None
    head = Head.parse("head", model.spec.head.options)
    first = (model.window or 1) if start is None else int(start)
    each = [np.arange(a + first - 1, b - head.horizons[-1], stride) for _, a, b in spans]
    origins = np.concatenate([np.zeros(0, np.int64), *each])
    if not len(origins):
        longest = max((b - a for _, a, b in spans), default=0)
        raise InputError(
            f"no origin has all horizons up to {head.horizons[-1]} before its series ends: the longest has {longest} "
            f"rows and forecasts begin at row {first}; give more rows, or an earlier start"
        )
    if season is not None and (far := _too_long(season, spans, each, head.horizons)):
        text = (
            f"a season of {season:,} rows is too long for the data: at no origin is there a reading one season before "
            f"that of horizon {far}"
        )
        if not guessed:
            raise InputError(f"{text}; give more rows, a shorter season, or pass ", Parameter("season", 0), " for none")
        told = f"{text}, so no forecast repeats the last season; give more rows, or pass "
        warn(told, Parameter("season", ANY), " for another")
        season = None
    answers = [forecast_at(model, own, rows - a) for own, rows, (_, a, _) in zip(inputs, each, spans, strict=True)]
    shape = (len(origins), len(head.targets), len(head.horizons), len(head.quantiles))
    ahead = origins[:, None] + np.array(head.horizons)  # (N, H)
    observed = np.asarray(readings[ahead].transpose(0, 2, 1), np.float32)
    naive: dict[str, list[Array]] = {name: [] for name in (REPEAT, SEASONAL)[: 1 if season is None else 2]}
    for (_, a, b), own in zip(spans, each, strict=True):
        known = fill_forward(readings[a:b]).astype(np.float64)
        naive[REPEAT].append(np.repeat(known[own - a][:, :, None], len(head.horizons), axis=2))
        if season is not None:
            naive[SEASONAL].append(_seasonal(known, own - a, head.horizons, season))
    level: Any = np.float32(0) if constants is None else constants[:, None]
    found = Backtest(
        origins=origins,
        targets=tuple(names or head.target_names),
        horizons=tuple(head.horizons),
        quantiles=tuple(head.quantiles),
        forecasts=np.concatenate(answers).reshape(shape) + level[..., None],
        observed=observed + level,
        scale=np.array(model.tensors["head.scale"]) if scale is None else scale,
        naive={name: np.concatenate(parts).astype(np.float32) + level for name, parts in naive.items()},
        season=season,
        times=None if times is None else times[origins],
        series=None
        if len(spans) == 1 and spans[0][0] is None
        else np.repeat(np.array([id for id, _, _ in spans], object), [len(own) for own in each]),
        left_out=tuple(id for (id, _, _), own in zip(spans, each, strict=True) if not len(own)),
        time_name=labels[0],
        series_name=labels[1],
    )
    scored: Array = found.counts.any(axis=0)  # type: ignore[assignment]  # (K, H)
    if not scored.all():
        which = [name for name, cells in zip(found.targets, scored, strict=True) if not cells.all()]
        needs = "a reading at that horizon and one before it" + (", and one a season before" if season else "")
        warn(
            f"{(~scored).sum():,} of the {scored.size:,} pairs of target and horizon cannot be scored, those of "
            f"{listed(which)}: no origin has {needs}; give rows in which there are such"
        )
    return found


def _too_long(
    season: int, spans: Sequence[tuple[Any, int, int]], each: Sequence[Array], horizons: Sequence[int]
) -> int | None:
    """The first horizon for which no origin has a row one season before, or None."""
    latest = max(int(own[-1]) - start for (_, start, _), own in zip(spans, each, strict=True) if len(own))
    return next((h for h in horizons if latest + h - season * -(-h // season) < 0), None)


def forecast_at(model: Model, inputs: Array, origins: Array) -> Array:
    """The answers of a model at some rows of one series, with the same bits as if it were run over all rows.

    Args:
        model: a model that can run step by step.
        inputs: (rows, inputs) float32.
        origins: rows, ascending.

    Returns:
        (origins, outputs) float32.
    """
    found = np.empty((len(origins), model.outputs), np.float32)
    if model.window is not None:
        inputs = fill_forward(inputs) if model.graph.fills_before_window else inputs
        for at in range(0, len(origins), CHUNK):
            some = origins[at : at + CHUNK]
            answers = np.asarray(model.run(inputs[some, None], _before(model, inputs, some)))
            found[at : at + CHUNK] = answers[:, 0]
        return found
    state: State | None = None
    silent = _without_answers(model)
    end = int(origins[-1]) + 1 if len(origins) else 0
    for at in range(0, end, CHUNK):
        low, high = np.searchsorted(origins, [at, at + CHUNK])
        now = silent if low == high else model
        state = None if state is None else State(now.graph.structure, state.fields)
        answers, state = now.run(inputs[at : min(at + CHUNK, end)], state, return_state=True)
        if low < high:
            found[low:high] = answers[origins[low:high] - at]
    return found


def median_of(forecasts: Array, levels: Sequence[float]) -> Array:
    """The forecasts at probability 0.5, interpolated if it is not one of the levels: (..., Q) -> (...) float64."""
    i = int(np.clip(np.searchsorted(levels, 0.5), 1, max(1, len(levels) - 1)))
    if len(levels) == 1 or 0.5 in levels:
        return forecasts[..., levels.index(0.5) if 0.5 in levels else 0].astype(np.float64)
    share = np.clip((0.5 - levels[i - 1]) / (levels[i] - levels[i - 1]), 0.0, 1.0)
    below, above = (forecasts[..., j].astype(np.float64) for j in (i - 1, i))
    return np.asarray(below + share * (above - below))


def _without_answers(model: Model) -> Model:
    """A model up to its last layer with a state: it computes the same state without computing answers."""
    graph = model.graph
    kept = [node.name for node in graph.nodes[: graph.tail]]
    layers = [layer for layer in model.spec.nodes if layer.name in kept]
    if not layers or "head" in kept:
        return model
    spec = model.spec.replace(layers=layers, head=None)
    tensors = {name: value for name, value in model.tensors.items() if name.partition(".")[0] in kept}
    return Model(spec, tensors, cpu=model.cpu)


def _before(model: Model, inputs: Array, origins: Array) -> State:
    """The state of a model with a window just before each of the origins, one session for each."""
    assert model.window is not None
    where = origins[:, None] + np.arange(-model.window, 0)
    kept = np.where(where[:, :, None] >= 0, inputs[np.maximum(where, 0)], np.float32(0))
    count = np.minimum(origins, model.window).astype(np.float32)[:, None]
    return State(model.graph.structure, {COUNT: count, READINGS: kept})


def _seasonal(filled: Array, origins: Array, horizons: Sequence[int], season: int) -> Array:
    """The reading of the same phase in the last season known: (origins, K, H); NaN before the first season."""
    h = np.array(horizons)
    where = origins[:, None] + h - season * -(-h // season)
    found = np.where(where[:, :, None] >= 0, filled[np.maximum(where, 0)], np.nan)
    return np.asarray(found.transpose(0, 2, 1))


def _mean(values: Array, counts: Array) -> Array:
    """The mean over origins and targets of the values that count: (H,); NaN if there are none."""
    total = np.where(counts, values, 0.0).sum((0, 1), dtype=np.float64)
    number = counts.sum((0, 1))
    return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan))
