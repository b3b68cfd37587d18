"""The base class of the torch modules of input stages."""

from __future__ import annotations

from torch import Tensor

from gatewise.inputs.base import MOST, InputStage
from gatewise.layers.train import LayerModule


class StageModule(LayerModule):
    """Base class of the torch modules of input stages. Its tensors are buffers, as they hold the units of the data."""

    trained = False
    layer: InputStage

    def usable(self, x: Tensor) -> Tensor:
        """Which raw readings (..., inputs) are not missing, see `InputStage.usable`."""
        return usable(x)


def usable(scaled: Tensor) -> Tensor:
    """Which scaled readings are finite and not too large."""
    return scaled.abs() <= MOST
