"""The softmax head in torch; the equations are in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.nn import functional

from gatewise.heads.softmax.spec import Spec
from gatewise.heads.train import HeadModule
from gatewise.layers.train import State


class Module(HeadModule):
    """(batch, time, C) and the scaled input -> (batch, time, C)."""

    layer: Spec

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        return inputs[0].softmax(-1), {}

    def loss(self, out: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """The negative log likelihood of the classes, in nats.

        Args:
            out: (batch, time, C), before the softmax.
            target: int64 numbers of classes, (batch, time).
            mask: not used, as the loss of every step is returned.

        Returns:
            (batch, time).
        """
        return functional.cross_entropy(out.flatten(0, 1), target.flatten(), reduction="none").view_as(target)
