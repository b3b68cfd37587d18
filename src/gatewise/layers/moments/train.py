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
        time, width = inputs[0].shape[1:]
        columns = width // 2 if self.layer.masked else width
        x = inputs[0][:, :, :columns][:, :, : self.layer.width]
        seen = x.new_ones(1, time, 1)
        if self.layer.masked:
            seen = 1 - inputs[0][:, :, columns:][:, :, : self.layer.width]
        if lengths is not None:
            seen = seen * live_steps(lengths, time)[:, :, None]
        count = seen.sum(1, keepdim=True)
        mean = (x * seen).sum(1, keepdim=True) / count.clamp(min=1)
        variance = ((x - mean) ** 2 * seen).sum(1, keepdim=True) / count.clamp(min=1)
        deviation = torch.where(count > 0, (variance + self.layer.epsilon).sqrt(), 1.0)
        return torch.cat([mean, deviation], -1).expand(-1, time, -1), {}
