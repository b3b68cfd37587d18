"""What a training went through: a record at each look, kept in checkpoints and written as a CSV."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np

from gatewise.errors import FileError
from gatewise.file import atomic_write
from gatewise.layers.base import Array


@dataclass(frozen=True)
class Record:
    """One look at the training; means are over the steps since the look before.

    Attributes:
        step: updates done.
        epoch: whole passes over the data done.
        loss: mean training loss.
        validation: loss on the held-out part; NaN without one.
        learning_rate: of the last update.
        gradient_norm: mean Euclidean norm of the gradient before clipping.
        clip_rate: share of updates whose gradient was clipped.
        seconds: since the start, over all sessions.
    """

    step: int
    epoch: int
    loss: float
    validation: float
    learning_rate: float
    gradient_norm: float
    clip_rate: float
    seconds: float


COLUMNS = tuple(field.name for field in fields(Record))


@dataclass(frozen=True)
class History:
    """What a training went through.

    Attributes:
        records: one for each look, in order.
        best_step: the step whose weights were kept.
        best_validation: their loss on the held-out part; None without one.
        stopped: "budget" or "patience".
    """

    records: tuple[Record, ...]
    best_step: int
    best_validation: float | None
    stopped: str


def to_array(records: Sequence[Record]) -> Array:
    """float64 (records, columns)."""
    return np.array([astuple(record) for record in records], np.float64).reshape(-1, len(COLUMNS))


def from_array(values: Array) -> list[Record]:
    """The reverse of `to_array`. Raises FileError for what no training writes."""
    for k, name in enumerate(COLUMNS):
        column = values[:, k]
        good = np.isfinite(column) | (np.isnan(column) & (name == "validation"))
        if name in ("step", "epoch"):
            good &= (column >= 0) & (column == np.floor(column))
        if not good.all():
            row = int(np.argmin(good))
            raise FileError(f"record {row} has the {name} {column[row]:g}")
    return [Record(int(row[0]), int(row[1]), *row[2:].tolist()) for row in values]


def write_csv(path: str | os.PathLike[str], records: Sequence[Record]) -> None:
    """Write all records, atomically, and whole each time: a resumed run neither repeats a row nor leaves a gap."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        writer.writerow([_cell(value) for value in astuple(record)])
    atomic_write(path, text.getvalue().encode())


def _cell(value: Any) -> str:
    return "" if value != value else f"{value:.9g}"
