"""Plain recurrent layer in torch; the equation is in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

from gatewise.layers.rnn.spec import Spec
from gatewise.layers.train import LayerModule, State, activate, live_steps


class Module(LayerModule):
    """A plain recurrent layer over whole sequences: (batch, time, I) -> (batch, time, H), with state "hidden"."""

    layer: Spec
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        x, h, clip = inputs[0], state["hidden"], self.layer.clip
        live = None if lengths is None else live_steps(lengths, x.shape[1]).t()[:, :, None]  # (time, batch, 1)
        sums = linear(x.transpose(0, 1), self.weight_ih, self.bias_ih + self.bias_hh)  # (time, batch, H)
        weight = self.weight_hh.t()
        hidden = []
        for t, sum_ in enumerate(sums.unbind(0)):
            total = torch.addmm(sum_, h, weight)
            after = activate(self.layer.activation, total if clip is None else total.clamp(-clip, clip))
            h = after if live is None else torch.where(live[t], after, h)
            hidden.append(h)
        y = torch.stack(hidden, 1) if hidden else h.new_zeros(len(x), 0, h.shape[1])
        return y, {"hidden": h}
