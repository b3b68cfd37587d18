"""What is refused before the budget of a training is spent, so that nothing that the table tells is found out after it.

`table.standardise` looks at the training part, `gatewise.train.fit` at the part that decides when to stop and at the
files to be written; here is what comes into play only once the model is trained.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.errors import InputError, Parameter
from gatewise.file import same_file
from gatewise.model import Model
from gatewise.spec import MOST_JSON, canonical_json
from gatewise.tables.files import TextFile
from gatewise.tables.split import Parts
from gatewise.tables.table import Table, enumerated
from gatewise.tasks.calibrate import LEAST
from gatewise.tasks.parameters import as_json

ADDED = 1 << 15
"""Characters of a description that are kept for what the training and the calibration add: versions, metrics, figures
and warnings."""


def check_files(
    data: Any, start: Any, checkpoint: str | os.PathLike[str] | None, metrics: str | os.PathLike[str] | None
) -> None:
    """Refuse paths of which one would overwrite another, as `fit` takes them.

    Args:
        data: of which a path or a `TextFile` counts, and nothing else.
        start: of which a path counts.
        checkpoint, metrics: the files that are written.

    Raises:
        InputError: two of them are the same file, saying which.
    """
    source = data.path if isinstance(data, TextFile) else data
    places = {"data": _path(source), "start": _path(start), "checkpoint": checkpoint, "metrics": metrics}
    if (found := same_file(places)) is not None:
        name, other = found
        raise InputError(f"{name} and {other} are the same file, {places[other]}; give each a file of its own")


def check_calibration(table: Table, targets: Sequence[int], parts: Parts) -> None:
    """Refuse targets that the calibration part cannot calibrate, all of them at once.

    Args:
        table: the readings, with those that count as missing as NaN.
        targets: columns of the table that are forecast.
        parts: where the calibration part begins.

    Raises:
        InputError: a target has fewer than 50 readings there, or the same one throughout.
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


def check_room(model: Model, parameters: Mapping[str, Any], table: Table) -> None:
    """Refuse what a model file could not hold.

    Args:
        model: before its training.
        parameters: of the task.
        table: the readings; names of columns and ids of series stand in the file.

    Raises:
        InputError: a parameter is no plain JSON value, or it is all too long.
    """
    for name, value in parameters.items():
        try:
            canonical_json(as_json(value))
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f"{name} must be a value that a model file can hold, got {value!r}: {error}") from None
    ids = [name for name, _, _ in table.series]
    given = {name: as_json(value) for name, value in parameters.items()}
    told: list[Any] = [model.spec.to_dict(), given, table.columns, ids, table.warnings]
    needed = len(canonical_json(told))
    if needed > MOST_JSON - ADDED:
        raise InputError(
            f"the names of columns ({len(table.columns):,}) and series ({len(ids):,}) take {needed:,} characters, and "
            f"a model file holds {MOST_JSON - ADDED:,}; shorten the names, read fewer columns, or fit on fewer series"
        )


def _path(value: Any) -> str | os.PathLike[str] | None:
    return value if isinstance(value, (str, os.PathLike)) else None
