"""Plain recurrent layer in torch; the equation is in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from gatewise.layers.rnn.spec import Spec
from gatewise.layers.train import LayerModule, State
from gatewise.layers.train.activations import activate
from gatewise.layers.train.recurrence import Fused, recurrence
from gatewise.layers.train.taken import Taken, take_recurrent
from gatewise.spec import LayerSpec

TAKES = (nn.RNN,)


def take(module: nn.RNN) -> Taken:
    """Convert torch's plain recurrent layer, which has tanh or relu."""
    return take_recurrent(module, LayerSpec("rnn", units=module.hidden_size, activation=module.nonlinearity))


class Module(LayerModule):
    """A plain recurrent layer over whole sequences: (batch, time, I) -> (batch, time, H), with state "hidden"."""

    takes_resets = True
    layer: Spec
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor

    def forward(
        self,
        inputs: Sequence[Tensor],
        state: Mapping[str, Tensor],
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        tensors = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
        out, last = recurrence(
            self.layer, self.cell, inputs[0], [state["hidden"]], tensors, lengths, resets, self.fused()
        )
        return out, {"hidden": last[0]}

    def fused(self) -> Fused | None:
        """torch's layer, which supports tanh and relu."""
        known = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}.get(self.layer.activation.kind)
        if known is None or self.layer.clip is not None:
            return None
        return lambda x, first, tensors, train: known(x, first[0], tensors, True, 1, 0.0, train, False, True)

    def cell(self, sums: Tensor, h: Tensor) -> tuple[Tensor]:
        """One step."""
        total, clip = sums + self.bias_ih + linear(h, self.weight_hh, self.bias_hh), self.layer.clip
        return (activate(self.layer.activation, total if clip is None else total.clamp(-clip, clip)),)
