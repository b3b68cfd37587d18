"""A number in the units of a target that is not among the readings, such as a remaining useful life, with an interval.

The last layer gives one number a at each step::

    v = a * scale + offset                   the answer, in the units of the target
    y = v, v - margin, v + margin            with an interval; else y = v

The head is trained on given targets t, scaled as z = (t - offset) / scale::

    loss(a, z) = (a - z)^2    squared, whose expected value is least at the mean
               = |a - z|      absolute, whose expected value is least at the median

`offset`, `scale` and `margin` are not trained: a task sets the first two to the units of the target, and after the
training the margin to a quantile of |t - v| on held-out data (split conformal prediction: Vovk, Gammerman & Shafer
2005, "Algorithmic Learning in a Random World"; Lei, G'Sell, Rinaldo, Tibshirani & Wasserman 2018, "Distribution-Free
Predictive Inference for Regression").

Tensors: offset (1), scale (1) > 0, in the units of the target; margin (1) >= 0, likewise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gatewise.errors import SpecError
from gatewise.heads.base import Head
from gatewise.layers.base import Array, Edge, check_flag

LOSSES = ("squared", "absolute")


@dataclass(frozen=True)
class Spec(Head):
    """Options of the number head.

    Attributes:
        interval: whether the ends of an interval are answered too.
        loss: "squared" to train on the mean, "absolute" to train on the median.
    """

    kind: ClassVar[str] = "number"
    not_structural: ClassVar[tuple[str, ...]] = ("loss",)
    interval: bool = True
    loss: str = "squared"

    def __post_init__(self) -> None:
        check_flag("interval", self.interval)
        if self.loss not in LOSSES:
            raise SpecError(f"loss must be one of {list(LOSSES)}, got {self.loss!r}")

    @property
    def width(self) -> int:
        """Units of the last layer: 1."""
        return 1

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """The answer, and the ends of the interval."""
        widths = [edge.width for edge in inputs]
        if len(inputs) != 2 or widths[0] != 1:
            raise SpecError(f"number reads a last layer of 1 unit and the scaled input, got widths {widths}")
        return Edge(len(self.output_names()))

    def output_names(self) -> tuple[str, ...]:
        """The names "value", and "low" and "high" for the interval."""
        return ("value", "low", "high") if self.interval else ("value",)

    def levels(self) -> tuple[None, ...]:
        """No output is a level of a column."""
        return (None,) * len(self.output_names())

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Shapes as in the head of this file."""
        return {"offset": (1,), "scale": (1,), "margin": (1,)}

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """Offset 0, scale 1 and margin 0; a task replaces them."""
        return {"offset": np.zeros(1, np.float32), "scale": np.ones(1, np.float32), "margin": np.zeros(1, np.float32)}

    def check(self, tensors: Mapping[str, Array]) -> None:
        """Raise SpecError unless the scale is positive and the margin not negative."""
        if not tensors["scale"][0] > 0:
            raise SpecError(f"scale must be positive, got {tensors['scale'][0]}")
        if not tensors["margin"][0] >= 0:
            raise SpecError(f"margin must not be negative, got {tensors['margin'][0]}")

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equations above in float64."""
        value, margin = x[0] * tensors["scale"] + tensors["offset"], tensors["margin"]
        return np.concatenate([value, value - margin, value + margin] if self.interval else [value], axis=1), {}

    def numbers(self) -> dict[str, float | list[float]]:
        """Whether there is an interval."""
        return {"interval": float(self.interval)}
