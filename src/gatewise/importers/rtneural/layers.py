"""The layers of RTNeural's JSON, as its Python scripts export them from Keras::

    dense, time-distributed-dense    kernel (I, O), bias (O); `activation` is a layer of its own after it
    lstm                             kernel (I, 4H), recurrent kernel (H, 4H), bias (4H); gates i, f, c, o
    gru                              kernel (I, 3H), recurrent kernel (H, 3H), bias (2, 3H); gates z, r, h;
                                     the reset gate acts after the recurrent matrix
    batchnorm                        [gamma, beta,] moving mean, moving variance (I); `epsilon`
    activation                       `activation` alone

Matrices are the transposes of those of gatewise. RTNeural runs LSTM and GRU with sigmoid gates and tanh, whatever the
file says, so another activation is an error here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.errors import FileError
from gatewise.importers.chain import Chain, Weights
from gatewise.layers.base import Array
from gatewise.spec import LayerSpec, short

ACTIVATIONS: Mapping[str, Any] = {
    "": "linear",
    "linear": "linear",
    "tanh": "tanh",
    "relu": "relu",
    "sigmoid": "sigmoid",
    "softmax": "softmax",
    "elu": "elu",
}
DENSE = ("dense", "time-distributed-dense")
SUPPORTED = (*DENSE, "lstm", "gru", "batchnorm", "activation")
TRANSPOSED = "The matrices are transposed."
KERAS = {"lstm": ("ifco", "ifco"), "gru": ("zrh", "rzh")}
"""The order of gates in Keras and in gatewise, whose candidate is here called as in Keras."""


def add_layer(chain: Chain, at: int, layer: Any) -> None:
    """Add a layer of the list `layers`. Raises FileError if it is not supported or damaged."""
    kind = layer.get("type") if isinstance(layer, Mapping) else None
    if kind not in SUPPORTED:
        raise FileError(
            f"layer {at} has the type {short(kind)}; gatewise imports {', '.join(SUPPORTED)}. Retrain without it, or "
            "keep this model in RTNeural"
        )
    assert isinstance(layer, Mapping)
    unknown = set(layer) - {"type", "activation", "shape", "weights", "epsilon", "name"}
    if unknown:
        raise FileError(f"layer {at} ({kind}) has the unknown key {short(min(map(str, unknown)))}")
    name, weights, width = f"{kind}_{at}", layer.get("weights", []), _width(layer, at, chain.width)
    if kind in DENSE:
        kernel, bias = _arrays(at, kind, weights, ((chain.width, width), (width,)))
        own = Weights({"weight": kernel.T, "bias": bias}, _sources(at, "weight", "bias"))
        chain.layer(name, kind, LayerSpec("dense", units=width), own, [TRANSPOSED], width=width, activates=True)
        _activation(chain, f"{name}_activation", at, layer.get("activation", ""))
    elif kind in KERAS:
        _recurrent(chain, name, kind, at, layer, width)
    elif kind == "batchnorm":
        _batch_norm(chain, name, kind, at, layer)
    else:
        _activation(chain, name, at, layer.get("activation"))


def _recurrent(chain: Chain, name: str, kind: str, at: int, layer: Mapping[str, Any], units: int) -> None:
    if layer.get("activation", "tanh") not in ("tanh", ""):
        raise FileError(
            f"layer {at} ({kind}) has the activation {short(layer['activation'])}; RTNeural always runs tanh"
        )
    theirs, ours = KERAS[kind]
    rows = len(theirs) * units
    wide: tuple[int, ...] = (rows,) if kind == "lstm" else (2, rows)
    kernel, recurrent, bias = _arrays(at, kind, layer.get("weights"), ((chain.width, rows), (units, rows), wide))
    halves = (bias, np.zeros_like(bias)) if kind == "lstm" else (bias[0], bias[1])
    found = {"weight_ih": kernel.T, "weight_hh": recurrent.T, "bias_ih": halves[0], "bias_hh": halves[1]}
    own = {key: _gates(value, theirs, ours) for key, value in found.items()}
    sources = _sources(at, "weight_ih", "weight_hh", "bias_ih")
    notes = [TRANSPOSED, "The gates have the activation sigmoid, as always in RTNeural."]
    if kind == "gru":
        notes += ["The gates z, r, h are now r, z, n.", "The reset gate acts after the recurrent matrix."]
        sources["bias_hh"] = sources["bias_ih"]
    chain.layer(name, kind, LayerSpec(kind, units=units), Weights(own, sources), notes, width=units)


def _gates(value: Array, theirs: str, ours: str) -> Array:
    parts = dict(zip(theirs, np.split(value, len(theirs)), strict=True))
    return np.concatenate([parts[gate] for gate in ours])


def _batch_norm(chain: Chain, name: str, kind: str, at: int, layer: Mapping[str, Any]) -> None:
    """y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, Ioffe & Szegedy 2015, in inference."""
    weights, epsilon = layer.get("weights"), layer.get("epsilon")
    if not isinstance(epsilon, (int, float)) or isinstance(epsilon, bool) or not 0 <= epsilon <= 1:
        raise FileError(f"layer {at} ({kind}) needs epsilon, a number from 0 to 1, got {short(epsilon)}")
    count = 2 if isinstance(weights, list) and len(weights) == 2 else 4
    arrays = _arrays(at, kind, weights, ((chain.width,),) * count)
    gamma, beta = arrays[:2] if count == 4 else (np.ones(chain.width), np.zeros(chain.width))
    mean, variance = arrays[-2:]
    if np.min(variance) + epsilon <= 0:
        raise FileError(f"layer {at} ({kind}): a variance is not positive")
    scale = gamma / np.sqrt(variance + epsilon)
    chain.affine(name, kind, scale, beta - mean * scale, [f"Made of layers[{at}].weights, with epsilon {epsilon}."])


def _activation(chain: Chain, name: str, at: int, activation: Any) -> None:
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        known = ", ".join(key for key in ACTIVATIONS if key)
        raise FileError(f"layer {at} has the activation {short(activation)}; gatewise imports {known} from RTNeural")
    if ACTIVATIONS[activation] != "linear":
        chain.activation(name, activation, ACTIVATIONS[activation])


def _width(layer: Mapping[str, Any], at: int, before: int) -> int:
    """The number of outputs, the last number of `shape`; the width before a layer that does not change it."""
    shape = layer.get("shape", [before] if layer["type"] in ("batchnorm", "activation") else None)
    width = shape[-1] if isinstance(shape, list) and shape else None
    if not isinstance(width, int) or isinstance(width, bool) or not 1 <= width <= 1 << 16:
        raise FileError(f"layer {at} needs a shape that ends with its number of outputs, got {short(shape)}")
    if layer["type"] in ("batchnorm", "activation") and width != before:
        raise FileError(f"layer {at} ({layer['type']}) has {width} values, and the layer before it {before}")
    return width


def _arrays(at: int, kind: str, weights: Any, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    if not isinstance(weights, list) or len(weights) != len(shapes):
        count = len(weights) if isinstance(weights, list) else "no list of"
        raise FileError(f"layer {at} ({kind}) needs {len(shapes)} arrays of weights, got {count}")
    found = []
    for number, (value, shape) in enumerate(zip(weights, shapes, strict=True)):
        array = numbers(value, f"weights {number} of layer {at} ({kind})")
        if array.shape != shape:
            raise FileError(f"weights {number} of layer {at} ({kind}) have the shape {array.shape}, expected {shape}")
        found.append(array)
    return found


def numbers(value: Any, where: str) -> Array:
    """Nested lists as float64. Raises FileError if they are ragged or hold anything but numbers."""
    try:
        array = np.array(value)
    except ValueError:
        raise FileError(f"{where}: the rows have different lengths") from None
    if array.dtype.kind not in "if" or not np.isfinite(array).all():
        raise FileError(f"{where}: not all entries are finite numbers")
    return array.astype(np.float64)


def _sources(at: int, *names: str) -> dict[str, tuple[str, ...]]:
    return {name: (f"layers[{at}].weights[{number}]",) for number, name in enumerate(names)}
