"""The layers of a Keras model in the order in which they run, from its description in JSON by Keras 1, 2 or 3.

A Sequential model is a list of layers. A functional model is a graph; it is accepted if it is a chain: one input, one
output, and each layer reads one other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatewise.errors import FileError
from gatewise.spec import short

MOST_LAYERS = 1000
MOST_NAME = 200
MODELS = ("Sequential", "Model", "Functional")
WAYS_OUT = (
    "retrain it without this part, export it from Keras to ONNX and import that, or judge its predictions alone: "
    "gatewise assess --predictions"
)


def unsupported(*parts: object) -> FileError:
    """The error that something in a model is not supported, a message of these parts, with the ways out."""
    return FileError(*parts, f". Ways out: {WAYS_OUT}")


@dataclass(frozen=True)
class Layer:
    """A layer as the file describes it.

    Attributes:
        name: its name.
        kind: its class.
        config: its options.
        stored: the name under which a .keras file has its weights: its class and a number, e.g. "lstm_1".
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    stored: str


@dataclass(frozen=True)
class Architecture:
    """The layers of a model.

    Attributes:
        layers: in the order in which they run, without the input layer.
        shape: shape of one input without the batch, None for a size that is not fixed; None if nothing tells it.
    """

    layers: tuple[Layer, ...]
    shape: tuple[int | None, ...] | None


def architecture(described: Any) -> Architecture:
    """The architecture from the JSON value that Keras writes, `model.to_json()`.

    Raises:
        FileError: it is no description of a model, or of one that is not a chain.
    """
    kind, config = _class(described, "model")
    if kind not in MODELS:
        raise unsupported(f"the model is of the class {short(kind)}; gatewise imports {' and '.join(MODELS)}")
    if kind == "Sequential":
        entries = config.get("layers") if isinstance(config, dict) else config  # a list until Keras 2.2.2
        found = layers = _layers(entries)
        first = config.get("build_input_shape") if isinstance(config, dict) else None
    else:
        if not isinstance(config, dict):
            raise FileError(f"the config of the model must be an object, got {short(config)}")
        layers, first = _layers(config.get("layers")), None
        found = _chain(layers, config)
    built = described.get("build_config")
    if first is None and isinstance(built, dict):
        first = built.get("input_shape")
    shape = next((shape for shape in map(_batch_shape, found) if shape is not None), first)
    return Architecture(tuple(layer for layer in found if layer.kind != "InputLayer"), _without_batch(shape))


def _class(described: Any, what: str) -> tuple[str, Any]:
    """The class and the config of an object."""
    if not isinstance(described, dict) or not isinstance(described.get("class_name"), str):
        raise FileError(f"the {what} must have a class_name and a config, got {short(described)}")
    config = described.get("config")
    if not isinstance(config, (dict, list)):
        raise FileError(f"the config of the {what} must be an object, got {short(config)}")
    return described["class_name"], config


Described = tuple[str, str, Mapping[str, Any]]
"""Name, class and config of a layer."""


def inner(described: Any, of: str) -> Described:
    """Name, class and config of a layer, also of one within another.

    Raises:
        FileError: it is not described as Keras does, or is of a class that Keras does not have.
    """
    kind, config = _class(described, of)
    if not isinstance(config, dict):
        raise FileError(f"the config of the {of} must be an object, got {short(config)}")
    name = config.get("name", described.get("name"))
    name = name if isinstance(name, str) else kind
    if max(len(name), len(kind)) > MOST_NAME:
        raise FileError(f"a {of} has the name {short(name)} of the class {short(kind)}, which is too long")
    module = described.get("module")
    if isinstance(module, str) and "keras" not in module.split("."):
        kind = f"{module}.{kind}"  # a class of the user, whatever it is called
    return name, kind, config


