"""Concatenates edges in the order of its sources: y = [x_0, x_1, ...].

No tensors, no state. As `concatenate` over the last axis in NumPy, `cat` in torch, Concatenate in Keras and Concat in
ONNX.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gatewise.layers.base import Array, Edge, Layer, check_several


@dataclass(frozen=True)
class Spec(Layer):
    """It has no options."""

    kind: ClassVar[str] = "concat"

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """An edge as wide as all that it reads together."""
        check_several(self, inputs)
        return Edge(sum(edge.width for edge in inputs))

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equation above."""
        return np.concatenate(x, axis=-1), {}
