"""The base class of the torch modules of heads: predictions, targets and loss."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from gatewise.errors import InputError
from gatewise.heads.base import Head
from gatewise.layers.train import LayerModule


class HeadModule(LayerModule):
    """Base class of the torch modules of heads. Its tensors are buffers, which a task fills."""

    trained = False
    layer: Head

    def prediction(self, inputs: Sequence[Tensor]) -> Tensor:
        """The predictions that the loss compares with targets, (batch, time, width), in scaled units.

        By default this is the output of the last layer.

        Args:
            inputs: for each edge read, (batch, time, width).
        """
        return inputs[0]

    def targets(self, scaled: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """The targets of the predictions at each step.

        Args:
            scaled: a whole series (time, width), as the input stage writes it.
            observed: bool (time, columns), False for missing readings.

        Returns:
            target (time, ...) and a mask of that shape, False if there is no target.

        Raises:
            InputError: the targets are not among the readings; a head for which they are overrides this method.
        """
        raise InputError(f"the head {self.layer.kind} answers what is not among the readings; pass targets")

    def loss(self, out: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """The loss of each step, in scaled units; see `gatewise.train.fit`.

        Args:
            out: the predictions, (batch, time, width).
            target: (batch, time, ...).
            mask: of the shape of target; False for targets that do not count.

        Returns:
            The loss of each target, or of each step (batch, time), not yet averaged.
        """
        raise NotImplementedError
