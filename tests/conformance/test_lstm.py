"""The LSTM against torch's own, against ONNX Runtime with everything that its operator can say, and by hand."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

import gatewise as gw
from gatewise.errors import SpecError
from gatewise.graph import reference_run
from gatewise.layers.base import Array
from gatewise.nn import to_torch

COLUMNS, H = 3, 6
X = np.random.default_rng(0).normal(size=(4, 9, COLUMNS)).astype(np.float32)


def model(**options: Any) -> gw.Model:
    """With biases and peepholes that are not all alike."""
    found = gw.init(gw.ModelSpec(COLUMNS, [gw.LayerSpec("lstm", units=H, **options)]), seed=1)
    rng = np.random.default_rng(1)
    flat = {name: value for name, value in found.tensors.items() if value.ndim == 1}
    drawn = {name: rng.normal(0, 0.7, value.shape).astype(np.float32) for name, value in flat.items()}
    return found.replace(tensors={**found.tensors, **drawn})


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("projection", [None, 4])
def test_it_is_torchs(projection: int | None) -> None:
    found = model(projection=projection)
    theirs = torch.nn.LSTM(COLUMNS, H, batch_first=True, proj_size=projection or 0)
    with torch.no_grad():
        for name, value in theirs.named_parameters():
            value.copy_(torch.tensor(found.tensors[f"lstm0.{name.removesuffix('_l0')}"]))
    wanted, (h, c) = theirs(torch.tensor(X))
    y, state = found.run(X, return_state=True)
    np.testing.assert_allclose(y, wanted.detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(state.fields["lstm0.hidden"], h[0].detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(state.fields["lstm0.cell"], c[0].detach().numpy(), atol=1e-6)


EVERYTHING = {"peepholes": True, "input_forget": True, "clip": 0.9, "cell_clip": 0.6, "projection": 3}


@pytest.mark.parametrize("options", [{}, {"peepholes": True}, {"projection": 2}, EVERYTHING])
def test_gradients(options: dict[str, Any]) -> None:
    module = to_torch(model(**options)).double()
    x = torch.tensor(X[:2, :4], dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([4, 2])
    weights = tuple(module.parameters())
    assert torch.autograd.gradcheck(lambda x, *weights: module(x, None, lengths)[0], (x, *weights))
    assert torch.autograd.gradcheck(lambda x, *weights: module(x)[0], (x, *weights))


def test_torchs_fused_path_gives_what_the_steps_give() -> None:
    module = to_torch(model()).double()
    x = torch.tensor(X, dtype=torch.float64)
    fused, after = module(x)
    steps, ends = module._modules["lstm0"](
        [x], {k[6:]: torch.zeros_like(v) for k, v in after.items()}, torch.full((4,), 9)
    )
    assert torch.allclose(fused, steps, rtol=0, atol=1e-12)
    assert all(torch.allclose(after[f"lstm0.{name}"], value, rtol=0, atol=1e-12) for name, value in ends.items())


def onnx_order(gates: Array) -> Array:
    """i, f, g, o as ONNX has them: i, o, f, c."""
    i, f, g, o = np.split(gates, 4)
    return np.concatenate([i, o, f, g])


def onnx_run(found: gw.Model, **attributes: Any) -> tuple[Array, Array]:
    """Y (batch, time, H) and Y_c (batch, H) of ONNX Runtime's LSTM with the weights of ours."""
    tensors = {name.partition(".")[2]: value for name, value in found.tensors.items()}
    weights = {
        "W": onnx_order(tensors["weight_ih"])[None],
        "R": onnx_order(tensors["weight_hh"])[None],
        "B": np.concatenate([onnx_order(tensors["bias_ih"]), onnx_order(tensors["bias_hh"])])[None],
    }
    inputs = ["X", "W", "R", "B"]
    if "weight_peephole" in tensors:
        i, f, o = np.split(tensors["weight_peephole"], 3)
        weights["P"] = np.concatenate([i, o, f])[None]
        inputs += ["", "", "", "P"]
    node = helper.make_node("LSTM", inputs, ["Y", "", "Y_c"], hidden_size=H, **attributes)
    graph = helper.make_graph(
        [node],
        "lstm",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [9, 4, COLUMNS])],
        [
            helper.make_tensor_value_info("Y", TensorProto.FLOAT, [9, 1, 4, H]),
            helper.make_tensor_value_info("Y_c", TensorProto.FLOAT, [1, 4, H]),
        ],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in weights.items()],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(built.SerializeToString(), providers=["CPUExecutionProvider"])
    y, c = session.run(None, {"X": X.transpose(1, 0, 2)})
    return np.asarray(y[:, 0].transpose(1, 0, 2)), np.asarray(c[0])


HARD = {"kind": "hard_sigmoid", "slope": 0.3, "offset": 0.4}


@pytest.mark.parametrize(
    ("options", "attributes"),
    [
        ({}, {}),
        ({"peepholes": True}, {}),
        ({"input_forget": True}, {"input_forget": 1}),
        ({"clip": 0.4}, {"clip": 0.4}),
        ({"clip": 0.4, "peepholes": True}, {"clip": 0.4}),
        ({"clip": 0.4, "peepholes": True, "input_forget": True}, {"clip": 0.4, "input_forget": 1}),
        (
            {"gate_activation": HARD, "activation": "relu", "output_activation": "sigmoid"},
            {"activations": ["HardSigmoid", "Relu", "Sigmoid"], "activation_alpha": [0.3], "activation_beta": [0.4]},
        ),
    ],
)
def test_it_is_onnx_runtimes(options: dict[str, Any], attributes: dict[str, Any]) -> None:
    found = model(**options)
    wanted, cell = onnx_run(found, **attributes)
    y, state = found.run(X, return_state=True)
    np.testing.assert_allclose(y, wanted, atol=2e-6)
    np.testing.assert_allclose(state.fields["lstm0.cell"], cell, atol=2e-6)


