"""Normalisation of each step in torch; the equations are in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.nn.functional import layer_norm, rms_norm

from gatewise.layers.norm.spec import Spec
from gatewise.layers.train import LayerModule, State, traced


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
