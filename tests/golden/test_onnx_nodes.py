"""The vectors of the ONNX standard for RNN, GRU and LSTM (onnx/backend/test/data/node), through every execution."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

import gatewise as gw
from gatewise import _core
from gatewise.graph import reference_run
from gatewise.layers.base import Array
from gatewise.nn import Recurrent
from golden.onnx_nodes import Converted, convert

CASES = (
    *(f"test_gru_{name}" for name in ("defaults", "with_initial_bias", "seq_length", "batchwise")),
    *(f"test_lstm_{name}" for name in ("defaults", "with_initial_bias", "with_peepholes", "batchwise")),
    *(f"test_simple_rnn_{name}" for name in ("defaults", "with_initial_bias", "batchwise")),
    "test_rnn_seq_length",
)
INPUTS = {
    "RNN": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
    "GRU": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
    "LSTM": ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"),
}
OUTPUTS = ("Y", "Y_h", "Y_c")
CLOSE = {"rtol": 1e-5, "atol": 1e-6}

Known = tuple[Converted, Array, dict[str, Array], dict[str, Array]]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, models_dir: Path) -> Known:
    """The model, its readings (batch, time, inputs), where its state begins, and what the standard says comes out."""
    folder = models_dir / "onnx-backend-node-tests" / request.param
    graph = onnx.load(folder / "model.onnx").graph
    (node,) = graph.node

    def values(prefix: str, infos: object) -> dict[str, Array]:
        names = [info.name for info in infos]  # type: ignore[attr-defined]
        files = [folder / "test_data_set_0" / f"{prefix}_{i}.pb" for i in range(len(names))]
        return {n: numpy_helper.to_array(onnx.load_tensor(f)) for n, f in zip(names, files, strict=True)}

    fed, outputs = values("input", graph.input), values("output", graph.output)
    given = {name: fed[key] for name, key in zip(INPUTS[node.op_type], node.input, strict=False) if key}
    converted = convert(node, {name: given[name] for name in ("W", "R", "B", "P") if name in given})
    wanted = {name: outputs[key] for name, key in zip(OUTPUTS, node.output, strict=False) if key}
    assert wanted
    x = converted.readings(given["X"])
    assert np.all(given.get("sequence_lens", x.shape[1]) == x.shape[1]), "no vector of the standard ends early"
    start = {field.name: np.zeros((len(x), *field.shape), np.float32) for field in converted.graph.state}
    return converted, x, {**start, **converted.initial(given)}, wanted


def agree(converted: Converted, wanted: dict[str, Array], y: Array, state: dict[str, Array]) -> None:
    got = {"Y": lambda: converted.answers(y)}
    got |= {
        key: lambda field=field: converted.last(state, field) for key, field in (("Y_h", "hidden"), ("Y_c", "cell"))
    }
    for name, value in wanted.items():
        assert got[name]().shape == value.shape
        np.testing.assert_allclose(got[name](), value, **CLOSE)


def test_reference(case: Known) -> None:
    converted, x, start, wanted = case
    agree(converted, wanted, *reference_run(converted.graph, converted.tensors, x, start))


def test_torch(case: Known) -> None:
    converted, x, start, wanted = case
    with torch.no_grad():
        first = {name: torch.tensor(value) for name, value in start.items()}
        y, state = Recurrent(converted.graph, converted.tensors)(torch.tensor(x), first)
    agree(converted, wanted, y.numpy(), {name: value.numpy() for name, value in state.items()})


@pytest.mark.parametrize("cpu", _core.instruction_sets())
def test_native(case: Known, cpu: str) -> None:
    converted, x, start, wanted = case
    model = gw.Model(converted.graph.spec, converted.tensors, cpu=cpu)
    y, state = model.run(x, gw.State(model.graph.structure, start), return_state=True)
    agree(converted, wanted, y, dict(state.fields))
    stream = model.stream(gw.State(model.graph.structure, {name: value[:1] for name, value in start.items()}))
    assert np.array_equal(np.stack([stream.push(row) for row in x[0]]), y[0])
