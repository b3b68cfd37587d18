"""What a fit works with, and what it makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.tables.split import Parts
from gatewise.tables.table import Table
from gatewise.tasks.layout import Layout


@dataclass
class Fitting:
    """What a `fit` works with once the data are read.

    Attributes:
        table: all series that can be read, with the columns of `layout.read` in its order.
        layout: what the model reads and is about.
        parts: how the rows are split.
        offset, scale: (columns,) float32 each, by which the columns are scaled.
        warnings: what was found about the data.
    """

    table: Table
    layout: Layout
    parts: Parts
    offset: Array
    scale: Array
    warnings: list[str]


@dataclass
class Fitted:
    """What a task makes of a trained model: `model` ready for use, what it keeps, and what it warns of."""

    model: Model
    described: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def at(times: Any, span: slice) -> Any:
    """The times of some rows; None where there are no times."""
    return None if times is None else times[span]
