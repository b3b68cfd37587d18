"""The plain recurrent layer against torch's own, ONNX Runtime's clip, and by hand."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

import gatewise as gw
from gatewise.errors import SpecError
from gatewise.layers.base import Array
from gatewise.nn import to_torch

COLUMNS, H = 3, 6
X = np.random.default_rng(0).normal(size=(4, 9, COLUMNS)).astype(np.float32)


def model(**options: object) -> gw.Model:
    spec = gw.ModelSpec(COLUMNS, [gw.LayerSpec("rnn", units=H, **options)])
    found = gw.init(spec, seed=1)
    rng = np.random.default_rng(1)
    biases = {f"rnn0.{name}": rng.normal(0, 0.5, H).astype(np.float32) for name in ("bias_ih", "bias_hh")}
    return found.replace(tensors={**found.tensors, **biases})


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_it_is_torchs(activation: str) -> None:
    found = model(activation=activation)
    theirs = torch.nn.RNN(COLUMNS, H, nonlinearity=activation, batch_first=True)
    with torch.no_grad():
        for name, value in theirs.named_parameters():
            value.copy_(torch.tensor(found.tensors[f"rnn0.{name.removesuffix('_l0')}"]))
    wanted, last = theirs(torch.tensor(X))
    y, state = found.run(X, return_state=True)
    np.testing.assert_allclose(y, wanted.detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(state.fields["rnn0.hidden"], last[0].detach().numpy(), atol=1e-6)


def test_gradients() -> None:
    module = to_torch(model(clip=0.8)).double()
    x = torch.tensor(X[:2, :4], dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([4, 2])
    assert torch.autograd.gradcheck(lambda x: module(x, None, lengths)[0], (x,))


def onnx_run(found: gw.Model, clip: float) -> Array:
    tensors = found.tensors
    node = helper.make_node("RNN", ["X", "W", "R", "B"], ["Y"], hidden_size=H, clip=clip)
    weights = {
        "W": tensors["rnn0.weight_ih"][None],
        "R": tensors["rnn0.weight_hh"][None],
        "B": np.concatenate([tensors["rnn0.bias_ih"], tensors["rnn0.bias_hh"]])[None],
    }
    graph = helper.make_graph(
        [node],
        "rnn",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [9, 4, COLUMNS])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [9, 1, 4, H])],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in weights.items()],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(built.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"X": X.transpose(1, 0, 2)})
    return np.asarray(y[:, 0].transpose(1, 0, 2))


@pytest.mark.parametrize("clip", [0.3, 1.0, 50.0])
def test_clip_is_onnx_runtimes(clip: float) -> None:
    found = model(clip=clip)
    np.testing.assert_allclose(found.run(X), onnx_run(found, clip), atol=1e-6)
    assert np.abs(found.run(X)).max() <= np.tanh(clip) + 1e-6


def test_relu_starts_with_the_identity() -> None:
    assert np.array_equal(gw.init(model(activation="relu").spec).tensors["rnn0.weight_hh"], np.eye(H))
    weight = gw.init(model().spec).tensors["rnn0.weight_hh"]
    np.testing.assert_allclose(weight @ weight.T, np.eye(H), atol=1e-6)


@pytest.mark.parametrize("clip", [0.0, -1.0, "1", True])
def test_a_clip_is_a_positive_number(clip: object) -> None:
    with pytest.raises(SpecError, match="clip must be a number"):
        model(clip=clip)
