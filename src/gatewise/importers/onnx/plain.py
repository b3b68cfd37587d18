"""Operators that work on each step alone: matrix products, affine maps, normalisation, activations, dropout."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gatewise.errors import FileError
from gatewise.importers.chain import Chain, Weights
from gatewise.importers.onnx.activations import OPERATORS, OTHERS, activation
from gatewise.importers.onnx.flow import Flow, Step
from gatewise.importers.onnx.graph import Node
from gatewise.importers.onnx.known import Axis, Values, axis_of
from gatewise.layers.base import Array
from gatewise.spec import LayerSpec

SUPPORTED = (
    *("RNN", "GRU", "LSTM", "Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "Neg"),
    *("BatchNormalization", "LayerNormalization", "Softmax", "Dropout", "Cast", *OPERATORS, *OTHERS),
)
FLOATS = (1, 10, 11)
"""The types float32, float16 and float64 of a Cast."""


def plain(node: Node, x: Flow, at: int, values: Values) -> Flow:
    """The output of a node.

    Args:
        node: the node.
        x: the only input that is computed.
        at: its number.
        values: the inputs that are constant; None for x and those left out.

    Raises:
        FileError: the operator, or a part of it, is not supported.
    """
    if (kind := activation(node, values)) is not None:
        return x.then(x.axes, Step(node, lambda chain: chain.activation(node.name, node.op, kind)))
    match node.op:
        case "Gemm" | "MatMul":
            return _dense(node, x, at, values)
        case "Add" | "Sub" | "Mul" | "Div" | "Neg":
            return _affine(node, x, at, values)
        case "BatchNormalization":
            return _batch_norm(node, x, values)
        case "LayerNormalization":
            return _layer_norm(node, x, values)
        case "Softmax":
            return _softmax(node, x)
        case "Dropout" | "Cast":
            return x.then(x.axes, Step(node, _nothing(node, values)))
    raise FileError(
        f"{node} is an operator that gatewise does not import here; it imports {', '.join(SUPPORTED)}, "
        "and operators that move axes"
    )


def _nothing(node: Node, values: Values) -> Callable[[Chain], None]:
    if node.op == "Cast":
        if node.attributes.get("to") not in FLOATS:
            raise FileError(f"{node} converts to numbers that are no floating-point numbers")
        return lambda chain: chain.nothing(node.name, node.op, "The model computes in float32.")
    node.only("ratio", "seed")
    if len(values) > 2 and (values[2] is None or np.any(values[2])):
        raise FileError(f"{node} drops values in inference too (training_mode)")
    return lambda chain: chain.nothing(node.name, node.op, "Dropout does nothing in inference.")


def _features(node: Node, axis: Axis, size: int) -> None:
    if not axis.become("features", size):
        raise FileError(
            f"{node} works on the axis {axis.kind or 'of unknown meaning'} with {axis.size} entries, where the {size} "
            "features of one step were expected"
        )


def _dense(node: Node, x: Flow, at: int, values: Values) -> Flow:
    matrix = values[1] if len(values) > 1 else None
    if at != 0 or matrix is None or matrix.ndim != 2:
        raise FileError(f"{node} is no product of a computed value with a constant matrix")
    bias: Array = np.zeros(())
    sources = {"weight": (node.input(1),)}
    if node.op == "Gemm":
        node.only("alpha", "beta", "transA", "transB")
        if node.attributes.get("transA", 0) or len(x.axes) != 2:
            raise FileError(f"{node} transposes its input, or reads a value of {len(x.axes)} axes, not 2")
        matrix = node.attributes.get("alpha", 1.0) * (matrix.T if node.attributes.get("transB", 0) else matrix)
        if len(values) > 2 and values[2] is not None:
            bias, sources["bias"] = node.attributes.get("beta", 1.0) * values[2], (node.input(2),)
    inputs, units = matrix.shape
    _features(node, x.axes[-1], inputs)
    if bias.size not in (1, units) or (bias.ndim and bias.shape[-1] != bias.size):
        raise FileError(f"{node} adds an array of the shape {bias.shape}, expected ({units},)")
    own = Weights({"weight": matrix.T, "bias": np.broadcast_to(bias.ravel(), (units,))}, sources)
    layer = LayerSpec("dense", units=units)

    def add(chain: Chain) -> None:
        chain.layer(node.name, node.op, layer, own, width=units, activates=True)

    return x.then((*x.axes[:-1], Axis(units, "features")), Step(node, add))


def _affine(node: Node, x: Flow, at: int, values: Values) -> Flow:
    """scale * x + shift, where one of both is a constant number or has one number for each feature."""
    other = np.full((), -1.0) if node.op == "Neg" else values[1 - at] if len(values) == 2 else None
    if other is None or (node.op == "Div" and (at != 0 or not np.all(other))):
        raise FileError(f"{node} is no sum, difference, product or quotient of a computed value and a constant")
    if other.ndim > len(x.axes) or other.size not in (1, *other.shape):
        raise FileError(f"{node} has a constant of the shape {other.shape}; one number for each feature is needed")
    for axis, size in zip(x.axes[len(x.axes) - other.ndim :], other.shape, strict=True):
        if size != 1:
            _features(node, axis, size)
    number = other.ravel()
    scale, shift = {
        "Add": (np.ones(1), number),
        "Sub": (np.ones(1), -number) if at == 0 else (-np.ones(1), number),
        "Mul": (number, np.zeros(1)),
        "Neg": (number, np.zeros(1)),
        "Div": (1.0 / np.where(number == 0, 1.0, number), np.zeros(1)),
    }[node.op]
    made = [] if node.op == "Neg" else [f"Made of {node.input(1 - at)}."]

    def add(chain: Chain) -> None:
        full = np.ones(chain.width)
        chain.affine(node.name, node.op, scale * full, shift * full, made)

    return x.then(x.axes, Step(node, add))


def _batch_norm(node: Node, x: Flow, values: Values) -> Flow:
    """y = (x - mean) / sqrt(var + epsilon) * scale + B over axis 1, in inference."""
    node.only("epsilon", "momentum", "spatial", "training_mode")
    if node.attributes.get("training_mode", 0) or not node.attributes.get("spatial", 1):
        raise FileError(f"{node} is normalised by its batch (training_mode), or not by channels (spatial = 0)")
    scale, bias, mean, variance = _vectors(node, values, (1, 2, 3, 4))
    if len(x.axes) < 2:
        raise FileError(f"{node} reads a value of one axis")
    _features(node, x.axes[1], len(scale))
    spread = variance + node.attributes.get("epsilon", 1e-5)
    if np.min(spread) <= 0:
        raise FileError(f"{node} has a variance that is not positive")
    factor = scale / np.sqrt(spread)
    made = f"Made of {', '.join(node.inputs[1:5])}, with epsilon {node.attributes.get('epsilon', 1e-5):.6g}."

    def add(chain: Chain) -> None:
        chain.affine(node.name, node.op, factor, bias - mean * factor, [made])

    return x.then(x.axes, Step(node, add))


def _layer_norm(node: Node, x: Flow, values: Values) -> Flow:
    node.only("axis", "epsilon", "stash_type")
    at = axis_of(node, node.attributes.get("axis", -1), len(x.axes))
    scale, *rest = _vectors(node, values, (1, 2) if node.input(2) else (1,))
    if at != len(x.axes) - 1:
        raise FileError(f"{node} normalises over several axes, and gatewise over the features of a step")
    _features(node, x.axes[-1], len(scale))
    layer = LayerSpec("norm", method="layer", epsilon=float(node.attributes.get("epsilon", 1e-5)))
    sources = {"weight": (node.input(1),), **({"bias": (node.input(2),)} if rest else {})}
    own = Weights({"weight": scale, "bias": rest[0] if rest else np.zeros(len(scale))}, sources)
    return x.then(x.axes, Step(node, lambda chain: chain.layer(node.name, node.op, layer, own, width=len(scale))))


def _vectors(node: Node, values: Values, at: Sequence[int]) -> list[Array]:
    found = [values[i] if i < len(values) else None for i in at]
    vectors = [value for value in found if value is not None and value.ndim == 1 and value.size]
    if len(vectors) != len(at) or len({len(value) for value in vectors}) != 1:
        raise FileError(f"{node}: its inputs {', '.join(map(str, at))} are no constant vectors of one length")
    return vectors


def _softmax(node: Node, x: Flow) -> Flow:
    """Softmax over the features. Before version 13 it ran over all axes from `axis` on, 1 by default."""
    node.only("axis")
    axis = axis_of(node, node.attributes.get("axis", -1 if node.opset >= 13 else 1), len(x.axes))
    if axis != len(x.axes) - 1 or not x.axes[axis].become("features"):
        raise FileError(f"{node} runs over another axis than that of the features")
    return x.then(x.axes, Step(node, lambda chain: chain.activation(node.name, node.op, "softmax")))
