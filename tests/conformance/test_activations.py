"""Every activation against torch, ONNX Runtime and finite differences; those of the core also over all magnitudes.

`make native-test-full` sweeps every float; here every 2048th, through the built module.
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional

import gatewise
from gatewise import _core
from gatewise.errors import SpecError
from gatewise.layers.activation import CODES, ELEMENTWISE, Activation
from gatewise.layers.base import Array
from gatewise.layers.train.activations import activate

CPUS = _core.instruction_sets()
FLOATS = np.arange(0, 1 << 32, 2048, dtype=np.uint64).astype(np.uint32).view(np.float32)
FINITE = np.sort(FLOATS[np.isfinite(FLOATS)])
SMALLEST_NORMAL = np.finfo(np.float32).tiny

EXACT: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda x: np.where(x < 0, np.exp(np.minimum(x, 0)), 1.0) / (1 + np.exp(-np.abs(x))),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
}


def activation(name: str, x: Array, cpu: str) -> Array:
    """What a dense layer of one unit makes of x, with a weight of 1 and a bias of -0, which changes no bit of x."""
    weight, bias = np.ones((1, 1), np.float32), np.full(1, -0.0, np.float32)
    model = _core.Model([("dense", [0], 1, Activation(name).native(), [weight, bias])], [1, 1], 1, False, cpu)
    out = np.empty((1, len(x), 1), np.float32)
    model.run(x.reshape(1, -1, 1), np.empty((1, 0), np.float32), out)
    return out[0, :, 0]


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("name", EXACT)
def test_within_the_stated_error_of_float64(name: str, cpu: str) -> None:
    with np.errstate(under="ignore"):
        exact = EXACT[name](FINITE.astype(np.float64))
    got = activation(name, FINITE, cpu).astype(np.float64)
    assert np.abs(got - exact).max() <= 3e-7
    assert np.isfinite(got).all()


@pytest.mark.parametrize("cpu", CPUS)
def test_tanh_is_relative_near_zero(cpu: str) -> None:
    near = FINITE[(np.abs(FINITE) < 0.5) & (np.abs(FINITE) >= SMALLEST_NORMAL)]
    exact = np.tanh(near.astype(np.float64))
    assert np.abs(activation("tanh", near, cpu) / exact - 1).max() <= 1e-6
    tiny = np.array([0.0, -0.0, 1e-20, -1e-20], np.float32)
    assert activation("tanh", tiny, cpu).tobytes() == tiny.tobytes()


@pytest.mark.parametrize("cpu", CPUS)
def test_sigmoid_is_relative_on_the_left(cpu: str) -> None:
    left = FINITE[(FINITE < 0) & (FINITE > -80)]
    exact = EXACT["sigmoid"](left.astype(np.float64))
    assert np.abs(activation("sigmoid", left, cpu) / exact - 1).max() <= 1e-6


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize(("name", "low", "high"), [("sigmoid", 0.0, 1.0), ("tanh", -1.0, 1.0)])
def test_never_beyond_the_bounds_and_never_falling(name: str, low: float, high: float, cpu: str) -> None:
    got = activation(name, FINITE, cpu)
    assert got.min() == low
    assert got.max() == high
    # Rounding may make neighbours step back by an ulp or two, no more.
    assert np.diff(got.astype(np.float64)).min() >= -2.5e-7


@pytest.mark.parametrize("cpu", CPUS)
def test_at_infinity_and_nan(cpu: str) -> None:
    x = np.array([np.inf, -np.inf, np.nan, -np.nan] * 9, np.float32)
    nan = [np.nan, np.nan]
    for name, wanted in (("sigmoid", [1, 0, *nan]), ("tanh", [1, -1, *nan]), ("relu", [np.inf, 0, *nan])):
        np.testing.assert_array_equal(activation(name, x, cpu), np.array(wanted * 9, np.float32))


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("name", EXACT)
def test_a_value_does_not_depend_on_where_it_stands(name: str, cpu: str) -> None:
    # Tails shorter than a vector go another way than whole vectors.
    x = np.random.default_rng(0).normal(0, 4, 67).astype(np.float32)
    whole = activation(name, x, cpu)
    for length in range(68):
        assert activation(name, x[:length].copy(), cpu).tobytes() == whole[:length].tobytes()


# ---- every activation, in NumPy, torch and the core ----

Truth = Callable[[torch.Tensor], torch.Tensor]

TRUTHS: list[tuple[Any, Truth]] = [
    ("linear", lambda x: x),
    ("relu", functional.relu),
    ("tanh", torch.tanh),
    ("sigmoid", torch.sigmoid),
    ({"kind": "hard_sigmoid", "slope": 1 / 6, "offset": 0.5}, lambda x: functional.relu6(x + 3) / 6),
    ({"kind": "hard_sigmoid", "slope": 0.2, "offset": 0.5}, lambda x: (0.2 * x + 0.5).clamp(0, 1)),
    ({"kind": "affine", "alpha": -0.75, "beta": 2.0}, lambda x: 2.0 - 0.75 * x),
    ({"kind": "leaky_relu", "alpha": 0.01}, functional.leaky_relu),
    ({"kind": "leaky_relu", "alpha": -0.3}, lambda x: functional.leaky_relu(x, -0.3)),
    ({"kind": "thresholded_relu", "alpha": 1.0}, lambda x: functional.threshold(x, 1.0, 0.0)),
    ({"kind": "thresholded_relu", "alpha": -1.5}, lambda x: functional.threshold(x, -1.5, 0.0)),
    ({"kind": "scaled_tanh", "alpha": 1.7159, "beta": 2 / 3}, lambda x: 1.7159 * torch.tanh(x * 2 / 3)),
    ({"kind": "scaled_tanh", "alpha": 0.0, "beta": 2.0}, lambda x: 0.0 * x),
    ({"kind": "elu", "alpha": 1.0}, functional.elu),
    ({"kind": "elu", "alpha": 0.3}, lambda x: functional.elu(x, 0.3)),
    ({"kind": "elu", "alpha": -0.3}, lambda x: functional.elu(x, -0.3)),
    ("selu", functional.selu),
    ("softsign", functional.softsign),
    ("softplus", lambda x: torch.logaddexp(x, torch.zeros_like(x))),
    ("silu", functional.silu),
    ("gelu", functional.gelu),
    ("exponential", torch.exp),
    ("gelu_tanh", lambda x: functional.gelu(x, approximate="tanh")),
    ("relu6", functional.relu6),
    ("hard_tanh", functional.hardtanh),
    ("hard_silu", functional.hardswish),
    ("mish", functional.mish),
    ("log_sigmoid", functional.logsigmoid),
]
"""Each kind, those with a number at several, and torch's own."""

