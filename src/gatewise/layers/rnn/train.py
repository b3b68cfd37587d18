"""Plain recurrent layer in torch; the equation is in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gatewise.layers.rnn.spec import Spec
from gatewise.layers.train import LayerModule, State
from gatewise.layers.train.activations import activate
from gatewise.layers.train.recurrence import Kind, Trace, recurrence, register, weight_gradient


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
        x = inputs[0].transpose(0, 1)  # (time, batch, I)
        out, last = recurrence(
            self.layer,
            self.cell,
            x,
            self.weight_ih,
            self.bias_ih + self.bias_hh,
            [state["hidden"]],
            [self.weight_hh],
            lengths,
            resets,
        )
        return out.transpose(0, 1), {"hidden": last[0]}

    def cell(self, sums: Tensor, h: Tensor) -> tuple[Tensor]:
        """One step."""
        total, clip = torch.addmm(sums, h, self.weight_hh.t()), self.layer.clip
        return (activate(self.layer.activation, total if clip is None else total.clamp(-clip, clip)),)


def _gradients(trace: Trace) -> list[Tensor]:
    return [weight_gradient(trace.d_sums, trace.hidden)]


register("rnn", Kind(_gradients))
