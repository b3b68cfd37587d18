"""The modules of torch behind a state dict: the tensors of a state dict, grouped and recognised by names and shapes.

::

    weight_ih_l0, weight_hh_l0, ...   nn.LSTM, nn.GRU or nn.RNN, by rows of weight_hh for each unit: 4, 3 or 1; `_l1` is
                                      its second layer, `_reverse` the other direction, `weight_hr` a projection
    weight_ih, weight_hh, ...         nn.LSTMCell, nn.GRUCell or nn.RNNCell
    weight (O, I), bias               nn.Linear
    running_mean, running_var, ...    nn.BatchNorm1d
    weight (I), bias (I)              nn.LayerNorm

Only NumPy is needed here, because state dicts come from safetensors and JSON as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from gatewise.errors import FileError, Parameter
from gatewise.layers.base import Array

SUPPORTED = "nn.LSTM, nn.GRU, nn.RNN and their cells, nn.Linear, nn.BatchNorm1d and nn.LayerNorm"
RECURRENT = {4: "LSTM", 3: "GRU", 1: "RNN"}
"""Rows of weight_hh for each unit -> class of torch."""

COUNTER = "num_batches_tracked"
"""A tensor of batch normalisation that takes no part in its answers. No other one may have whole numbers."""

NORMS = ("BatchNorm1d", "LayerNorm")
"""Classes that write as many values as they read."""

WRAPPERS = ("module.", "_orig_mod.")
"""Prefixes of names that nn.DataParallel and torch.compile add."""

_GATE = re.compile(r"(?P<param>weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)(?P<layer>_l[0-9]+(?:_reverse)?)?")
_LAYER = re.compile(r"_l([0-9]+)(_reverse)?")
MOST_LAYERS = 64


@dataclass(frozen=True)
class StateDict:
    """The tensors of a state dict.

    Attributes:
        tensors: name -> array, finite numbers.
        types: name -> dtype in the file, if it is not float32.
        notes: sentences about the file for the record of the import.
    """

    tensors: Mapping[str, Array]
    types: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Module:
    """One module of torch.

    Attributes:
        name: where it is in the model, e.g. "fc.0".
        kind: class of torch, without "nn.", e.g. "LSTM".
        reads, writes: number of values in one step that it reads and writes.
        tensors: name in the module, e.g. "weight_ih_l0" -> array.
        sources: name in the module -> name in the file.
        layers: suffixes of the tensors of each layer, forward and, if it is bidirectional, reverse.
        converted: sentences about conversions of the numbers.
    """

    name: str
    kind: str
    reads: int
    writes: int
    tensors: Mapping[str, Array]
    sources: Mapping[str, str]
    layers: tuple[tuple[str, ...], ...] = ()
    converted: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As in `lstm = LSTM(8 -> 32, 2 layers)`."""
        size = str(self.reads) if self.kind in NORMS else f"{self.reads} -> {self.writes}"
        if self.layers:
            size += f", {len(self.layers)} layers" if len(self.layers) > 1 else ""
            size += ", bidirectional" if len(self.layers[0]) == 2 else ""
        return f"{self.name} = {self.kind}({size})"


def modules_of(state: StateDict) -> list[Module]:
    """The modules of a state dict in its order, which is that in which the model registered them.

    Raises:
        FileError: there are tensors that belong to none of the supported modules, or whose shapes do not fit together.
    """
    groups: dict[str, dict[str, str]] = {}  # module -> name in the module -> name in the file
    for full in state.tensors:
        plain = unwrapped(full)
        module, _, own = plain.rpartition(".")
        names = groups.setdefault(module or "module", {})
        if own in names:
            raise FileError(f"{full!r} and {names[own]!r} are the same tensor of one module; keep one of them")
        names[own] = full
    return [_module(name, own, state) for name, own in groups.items()]


def unwrapped(name: str) -> str:
    """The name without the prefixes of wrappers; torch.compile puts its own anywhere."""
    while name.startswith(WRAPPERS):
        name = name.partition(".")[2]
    return name.replace("._orig_mod.", ".")


def _module(name: str, sources: dict[str, str], state: StateDict) -> Module:
    tensors = {own: state.tensors[full] for own, full in sources.items()}
    types = sorted({state.types[full] for own, full in sources.items() if full in state.types and own != COUNTER})
    converted = tuple(f"Its numbers are {kind} in the file, and are converted to float32." for kind in types)
    shapes = ", ".join(f"{own} {tuple(tensors[own].shape)}" for own in tensors)
    if "weight_hh" in tensors or "weight_hh_l0" in tensors:
        return _recurrent(name, tensors, sources, converted)
    if {"running_mean", "running_var"} <= set(tensors):
        return _batch_norm(name, tensors, sources, converted)
    extra = set(tensors) - {"weight", "bias"}
    weight, bias = tensors.get("weight"), tensors.get("bias")
    if weight is None or extra or (bias is not None and bias.shape != weight.shape[:1]):
        raise _unknown(name, sources, shapes, "its tensors are not those of a supported module")
    if weight.ndim == 2 and 0 not in weight.shape:
        if bias is None and len(weight) == weight.shape[1] and "emb" in name.lower():
            raise _unknown(name, sources, shapes, "its name is that of an nn.Embedding, whose weight looks the same")
        return Module(name, "Linear", weight.shape[1], weight.shape[0], tensors, sources, converted=converted)
    if weight.ndim == 1 and bias is not None and len(weight):
        return Module(name, "LayerNorm", len(weight), len(weight), tensors, sources, converted=converted)
    why = "a convolution has such weights" if weight.ndim > 2 else "nn.RMSNorm and nn.PReLU have such a weight"
    raise _unknown(name, sources, shapes, why)


