"""The activations of `gatewise.layers.activation` in torch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.layers.activation import Activation


def activate(activation: Activation, x: Tensor) -> Tensor:
    """The activation, elementwise; softmax over the last axis."""
    a, b = activation.alpha, activation.beta
    match activation.kind:
        case "linear":
            return x
        case "relu":
            return torch.relu(x)
        case "tanh":
            return torch.tanh(x)
        case "sigmoid":
            return torch.sigmoid(x)
        case "softmax":
            return torch.softmax(x, -1)
        case "hard_sigmoid":
            return torch.clamp(a * x + b, 0.0, 1.0)
        case "affine":
            return a * x + b
        case "leaky_relu":
            return functional.leaky_relu(x, a)
        case "thresholded_relu":
            return torch.where(x <= a, 0.0, x)
        case "scaled_tanh":
            return a * torch.tanh(b * x)
        case "elu":
            return functional.elu(x, a)
        case "selu":
            return functional.selu(x)
        case "softsign":
            return functional.softsign(x)
        case "softplus":
            return functional.softplus(x, threshold=40.0)  # beyond, the difference to x is below float64's precision
        case "log_sigmoid":
            return functional.logsigmoid(x)
        case "exponential":
            return torch.exp(x)
        case "silu":
            return functional.silu(x)
        case "gelu":
            return functional.gelu(x)
        case "gelu_tanh":
            return functional.gelu(x, approximate="tanh")
        case "relu6":
            return functional.relu6(x)
        case "hard_tanh":
            return functional.hardtanh(x)
        case "hard_silu":
            return functional.hardswish(x)
        case "mish":
            return functional.mish(x)
        case _:
            raise ValueError(f"no activation {activation.kind!r}")
