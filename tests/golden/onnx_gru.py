"""One ONNX GRU node as a gatewise model, written from the ONNX standard alone.

https://onnx.ai/onnx/operators/onnx__GRU.html, operator set 22::

    zt = f(Xt Wz^T + Ht-1 Rz^T + Wbz + Rbz)
    rt = f(Xt Wr^T + Ht-1 Rr^T + Wbr + Rbr)
    ht = g(Xt Wh^T + (rt * Ht-1) Rh^T + Rbh + Wbh)     linear_before_reset 0
    ht = g(Xt Wh^T + (rt * (Ht-1 Rh^T + Rbh)) + Wbh)   linear_before_reset other than 0
    Ht = (1 - zt) * ht + zt * Ht-1

W (directions, 3H, I) and R (directions, 3H, H) hold the gates in the order z, r, h; B (directions, 6H) = [Wb, Rb].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from gatewise.graph import Graph, resolve
from gatewise.layers.base import Array
from gatewise.spec import LayerSpec, ModelSpec

KNOWN = {
    "hidden_size",
    "linear_before_reset",
    "layout",
    "direction",
    "activations",
    "activation_alpha",
    "activation_beta",
}


@dataclass(frozen=True)
class Converted:
    """A node as a model, and where its inputs and outputs have their axes."""

    graph: Graph
    tensors: dict[str, Array]
    batch_first: bool

    def readings(self, x: Array) -> Array:
        """X of the node as (batch, time, inputs)."""
        return np.ascontiguousarray(x if self.batch_first else x.transpose(1, 0, 2))

    def answers(self, y: Array) -> Array:
        """(batch, time, H) as Y of the node, with its axis of directions."""
        return y[:, :, None] if self.batch_first else y.transpose(1, 0, 2)[:, None]

    def last(self, h: Array) -> Array:
        """(batch, H) as Y_h of the node."""
        return h[:, None] if self.batch_first else h[None]

    def initial(self, h: Array) -> Array:
        """initial_h of the node as (batch, H)."""
        return h[:, 0] if self.batch_first else h[0]


def convert(node: onnx.NodeProto, w: Array, r: Array, b: Array | None) -> Converted:
    """A GRU node with its weights."""
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    assert node.op_type == "GRU"
    assert set(given) <= KNOWN, set(given) - KNOWN
    assert given.get("direction", b"forward") == b"forward"
    assert len(w) == len(r) == 1, "one direction"
    units = given["hidden_size"]
    gate, act = activations(given)
    layer = LayerSpec(
        "gru",
        units=units,
        reset="after" if given.get("linear_before_reset", 0) else "before",
        gate_activation=gate,
        activation=act,
    )
    bias = np.zeros((1, 6 * units), np.float32) if b is None else b
    tensors = {
        "gru0.weight_ih": swap(w[0]),
        "gru0.weight_hh": swap(r[0]),
        "gru0.bias_ih": swap(bias[0, : 3 * units]),
        "gru0.bias_hh": swap(bias[0, 3 * units :]),
    }
    return Converted(resolve(ModelSpec(w.shape[2], [layer])), tensors, bool(given.get("layout", 0)))


def swap(gates: Array) -> Array:
    """z, r, h as r, z, h."""
    z, r, h = np.split(gates, 3)
    return np.concatenate([r, z, h])


def activations(given: dict[str, Any]) -> tuple[Any, Any]:
    """f and g as options of the layer. alpha and beta are listed for those functions that take them, in order."""
    alpha, beta = list(given.get("activation_alpha", [])), list(given.get("activation_beta", []))
    names = [name.decode().lower() for name in given.get("activations", [b"Sigmoid", b"Tanh"])]
    found: list[Any] = []
    for name in names:
        if name == "hardsigmoid":
            slope, offset = alpha.pop(0) if alpha else 0.2, beta.pop(0) if beta else 0.5
            found.append({"kind": "hard_sigmoid", "slope": slope, "offset": offset})
        elif name == "affine":
            assert (alpha.pop(0), beta.pop(0)) == (1.0, 0.0)
            found.append("linear")
        else:
            found.append({"sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu"}[name])
    assert not alpha
    assert not beta
    gate, act = found
    return gate, act
