"""An ONNX file as plain data: its nodes with their attributes, its constants, its inputs and outputs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import FileError, MissingExtraError
from gatewise.importers.onnx.wire import check
from gatewise.layers.base import Array
from gatewise.spec import short

OPSETS = range(7, 23)
"""The versions of the operators that are read."""

MOST_BYTES = 1 << 28
TYPES = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16", 6: "int32", 7: "int64", 9: "bool"}
"""The types of tensors that are read, by their number in TensorProto."""


@dataclass(frozen=True)
class Node:
    """A node of the graph.

    Attributes:
        name: its name, or that of its first output.
        op: operator.
        inputs, outputs: names; "" = left out.
        attributes: name -> number, text, array or list of them.
        opset: version of the operators.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    opset: int

    def __str__(self) -> str:
        return f"node {self.name[:80]!r} ({self.op})"

    def only(self, *known: str) -> None:
        """Raises FileError if there is another attribute than these."""
        for name in self.attributes:
            if name not in known:
                raise FileError(f"{self} has the attribute {short(name)}, which gatewise does not know")

    def input(self, at: int) -> str:
        """Name of an input; "" if it is left out."""
        return self.inputs[at] if at < len(self.inputs) else ""


@dataclass(frozen=True)
class OnnxGraph:
    """A graph.

    Attributes:
        nodes: in the order in which they run.
        constants: name -> array: the initialisers.
        types: name -> type of a constant in the file, if it is no float32 and no whole number.
        inputs: name -> size of each axis, None where it is not fixed.
        outputs: names.
        written_by: the library that wrote the file, with its version.
    """

    nodes: Sequence[Node]
    constants: Mapping[str, Array]
    types: Mapping[str, str]
    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: Sequence[str]
    written_by: str | None = None


def read_graph(path: str) -> OnnxGraph:
    """Read a file. Weights outside of the file are not read.

    Raises:
        FileError: the file is too large, damaged or hostile, or has something that is not read: external data, sparse
            tensors, functions, another version of the operators.
        MissingExtraError: the package onnx is not installed.
        OSError: there is no such file.
    """
    if os.path.getsize(path) > MOST_BYTES:
        raise FileError(f"the file has more than {MOST_BYTES:,} bytes")
    data = Path(path).read_bytes()
    check(data)
    try:
        import onnx
    except ImportError:
        raise MissingExtraError(
            "ONNX files are read by the package onnx, which is not installed: pip install 'gatewise[import]'"
        ) from None
    try:
        return _plain(onnx.load_model_from_string(data))
    except (FileError, MissingExtraError):
        raise
    except Exception as error:  # protobuf and NumPy raise many errors for a damaged file
        raise FileError(f"the file is damaged: {type(error).__name__} {str(error)[:200]}") from None


def _plain(model: Any) -> OnnxGraph:
    versions = {each.domain: each.version for each in model.opset_import}
    opset = versions.get("", versions.get("ai.onnx", 0))
    if opset not in OPSETS:
        raise FileError(
            f"it uses operators of version {opset}, and {OPSETS[0]} to {OPSETS[-1]} are read; convert it: "
            f"onnx.version_converter.convert_version(model, {OPSETS[-1]})"
        )
    graph = model.graph
    if graph.sparse_initializer:
        raise FileError("it has sparse tensors, which gatewise does not read")
    constants, types = {}, {}
    for tensor in graph.initializer:
        constants[tensor.name], kind = array(tensor)
        if kind not in ("float32", "int32", "int64", "bool"):
            types[tensor.name] = kind
    inputs = {each.name: _shape(each) for each in graph.input if each.name not in constants}
    written = " ".join(part for part in (model.producer_name, model.producer_version) if part)[:100]
    nodes = [_node(node, opset) for node in graph.node]
    return OnnxGraph(nodes, constants, types, inputs, [each.name for each in graph.output], written or None)


def _shape(value: Any) -> tuple[int | None, ...]:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        raise FileError(f"input {value.name[:80]!r} has no shape; run onnx.shape_inference or export with shapes")
    return tuple(each.dim_value if each.dim_value > 0 else None for each in kind.shape.dim)


def _node(node: Any, opset: int) -> Node:
    name = node.name or next(iter(node.output), "")
    if node.domain not in ("", "ai.onnx"):
        raise FileError(
            f"node {name[:80]!r} is the operator {node.op_type[:80]} of {node.domain[:80]}, no standard operator"
        )
    attributes = {each.name: _attribute(name, each) for each in node.attribute}
    return Node(name, node.op_type, tuple(node.input), tuple(node.output), attributes, opset)


def _attribute(node: str, attribute: Any) -> Any:
    import onnx

    kind = onnx.AttributeProto
    if attribute.ref_attr_name:
        raise FileError(f"node {node[:80]!r} refers to an attribute of a function")
    if attribute.type == kind.TENSOR:
        return array(attribute.t)[0]
    if attribute.type not in (kind.FLOAT, kind.INT, kind.STRING, kind.FLOATS, kind.INTS, kind.STRINGS):
        raise FileError(
            f"node {node[:80]!r} has the attribute {attribute.name[:80]!r} with a graph or another unusual value"
        )
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.type == kind.STRING:
        return value.decode()
    if attribute.type == kind.STRINGS:
        return [each.decode() for each in value]
    return value if attribute.type in (kind.FLOAT, kind.INT) else list(value)


def array(tensor: Any) -> tuple[Array, str]:
    """A tensor and its type; floating-point numbers as float64, whole numbers as int64. Raises FileError."""
    from onnx import TensorProto, numpy_helper

    name = tensor.name[:80]
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        place = next((each.value for each in tensor.external_data if each.key == "location"), "?")
        raise FileError(
            f"tensor {name!r} is in another file, {place[:200]!r}, which is not read; write one file: "
            "onnx.save(onnx.load(FILE), 'whole.onnx')"
        )
    if tensor.data_type not in TYPES:
        raise FileError(f"tensor {name!r} has a type that is not read; weights are {', '.join(TYPES.values())}")
    if any(size < 0 for size in tensor.dims):
        raise FileError(f"tensor {name!r} has the shape {list(tensor.dims)!s:.100}")
    kind = TYPES[tensor.data_type]
    found = numpy_helper.to_array(tensor)
    if kind in ("int32", "int64", "bool"):
        return found.astype(np.int64), kind
    found = found.astype(np.float64)
    if not np.isfinite(found).all():
        raise FileError(f"tensor {name!r} has numbers that are not finite (NaN or infinite)")
    return found, kind
