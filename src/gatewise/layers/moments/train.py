"""Mean and standard deviation of a window in torch; the equations are in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gatewise.layers.moments.spec import Spec
from gatewise.layers.train import LayerModule, State, live_steps


class Module(LayerModule):
    """(batch, time, I) -> (batch, time, 2W), each row over its own length."""

    layer: Spec

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        x = inputs[0][:, :, : self.layer.width]
        time = x.shape[1]
        if lengths is None:
            live, count = x.new_ones(1, time, 1), x.new_full((1, 1, 1), time)
        else:
            live, count = live_steps(lengths, time)[:, :, None].to(x.dtype), lengths[:, None, None].clamp(min=1)
        mean = (x * live).sum(1, keepdim=True) / count
        deviation = (((x - mean) ** 2 * live).sum(1, keepdim=True) / count + self.layer.epsilon).sqrt()
        return torch.cat([mean, deviation], -1).expand(-1, time, -1), {}
