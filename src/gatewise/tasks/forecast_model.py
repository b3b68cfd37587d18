"""The model of a Forecaster before training, and its forecasts as a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gatewise.errors import ANY, InputError, Parameter
from gatewise.heads.quantiles.spec import Spec as Head
from gatewise.heads.quantiles.spec import level_name
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.tables.left_out import too_short, warn_left_out
from gatewise.tables.plausible import wild_at_the_end
from gatewise.tables.table import Table, unused
from gatewise.tables.warn import warn
from gatewise.tasks import backtest as rolling
from gatewise.tasks.bounded import Bounded, no_logs_ahead
from gatewise.tasks.fitting import Fitting, at
from gatewise.tasks.forecast_inputs import first_row
from gatewise.tasks.future import known_ahead
from gatewise.tasks.layout import Layout
from gatewise.tasks.parameters import as_json

if TYPE_CHECKING:
    from gatewise.tasks.forecaster import Forecaster


def forecast_spec(task: Forecaster, table: Table, layout: Layout, ends: Bounded) -> ModelSpec:
    """The spec: scaled input, the stack, a dense layer for all forecasts, and the head.

    Args:
        task: the forecaster with its parameters.
        table: the readings.
        layout: the columns that it reads and forecasts.
        ends: bounds and transforms of the targets, relative to the constants that are subtracted from them.

    Raises:
        InputError: `normalise` is invalid or not possible with this context.
        SpecError: the options are invalid.
    """
    if not isinstance(task.normalise, bool):
        raise InputError(f"normalise must be True or False, got {task.normalise!r}")
    if task.normalise and task.context == "carried":
        raise InputError(
            "normalise needs a window, in whose units it forecasts: pass, for example, ",
            Parameter("context", {"window": 96}),
        )
    head = LayerSpec(
        Head.kind,
        sources=("forecast", "input", *(("moments0",) if task.normalise else ())),
        targets=list(layout.targets),
        horizons=list(layout.horizons),
        quantiles=as_json(task.quantiles),
        anchor=task.anchor,
        names=list(layout.target_names),
        minimum=ends.minimum,
        maximum=ends.maximum,
        transform=ends.targets,
    )
    masked = task.missing == "mask"
    own_units = [
        LayerSpec("moments", width=len(layout.readings), masked=masked),
        LayerSpec("standardise", sources=("input", "moments0"), masked=masked),
    ]
    outputs = Head.parse("head", head.options).width
    return ModelSpec(
        input=task._input(table, layout),
        layers=[
            *(own_units if task.normalise else ()),
            *task._stack(),
            LayerSpec("dense", name="forecast", units=outputs),
        ],
        head=head,
        context=task.context,
    )


def forecast_tensors(model: Model, fitting: Fitting) -> Mapping[str, Array]:
    """The units of the head, and zero weights of the last dense layer."""
    targets = list(fitting.layout.targets)
    return {
        "head.offset": fitting.offset[targets],
        "head.scale": fitting.scale[targets],
        # With zero weights, the first forecast is the last reading, or the mean of the window.
        "forecast.weight": np.zeros_like(model.tensors["forecast.weight"]),
    }


def forecasts(task: Forecaster, table: Table, future: Any) -> pd.DataFrame:
    """The frame that `Forecaster.predict` returns.

    Args:
        task: a fitted forecaster.
        table: the readings.
        future: as for `predict`.
    """
    table = table.without(too_short(table, task.model_.window or 1))
    constants = task._constants()
    covariates = None if constants is None else constants[len(task.layout_.readings) :]
    ahead, faults = known_ahead(table, future, task.layout_, task.time, task.series, task.timeline_, covariates)
    table = table.without(faults)
    table = table.without(no_logs_ahead({name: ahead[name] for name, *_ in table.series}, task.layout_))
    warn_left_out(table.left_out, len(table.series))
    for text in wild_at_the_end(table, task.model_.window or as_json(task.bptt)):
        warn(text)
    times = task.timeline_.ahead(table, task.horizons_)
    model, frames = task.model_.relative(), []
    for name, start, stop in table.series:
        span = slice(start, stop)
        x = task.layout_.inputs(table.values[span], at(table.times, span), ahead[name])
        answer = rolling.forecast_at(model, x, np.array([len(x) - 1]))[0]
        frames.append(_tidy(task, answer, name, table, times[name]))
    return pd.concat(frames, ignore_index=True)


def drawn(
    task: Forecaster, table: Table, future: Any, came: Table | None, target: str | None, rows: int | None, ax: Any
) -> Any:
    """The figure of `Forecaster.plot`, whose arguments these are, except for the tables of one series."""
    from gatewise.figures import forecast

    shown = max(24, 4 * task.horizons_[-1]) if rows is None else rows
    if isinstance(shown, bool) or not isinstance(shown, (int, np.integer)) or shown < 1:
        raise InputError(f"rows must be a whole number of at least 1, got {rows!r}")
    if target is None and len(task.targets_) == 1:
        target = task.targets_[0]
    if target is None or target not in task.targets_:
        raise InputError(
            f"one of the targets {list(task.targets_)} is drawn, got {target!r}; name it with ",
            Parameter("target", ANY),
        )
    k = task.layout_.read.index(target)
    found = forecasts(task, table, future)
    results = ["horizon", "target", *map(level_name, task.quantiles_)]
    ahead = found.loc[found["target"] == target, results].assign(target="reading")
    # Columns of the data may have any names, so the figure gets frames whose names are known.
    if table.times is not None:
        ahead["time"] = found.loc[ahead.index, unused(task.time or "time", results)]
    past = _readings(table, k).tail(int(shown))
    return forecast(ahead, past, came=None if came is None else _readings(came, k), unit=target, ax=ax)


def _readings(table: Table, k: int) -> pd.DataFrame:
    """The readings of one column of a table, with their times if there are any."""
    return pd.DataFrame({"reading": table.wide(k), **({} if table.times is None else {"time": table.times})})


def tested(task: Forecaster, table: Table, start: Any, stride: int, season: int | str | None) -> rolling.Backtest:
    """The result of `Forecaster.backtest`, whose arguments these are, except for the table."""
    spans = [slice(a, b) for _, a, b in table.series]
    guessed = season == "auto"
    if guessed:
        season = task.timeline_.season(table)
    constants = task._constants()
    targets = [task.layout_.read.index(name) for name in task.targets_]
    found = rolling.backtest(
        task.model_.relative(),
        [task.layout_.inputs(table.values[span], at(table.times, span)) for span in spans],
        table.values[:, targets],
        table.series,
        start=first_row(table, start),
        stride=stride,
        season=as_json(season),
        guessed=guessed,
        names=task.targets_,
        times=table.times,
        labels=(task.time or "time", task.series or "series"),
        constants=None if constants is None else constants[targets],
        scale=None if (own := task._told(task.model_).get("deviations")) is None else np.array(own),
    )
    out = [*table.left_out, *((name, rolling.TOO_SHORT) for name in found.left_out)]
    warn_left_out(out, len(table.series) - len(found.left_out))
    return replace(found, left_out=tuple(name for name, _ in out))


def _tidy(task: Forecaster, answer: Array, name: Any, table: Table, times: list[Any] | None) -> pd.DataFrame:
    """The forecast of one series as a frame with a row for each target and horizon.

    Args:
        task: a fitted forecaster.
        answer: (outputs,), the answer of its model.
        name: id of the series.
        table: the readings from which the forecast was made.
        times: times of the horizons; None = there are no times.
    """
    K, H, Q = len(task.targets_), len(task.horizons_), len(task.quantiles_)
    values = answer.reshape(K * H, Q)
    if table.constants is not None:
        values = values + np.repeat(table.subtract[list(task.layout_.targets)], H)[:, None]
    found: dict[str, Any] = {
        "horizon": list(task.horizons_) * K,
        "target": np.repeat(np.array(task.targets_, object), H),
        **{level_name(q): values[:, i] for i, q in enumerate(task.quantiles_)},
    }
    if times is not None:
        found = {unused(task.time or "time", found): times * K, **found}
    if task.series is not None:
        found = {unused(task.series, found): [name] * (K * H), **found}
    return pd.DataFrame(found)
