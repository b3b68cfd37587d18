"""Real-gated linear recurrent unit in torch; the equations and the order of rows are in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear, softplus

from gatewise.layers.rglru.spec import Spec
from gatewise.layers.train import LayerModule, State, traced
from gatewise.layers.train.scan import scan


class Module(LayerModule):
    """A real-gated LRU over whole sequences: (batch, time, I) -> (batch, time, H), with state "hidden" (batch, H)."""

    takes_resets = True
    layer: Spec
    weight_ih: Tensor
    bias_ih: Tensor
    decay: Tensor

    def forward(
        self,
        inputs: Sequence[Tensor],
        state: Mapping[str, Tensor],
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        r, i, v = linear(inputs[0], self.weight_ih, self.bias_ih).chunk(3, -1)  # (batch, time, H) each
        log_a = -8.0 * softplus(self.decay) * torch.sigmoid(r)
        if self.layer.signed:
            a = 2.0 * log_a.exp() - 1.0
            square = -4.0 * log_a.exp() * _expm1(log_a)
        else:
            a = log_a.exp()
            square = -_expm1(2.0 * log_a)
        # The slope of a square root is infinite at 0, and the gradient of an underflowed gate would become NaN.
        root = square.clamp_min(torch.finfo(square.dtype).tiny).sqrt()
        out, last = scan(a, root * (torch.sigmoid(i) * v), state["hidden"], lengths, resets)
        return out, {"hidden": last}


def _expm1(x: Tensor) -> Tensor:
    """exp(x) - 1, accurate for small x. ONNX has no expm1, and computing the difference would give 0 there."""
    return (x.exp() + 1.0) * torch.tanh(0.5 * x) if traced() else torch.expm1(x)
