"""Mean and standard deviation of each column over the whole window, the same at each of its steps.

    m = 1/T sum_t x(t)                           (W)
    s = sqrt(1/T sum_t (x(t) - m)^2 + epsilon)   (W)
    y(t) = [m, s]                                (2W)

W = `width`, the first columns of what it reads. With `standardise`, and a head that goes back to the units of the data,
it makes a model that sees each window in the window's own units: reversible instance normalisation (Kim et al. 2022,
"Reversible Instance Normalization for Accurate Time-Series Forecasting against Distribution Shift"), which takes the
same statistics and epsilon, here without its learned scale and shift.

No tensors, no state. It needs the whole sequence, so a model that streams with it must have a window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gatewise.errors import SpecError
from gatewise.layers.base import Array, Edge, Layer, check_count, check_number, one_input


@dataclass(frozen=True)
class Spec(Layer):
    """Options of moments.

    Attributes:
        width: W, how many of the first columns; None = all.
        epsilon: added to the variance, so that a column that stands still has a scale.
    """

    kind: ClassVar[str] = "moments"
    whole: ClassVar[bool] = True
    width: int | None = None
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        if self.width is not None:
            check_count("width", self.width)
        check_number("epsilon", self.epsilon, 1e-12, 1.0)

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """Mean and standard deviation of each column."""
        return Edge(2 * columns(self, self.width, one_input(self, inputs)))

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """None."""
        return {}

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """None."""
        return {}

    def sequence(self, tensors: Mapping[str, Array], *x: Array) -> Array:
        """The equations above in float64."""
        used = x[0][:, :, : self.width]
        mean = used.mean(axis=1, keepdims=True)
        deviation = np.sqrt(((used - mean) ** 2).mean(axis=1, keepdims=True) + self.epsilon)
        return np.repeat(np.concatenate([mean, deviation], axis=-1), used.shape[1], axis=1)

    def native(self) -> list[float]:
        """Epsilon; the width is that of the edge it writes."""
        return [self.epsilon]


def columns(layer: Layer, width: int | None, read: Edge) -> int:
    """How many columns a layer with the option `width` uses. Raises SpecError where there are not so many."""
    if width is not None and width > read.width:
        raise SpecError(f"{layer.kind} is to use the first {width} columns, but there are {read.width}")
    return read.width if width is None else width