def _layers(entries: Any) -> list[Layer]:
    """All layers in the order in which the file has them."""
    if not isinstance(entries, list):
        raise FileError(f"the layers of the model must be a list, got {short(entries)}")
    if len(entries) > MOST_LAYERS:
        raise FileError(f"the model has {len(entries):,} layers, more than the {MOST_LAYERS:,} that are imported")
    described = [inner(entry, "layer") for entry in entries]
    found: list[Layer] = []
    for entry, ((name, kind, config), stored) in zip(entries, numbered(described), strict=True):
        if kind in MODELS:
            raise unsupported(f"layer {name!r} is a model in itself ({kind}), which is not supported")
        found.append(Layer(name, kind, {**config, "inbound_nodes": entry.get("inbound_nodes", [])}, stored))
    names = [layer.name for layer in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise FileError(f"two layers have the name {twice[0]!r}")
    return found


def numbered(described: Sequence[Described]) -> list[tuple[Described, str]]:
    """Layers with the names under which .keras files store them: "lstm", "dense", "lstm_1" for a second LSTM, ..."""
    found, counts = [], dict[str, int]()
    for each in described:
        stored = _snake(each[1])
        count = counts[stored] = counts.get(stored, -1) + 1
        found.append((each, f"{stored}_{count}" if count else stored))
    return found


def _snake(kind: str) -> str:
    """A class name as .keras files write it: "SimpleRNN" -> "simple_rnn"."""
    apart = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", apart).lower()


def _chain(layers: Sequence[Layer], config: Mapping[str, Any]) -> list[Layer]:
    """The layers of a functional model from its input to its output."""
    by_name = {layer.name: layer for layer in layers}
    at = _one(list(_references(config.get("output_layers"))), "the model has", "outputs")
    found: list[Layer] = []
    while True:
        name, node, tensor = at
        if name not in by_name or by_name[name] in found:
            raise FileError(f"the layers of the model do not fit together: nothing leads to {short(name)}")
        layer = by_name[name]
        if node or tensor:
            raise unsupported(f"output {tensor} of call {node} of layer {name!r} is used; only the first is supported")
        found.append(layer)
        if layer.kind == "InputLayer":
            break
        calls = layer.config["inbound_nodes"]
        if not isinstance(calls, list) or len(calls) != 1:
            raise unsupported(f"layer {name!r} ({layer.kind}) is called more than once, or never")
        _check_call(layer, calls[0])
        at = _one(list(_references(calls)), f"layer {name!r} ({layer.kind}) reads", "layers")
    if beside := [layer.name for layer in layers if layer not in found]:
        raise unsupported(f"the model branches: layer {beside[0]!r} does not lie between input and output")
    return found[::-1]


def _one(references: list[tuple[str, int, int]], what: str, many: str) -> tuple[str, int, int]:
    if len(references) != 1:
        raise unsupported(f"{what} {len(references)} {many}; gatewise imports chains, which have one")
    return references[0]


def _references(value: Any) -> Iterator[tuple[str, int, int]]:
    """All references to an output of a layer in a value: layer, number of the call, number of the output."""
    if isinstance(value, dict):
        history = value.get("config", {}).get("keras_history") if isinstance(value.get("config"), dict) else None
        if value.get("class_name") == "__keras_tensor__":
            yield from _references(history)
        else:
            for each in value.values():
                yield from _references(each)
    elif isinstance(value, list):
        if len(value) >= 3 and isinstance(value[0], str) and all(isinstance(each, int) for each in value[1:3]):
            yield value[0], value[1], value[2]
            yield from _references(value[3:])
        else:
            for each in value:
                yield from _references(each)


def _check_call(layer: Layer, call: Any) -> None:
    """Refuse arguments of a call that change what the layer computes, such as training=True."""
    given: dict[str, Any] = {}
    if isinstance(call, dict):
        given = call.get("kwargs") or {}
        if not isinstance(given, dict):
            raise FileError(f"the arguments of layer {layer.name!r} must be an object, got {short(given)}")
    elif isinstance(call, list):
        for reference in call:
            if isinstance(reference, list) and len(reference) > 3 and isinstance(reference[3], dict):
                given |= reference[3]
    for key, value in given.items():
        if value not in (None, False):
            raise unsupported(
                f"layer {layer.name!r} ({layer.kind}) is called with {short(key)} = {short(value)}, which is not "
                "supported"
            )


def _batch_shape(layer: Layer) -> Any:
    """The shape of the input with the batch, as the first layer states it; None if it does not."""
    for config in (layer.config, *(each for each in [_of_wrapped(layer)] if each)):
        for key in ("batch_input_shape", "batch_shape"):
            if config.get(key) is not None:
                return config[key]
        if isinstance(config.get("input_dim"), int):  # Keras 1
            steps = [config.get("input_length")] if "input_length" in config else []
            return [None, *steps, config["input_dim"]]
    return None


def _of_wrapped(layer: Layer) -> Mapping[str, Any] | None:
    wrapped = layer.config.get("layer")
    config = wrapped.get("config") if isinstance(wrapped, dict) else None
    return config if isinstance(config, dict) else None


def _without_batch(shape: Any) -> tuple[int | None, ...] | None:
    if shape is None:
        return None
    if isinstance(shape, list) and len(shape) == 1 and isinstance(shape[0], list):
        shape = shape[0]  # of a list of inputs
    sizes = shape[1:] if isinstance(shape, list) else None
    if sizes is None or any(not (size is None or (type(size) is int and 0 < size <= 1 << 20)) for size in sizes):
        raise FileError(f"the shape of the input must be a list of sizes, got {short(shape)}")
    return tuple(sizes)
