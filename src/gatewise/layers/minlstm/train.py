"""Minimal long short-term memory in torch; the equations and the order of rows are in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear, logsigmoid

from gatewise.layers.minlstm.spec import Spec
from gatewise.layers.train import LayerModule, State
from gatewise.layers.train.activations import activate
from gatewise.layers.train.scan import scan


class Module(LayerModule):
    """A minimal LSTM over whole sequences: (batch, time, I) -> (batch, time, H), with state "hidden" (batch, H)."""

    takes_resets = True
    layer: Spec
    weight_ih: Tensor
    bias_ih: Tensor

    def forward(
        self,
        inputs: Sequence[Tensor],
        state: Mapping[str, Tensor],
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        first = state["hidden"]
        sums = linear(inputs[0], self.weight_ih, self.bias_ih).to(first.dtype)  # not in the type of autocast
        f, i, n = sums.chunk(3, -1)  # (batch, time, H) each
        difference = logsigmoid(i) - logsigmoid(f)
        taken = torch.sigmoid(difference) * activate(self.layer.activation, n)
        out, last = scan(torch.sigmoid(-difference), taken, first, lengths, resets)
        return out, {"hidden": last}
