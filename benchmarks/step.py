"""One step of a GRU, batch 1: gatewise through its public API against torch and ONNX Runtime.

    python benchmarks/step.py [--rounds 15] [--seconds 0.1] [--units 32 64 128 256] [--inputs 16]

All contestants carry their state from step to step, take one float32 reading and give one output. torch runs eager, in
inference mode, with 1 and with 2 threads, and the faster counts; ONNX Runtime runs a graph of the single GRU node with
inputs and outputs bound to memory, on one thread. They take turns; a ratio is the median over rounds of the ratio
within a round. Beside it stand the time of a step in C and the bound that this machine's cache bandwidth and
multiply-add peak set.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper

import gatewise as gw
from common import interleave, ratio, record
from gatewise.measure.machine import step_bound

Work = Callable[[int], None]


def our_step(model: gw.Model, x: np.ndarray, reuse: bool) -> Work:
    """`Stream.push`, into an array of the caller's or into a new one each time."""
    stream = model.stream()
    y = np.empty(model.outputs, np.float32)

    def work(count: int) -> None:
        push = stream.push
        if reuse:
            for _ in range(count):
                push(x, y)
        else:
            for _ in range(count):
                push(x)

    return work


def torch_step(model: gw.Model, x: np.ndarray, cell: bool, threads: int) -> Work:
    """`nn.GRU` on a sequence of one step, or `nn.GRUCell`."""
    units = model.outputs
    net = torch.nn.GRUCell(len(x), units) if cell else torch.nn.GRU(len(x), units)
    with torch.no_grad():
        for name, value in net.named_parameters():
            value.copy_(torch.from_numpy(model.tensors[f"gru0.{name.removesuffix('_l0')}"].copy()))
    reading = torch.from_numpy(x).reshape((1, -1) if cell else (1, 1, -1))

    def work(count: int) -> None:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            h = torch.zeros((1, units) if cell else (1, 1, units))
            for _ in range(count):
                h = net(reading, h) if cell else net(reading, h)[1]

    return work


def onnx_step(model: gw.Model, x: np.ndarray) -> Work:
    """ONNX Runtime on a single GRU node; two bindings in turn, so that each step reads the state the last one wrote."""
    inputs, units = len(x), model.outputs

    def zrh(name: str) -> np.ndarray:
        r, z, n = np.split(model.tensors[f"gru0.{name}"], 3)
        return np.concatenate([z, r, n])

    weights = {
        "W": zrh("weight_ih")[None],
        "R": zrh("weight_hh")[None],
        "B": np.concatenate([zrh("bias_ih"), zrh("bias_hh")])[None],
    }
    node = helper.make_node("GRU", ["X", "W", "R", "B", "", "H0"], ["", "H1"], hidden_size=units, linear_before_reset=1)
    state = [1, 1, units]
    graph = helper.make_graph(
        [node],
        "gru",
        [
            helper.make_tensor_value_info("X", TensorProto.FLOAT, [1, 1, inputs]),
            helper.make_tensor_value_info("H0", TensorProto.FLOAT, state),
        ],
        [helper.make_tensor_value_info("H1", TensorProto.FLOAT, state)],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in weights.items()],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(built.SerializeToString(), options, ["CPUExecutionProvider"])
    reading = onnxruntime.OrtValue.ortvalue_from_numpy(x.reshape(1, 1, -1))
    states = [onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(state, np.float32)) for _ in range(2)]
    bindings = []
    for source, target in ((0, 1), (1, 0)):
        binding = session.io_binding()
        binding.bind_ortvalue_input("X", reading)
        binding.bind_ortvalue_input("H0", states[source])
        binding.bind_ortvalue_output("H1", states[target])
        bindings.append(binding)

    def work(count: int) -> None:
        run = session.run_with_iobinding
        first, second = bindings
        for _ in range(count // 2 or 1):
            run(first)
            run(second)

    return work


def agree(model: gw.Model, x: np.ndarray) -> None:
    """Contestants must compute the same: torch's output after three steps is ours."""
    net = torch.nn.GRU(len(x), model.outputs)
    with torch.no_grad():
        for name, value in net.named_parameters():
            value.copy_(torch.from_numpy(model.tensors[f"gru0.{name.removesuffix('_l0')}"].copy()))
        theirs = net(torch.from_numpy(np.stack([x] * 3))[:, None])[0][-1, 0].numpy()
    ours = model.run(np.stack([x] * 3))[-1]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def step_in_c(model: gw.Model, rounds: int, seconds: float) -> dict[str, float]:
    """A step without Python, in turn with its bound: reading all weights or multiplying them, whichever is longer."""
    native = model._native
    steps = max(10, round(seconds / native.time_steps(1000)))
    pairs = [(native.time_steps(steps), step_bound(model).seconds) for _ in range(rounds)]
    return {
        "C microseconds": 1e6 * statistics.median(taken for taken, _ in pairs),
        "bound microseconds": 1e6 * statistics.median(bound for _, bound in pairs),
        "C over bound": statistics.median(taken / bound for taken, bound in pairs),
    }


def measure(units: int, inputs: int, rounds: int, seconds: float) -> dict[str, object]:
    """All contestants at one size."""
    model = gw.init(gw.ModelSpec(inputs=inputs, layers=[gw.LayerSpec("gru", units=units)]))
    x = np.random.default_rng(0).standard_normal(inputs).astype(np.float32)
    agree(model, x)
    contestants = {
        "push": our_step(model, x, reuse=True),
        "push, new array": our_step(model, x, reuse=False),
        "onnxruntime": onnx_step(model, x),
    }
    for threads in (1, 2):
        contestants[f"nn.GRU, {threads} threads"] = torch_step(model, x, cell=False, threads=threads)
        contestants[f"nn.GRUCell, {threads} threads"] = torch_step(model, x, cell=True, threads=threads)
    times = interleave(contestants, rounds, seconds)
    ours = times["push"]
    ratios = {name: ratio(taken, ours) for name, taken in times.items()}
    return {
        "units": units,
        "inputs": inputs,
        "microseconds": {name: 1e6 * statistics.median(taken) for name, taken in times.items()},
        "ratio": ratios,
        "ratio to nn.GRU": min(ratios[f"nn.GRU, {threads} threads"] for threads in (1, 2)),
        "ratio to nn.GRUCell": min(ratios[f"nn.GRUCell, {threads} threads"] for threads in (1, 2)),
        "ratio to onnxruntime": ratios["onnxruntime"],
        **step_in_c(model, rounds, seconds),
    }


def main() -> None:
    """Measure, print a table, write results/step.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.1, help="length of one turn")
    parser.add_argument("--units", type=int, nargs="+", default=[32, 64, 128, 256])
    parser.add_argument("--inputs", type=int, default=16)
    options = parser.parse_args()
    results = [measure(units, options.inputs, options.rounds, options.seconds) for units in options.units]
    print(f"one step, batch 1, {options.inputs} inputs; medians of {options.rounds} interleaved rounds")
    print("units   push us   nn.GRU  GRUCell  onnxruntime     C us  bound us  C/bound")
    for row in results:
        print(
            f"{row['units']:>5} {row['microseconds']['push']:>9.3f} {row['ratio to nn.GRU']:>7.1f}x"
            f" {row['ratio to nn.GRUCell']:>7.1f}x {row['ratio to onnxruntime']:>11.1f}x"
            f" {row['C microseconds']:>8.3f} {row['bound microseconds']:>9.3f} {row['C over bound']:>8.2f}"
        )
    print(f"written to {record('step', results)}")


if __name__ == "__main__":
    main()
