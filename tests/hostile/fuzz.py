"""A mutation fuzzer for model files and saved states. The suite runs it for a moment, this as long as one likes:

    python tests/hostile/fuzz.py --seconds 600

Of a good file bytes are changed; or parts of it, and then the checksums are computed anew, so that what lies behind
them is reached. What comes of it must be refused in words (FileError, StateError), or be a model that runs, streams
with the same bits, and goes on from its own state. Anything else that is raised is a fault, as is a crash.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import gatewise as gw
from gatewise import layers
from gatewise.errors import FileError, InputError, SpecError, StateError
from gatewise.graph import resolve
from gatewise.inputs.numeric.spec import usable
from gatewise.spec import bidirectional
from hostile.attacks import SPEC, Forgery, Tensor, canonical, whole

MOST_VALUES = 10**5
"""Models of more values are left alone, as only memory would stop them."""


def specs() -> list[gw.ModelSpec]:
    """A chain with a head, each recurrent kind, both directions, a window."""
    found = [SPEC, gw.ModelSpec(2, [gw.LayerSpec("dense", units=3, activation="softmax")])]
    for kind in layers.KINDS:
        if layers.registry.spec(kind).recurrent:
            found.append(gw.ModelSpec(2, [gw.LayerSpec(kind, units=3), gw.LayerSpec("dense", units=1)]))
            found.append(gw.ModelSpec(1, bidirectional(gw.LayerSpec(kind, units=2), source="input")))
    scaled = [gw.LayerSpec("moments"), gw.LayerSpec("standardise", sources=("input", "moments0"))]
    found.append(gw.ModelSpec(2, [*scaled, gw.LayerSpec("gru", units=2)], context={"window": 4}))
    masked = [layer.replace(masked=True) for layer in scaled]
    stage = gw.LayerSpec("numeric", width=2, missing="mask")
    found.append(gw.ModelSpec(input=stage, layers=[*masked, gw.LayerSpec("gru", units=2)], context={"window": 4}))
    return found


WORDS: list[Any] = [
    *("input", "head", "gru0", "dense0", "carried", "window", "hold", "raise", "standard", "none", "before", "after"),
    *("mask", "masked", "relu", "tanh", "softmax", "hard_sigmoid", "", "\0", "../x", "kind", "units", "from"),
    *(None, True, False, -1, 0, 1, 2, 3, 7, 1 << 20, 1 << 31, 1 << 63, 1 << 64, 0.5, -0.0, 1e-320, 1e308),
    *([], {}, [0], {"window": 3}, {"kind": "gru", "units": 2}, {"kind": "hard_sigmoid", "slope": 0.2, "offset": 0.5}),
]
VALUES = (np.nan, np.inf, -np.inf, 1e-45, -1e-40, 3.4e38, -3.4e38, 0.0, -0.0, 1.0)


# --- mutations --------------------------------------------------------------------------------------------------------


def changed_bytes(chance: random.Random, data: bytes) -> bytes:
    """Some bytes changed, cut out, doubled, moved or put in; never as they were."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at, end = sorted((chance.randrange(len(found) + 1), chance.randrange(len(found) + 1)))
        end = chance.choice((end, min(at + 8, len(found))))
        match chance.randrange(6):
            case 0 if at < len(found):
                found[at] ^= 1 << chance.randrange(8)
            case 1:
                found[at:end] = bytes(chance.choice((0, 255, 32, 34, 92, 123)) for _ in range(end - at))
            case 2:
                del found[at:end]
            case 3:
                found[at:at] = found[at:end]
            case 4:
                found[at : at + 8] = chance.choice((0, 1, 7, 1 << 31, 1 << 32, 1 << 62, (1 << 64) - 1)).to_bytes(
                    8, "little"
                )
            case _:
                to = chance.randrange(len(found) + 1)
                found[to : to + end - at] = found[at:end]
    return bytes(found) if found != data else changed_bytes(chance, data)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in nested lists and dicts."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, found in inner for place in places(found, (*at, key)))]


