"""Quantile forecasts in torch; the equations are in `spec.py`. Its tensors are buffers: the units of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gatewise.heads.quantiles.spec import MOST_EXPONENT, Spec
from gatewise.heads.train import HeadModule
from gatewise.layers.train import State


class Module(HeadModule):
    """(batch, time, K H Q), scaled input (batch, time, W), moments (batch, time, 2V) -> (batch, time, K H Q)."""

    layer: Spec
    offset: Tensor
    scale: Tensor

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        each = len(self.layer.horizons) * len(self.layer.quantiles)
        scale, offset = (value.repeat_interleave(each) for value in (self.scale, self.offset))
        y = self.prediction(inputs) * scale + offset
        if self.layer.guided:
            low, high, logs = (
                torch.from_numpy(value).to(y.device).repeat_interleave(each)
                for value in (*self.layer.bounds, self.layer.logs)
            )
            y = torch.where(logs, torch.expm1(torch.where(logs, y.clamp(max=MOST_EXPONENT), 0.0)), y)
            y = torch.maximum(low.to(y.dtype), torch.minimum(high.to(y.dtype), y))
        return y, {}

    def prediction(self, inputs: Sequence[Tensor]) -> Tensor:
        """The forecast p in scaled units, (batch, time, K H Q), which the loss compares with the targets."""
        layer = self.layer
        targets = list(layer.targets)
        shape = (*inputs[0].shape[:2], len(targets), len(layer.horizons), len(layer.quantiles))
        out = inputs[0].reshape(shape).sort(-1).values
        if len(inputs) == 3:
            width = inputs[2].shape[-1] // 2
            mean, deviation = inputs[2][..., :width], inputs[2][..., width:]
            out = out * deviation[..., targets, None, None]
            out = out if layer.anchor else out + mean[..., targets, None, None]
        if layer.anchor:
            out = out + inputs[1][..., targets, None, None]
        return out.flatten(2)

    def targets(self, scaled: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """The targets of the forecasts made at each step: the readings of the target columns h steps later.

        Args:
            scaled: a whole series (time, W), as the input stage writes it.
            observed: bool (time, columns), False for missing readings.

        Returns:
            target (time, K H) and mask of that shape, False if that reading is missing or after the end of the series.
        """
        columns, time = list(self.layer.targets), len(scaled)
        shape = (time, len(columns), len(self.layer.horizons))
        target = scaled.new_zeros(shape)
        mask = torch.zeros(shape, dtype=torch.bool)
        for i, h in enumerate(self.layer.horizons):
            if h < time:
                target[:-h, :, i], mask[:-h, :, i] = scaled[h:, columns], observed[h:, columns]
        return target.flatten(1), mask.flatten(1)

    def loss(self, out: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Pinball loss, the mean over the quantiles, in scaled units.

        Args:
            out: forecasts (batch, time, K H Q).
            target: the readings that are forecast, (batch, time, K H).
            mask: not used, as the loss of every forecast is returned.

        Returns:
            (batch, time, K H).
        """
        levels = out.new_tensor(self.layer.quantiles)
        apart = target[..., None] - out.reshape(*target.shape, len(levels))
        return torch.maximum(levels * apart, (levels - 1.0) * apart).mean(-1)
