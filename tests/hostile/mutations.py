"""Valid model files and saved states, changed in a few places: strategies for hypothesis.

*Damaged* ones have other bytes. *Forged* ones have other parts, and then checksums that hold, so that what lies behind
these is reached.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

import gatewise as gw
from gatewise import layers
from gatewise.errors import SpecError
from gatewise.graph import resolve
from gatewise.spec import bidirectional, residual
from hostile.attacks import SPEC, TASK, Forgery, Tensor, canonical, sha, whole, with_task

MOST_VALUES = 10**5
"""Models of more values are left alone, as only memory would stop them."""


def specs() -> list[gw.ModelSpec]:
    """A chain with a head, each recurrent kind, both directions, a window, and a head with ends."""
    found = [SPEC, gw.ModelSpec(2, [gw.LayerSpec("dense", units=3, activation="softmax")])]
    scaled = [gw.LayerSpec("moments"), gw.LayerSpec("standardise", sources=("input", "moments0"))]
    found.append(gw.ModelSpec(2, [*scaled, gw.LayerSpec("gru", units=2)], context={"window": 4}))
    masked = [layer.replace(masked=True) for layer in scaled]
    stage = gw.LayerSpec("numeric", width=2, missing="mask")
    found.append(gw.ModelSpec(input=stage, layers=[*masked, gw.LayerSpec("gru", units=2)], context={"window": 4}))
    block = residual(gw.LayerSpec("gru", units=2), 3, source="start")
    found.append(gw.ModelSpec(2, [gw.LayerSpec("dense", "start", units=3), *block]))
    for kind in layers.KINDS:
        if layers.registry.spec(kind).recurrent:
            found.append(gw.ModelSpec(2, [gw.LayerSpec(kind, units=3), gw.LayerSpec("dense", units=1)]))
            found.append(gw.ModelSpec(1, bidirectional(gw.LayerSpec(kind, units=2), source="input")))
    logs = gw.LayerSpec("numeric", width=2, missing="hold", transform=["log1p", None])
    ends = gw.LayerSpec("quantiles", targets=[0, 1], minimum=[0.0, None], maximum=[9.0, 3.0], transform=["log1p", None])
    found.append(gw.ModelSpec(input=logs, layers=[gw.LayerSpec("dense", units=6)], head=ends))
    return found


def used(spec: gw.ModelSpec) -> gw.Stream:
    """A stream with something in its state."""
    stream = gw.init(spec).stream()
    stream.push_many(np.ones((3, stream.model.inputs)))
    return stream


SPECS = specs()
WHOLE = [*(whole(spec) for spec in SPECS), with_task()]
FILES = [forged.bytes() for forged in WHOLE]
STREAMS = [used(spec) for spec in SPECS if resolve(spec).streams]
SAVED = [stream.save() for stream in STREAMS]

WORDS: list[Any] = [
    *("input", "head", "gru0", "dense0", "carried", "window", "hold", "raise", "standard", "none", "before", "after"),
    *("mask", "masked", "relu", "tanh", "softmax", "hard_sigmoid", "", "\0", "../x", "kind", "units", "from"),
    *(None, True, False, -1, 0, 1, 2, 3, 7, 1 << 20, 1 << 31, 1 << 63, 1 << 64, 0.5, -0.0, 1e-320, 1e308),
    *([], {}, [0], {"window": 3}, {"kind": "gru", "units": 2}, {"kind": "hard_sigmoid", "slope": 0.2, "offset": 0.5}),
    *layers.KINDS,
    "log1p",
]
"""Kinds come last: the corpus holds places in such lists, and most of it then outlives a new kind."""
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
PLAIN = st.sampled_from(WORDS) | st.sampled_from(WORDS) | st.integers(-2, 9) | JSON
VALUES = st.sampled_from((np.nan, np.inf, -np.inf, 1e-45, -1e-40, 3.4e38, -3.4e38, 0.0, -0.0, 1.0))
LENGTHS = st.sampled_from((0, 1, 7, 1 << 31, 1 << 32, 1 << 62, (1 << 64) - 1)).map(lambda n: n.to_bytes(8, "little"))
DTYPES = st.sampled_from(["F16", "F64", "BF16", "I32", "U8", "BOOL", "", 5, None])
READINGS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9), VALUES), max_size=3)
"""(step, column, value) of what is hostile among a model's readings."""


