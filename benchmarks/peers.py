"""A recurrent layer of gatewise in torch and in ONNX Runtime, with the same weights.

A batch of sessions takes one step after the other, and each session carries its state.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper

import gatewise as gw

Work = Callable[[int], None]
"""Runs the given number of steps."""

ONNX_ORDER = {"gru": (1, 0, 2), "lstm": (0, 3, 1, 2)}
"""The index of the gate of gatewise at each place in ONNX: GRU z, r, h; LSTM i, o, f, c."""


def one_layer(kind: str, units: int, inputs: int) -> gw.Model:
    """A model of a single recurrent layer."""
    return gw.init(gw.ModelSpec(inputs=inputs, layers=[gw.LayerSpec(kind, units=units)]))


def torch_net(kind: str, model: gw.Model, cell: bool = False) -> torch.nn.Module:
    """`nn.GRU` or `nn.LSTM`, or its cell."""
    upper = kind.upper()
    net: torch.nn.Module = getattr(torch.nn, f"{upper}Cell" if cell else upper)(model.inputs, model.outputs)
    with torch.no_grad():
        for name, value in net.named_parameters():
            value.copy_(torch.from_numpy(model.tensors[f"{kind}0.{name.removesuffix('_l0')}"].copy()))
    return net


def torch_steps(kind: str, model: gw.Model, x: np.ndarray, cell: bool, threads: int) -> Work:
    """torch, eager, in inference mode; x (batch, inputs). The layer runs a sequence of one step, the cell a step."""
    net = torch_net(kind, model, cell)
    reading = torch.from_numpy(x) if cell else torch.from_numpy(x)[None]
    shape = (len(x), model.outputs) if cell else (1, len(x), model.outputs)

    def work(count: int) -> None:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            zeros = torch.zeros(shape)
            state = (zeros, zeros) if kind == "lstm" else zeros
            for _ in range(count):
                state = net(reading, state) if cell else net(reading, state)[1]

    return work


def onnx_steps(kind: str, model: gw.Model, x: np.ndarray) -> Work:
    """ONNX Runtime on the single node, one thread, everything bound to memory; x (batch, inputs).

    Two bindings take turns, so that each step reads the state that the last one wrote.
    """
    batch, inputs, units = *x.shape, model.outputs

    def gates(name: str) -> np.ndarray:
        parts = np.split(model.tensors[f"{kind}0.{name}"], len(ONNX_ORDER[kind]))
        return np.concatenate([parts[i] for i in ONNX_ORDER[kind]])

    weights = {
        "W": gates("weight_ih")[None],
        "R": gates("weight_hh")[None],
        "B": np.concatenate([gates("bias_ih"), gates("bias_hh")])[None],
    }
    fields = ("H", "C") if kind == "lstm" else ("H",)
    more = {"linear_before_reset": 1} if kind == "gru" else {}
    node = helper.make_node(
        kind.upper(),
        ["X", "W", "R", "B", "", *(f"{field}0" for field in fields)],
        ["", *(f"{field}1" for field in fields)],
        hidden_size=units,
        **more,
    )
    shape = [1, batch, units]
    graph = helper.make_graph(
        [node],
        kind,
        [
            helper.make_tensor_value_info("X", TensorProto.FLOAT, [1, batch, inputs]),
            *(helper.make_tensor_value_info(f"{field}0", TensorProto.FLOAT, shape) for field in fields),
        ],
        [helper.make_tensor_value_info(f"{field}1", TensorProto.FLOAT, shape) for field in fields],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in weights.items()],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(built.SerializeToString(), options, ["CPUExecutionProvider"])
    reading = onnxruntime.OrtValue.ortvalue_from_numpy(x[None])
    states = [[onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32)) for _ in fields] for _ in range(2)]
    bindings = []
    for source, target in ((0, 1), (1, 0)):
        binding = session.io_binding()
        binding.bind_ortvalue_input("X", reading)
        for i, field in enumerate(fields):
            binding.bind_ortvalue_input(f"{field}0", states[source][i])
            binding.bind_ortvalue_output(f"{field}1", states[target][i])
        bindings.append(binding)

    def work(count: int) -> None:
        run = session.run_with_iobinding
        first, second = bindings
        for _ in range(count // 2 or 1):
            run(first)
            run(second)

    return work


def agree(kind: str, model: gw.Model, x: np.ndarray) -> None:
    """Contestants must compute the same: torch's output after three steps is ours. x (batch, inputs)."""
    with torch.no_grad():
        theirs = torch_net(kind, model)(torch.from_numpy(np.stack([x] * 3)))[0][-1].numpy()
    ours = model.run(np.stack([x] * 3, axis=1))[:, -1]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
