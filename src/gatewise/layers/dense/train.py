"""Fully connected layer in torch; the equations are in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gatewise.layers.dense.spec import Spec
from gatewise.layers.train import LayerModule, State
from gatewise.layers.train.activations import activate
from gatewise.layers.train.taken import Part, Taken, array
from gatewise.spec import LayerSpec

TAKES = (nn.Linear,)


def take(module: nn.Linear) -> Taken:
    """Convert torch's Linear; an activation after it becomes its option."""
    units = module.out_features
    own = {"weight": array(module.weight, 0.0, units), "bias": array(module.bias, 0.0, units)}
    return Taken(module.in_features, units, (Part(LayerSpec("dense", units=units), own, activates=True),))


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
