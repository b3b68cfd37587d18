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
(`Model.subtract`, `Layer.levels`). The x above, and all tensors, are then less that constant: no execution knows of it.

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
from gatewise.layers.base import (
    Array,
    Edge,
    Field,
    Layer,
    check_choice,
    check_count,
    check_list,
    check_number,
    check_transform,
    one_input,
)

MISSING = ("raise", "hold", "mask")
"""What may be done where a reading is missing."""

MOST = 1e18
"""The largest size, once scaled, of a reading that is not missing: its square is still far from the end of float32."""


MOST_LOGS = 4000
"""Columns that may be transformed."""

Transform = Sequence[str | None] | None
"""For each column "log1p" or None; None = no column is transformed."""


def transformed(readings: Array, transform: Transform) -> Array:
    """Readings (..., columns) as they are scaled, in their own precision; NaN where there is no logarithm."""
    if transform is None:
        return readings
    logs = np.array([one is not None for one in transform])
    with np.errstate(all="ignore"):
        return np.where(logs, np.log1p(np.where(readings > -1, readings, np.nan), dtype=readings.dtype), readings)


def usable(
    readings: Array, offset: Array | None = None, scale: Array | None = None, transform: Transform = None
) -> Array:
    """Where readings (..., columns) are not missing, as the head of this file has it; in their own precision.

    Args:
        readings: raw.
        offset, scale: (columns) each; None = they are not scaled.
        transform: of the columns.
    """
    with np.errstate(all="ignore"):
        scaled = transformed(readings, transform)
        scaled = scaled if offset is None or scale is None else (scaled - offset) * (1 / scale)
        return np.asarray(np.abs(scaled) <= MOST)


def limits(offset: Array, scale: Array, transform: Transform = None) -> tuple[Array, Array]:
    """The least and the largest raw reading of each column, a hair within the bound: (columns) float64 each."""
    reach = 0.999999 * MOST * scale.astype(np.float64)
    least, largest = offset - reach, offset + reach
    if transform is not None:
        logs = np.array([one is not None for one in transform])
        beyond = float(np.finfo(np.float32).max)
        with np.errstate(over="ignore"):
            above = float(np.nextafter(np.float32(-1), np.float32(0)))  # the least whose logarithm is a number
            low, high = np.maximum(np.expm1(least), above), np.minimum(np.expm1(largest), beyond)
        least, largest = np.where(logs, low, least), np.where(logs, high, largest)
    return least, largest


def held(readings: Array) -> Array:
    """Readings (time, columns) with the last finite one of a column where one is not; those before the first stay."""
    at = np.arange(len(readings))[:, None]
    last = np.maximum.accumulate(np.where(np.isfinite(readings), at, -1), axis=0)
    return np.asarray(np.where(last >= 0, np.take_along_axis(readings, np.maximum(last, 0), axis=0), readings))


@dataclass(frozen=True)
class Spec(Layer):
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
        """Whether the stage changes nothing, so that the graph leaves it out."""
        return self.scaling == "none" and self.missing == "raise" and self.transform is None

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
        """A scale is positive."""
        if self.scaling == "standard" and not (tensors["scale"] > 0).all():
            column = int(np.argmin(tensors["scale"] > 0))
            raise SpecError(f"scale of column {column} must be positive, got {tensors['scale'][column]}")

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
