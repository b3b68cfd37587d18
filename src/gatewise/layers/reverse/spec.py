"""The sequence from its end to its beginning: y(t) = x(T - 1 - t) for a sequence of T steps.

No tensors, no state. It is not causal, so it runs over whole sequences or within a window, but not step by step. Rows
of a batch that end early are reversed within their own length, as in `reverse_sequence` of TensorFlow and
ReverseSequence of ONNX.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from gatewise.layers.base import Array, Edge, Layer, one_input


@dataclass(frozen=True)
class Spec(Layer):
    """It has no options."""

    kind: ClassVar[str] = "reverse"
    causal: ClassVar[bool] = False

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """As what it reads."""
        return one_input(self, inputs)

    def sequence(self, tensors: Mapping[str, Array], *x: Array) -> Array:
        """The equation above."""
        return x[0][:, ::-1]
