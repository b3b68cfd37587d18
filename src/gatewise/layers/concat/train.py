"""Joining edges in torch; the equation is in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gatewise.layers.train import LayerModule, State


class Module(LayerModule):
    """Several (batch, time, I_k) -> (batch, time, sum of I_k)."""

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        return torch.cat(list(inputs), -1), {}
