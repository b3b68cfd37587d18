"""Long short-term memory in torch; the equations and the order of gates are in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

from gatewise.layers.lstm.spec import Spec
from gatewise.layers.train import LayerModule, State
from gatewise.layers.train.activations import activate
from gatewise.layers.train.recurrence import Kind, Trace, recurrence, register, weight_gradient


class Module(LayerModule):
    """An LSTM over whole sequences: (batch, time, I) -> (batch, time, R), with state "hidden" and "cell"."""

    takes_resets = True
    layer: Spec
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor
    weight_hr: Tensor
    weight_peephole: Tensor

    def forward(
        self,
        inputs: Sequence[Tensor],
        state: Mapping[str, Tensor],
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        x, layer = inputs[0].transpose(0, 1), self.layer  # (time, batch, I)
        tensors = [
            self.weight_hh,
            *([self.weight_hr] if layer.projection is not None else []),
            *([self.weight_peephole] if layer.peepholes else []),
        ]
        first, bias = [state["hidden"], state["cell"]], self.bias_ih + self.bias_hh
        out, (h, c) = recurrence(layer, self.cell, x, self.weight_ih, bias, first, tensors, lengths, resets)
        return out.transpose(0, 1), {"hidden": h, "cell": c}

    def cell(self, sums: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One step."""
        layer = self.layer
        i, f, g, o = (sums + linear(h, self.weight_hh)).chunk(4, -1)
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


def _within(bound: float | None, x: Tensor) -> Tensor:
    return x if bound is None else x.clamp(-bound, bound)


def _gradients(trace: Trace) -> list[Tensor]:
    """weight_hh; with a projection weight_hr, with peepholes weight_peephole."""
    units = trace.d_sums.shape[2] // 4
    _, _, _, o, c, shown = trace.kept[:, :, : 6 * units].chunk(6, -1)
    found = [weight_gradient(trace.d_sums, trace.hidden)]
    if trace.extra.shape[2]:
        found.append(weight_gradient(trace.extra, o * shown))
    if trace.options[9]:  # peepholes
        before = trace.before(trace.first[1], c)
        d_i, d_f, _, d_o = trace.d_sums.chunk(4, -1)
        found.append(torch.cat([(d * cell).sum((0, 1)) for d, cell in ((d_i, before), (d_f, before), (d_o, c))]))
    return found


def _state(out: Tensor, kept: Tensor, sums: int) -> list[Tensor]:
    return [out, kept[:, sums : sums + sums // 4]]  # after i, f, g, o comes the cell


register("lstm", Kind(_gradients, _state))