IDS = [plain if isinstance(plain, str) else " ".join(map(str, plain.values())) for plain, _ in TRUTHS]
EVERY = pytest.mark.parametrize(("plain", "truth"), TRUTHS, ids=IDS)
GRID = np.linspace(-30, 30, 4801)
"""Among them all corners."""


def parse(plain: object) -> Activation:
    return Activation.parse("activation", plain, tuple(CODES))


def test_every_activation_has_a_truth() -> None:
    assert {parse(plain).kind for plain, _ in TRUTHS} == {*CODES} - {"softmax"} == {*ELEMENTWISE}


def test_codes_are_those_of_the_header() -> None:
    header = (Path(gatewise.__file__).parent / "native/include/gatewise_activations.h").read_text()
    named = {name.lower(): int(code) for name, code in re.findall(r"GW_(\w+) = (\d+),", header)}
    assert named == CODES
    assert sorted(CODES.values()) == list(range(len(CODES)))


@EVERY
def test_numpy_and_torch_are_torchs_own(plain: Any, truth: Truth) -> None:
    act, x = parse(plain), torch.from_numpy(GRID)
    wanted = truth(x).numpy()
    for got in (act(GRID), activate(act, x).numpy()):
        np.testing.assert_allclose(got, wanted, rtol=1e-13, atol=1e-14)
    assert np.isnan(act(np.array([np.nan]))).all()


