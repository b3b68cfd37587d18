"""ONNX graphs: the node tests of the standard, and graphs as exporters write them against ONNX Runtime."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

import gatewise as gw
from gatewise import importers
from gatewise.errors import FileError, InputError
from gatewise.layers.base import Array
from golden.test_onnxruntime import NODES, draw
from importers.onnx_files import BATCH, INPUTS, LSTM, RNG, TIME, UNITS, X, answers, before, model, node, written

CASES = (
    *(f"test_gru_{name}" for name in ("defaults", "with_initial_bias", "seq_length", "batchwise")),
    *(f"test_lstm_{name}" for name in ("defaults", "with_initial_bias", "with_peepholes", "batchwise")),
    *(f"test_simple_rnn_{name}" for name in ("defaults", "with_initial_bias", "batchwise")),
    "test_rnn_seq_length",
)


@pytest.mark.parametrize("case", CASES)
def test_the_nodes_of_the_standard(case: str, models_dir: Path, tmp_path: Path) -> None:
    """With their weights made constants of the graph."""
    folder = models_dir / "onnx-backend-node-tests" / case
    proto = onnx.load(folder / "model.onnx")
    names = [each.name for each in proto.graph.input]
    fed = {name: onnx.load_tensor(folder / "test_data_set_0" / f"input_{i}.pb") for i, name in enumerate(names)}
    x = numpy_helper.to_array(fed.pop("X"))
    for name, tensor in fed.items():
        tensor.name = name
        proto.graph.initializer.append(tensor)
    model = importers.load(written(tmp_path, proto))
    batch_first = case.endswith("batchwise")
    y = model.run(x if batch_first else x.transpose(1, 0, 2))  # (batch, time, units)
    for i, output in enumerate(each.name for each in proto.graph.output):
        wanted = numpy_helper.to_array(onnx.load_tensor(folder / "test_data_set_0" / f"output_{i}.pb"))
        if output == "Y":
            found = y[:, :, None] if batch_first else y.transpose(1, 0, 2)[:, None]
        else:
            found = y[:, -1][:, None] if batch_first else y[:, -1][None]
        assert found.shape == wanted.shape
        assert np.all(np.abs(found - wanted) <= 1e-5 * np.maximum(1, np.abs(wanted)))


@pytest.mark.parametrize("output", ["Y", "Y_h"])
@pytest.mark.parametrize("name", NODES)
def test_a_recurrent_node_with_each_attribute(name: str, output: str, tmp_path: Path) -> None:
    kind, given = NODES[name]
    values = draw(kind, given, 7, 3, seed=5)
    attributes = {key: value for key, value in given.items() if key != "peepholes" and value != []}
    constants = {key: values[key] for key in ("W", "R", "B", "P") if key in values}
    inputs = "x W R B" + (" - - - P" if "P" in values else "")
    recurrent = node(kind, inputs, "Y" if output == "Y" else "- Y_h", hidden_size=7, **attributes)
    recurrent.output[:] = ["Y"] if output == "Y" else ["", "Y_h"]
    x = values["X"]
    path = written(tmp_path, model([recurrent], constants, {"x": x.shape}, [output], 14))
    (wanted,) = answers(path, x=x)  # (time, directions, batch, units), or (directions, batch, units)
    found = importers.load(path).run(x.transpose(1, 0, 2))
    if output == "Y":
        wanted = wanted.transpose(2, 0, 1, 3).reshape(*found.shape)
    else:
        found, wanted = found[:, -1], wanted.transpose(1, 0, 2).reshape(len(found), -1)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


W, BIAS = RNG.normal(size=(UNITS, 3)).astype(np.float32), RNG.normal(size=3).astype(np.float32)
ROW = RNG.uniform(0.5, 2, UNITS).astype(np.float32)
VECTORS = {name: RNG.uniform(0.5, 2, UNITS).astype(np.float32) for name in ("s", "b", "m", "v")}
NUMBER = np.array(1.7, np.float32)
PLAIN: dict[str, tuple[list[onnx.NodeProto], dict[str, Array]]] = {
    "gemm": ([node("Gemm", "last w", "y")], {"w": W}),
    "gemm with bias": ([node("Gemm", "last w b", "y", alpha=0.5, beta=2.0)], {"w": W, "b": BIAS}),
    "gemm transposed": ([node("Gemm", "last w b", "y", transB=1)], {"w": W.T.copy(), "b": BIAS[None]}),
    "gemm with a number": ([node("Gemm", "last w b", "y")], {"w": W, "b": NUMBER}),
    "matmul and add": ([node("MatMul", "each w", "p"), node("Add", "p b", "y")], {"w": W, "b": BIAS}),
    "add to the left": ([node("MatMul", "each w", "p"), node("Add", "b p", "y")], {"w": W, "b": BIAS}),
    "affine after the lstm": ([node("Mul", "each r", "p"), node("Sub", "p n", "y")], {"r": ROW, "n": NUMBER}),
    "subtracted from": ([node("Sub", "r each", "p"), node("Div", "p r", "y")], {"r": ROW}),
    "negative": ([node("Neg", "last", "y")], {}),
    "batch norm": (
        [node("BatchNormalization", "last s b m v", "n", epsilon=0.01), node("Gemm", "n w", "y")],
        {**VECTORS, "w": W},
    ),
    "batch norm of sequences": (
        [
            node("Transpose", "each", "t", perm=[0, 2, 1]),
            node("BatchNormalization", "t s b m v", "n"),
            node("Transpose", "n", "y", perm=[0, 2, 1]),
        ],
        VECTORS,
    ),
    "layer norm": ([node("LayerNormalization", "each s b", "y", epsilon=0.01)], {k: VECTORS[k] for k in "sb"}),
    "affine before a layer norm": (
        [node("Add", "each n", "p"), node("Mul", "p r", "q"), node("LayerNormalization", "q s", "y")],
        {"s": VECTORS["s"], "n": NUMBER, "r": ROW},
    ),
    "dropout": ([node("Dropout", "each", "d mask"), node("Identity", "d", "i"), node("Relu", "i", "y")], {}),
    "softmax": ([node("MatMul", "last w", "p"), node("Softmax", "p", "y")], {"w": W}),
    "cast": ([node("Cast", "last", "y", to=1)], {}),
    "flatten": ([node("Flatten", "last", "f"), node("Gemm", "f w", "y")], {"w": W}),
    "reshape": (
        [node("Reshape", "last a", "r"), node("Squeeze", "r one", "s"), node("Gemm", "s w", "y")],
        {"a": np.array([0, 1, -1]), "one": np.array([1]), "w": W},
    ),
    "slice": (
        [node("Slice", "each s e t", "l"), node("Flatten", "l", "f"), node("Gemm", "f w", "y")],
        {"s": np.array([-1]), "e": np.array([1 << 62]), "t": np.array([1]), "w": W},
    ),
    "slice of a known length": (
        [node("Slice", "each s e t", "l"), node("Reshape", "l r", "f"), node("Gemm", "f w", "y")],
        {"s": np.array([TIME - 1]), "e": np.array([TIME]), "t": np.array([1]), "r": np.array([-1, UNITS]), "w": W},
    ),
    "last of a known length": (
        [node("Gather", "each i", "l", axis=1), node("Gemm", "l w", "y")],
        {"i": np.array(TIME - 1), "w": W},
    ),
    **{
        op + "".join(map(str, given.values())): ([node(op, "last", "y", **given)], {})
        for op, given in [
            *((op, {}) for op in ("Relu", "Tanh", "Sigmoid", "HardSigmoid", "LeakyRelu", "Elu", "Selu", "Softplus")),
            *((op, {}) for op in ("Softsign", "HardSwish", "ThresholdedRelu", "Exp")),
            ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
            ("LeakyRelu", {"alpha": 0.3}),
            ("Elu", {"alpha": 0.5}),
            ("ThresholdedRelu", {"alpha": 0.2}),
        ]
    },
    "prelu": ([node("PRelu", "last n", "y")], {"n": np.array([0.3], np.float32)}),
    "relu6": ([node("Clip", "last a b", "y")], {"a": np.float32(0), "b": np.float32(6)}),
    "hard tanh": ([node("Clip", "last a b", "y")], {"a": np.float32(-1), "b": np.float32(1)}),
    "clip to positive": ([node("Clip", "last a", "y")], {"a": np.float32(0)}),
    "activation after batch norm": (
        [node("Gemm", "last w", "p"), node("BatchNormalization", "p s b m v", "n"), node("Tanh", "n", "y")],
        {"w": W, **{name: value[:3] for name, value in VECTORS.items()}},
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_nodes(name: str, tmp_path: Path) -> None:
    nodes, constants = PLAIN[name]
    first, own = before()
    ends = any("last" in each.input for each in nodes)
    used = [each for each in first if each.output[0] != ("each" if ends else "last")]
    own = own if ends else {key: value for key, value in own.items() if key != "end"}
    agree(written(tmp_path, model([*used, *nodes], {**own, **constants})))


def agree(path: Path, spec: Any = None, x: Array = X, **given: Array) -> gw.Model:
    """The model answers as ONNX Runtime: (batch, time, features), or (batch, features) if only the last step does."""
    wanted = answers(path, x=x, **given)[0]
    found = importers.load(path, spec)
    y = found.run(x)
    last = importers.origins(found).answers == "last"
    assert (last, found.spec.context) == (wanted.ndim == 2, {"window": x.shape[1]} if last else "carried")
    np.testing.assert_allclose(y[:, -1] if last else y, wanted, rtol=0, atol=2e-6)
    return found


@pytest.mark.parametrize(("name", "attributes"), [("Gelu", {}), ("Gelu", {"approximate": "tanh"}), ("Mish", {})])
def test_newer_activations(name: str, attributes: dict[str, str], tmp_path: Path) -> None:
    first, own = before(20)
    agree(written(tmp_path, model([*first[:3], first[4], node(name, "last", "y", **attributes)], own, opset=20)))


@pytest.mark.parametrize("opset", [7, 9, 10, 11, 12, 13, 14, 17, 18, 21, 22])
def test_versions_of_the_operators(opset: int, tmp_path: Path) -> None:
    """Squeeze, Clip and Slice have attributes in older versions, and Softmax runs over other axes."""
    first, own = before(opset)
    slice_ = {"starts": [0], "ends": [1 << 31], "axes": [0]} if opset < 10 else {}
    limits = {} if opset < 10 else {"s": np.array([0]), "e": np.array([1 << 31]), "t": np.array([0])}
    nodes = [
        node("Slice", "last s e t" if limits else "last", "z", **slice_),
        node("Gemm", "z w b", "p"),
        node("Clip", "p lo hi", "c") if opset > 10 else node("Clip", "p", "c", min=0.0, max=6.0),
        node("Softmax", "c", "y"),
    ]
    bounds = {"lo": np.float32(0), "hi": np.float32(6)} if opset > 10 else {}
    constants = {**own, **limits, **bounds, "w": W, "b": BIAS}
    agree(written(tmp_path, model([*first[:3], first[4], *nodes], constants, opset=opset)))


class Exported(nn.Module):
    """What torch.onnx.export is given: a recurrent module, and one of the ways in which its output is used."""

    def __init__(self, kind: type[nn.RNNBase], way: str, **options: Any) -> None:
        super().__init__()
        self.rec, self.way = kind(INPUTS, UNITS, batch_first=True, **options), way
        self.fc = nn.Linear(UNITS * (2 if self.rec.bidirectional else 1), 3)

    def forward(self, x: torch.Tensor) -> Any:
        out, state = self.rec(x)
        h = state[0] if isinstance(state, tuple) else state
        match self.way:
            case "last":
                out = out[:, -1]
            case "h":
                out = h[-1]
            case "both h":
                out = torch.cat([h[-2], h[-1]], -1)
            case "h too":
                return self.fc(out), h
        return torch.sigmoid(self.fc(out))


EXPORTS: dict[str, tuple[type[nn.RNNBase], str, dict[str, Any]]] = {
    "lstm": (nn.LSTM, "each", {"num_layers": 2}),
    "lstm last": (nn.LSTM, "last", {}),
    "lstm last of two": (nn.LSTM, "last", {"num_layers": 2, "dropout": 0.3}),
    "gru state": (nn.GRU, "h", {"num_layers": 2}),
    "gru without bias": (nn.GRU, "last", {"bias": False}),
    "relu rnn": (nn.RNN, "last", {"nonlinearity": "relu"}),
    "both": (nn.LSTM, "each", {"bidirectional": True, "num_layers": 2}),
    "both last": (nn.GRU, "last", {"bidirectional": True}),
    "both states": (nn.LSTM, "both h", {"bidirectional": True, "num_layers": 2}),
    "output and state": (nn.LSTM, "h too", {"num_layers": 2}),
}


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("name", EXPORTS)
def test_what_torch_exports(name: str, dynamic: bool, tmp_path: Path) -> None:
    kind, way, options = EXPORTS[name]
    torch.manual_seed(2)
    module, x, out = Exported(kind, way, **options).eval(), torch.from_numpy(X), io.BytesIO()
    dims = {"x": {0: "batch", 1: "time"}} if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, which torch is about to replace
        torch.onnx.export(module, (x,), out, dynamo=False, input_names=["x"], dynamic_axes=dims, opset_version=17)
    path = tmp_path / "model.onnx"
    path.write_bytes(out.getvalue())
    model = importers.load(path)
    with torch.no_grad():
        wanted = module(x)
    wanted = (wanted[0] if isinstance(wanted, tuple) else wanted).numpy()
    y = model.run(X)
    np.testing.assert_allclose(y[:, -1] if wanted.ndim == 2 else y, wanted, rtol=0, atol=2e-6)
    assert model.spec.context == ({"window": TIME} if wanted.ndim == 2 and not dynamic else "carried")
    if wanted.ndim == 2 and dynamic:
        assert importers.load(path, {"window": 9}).spec.context == {"window": 9}


def test_a_state_that_the_caller_carries(models_dir: Path) -> None:
    path = models_dir / "dtln-core1-stateful" / "model_1.onnx"
    model = importers.load(path)
    assert model.spec.context == "carried"
    assert "input_3" in importers.origins(model).layers[0].converted[0]
    stream = model.stream()
    state: Array = np.zeros((1, 2, 128, 2), np.float32)
    for x in np.abs(np.random.default_rng(1).normal(size=(30, 257))).astype(np.float32):
        y, state = answers(path, input_2=x[None, None], input_3=state)
        assert np.abs(stream.push(x) - y[0, 0]).max() < 1e-5


STATES = {"x": (1, 1, INPUTS), "h": (1, 1, UNITS), "c": (1, 1, UNITS)}


def test_states_that_come_out_as_they_go_in(tmp_path: Path) -> None:
    lstm = node("LSTM", "x W R B - h c", "Y Yh Yc", hidden_size=UNITS)
    path = written(tmp_path, model([lstm], LSTM, STATES, ["Y", "Yh", "Yc"]))
    stream = importers.load(path).stream()
    h = c = np.zeros((1, 1, UNITS), np.float32)
    for x in X[0]:
        y, h, c = answers(path, x=x[None, None], h=h, c=c)
        assert np.abs(stream.push(x) - y.ravel()).max() < 1e-6


@pytest.mark.parametrize(
    ("outputs", "lstm", "words"),
    [
        (["Y", "Yh"], "x W R B - h c", "state 'c' does not come out"),
        (["Y"], "x W R B - h c", "state 'h' does not come out"),
        (["Y", "Yh", "Yc"], "x W R B - h", "begins with the state 'h'"),
        (["Y", "Yh", "Yc"], "x W R B - h h", "not all numbers of the inputs h, c are the state"),
    ],
)
def test_states_of_which_a_part_is_lost(outputs: list[str], lstm: str, words: str, tmp_path: Path) -> None:
    recurrent = node("LSTM", lstm, "Y Yh Yc", hidden_size=UNITS)
    path = written(tmp_path, model([recurrent], LSTM, STATES, outputs))
    with pytest.raises(FileError, match=words):
        importers.load(path)


def test_a_single_step_without_a_state_begins_anew(tmp_path: Path) -> None:
    lstm = node("LSTM", "x W R B", "Y", hidden_size=UNITS)
    path = written(tmp_path, model([lstm], LSTM, {"x": (1, 1, INPUTS)}, ["Y"]))
    found = importers.load(path)
    assert found.spec.context == {"window": 1}
    stream = found.stream()
    for x in X[0]:
        assert np.abs(stream.push(x) - answers(path, x=x[None, None])[0].ravel()).max() < 1e-6


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_types_are_converted_and_noted(dtype: Any, tmp_path: Path) -> None:
    constants = {"W": RNG.normal(size=(1, 6, 2)).astype(dtype), "R": RNG.normal(size=(1, 6, 2)).astype(dtype)}
    proto = model([node("GRU", "x W R", "Y", hidden_size=2)], constants, {"x": (3, 1, 2)}, ["Y"])
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    path = written(tmp_path, proto)
    found = importers.load(path)
    note = f"Constants that are {np.dtype(dtype).name} in the file are converted to float32."
    assert note in [sentence for layer in importers.origins(found).layers for sentence in layer.converted]
    assert np.array_equal(found.tensors["Y_node.weight_hh"][4:], constants["R"][0, 4:].astype(np.float32))


def test_the_record(tmp_path: Path) -> None:
    first, own = before()
    path = written(tmp_path, model([*first[:3], first[4], node("Gemm", "last w b", "y")], {**own, "w": W, "b": BIAS}))
    record = importers.origins(importers.load(path))
    assert (record.format, record.written_by, record.answers) == ("ONNX", "tests", "last")
    assert record.layers[0].weights["Y_node.bias_hh"] == ("B",)
    assert "The gates i, o, f, c are now i, f, g, o." in record.layers[0].converted
    assert record.layers[1].weights == {"y_node.weight": ("w",), "y_node.bias": ("b",)}


GATED = node("LSTM", "x W R B", "Y Yh Yc", hidden_size=UNITS)
BY_TIME = {"x": (TIME, BATCH, INPUTS)}


def lstm(*nodes: onnx.NodeProto, outputs: Any = ("y",), inputs: Any = BY_TIME, **constants: Any) -> onnx.ModelProto:
    """The LSTM, which writes Y, Yh and Yc, and nodes after it."""
    return model([GATED, *nodes], {**LSTM, **constants}, inputs, outputs)


ONE, LENGTHS = np.array([1]), np.array([TIME, 3], np.int32)
REFUSED: dict[str, tuple[onnx.ModelProto, str]] = {
    "operator": (lstm(node("Sin", "Y", "y")), "'y_node' .Sin. is an operator that gatewise does not import"),
    "sum over time": (lstm(node("ReduceMean", "Y", "y", axes=[0])), "ReduceMean. is an operator"),
    "first step": (lstm(node("Gather", "Y i", "y"), i=np.array(0)), "takes entry 0 of the axis time"),
    "two steps": (lstm(node("Gather", "Y i", "y"), i=np.array([3, 4])), "something else than one constant index"),
    "every second step": (
        lstm(node("Slice", "Y s e a p", "y"), s=ONE * 0, e=ONE * 99, a=ONE * 0, p=ONE * 2),
        "a step or limits that gatewise does not import",
    ),
    "all but the last": (lstm(node("Slice", "Y s e", "y"), s=ONE * 0, e=-ONE), "cuts off the end of the axis time"),
    "all steps at once": (
        lstm(node("Transpose", "Y", "t", perm=[2, 0, 1, 3]), node("Flatten", "t", "y")),
        "axes batch 2, time 5, direction 1, features 6, so that they mix",
    ),
    "steps and directions": (lstm(node("Reshape", "Y r", "y"), r=np.array([TIME * BATCH, UNITS])), "mix"),
    "residual": (
        lstm(node("Squeeze", "Y i", "s"), node("Relu", "s", "r"), node("Add", "s r", "y"), i=ONE),
        "joins several computed values .s, r.",
    ),
    "product of values": (lstm(node("MatMul", "Y Y", "y")), "joins several computed values"),
    "number for each step": (
        lstm(node("Add", "Y v", "y"), v=np.ones((TIME, 1, 1, 1), np.float32)),
        "works on the axis time",
    ),
    "softmax over time": (lstm(node("Softmax", "Y", "y", axis=0)), "runs over another axis"),
    "divided into": (lstm(node("Div", "n Y", "y"), n=NUMBER), "quotient of a computed value and a constant"),
    "clip": (lstm(node("Clip", "Y a b", "y"), a=np.float32(-2), b=np.float32(2)), "clips to .-2.0, 2.0."),
    "slopes": (lstm(node("PRelu", "Y v", "y"), v=ROW), "a slope for each channel"),
    "training": (
        lstm(node("Dropout", "Y r t", "y"), r=np.float32(0.5), t=np.array(True)),
        "drops values in inference too",
    ),
    "whole numbers": (lstm(node("Cast", "Y", "y", to=6)), "no floating-point numbers"),
    "cell": (lstm(outputs=["Yc"]), "is the cell of node"),
    "lengths": (
        model([node("LSTM", "x W R B n", "Y", hidden_size=UNITS)], {**LSTM, "n": LENGTHS}, BY_TIME, ["Y"]),
        "has sequence_lens, 'n', that are not known to be the full 5",
    ),
    "a state that is not zero": (
        model(
            [node("LSTM", "x W R B - h c", "Y", hidden_size=UNITS)],
            {**LSTM, "h": np.ones((1, BATCH, UNITS), np.float32), "c": np.zeros((1, BATCH, UNITS), np.float32)},
            BY_TIME,
            ["Y"],
        ),
        "begins with the state 'h', which is not zero.*as Model.stream does",
    ),
    "a state of another layer": (
        model(
            [GATED, node("Squeeze", "Y i", "Y2"), node("LSTM", "Y2 W2 R B - Yh Yc", "Z", hidden_size=UNITS)],
            {**LSTM, "W2": LSTM["R"], "i": ONE},
            BY_TIME,
            ["Z"],
        ),
        "begins with the state 'Yh', which is not zero",
    ),
    "weights that are fed": (
        model([GATED], {"R": LSTM["R"], "B": LSTM["B"]}, {**BY_TIME, "W": LSTM["W"].shape}, ["Y"]),
        "its weights W are no constant.*export the model with its weights",
    ),
    "another input": (lstm(outputs=["Y"], inputs={**BY_TIME, "z": (1, 2)}), "further inputs, z"),
    "two answers": (
        lstm(node("Relu", "Y", "a"), node("Tanh", "Y", "b"), outputs=["a", "b"]),
        'several answers, a, b; choose one: spec=."output": "a"',
    ),
    "an unused weight": (lstm(outputs=["Y"], extra=ROW), "constant 'extra' is not used for the answer"),
    "a decoder": (
        lstm(
            node("Squeeze", "Y one", "s"),
            node("Gather", "s i", "l"),
            node("Unsqueeze", "l zero", "u"),
            node("RNN", "u W2 R2", "y", hidden_size=UNITS),
            one=ONE, i=np.array(-1), zero=ONE * 0, W2=LSTM["R"][:, :UNITS], R2=LSTM["R"][:, :UNITS],
        ),
        "reads a single step that an earlier node took",
    ),
    "batch as time": (
        lstm(
            node("Squeeze", "Y one", "s"),
            node("RNN", "s W2 R2", "y", hidden_size=UNITS, layout=1),
            one=ONE, W2=LSTM["R"][:, :UNITS], R2=LSTM["R"][:, :UNITS],
        ),
        "reads axes of another meaning",
    ),
    "no recurrent node": (model([node("MatMul", "x w", "y")], {"w": W[:INPUTS]}), "no RNN, GRU or LSTM leads to"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_is_named(name: str, tmp_path: Path) -> None:
    made, words = REFUSED[name]
    with pytest.raises(FileError, match=words):
        importers.load(written(tmp_path, made))


def test_one_of_several_answers(tmp_path: Path) -> None:
    nodes = [node("Relu", "each", "a"), node("Sigmoid", "each", "b")]
    first, own = before()
    own.pop("end")
    path = written(tmp_path, model([*first[:4], *nodes], own, outputs=["b", "a"]))
    agree(path, {"output": "b"})
    unused = written(tmp_path, model(first[:4], {**own, "extra": ROW}, outputs=["each"]))
    agree(unused, {"ignore": ["extra"]})


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"output": "z"}, "output is 'z', and the graph has Y"),
        ({"window": 4}, "window is 4, and the graph has 5"),
        ({"window": 0}, "window must be a number of steps"),
        ({"ignore": ["z"]}, "ignore must be a list of constants"),
        ({"order": []}, "unknown key 'order'"),
    ],
)
def test_a_spec_that_does_not_fit(spec: Any, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, lstm(outputs=["Y"]))
    with pytest.raises(InputError, match=words):
        importers.load(path, spec)


def test_versions_that_are_not_read(tmp_path: Path) -> None:
    made = lstm(outputs=["Y"])
    made.opset_import[0].version = 23
    with pytest.raises(FileError, match="operators of version 23, and 7 to 22 are read; convert it"):
        importers.load(written(tmp_path, made))
    made.opset_import[0].version = 17
    made.graph.node[0].domain = "com.example"
    with pytest.raises(FileError, match="of com.example, no standard operator"):
        importers.load(written(tmp_path, made))
