"""Long short-term memory in torch; the equations and the order of gates are in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from gatewise.layers.lstm.spec import Spec
from gatewise.layers.train import LayerModule, State
from gatewise.layers.train.activations import activate
from gatewise.layers.train.recurrence import Fused, recurrence
from gatewise.layers.train.taken import Taken, take_recurrent
from gatewise.spec import LayerSpec

TAKES = (nn.LSTM,)


def take(module: nn.LSTM) -> Taken:
    """Convert torch's LSTM. `proj_size` becomes `projection`."""
    return take_recurrent(module, LayerSpec("lstm", units=module.hidden_size, projection=module.proj_size or None))


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
        tensors = [
            *(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh),
            *([self.weight_hr] if self.layer.projection is not None else []),
            *([self.weight_peephole] if self.layer.peepholes else []),
        ]
        first = [state["hidden"], state["cell"]]
        out, (h, c) = recurrence(self.layer, self.cell, inputs[0], first, tensors, lengths, resets, self.fused())
        return out, {"hidden": h, "cell": c}

    def fused(self) -> Fused | None:
        """torch's LSTM, which supports a projection, but no peepholes, coupled gates or clipping."""
        layer = self.layer
        kinds = [f.kind for f in (layer.gate_activation, layer.activation, layer.output_activation)]
        if layer.peepholes or layer.input_forget or layer.clip is not None or layer.cell_clip is not None:
            return None
        if kinds != ["sigmoid", "tanh", "tanh"]:
            return None
        if layer.projection is not None and torch.onnx.is_in_onnx_export():  # ONNX has no projection
            return None
        return lambda x, first, tensors, train: torch.lstm(x, first, tensors, True, 1, 0.0, train, False, True)

    def cell(self, sums: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One step."""
        layer = self.layer
        i, f, g, o = (sums + self.bias_ih + linear(h, self.weight_hh, self.bias_hh)).chunk(4, -1)
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
