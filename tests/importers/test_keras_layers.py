"""Each layer of Keras, and each option that changes what it computes, against a forward pass by hand in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import FileError
from gatewise.importers import check, load, origins
from importers import keras_passes as by_hand
from importers.keras_files import Layer, dense, draw, recurrent, saved
from importers.keras_passes import Array, error

pytestmark = pytest.mark.usefixtures("in_process")

STEPS, INPUTS, UNITS = 7, 3, 4
X = np.random.default_rng(0).normal(size=(5, STEPS, INPUTS))
PASSES: dict[str, Any] = {"LSTM": by_hand.lstm, "GRU": by_hand.gru, "SimpleRNN": by_hand.rnn}
ALL = {"return_sequences": True}


def answers(
    folder: Path, layers: list[Layer], version: int = 2, shape: tuple[int | None, ...] = (STEPS, INPUTS)
) -> Array:
    """What the import of a Sequential model says to X at each step."""
    return load(saved(folder, layers, shape, version)).run(X)


def wide(layer: Layer) -> dict[str, Array]:
    """The weights of a layer in float64."""
    return {name: value.astype(np.float64) for name, value in layer.weights.items()}


def own(layer: Layer) -> list[Array]:
    return [*wide(layer).values()]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_recurrent_layers(kind: str, version: int, tmp_path: Path) -> None:
    config: dict[str, Any] = {"activation": "tanh"}
    if kind != "SimpleRNN":
        config["recurrent_activation"] = "sigmoid"
    if kind == "GRU":
        config["reset_after"] = version == 3
    layer = recurrent(kind, INPUTS, UNITS, 1, **config)
    found = answers(tmp_path, [layer], version)
    assert error(found[:, -1], PASSES[kind](X, *own(layer))[:, -1]) < 1e-5


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_without_bias(kind: str, tmp_path: Path) -> None:
    layer = recurrent(kind, INPUTS, UNITS, 2, use_bias=False, recurrent_activation="sigmoid", reset_after=False, **ALL)
    if kind == "SimpleRNN":
        del layer.config["recurrent_activation"], layer.config["reset_after"]
    gates = layer.weights["kernel"].shape[1]
    assert error(answers(tmp_path, [layer]), PASSES[kind](X, *own(layer), np.zeros(gates))) < 1e-5


@pytest.mark.parametrize(("after", "version"), [(True, 2), (False, 2), (True, 3), (False, 3), (None, 2), (None, 3)])
def test_where_the_reset_gate_of_a_gru_acts(after: bool | None, version: int, tmp_path: Path) -> None:
    """Keras 3 has reset_after by default, and the first versions of Keras 2 did not have it at all."""
    told = {} if after is None else {"reset_after": after}
    layer = recurrent("GRU", INPUTS, UNITS, 3, recurrent_activation="sigmoid", **ALL, **told)
    if after is None and version == 3:
        layer.weights["bias"] = draw(np.random.default_rng(4), 2, 3 * UNITS)
    assert error(answers(tmp_path, [layer], version), by_hand.gru(X, *own(layer))) < 1e-5


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_hard_sigmoid_is_that_of_the_version(kind: str, version: int, tmp_path: Path) -> None:
    if version == 1:
        layer = old_layer(kind)
    else:
        layer = recurrent(kind, INPUTS, UNITS, 5, recurrent_activation="hard_sigmoid", reset_after=False, **ALL)
        if kind == "LSTM":
            del layer.config["reset_after"]
    gate = by_hand.new_hard_sigmoid if version == 3 else by_hand.old_hard_sigmoid
    weights = joined(layer) if version == 1 else own(layer)
    assert error(answers(tmp_path, [layer], version), PASSES[kind](X, *weights, gate=gate)) < 1e-5


OLD_GATES = {"LSTM": "icfo", "GRU": "zrh"}
"""The order in which Keras 1 stores the matrices of the gates."""


def old_layer(kind: str) -> Layer:
    """A layer of Keras 1 with a matrix for each gate."""
    rng = np.random.default_rng(6)
    config = {"output_dim": UNITS, "inner_activation": "hard_sigmoid", "activation": "tanh", "consume_less": "cpu",
              "init": "glorot_uniform", "inner_init": "orthogonal", "forget_bias_init": "one", "dropout_W": 0.1,
              "dropout_U": 0.0, "W_regularizer": None, "input_dim": INPUTS, **ALL}  # fmt: skip
    weights = {}
    for gate in OLD_GATES[kind]:
        weights |= {f"W_{gate}": draw(rng, INPUTS, UNITS), f"U_{gate}": draw(rng, UNITS, UNITS)}
        weights[f"b_{gate}"] = draw(rng, UNITS)
    return Layer(kind, config, weights)


def joined(layer: Layer) -> list[Array]:
    """The matrices of Keras 1 side by side in the order of Keras 2, as its `preprocess_weights_for_loading` does."""
    order = {"LSTM": "ifco", "GRU": "zrh"}[layer.kind]
    found = wide(layer)
    return [np.concatenate([found[f"{matrix}_{gate}"] for gate in order], axis=-1) for matrix in "WUb"]


def test_keras_1_with_its_dense_and_normalisation(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    first = old_layer("LSTM")
    second = Layer("Dense", {"output_dim": 2, "activation": "relu", "bias": True, "init": "glorot_uniform"},
                   {"W": draw(rng, UNITS, 2), "b": draw(rng, 2)})  # fmt: skip
    third = Layer("BatchNormalization", {"epsilon": 1e-3, "mode": 0, "axis": -1, "gamma_init": "one"},
                  {"gamma": draw(rng, 2), "beta": draw(rng, 2), "running_mean": draw(rng, 2),
                   "running_std": np.abs(draw(rng, 2)) + 0.1})  # fmt: skip
    h = by_hand.lstm(X, *joined(first), gate=by_hand.old_hard_sigmoid)
    y = np.maximum(h @ wide(second)["W"] + wide(second)["b"], 0)
    gamma, beta, mean, variance = own(third)
    wanted = gamma * (y - mean) / np.sqrt(variance + 1e-3) + beta
    assert error(answers(tmp_path, [first, second, third], 1), wanted) < 1e-5


def test_keras_1_with_joined_gates(tmp_path: Path) -> None:
    given = recurrent("LSTM", INPUTS, UNITS, 8)
    layer = old_layer("LSTM")
    layer.weights = dict(zip("WUb", given.weights.values(), strict=True))
    layer.config["consume_less"] = "gpu"
    assert error(answers(tmp_path, [layer], 1), by_hand.lstm(X, *own(given), gate=by_hand.old_hard_sigmoid)) < 1e-5


@pytest.mark.parametrize("kind", ["CuDNNLSTM", "CuDNNGRU"])
def test_cudnn(kind: str, tmp_path: Path) -> None:
    """cuDNN has its matrices (H, I) and (H, H) gate by gate, each block flattened to a block (I, H) of the kernel."""
    layer = recurrent(kind, INPUTS, UNITS, 9, **ALL)
    count = layer.weights["kernel"].shape[1] // UNITS
    found = wide(layer)
    blocks = np.split(found["kernel"], count, axis=1), np.split(found["recurrent_kernel"], count, axis=1)
    kernel = np.concatenate([block.reshape(UNITS, INPUTS).T for block in blocks[0]], axis=1)
    matrix = np.concatenate([block.T for block in blocks[1]], axis=1)
    bias = found["bias"].reshape(2, -1)
    wanted = by_hand.gru(X, kernel, matrix, bias) if "GRU" in kind else by_hand.lstm(X, kernel, matrix, bias.sum(0))
    assert error(answers(tmp_path, [layer]), wanted) < 1e-5


@pytest.mark.parametrize("sequences", [True, False])
def test_go_backwards(sequences: bool, tmp_path: Path) -> None:
    """What it writes stays in the order in which it was read."""
    layers = [
        recurrent("LSTM", INPUTS, UNITS, 10, go_backwards=True, return_sequences=True, recurrent_activation="sigmoid"),
        recurrent("SimpleRNN", UNITS, 2, 11, go_backwards=True, return_sequences=sequences),
    ]
    wanted = by_hand.rnn(by_hand.lstm(X[:, ::-1], *own(layers[0]))[:, ::-1], *own(layers[1]))
    found = answers(tmp_path, layers)
    assert error(found, wanted) < 1e-5 if sequences else error(found[:, -1], wanted[:, -1]) < 1e-5


def both_ways(kind: str, units: int, inputs: int, seed: int, merge: str, **config: Any) -> tuple[Layer, Layer, Layer]:
    """A bidirectional layer, and its two directions."""
    one, other = (recurrent(kind, inputs, units, seed + i, **config) for i in (0, 1))
    weights = {f"forward_a/{name}": value for name, value in one.weights.items()}
    weights |= {f"backward_a/{name}": value for name, value in other.weights.items()}
    inner = {"class_name": kind, "config": {"name": "a", **one.config}}
    return Layer("Bidirectional", {"merge_mode": merge, "layer": inner}, weights), one, other


MERGED = {
    "concat": lambda a, b: np.concatenate([a, b], axis=-1),
    "sum": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "ave": lambda a, b: (a + b) / 2,
}


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("merge", MERGED)
def test_bidirectional(merge: str, sequences: bool, tmp_path: Path) -> None:
    layer, one, other = both_ways("GRU", UNITS, INPUTS, 12, merge, recurrent_activation="sigmoid", reset_after=True,
                                  return_sequences=sequences)  # fmt: skip
    last = dense(8 if merge == "concat" else 4, 2, 14, activation="tanh")
    forward, backward = by_hand.gru(X, *own(one)), by_hand.gru(X[:, ::-1], *own(other))
    merged = MERGED[merge](forward, backward[:, ::-1]) if sequences else MERGED[merge](forward[:, -1], backward[:, -1])
    wanted = by_hand.dense(merged, *own(last), activation=np.tanh)
    found = answers(tmp_path, [layer, last])
    assert error(found if sequences else found[:, -1], wanted) < 1e-5


def test_bidirectional_in_a_keras_file(tmp_path: Path) -> None:
    layer, one, other = both_ways("LSTM", UNITS, INPUTS, 15, "concat", recurrent_activation="sigmoid", **ALL)
    layer.weights = {name.replace("_a/", "_layer/"): value for name, value in layer.weights.items()}
    wanted = np.concatenate([by_hand.lstm(X, *own(one)), by_hand.lstm(X[:, ::-1], *own(other))[:, ::-1]], axis=2)
    assert error(answers(tmp_path, [layer], 3), wanted) < 1e-5


@pytest.mark.parametrize("version", [2, 3])
def test_cells_in_a_layer(version: int, tmp_path: Path) -> None:
    first = recurrent("LSTMCell", INPUTS, UNITS, 16, recurrent_activation="sigmoid", name="a")
    second = recurrent("SimpleRNNCell", UNITS, 2, 17, name="b")
    cells = [{"class_name": each.kind, "config": each.config} for each in (first, second)]
    stacked = {"class_name": "StackedRNNCells", "config": {"cells": cells}}
    folders = ("cells/lstm_cell", "cells/simple_rnn_cell") if version == 3 else ("a", "b")
    weights = {f"{folder}/{name}": value for folder, each in zip(folders, (first, second), strict=True)
               for name, value in each.weights.items()}  # fmt: skip
    layer = Layer("RNN", {"cell": stacked, **ALL}, weights)
    wanted = by_hand.rnn(by_hand.lstm(X, *own(first)), *own(second))
    assert error(answers(tmp_path, [layer], version), wanted) < 1e-5


def test_an_lstm_applies_its_activation_to_the_cell_as_well(tmp_path: Path) -> None:
    layer = recurrent("LSTM", INPUTS, UNITS, 18, activation="softsign", recurrent_activation="sigmoid", **ALL)
    wanted = by_hand.lstm(X, *own(layer), activation=lambda x: x / (1 + np.abs(x)))
    assert error(answers(tmp_path, [layer]), wanted) < 1e-5


LSTM = recurrent("LSTM", INPUTS, UNITS, 20, recurrent_activation="sigmoid", **ALL)
H = by_hand.lstm(X, *(value.astype(np.float64) for value in LSTM.weights.values()))
RNG = np.random.default_rng(21)
NORM = {name: draw(RNG, UNITS) for name in ("gamma", "beta", "moving_mean")}
NORM["moving_variance"] = np.abs(draw(RNG, UNITS)) + 0.1
G, B, M, V = (value.astype(np.float64) for value in NORM.values())


def centred(x: Array) -> Array:
    return x - x.mean(-1, keepdims=True)


AFTER: dict[str, tuple[Layer, Array]] = {
    "Dropout": (Layer("Dropout", {"rate": 0.5, "noise_shape": [1, 2]}), H),
    "SpatialDropout1D": (Layer("SpatialDropout1D", {"rate": 0.5}), H),
    "GaussianNoise": (Layer("GaussianNoise", {"stddev": 0.5}), H),
    "GaussianDropout": (Layer("GaussianDropout", {"rate": 0.5}), H),
    "ActivityRegularization": (Layer("ActivityRegularization", {"l1": 0.5, "l2": 0.1}), H),
    "Activation": (Layer("Activation", {"activation": "relu"}), np.maximum(H, 0)),
    "softmax": (Layer("Activation", {"activation": "softmax"}), np.exp(H) / np.exp(H).sum(-1, keepdims=True)),
    "Softmax": (Layer("Softmax", {"axis": -1}), np.exp(H) / np.exp(H).sum(-1, keepdims=True)),
    "LeakyReLU": (Layer("LeakyReLU", {"alpha": 0.3}), np.where(H > 0, H, 0.3 * H)),
    "ELU": (Layer("ELU", {"alpha": 0.5}), np.where(H > 0, H, 0.5 * np.expm1(H))),
    "ReLU": (Layer("ReLU", {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}), np.maximum(H, 0)),
    "ReLU to 6": (Layer("ReLU", {"max_value": 6.0}), np.clip(H, 0, 6)),
    "ReLU with a slope": (Layer("ReLU", {"negative_slope": 0.1}), np.where(H > 0, H, 0.1 * H)),
    "ReLU from a threshold": (Layer("ReLU", {"threshold": 0.2}), np.where(H > 0.2, H, 0)),
    "ThresholdedReLU": (Layer("ThresholdedReLU", {"theta": 0.1}), np.where(H > 0.1, H, 0)),
    "BatchNormalization": (
        Layer("BatchNormalization", {"axis": [2], "epsilon": 1e-3, "momentum": 0.9}, NORM),
        G * (H - M) / np.sqrt(V + 1e-3) + B,
    ),
    "BatchNormalization without scale": (
        Layer("BatchNormalization", {"axis": -1, "scale": False, "epsilon": 1e-2},
              {name: value for name, value in NORM.items() if name != "gamma"}),
        (H - M) / np.sqrt(V + 1e-2) + B,
    ),
    "BatchNormalization without center": (
        Layer("BatchNormalization", {"axis": -1, "center": False},
              {name: value for name, value in NORM.items() if name != "beta"}),
        G * (H - M) / np.sqrt(V + 1e-3),
    ),
    "LayerNormalization": (
        Layer("LayerNormalization", {"axis": [-1], "epsilon": 1e-3}, {"gamma": NORM["gamma"], "beta": NORM["beta"]}),
        G * centred(H) / np.sqrt((centred(H) ** 2).mean(-1, keepdims=True) + 1e-3) + B,
    ),
    "LayerNormalization alone": (
        Layer("LayerNormalization", {"axis": 2, "scale": False, "center": False}),
        centred(H) / np.sqrt((centred(H) ** 2).mean(-1, keepdims=True) + 1e-3),
    ),
    "RMSNormalization": (
        Layer("RMSNormalization", {"axis": [-1], "epsilon": 1e-6}, {"scale": NORM["gamma"]}),
        G * H / np.sqrt((H**2).mean(-1, keepdims=True) + 1e-6),
    ),
    "Rescaling": (Layer("Rescaling", {"scale": 0.5, "offset": [1.0, 2.0, 3.0, 4.0]}), 0.5 * H + [1, 2, 3, 4]),
    "Normalization": (
        Layer("Normalization", {"axis": [-1], "invert": False},
              {"mean": NORM["moving_mean"], "variance": NORM["moving_variance"], "count": np.int64(9)}),
        (H - M) / np.sqrt(V),
    ),
    "Normalization by options": (
        Layer("Normalization", {"axis": -1, "invert": True, "mean": [1, 2, 3, 4], "variance": [[1, 4, 9, 16]]}),
        H * [1, 2, 3, 4] + [1, 2, 3, 4],
    ),
    "Reshape": (Layer("Reshape", {"target_shape": [STEPS, UNITS]}), H),
}  # fmt: skip


def at_the_inputs() -> dict[str, tuple[Layer, Array]]:
    rng, x = np.random.default_rng(40), X
    weights = {name: draw(rng, 3) for name in ("gamma", "beta", "moving_mean")}
    weights["moving_variance"] = np.abs(draw(rng, 3)) + 0.1
    weights["gamma"] = np.array([0.5, 1.5, 2.5], np.float32)
    negative = {**weights, "gamma": np.array([0.5, -1.5, 2.5], np.float32)}
    g, b, m, v = (value.astype(np.float64) for value in weights.values())
    plain = (x - m) / np.sqrt(v + 1e-3)
    return {
        "positive": (Layer("BatchNormalization", {"axis": 2}, weights), g * plain + b),
        "negative": (Layer("BatchNormalization", {"axis": 2}, negative), g * [1, -1, 1] * plain + b),
        "a constant": (Layer("Rescaling", {"scale": 0.0, "offset": 0.5}), 0 * x + 0.5),
    }


@pytest.mark.parametrize("before", ["lstm", "both", "dense", "norm", "activation", "nothing"])
@pytest.mark.parametrize("name", at_the_inputs())
def test_scaling_of_the_inputs(name: str, before: str, tmp_path: Path) -> None:
    """It becomes the scaling of the input stage, or is folded into what comes next."""
    layer, x = at_the_inputs()[name]
    rest: list[Layer] = []
    wanted = x
    if before == "lstm":
        rest = [LSTM]
        wanted = by_hand.lstm(x, *own(LSTM))
    elif before == "both":
        both, one, other = both_ways("SimpleRNN", UNITS, INPUTS, 41, "concat", **ALL)
        rest = [both]
        wanted = np.concatenate([by_hand.rnn(x, *own(one)), by_hand.rnn(x[:, ::-1], *own(other))[:, ::-1]], axis=2)
    elif before == "dense":
        rest = [dense(INPUTS, 2, 42, activation="tanh")]
        wanted = by_hand.dense(x, *own(rest[0]), activation=np.tanh)
    elif before == "norm":
        rest = [Layer("LayerNormalization", {"axis": -1, "scale": False, "center": False})]
        wanted = centred(x) / np.sqrt((centred(x) ** 2).mean(-1, keepdims=True) + 1e-3)
    elif before == "activation":
        rest = [Layer("Activation", {"activation": "tanh"})]
        wanted = np.tanh(x)
    assert error(answers(tmp_path, [layer, *rest]), wanted) < 1e-5


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("name", AFTER)
def test_layers_behind_an_lstm(name: str, at_end: bool, tmp_path: Path) -> None:
    """At the end of the model, and before a layer that may take it up in its weights."""
    layer, wanted = AFTER[name]
    layers = [LSTM, layer]
    if not at_end:
        layers.append(recurrent("GRU", UNITS, 2, 22, recurrent_activation="sigmoid", reset_after=True, **ALL))
        wanted = by_hand.gru(wanted, *own(layers[-1]))
    assert error(answers(tmp_path, layers), wanted) < 1e-5


def test_an_affine_layer_before_a_norm_cannot_be_folded_into_it(tmp_path: Path) -> None:
    layers = [LSTM, AFTER["BatchNormalization"][0], AFTER["LayerNormalization"][0]]
    x = AFTER["BatchNormalization"][1]
    wanted = G * centred(x) / np.sqrt((centred(x) ** 2).mean(-1, keepdims=True) + 1e-3) + B
    assert error(answers(tmp_path, layers), wanted) < 1e-5


ACTIVATIONS: dict[str, Any] = {
    "linear": by_hand.linear,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "tanh": np.tanh,
    "sigmoid": by_hand.sigmoid,
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: 1.05070098 * np.where(x > 0, x, 1.67326324 * np.expm1(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "exponential": np.exp,
    "swish": lambda x: x * by_hand.sigmoid(x),
    "silu": lambda x: x * by_hand.sigmoid(x),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "hard_silu": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "log_sigmoid": lambda x: np.log(by_hand.sigmoid(x)),
    "hard_sigmoid": by_hand.new_hard_sigmoid,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str, tmp_path: Path) -> None:
    layer = dense(INPUTS, 6, 23, activation=name)
    assert error(answers(tmp_path, [layer], 3), by_hand.dense(X, *own(layer), activation=ACTIVATIONS[name])) < 1e-5


def test_gelu_is_the_exact_one(tmp_path: Path) -> None:
    from math import erf, sqrt

    layer = dense(INPUTS, 6, 24, activation="gelu")
    wanted = by_hand.dense(X, *own(layer), activation=np.vectorize(lambda x: 0.5 * x * (1 + erf(x / sqrt(2)))))
    assert error(answers(tmp_path, [layer], 3), wanted) < 1e-5


def test_an_activation_that_is_a_layer(tmp_path: Path) -> None:
    slope = {"class_name": "LeakyReLU", "config": {"name": "l", "negative_slope": 0.25}}
    layer = dense(INPUTS, 6, 25, activation=slope, use_bias=False)
    wanted = by_hand.dense(X, *own(layer), activation=lambda x: np.where(x > 0, x, 0.25 * x))
    assert error(answers(tmp_path, [layer], 3), wanted) < 1e-5


@pytest.mark.parametrize("version", [2, 3])
def test_time_distributed(version: int, tmp_path: Path) -> None:
    inner = dense(UNITS, 2, 26, activation="tanh")
    weights = {f"layer/{name}": value for name, value in inner.weights.items()} if version == 3 else inner.weights
    layer = Layer(
        "TimeDistributed", {"layer": {"class_name": "Dense", "config": {"name": "d", **inner.config}}}, weights
    )
    wanted = by_hand.dense(H, *own(inner), activation=np.tanh)
    assert error(answers(tmp_path, [LSTM, layer], version), wanted) < 1e-5


def test_flatten_behind_the_last_step_is_nothing(tmp_path: Path) -> None:
    layers = [
        recurrent("LSTM", INPUTS, UNITS, 20, recurrent_activation="sigmoid"),
        Layer("Flatten"),
        dense(UNITS, 2, 27),
    ]
    wanted = by_hand.dense(H[:, -1], *own(layers[2]))
    assert error(answers(tmp_path, layers)[:, -1], wanted) < 1e-5


def test_another_shape_of_an_answer(tmp_path: Path) -> None:
    """Two columns at three steps, forecast at once."""
    last = recurrent("LSTM", INPUTS, UNITS, 20, recurrent_activation="sigmoid")
    layers = [last, dense(UNITS, 6, 27), Layer("Reshape", {"target_shape": [3, 2]})]
    wanted = by_hand.dense(H[:, -1], *own(layers[1])).reshape(-1, 3, 2)
    model = load(saved(tmp_path, layers, (STEPS, INPUTS)))
    assert error(model.run(X)[:, -1].reshape(-1, 3, 2), wanted) < 1e-5
    assert check(model, X, wanted).holds
    with pytest.raises(FileError, match=r"layer 'reshape_2' \(Reshape\) is followed by another layer"):
        answers(tmp_path, [*layers, dense(2, 1, 28)])


def test_masking_that_the_user_says_to_ignore(tmp_path: Path) -> None:
    path = saved(tmp_path, [Layer("Masking", {"mask_value": -1.0}), LSTM], (STEPS, INPUTS))
    model = load(path, {"masking": "ignore"})
    assert error(model.run(X), H) < 1e-5
    assert "ignore" in origins(model).layers[0].converted[0]
    assert error(load(path, '{"masking": "ignore"}').run(X), H) < 1e-5


def test_a_model_without_time_answers_each_row(tmp_path: Path) -> None:
    layers = [dense(INPUTS, 4, 28, activation="tanh"), dense(4, 1, 29)]
    wanted = by_hand.dense(by_hand.dense(X, *own(layers[0]), activation=np.tanh), *own(layers[1]))
    assert error(answers(tmp_path, layers, 2, (INPUTS,)), wanted) < 1e-5


def test_context(tmp_path: Path) -> None:
    """A window if it answers once for a sequence of fixed length; else the state is carried."""
    last = recurrent("LSTM", INPUTS, UNITS, 30)
    assert load(saved(tmp_path, [last], (STEPS, INPUTS))).window == STEPS
    assert load(saved(tmp_path, [last], (None, INPUTS))).window is None
    assert load(saved(tmp_path, [LSTM], (STEPS, INPUTS))).window is None
    last.config["stateful"] = True
    assert load(saved(tmp_path, [last], (STEPS, INPUTS))).window is None


def test_a_stateful_model_goes_on_where_it_was(tmp_path: Path) -> None:
    layer = recurrent("LSTM", INPUTS, UNITS, 31, stateful=True, recurrent_activation="sigmoid")
    model = load(saved(tmp_path, [layer], (STEPS, INPUTS)))
    stream = model.stream()
    first, second = stream.push_many(X[0])[-1], stream.push_many(X[1])[-1]
    wanted = by_hand.lstm(np.concatenate([X[0], X[1]])[None], *own(layer))[0]
    assert error(np.stack([first, second]), wanted[[STEPS - 1, 2 * STEPS - 1]]) < 1e-5
