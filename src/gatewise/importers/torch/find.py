"""Find the state dict among the values that a file holds, such as the state of an optimiser."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from gatewise.errors import FileError, InputError, Parameter
from gatewise.spec import short

MOST_DEPTH = 6


def find(payload: Any, at: Any, is_tensor: Callable[[Any], bool]) -> tuple[str, Mapping[str, Any]]:
    """Where the state dict is, "" for the whole file, and the state dict: names -> tensors.

    Args:
        payload: what the file holds.
        at: the key "at" of the spec, names joined by points; None = look for the only mapping with tensors.
        is_tensor: tells a tensor from other values.

    Raises:
        FileError: there is none, or there are several; the message lists them and says how to choose one.
        InputError: there is none at this place.
    """
    places = dict(_places(payload, is_tensor))
    if at is not None:
        if not isinstance(at, str) or at not in places:
            raise InputError(f"there is no state dict at {short(at)}; the file holds {_listed(places)}")
        return at, places[at]
    if len(places) > 1:
        choice = json.dumps({"at": next(iter(places))})
        raise FileError(
            f"the file holds several state dicts: {_listed(places)}; choose one: ", Parameter("spec", choice)
        )
    if not places:
        what = f"a {type(payload).__name__}"
        if isinstance(payload, Mapping):
            what += f" with the keys {short(list(payload))}"
        raise FileError(f"there is no state dict in the file, which holds {what}; save model.state_dict()")
    return next(iter(places.items()))


def _listed(places: Mapping[str, Any]) -> str:
    return ", ".join(f"{at or 'the whole file'} ({len(found)} entries)" for at, found in places.items()) or "none"


def _places(payload: Any, is_tensor: Callable[[Any], bool]) -> dict[str, Mapping[str, Any]]:
    """Path -> each mapping with text keys that has tensors itself. Values that occur twice are visited once."""
    found: dict[str, Mapping[str, Any]] = {}
    seen: set[int] = set()
    level = [("", payload)]
    for _ in range(MOST_DEPTH):
        deeper = []
        for path, value in level:
            if not isinstance(value, Mapping) or id(value) in seen or not all(isinstance(key, str) for key in value):
                continue
            seen.add(id(value))
            if any(is_tensor(each) for each in value.values()):
                found[path] = value
            deeper += [(f"{path}.{key}" if path else key, each) for key, each in value.items()]
        level = deeper
    return found
