"""What the torch modules (`train.py`) of layers, input stages and heads have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.layers.activation import SELU_ALPHA, SELU_SCALE, Activation
from gatewise.layers.base import Edge, Layer

State = dict[str, Tensor]
"""Field name within the node -> (batch, *field shape)."""


class LayerModule(torch.nn.Module):
    """Base of the torch module of a kind: its tensors are parameters of the same name, all zero until loaded.

    Args:
        layer: the checked options.
        edges: what it reads.

    Attributes:
        layer: as given.
        trained: whether the tensors of this kind are parameters; buffers if not.
    """

    trained: ClassVar[bool] = True
    layer: Layer

    def __init__(self, layer: Layer, edges: Sequence[Edge]) -> None:
        super().__init__()
        self.layer = layer
        for name, shape in layer.tensors(edges).items():
            values = torch.zeros(shape, dtype=torch.float32)
            if self.trained:
                self.register_parameter(name, torch.nn.Parameter(values))
            else:
                self.register_buffer(name, values)

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run over a batch of sequences.

        Args:
            inputs: for each edge read, (batch, time, width). Beyond the end of a row they are finite, but mean nothing.
            state: field name within the node -> (batch, *field shape).
            lengths: (batch,) steps in each row; None = all.

        Returns:
            y (batch, time, output width), of no meaning beyond the end of a row, and the state at each row's end.
        """
        raise NotImplementedError


def live_steps(lengths: Tensor, time: int) -> Tensor:
    """Which steps lie before the end of their row: bool (batch, time)."""
    return torch.arange(time, device=lengths.device) < lengths[:, None]


def at_end(first: Tensor, steps: Tensor, lengths: Tensor | None) -> Tensor:
    """The value of a row's last step, or `first` where the row has none.

    Args:
        first: (batch, width), the value before the first step.
        steps: (batch, time, width), the value after each step.
        lengths: (batch,) or None = all steps.
    """
    whole = torch.cat([first[:, None], steps], 1)
    return whole[:, -1] if lengths is None else whole[torch.arange(len(first), device=first.device), lengths]


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
            return functional.threshold(x, a, 0.0)
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


def activate_(activation: Activation, x: Tensor) -> Tensor:
    """An elementwise activation in place, outside of autograd."""
    match activation.kind:
        case "linear":
            return x
        case "relu":
            return x.relu_()
        case "tanh":
            return x.tanh_()
        case "sigmoid":
            return x.sigmoid_()
        case "hard_sigmoid":
            return x.mul_(activation.alpha).add_(activation.beta).clamp_(0.0, 1.0)
        case "softmax":
            raise ValueError("softmax is not elementwise")
        case _:
            return x.copy_(activate(activation, x))


def derivative(activation: Activation, y: Tensor) -> Tensor:
    """The derivative of a monotone activation (`Activation.monotone`), from its own value y.

    A backward pass then needs nothing else. At corners it is the derivative on the flat side or, of leaky_relu and elu,
    on the left.

    Raises:
        ValueError: the activation is not monotone: leave its gradient to autograd.
    """
    if not activation.monotone:
        raise ValueError(f"the derivative of {activation.kind} is no function of its value")
    a, b = activation.alpha, activation.beta
    match activation.kind:
        case "linear":
            return torch.ones_like(y)
        case "relu":
            return (y > 0).to(y.dtype)
        case "tanh":
            return 1.0 - y * y
        case "sigmoid":
            return y * (1.0 - y)
        case "hard_sigmoid":
            return a * ((y > 0) & (y < 1)).to(y.dtype)
        case "affine":
            return torch.full_like(y, a)
        case "leaky_relu":
            return torch.where(y > 0, 1.0, torch.full_like(y, a))
        case "thresholded_relu":
            return (y > 0).to(y.dtype)
        case "scaled_tanh":
            return b * (a - y * (y / a)) if a else torch.zeros_like(y)
        case "elu":
            return torch.where(y > 0, 1.0, y + a)
        case "selu":
            return torch.where(y > 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA)
        case "softsign":
            return (1.0 - y.abs()).square()
        case "softplus":
            return -torch.expm1(-y)
        case "log_sigmoid":
            return -torch.expm1(y)
        case "exponential":
            return y
        case "relu6":
            return ((y > 0) & (y < 6)).to(y.dtype)
        case "hard_tanh":
            return (y.abs() < 1).to(y.dtype)
        case _:
            raise ValueError(f"no activation {activation.kind!r}")
