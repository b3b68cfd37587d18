"""The probabilities of classes, which are known by name.

The last layer gives a number a_i for each of C classes at each step::

    y_i = exp(a_i - max a) / sum_j exp(a_j - max a)

The head is trained on given classes c, their numbers from 0 to C - 1, with the negative log likelihood, which is also
called cross-entropy (Bridle 1990, "Probabilistic Interpretation of Feedforward Classification Network Outputs")::

    loss(a, c) = -log y_c    nats

It has no tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gatewise.errors import SpecError
from gatewise.heads.base import Head
from gatewise.layers.base import Array, Edge, check_list

MOST_CLASSES = 1 << 12


@dataclass(frozen=True)
class Spec(Head):
    """Options of the softmax head.

    Attributes:
        classes: names of the C classes, at least two, in the order of the outputs.
    """

    kind: ClassVar[str] = "softmax"
    not_structural: ClassVar[tuple[str, ...]] = ("classes",)
    classes: Any

    def __post_init__(self) -> None:
        classes = check_list("classes", self.classes)
        object.__setattr__(self, "classes", classes)
        if not all(isinstance(name, str) for name in classes):
            raise SpecError(f"classes must be texts, got {list(classes)}")
        if not 2 <= len(classes) <= MOST_CLASSES:
            raise SpecError(f"classes must be 2 to {MOST_CLASSES} names, got {len(classes)}")
        if len(set(classes)) < len(classes):
            raise SpecError(f"classes names a class twice: {list(classes)}")

    @property
    def width(self) -> int:
        """Units of the last layer: C."""
        return len(self.classes)

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """One probability for each class."""
        widths = [edge.width for edge in inputs]
        if len(inputs) != 2 or widths[0] != self.width:
            raise SpecError(
                f"softmax reads a last layer of {self.width} units, one for each class, and the scaled input, got "
                f"widths {widths}"
            )
        return Edge(self.width)

    def output_names(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(self.classes)

    def levels(self) -> tuple[None, ...]:
        """No output is a level of a column."""
        return (None,) * self.width

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equation above in float64."""
        likely = np.exp(x[0] - x[0].max(axis=1, keepdims=True))
        return likely / likely.sum(axis=1, keepdims=True), {}
