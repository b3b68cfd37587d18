"""Models of RTNeural (.json): the layers of a Keras model, or a state dict of PyTorch written as JSON.

RTNeural runs a model one step at a time and answers at each. A state dict needs no spec if it holds recurrent modules
and one nn.Linear after them, whose names stand in the order in which they run; otherwise it needs one, with the keys
that `gatewise.importers.torch.build` describes.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatewise.errors import FileError, InputError, SpecError
from gatewise.importers.chain import Chain
from gatewise.importers.given import given
from gatewise.importers.rtneural.layers import add_layer, numbers
from gatewise.importers.torch.build import KEYS, build, without
from gatewise.importers.torch.find import find
from gatewise.importers.torch.modules import StateDict, modules_of
from gatewise.spec import parse_json, short

LABEL = "models of RTNeural (.json)"
MOST_JSON = 1 << 25
MOST_NUMBERS = 1_000_000
"""Most commas, about as many as weights."""

MOST_MARKS = 200_000
"""Most brackets and quotation marks, which make JSON grow in memory. A model has two for each row of a matrix."""

_OBJECT = re.compile(rb'\s*\{\s*["}]')


def recognises(path: str, head: bytes) -> bool:
    """Whether a file begins as a JSON object does. `read` says what else an object that is no model of RTNeural is."""
    return _OBJECT.match(head) is not None


def read(path: str, spec: Mapping[str, Any]) -> Chain:
    """Read a model of RTNeural.

    Raises:
        FileError: the file is damaged or hostile, or has a layer that gatewise does not support.
        InputError: the spec does not fit the file.
        OSError: there is no such file.
    """
    told = given(spec, KEYS)
    try:
        model = _parsed(path)
        if "in_shape" in model or "layers" in model:
            if told:
                raise InputError(f"spec is for state dicts; this file says all itself, so leave out {', '.join(told)}")
            return _layers(model)
        return _state_dict(model, told)
    except FileError as error:
        raise FileError(f"{path}: ", error) from None


def _parsed(path: str) -> Mapping[str, Any]:
    if os.path.getsize(path) > MOST_JSON:
        raise FileError(f"the file has more than {MOST_JSON:,} bytes of JSON")
    data = Path(path).read_bytes()
    if sum(map(data.count, b'[{"')) > MOST_MARKS:
        raise FileError(f"the JSON has more than {MOST_MARKS:,} brackets and quotation marks; no model has so many")
    if data.count(b",") > MOST_NUMBERS:
        raise FileError(f"the JSON has more than {MOST_NUMBERS:,} numbers; no model for RTNeural has so many")
    try:
        model = parse_json(data.decode(), "file", MOST_JSON)
    except UnicodeDecodeError:
        raise FileError("the file is no text in UTF-8") from None
    except SpecError as error:
        raise FileError(error) from None
    if not isinstance(model, Mapping):
        raise FileError(f"a model of RTNeural is a JSON object, got {short(model)}")
    return model


def _layers(model: Mapping[str, Any]) -> Chain:
    shape, layers = model.get("in_shape"), model.get("layers")
    unknown = set(model) - {"in_shape", "layers"}
    if unknown:
        raise FileError(f"the file has the unknown key {short(min(map(str, unknown)))} beside in_shape and layers")
    width = shape[-1] if isinstance(shape, list) and shape else None
    if not isinstance(width, int) or isinstance(width, bool) or not 1 <= width <= 1 << 16:
        raise FileError(f"in_shape must end with the number of inputs of a step, got {short(shape)}")
    if not isinstance(layers, list) or not layers:
        raise FileError(f"layers must be a list of layers, got {short(layers)}")
    chain = Chain("RTNeural JSON of a Keras model", width)
    for at, layer in enumerate(layers):
        add_layer(chain, at, layer)
    return chain


def _state_dict(model: Mapping[str, Any], told: Mapping[str, Any]) -> Chain:
    place, found = find(model, told.get("at"), lambda value: isinstance(value, (list, float)))
    beside = [key for key in model if key != place.partition(".")[0]]
    if place and beside and "at" not in told:
        raise FileError(
            f"beside the state dict at {place} the file has {', '.join(map(short, beside))}, which can change what the "
            f'model computes, e.g. add its input. If the weights are all of it, pass spec={{"at": "{place}"}}'
        )
    tensors = {name: numbers(value, name) for name, value in found.items()}
    state = without(StateDict(tensors), told.get("ignore", []))
    return build("RTNeural JSON of a PyTorch state dict", state, told, _assumed(state))


def _assumed(state: StateDict) -> dict[str, Any]:
    """The spec of the usual model for RTNeural, recurrent modules and one Linear after them; else nothing."""
    modules = modules_of(state)
    if not modules or any(not module.layers for module in modules[:-1]):
        return {}
    fits = all(one.writes == other.reads for one, other in itertools.pairwise(modules))
    if not fits or not (modules[-1].layers or modules[-1].kind == "Linear"):
        return {}
    return {"order": [module.name for module in modules], "last": False}
