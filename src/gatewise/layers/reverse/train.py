"""Reversing in torch; the equation is in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gatewise.layers.train import LayerModule, State


class Module(LayerModule):
    """(batch, time, I) -> the same, each row reversed within its own length."""

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        x = inputs[0]
        if lengths is None:
            return x.flip(1), {}
        from_end = lengths[:, None] - 1 - torch.arange(x.shape[1], device=x.device)  # (batch, time)
        return x.gather(1, from_end.clamp(min=0)[:, :, None].expand_as(x)), {}
