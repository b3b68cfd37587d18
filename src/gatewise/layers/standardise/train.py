"""Readings in the units of their window, in torch; the equations are in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gatewise.layers.standardise.spec import Spec
from gatewise.layers.train import LayerModule, State


class Module(LayerModule):
    """(batch, time, I) and (batch, time, 2W) -> (batch, time, I)."""

    layer: Spec

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`. Beyond the end of a row the moments may be 0, and the result is undefined."""
        x, moments = inputs
        width = moments.shape[2] // 2
        mean, deviation = moments[:, :, :width], moments[:, :, width:]
        scaled = (x[:, :, :width] - mean) / torch.where(deviation > 0, deviation, 1.0)
        if self.layer.masked:
            scaled = torch.where(x[:, :, x.shape[2] // 2 :][:, :, :width] != 0, 0.0, scaled)
        return torch.cat([scaled, x[:, :, width:]], -1), {}
