"""The model of a Forecaster before it is trained: from parameters to a spec, in the units of the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.errors import InputError, Parameter
from gatewise.heads.quantiles.spec import Spec as Head
from gatewise.layers.base import Array
from gatewise.model import Model, init
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.tables.constants import FIND
from gatewise.tasks.bounded import Bounded, bounded
from gatewise.tasks.forecast_inputs import Layout, choose
from gatewise.tasks.parameters import plain, recurrent_layers
from gatewise.tasks.start import constants_of

if TYPE_CHECKING:
    from gatewise.tasks.forecaster import Forecaster


def to_subtract(task: Forecaster, start: Model | None) -> Callable[[Sequence[str]], Sequence[Any]]:
    """What is to be subtracted from columns, as `read_table` takes it: a function from their names.

    That is what the start subtracts. Where there is none, it is to be found, but for columns that are transformed: the
    logarithm is one of the readings as they are.

    Args:
        task: whose parameters say which columns are transformed.
        start: the model that it goes on from.
    """
    if start is not None:
        described = start.provenance["forecaster"]
        return constants_of(start, [*described["readings"], *described["covariates"]])

    def each(names: Sequence[str]) -> Sequence[Any]:
        layout, targets = choose(names, task.target, task.covariates, task.calendar, task.horizons)
        transforms = bounded(task.minimum, task.maximum, task.transform, layout, targets).columns
        logs = {name for name, one in zip(layout.read, transforms or [None] * len(names), strict=True) if one}
        return [None if name in logs else FIND for name in names]

    return each


def untrained_model(
    task: Forecaster, named: bool, layout: Layout, targets: list[int], ends: Bounded, seed: int
) -> Model:
    """The model before training: scaled input, recurrent layers, forecast, head.

    Args:
        task: whose parameters it has.
        named: whether the columns have names of their own.
        layout: what it reads.
        targets: positions of the columns that it forecasts.
        ends: their bounds and transforms.
        seed: of its weights.

    Raises:
        InputError: normalise makes no sense.
        SpecError: what makes no model.
    """
    if not isinstance(task.normalise, bool):
        raise InputError(f"normalise must be True or False, got {task.normalise!r}")
    if task.normalise and task.context == "carried":
        raise InputError(
            "normalise needs a window, whose units it takes: pass ", Parameter("context", {"window": 96}), ", say"
        )
    plainly = len(layout.names) == len(layout.read)
    width = len(layout.readings)
    head = LayerSpec(
        "quantiles",
        sources=("forecast", "input", *(("moments0",) if task.normalise else ())),
        targets=targets,
        horizons=list(layout.horizons),
        quantiles=plain(task.quantiles),
        anchor=task.anchor,
        names=[layout.readings[k] for k in targets],
        minimum=ends.minimum,
        maximum=ends.maximum,
        transform=ends.targets,
    )
    outputs = Head.parse("head", head.options).width
    masked = task.missing == "mask"
    own_units = [
        LayerSpec("moments", width=width, masked=masked),
        LayerSpec("standardise", sources=("input", "moments0"), masked=masked),
    ]
    spec = ModelSpec(
        input=LayerSpec(
            "numeric",
            width=len(layout.names),
            columns=list(layout.names) if named or not plainly else None,
            scaling="standard",
            missing=task.missing,
            transform=ends.inputs(layout),
        ),
        layers=[
            *(own_units if task.normalise else ()),
            *recurrent_layers(task.recurrence, task.units, task.layers, task.options),
            LayerSpec("dense", name="forecast", units=outputs),
        ],
        head=head,
        context=task.context,
    )
    return init(spec, seed)


def in_units(model: Model, layout: Layout, targets: list[int], offset: Array, scale: Array) -> Model:
    """The model before training in the units of the columns read, in the order of the input."""
    offsets, scales = layout.units(offset, scale)
    given = {
        "input.offset": offsets,
        "input.scale": scales,
        "head.offset": offset[targets],
        "head.scale": scale[targets],
        # Training starts from repeating the last reading, or the mean of the window.
        "forecast.weight": np.zeros_like(model.tensors["forecast.weight"]),
    }
    return model.replace(tensors={**model.tensors, **given})
