"""The GRU vectors of the ONNX standard (onnx/backend/test/data/node), through the reference, torch and the core."""

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
from golden.onnx_gru import Converted, convert

CASES = ("test_gru_defaults", "test_gru_with_initial_bias", "test_gru_seq_length", "test_gru_batchwise")
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, models_dir: Path) -> tuple[Converted, Array, dict[str, Array]]:
    """The model, its readings (batch, time, inputs), and what the standard says comes out."""
    folder = models_dir / "onnx-backend-node-tests" / request.param
    graph = onnx.load(folder / "model.onnx").graph
    (node,) = graph.node

    def values(prefix: str, infos: object) -> dict[str, Array]:
        names = [info.name for info in infos]  # type: ignore[attr-defined]
        files = [folder / "test_data_set_0" / f"{prefix}_{i}.pb" for i in range(len(names))]
        return {n: numpy_helper.to_array(onnx.load_tensor(f)) for n, f in zip(names, files, strict=True)}

    inputs, outputs = values("input", graph.input), values("output", graph.output)
    given = dict(zip(("X", "W", "R", "B", "sequence_lens", "initial_h"), node.input, strict=False))
    assert set(given) <= {"X", "W", "R", "B"}
    converted = convert(node, inputs[given["W"]], inputs[given["R"]], inputs.get(given.get("B", "")))
    wanted = {name: outputs[written] for name, written in zip(("Y", "Y_h"), node.output, strict=True) if written}
    assert wanted
    return converted, converted.readings(inputs[given["X"]]), wanted


def agree(converted: Converted, wanted: dict[str, Array], y: Array, last: Array) -> None:
    got = {"Y": converted.answers(y), "Y_h": converted.last(last)}
    for name, value in wanted.items():
        assert got[name].shape == value.shape
        np.testing.assert_allclose(got[name], value, **CLOSE)


def test_reference(case: tuple[Converted, Array, dict[str, Array]]) -> None:
    converted, x, wanted = case
    y, state = reference_run(converted.graph, converted.tensors, x)
    agree(converted, wanted, y, state["gru0.hidden"])


def test_torch(case: tuple[Converted, Array, dict[str, Array]]) -> None:
    converted, x, wanted = case
    with torch.no_grad():
        y, state = Recurrent(converted.graph, converted.tensors)(torch.tensor(x))
    agree(converted, wanted, y.numpy(), state["gru0.hidden"].numpy())


@pytest.mark.parametrize("cpu", _core.instruction_sets())
def test_native(case: tuple[Converted, Array, dict[str, Array]], cpu: str) -> None:
    converted, x, wanted = case
    model = gw.Model(converted.graph.spec, converted.tensors, cpu=cpu)
    y, state = model.run(x, return_state=True)
    agree(converted, wanted, y, state.fields["gru0.hidden"])