@EVERY
def test_the_bound_is_reached_and_kept(plain: Any, truth: Truth) -> None:
    act = parse(plain)
    greatest = np.abs(truth(torch.tensor([-600.0, 0.0, 600.0], dtype=torch.float64)).numpy()).max()
    if math.isfinite(act.bound):
        np.testing.assert_allclose(greatest, act.bound, rtol=2e-3)
        assert np.abs(act(GRID)).max() <= act.bound
    else:
        assert greatest > 100
    assert act.bounded == (act.bound <= 1)


@pytest.mark.parametrize("cpu", CPUS)
@EVERY
def test_the_core_within_the_stated_error(plain: Any, truth: Truth, cpu: str) -> None:
    # Through a dense layer of weight 1. Its width leaves a tail beside whole vectors.
    width = 19
    weights = {"dense0.weight": np.eye(width, dtype=np.float32), "dense0.bias": np.zeros(width, np.float32)}
    layer = gatewise.LayerSpec("dense", units=width, activation=plain)
    model = gatewise.Model(gatewise.ModelSpec(width, [layer]), weights, cpu=cpu)
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 3, 9 * width), rng.uniform(-85, 85, 9 * width), *np.outer([1e-3, 1e-9], [1, -1])])
    x = np.concatenate([x, np.zeros(-len(x) % width)]).astype(np.float32).reshape(-1, width)
    wanted = truth(torch.from_numpy(x.astype(np.float64))).numpy()
    got = model.run(x)
    assert (np.abs(got - wanted) <= 3e-7 * np.maximum(1, np.abs(wanted))).all()


# ---- against ONNX Runtime ----

OPERATORS: dict[str, tuple[Any, dict[str, Any]]] = {
    "Identity": ("linear", {}),
    "Relu": ("relu", {}),
    "Tanh": ("tanh", {}),
    "Sigmoid": ("sigmoid", {}),
    "HardSigmoid": ({"kind": "hard_sigmoid", "slope": 0.2, "offset": 0.5}, {}),
    "LeakyRelu": ({"kind": "leaky_relu", "alpha": 0.01}, {}),
    "ThresholdedRelu": ("thresholded_relu", {}),
    "Elu": ("elu", {}),
    "Selu": ("selu", {}),
    "Softsign": ("softsign", {}),
    "Softplus": ("softplus", {}),
    "Exp": ("exponential", {}),
    "Gelu": ("gelu", {}),
    "Gelu tanh": ("gelu_tanh", {"approximate": "tanh"}),
    "HardSwish": ("hard_silu", {}),
    "Mish": ("mish", {}),
}
"""Operators, with their defaults."""

RECURRENT: dict[str, tuple[Any, dict[str, Any]]] = {
    "Relu": ("relu", {}),
    "Tanh": ("tanh", {}),
    "Sigmoid": ("sigmoid", {}),
    "Affine": ({"kind": "affine", "alpha": 0.7, "beta": -0.2}, {"activation_alpha": [0.7], "activation_beta": [-0.2]}),
    "LeakyRelu": ({"kind": "leaky_relu", "alpha": 0.2}, {"activation_alpha": [0.2]}),
    "ThresholdedRelu": ({"kind": "thresholded_relu", "alpha": 0.5}, {"activation_alpha": [0.5]}),
    "ScaledTanh": (
        {"kind": "scaled_tanh", "alpha": 1.7, "beta": 0.6},
        {"activation_alpha": [1.7], "activation_beta": [0.6]},
    ),
    "HardSigmoid": (
        {"kind": "hard_sigmoid", "slope": 0.3, "offset": 0.4},
        {"activation_alpha": [0.3], "activation_beta": [0.4]},
    ),
    "Elu": ({"kind": "elu", "alpha": 0.6}, {"activation_alpha": [0.6]}),
    "Softsign": ("softsign", {}),
    "Softplus": ("softplus", {}),
}
"""All that the recurrent operators of ONNX can name."""