def changed_plain(chance: random.Random, value: Any) -> Any:
    """Plain JSON with something else in one place, or one place gone, doubled or renamed."""
    value = copy.deepcopy(value)
    at = chance.choice(places(value))
    new = copy.deepcopy(chance.choice([*WORDS, *layers.KINDS]))
    if not at:
        return new
    inner = value
    for key in at[:-1]:
        inner = inner[key]
    key = at[-1]
    match chance.randrange(6):
        case 0:
            del inner[key]
        case 1 if isinstance(inner, list):
            inner.insert(key, copy.deepcopy(chance.choice(inner)))
        case 1 | 2 if isinstance(inner, dict):
            inner[str(new)] = inner.pop(key)
        case _:
            inner[key] = new
    return value


def changed_tensors(chance: random.Random, tensors: dict[str, Tensor]) -> None:
    """One tensor with another value, shape, type or name, or none."""
    name = chance.choice(list(tensors))
    tensor = tensors[name]
    match chance.randrange(7):
        case 0:
            del tensors[name]
        case 1:
            other = chance.choice(list(tensors)) + chance.choice(("", "x", "\0"))
            tensors[other] = tensors.pop(name)
        case 2:
            tensor.shape = changed_plain(chance, tensor.shape)
        case 3:
            tensor.dtype = chance.choice(["F16", "F64", "BF16", "I32", "U8", "BOOL", "", 5, None])
        case 4:
            tensor.data = changed_bytes(chance, tensor.data)
        case _:
            values = np.frombuffer(tensor.data[: len(tensor.data) // 4 * 4], "<f4").copy()
            if len(values):
                values[chance.randrange(len(values))] = chance.choice(VALUES)
            tensor.data = values.tobytes()


# --- what must come of it ---------------------------------------------------------------------------------------------


def readings(chance: random.Random, model: gw.Model, steps: int) -> np.ndarray[Any, Any]:
    """Noise with hostile values in it."""
    x = np.random.default_rng(chance.randrange(1 << 30)).normal(size=(steps, model.inputs)).astype(np.float32)
    for _ in range(chance.choice((0, 1, 3))):
        x[chance.randrange(steps), chance.randrange(model.inputs)] = chance.choice(VALUES)
    return x


def use(chance: random.Random, model: gw.Model) -> None:
    """A model that was taken runs, streams with the same bits, and goes on from its state, whatever it reads."""
    x = readings(chance, model, 5)
    try:
        whole_run = np.asarray(model.run(x))
    except InputError:
        unit = (model.tensors.get(f"input.{name}") for name in ("offset", "scale"))
        assert not usable(x, *unit).all()
        return
    assert whole_run.shape == (5, model.outputs)
    if not model.graph.streams:
        with pytest.raises(SpecError, match="window"):
            model.stream()
        return
    stream = model.stream()
    answers = [stream.push(row) for row in x[:3]]
    try:
        stream = model.stream(stream.save())
    except StateError as error:
        assert "non-finite" in str(error)  # noqa: PT017
    answers.extend(stream.push_many(x[3:]))
    np.testing.assert_array_equal(np.array(answers), whole_run)
    assert gw.ModelSpec.from_json(model.spec.to_json()) == model.spec


def load(data: bytes) -> gw.Model:
    """`gatewise.load` of a file of these bytes, without the file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gatewise.file.read_bytes", lambda path: data)
        return gw.load("model.safetensors")


def model_bytes(chance: random.Random) -> bool:
    """Damaged: never taken."""
    damaged = changed_bytes(chance, whole(chance.choice(SPECS)).bytes())
    with pytest.raises(FileError) as caught:
        load(damaged)
    assert len(str(caught.value)) < 600
    return False


def model_parts(chance: random.Random) -> bool:
    """Forged, with checksums that hold."""
    forged = whole(chance.choice(SPECS))
    for _ in range(chance.choice((1, 1, 2, 4))):
        match chance.randrange(4):
            case 0 if forged.tensors:
                changed_tensors(chance, forged.tensors)
            case 1:
                forged.provenance = changed_plain(chance, forged.provenance)
            case _:
                forged.model = changed_plain(chance, forged.model)
    if chance.random() < 0.7 and refit(forged) is None:  # let all fit that can
        return False
    try:
        model = load(forged.bytes())
    except FileError as error:
        assert len(str(error)) < 600  # noqa: PT017
        return False
    use(chance, model)
    return True


def refit(forged: Forgery) -> bool | None:
    """Give a forgery the structure, and the tensors where its own do not fit; None where it would be too large."""
    try:
        graph = resolve(gw.ModelSpec.from_plain(forged.model))
    except SpecError:
        return False
    if sum(int(np.prod(shape)) for shape in graph.tensors.values()) + graph.state_values > MOST_VALUES:
        return None
    if (window := graph.spec.context) != "carried" and window["window"] > 64:  # type: ignore[index]
        return None
    fresh = whole(graph.spec)
    forged.structure = fresh.structure
    if set(forged.tensors) != set(fresh.tensors):
        forged.tensors = fresh.tensors
    for name, tensor in forged.tensors.items():
        if tensor.shape != fresh.tensors[name].shape:
            forged.tensors[name] = fresh.tensors[name]
    return True


def state_bytes(chance: random.Random) -> bool:
    """A saved state, damaged: never taken."""
    model = chance.choice(STREAMED)
    stream = model.stream()
    stream.push_many(np.ones((3, model.inputs)))
    before, damaged = stream.get_state(), changed_bytes(chance, stream.save())
    with pytest.raises(StateError) as caught:
        stream.load(damaged)
    assert len(str(caught.value)) < 600
    assert stream.get_state() == before
    return False


def state_parts(chance: random.Random) -> bool:
    """A state forged with checksums that hold: refused, or the stream goes on from it."""
    model = chance.choice(STREAMED)
    stream = model.stream()
    stream.push_many(np.ones((3, model.inputs)))
    before = stream.get_state()
    fields = {name: Tensor.of(value) for name, value in stream.state.fields.items()}
    for _ in range(chance.choice((1, 2))):
        if fields:
            changed_tensors(chance, fields)
    try:
        stream.load(state_file(chance, fields, model.graph.structure))
    except StateError as error:
        assert len(str(error)) < 600  # noqa: PT017
        assert stream.get_state() == before
        return False
    stream.push_many(np.zeros((3, model.inputs)))
    return True


def state_file(chance: random.Random, fields: dict[str, Tensor], structure: str) -> bytes:
    """The bytes of a state with these fields. A model file is put together in the same way, but for its description."""
    forged = Forgery(None, structure, fields)
    sums = forged.description()["weights"]
    described = {"format": 1, "structure": structure, "fields": sums}
    if chance.random() < 0.2:
        described = changed_plain(chance, described)
    if isinstance(described, dict):
        described = {**described, "sha256": sha256(canonical(described))}
    forged.text = canonical(described)
    return forged.bytes()


def sha256(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


SPECS = specs()
STREAMED = [gw.init(spec) for spec in SPECS if resolve(spec).streams]
TARGETS: dict[str, Callable[[random.Random], bool]] = {
    "model files, damaged": model_bytes,
    "model files, forged": model_parts,
    "states, damaged": state_bytes,
    "states, forged": state_parts,
}
"""Each makes one hostile thing and checks what comes of it; returns whether it was taken."""


def attack(target: str, number: int) -> bool:
    """The hostile thing of this number. A failure names it."""
    try:
        with np.errstate(all="ignore"):
            return TARGETS[target](random.Random(f"{target} {number}"))
    except Exception as error:
        raise AssertionError(f"{target}, number {number}: {type(error).__name__}: {error}") from error


def main() -> None:
    """Attack until the time is over; prints one JSON object."""
    parser = argparse.ArgumentParser(description="Mutation fuzzer for model files and states.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--start", type=int, default=0, help="number of the first attack")
    options = parser.parse_args()
    tried, taken = dict.fromkeys(TARGETS, 0), dict.fromkeys(TARGETS, 0)
    end, number = time.monotonic() + options.seconds, options.start
    while time.monotonic() < end:
        for target in TARGETS:
            taken[target] += attack(target, number)
            tried[target] += 1
        number += 1
    print(json.dumps({"tried": tried, "taken": taken, "seconds": options.seconds}))


if __name__ == "__main__":
    main()