def _recurrent(name: str, tensors: dict[str, Array], sources: dict[str, str], converted: tuple[str, ...]) -> Module:
    found: dict[str, dict[str, Array]] = {}  # suffix -> parameter -> array
    for own, value in tensors.items():
        match = _GATE.fullmatch(own)
        if match is None:
            raise _unknown(name, sources, f"{own} {value.shape}", "a recurrent module has no such tensor")
        if value.ndim != (2 if match["param"].startswith("weight") else 1) or not value.size:
            raise FileError(f"{name}: {own} has the shape {value.shape}; weights have two axes and biases one")
        found.setdefault(match["layer"] or "", {})[match["param"]] = value
    layers = _layers(name, found)
    hidden = found[layers[0][0]]["weight_hh"]
    projection = "weight_hr" in found[layers[0][0]]
    width = hidden.shape[1]
    units = found[layers[0][0]]["weight_hr"].shape[-1] if projection else width
    gates = len(hidden) // units
    kind = RECURRENT.get(gates)
    if kind is None or (projection and kind != "LSTM"):
        raise FileError(
            f"{name}: weight_hh has the shape {hidden.shape}; for each of its columns, an LSTM has 4 rows, a GRU 3 and "
            "an RNN 1"
        )
    reads = inputs = found[layers[0][0]]["weight_ih"].shape[-1]
    for suffixes in layers:
        for suffix in suffixes:
            _check(
                f"{name}, layer {suffix or 0}", found[suffix], _shapes(gates * units, inputs, width, units, projection)
            )
        inputs = width * len(suffixes)
    if layers[0][0] == "":
        kind += "Cell"
    return Module(name, kind, reads, inputs, tensors, sources, layers, converted)


def _shapes(rows: int, inputs: int, width: int, units: int, projection: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs), "weight_hh": (rows, width)}
    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    return {**shapes, "weight_hr": (width, units)} if projection else shapes


def _layers(name: str, found: Mapping[str, Mapping[str, Array]]) -> tuple[tuple[str, ...], ...]:
    """The suffixes of the tensors, by layer and direction. Raises FileError if one is missing."""
    if "" in found:
        layers: tuple[tuple[str, ...], ...] = (("",),)
    else:
        numbers = {int(match[1]) for suffix in found if (match := _LAYER.fullmatch(suffix))}
        if len(numbers) > MOST_LAYERS:
            raise FileError(f"{name} has {len(numbers)} layers, and at most {MOST_LAYERS} are read")
        both = any(suffix.endswith("_reverse") for suffix in found)
        layers = tuple((f"_l{i}", f"_l{i}_reverse") if both else (f"_l{i}",) for i in range(len(numbers)))
    wanted = {suffix for suffixes in layers for suffix in suffixes}
    if wanted != set(found):
        odd = min(wanted ^ set(found))
        raise FileError(f"{name}: tensors with the suffix {odd!r} are {'missing' if odd in wanted else 'one too many'}")
    for suffix, own in found.items():
        for param in ("weight_ih", "weight_hh"):
            if param not in own:
                raise FileError(f"{name}: {param}{suffix} is missing")
    return layers


def _check(where: str, tensors: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> None:
    if ("bias_ih" in tensors) != ("bias_hh" in tensors):
        raise FileError(f"{where} has one of its two biases only, bias_ih and bias_hh")
    if ("weight_hr" in tensors) != ("weight_hr" in shapes):
        raise FileError(f"{where}: only some of the layers have weight_hr, a projection")
    for own, value in tensors.items():
        if value.shape != shapes[own]:
            raise FileError(f"{where}: {own} has the shape {value.shape}, expected {shapes[own]}")


def _batch_norm(name: str, tensors: dict[str, Array], sources: dict[str, str], converted: tuple[str, ...]) -> Module:
    own = {key: value for key, value in tensors.items() if key != COUNTER}
    shape = own["running_mean"].shape
    unknown = set(own) - {"running_mean", "running_var", "weight", "bias"}
    if unknown or len(shape) != 1 or ("weight" in own) != ("bias" in own):
        raise _unknown(name, sources, ", ".join(sorted(own)), "these are not the tensors of nn.BatchNorm1d")
    if any(value.shape != shape for value in own.values()) or not shape[0]:
        raise FileError(f"{name}: the tensors of a BatchNorm1d have different shapes")
    if np.min(own["running_var"]) < 0:
        raise FileError(f"{name}: running_var is negative, and a variance cannot be")
    return Module(name, "BatchNorm1d", shape[0], shape[0], tensors, sources, converted=converted)


def _unknown(name: str, sources: Mapping[str, str], tensors: str, why: str) -> FileError:
    inside = all("." in unwrapped(full) for full in sources.values())
    ignore = json.dumps({"ignore": [name] if inside else list(sources.values())})
    return FileError(
        f"module {name!r} ({tensors}) is not supported: {why}. gatewise imports {SUPPORTED}. If it takes no part in "
        "the answers, leave it out: ",
        Parameter("spec", ignore),
    )
