"""The data of tasks whose answers are given: a table, or sequences in a list of arrays or in one array.

::

    a table                  rows of one or several series, with the answers in a column, or in y (rows,)
    a list of arrays         each (time, inputs), with one answer each in y (sequences,), or a list of (time,)
    an array                 (sequences, time, inputs), likewise; (rows, inputs) is a table of one series

Sequences become one long table with a column of their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gatewise.errors import InputError
from gatewise.layers.base import Array


@dataclass(frozen=True)
class Given:
    """Data as a table.

    Attributes:
        table: data that `gatewise.tables.table.read_table` reads.
        series: name of the column with the numbers of sequences, if the data are sequences.
        answers: (rows,) the answers, if they are given apart from the table.
        single: whether y has one answer for each sequence; `answers` has it in the last row of each.
    """

    table: Any
    series: str | None = None
    answers: pd.Series[Any] | None = None
    single: bool = False


def given(data: Any, y: Any = None, names: Sequence[str] | None = None) -> Given:
    """The data and the answers in one form.

    Args:
        data: a table or sequences.
        y: the answers, if they are not in a column of the data.
        names: names of the inputs of sequences; None = x0, x1, ...

    Raises:
        InputError: sequences differ in their inputs, or the answers do not fit.
    """
    arrays = _arrays(data)
    if arrays is None:
        return Given(data, answers=None if y is None else _values(y))
    if not arrays:
        raise InputError("there are no sequences; give a list of arrays (time, inputs)")
    lengths, width = [len(one) for one in arrays], arrays[0].shape[1]
    for i, one in enumerate(arrays):
        if one.shape[1] != width:
            raise InputError(f"sequence {i} has {one.shape[1]} inputs and sequence 0 has {width}; give each the same")
        if one.dtype.kind not in "fiub":
            raise InputError(f"sequence {i} must hold real numbers, got {one.dtype}; convert it first")
        if not len(one):
            raise InputError(f"sequence {i} has no steps; leave it out")
    columns = [f"x{k}" for k in range(width)] if names is None or len(names) != width else list(names)
    series = "sequence"
    while series in columns:
        series += "_"
    frame = pd.DataFrame(np.concatenate(arrays), columns=columns)
    frame.insert(0, series, np.repeat(np.arange(len(arrays)), lengths))
    if y is None:
        return Given(frame, series)
    each = list(y)
    if len(each) != len(arrays):
        raise InputError(f"there are {len(arrays)} sequences and {len(each)} answers; give one for each")
    if any(np.ndim(one) for one in each):
        for i, (one, length) in enumerate(zip(each, lengths, strict=True)):
            if np.shape(one) != (length,):
                raise InputError(
                    f"sequence {i} has {length} steps and answers of shape {np.shape(one)}; give one answer a step, or "
                    "one number or name for each sequence"
                )
        return Given(frame, series, pd.concat([_values(one) for one in each], ignore_index=True))
    last = np.cumsum(lengths) - 1
    return Given(frame, series, _values(y).set_axis(last).reindex(range(len(frame))), True)


def at_the_end(answers: pd.Series[Any], series: Sequence[tuple[Any, int, int]]) -> pd.Series[Any]:
    """The last answer in each series, moved to its last row; all other rows have none.

    Args:
        answers: (rows,).
        series: for each series its id, its first row, and the row before which it ends.
    """
    known = answers.notna().to_numpy()
    rows, last = [], []
    for _, start, stop in series:
        if (found := np.flatnonzero(known[start:stop])).size:
            rows.append(start + int(found[-1]))
            last.append(stop - 1)
    return answers.iloc[rows].set_axis(last).reindex(range(len(answers)))


def _arrays(data: Any) -> list[Array] | None:
    """The sequences, (time, inputs) each; None if the data are a table."""
    if isinstance(data, np.ndarray):
        return list(data) if data.ndim == 3 else None
    if not isinstance(data, (list, tuple)) or not all(np.ndim(one) == 2 for one in data):
        return None
    if data and hasattr(data[0], "columns"):
        raise InputError(
            "a list of frames is given; give one long frame, pandas.concat(frames, keys=...), with the column or level "
            "that tells them apart as the series, or a list of arrays"
        )
    return [np.asarray(one) for one in data]


def _values(y: Any) -> pd.Series[Any]:
    """Answers as a series of pandas with the numbers of the rows as its index."""
    values = y.to_numpy() if hasattr(y, "to_numpy") else y
    if np.ndim(values) != 1:
        raise InputError(f"y must have one dimension, got shape {np.shape(values)}")
    return pd.Series(values, name=getattr(y, "name", None)).reset_index(drop=True)
