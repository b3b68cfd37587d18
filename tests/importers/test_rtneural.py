"""RTNeural's JSON: its own models with the outputs of Keras and torch, and each layer against NumPy in float64."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise import _core, importers
from gatewise.errors import FileError, InputError
from gatewise.graph import reference_run
from gatewise.layers.base import Array


@pytest.mark.parametrize("name", ["lstm", "gru", "lstm_torch", "gru_torch"])
def test_streaming_gives_what_the_framework_gave(name: str, models_dir: Path) -> None:
    folder = models_dir / "rtneural-json"
    model = importers.load(folder / f"{name}.json")
    x, wanted = (np.loadtxt(folder / f"{name}_{part}_python.csv").reshape(-1, 1) for part in "xy")
    exact, _ = reference_run(model.graph, model.tensors, x[None])
    np.testing.assert_allclose(exact[0], wanted, rtol=0, atol=1e-6)
    for cpu in _core.instruction_sets():
        stream = gw.Model(model.spec, model.tensors, cpu=cpu).stream()
        answers = np.stack([stream.push(reading) for reading in x])
        np.testing.assert_allclose(answers, wanted, rtol=0, atol=1e-6)


def described(*layers: dict[str, Any], inputs: int = 3) -> dict[str, Any]:
    return {"in_shape": [None, None, inputs], "layers": list(layers)}


def dense(kernel: Array, bias: Array, activation: str = "", kind: str = "dense") -> dict[str, Any]:
    weights = [kernel.tolist(), bias.tolist()]
    return {"type": kind, "activation": activation, "shape": [None, None, len(bias)], "weights": weights}


def written(folder: Path, model: Any) -> Path:
    path = folder / "model.json"
    path.write_text(json.dumps(model))
    return path


RNG = np.random.default_rng(7)
KERNEL, BIAS = RNG.normal(size=(3, 4)), RNG.normal(size=4)
GAMMA, BETA, MEAN, VARIANCE = RNG.normal(size=4), RNG.normal(size=4), RNG.normal(size=4), RNG.uniform(0.5, 2, 4)
NORM = {"type": "batchnorm", "epsilon": 0.01, "shape": [None, None, 4]}
X = RNG.normal(size=(9, 3))
SUMS = X @ KERNEL + BIAS
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "": lambda x: x,
    "linear": lambda x: x,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("alone", [False, True])
def test_activations(name: str, alone: bool, tmp_path: Path) -> None:
    layers = [dense(KERNEL, BIAS, "" if alone else name, "time-distributed-dense")]
    if alone:
        layers.append({"type": "activation", "activation": name, "shape": [None, None, 4]})
    model = importers.load(written(tmp_path, described(*layers)))
    assert np.abs(model.run(X) - ACTIVATIONS[name](SUMS)).max() < 1e-5


def test_batch_norm(tmp_path: Path) -> None:
    plain = (SUMS - MEAN) / np.sqrt(VARIANCE + 0.01)
    two = {**NORM, "weights": [MEAN.tolist(), VARIANCE.tolist()]}
    four = {**NORM, "weights": [GAMMA.tolist(), BETA.tolist(), *two["weights"]]}
    for layer, wanted in ((two, plain), (four, plain * GAMMA + BETA)):
        model = importers.load(written(tmp_path, described(dense(KERNEL, BIAS), layer)))
        assert np.abs(model.run(X) - wanted).max() < 1e-5
        after = importers.load(written(tmp_path, described(dense(KERNEL, BIAS, "tanh"), layer)))
        gamma, beta = (GAMMA, BETA) if layer is four else (1, 0)
        scale = gamma / np.sqrt(VARIANCE + 0.01)
        shift = beta - MEAN * scale
        assert np.abs(after.run(X) - (np.tanh(SUMS) * scale + shift)).max() < 1e-5


LSTM = {"type": "lstm", "activation": "tanh", "shape": [2], "weights": [np.ones((3, 8)).tolist()] * 3}
REFUSED: dict[str, tuple[Any, str]] = {
    "conv1d": (described({"type": "conv1d", "shape": [4], "weights": []}), "layer 0 has the type 'conv1d'"),
    "prelu": (described(dense(KERNEL, BIAS, "prelu")), "layer 0 has the activation 'prelu'"),
    "swish": (described(dense(KERNEL, BIAS, "swish")), "'swish'; gatewise imports linear, tanh"),
    "relu lstm": (described({**LSTM, "activation": "relu"}), "'relu'; RTNeural always runs tanh"),
    "one bias of a gru": (
        described(
            {"type": "gru", "shape": [2], "weights": [np.ones((3, 6)).tolist(), np.ones((2, 6)).tolist(), [0.0] * 6]}
        ),
        r"shape \(6,\), expected \(2, 6\)",
    ),
    "no epsilon": (described(dense(KERNEL, BIAS), {**NORM, "epsilon": None, "weights": []}), "needs epsilon"),
    "three weights": (described(dense(KERNEL, BIAS), {**NORM, "weights": [[1.0] * 4] * 3}), "needs 4 arrays"),
    "option": (described({**dense(KERNEL, BIAS), "dilation": 2}), "unknown key 'dilation'"),
    "beside": ({**described(dense(KERNEL, BIAS)), "skip": 1}, "unknown key 'skip' beside in_shape"),
    "no layers": (described(), "layers must be a list"),
    "width": (described(dense(KERNEL, BIAS), inputs=5), r"shape \(3, 4\), expected \(5, 4\)"),
    "skip connection": (
        {"model_data": {"skip": 1}, "state_dict": {"lin.weight": [[1.0]], "lin.bias": [1.0]}},
        'beside the state dict at state_dict the file has \'model_data\', which can change.*"at": "state_dict"',
    ),
    "something else": ({"a": 1}, "no state dict in the file, which holds .* keys .'a'"),
    "two linears": ({"a.weight": [[1.0]], "b.weight": [[1.0]]}, "a state dict has no forward"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_is_named(name: str, tmp_path: Path) -> None:
    model, words = REFUSED[name]
    with pytest.raises(FileError, match=words):
        importers.load(written(tmp_path, model))


def test_a_state_dict_with_a_spec(tmp_path: Path) -> None:
    path = written(tmp_path, {"state_dict": {"a.weight": [[2.0]], "b.weight": [[3.0]]}, "model_data": {}})
    model = importers.load(path, {"order": ["a", "tanh", "b"], "at": "state_dict"})
    assert np.abs(model.run([[0.3]]) - 3 * np.tanh(0.6)).max() < 1e-6
    layers = written(tmp_path, described(dense(KERNEL, BIAS)))
    with pytest.raises(InputError, match="this file says all itself"):
        importers.load(layers, {"order": []})
