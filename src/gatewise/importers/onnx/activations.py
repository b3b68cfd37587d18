"""The activations of ONNX: those of the recurrent operators, and those that are operators of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.errors import FileError
from gatewise.importers.onnx.graph import Node
from gatewise.importers.onnx.known import Values
from gatewise.layers.activation import SELU_ALPHA, SELU_SCALE

Parameters = tuple[tuple[str, float], ...]

RECURRENT: Mapping[str, tuple[str, Parameters]] = {
    "relu": ("relu", ()),
    "tanh": ("tanh", ()),
    "sigmoid": ("sigmoid", ()),
    "affine": ("affine", (("alpha", 1.0), ("beta", 0.0))),
    "leakyrelu": ("leaky_relu", (("alpha", 0.01),)),
    "thresholdedrelu": ("thresholded_relu", (("alpha", 1.0),)),
    "scaledtanh": ("scaled_tanh", (("alpha", 1.0), ("beta", 1.0))),
    "hardsigmoid": ("hard_sigmoid", (("slope", 0.2), ("offset", 0.5))),
    "elu": ("elu", (("alpha", 1.0),)),
    "softsign": ("softsign", ()),
    "softplus": ("softplus", ()),
}
"""Name in lower case -> kind, and its parameters alpha and beta with the defaults of ONNX and ONNX Runtime."""

OPERATORS: Mapping[str, tuple[str, Mapping[str, tuple[str, float]]]] = {
    "Relu": ("relu", {}),
    "Tanh": ("tanh", {}),
    "Sigmoid": ("sigmoid", {}),
    "HardSigmoid": ("hard_sigmoid", {"alpha": ("slope", 0.2), "beta": ("offset", 0.5)}),
    "LeakyRelu": ("leaky_relu", {"alpha": ("alpha", 0.01)}),
    "ThresholdedRelu": ("thresholded_relu", {"alpha": ("alpha", 1.0)}),
    "Elu": ("elu", {"alpha": ("alpha", 1.0)}),
    "Softsign": ("softsign", {}),
    "Softplus": ("softplus", {}),
    "HardSwish": ("hard_silu", {}),
    "Mish": ("mish", {}),
    "Exp": ("exponential", {}),
}
"""Operator -> kind, and attribute -> its parameter with the default of ONNX."""

OTHERS = ("Gelu", "Selu", "Clip", "PRelu")
SELU = {"alpha": (SELU_ALPHA, 1.67326319217681884765625), "gamma": (SELU_SCALE, 1.05070102214813232421875)}


def activation(node: Node, values: Values) -> Any:
    """The activation of a node as an option of a layer; None if it is no elementwise activation.

    Raises:
        FileError: it has parameters that gatewise does not have.
    """
    if node.op in OPERATORS:
        kind, parameters = OPERATORS[node.op]
        node.only(*parameters)
        named = {own: float(node.attributes.get(name, default)) for name, (own, default) in parameters.items()}
        return {"kind": kind, **named} if named else kind
    if node.op == "Gelu":
        node.only("approximate")
        kinds = {"none": "gelu", "tanh": "gelu_tanh"}
        return kinds[node.attributes.get("approximate", "none")]
    if node.op == "Selu":
        node.only(*SELU)
        for name, (exact, default) in SELU.items():
            if abs(node.attributes.get(name, default) - exact) > 1e-6:
                raise FileError(f"{node} has another {name} than the SELU of Klambauer et al. (2017)")
        return "selu"
    if node.op == "PRelu":
        if values[1] is None or values[1].size != 1:
            raise FileError(f"{node} has a slope for each channel, and gatewise has one for all")
        return {"kind": "leaky_relu", "alpha": float(values[1].ravel()[0])}
    if node.op == "Clip":
        return _clip(node, values)
    return None


def _clip(node: Node, values: Values) -> str:
    node.only("min", "max")
    bounds = tuple(node.attributes.get(name, _number(values, at)) for at, name in ((1, "min"), (2, "max")))
    known = {(0.0, 6.0): "relu6", (-1.0, 1.0): "hard_tanh", (0.0, None): "relu"}
    if bounds not in known:
        raise FileError(f"{node} clips to {bounds}; gatewise imports 0 to 6, -1 to 1, and 0 without an upper bound")
    return known[bounds]


def _number(values: Sequence[Any], at: int) -> float | None:
    value = values[at] if at < len(values) else None
    return None if value is None else float(np.asarray(value, np.float64).ravel()[0])
