"""Numeric input stage: scaling and missing values, on raw readings x of W columns.

::

    x = log(1 + x)                    in the columns with transform "log1p"
    s = (x - offset) / scale          with scaling "standard"; s = x with "none"
    s = held where x is missing       with missing "hold" and "mask"; held is the last s of that column
    held' = s
    y = s                             (W), or with missing "mask"
    y = [s, i]                        (2W), i = 1 where x is missing, else 0

A reading is missing where it is NaN or infinite, and where |s| > 1e18: what a layer makes of that need not be finite in
float32, and a state that is not stays so for ever. So is one of -1 or less in a column whose logarithm is taken. Before
any reading held is 0, which after standard scaling is the training mean. The indicators i tell what comes after that a
value is an old one, so that it can learn what a gap means (Lipton, Kale & Wetzel 2016, "Modeling Missing Data in
Clinical Time Series with RNNs", arXiv 1606.04130). With missing "raise" a missing reading is refused before any state
changes. A stage that neither transforms nor scales nor holds costs nothing: it is left out of the graph.

Readings of a large level and a small variation have too few digits in float32. With `subtract` a model takes a constant
from each column in float64, before anything else, and adds it again to those answers that are levels of the column
(`Model.subtract`, `Head.levels`). The x above, and all tensors, are then less that constant: no execution knows of it.

Readings come first in y, so a head finds column k of x at k. The edge says that it has W columns, not 2W, and a head
refuses a target beyond (`Edge.columns`). It also says which of them are transformed, so that a head answers in the
units of the readings or refuses to (`Edge.transform`).

Tensors, with scaling "standard": offset (W), scale (W), in the units of the readings, transformed where they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gatewise.errors import SpecError
from gatewise.inputs.base import MISSING, MOST, WITHIN, InputStage, transformed, usable
from gatewise.layers.base import (
    Array,
    Edge,
    Field,
    check_choice,
    check_count,
    check_list,
    check_number,
    check_transform,
    one_input,
)

MOST_LOGS = 4000
"""Columns that may be transformed."""


@dataclass(frozen=True)
class Spec(InputStage):
    """Options of the numeric input stage.

    Attributes:
        width: W, readings in one step.
        columns: their names, in order, or None.
        scaling: "none" or "standard".
        missing: "raise" refuses missing readings, "hold" repeats the last one that came, "mask" does so and adds to the
            output, for each column, 1 where it did and 0 where it did not.
        subtract: constants taken from the columns in float64, W, or None.
        transform: W times "log1p" or None: whether log(1 + x) is read in place of x; None = nowhere.
    """

    kind: ClassVar[str] = "numeric"
    not_structural: ClassVar[tuple[str, ...]] = ("columns", "subtract")
    width: int
    columns: Any = None
    scaling: str = "none"
    missing: str = "raise"
    subtract: Any = None
    transform: Any = None

    def __post_init__(self) -> None:
        check_count("width", self.width)
        check_choice("scaling", self.scaling, ("none", "standard"))
        check_choice("missing", self.missing, MISSING)
        if self.columns is not None:
            columns = self.columns
            if not isinstance(columns, (list, tuple)) or not all(isinstance(name, str) for name in columns):
                raise SpecError(f"columns must be a list of names, got {columns!r}")
            if len(columns) != self.width or len(set(columns)) != self.width:
                raise SpecError(f"columns must be {self.width} different names, got {list(columns)}")
            object.__setattr__(self, "columns", tuple(columns))
        if self.subtract is not None:
            constants = check_list("subtract", self.subtract)
            if len(constants) != self.width:
                raise SpecError(f"subtract must be {self.width} numbers, one for each column, got {len(constants)}")
            numbers = tuple(check_number("a constant to subtract", value, -MOST, MOST) for value in constants)
            object.__setattr__(self, "subtract", numbers if any(numbers) else None)
        object.__setattr__(self, "transform", check_transform(self.transform, self.width, "column"))
        if len(self.logs) > MOST_LOGS:
            raise SpecError(f"{len(self.logs)} columns with a transform are more than {MOST_LOGS}; take fewer")

    @property
    def logs(self) -> list[int]:
        """The columns of which the logarithm is read."""
        return [k for k, one in enumerate(self.transform or ()) if one is not None]

    @property
    def identity(self) -> bool:
        """Whether it neither transforms nor scales nor holds."""
        return self.scaling == "none" and self.missing == "raise" and self.transform is None

    @property
    def refuses_missing(self) -> bool:
        """With missing "raise"."""
        return self.missing == "raise"

    @property
    def fills_forward(self) -> bool:
        """With missing "hold"; with "mask" the indicators tell."""
        return self.missing == "hold"

    @property
    def missing_readings(self) -> str:
        """Also readings of which no logarithm can be taken."""
        logs = ", of -1 or less where 1 + x is to have a logarithm" if self.transform is not None else ""
        return f"not finite{logs}, or beyond {MOST:g} once scaled"

    def usable(self, tensors: Mapping[str, Array], readings: Array) -> Array:
        """As the head of this file has it."""
        return usable(readings, tensors.get("offset"), tensors.get("scale"), self.transform)

    def limits(self, tensors: Mapping[str, Array]) -> tuple[Array, Array]:
        """What lies within the bound once scaled; in transformed columns also above -1, and within float32."""
        offset, scale = self._unit(tensors)
        least, largest = offset - WITHIN * scale, offset + WITHIN * scale
        if self.logs:
            beyond = float(np.finfo(np.float32).max)
            above = float(np.nextafter(np.float32(-1), np.float32(0)))  # the least whose logarithm is a number
            with np.errstate(over="ignore"):
                low, high = np.maximum(np.expm1(least), above), np.minimum(np.expm1(largest), beyond)
            least[self.logs], largest[self.logs] = low[self.logs], high[self.logs]
        return least, largest

    def unscaled(self, tensors: Mapping[str, Array], column: int, values: Array) -> Array:
        """The reverse of the scaling, then of the transform."""
        offset, scale = (unit[column] for unit in self._unit(tensors))
        found = np.asarray(values, np.float64) * scale + offset
        return np.asarray(np.expm1(found)) if column in self.logs else found

    def _unit(self, tensors: Mapping[str, Array]) -> tuple[Array, Array]:
        """Offset and scale, (W) float64 each; 0 and 1 where nothing is scaled."""
        if self.scaling == "none":
            return np.zeros(self.width), np.ones(self.width)
        return tensors["offset"].astype(np.float64), tensors["scale"].astype(np.float64)

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """As wide as the readings; twice that with missing "mask"."""
        edge = one_input(self, inputs)
        if edge.width != self.width:
            raise SpecError(f"numeric input has width {self.width}, got an edge of {edge.width}")
        masked = self.missing == "mask"
        width, readings = (2 * self.width, self.width) if masked else (self.width, None)
        return Edge(width, readings=readings, transform=self.transform)

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Offset and scale, where scaling is "standard"."""
        return {} if self.scaling == "none" else {"offset": (self.width,), "scale": (self.width,)}

    def state(self, inputs: Sequence[Edge]) -> tuple[Field, ...]:
        """The held value of each column, scaled; not with missing "raise"."""
        return () if self.missing == "raise" else (Field("held", "float32", (self.width,)),)

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """Offset 0 and scale 1; `fit` in the tasks puts in the training mean and deviation."""
        if self.scaling == "none":
            return {}
        return {"offset": np.zeros(self.width, np.float32), "scale": np.ones(self.width, np.float32)}

    def check(self, tensors: Mapping[str, Array]) -> None:
        """A scale is positive, and so is its reciprocal a float32, by which the core multiplies."""
        if self.scaling == "none":
            return
        scale = tensors["scale"]
        if not (scale > 0).all():
            column = int(np.argmin(scale > 0))
            raise SpecError(f"scale of column {column} must be positive, got {scale[column]}")
        with np.errstate(over="ignore"):
            small = ~np.isfinite(1 / scale)
        if small.any():
            column = int(np.argmax(small))
            raise SpecError(
                f"scale of column {column} is {scale[column]:g}, and 1 divided by that is no float32; give the column "
                "in smaller units, or leave it out"
            )

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equations above in float64."""
        s = transformed(x[0], self.transform)
        if self.scaling == "standard":
            s = (s - tensors["offset"]) / tensors["scale"]
        if self.missing == "raise":
            return s, {}
        here = usable(s)
        s = np.where(here, s, state["held"])
        y = np.concatenate([s, ~here], axis=1, dtype=np.float64) if self.missing == "mask" else s
        return y, {"held": s}

    def numbers(self) -> dict[str, float | list[float]]:
        """Whether it scales; 0, 1 or 2 for missing "raise", "hold" or "mask"; the columns that are transformed."""
        return {
            "scaling": float(self.scaling == "standard"),
            "missing": float(MISSING.index(self.missing)),
            "transform": [float(k) for k in self.logs],
        }
