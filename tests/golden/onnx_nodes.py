"""One ONNX RNN, GRU or LSTM node as a gatewise model, written from the ONNX standard alone.

https://onnx.ai/onnx/operators, RNN, GRU and LSTM, operator set 22. W (directions, nH, I)
and R (directions, nH, H) hold the gates one after the other, B (directions, 2nH) = [Wb, Rb], P (directions, 3H) the
peepholes::

    RNN                      Ht = f(Xt Wi^T + Ht-1 Ri^T + Wbi + Rbi)
    GRU    z, r, h           zt, rt = f(...)
                             ht = g(Xt Wh^T + (rt * Ht-1) Rh^T + Rbh + Wbh)     linear_before_reset 0
                             ht = g(Xt Wh^T + (rt * (Ht-1 Rh^T + Rbh)) + Wbh)   linear_before_reset other than 0
                             Ht = (1 - zt) * ht + zt * Ht-1
    LSTM   i, o, f, c        it, ft, ot = f(... + P * C), ct = g(...), Ct = ft * Ct-1 + it * ct, Ht = ot * h(Ct)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from gatewise.graph import Graph, resolve
from gatewise.layers.base import Array
from gatewise.spec import LayerSpec, ModelSpec, bidirectional

GATES = {"RNN": "i", "GRU": "zrh", "LSTM": "iofc"}
OURS = {"RNN": "i", "GRU": "rzh", "LSTM": "ifco"}
DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
OPTIONS = {
    "RNN": ["activation"],
    "GRU": ["gate_activation", "activation"],
    "LSTM": ["gate_activation", "activation", "output_activation"],
}
PARAMETERS: Mapping[str, tuple[str, tuple[tuple[str, float], ...]]] = {
    "Relu": ("relu", ()),
    "Tanh": ("tanh", ()),
    "Sigmoid": ("sigmoid", ()),
    "HardSigmoid": ("hard_sigmoid", (("slope", 0.2), ("offset", 0.5))),
    "Affine": ("affine", (("alpha", 1.0), ("beta", 0.0))),
    "LeakyRelu": ("leaky_relu", (("alpha", 0.01),)),
    "ThresholdedRelu": ("thresholded_relu", (("alpha", 1.0),)),
    "ScaledTanh": ("scaled_tanh", (("alpha", 1.0), ("beta", 1.0))),
    "Elu": ("elu", (("alpha", 1.0),)),
    "Softsign": ("softsign", ()),
    "Softplus": ("softplus", ()),
}
"""ONNX name -> ours, and our names of alpha and beta with the defaults of ONNX Runtime."""


@dataclass(frozen=True)
class Converted:
    """A node as a model, and where its inputs and outputs have their axes."""

    graph: Graph
    tensors: dict[str, Array]
    layers: tuple[str, ...]
    batch_first: bool

    def readings(self, x: Array) -> Array:
        """X of the node as (batch, time, inputs)."""
        return np.ascontiguousarray(x if self.batch_first else x.transpose(1, 0, 2))

    def answers(self, y: Array) -> Array:
        """(batch, time, directions * H) as Y of the node."""
        split = y.reshape(*y.shape[:2], len(self.layers), -1)
        return split if self.batch_first else split.transpose(1, 2, 0, 3)

    def last(self, state: Mapping[str, Array], field: str) -> Array:
        """A field of the state, "hidden" or "cell", as Y_h or Y_c of the node."""
        values = np.stack([np.asarray(state[f"{name}.{field}"]) for name in self.layers])
        return values.transpose(1, 0, 2) if self.batch_first else values

    def initial(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """initial_h and initial_c of the node as fields of the state."""
        found = {}
        for key, field in (("initial_h", "hidden"), ("initial_c", "cell")):
            if key in given:
                value = given[key].transpose(1, 0, 2) if self.batch_first else given[key]
                found.update({f"{name}.{field}": value[i] for i, name in enumerate(self.layers)})
        return found


def convert(node: onnx.NodeProto, weights: Mapping[str, Array]) -> Converted:
    """A node with its weights W, R and, if it has them, B and P."""
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    kind, direction = node.op_type, given.pop("direction", b"forward").decode()
    units, batch_first = given.pop("hidden_size"), bool(given.pop("layout", 0))
    count = 2 if direction == "bidirectional" else 1
    options: dict[str, Any] = {"units": units}
    if "clip" in given:
        options["clip"] = given.pop("clip")
    if kind == "GRU":
        options["reset"] = "after" if given.pop("linear_before_reset", 0) else "before"
    if kind == "LSTM":
        options |= {"input_forget": bool(given.pop("input_forget", 0)), "peepholes": "P" in weights}
    each = activations(kind, given, count)
    assert not given, given
    name = kind.lower()
    if direction == "forward":
        layers, found = [LayerSpec(name, **options, **each[0])], (f"{name}0",)
    elif direction == "reverse":
        plain = LayerSpec(name, name=f"{name}0", **options, **each[0])
        layers, found = [LayerSpec("reverse"), plain, LayerSpec("reverse")], (f"{name}0",)
    else:
        layers = bidirectional(LayerSpec(name, **options), "both", "input")
        found = ("both_forward", "both_backward")
        at = {layer.name: i for i, layer in enumerate(layers)}
        for layer, own in zip(found, each, strict=True):
            layers[at[layer]] = layers[at[layer]].replace(**own)
    spec = ModelSpec(weights["W"].shape[2], layers)
    tensors = {}
    for i, layer in enumerate(found):
        bias = weights["B"][i] if "B" in weights else np.zeros(2 * len(GATES[kind]) * units, np.float32)
        halves = np.split(bias, 2)
        own = {"weight_ih": weights["W"][i], "weight_hh": weights["R"][i], "bias_ih": halves[0], "bias_hh": halves[1]}
        tensors |= {f"{layer}.{key}": in_our_order(kind, value) for key, value in own.items()}
        if "P" in weights:
            p = dict(zip("iof", np.split(weights["P"][i], 3), strict=True))
            tensors[f"{layer}.weight_peephole"] = np.concatenate([p[gate] for gate in "ifo"])
    return Converted(resolve(spec), tensors, found, batch_first)


def in_our_order(kind: str, gates: Array) -> Array:
    """Gates of a node, one after the other along the first axis, in the order of our layer."""
    parts = dict(zip(GATES[kind], np.split(gates, len(GATES[kind])), strict=True))
    return np.concatenate([parts[gate] for gate in OURS[kind]])


def activations(kind: str, given: dict[str, Any], directions: int) -> list[dict[str, Any]]:
    """The activations as options of the layer, for each direction; alpha and beta are listed in order."""
    alpha, beta = list(given.pop("activation_alpha", [])), list(given.pop("activation_beta", []))
    names = [name.decode() for name in given.pop("activations", [n.encode() for n in DEFAULTS[kind] * directions])]
    found: list[Any] = []
    for name in names:
        ours, parameters = PARAMETERS[name]
        values = {}
        for (key, default), listed in zip(parameters, (alpha, beta), strict=False):
            values[key] = listed.pop(0) if listed else default
        found.append({"kind": ours, **values} if values else ours)
    assert not alpha
    assert not beta
    size = len(OPTIONS[kind])
    return [dict(zip(OPTIONS[kind], found[i * size : (i + 1) * size], strict=True)) for i in range(directions)]
