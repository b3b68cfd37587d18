"""ONNX files for the tests: graphs of nodes and constants, and their answers in ONNX Runtime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from gatewise.layers.base import Array

BATCH, TIME, INPUTS, UNITS = 2, 5, 4, 6
RNG = np.random.default_rng(11)
LSTM = {
    "W": RNG.normal(0, 0.4, (1, 4 * UNITS, INPUTS)).astype(np.float32),
    "R": RNG.normal(0, 0.4, (1, 4 * UNITS, UNITS)).astype(np.float32),
    "B": RNG.normal(0, 0.4, (1, 8 * UNITS)).astype(np.float32),
}
X = RNG.normal(size=(BATCH, TIME, INPUTS)).astype(np.float32)
Shape = Sequence[int | str]


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """A node; names are separated by blanks, and "-" is an input that is left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op, names, outputs.split(), name=outputs.split()[0] + "_node", **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Array] = {},
    inputs: Mapping[str, Shape] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
) -> onnx.ModelProto:
    """A model; the shapes of outputs are left to ONNX."""
    shapes = {"x": (BATCH, TIME, INPUTS)} if inputs is None else inputs
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, producer_name="tests")


def written(folder: Path, made: onnx.ModelProto) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def answers(path: Path, **given: Array) -> list[Array]:
    """The outputs of ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(None, given)]


def axes(opset: int, *values: int) -> tuple[str, dict[str, Any], dict[str, Array]]:
    """The axes of a Squeeze: the name of an input, attributes, and constants, as the version wants it."""
    if opset < 13:
        return "", {"axes": list(values)}, {}
    return "axes", {}, {"axes": np.array(values, np.int64)}


def before(opset: int = 17) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """An LSTM that reads x (batch, time, inputs) and writes "each" (batch, time, units) and "last" (batch, units)."""
    extra, attributes, constants = axes(opset, 1)
    nodes = [
        node("Transpose", "x", "by_time", perm=[1, 0, 2]),
        node("LSTM", "by_time W R B", "Y", hidden_size=UNITS),
        node("Squeeze", f"Y {extra}", "squeezed", **attributes),
        node("Transpose", "squeezed", "each", perm=[1, 0, 2]),
        node("Gather", "squeezed end", "last", axis=0),
    ]
    return nodes, {**LSTM, **constants, "end": np.array(-1, np.int64)}
