"""Keras files by hand, in each layout that Keras has written. Nothing here uses gatewise or Keras.

A model is a list of `Layer`. Its weights are arrays by the names that Keras 2 gives them within a layer, such as
"kernel" or "forward_lstm/kernel", in the order in which Keras 3 numbers them.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
VERSIONS = {1: "1.2.2", 2: "2.2.4", 3: "3.4.1"}


@dataclass
class Layer:
    kind: str
    config: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, Array] = field(default_factory=dict)
    name: str = ""


def draw(rng: np.random.Generator, *shape: int) -> Array:
    """Weights as they would be after a training, so that no two terms can be mistaken for each other."""
    return rng.normal(0.0, 0.5, shape).astype(np.float32)


def gates(kind: str) -> int:
    return {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}[kind.removeprefix("CuDNN").removesuffix("Cell")]


def recurrent(kind: str, inputs: int, units: int, seed: int, **config: Any) -> Layer:
    """A recurrent layer with drawn weights."""
    rng, n = np.random.default_rng(seed), gates(kind) * units
    weights = {"kernel": draw(rng, inputs, n), "recurrent_kernel": draw(rng, units, n)}
    if kind.startswith("CuDNN"):
        weights["bias"] = draw(rng, 2 * n)
    elif config.get("use_bias", True):
        weights["bias"] = draw(rng, 2, n) if config.get("reset_after") else draw(rng, n)
    return Layer(kind, {"units": units, **config}, weights)


def dense(inputs: int, units: int, seed: int, **config: Any) -> Layer:
    rng = np.random.default_rng(seed)
    weights = {"kernel": draw(rng, inputs, units)}
    if config.get("use_bias", True):
        weights["bias"] = draw(rng, units)
    return Layer("Dense", {"units": units, **config}, weights)


def named(layers: Sequence[Layer]) -> list[Layer]:
    """The same with a name each."""
    return [Layer(each.kind, each.config, each.weights, each.name or f"{each.kind.lower()}_{i}") for i, each in
            enumerate(layers)]  # fmt: skip


def sequential(layers: Sequence[Layer], shape: Sequence[int | None], version: int) -> dict[str, Any]:
    """The description of a Sequential model."""
    entries: list[dict[str, Any]] = [
        {"class_name": layer.kind, "config": {"name": layer.name, "trainable": True, **layer.config}}
        for layer in layers
    ]
    batch = [None, *shape]
    if version < 3:
        entries[0]["config"]["batch_input_shape"] = batch
        return {"class_name": "Sequential", "config": entries if version == 1 else {"name": "s", "layers": entries}}
    entries.insert(0, {"class_name": "InputLayer", "config": {"batch_shape": batch, "dtype": "float32", "name": "i"}})
    entries = [{"module": "keras.layers", "registered_name": None, **entry} for entry in entries]
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": entries}}


def functional(layers: Sequence[Layer], shape: Sequence[int | None], version: int) -> dict[str, Any]:
    """The description of a functional model that is a chain."""
    whole = [Layer("InputLayer", {("batch_shape" if version == 3 else "batch_input_shape"): [None, *shape]}, {}, "i")]
    whole += layers
    entries = []
    for i, layer in enumerate(whole):
        nodes: list[Any] = []
        if i:
            before = [whole[i - 1].name, 0, 0]
            tensor = {"class_name": "__keras_tensor__", "config": {"shape": [None], "keras_history": before}}
            nodes = [{"args": [tensor], "kwargs": {}}] if version == 3 else [[[*before, {}]]]
        config = {"name": layer.name, **layer.config}
        entries.append({"class_name": layer.kind, "config": config, "name": layer.name, "inbound_nodes": nodes})
    ends = [["i", 0, 0], [whole[-1].name, 0, 0]]
    first, last = ends if version == 3 else [[end] for end in ends]
    config = {"name": "m", "layers": entries, "input_layers": first, "output_layers": last}
    return {"class_name": "Functional" if version == 3 else "Model", "config": config}


def hdf5(
    path: Path | io.BytesIO, layers: Sequence[Layer], described: Any, version: int | str = 2, cell: str = ""
) -> None:
    """model.save("model.h5"); `cell` is what stands before the name of a weight, as in "lstm_cell/kernel"."""
    with h5py.File(path, "w") as file:
        if described is not None:
            file.attrs["model_config"] = json.dumps(described).encode()
            said = VERSIONS.get(version, version)  # type: ignore[call-overload]
            file.attrs["keras_version"] = str(said).encode()
            file.attrs["backend"] = b"tensorflow"
        group = file.create_group("model_weights") if described is not None else file
        group.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            own = group.create_group(layer.name)
            for name, value in layer.weights.items():
                folder, _, short = name.rpartition("/")
                own[f"{layer.name}/{folder + '/' if folder else ''}{cell}{short}:0"] = value
        if described is not None:
            file["optimizer_weights/Variable:0"] = np.ones(3)


def old_hdf5(path: Path, layers: Sequence[Layer], described: Any) -> None:
    """The same of Keras 1: the name of the layer stands before that of the weight."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(described).encode()
        file.attrs["keras_version"] = b"1.2.2"
        for layer in layers:
            own = file.create_group(f"model_weights/{layer.name}")
            for name, value in layer.weights.items():
                own[f"{layer.name}_{name}"] = value


def snake(kind: str) -> str:
    apart = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", apart).lower()


def numbered(layers: Sequence[Layer], top: str = "layers") -> bytes:
    """The HDF5 file within a .keras file. A weight "forward_layer/kernel" is in "forward_layer/cell/vars/0"."""
    memory, counts = io.BytesIO(), dict[str, int]()
    with h5py.File(memory, "w") as file:
        for layer in layers:
            stored = snake(layer.kind)
            counts[stored] = counts.get(stored, -1) + 1
            own = f"{top}/{stored}" + (f"_{counts[stored]}" if counts[stored] else "")
            file.create_group(f"{own}/vars")
            at = dict[str, int]()
            for name, value in layer.weights.items():
                folder = name.rpartition("/")[0]
                cell = "cell/" if {"recurrent_kernel"} & {each.rpartition("/")[2] for each in layer.weights} else ""
                at[folder] = at.get(folder, -1) + 1
                file[f"{own}/{folder + '/' if folder else ''}{cell}vars/{at[folder]}"] = value
        file["optimizer/vars/0"] = np.ones(3)
    return memory.getvalue()


def zipped(path: Path, members: Mapping[str, bytes | str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def keras(path: Path, layers: Sequence[Layer], described: Any, version: int = 3, top: str = "layers") -> None:
    """model.save("model.keras")."""
    members = {"metadata.json": json.dumps({"keras_version": VERSIONS[version], "date_saved": "2024-07-22"})}
    members["config.json"] = json.dumps(described)
    zipped(path, {**members, "model.weights.h5": numbered(layers, top)})  # type: ignore[dict-item]


def saved(folder: Path, layers: Sequence[Layer], shape: Sequence[int | None], version: int = 2) -> Path:
    """A Sequential model in the usual file of a version of Keras: .h5 up to 2, .keras from 3."""
    whole = named(layers)
    described = sequential(whole, shape, version)
    path = folder / ("model.keras" if version == 3 else "model.h5")
    if version == 3:
        keras(path, whole, described)
    elif version == 1:
        old_hdf5(path, whole, described)
    else:
        hdf5(path, whole, described, version)
    return path