def test_the_cell_stays_within_its_clip() -> None:
    free, bound = model(), model(cell_clip=0.2)
    _, before = reference_run(free.graph, free.tensors, X)
    _, after = reference_run(bound.graph, bound.tensors, X)
    assert np.abs(before["lstm0.cell"]).max() > 0.3
    assert np.abs(after["lstm0.cell"]).max() == 0.2
    assert np.abs(bound.run(X, return_state=True)[1].fields["lstm0.cell"]).max() == np.float32(0.2)


def test_forget_gates_start_open() -> None:
    bias = gw.init(gw.ModelSpec(COLUMNS, [gw.LayerSpec("lstm", units=H)])).tensors["lstm0.bias_ih"]
    assert bias.tolist() == [0.0] * H + [1.0] * H + [0.0] * 2 * H
    bias = gw.init(gw.ModelSpec(COLUMNS, [gw.LayerSpec("lstm", units=H, forget_bias=2.5)])).tensors["lstm0.bias_ih"]
    assert bias[H : 2 * H].tolist() == [2.5] * H


def test_chrono_spreads_memories_up_to_the_longest() -> None:
    """A gate at sigmoid(b) forgets with a time constant of 1 / (1 - sigmoid(b)) = 1 + exp(b), uniform in 2 .. T."""
    longest, units = 500, 800
    spec = gw.ModelSpec(
        1, [gw.LayerSpec("dense", units=1), gw.LayerSpec("lstm", units=units, projection=1, chrono=longest)]
    )
    bias = gw.init(spec).tensors["lstm0.bias_ih"].reshape(4, units)
    constants = 1.0 + np.exp(bias[1].astype(np.float64))
    assert constants.min() >= 2.0
    assert constants.max() <= longest
    np.testing.assert_allclose(
        np.quantile(constants, [0.25, 0.5, 0.75]), np.array([0.25, 0.5, 0.75]) * longest, atol=35
    )
    assert np.array_equal(bias[0], -bias[1])
    assert not bias[2:].any()


def test_how_memory_begins_is_not_structure() -> None:
    specs = [
        gw.ModelSpec(2, [gw.LayerSpec("lstm", units=3, **options)]) for options in ({}, {"chrono": 9}, {"clip": 1.0})
    ]
    plain, chrono, clip = (gw.init(spec).graph.structure for spec in specs)
    assert plain == chrono != clip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip": 0.0}, "clip must be a number"),
        ({"cell_clip": -1}, "cell_clip must be a number"),
        ({"projection": H}, "projection must be smaller than units, got 6 of 6"),
        ({"projection": 0}, "projection must be a whole number"),
        ({"chrono": 2}, "chrono must be a whole number from 3"),
        ({"peepholes": 1}, "peepholes must be true or false, got 1"),
        ({"input_forget": "yes"}, "input_forget must be true or false"),
        ({"gate_activation": "softmax"}, "gate_activation must be one of"),
    ],
)
def test_senseless_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        gw.init(gw.ModelSpec(COLUMNS, [gw.LayerSpec("lstm", units=H, **options)]))


def test_coupled_gates_begin_as_open_as_others() -> None:
    """f = 1 - i = sigmoid(-b_i): the forget bias goes into the input gate, with the other sign."""
    coupled, plain = (
        gw.init(gw.ModelSpec(2, [gw.LayerSpec("lstm", units=3, forget_bias=2.0, **more)])).tensors["lstm0.bias_ih"]
        for more in ({"input_forget": True}, {})
    )
    assert coupled.tolist() == [-2.0] * 3 + [0.0] * 9
    assert plain.tolist() == [0.0] * 3 + [2.0] * 3 + [0.0] * 6


WITH_CLIP = [("lstm", "cell_clip"), ("lstm", "clip"), ("gru", "clip"), ("rnn", "clip")]


@pytest.mark.parametrize(("kind", "option"), WITH_CLIP)
def test_a_number_may_be_written_as_a_whole_one(kind: str, option: str) -> None:
    whole, broken = (gw.init(gw.ModelSpec(1, [gw.LayerSpec(kind, units=2, **{option: x})])) for x in (3, 3.0))
    assert whole.graph.structure == broken.graph.structure
    broken.stream(whole.stream().save())


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("lstm", {"gate_activation": "relu"}, ["gate activation relu is not bounded by 1"]),
        ("lstm", {"activation": "relu"}, ["candidate activation relu is unbounded"]),
        ("lstm", {"activation": "relu", "clip": 1.0}, []),
        ("lstm", {"activation": "relu", "gate_activation": "relu", "cell_clip": 1.0}, []),
        ("gru", {"gate_activation": "relu", "clip": 3.0}, ["gate activation relu is not bounded by 1"]),
        ("gru", {"activation": "relu"}, ["candidate activation relu is unbounded"]),
        ("gru", {"activation": "relu", "clip": 3.0}, []),
        ("rnn", {"activation": "relu"}, ["activation relu is unbounded"]),
        ("rnn", {}, []),
    ],
)
def test_warnings(kind: str, options: dict[str, Any], words: list[str]) -> None:
    found = gw.init(gw.ModelSpec(1, [gw.LayerSpec(kind, units=2, **options)])).graph.nodes[0].layer.warnings()
    assert [warning.partition(":")[0] for warning in found] == words
