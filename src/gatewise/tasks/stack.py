"""Make the layers of a task's model between its input and its head, from the parameters of the task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gatewise import layers as kinds
from gatewise.errors import ANY, InputError, Parameter, Wording
from gatewise.model import Model
from gatewise.spec import LayerSpec, residual
from gatewise.tasks import RECURRENCE
from gatewise.tasks.parameters import as_json


def stack(
    recurrence: Any, units: Any, layers: Any, options: Any, blocks: Any, width: Any, defaults: tuple[int, int]
) -> list[LayerSpec]:
    """The layers for the parameters of a task.

    * A kind of recurrent layer gives a stack of `layers` such layers.
    * With `blocks` it gives a stack of that many `gatewise.residual` blocks of `width` values, each around one such
      layer. A dense layer before them converts the input to that width, and a norm follows the last block.
    * A list of `LayerSpec` is used as it is.

    Args:
        recurrence: a kind, or a list of layers.
        units: size of each recurrent layer.
        layers: number of recurrent layers; only without blocks.
        options: further options of each recurrent layer by name, or None.
        blocks: number of residual blocks; 0 = none.
        width: number of values that each block reads and writes; None = as many as units.
        defaults: the defaults of units and layers. Where one of them has no effect, it must have its default.

    Raises:
        InputError: a parameter is invalid, or cannot be combined with another one.
        SpecError: the layer does not have an option, or a value of an option is invalid.
    """
    if not isinstance(recurrence, str):
        others = (("units", units, defaults[0]), ("layers", layers, defaults[1]), ("options", options, None))
        return _given(recurrence, (*others, ("blocks", blocks, 0), ("width", width, None)))
    known = [kind for kind in kinds.KINDS if kinds.registry.spec(kind).recurrent]
    if recurrence not in known:
        what = Wording(" or a list of LayerSpec,", "")
        raise InputError(Parameter("recurrence"), f" must be one of {known},", what, f" got {recurrence!r}")
    _check_count("layers", layers, 1)
    _check_count("blocks", blocks, 0)
    further = {} if options is None else as_json(options)
    if not isinstance(further, dict) or not all(isinstance(name, str) for name in further):
        raise InputError(
            f'options must be those of the recurrence by name, e.g. {{"activation": "tanh"}}, got {options!r}'
        )
    if "units" in further:
        raise InputError("options has units, which is a parameter of its own; take it out and give units")
    given = {"units": as_json(units), **further}
    kinds.registry.spec(recurrence).parse(f"{recurrence}0", given)  # "name" and "sources" are not options of a layer
    mixer = LayerSpec(recurrence, **given)
    if not blocks:
        if width is not None:
            raise InputError(
                f"a width of {width!r} is that of residual blocks, and there are none; pass ", Parameter("blocks", ANY)
            )
        return [mixer] * int(layers)
    if layers != defaults[1]:
        raise InputError(f"each block has one recurrent layer, got {layers!r} layers; leave out ", Parameter("layers"))
    wide = as_json(units if width is None else width)
    found = [LayerSpec("dense", "block0", units=wide)]
    for i in range(1, int(blocks) + 1):
        found += residual(mixer, wide, f"block{i}", source=f"block{i - 1}")
    return [*found, LayerSpec("norm", "blocks")]


def _given(recurrence: Any, others: Iterable[tuple[str, Any, Any]]) -> list[LayerSpec]:
    """Layers that are given as a list. Other parameters, each with its value and its default, have no effect then."""
    listed = isinstance(recurrence, (list, tuple))
    if not listed or not all(isinstance(one, (LayerSpec, Mapping)) for one in recurrence):
        raise InputError(f"recurrence must be a kind of recurrent layer or a list of LayerSpec, got {recurrence!r}")
    if not recurrence:
        raise InputError("recurrence is an empty list; name at least one layer")
    for name, value, default in others:
        if as_json(value) != default:
            raise InputError(f"a list of layers is used as it is, so {name}={value!r} has no effect; leave it out")
    return [one if isinstance(one, LayerSpec) else LayerSpec.from_dict(one, "layer") for one in recurrence]


def without_memory(model: Model) -> list[str]:
    """A warning if no layer of a model keeps a state or reads a whole window, so that it forgets all earlier rows."""
    kinds_of = {node.name: node.kind for node in model.spec.nodes}
    nodes = [node for node in model.graph.nodes if node.name in kinds_of]
    if any(node.state or not node.layer.causal for node in nodes):
        return []
    names = ", ".join(sorted(set(kinds_of.values())))
    return [
        f"no layer of the model is recurrent (its layers are {names}), so each answer depends on one row alone; add a "
        f"recurrent layer, e.g. {RECURRENCE}"
    ]


def _check_count(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")
