"""Multiplies 2 to 4 edges of equal width elementwise, in the order of its sources: y = x_0 * x_1 * ...

It makes, for example, a gated linear unit y = silu(W x) * (V x) (Shazeer 2020, "GLU Variants Improve Transformer",
arXiv 2002.05202).

No tensors, no state. As `*` in NumPy and torch, Multiply in Keras, Mul in ONNX.
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

    kind: ClassVar[str] = "multiply"

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """An edge as wide as each that it reads."""
        return Edge(one_width(self, inputs))

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equation above."""
        return functools.reduce(operator.mul, x), {}
