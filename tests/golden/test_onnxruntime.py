"""ONNX Runtime as a truth of its own: random single GRU nodes, each option of the layer that ONNX can say."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import gatewise as gw
from gatewise import _core
from gatewise.graph import reference_run
from gatewise.layers.base import Array
from golden.onnx_gru import Converted, convert

BATCH, TIME = 3, 24

NODES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "after": {"linear_before_reset": 1},
    "keras 1": {"activations": ["HardSigmoid", "Tanh"], "activation_alpha": [0.2], "activation_beta": [0.5]},
    "torch hard": {
        "activations": ["HardSigmoid", "Tanh"],
        "activation_alpha": [1 / 6],
        "activation_beta": [0.5],
        "linear_before_reset": 1,
    },
    "hard twice": {
        "activations": ["HardSigmoid", "HardSigmoid"],
        "activation_alpha": [0.3, 0.1],
        "activation_beta": [0.4, 0.6],
        "linear_before_reset": 1,
    },
    "relu": {"activations": ["Sigmoid", "Relu"]},
    "relu after": {"activations": ["Sigmoid", "Relu"], "linear_before_reset": 1},
    "linear": {
        "activations": ["Sigmoid", "Affine"],
        "activation_alpha": [1.0],
        "activation_beta": [0.0],
        "linear_before_reset": 1,
    },
    "sigmoid twice": {"activations": ["Sigmoid", "Sigmoid"]},
}
SIZES = [(1, 1), (3, 5), (17, 2), (64, 16)]


def draw(units: int, width: int, seed: int) -> dict[str, Array]:
    rng = np.random.default_rng([seed, units, width])
    scale = 1 / np.sqrt(units)

    def uniform(*shape: int) -> Array:
        return rng.uniform(-scale, scale, shape).astype(np.float32)

    return {
        "X": rng.normal(size=(TIME, BATCH, width)).astype(np.float32),
        "W": uniform(1, 3 * units, width),
        "R": uniform(1, 3 * units, units),
        "B": uniform(1, 6 * units),
        "initial_h": rng.normal(0, 0.5, (1, BATCH, units)).astype(np.float32),
    }


def session(units: int, given: dict[str, Array], **attributes: Any) -> tuple[onnxruntime.InferenceSession, Converted]:
    """The node in ONNX Runtime, and as a model."""
    names = ["X", "W", "R", "B", "sequence_lens", "initial_h"]
    node = helper.make_node("GRU", names, ["Y", "Y_h"], hidden_size=units, **attributes)
    graph = helper.make_graph(
        [node],
        "gru",
        [
            helper.make_tensor_value_info("X", TensorProto.FLOAT, given["X"].shape),
            helper.make_tensor_value_info("sequence_lens", TensorProto.INT32, [BATCH]),
            helper.make_tensor_value_info("initial_h", TensorProto.FLOAT, given["initial_h"].shape),
        ],
        [
            helper.make_tensor_value_info("Y", TensorProto.FLOAT, [TIME, 1, BATCH, units]),
            helper.make_tensor_value_info("Y_h", TensorProto.FLOAT, [1, BATCH, units]),
        ],
        [numpy_helper.from_array(given[name], name) for name in ("W", "R", "B")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    made = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return made, convert(node, given["W"], given["R"], given["B"])


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", NODES)
def test_a_node_is_a_model(name: str, size: tuple[int, int]) -> None:
    units, width = size
    given = draw(units, width, seed=sorted(NODES).index(name))
    truth, converted = session(units, given, **NODES[name])
    lengths = np.array([TIME, TIME // 3, 1], np.int32)
    feed = {"X": given["X"], "sequence_lens": lengths, "initial_h": given["initial_h"]}
    wanted, wanted_last = truth.run(["Y", "Y_h"], feed)

    x = converted.readings(given["X"])
    start = {"gru0.hidden": converted.initial(given["initial_h"])}
    exact, _ = reference_run(converted.graph, converted.tensors, x, start)
    for cpu in _core.instruction_sets():
        model = gw.Model(converted.graph.spec, converted.tensors, cpu=cpu)
        for row, length in enumerate(lengths):
            begin = gw.State(model.graph.structure, {k: v[row : row + 1] for k, v in start.items()})
            y, end = model.run(x[row, :length], state=begin, return_state=True)
            theirs = wanted[:length, 0, row]
            np.testing.assert_allclose(y, theirs, rtol=0, atol=1e-5)
            np.testing.assert_allclose(end.fields["gru0.hidden"][0], wanted_last[0, row], rtol=0, atol=1e-5)
            ours, peers = (np.abs(value - exact[row, :length]).max() for value in (y, theirs))
            assert ours <= 4 * peers + 1e-6, "no further from float64 than the peer"
            assert not wanted[length:, 0, row].any()


def test_streaming_step_by_step_is_the_node_fed_its_own_state() -> None:
    units, width = 33, 5
    given = draw(units, width, seed=99)
    truth, converted = session(units, given, linear_before_reset=1)
    model = gw.Model(converted.graph.spec, converted.tensors)
    streams = [model.stream() for _ in range(BATCH)]
    h = np.zeros((1, BATCH, units), np.float32)
    for t in range(TIME):
        feed = {"X": np.zeros_like(given["X"]), "sequence_lens": np.ones(BATCH, np.int32), "initial_h": h}
        feed["X"][0] = given["X"][t]
        _, h = truth.run(["Y", "Y_h"], feed)
        for row, stream in enumerate(streams):
            np.testing.assert_allclose(stream.push(given["X"][t, row]), h[0, row], rtol=0, atol=1e-5)
