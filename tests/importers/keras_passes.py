"""Models of Keras by hand: float64 forward passes from Keras's documented equations. Nothing here uses gatewise.

x is (batch, time, inputs) float64. A recurrent layer returns all steps, (batch, time, units), in the order in which it
went through them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Function = Callable[[Array], Array]


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def old_hard_sigmoid(x: Array) -> Array:
    """Keras 1 and 2, and tf.keras."""
    return np.clip(0.2 * x + 0.5, 0.0, 1.0)


def new_hard_sigmoid(x: Array) -> Array:
    """Keras 3."""
    return np.clip(x / 6.0 + 0.5, 0.0, 1.0)


def linear(x: Array) -> Array:
    return x


def dense(x: Array, kernel: Array, bias: Array | float = 0.0, activation: Function = linear) -> Array:
    return activation(x @ kernel + bias)


def lstm(
    x: Array, kernel: Array, recurrent: Array, bias: Array, gate: Function = sigmoid, activation: Function = np.tanh
) -> Array:
    """Gates i, f, c, o along the last axis of kernel (I, 4H), recurrent (H, 4H) and bias (4H)."""
    h = c = np.zeros((len(x), len(recurrent)))
    steps = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, axis=1)
        c = gate(f) * c + gate(i) * activation(g)
        h = gate(o) * activation(c)
        steps.append(h)
    return np.stack(steps, axis=1)


def gru(
    x: Array, kernel: Array, recurrent: Array, bias: Array, gate: Function = sigmoid, activation: Function = np.tanh
) -> Array:
    """Gates z, r, h. A bias (2, 3H) says that the reset gate acts after the recurrent matrix, as in reset_after."""
    h = np.zeros((len(x), len(recurrent)))
    after = bias.ndim == 2
    own, other = bias if after else (bias, np.zeros_like(bias))
    u_z, u_r, u_h = np.split(recurrent, 3, axis=1)
    b_z, b_r, b_h = np.split(other, 3)
    steps = []
    for t in range(x.shape[1]):
        x_z, x_r, x_h = np.split(x[:, t] @ kernel + own, 3, axis=1)
        z, r = gate(x_z + h @ u_z + b_z), gate(x_r + h @ u_r + b_r)
        candidate = activation(x_h + (r * (h @ u_h + b_h) if after else (r * h) @ u_h))
        h = z * h + (1.0 - z) * candidate
        steps.append(h)
    return np.stack(steps, axis=1)


def rnn(x: Array, kernel: Array, recurrent: Array, bias: Array, activation: Function = np.tanh) -> Array:
    h = np.zeros((len(x), len(recurrent)))
    steps = []
    for t in range(x.shape[1]):
        h = activation(x[:, t] @ kernel + h @ recurrent + bias)
        steps.append(h)
    return np.stack(steps, axis=1)


def error(found: Array, wanted: Array) -> float:
    """The largest error, in units of max(1, |y|)."""
    assert found.shape == wanted.shape
    return float(np.max(np.abs(found - wanted) / np.maximum(1.0, np.abs(wanted))))
