"""The layers of a task's model between its input and its head: what the parameters of the stack mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gatewise import layers as kinds
from gatewise.errors import InputError
from gatewise.spec import LayerSpec, residual
from gatewise.tasks.parameters import as_json


def stack(recurrence: Any, units: Any, layers: Any, options: Any, blocks: Any, width: Any) -> list[LayerSpec]:
    """The layers that a task's parameters stand for.

    * A kind of recurrent layer makes `layers` of them, one upon the other.
    * With `blocks` it makes so many `gatewise.residual` blocks of `width` values, each around one such layer: a dense
      layer brings what is read to that width, and a norm follows the last block.
    * A list of `LayerSpec` is taken as it is.

    Args:
        recurrence: a kind, or a list of layers.
        units: size of each recurrent layer.
        layers: how many; only without blocks.
        options: further options of each recurrent layer by name, or None.
        blocks: how many residual blocks; 0 = none.
        width: values that each block reads and writes; None = as many as units.

    Raises:
        InputError: a parameter that makes no sense, or that does not go with another one.
        SpecError: an option that the layer does not have, or a value that it refuses.
    """
    if not isinstance(recurrence, str):
        return _given(recurrence, layers, options, blocks, width)
    known = [kind for kind in kinds.KINDS if kinds.registry.spec(kind).recurrent]
    if recurrence not in known:
        raise InputError(f"recurrence must be one of {known}, or a list of LayerSpec, got {recurrence!r}")
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
    kinds.registry.spec(recurrence).parse(f"{recurrence}0", given)  # "name" and the like are no options of a layer
    mixer = LayerSpec(recurrence, **given)
    if not blocks:
        if width is not None:
            raise InputError(f"width is that of residual blocks, got width={width!r} and blocks=0; give blocks as well")
        return [mixer] * int(layers)
    if layers != 1:
        raise InputError(f"each block has one recurrent layer, got layers={layers!r}; leave layers out")
    wide = as_json(units if width is None else width)
    found = [LayerSpec("dense", "block0", units=wide)]
    for i in range(1, int(blocks) + 1):
        found += residual(mixer, wide, f"block{i}", source=f"block{i - 1}")
    return [*found, LayerSpec("norm", "blocks")]


def _given(recurrence: Any, layers: Any, options: Any, blocks: Any, width: Any) -> list[LayerSpec]:
    """Layers that are given as they are to be."""
    listed = isinstance(recurrence, (list, tuple))
    if not listed or not all(isinstance(one, (LayerSpec, Mapping)) for one in recurrence):
        raise InputError(f"recurrence must be a kind of recurrent layer or a list of LayerSpec, got {recurrence!r}")
    if not recurrence:
        raise InputError("recurrence is an empty list; name at least one layer")
    for name, value, default in (("layers", layers, 1), ("options", options, None), ("blocks", blocks, 0),
                                 ("width", width, None)):  # fmt: skip
        if value != default:
            raise InputError(f"a list of layers is taken as it is, so {name}={value!r} has no meaning; leave it out")
    return [one if isinstance(one, LayerSpec) else LayerSpec.from_dict(one, "layer") for one in recurrence]


def _check_count(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")
