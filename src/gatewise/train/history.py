"""The history of a training: a record of each evaluation. Checkpoints hold it, and it can be written as a CSV file."""

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
    """The record of one evaluation; its means are over the updates since the evaluation before it.

    Attributes:
        step: number of updates made.
        epoch: number of whole passes over the data made.
        loss: mean training loss.
        validation: mean loss on the held-out part; NaN if nothing is held out.
        learning_rate: learning rate of the last update.
        gradient_norm: mean Euclidean norm of the gradient before clipping.
        clip_rate: share of the updates whose gradient was clipped.
        seconds: time since the training began, over all its sessions.
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
    """The history of a training.

    Attributes:
        records: one for each evaluation, in order.
        best_step: number of updates after which the weights were those of the returned model.
        best_validation: the loss of these weights on the held-out part; None if nothing is held out.
        stopped: why the training ended: "budget", it was used up, or "patience", the held-out loss no longer fell.
    """

    records: tuple[Record, ...]
    best_step: int
    best_validation: float | None
    stopped: str


def to_array(records: Sequence[Record]) -> Array:
    """The records as an array, float64 (records, columns)."""
    return np.array([astuple(record) for record in records], np.float64).reshape(-1, len(COLUMNS))


def from_array(values: Array) -> list[Record]:
    """The reverse of `to_array`. Raises FileError for values that no training writes."""
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
    """Write all records to a CSV file, atomically. The file is written anew each time, so resuming repeats no row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        writer.writerow([_cell(value) for value in astuple(record)])
    atomic_write(path, text.getvalue().encode())


def _cell(value: Any) -> str:
    return "" if value != value else f"{value:.9g}"
