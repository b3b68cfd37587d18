"""Numeric input stage: scaling and missing values, on raw readings x of W columns.

::

    x = log(1 + x)                    in the columns with transform "log1p"
    s = (x - offset) / scale          with scaling "standard"; s = x with "none"
    s = held if x is missing          with missing "hold" and "mask"; held is the last s of that column
    held' = s
    y = s                             (W), or with missing "mask"
    y = [s, i]                        (2W), i = 1 where x is missing, else 0

A reading is missing if it is NaN or infinite, or if |s| > 1e18: with such a value a layer could compute one that is not
finite in float32, and the state would never become finite again. In a column with transform "log1p" a reading of -1 or
less is missing too. With missing "hold" and "mask", missing readings are filled forward. Before the first reading, held
is 0, which is the training mean after standard scaling. The indicators i tell later layers which values were filled
forward, so that they can learn the effect of a gap (Lipton, Kale & Wetzel 2016, "Modeling Missing Data in Clinical Time
Series with RNNs", arXiv 1606.04130). With missing "raise", a missing reading raises an error before any state changes.
A stage that neither transforms, scales nor fills forward is left out of the graph.

Readings with a large level and a small variation have too few digits in float32. With `subtract` a model subtracts a
constant from each column in float64, before anything else, and adds it again to those answers that are levels of the
column (`Model.subtract`, `Head.levels`). The x above and all tensors are then relative to that constant, so the native
core, torch and other executions need not know it.

Readings come first in y, so a head finds column k of x at position k. `Edge.columns` is W, not 2W, and a head raises an
error for a target beyond it. `Edge.transform` says which columns are transformed, so that a head can answer in the
units of the readings.

Tensors, with scaling "standard": offset (W), scale (W), in the units of the readings after the transform.
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
"""Greatest number of columns with a transform."""


@dataclass(frozen=True)
class Spec(InputStage):
    """Options of the numeric input stage.

    Attributes:
        width: W, the number of readings in one step.
        columns: their names, in order, or None.
        scaling: "none" or "standard".
        missing: "raise" = a missing reading is an error; "hold" = fill it forward; "mask" = fill it forward and add to
            the output an indicator for each column, 1 if its reading is missing, else 0.
        subtract: W constants that are subtracted from the columns in float64, or None.
        transform: W entries, "log1p" for a column that is replaced by log(1 + x), else None; None = no column is.
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
            raise SpecError(f"{len(self.logs)} columns with a transform are more than {MOST_LOGS}; transform fewer")

    @property
    def logs(self) -> list[int]:
        """The columns with transform "log1p"."""
        return [k for k, one in enumerate(self.transform or ()) if one is not None]

    @property
    def identity(self) -> bool:
        """Whether it neither transforms, scales nor fills forward."""
        return self.scaling == "none" and self.missing == "raise" and self.transform is None

    @property
    def missing_readings(self) -> str:
        """See `InputStage.missing_readings`; with a transform, this includes readings that have no logarithm."""
        logs = ", of -1 or less where 1 + x is to have a logarithm" if self.transform is not None else ""
        return f"not finite{logs}, or beyond {MOST:g} once scaled"

    def usable(self, tensors: Mapping[str, Array], readings: Array) -> Array:
        """See `InputStage.usable` and the head of this file."""
        return usable(readings, tensors.get("offset"), tensors.get("scale"), self.transform)

    def limits(self, tensors: Mapping[str, Array]) -> tuple[Array, Array]:
        """See `InputStage.limits`. In transformed columns readings must also be above -1 and within float32."""
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
        """Offset and scale, (W) float64 each; 0 and 1 without scaling."""
        if self.scaling == "none":
            return np.zeros(self.width), np.ones(self.width)
        return tensors["offset"].astype(np.float64), tensors["scale"].astype(np.float64)

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """An edge as wide as the readings, or twice as wide with missing "mask"."""
        edge = one_input(self, inputs)
        if edge.width != self.width:
            raise SpecError(f"numeric input has width {self.width}, got an edge of {edge.width}")
        masked = self.missing == "mask"
        width, readings = (2 * self.width, self.width) if masked else (self.width, None)
        return Edge(width, readings=readings, transform=self.transform)

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Offset and scale, if scaling is "standard"."""
        return {} if self.scaling == "none" else {"offset": (self.width,), "scale": (self.width,)}

    def state(self, inputs: Sequence[Edge]) -> tuple[Field, ...]:
        """The last value of each column, scaled, to fill forward; nothing with missing "raise"."""
        return () if self.missing == "raise" else (Field("held", "float32", (self.width,)),)

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """Offset 0 and scale 1; `fit` of a task replaces them by the training mean and standard deviation."""
        if self.scaling == "none":
            return {}
        return {"offset": np.zeros(self.width, np.float32), "scale": np.ones(self.width, np.float32)}

    def check(self, tensors: Mapping[str, Array]) -> None:
        """Raise SpecError unless scales and their reciprocals are positive and fit float32."""
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
                f"scale of column {column} is {scale[column]:g}, and its reciprocal is too large for float32; use "
                "smaller units for the column, or leave it out"
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
