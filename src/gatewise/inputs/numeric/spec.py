"""Numeric input stage: scaling and missing values, on raw readings x of W columns.

::

    s = (x - offset) / scale          with scaling "standard"; s = x with "none"
    s = held where x is not finite    with missing "hold"; held is the last finite s of that column
    held' = s

Before any finite reading held is 0, which after standard scaling is the training mean. With missing "raise" a
non-finite reading is refused before any state changes. A stage that neither scales nor holds costs nothing: it is left
out of the graph.

Tensors, with scaling "standard": offset (W), scale (W), in the units of the readings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gatewise.errors import SpecError
from gatewise.layers.base import Array, Edge, Field, Layer, check_choice, check_count, one_input


@dataclass(frozen=True)
class Spec(Layer):
    """Options of the numeric input stage.

    Attributes:
        width: W, readings in one step.
        columns: their names, in order, or None.
        scaling: "none" or "standard".
        missing: "raise" refuses non-finite readings, "hold" repeats the last finite one.
    """

    kind: ClassVar[str] = "numeric"
    not_structural: ClassVar[tuple[str, ...]] = ("columns",)
    width: int
    columns: Any = None
    scaling: str = "none"
    missing: str = "raise"

    def __post_init__(self) -> None:
        check_count("width", self.width)
        check_choice("scaling", self.scaling, ("none", "standard"))
        check_choice("missing", self.missing, ("raise", "hold"))
        if self.columns is not None:
            columns = self.columns
            if not isinstance(columns, (list, tuple)) or not all(isinstance(name, str) for name in columns):
                raise SpecError(f"columns must be a list of names, got {columns!r}")
            if len(columns) != self.width or len(set(columns)) != self.width:
                raise SpecError(f"columns must be {self.width} different names, got {list(columns)}")
            object.__setattr__(self, "columns", tuple(columns))

    @property
    def identity(self) -> bool:
        """Whether the stage changes nothing, so that the graph leaves it out."""
        return self.scaling == "none" and self.missing == "raise"

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """As wide as the readings."""
        edge = one_input(self, inputs)
        if edge.width != self.width:
            raise SpecError(f"numeric input has width {self.width}, got an edge of {edge.width}")
        return Edge(self.width)

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Offset and scale, where scaling is "standard"."""
        return {} if self.scaling == "none" else {"offset": (self.width,), "scale": (self.width,)}

    def state(self, inputs: Sequence[Edge]) -> tuple[Field, ...]:
        """The held value of each column, scaled; only with missing "hold"."""
        return (Field("held", "float32", (self.width,)),) if self.missing == "hold" else ()

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """Offset 0 and scale 1; `fit` in the tasks puts in the training mean and deviation."""
        if self.scaling == "none":
            return {}
        return {"offset": np.zeros(self.width, np.float32), "scale": np.ones(self.width, np.float32)}

    def check(self, tensors: Mapping[str, Array]) -> None:
        """A scale is positive."""
        if self.scaling == "standard" and not (tensors["scale"] > 0).all():
            column = int(np.argmin(tensors["scale"] > 0))
            raise SpecError(f"scale of column {column} must be positive, got {tensors['scale'][column]}")

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equations above in float64."""
        s = x[0]
        if self.scaling == "standard":
            s = (s - tensors["offset"]) / tensors["scale"]
        if self.missing == "raise":
            return s, {}
        s = np.where(np.isfinite(x[0]), s, state["held"])
        return s, {"held": s}

    def native(self) -> list[float]:
        """Whether it scales, whether it holds."""
        return [float(self.scaling == "standard"), float(self.missing == "hold")]
