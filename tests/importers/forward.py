"""Forward passes of torch's layers in float64, from the equations in torch's documentation, for state dicts."""

from collections.abc import Callable, Mapping

import numpy as np

from gatewise.layers.base import Array

Weights = Mapping[str, Array]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def rnn(x: Array, w: Weights, prefix: str, layer: int, act: Callable[[Array], Array] = np.tanh) -> Array:
    """(time, inputs) -> (time, units), from a zero state."""
    w_ih, w_hh, b_ih, b_hh = gates(w, prefix, layer)
    h, out = np.zeros(w_hh.shape[1]), []
    for row in x:
        h = act(w_ih @ row + b_ih + w_hh @ h + b_hh)
        out.append(h)
    return np.array(out)


def lstm(x: Array, w: Weights, prefix: str, layer: int) -> Array:
    w_ih, w_hh, b_ih, b_hh = gates(w, prefix, layer)
    h = c = np.zeros(w_hh.shape[1])
    out = []
    for row in x:
        i, f, g, o = np.split(w_ih @ row + b_ih + w_hh @ h + b_hh, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.array(out)


def linear(x: Array, w: Weights, prefix: str) -> Array:
    return x @ double(w[f"{prefix}.weight"]).T + double(w[f"{prefix}.bias"])


def batch_norm(x: Array, w: Weights, prefix: str, eps: float = 1e-5) -> Array:
    weight, bias, mean, var = (
        double(w[f"{prefix}.{key}"]) for key in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(var + eps) * weight + bias


def gates(w: Weights, prefix: str, layer: int) -> tuple[Array, ...]:
    return tuple(double(w[f"{prefix}.{key}_l{layer}"]) for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))


def double(value: Array) -> Array:
    return np.asarray(value, np.float64)
