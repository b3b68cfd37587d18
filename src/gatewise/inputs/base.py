"""What every input stage has in common: which readings it takes, and what it makes of them before the first layer.

A reading is missing where it is NaN or infinite, and where its size is beyond `MOST` once it is scaled: what a layer
makes of that need not be finite in float32, and a state that is not stays so for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.layers.base import Array, Layer

MISSING = ("raise", "hold", "mask")
"""What may be done where a reading is missing: refuse it, repeat the last one that came, or do so and say it."""

MOST = 1e18
"""The largest size, once scaled, of a reading that is not missing: its square is still far from the end of float32."""

WITHIN = 0.999999 * MOST
"""A hair within that bound, so that a reading of this size is not rounded beyond it."""

Transform = Sequence[str | None] | None
"""For each column "log1p" or None; None = no column is transformed."""


class InputStage(Layer):
    """Base of an input stage. What it is not told to do otherwise it refuses: a stage takes no missing readings.

    Attributes:
        width: readings in one step.
        columns: their names, in order, or None.
        subtract: constants taken from the columns in float64 before anything else, (width), or None. A `Model` does
            that; the readings of the methods below are less these constants.
    """

    width: int
    columns: tuple[str, ...] | None = None
    subtract: tuple[float, ...] | None = None

    @property
    def identity(self) -> bool:
        """Whether it changes nothing, so that the graph leaves it out."""
        return False

    @property
    def refuses_missing(self) -> bool:
        """Whether missing readings are refused, before any state changes."""
        return True

    @property
    def fills_forward(self) -> bool:
        """Whether nothing tells a missing reading from the last one of its column that came, which stands for it."""
        return False

    @property
    def missing_readings(self) -> str:
        """Which readings are missing, for messages."""
        return f"not finite, or beyond {MOST:g} once scaled"

    def usable(self, tensors: Mapping[str, Array], readings: Array) -> Array:
        """Where readings (..., width) are not missing: bool, judged in their own precision.

        Args:
            tensors: of the stage, by their short names.
            readings: raw.
        """
        return usable(readings)

    def limits(self, tensors: Mapping[str, Array]) -> tuple[Array, Array]:
        """The least and the largest reading of each column that is not missing: (width) float64 each."""
        return np.full(self.width, -WITHIN), np.full(self.width, WITHIN)

    def unscaled(self, tensors: Mapping[str, Array], column: int, values: Array) -> Array:
        """Values of one column, as the stage writes them, in the units of the readings: float64, shape as given."""
        return np.asarray(values, np.float64)


def transformed(readings: Array, transform: Transform) -> Array:
    """Readings (..., columns) as they are scaled, in their own precision; NaN where there is no logarithm."""
    if transform is None:
        return readings
    with np.errstate(all="ignore"):
        logarithms = np.log1p(np.where(readings > -1, readings, np.nan), dtype=readings.dtype)
        return np.where(_logs(transform), logarithms, readings)


def usable(
    readings: Array, offset: Array | None = None, scale: Array | None = None, transform: Transform = None
) -> Array:
    """Where readings (..., columns) are not missing, as the head of this file has it; in their own precision.

    Args:
        readings: raw.
        offset, scale: (columns) each; None = they are not scaled.
        transform: of the columns; where a logarithm is taken, readings of -1 or less are missing too.
    """
    with np.errstate(all="ignore"):
        scaled = transformed(readings, transform)
        scaled = scaled if offset is None or scale is None else (scaled - offset) * (1 / scale)  # as the core does
        return np.asarray(np.abs(scaled) <= MOST)


def fill_forward(readings: Array) -> Array:
    """Readings (time, columns) with the last finite one of a column where one is not; those before the first stay."""
    at = np.arange(len(readings))[:, None]
    last = np.maximum.accumulate(np.where(np.isfinite(readings), at, -1), axis=0)
    return np.asarray(np.where(last >= 0, np.take_along_axis(readings, np.maximum(last, 0), axis=0), readings))


def _logs(transform: Sequence[Any]) -> Array:
    """Which columns are transformed: (columns,) bool."""
    return np.array([one is not None for one in transform])
