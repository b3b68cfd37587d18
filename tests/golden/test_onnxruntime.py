"""ONNX Runtime as a truth of its own: random single RNN, GRU and LSTM nodes, with each attribute of the operators."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import gatewise as gw
from gatewise import _core
from gatewise.graph import reference_run
from gatewise.layers.base import Array
from gatewise.nn import Recurrent
from golden.onnx_nodes import GATES, Converted, convert

BATCH, TIME = 3, 24
LENGTHS = np.array([TIME, TIME // 3, 1], np.int32)

HARD = {"activation_alpha": [0.3, 0.1], "activation_beta": [0.4, 0.6]}
NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn": ("RNN", {}),
    "rnn relu clip": ("RNN", {"activations": ["Relu"], "clip": 0.4}),
    "rnn hard": ("RNN", {"activations": ["HardSigmoid"], "activation_alpha": [0.3], "activation_beta": [0.4]}),
    "rnn both": ("RNN", {"direction": "bidirectional", "activations": ["Tanh", "Relu"]}),
    "rnn backwards": ("RNN", {"direction": "reverse"}),
    "gru": ("GRU", {}),
    "gru after": ("GRU", {"linear_before_reset": 1}),
    "gru keras 1": (
        "GRU",
        {"activations": ["HardSigmoid", "Tanh"], "activation_alpha": [0.2], "activation_beta": [0.5]},
    ),
    "gru hard twice": ("GRU", {"activations": ["HardSigmoid", "HardSigmoid"], "linear_before_reset": 1, **HARD}),
    "gru relu": ("GRU", {"activations": ["Sigmoid", "Relu"]}),
    "gru linear": (
        "GRU",
        {
            "activations": ["Sigmoid", "Affine"],
            "activation_alpha": [1.0],
            "activation_beta": [0.0],
            "linear_before_reset": 1,
        },
    ),
    "gru clip": ("GRU", {"clip": 0.3}),
    "gru clip after": ("GRU", {"clip": 0.3, "linear_before_reset": 1}),
    "gru both": ("GRU", {"direction": "bidirectional", "linear_before_reset": 1}),
    "gru backwards": ("GRU", {"direction": "reverse"}),
    "lstm": ("LSTM", {}),
    "lstm peepholes": ("LSTM", {"peepholes": True}),
    "lstm coupled": ("LSTM", {"input_forget": 1, "peepholes": True, "clip": 0.5}),
    "lstm hard": ("LSTM", {"activations": ["HardSigmoid", "HardSigmoid", "Relu"], **HARD}),
    "lstm both": ("LSTM", {"direction": "bidirectional", "peepholes": True}),
    "lstm backwards": ("LSTM", {"direction": "reverse", "clip": 0.5}),
}
"""Name -> operator and attributes; "peepholes" is the input P."""

LEGACY = {
    "ScaledTanh": ([1.7], [0.6]),
    "Affine": ([0.4], [0.1]),
    "LeakyRelu": ([0.2], []),
    "ThresholdedRelu": ([0.3], []),
    "Elu": ([0.7], []),
    "Softsign": ([], []),
    "Softplus": ([], []),
}
"""Activations of the RNN operator that only old models have -> alpha and beta."""
NODES |= {
    f"rnn {name}": ("RNN", {"activations": [name], "activation_alpha": alpha, "activation_beta": beta})
    for name, (alpha, beta) in LEGACY.items()
}

SIZES = [(1, 1), (3, 5), (17, 2), (64, 16)]


def draw(kind: str, attributes: dict[str, Any], units: int, width: int, seed: int) -> dict[str, Array]:
    rng = np.random.default_rng([seed, units, width])
    scale, gates = 1 / np.sqrt(units), len(GATES[kind]) * units
    directions = 2 if attributes.get("direction") == "bidirectional" else 1

    def uniform(*shape: int) -> Array:
        return rng.uniform(-scale, scale, (directions, *shape)).astype(np.float32)

    given = {
        "X": rng.normal(size=(TIME, BATCH, width)).astype(np.float32),
        "W": uniform(gates, width),
        "R": uniform(gates, units),
        "B": uniform(2 * gates),
        "initial_h": rng.normal(0, 0.5, (directions, BATCH, units)).astype(np.float32),
    }
    if kind == "LSTM":
        given["initial_c"] = rng.normal(0, 0.5, (directions, BATCH, units)).astype(np.float32)
    if attributes.get("peepholes"):
        given["P"] = uniform(3 * units)
    return given


def session(
    kind: str, attributes: dict[str, Any], units: int, given: dict[str, Array]
) -> tuple[onnxruntime.InferenceSession, Converted]:
    """The node in ONNX Runtime, and as a model."""
    attributes = {key: value for key, value in attributes.items() if key != "peepholes" and value != []}
    states = [name for name in ("initial_h", "initial_c") if name in given]
    names = ["X", "W", "R", "B", "sequence_lens", *states, *(["P"] if "P" in given else [])]
    outputs = ["Y", "Y_h", "Y_c"][: 1 + len(states)]
    node = helper.make_node(kind, names, outputs, hidden_size=units, **attributes)
    directions = len(given["W"])
    shapes = {"Y": [TIME, directions, BATCH, units], "Y_h": given["initial_h"].shape, "Y_c": given["initial_h"].shape}
    graph = helper.make_graph(
        [node],
        "node",
        [
            helper.make_tensor_value_info("X", TensorProto.FLOAT, given["X"].shape),
            helper.make_tensor_value_info("sequence_lens", TensorProto.INT32, [BATCH]),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, given[name].shape) for name in states),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs],
        [numpy_helper.from_array(given[name], name) for name in ("W", "R", "B", "P") if name in given],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    made = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return made, convert(node, {name: given[name] for name in ("W", "R", "B", "P") if name in given})


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", NODES)
def test_a_node_is_a_model(name: str, size: tuple[int, int]) -> None:
    (kind, attributes), (units, width) = NODES[name], size
    given = draw(kind, attributes, units, width, seed=sorted(NODES).index(name))
    truth, converted = session(kind, attributes, units, given)
    states = {key: given[key] for key in ("initial_h", "initial_c") if key in given}
    wanted, *ends = truth.run(None, {"X": given["X"], "sequence_lens": LENGTHS, **states})
    x, start = converted.readings(given["X"]), converted.initial(states)

    with torch.no_grad():
        first = {name: torch.tensor(value) for name, value in start.items()}
        module = Recurrent(converted.graph, converted.tensors)
        y, after = module(torch.tensor(x), first, torch.tensor(LENGTHS))
    np.testing.assert_allclose(converted.answers(y.numpy()), wanted, rtol=0, atol=1e-5)
    for field, end in zip(("hidden", "cell"), ends, strict=False):
        last = converted.last({name: value.numpy() for name, value in after.items()}, field)
        np.testing.assert_allclose(last, end, rtol=0, atol=1e-5)

    for cpu in _core.instruction_sets():
        model = gw.Model(converted.graph.spec, converted.tensors, cpu=cpu)
        for row, length in enumerate(LENGTHS):
            own = {name: value[row : row + 1] for name, value in start.items()}
            exact, _ = reference_run(converted.graph, converted.tensors, x[row : row + 1, :length], own)
            if not model.graph.streams:
                break
            state = gw.State(model.graph.structure, own)
            y, end = model.run(x[row, :length], state=state, return_state=True)
            theirs = wanted[:length, 0, row]
            np.testing.assert_allclose(y, theirs, rtol=0, atol=1e-5)
            for field, last in zip(("hidden", "cell"), ends, strict=False):
                np.testing.assert_allclose(converted.last(end.fields, field)[0, 0], last[0, row], rtol=0, atol=1e-5)
            ours, peers = (np.abs(value - exact[0]).max() for value in (y, theirs))
            assert ours <= 4 * peers + 1e-6, "no further from float64 than the peer"
            assert not wanted[length:, 0, row].any()


@pytest.mark.parametrize("name", [name for name, (_, attributes) in NODES.items() if "direction" in attributes])
def test_what_reads_backwards_runs_over_sequences(name: str) -> None:
    (kind, attributes), (units, width) = NODES[name], (17, 5)
    given = draw(kind, attributes, units, width, seed=7)
    given |= {key: np.zeros_like(value) for key, value in given.items() if key.startswith("initial")}
    truth, converted = session(kind, attributes, units, given)
    states = {key: given[key] for key in ("initial_h", "initial_c") if key in given}
    wanted = truth.run(["Y"], {"X": given["X"], "sequence_lens": np.full(BATCH, TIME, np.int32), **states})[0]
    for cpu in _core.instruction_sets():
        y = gw.Model(converted.graph.spec, converted.tensors, cpu=cpu).run(converted.readings(given["X"]))
        np.testing.assert_allclose(converted.answers(y), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_streaming_step_by_step_is_the_node_fed_its_own_state(kind: str) -> None:
    units, width = 33, 5
    given = draw(kind, {}, units, width, seed=99)
    truth, converted = session(kind, {}, units, given)
    model = gw.Model(converted.graph.spec, converted.tensors)
    streams = [model.stream() for _ in range(BATCH)]
    states = {key: np.zeros_like(given[key]) for key in ("initial_h", "initial_c") if key in given}
    for t in range(TIME):
        feed = {"X": np.zeros_like(given["X"]), "sequence_lens": np.ones(BATCH, np.int32), **states}
        feed["X"][0] = given["X"][t]
        _, *ends = truth.run(None, feed)
        states = dict(zip(states, ends, strict=True))
        for row, stream in enumerate(streams):
            np.testing.assert_allclose(stream.push(given["X"][t, row]), ends[0][0, row], rtol=0, atol=1e-5)
