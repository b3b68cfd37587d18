"""Long short-term memory in torch; the equations and the order of gates are in `spec.py`.

torch has a fused LSTM for the CPU, which is used wherever it computes the same: the usual activations, no peepholes,
coupled gates or bounds, no projection, full rows. The rest is left to autograd, one step after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

from gatewise.layers.lstm.spec import Spec
from gatewise.layers.train import LayerModule, State, activate, live_steps


class Module(LayerModule):
    """An LSTM over whole sequences: (batch, time, I) -> (batch, time, R), with state "hidden" and "cell"."""

    layer: Spec
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor
    weight_hr: Tensor
    weight_peephole: Tensor

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        x = inputs[0]
        if lengths is None and x.shape[1] and self._usual():
            weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
            first = (state["hidden"][None], state["cell"][None])
            y, h, c = torch.lstm(x, first, weights, True, 1, 0.0, self.training, False, True)
            return y, {"hidden": h[0], "cell": c[0]}
        live = None if lengths is None else live_steps(lengths, x.shape[1]).t()[:, :, None]  # (time, batch, 1)
        gates = linear(x.transpose(0, 1), self.weight_ih, self.bias_ih + self.bias_hh)  # (time, batch, 4H)
        h, c = state["hidden"], state["cell"]
        hidden = []
        for t, gate in enumerate(gates.unbind(0)):
            h_after, c_after = self._step(gate + linear(h, self.weight_hh), c)
            h = h_after if live is None else torch.where(live[t], h_after, h)
            c = c_after if live is None else torch.where(live[t], c_after, c)
            hidden.append(h)
        y = torch.stack(hidden, 1) if hidden else h.new_zeros(len(x), 0, h.shape[1])
        return y, {"hidden": h, "cell": c}

    def _step(self, sums: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The hidden state and cell after a step, from the sums of its gates (batch, 4H) and the cell before it."""
        layer = self.layer
        i, f, g, o = sums.chunk(4, -1)
        if layer.peepholes:
            p_i, p_f, p_o = self.weight_peephole.chunk(3)
            i, f = i + p_i * c, f + p_f * c
        i = activate(layer.gate_activation, _within(layer.clip, i))
        f = 1.0 - i if layer.input_forget else activate(layer.gate_activation, _within(layer.clip, f))
        g = activate(layer.activation, _within(layer.clip, g))
        c = _within(layer.cell_clip, f * c + i * g)
        if layer.peepholes:
            o = o + p_o * c
        h = activate(layer.gate_activation, _within(layer.clip, o)) * activate(layer.output_activation, c)
        return (h if layer.projection is None else linear(h, self.weight_hr)), c

    def _usual(self) -> bool:
        """Whether torch's own LSTM computes the same."""
        layer = self.layer
        kinds = (layer.gate_activation.kind, layer.activation.kind, layer.output_activation.kind)
        special = layer.peepholes or layer.input_forget or layer.projection or layer.clip or layer.cell_clip
        return kinds == ("sigmoid", "tanh", "tanh") and not special


def _within(bound: float | None, x: Tensor) -> Tensor:
    return x if bound is None else x.clamp(-bound, bound)
