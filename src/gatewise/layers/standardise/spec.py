"""Standardises readings with the mean and the standard deviation of their window.

    y_i = (x_i - m_i) / s_i     for the first W columns
    y_i = x_i                   for those after them

With `masked`, x has columns and then as many indicators of missing readings, which are not changed. For a missing
reading y_i = 0, which is the mean, because the value that was filled forward may come from before the window.

Reads x and then the edge of a `moments` node, [m, s] (2W), at each step. No tensors, no state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from gatewise.errors import SpecError
from gatewise.layers.base import Array, Edge, Layer, check_flag, check_mask


@dataclass(frozen=True)
class Spec(Layer):
    """Options of standardise; W is half the width of the moments.

    Attributes:
        masked: whether indicators of missing readings follow the columns (numeric with missing "mask").
    """

    kind: ClassVar[str] = "standardise"
    masked: bool = False

    def __post_init__(self) -> None:
        check_flag("masked", self.masked)

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """An edge like x, in the units of the window."""
        if len(inputs) != 2 or inputs[1].width % 2 or inputs[1].width > 2 * inputs[0].columns:
            raise SpecError(
                "standardise reads readings and their moments, two values for each column, "
                f"got widths {[edge.width for edge in inputs]}; sources=('input', 'moments0')"
            )
        check_mask(self.kind, self.masked, inputs[0])
        return replace(inputs[0], own_units=max(inputs[0].own_units, inputs[1].width // 2))

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equations above in float64."""
        readings, moments = x
        width = moments.shape[1] // 2
        scaled = (readings[:, :width] - moments[:, :width]) / moments[:, width:]
        if self.masked:
            gone = readings[:, readings.shape[1] // 2 :][:, :width]
            scaled = np.where(gone != 0, 0.0, scaled)
        return np.concatenate([scaled, readings[:, width:]], axis=1), {}

    def numbers(self) -> dict[str, float | list[float]]:
        """Whether masked."""
        return {"masked": float(self.masked)}
