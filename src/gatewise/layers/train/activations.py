"""The activations of `gatewise.layers.activation` in torch, and the conversion of torch's activation modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gatewise.errors import InputError
from gatewise.layers.activation import Activation
from gatewise.layers.train.taken import computes

MODULES: Mapping[type[nn.Module], Callable[[Any], Any]] = {
    nn.Tanh: lambda m: "tanh",
    nn.ReLU: lambda m: "relu",
    nn.Sigmoid: lambda m: "sigmoid",
    nn.SiLU: lambda m: "silu",
    nn.Mish: lambda m: "mish",
    nn.ReLU6: lambda m: "relu6",
    nn.SELU: lambda m: "selu",
    nn.Softsign: lambda m: "softsign",
    nn.Hardswish: lambda m: "hard_silu",
    nn.LogSigmoid: lambda m: "log_sigmoid",
    nn.Hardsigmoid: lambda m: {"kind": "hard_sigmoid", "slope": 1 / 6, "offset": 0.5},
    nn.LeakyReLU: lambda m: {"kind": "leaky_relu", "alpha": m.negative_slope},
    nn.ELU: lambda m: {"kind": "elu", "alpha": m.alpha},
    nn.GELU: lambda m: {"none": "gelu", "tanh": "gelu_tanh"}[m.approximate],
    nn.Hardtanh: lambda m: _only(m, "hard_tanh", (m.min_val, m.max_val) == (-1, 1), "min_val=-1 and max_val=1"),
    nn.Softplus: lambda m: _only(m, "softplus", m.beta == 1 and m.threshold >= 20, "beta=1 and threshold=20"),
    nn.Softmax: lambda m: _only(m, "softmax", m.dim in (-1, 2), "dim=-1, over the units of each step"),
}
"""For each of torch's activation modules the option "activation" of a layer."""


def activation_of(module: nn.Module) -> Any:
    """Convert one of torch's activation modules to the option of a layer, as plain JSON; None for other modules.

    Raises:
        InputError: the module has parameters that the activations here do not have.
    """
    found = next((option for kind, option in MODULES.items() if computes(module, kind)), None)
    return None if found is None else found(module)


def _only(module: nn.Module, kind: str, fits: bool, wanted: str) -> str:
    if not fits:
        raise InputError(f"from_torch takes {type(module).__name__} with {wanted} only, got {module!r}")
    return kind


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
