"""The data of a fit in progress, and its result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.tables.split import Parts
from gatewise.tables.table import Table
from gatewise.tasks.layout import Layout


@dataclass(frozen=True)
class Fitting:
    """The data of a `fit` after reading.

    Attributes:
        table: all series that can be used, with the columns of `layout.read` in its order.
        layout: the columns that the model reads, and its targets.
        parts: the split of the rows.
        offset, scale: (columns,) float32 each, by which the columns are scaled.
        model: the model before its training, in the units of the data.
        doubts: warnings about readings and columns that look implausible.
        warnings: all warnings about the data, the doubts included.
        described: what is known before the training of what the task saves with the model, plain JSON values.
    """

    table: Table
    layout: Layout
    parts: Parts
    offset: Array
    scale: Array
    model: Model
    doubts: list[str]
    warnings: list[str]
    described: dict[str, Any]

    @property
    def constants(self) -> Array | None:
        """What is subtracted from each input of the model, (inputs,) float64; None = nothing."""
        return None if self.table.constants is None else self.layout.spread(self.table.subtract, 0.0)


@dataclass(frozen=True)
class Fitted:
    """The result of a fit: the `model` ready for use, the data that the task saves with it, and warnings."""

    model: Model
    described: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def at(times: Any, span: slice) -> Any:
    """The times of some rows; None if there are no times."""
    return None if times is None else times[span]
