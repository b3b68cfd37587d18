"""Checks before the training of conditions that matter only after it, so that no training is wasted.

The training part is checked by `scaling.standardise`; the part that decides when to stop, and the output files, by
`gatewise.train.fit`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.errors import InputError, Parameter
from gatewise.file import MOST_BYTES, same_file
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.spec import MOST_JSON, canonical_json
from gatewise.tables.files import TextFile
from gatewise.tables.split import Parts
from gatewise.tables.table import Table, enumerated
from gatewise.tasks.calibrate import LEAST

MOST_STATES = MOST_BYTES // 2
"""Bytes of the states after training; the other half of a model file is for the weights."""

ADDED = 1 << 15
"""Number of characters of the description that are reserved for what training and calibration add: versions, metrics,
statistics and warnings."""


def check_files(
    data: Any, start: Any, checkpoint: str | os.PathLike[str] | None, metrics: str | os.PathLike[str] | None
) -> None:
    """Raise an error if two arguments of `fit` are the same file, so that one would overwrite the other.

    Args:
        data: the data; checked if they are a path or a `TextFile`.
        start: the start; checked if it is a path.
        checkpoint, metrics: the files that are written.

    Raises:
        InputError: two of them are the same file; the message says which.
    """
    source = data.path if isinstance(data, TextFile) else data
    places = {"data": _path(source), "start": _path(start), "checkpoint": checkpoint, "metrics": metrics}
    if (found := same_file(places)) is not None:
        name, other = found
        raise InputError(f"{name} and {other} are the same file, {places[other]}; give each a file of its own")


def check_calibration(table: Table, targets: Sequence[int], parts: Parts) -> None:
    """Raise an error that names all targets which the calibration part cannot calibrate.

    Args:
        table: the readings; missing ones are NaN.
        targets: columns of the table that are forecast.
        parts: the split of the table, with the calibration part.

    Raises:
        InputError: a target has fewer than 50 readings there, or all are equal.
    """
    rows = parts.calibration
    flat, few = [], []
    for target in targets:
        readings = table.values[rows, target]
        readings = readings[np.isfinite(readings)]
        name = f"column {table.columns[target]!r}"
        if len(readings) < LEAST:
            count = f"{len(readings)} reading{'' if len(readings) == 1 else 's'}" if len(readings) else "no readings"
            few.append(f"{name} has {count}")
        elif np.ptp(readings) == 0:
            flat.append(f"{name} is {readings[0]:g} throughout")
    if not flat and not few:
        return
    part = f"the {len(rows):,} rows of the calibration part, the last of {'the' if table.id is None else 'each'} series"
    found = [f"{enumerated(flat)} {part}"] if flat else []
    found += [f"{enumerated(few)} in {'them' if flat else part}"] if few else []
    bad = len(flat) + len(few)
    them, each = ("it", "it") if bad == 1 else ("them", "each of them")
    leave = (f"leave {them} out of ", Parameter("target"), ", or ") if bad < len(targets) else ()
    raise InputError(
        f"{', and '.join(found)}; ",
        *leave,
        f"give rows that end with at least {LEAST} readings of {each}, not all of them equal",
    )


def check_room(model: Model, parameters: Mapping[str, Any], table: Table, states: int = 0) -> None:
    """Raise an error if the result could not be saved in a model file.

    Args:
        model: the model before its training.
        parameters: the parameters of the task.
        table: the readings, whose column names and series ids are written to the file.
        states: bytes of the states after training of all series.

    Raises:
        InputError: a parameter is not a plain JSON value, the description is too long, or the states are too large.
    """
    if states > MOST_STATES:
        raise InputError(
            f"the states of {len(table.series):,} series take {states:,} bytes, and a model file holds "
            f"{MOST_STATES:,}; fit on fewer series, or with fewer units"
        )
    for name, value in parameters.items():
        try:
            canonical_json(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f"{name} must be a value that a model file can hold, got {value!r}: {error}") from None
    ids = [name for name, _, _ in table.series]
    told: list[Any] = [model.spec.to_dict(), dict(parameters), table.columns, ids, table.warnings]
    needed = len(canonical_json(told))
    if needed > MOST_JSON - ADDED:
        raise InputError(
            f"the names of columns ({len(table.columns):,}) and series ({len(ids):,}) take {needed:,} characters, and "
            f"a model file holds {MOST_JSON - ADDED:,}; shorten the names, read fewer columns, or fit on fewer series"
        )


def check_split(inputs: Sequence[Array], parts: Parts) -> None:
    """Raise an error unless `gatewise.train.fit` trains on exactly the rows of the training part.

    Args:
        inputs: the input (rows, inputs) of each series that is split.
        parts: the split.

    Raises:
        InputError: the split of a series is rounded in another way.
    """
    if parts.share is None:
        return
    for x, span in zip(inputs, parts.spans, strict=True):
        trained = len(x) - round(parts.share * len(x))
        if trained != span.validation - span.training:
            raise InputError(
                f"the training part of a series of {len(x):,} rows has {span.validation - span.training:,}, but with a "
                f"share of {parts.share:g} for validation {trained:,} rows are trained on; split a series of n rows "
                "after n - round(share * n) rows"
            )


def _path(value: Any) -> str | os.PathLike[str] | None:
    return value if isinstance(value, (str, os.PathLike)) else None
