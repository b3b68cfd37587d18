"""Product of edges in torch; the equation is in `spec.py`."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gatewise.layers.train import LayerModule, State


class Module(LayerModule):
    """Several (batch, time, I) -> (batch, time, I)."""

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        return functools.reduce(torch.mul, inputs), {}
