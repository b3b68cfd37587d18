"""Normalisation of each step in torch; the equations are in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, rms_norm

from gatewise.errors import InputError
from gatewise.layers.norm.spec import Spec
from gatewise.layers.train import LayerModule, State, traced
from gatewise.layers.train.taken import Part, Taken, array
from gatewise.spec import LayerSpec

TAKES = (nn.LayerNorm, nn.RMSNorm)


def take(module: nn.LayerNorm | nn.RMSNorm) -> Taken:
    """Convert torch's norms, if they run over the values of one step."""
    if len(module.normalized_shape) != 1:
        raise InputError("runs over several axes; normalise over the values of a step alone")
    (width,) = module.normalized_shape
    epsilon = torch.finfo(torch.float32).eps if module.eps is None else module.eps
    own = {"weight": array(module.weight, 1.0, width)}
    if isinstance(module, nn.RMSNorm):
        return Taken(width, width, (Part(LayerSpec("norm", method="rms", epsilon=epsilon), own),))
    own["bias"] = array(module.bias, 0.0, width)
    return Taken(width, width, (Part(LayerSpec("norm", method="layer", epsilon=epsilon), own),))


class Module(LayerModule):
    """(batch, time, I) -> (batch, time, I)."""

    layer: Spec
    weight: Tensor
    bias: Tensor

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        epsilon, width = self.layer.epsilon, self.weight.shape
        if self.layer.method == "layer":
            return layer_norm(inputs[0], width, self.weight, self.bias, epsilon), {}
        if traced():  # ONNX has no such operator before opset 23
            x = inputs[0]
            return x * (x.square().mean(-1, keepdim=True) + epsilon).rsqrt() * self.weight, {}
        return rms_norm(inputs[0], width, self.weight, epsilon), {}
