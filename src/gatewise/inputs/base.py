"""The base class of input stages, and functions that they share.

A reading is missing if it is NaN or infinite, or if its absolute value exceeds `MOST` after scaling. With such a
reading a layer could compute a value that is not finite in float32, and the state would never become finite again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.layers.base import Array, Layer

MISSING = ("raise", "hold", "mask")
"""How to treat missing readings: raise an error, fill forward, or fill forward and add indicators to the output."""

MOST = 1e18
"""Greatest absolute value, after scaling, of a reading that is not missing. Its square is still a float32."""

WITHIN = 0.999999 * MOST
"""Slightly less than `MOST`, so that a reading of this size does not exceed `MOST` by rounding."""

Transform = Sequence[str | None] | None
"""For each column "log1p" or None; None = no column is transformed."""


class InputStage(Layer):
    """Base class of input stages. Unless a stage says otherwise, missing readings are an error.

    Attributes:
        width: number of readings in one step.
        columns: their names, in order, or None.
        subtract: constants that are subtracted from the columns in float64 before anything else, (width), or None. The
            `Model` does this; the methods below get readings from which the constants are subtracted already.
        missing: how missing readings are treated, one of `MISSING`.
    """

    width: int
    columns: tuple[str, ...] | None = None
    subtract: tuple[float, ...] | None = None
    missing: str = "raise"

    @property
    def identity(self) -> bool:
        """Whether it changes nothing, so that the graph leaves it out."""
        return False

    @property
    def refuses_missing(self) -> bool:
        """Whether missing readings are refused, before any state changes."""
        return self.missing == "raise"

    @property
    def fills_forward(self) -> bool:
        """Whether missing readings are filled forward without indicators, so that later layers cannot detect them."""
        return self.missing == "hold"

    @property
    def missing_readings(self) -> str:
        """A text for messages that says which readings count as missing."""
        return f"not finite, or beyond {MOST:g} once scaled"

    def usable(self, tensors: Mapping[str, Array], readings: Array) -> Array:
        """Which readings (..., width) are not missing: bool. It is computed in the precision of the readings.

        Args:
            tensors: the tensors of the stage by their short names.
            readings: raw readings.
        """
        return usable(readings)

    def limits(self, tensors: Mapping[str, Array]) -> tuple[Array, Array]:
        """The least and the greatest reading of each column that does not count as missing: (width) float64 each."""
        return np.full(self.width, -WITHIN), np.full(self.width, WITHIN)

    def unscaled(self, tensors: Mapping[str, Array], column: int, values: Array) -> Array:
        """Convert values of one column of the output to the units of the readings: float64, same shape."""
        return np.asarray(values, np.float64)


def transformed(readings: Array, transform: Transform) -> Array:
    """Readings (..., columns) after the transform, in their own precision; NaN if the logarithm does not exist."""
    if transform is None:
        return readings
    with np.errstate(all="ignore"):
        logarithms = np.log1p(np.where(readings > -1, readings, np.nan), dtype=readings.dtype)
        return np.where(_logs(transform), logarithms, readings)


def usable(
    readings: Array, offset: Array | None = None, scale: Array | None = None, transform: Transform = None
) -> Array:
    """Which readings (..., columns) are not missing, see the head of this file; computed in their own precision.

    Args:
        readings: raw readings.
        offset, scale: (columns) each; None = the readings are not scaled.
        transform: the transform of the columns. Readings of -1 or less have no logarithm, so they are missing too.
    """
    with np.errstate(all="ignore"):
        scaled = transformed(readings, transform)
        scaled = scaled if offset is None or scale is None else (scaled - offset) * (1 / scale)  # as in the native core
        return np.asarray(np.abs(scaled) <= MOST)


def fill_forward(readings: Array) -> Array:
    """Fill readings (time, columns) forward with the last finite one of a column. Gaps at the beginning stay."""
    at = np.arange(len(readings))[:, None]
    last = np.maximum.accumulate(np.where(np.isfinite(readings), at, -1), axis=0)
    return np.asarray(np.where(last >= 0, np.take_along_axis(readings, np.maximum(last, 0), axis=0), readings))


def _logs(transform: Sequence[Any]) -> Array:
    """Which columns have the transform "log1p": (columns,) bool."""
    return np.array([one is not None for one in transform])
