"""Compute the answers of a detector's model to a table, and the frame of results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gatewise.drift import tell_drift
from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.tables.table import Table, unused
from gatewise.tables.warn import warn

if TYPE_CHECKING:
    from gatewise.tasks.detector import Detector

EXPLAINED = ("score", "expected", "low", "high")
"""The outputs of the model for each target."""


def answers_of(fitted: Model, table: Table, begin: Mapping[Any, Any]) -> Array:
    """The answers of a model to all rows, (rows, outputs) float32 in the order of the table.

    If the readings have drifted, a warning is issued.

    Args:
        fitted: the model, with the constants that are subtracted from the data.
        table: the readings, after subtraction of the constants.
        begin: id of a series -> its initial state; None = the start of a sequence.
    """
    model = fitted.relative()
    answers = np.empty((len(table), model.outputs), np.float32)
    told = []
    for name, start, stop in table.series:
        rows, state = table.values[start:stop], begin.get(name)
        answer, end = model.run(rows, state, return_state=True)
        answers[start:stop] = answer
        if model.drifts(end) and (drift := tell_drift(model, rows, state, end, fitted)):
            told.append((start + drift[0], drift[1]))
    if told:
        others = f" (and so have {len(told) - 1} other series)" if len(told) > 1 else ""
        warn(f"{table.where(told[0][0])}: {told[0][1]}{others}")
    return answers


def explained(task: Detector, table: Table, answers: Array) -> pd.DataFrame:
    """The frame that `Detector.explain` returns.

    Args:
        task: the fitted detector.
        table: the readings.
        answers: (rows, outputs) of its model.
    """
    named = dict(zip(task.model_.output_names, answers.astype(np.float64).T, strict=True))
    several = len(task.targets_) > 1
    columns = {"score": named["score"]} if several else {}
    for target in task.targets_:
        own = f"{target}:" if several else ""
        k = task.columns_.index(target)
        columns[f"{own}observed"] = table.wide(k)
        columns |= {name: named[name] for name in (f"{own}{what}" for what in EXPLAINED)}
        for what in EXPLAINED[1:]:
            columns[f"{own}{what}"] = columns[f"{own}{what}"] + table.subtract[k]
    columns["extrapolated"] = named["extrapolated"] > 0
    columns["alarm"] = named["score"] >= task.threshold_
    return table.frame(columns).iloc[np.argsort(table.order)]


def with_known_names(task: Detector, found: pd.DataFrame, what: str) -> pd.DataFrame:
    """The results in a frame from `Detector.explain`, with columns `time` and `series` if the frame has these.

    In the frame they have the names of the data, which may be those of results; see `Table.frame`.

    Args:
        task: the fitted detector.
        found: the frame, or some of its rows.
        what: name of the method that needs it, for the message of an error.

    Raises:
        InputError: the frame is not from `explain`.
    """
    if not isinstance(found, pd.DataFrame) or not {"score", "alarm"} <= set(found.columns):
        raise InputError(f"{what} needs the frame that explain gives; pass detector.explain(data)")
    own = [f"{target}:" for target in task.targets_] if len(task.targets_) > 1 else [""]
    results = {"score", "extrapolated", "alarm", *(f"{one}{name}" for one in own for name in ("observed", *EXPLAINED))}
    time = task.time or "time"
    named = found[[name for name in found.columns if name in results]].copy()
    for role, name, taken in (("time", time, results), ("series", task.series, {*results, task.time})):
        if name is None:
            continue
        if (column := unused(name, taken)) in found.columns:
            named[role] = found[column]
        elif name in found.index.names:
            named[role] = found.index.get_level_values(name)
    return named
