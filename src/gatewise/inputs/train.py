"""What the torch modules of all input stages have in common."""

from __future__ import annotations

from torch import Tensor

from gatewise.inputs.base import MOST, InputStage
from gatewise.layers.train import LayerModule


class StageModule(LayerModule):
    """Base of the torch module of an input stage: its tensors are buffers, the units of the data."""

    trained = False
    layer: InputStage

    def usable(self, x: Tensor) -> Tensor:
        """Where raw readings (..., inputs) are not missing: see `InputStage.usable`."""
        return usable(x)


def usable(scaled: Tensor) -> Tensor:
    """Where readings, once they are scaled, are finite and not too large."""
    return scaled.abs() <= MOST
