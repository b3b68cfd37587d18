"""The comparison of a trained forecaster with simple forecasts, see `gatewise.tasks.rivals`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gatewise.baselines.estimator import finite, windows_at
from gatewise.baselines.forecaster import Forecaster as Simple
from gatewise.baselines.methods import REGRESSION, Method, Ridge, named
from gatewise.heads.quantiles.spec import Spec as Head
from gatewise.inputs.base import fill_forward
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.tables.timeline import Timeline
from gatewise.tasks.backtest import forecast_at, median_of
from gatewise.tasks.fitted import head_of
from gatewise.tasks.fitting import Fitting, at
from gatewise.tasks.rivals import (
    LEAST_WINDOWS,
    MOST_NUMBERS,
    MOST_ROWS,
    MOST_VALUES,
    MOST_WINDOWS,
    better,
    blocks_of,
    instead,
    spaced,
)


def forecast_rivals(model: Model, fitting: Fitting) -> list[str]:
    """A warning if a simple forecast is better than the median forecast of a model on the validation part.

    Compared are the last reading, the reading one season earlier, and a ridge regression on the last rows, fitted to
    the training part. The error is the mean absolute error in standard deviations of the targets in the training part.

    Args:
        model: the trained model, relative to the constants that are subtracted from the table.
        fitting: the data of the fit.
    """
    table, layout, spans = fitting.table, fitting.layout, fitting.parts.spans
    targets, last = list(layout.targets), layout.horizons[-1]
    longest = max(span.validation - span.training for span in spans)
    L = max(1, min(model.window or Simple.lookback, longest // 4, MOST_VALUES))
    season = Timeline.from_dict(fitting.described["times"]).season(table)
    season = None if season is None or season > longest // 2 else season
    need = max(L, season or 1)
    rows = [np.arange(max(one.validation - 1, one.training + need - 1), one.calibration - last) for one in spans]
    to_fit = [np.arange(one.training + L - 1, one.validation - last) for one in spans]
    most = max(LEAST_WINDOWS, min(MOST_WINDOWS, MOST_NUMBERS // (L * table.values.shape[1])))
    origins, training = spaced(np.concatenate(rows), MOST_ROWS), spaced(np.concatenate(to_fit), most)
    values = np.full_like(table.values, np.nan)
    for span in spans:
        values[span.training : span.calibration] = fill_forward(table.values[span.training : span.calibration])
    training = training[finite(windows_at(values, training, L))]
    if not len(training) or not len(origins):
        return []
    origins = origins[finite(windows_at(values, origins, need))]
    scale = np.nanstd(table.values[fitting.parts.training][:, targets], axis=0, dtype=np.float64)
    scale = np.where(scale > 0, scale, 1.0)

    def wanted(rows: Array, of: Array) -> Array:
        """The readings ahead of some rows, (n, K, H)."""
        return np.stack([of[rows + h][:, targets] for h in layout.horizons], axis=2)

    observed = wanted(origins, table.values)
    origins = origins[np.isfinite(observed).any(axis=(1, 2))]
    if not len(origins):
        return []
    observed = wanted(origins, table.values)

    def errors(forecasts: Array) -> Array:
        """The mean absolute error at each origin, (n,), of forecasts (n, K, H)."""
        return np.asarray(np.nanmean(np.abs(observed - forecasts) / scale[:, None], axis=(1, 2), dtype=np.float64))

    def answered(method: Method, lookback: int) -> Array:
        """The errors of a method that reads the last rows, fitted to the training part."""
        used = training if lookback == L else origins  # those that fit nothing take any windows
        method.fit(windows_at(values, used, lookback), wanted(used, values).reshape(len(used), -1))
        return errors(method.predict(windows_at(values, origins, lookback)).reshape(observed.shape))

    names = {"last": ("the last reading, repeated,", 1), "ridge": (f"a ridge regression on the last {L:,} rows", L)}
    if season is not None:
        names["seasonal"] = (f"the reading of {season:,} rows earlier", season)
    rivals, advice = {}, {}
    for name, (text, lookback) in names.items():
        method = named(name, REGRESSION, targets, season, layout.horizons)
        rivals[text] = answered(replace(method, most=MOST_VALUES) if isinstance(method, Ridge) else method, lookback)
        call = repr(name) + ("" if lookback in (1, Simple.lookback) else f", lookback={lookback}")
        advice[text] = instead("Forecaster", call)
    forecasts = np.concatenate(
        [
            _medians(model, fitting, span.training, span.calibration, origins)
            for span in spans
            if ((origins >= span.training) & (origins < span.calibration)).any()
        ]
    )
    blocks = blocks_of(origins, np.array([span.training for span in spans]), last)
    own = errors(forecasts.reshape(observed.shape))
    return better(own, rivals, blocks, "a mean absolute error", "standard deviations", advice)


def _medians(model: Model, fitting: Fitting, start: int, stop: int, origins: Array) -> Array:
    """The median forecasts of a model at the origins of one series: (n, K, H)."""
    head, rows = head_of(model, Head), slice(start, stop)
    x = fitting.layout.inputs(fitting.table.values[rows], at(fitting.table.times, rows))
    own = origins[(origins >= start) & (origins < stop)] - start
    shape = (len(own), len(head.targets), len(head.horizons), len(head.quantiles))
    return median_of(forecast_at(model, x, own).reshape(shape), tuple(head.quantiles))
