"""Read the section of the task in a model file without pandas, scikit-learn or torch.

Only this module and the tasks know the keys of the section; other packages use these functions. A file may come from an
untrusted source, so all values are checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.errors import StateError
from gatewise.file import Section
from gatewise.model import Model
from gatewise.state import State

STATE = "state."
"""Prefix of the names of the tensors with the state after the last row of the fit."""

Id = str | int | None
"""The id of a series; None if there is only one."""


def warnings_of(model: Model) -> list[str]:
    """The warnings of the task at fit."""
    told = _described(model).get("warnings")
    return [text for text in told if isinstance(text, str)] if isinstance(told, list) else []


def of_several(model: Model) -> bool:
    """Whether the task was fitted on several series with ids."""
    return _described(model).get("series") is not None


def times_of(model: Model) -> object:
    """The timeline of the rows of the fit, as `gatewise.tables.timeline.Timeline.to_dict` returned it."""
    return _described(model).get("times")


def shown(model: Model) -> dict[str, Any] | None:
    """The section as plain JSON values for display, without the record of the rows seen; None without a task."""
    if model.task is None:
        return None
    return {"kind": model.task.kind, **{k: v for k, v in model.task.described.items() if k != "seen"}}


def end_states(model: Model) -> dict[Id, State]:
    """The state of each series after the last row of the fit: id -> state, or None -> state of the only series.

    Raises:
        StateError: the file has no such state, or it is damaged.
    """
    ids = _described(model).get("series")
    names = [None] if ids is None else ids
    if not isinstance(names, list) or not all(name is None or type(name) in (str, int) for name in names):
        raise StateError("the series of the task are no list of ids")
    tensors = {} if model.task is None else model.task.tensors
    fields = {name.removeprefix(STATE): value for name, value in tensors.items() if name.startswith(STATE)}
    if not fields and model.graph.state:
        raise StateError("it does not keep the state after training")
    rows = State(model.graph.structure, fields).rows(model.graph, len(names))
    return {name: State.from_rows(model.graph, row[None]) for name, row in zip(names, rows, strict=True)}


def state_tensors(states: Sequence[State]) -> dict[str, Any]:
    """The states of several series as tensors of a section: name -> (series, *field shape)."""
    names = list(states[0].fields)
    return {f"{STATE}{name}": np.concatenate([state.fields[name] for state in states]) for name in names}


def section(kind: str, described: Mapping[str, Any], states: Sequence[State] = ()) -> Section:
    """Make the section of a task, with the state of each series after the last row of the fit."""
    return Section(kind, described, state_tensors(states) if states else {})


def _described(model: Model) -> Mapping[str, Any]:
    return {} if model.task is None else model.task.described
