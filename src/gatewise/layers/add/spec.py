"""Adds 2 to 4 edges of equal width elementwise, in the order of its sources: y = x_0 + x_1 + ...

It makes, for example, a residual connection y = x + f(x) (He et al. 2016, "Deep Residual Learning for Image
Recognition").

No tensors, no state. As `+` in NumPy and torch, Add in Keras and ONNX.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from gatewise.layers.base import Array, Edge, Layer, one_width


@dataclass(frozen=True)
class Spec(Layer):
    """It has no options."""

    kind: ClassVar[str] = "add"

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """An edge as wide as each that it reads."""
        return Edge(one_width(self, inputs))

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equation above."""
        return functools.reduce(operator.add, x), {}