@st.composite
def changed_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Some bytes changed, cut out, doubled, moved or put in; never as they were."""
    found = bytearray(data)
    for _ in range(draw(st.sampled_from((1, 1, 2, 5)))):
        place = st.integers(0, len(found))
        at, end = sorted((draw(place), draw(place)))
        if draw(st.booleans()):
            end = min(at + 8, len(found))
        match draw(st.integers(0, 5)):
            case 0 if at < len(found):
                found[at] ^= 1 << draw(st.integers(0, 7))
            case 1:
                found[at:end] = draw(st.sampled_from((b"\0", b"\xff", *(bytes([c]) for c in b' "\\{')))) * (end - at)
            case 2:
                del found[at:end]
            case 3:
                found[at:at] = found[at:end]
            case 4:
                found[at : at + 8] = draw(LENGTHS)
            case _:
                to = draw(place)
                found[to : to + end - at] = found[at:end]
    assume(found != data)
    return bytes(found)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in nested lists and dicts."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, found in inner for place in places(found, (*at, key)))]


@st.composite
def changed_plain(draw: st.DrawFn, value: Any) -> Any:
    """Plain JSON with something else in one place, or one place gone, doubled or renamed."""
    value = copy.deepcopy(value)
    at = draw(st.sampled_from(places(value)))
    new = copy.deepcopy(draw(PLAIN))
    if not at:
        return new
    inner = value
    for key in at[:-1]:
        inner = inner[key]
    key = at[-1]
    match draw(st.integers(0, 5)):
        case 0:
            del inner[key]
        case 1 if isinstance(inner, list):
            inner.insert(key, copy.deepcopy(draw(st.sampled_from(inner))))
        case 1 | 2 if isinstance(inner, dict):
            inner[str(new)] = inner.pop(key)
        case _:
            inner[key] = new
    return value


def change_tensors(draw: st.DrawFn, tensors: dict[str, Tensor]) -> None:
    """One tensor with another value, shape, type or name, or none."""
    names = st.sampled_from(list(tensors))
    name = draw(names)
    tensor = tensors[name]
    match draw(st.integers(0, 6)):
        case 0:
            del tensors[name]
        case 1:
            other = draw(names) + draw(st.sampled_from(("", "x", "\0")))
            tensors[other] = tensors.pop(name)
        case 2:
            tensor.shape = draw(changed_plain(tensor.shape))
        case 3:
            tensor.dtype = draw(DTYPES)
        case 4:
            tensor.data = draw(changed_bytes(tensor.data))
        case _:
            values = np.frombuffer(tensor.data[: len(tensor.data) // 4 * 4], "<f4").copy()
            if len(values):
                values[draw(st.integers(0, len(values) - 1))] = draw(VALUES)
            tensor.data = values.tobytes()


def damaged(files: list[bytes]) -> st.SearchStrategy[tuple[int, bytes]]:
    """(which of them, its bytes changed)."""
    return st.integers(0, len(files) - 1).flatmap(lambda i: st.tuples(st.just(i), changed_bytes(files[i])))


@st.composite
def forged_models(draw: st.DrawFn) -> bytes:
    """Changed tensors, provenance, task or description; most often all else is then made to fit."""
    forged = copy.deepcopy(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.sampled_from((1, 1, 2, 4)))):
        match draw(st.integers(0, 4)):
            case 0 if forged.tensors:
                change_tensors(draw, forged.tensors)
            case 1:
                forged.provenance = draw(changed_plain(forged.provenance))
            case 2:
                forged.task = draw(changed_plain(forged.task or TASK))
            case _:
                forged.model = draw(changed_plain(forged.model))
    if draw(st.integers(0, 9)) < 7:
        refit(forged)
    return forged.bytes()


def refit(forged: Forgery) -> None:
    """Give a forgery the structure, and the tensors where its own do not fit, if its description is one of a model."""
    try:
        graph = resolve(gw.ModelSpec.from_dict(forged.model))
    except SpecError:
        return
    assume(sum(int(np.prod(shape)) for shape in graph.tensors.values()) + graph.state_values <= MOST_VALUES)
    context = graph.spec.context
    assume(context == "carried" or context["window"] <= 64)  # type: ignore[index]
    forged.structure = graph.structure
    shapes = {name: list(shape) for name, shape in graph.tensors.items()}
    of_task = {name: tensor for name, tensor in forged.tensors.items() if name.startswith("task.")}
    own = {name: tensor for name, tensor in forged.tensors.items() if name not in of_task}
    if {name: tensor.shape for name, tensor in own.items()} != shapes:
        fresh = whole(graph.spec).tensors
        fitting = {name: tensor for name, tensor in own.items() if tensor.shape == shapes.get(name)}
        forged.tensors = {**fresh, **fitting, **of_task}


@st.composite
def forged_states(draw: st.DrawFn) -> tuple[int, bytes]:
    """(which of STREAMS, the bytes). A state is put together as a model file is, but for its description."""
    i = draw(st.integers(0, len(STREAMS) - 1))
    state = STREAMS[i].state
    fields = {name: Tensor.of(value) for name, value in state.fields.items()}
    for _ in range(draw(st.integers(1, 2))):
        if fields:
            change_tensors(draw, fields)
    forged = Forgery(None, state.structure, fields)
    described = {"format": 1, "structure": state.structure, "fields": forged.description()["weights"]}
    if draw(st.integers(0, 4)) == 4:
        described = draw(changed_plain(described))
    if isinstance(described, dict):
        described = {**described, "sha256": sha(canonical(described).encode())}
    forged.text = canonical(described)
    return i, forged.bytes()
