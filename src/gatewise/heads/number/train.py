"""The number head in torch; the equations are in `spec.py`. Its tensors are buffers: the units of the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gatewise.heads.number.spec import Spec
from gatewise.heads.train import HeadModule
from gatewise.layers.train import State


class Module(HeadModule):
    """(batch, time, 1) and the scaled input -> (batch, time, 3), or (batch, time, 1) without an interval."""

    layer: Spec
    offset: Tensor
    scale: Tensor
    margin: Tensor

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        value = inputs[0] * self.scale + self.offset
        if not self.layer.interval:
            return value, {}
        return torch.cat([value, value - self.margin, value + self.margin], -1), {}

    def loss(self, out: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """The squared or the absolute error, in scaled units.

        Args:
            out: (batch, time, 1).
            target: scaled targets, (batch, time).
            mask: not used, as the loss of every step is returned.

        Returns:
            (batch, time).
        """
        error = out[:, :, 0] - target
        return error**2 if self.layer.loss == "squared" else error.abs()
