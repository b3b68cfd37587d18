"""Fully connected layer in torch; the equations are in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gatewise.layers.dense.spec import Spec
from gatewise.layers.train import LayerModule, State
from gatewise.layers.train.activations import activate


class Module(LayerModule):
    """act(W x + b) at every step: (batch, time, I) -> (batch, time, U)."""

    layer: Spec
    weight: Tensor
    bias: Tensor

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        return activate(self.layer.activation, torch.nn.functional.linear(inputs[0], self.weight, self.bias)), {}
