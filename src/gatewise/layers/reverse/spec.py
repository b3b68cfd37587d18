"""The sequence from its end to its beginning: y(t) = x(T - 1 - t) for a sequence of T steps.

No tensors, no state. It needs the whole sequence, so it runs over sequences or within a window, not step by step. Rows
of a batch that end early are reversed within their own length, as `reverse_sequence` in TensorFlow and ReverseSequence
in ONNX do.
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
