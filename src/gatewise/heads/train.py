"""What the torch modules of all heads have in common: what a training holds the last layer to."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from gatewise.heads.base import Head
from gatewise.layers.train import LayerModule


class HeadModule(LayerModule):
    """Base of the torch module of a head: its tensors are buffers, which a task fills."""

    trained = False
    layer: Head

    def prediction(self, inputs: Sequence[Tensor]) -> Tensor:
        """What the loss is about, (batch, time, width), in scaled units: what the last layer writes, if not more.

        Args:
            inputs: for each edge read, (batch, time, width).
        """
        return inputs[0]

    def targets(self, scaled: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """What the predictions at each step are held to.

        Args:
            scaled: a whole series (time, width) as the input stage gives it.
            observed: bool (time, columns), False where a reading is missing.

        Returns:
            target (time, ...) and a mask of that shape, False where there is none.
        """
        raise NotImplementedError

    def loss(self, out: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """The loss of each step, in scaled units; see `gatewise.train.fit`.

        Args:
            out: what `prediction` gives, (batch, time, width).
            target: (batch, time, ...).
            mask: of target's shape: what counts.

        Returns:
            A loss for each target, or for each step (batch, time); not their mean.
        """
        raise NotImplementedError
