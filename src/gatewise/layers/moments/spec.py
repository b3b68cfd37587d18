"""Mean and standard deviation of each column over the whole window, the same at each of its steps.

    m = 1/T sum_t x(t)                           (W)
    s = sqrt(1/T sum_t (x(t) - m)^2 + epsilon)   (W)
    y(t) = [m, s]                                (2W)

W = `width` is the number of columns, the first ones of the input. With `masked` the input has columns and then as many
indicators i of missing readings. The moments of a column are then those of its own readings, without the values that
were filled forward::

    n = sum_t (1 - i(t))
    m = 1/n sum_t (1 - i(t)) x(t)                           0 where n = 0
    s = sqrt(1/n sum_t (1 - i(t)) (x(t) - m)^2 + epsilon)   1 where n = 0

Together with `standardise`, and a head that converts answers back to the units of the data, it makes a model that reads
each window in the units of that window. This is reversible instance normalisation (Kim et al. 2022, "Reversible
Instance Normalization for Accurate Time-Series Forecasting against Distribution Shift") with the same statistics and
epsilon, but without the learned scale and shift.

No tensors, no state. It is not causal, so a model that streams with it must have a window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gatewise.errors import SpecError
from gatewise.layers.base import Array, Edge, Layer, check_count, check_flag, check_mask, check_number, one_input


@dataclass(frozen=True)
class Spec(Layer):
    """Options of moments.

    Attributes:
        width: W, the number of columns, taken from the first on; None = all.
        masked: whether indicators of missing readings follow the columns (numeric with missing "mask").
        epsilon: added to the variance, so that a constant column has a positive scale.
    """

    kind: ClassVar[str] = "moments"
    causal: ClassVar[bool] = False
    width: int | None = None
    masked: bool = False
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        if self.width is not None:
            check_count("width", self.width)
        check_flag("masked", self.masked)
        object.__setattr__(self, "epsilon", check_number("epsilon", self.epsilon, 1e-12, 1.0))

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """Mean and standard deviation of each column."""
        read = one_input(self, inputs)
        check_mask(self.kind, self.masked, read)
        if self.width is not None and self.width > read.columns:
            raise SpecError(f"moments has width {self.width}, but the input has {read.columns} columns")
        return Edge(2 * (self.width or read.columns))

    def sequence(self, tensors: Mapping[str, Array], *x: Array) -> Array:
        """The equations above in float64."""
        columns = x[0].shape[2] // 2 if self.masked else x[0].shape[2]
        used = x[0][:, :, :columns][:, :, : self.width]
        seen = x[0][:, :, columns:][:, :, : self.width] == 0 if self.masked else np.ones(used.shape, bool)
        count = seen.sum(axis=1, keepdims=True)
        mean = np.where(seen, used, 0).sum(axis=1, keepdims=True) / np.maximum(count, 1)
        variance = np.where(seen, (used - mean) ** 2, 0).sum(axis=1, keepdims=True) / np.maximum(count, 1)
        deviation = np.where(count, np.sqrt(variance + self.epsilon), 1.0)
        return np.repeat(np.concatenate([mean, deviation], axis=-1), used.shape[1], axis=1)

    def numbers(self) -> dict[str, float | list[float]]:
        """Epsilon, whether masked; the width is that of the edge it writes."""
        return {"epsilon": self.epsilon, "masked": float(self.masked)}
