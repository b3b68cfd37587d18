"""Gated recurrent unit in torch; the equations and the order of gates are in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from gatewise.layers.gru.spec import Spec
from gatewise.layers.train import LayerModule, State
from gatewise.layers.train.activations import activate
from gatewise.layers.train.recurrence import Fused, recurrence
from gatewise.layers.train.taken import Taken, take_recurrent
from gatewise.spec import LayerSpec

TAKES = (nn.GRU,)


def take(module: nn.GRU) -> Taken:
    """Convert torch's GRU, whose reset gate is in the default place here."""
    return take_recurrent(module, LayerSpec("gru", units=module.hidden_size))


class Module(LayerModule):
    """A GRU over whole sequences: (batch, time, I) -> (batch, time, H), with state "hidden" (batch, H)."""

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
        """torch's GRU, if the reset gate comes after the recurrent matrix and the activations are the usual ones."""
        layer = self.layer
        plain = layer.reset == "after" and layer.clip is None
        if not plain or (layer.gate_activation.kind, layer.activation.kind) != ("sigmoid", "tanh"):
            return None
        return lambda x, first, tensors, train: torch.gru(x, first[0], tensors, True, 1, 0.0, train, False, True)

    def cell(self, sums: Tensor, h: Tensor) -> tuple[Tensor]:
        """One step."""
        layer, weight, bias, n = self.layer, self.weight_hh, self.bias_hh, 2 * self.layer.units

        def within(x: Tensor) -> Tensor:
            return x if layer.clip is None else x.clamp(-layer.clip, layer.clip)

        sums = sums + self.bias_ih
        gates = within(sums[:, :n] + linear(h, weight[:n], bias[:n]))
        r, z = activate(layer.gate_activation, gates).chunk(2, -1)
        if layer.reset == "before":
            own = linear(r * h, weight[n:], bias[n:])
        else:
            own = r * linear(h, weight[n:], bias[n:])
        candidate = activate(layer.activation, within(sums[:, n:] + own))
        return (torch.lerp(candidate, h, z),)