def in_onnxruntime(node: onnx.NodeProto, tensors: Mapping[str, Array], x: Array, rank: int) -> Array:
    """y (of that rank) of a node that reads x and the tensors."""
    graph = helper.make_graph(
        [node],
        "activation",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * rank)],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(made)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], {"x": x})[0])


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_of_onnx(name: str) -> None:
    plain, attributes = OPERATORS[name]
    x = GRID[::5].astype(np.float32)
    got = in_onnxruntime(helper.make_node(name.split()[0], ["x"], ["y"], **attributes), {}, x, 1)
    np.testing.assert_allclose(got, parse(plain)(x.astype(np.float64)), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", RECURRENT)
def test_activations_of_onnx_recurrent_operators(name: str) -> None:
    # A plain recurrent layer of one unit that forgets: y = f(1 x + 0 h).
    plain, attributes = RECURRENT[name]
    x = GRID[::5].astype(np.float32)
    weights = {"w": np.ones((1, 1, 1), np.float32), "r": np.zeros((1, 1, 1), np.float32)}
    node = helper.make_node("RNN", ["x", "w", "r"], ["y"], hidden_size=1, activations=[name], **attributes)
    got = in_onnxruntime(node, weights, x[:, None, None], 4)
    np.testing.assert_allclose(got.ravel(), parse(plain)(x.astype(np.float64)), rtol=2e-6, atol=2e-6)


# ---- how it is written ----


@EVERY
def test_what_is_read_is_written(plain: Any, truth: Truth) -> None:
    act = parse(plain)
    assert act.to_option() == plain
    assert parse(act) == act
    numbers = [value for name, value in plain.items() if name != "kind"] if isinstance(plain, dict) else []
    assert act.native() == [CODES[act.kind], *numbers, *[0.0] * (2 - len(numbers))]


def test_numbers_on_which_the_libraries_agree_may_be_left_out() -> None:
    for plain in ("elu", {"kind": "elu"}, {"kind": "elu", "alpha": 1}):
        assert parse(plain).to_option() == {"kind": "elu", "alpha": 1.0}
    assert parse("thresholded_relu").to_option() == {"kind": "thresholded_relu", "alpha": 1.0}


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        (
            "leaky_relu",
            r'leaky_relu has two .*"alpha": 0\.01} \(ONNX, torch\) or .*"alpha": 0\.2} \(Keras\)',
        ),
        ("hard_sigmoid", r'hard_sigmoid has two definitions.*"slope": 0\.2, "offset": 0\.5} \(Keras 1 and 2, ONNX\)'),
        ("affine", r'affine needs alpha and beta and no more, as in {"kind": "affine", "alpha": 1\.0, "beta": 1\.0}'),
        ({"kind": "scaled_tanh", "alpha": 1.0}, "scaled_tanh needs alpha and beta"),
        ({"kind": "elu", "beta": 1.0}, "elu needs alpha and no more"),
        ({"kind": "elu", "alpha": math.inf}, r"activation\.alpha must be a number from -1e\+06 to 1e\+06, got inf"),
        ({"kind": "elu", "alpha": math.nan}, r"activation\.alpha must be a number"),
        ({"kind": "leaky_relu", "alpha": "0.1"}, r"activation\.alpha must be a number"),
        ({"kind": "hard_sigmoid", "slope": 0.0, "offset": 0.0}, r"activation\.slope must be a number from 1e-06"),
        ({"kind": "tanh"}, "activation must be one of linear, .*got {'kind': 'tanh'}"),
        ({"kind": ["elu"]}, "activation must be one of"),
        ({}, "activation must be one of"),
        ("swish", "activation must be one of .*got 'swish'"),
        (None, "activation must be one of .*got None"),
    ],
    ids=str,
)
def test_refusals_say_what_to_write(plain: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse(plain)


def test_softmax_is_not_elementwise() -> None:
    with pytest.raises(SpecError, match="activation must be one of"):
        Activation.parse("activation", "softmax", ELEMENTWISE)
