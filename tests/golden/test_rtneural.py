"""RTNeural's models with the inputs and outputs that Keras and PyTorch gave, streamed step by step.

Keras stores matrices transposed and the gates of an LSTM in the order i, f, c, o, those of a GRU in the order z, r, h.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise import _core
from gatewise.graph import reference_run
from gatewise.layers.base import Array


def array(values: Any) -> Array:
    return np.asarray(values, np.float32)


def gru_order(gates: Array) -> Array:
    z, r, h = np.split(gates, 3)
    return np.concatenate([r, z, h])


def from_keras(description: Mapping[str, Any]) -> tuple[gw.ModelSpec, dict[str, Array]]:
    layers, tensors = [], {}
    for i, layer in enumerate(description["layers"]):
        kind, units, weights = layer["type"].removeprefix("time-distributed-"), layer["shape"][-1], layer["weights"]
        name = f"layer{i}"
        if kind == "dense":
            layers.append(gw.LayerSpec(kind, name, units=units, activation=layer["activation"] or "linear"))
            own = {"weight": array(weights[0]).T, "bias": array(weights[1])}
        elif kind == "lstm":
            layers.append(gw.LayerSpec(kind, name, units=units))
            own = {"weight_ih": array(weights[0]).T, "weight_hh": array(weights[1]).T, "bias_ih": array(weights[2])}
            own["bias_hh"] = np.zeros_like(own["bias_ih"])
        else:
            layers.append(gw.LayerSpec(kind, name, units=units, reset="after"))
            own = {"weight_ih": array(weights[0]).T, "weight_hh": array(weights[1]).T}
            own |= {"bias_ih": array(weights[2][0]), "bias_hh": array(weights[2][1])}
            own = {key: gru_order(value) for key, value in own.items()}
        tensors.update({f"{name}.{key}": value for key, value in own.items()})
    return gw.ModelSpec(description["in_shape"][-1], layers), tensors


def from_torch(description: Mapping[str, Any]) -> tuple[gw.ModelSpec, dict[str, Array]]:
    kind = next(iter(description)).partition(".")[0]
    stacks = ((kind, 0), *((f"{kind}2", level) for level in range(3)))
    layers, tensors = [], {}
    for i, (prefix, level) in enumerate(stacks):
        own = {
            key: array(description[f"{prefix}.{key}_l{level}"])
            for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        layers.append(gw.LayerSpec(kind, f"layer{i}", units=own["weight_hh"].shape[1]))
        tensors.update({f"layer{i}.{key}": value for key, value in own.items()})
    layers.append(gw.LayerSpec("dense", "out", units=1))
    tensors.update({f"out.{key}": array(description[f"dense.{key}"]) for key in ("weight", "bias")})
    return gw.ModelSpec(1, layers), tensors


@pytest.mark.parametrize("name", ["lstm", "gru", "lstm_torch", "gru_torch"])
def test_streaming_gives_what_the_framework_gave(name: str, models_dir: Path) -> None:
    folder = models_dir / "rtneural-json"
    description = json.loads((folder / f"{name}.json").read_text())
    spec, tensors = (from_torch if name.endswith("torch") else from_keras)(description)
    x, wanted = (np.loadtxt(folder / f"{name}_{part}_python.csv").reshape(-1, 1) for part in "xy")
    exact, _ = reference_run(gw.Model(spec, tensors).graph, tensors, x[None])
    np.testing.assert_allclose(exact[0], wanted, rtol=0, atol=1e-6)
    for cpu in _core.instruction_sets():
        stream = gw.Model(spec, tensors, cpu=cpu).stream()
        answers = np.stack([stream.push(reading) for reading in x])
        np.testing.assert_allclose(answers, wanted, rtol=0, atol=1e-6)
