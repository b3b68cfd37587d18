"""Numeric input stage in torch; the equations are in `spec.py`. Offset and scale are buffers: they are not trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gatewise.inputs.numeric.spec import Spec
from gatewise.inputs.train import StageModule, usable
from gatewise.layers.train import State, live_steps, running_maximum


class Module(StageModule):
    """Scaling and filling forward: (batch, time, W) -> (batch, time, W or 2W); state "held" (batch, W), if any."""

    layer: Spec
    offset: Tensor
    scale: Tensor

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        x = inputs[0]
        here = self.usable(x)
        if self.layer.missing != "raise":
            x = torch.where(here, x, 0.0)
        s = self._scaled(x)
        if self.layer.missing == "raise":
            return s, {}
        time = x.shape[1]
        if lengths is not None:
            here = here & live_steps(lengths, time)[:, :, None]
        # The number, from 1, of the last step with a reading; 0 stands for the value in the state.
        step = torch.arange(1, time + 1, device=x.device)[None, :, None]
        last = running_maximum(torch.where(here, step, 0))
        y = torch.cat([state["held"][:, None], s], 1).gather(1, last)
        held = y[:, -1] if time else state["held"]
        return torch.cat([y, (~here).to(y.dtype)], 2) if self.layer.missing == "mask" else y, {"held": held}

    def usable(self, x: Tensor) -> Tensor:
        """Which raw readings (..., W) are not missing."""
        with torch.no_grad():
            return usable(self._scaled(x))

    def _scaled(self, x: Tensor) -> Tensor:
        if self.layer.transform is not None:
            logs = torch.tensor([one is not None for one in self.layer.transform], device=x.device)
            own = torch.where(logs, torch.where(x > -1.0, x, math.nan), 0.0)  # 0: no gradient
            x = torch.where(logs, torch.log1p(own), x)
        return (x - self.offset) / self.scale if self.layer.scaling == "standard" else x
