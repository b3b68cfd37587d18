"""Continue the training of a fitted task on other rows, with its weights, its scaling and its columns.

Parameters on which the weights depend cannot change: the columns and their order, the targets, the treatment of missing
readings, the layers and their sizes. Parameters that only concern training, calibration or the answer can change: the
rate of alarms, the bounds of forecasts, the share of validation, the budget.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gatewise.errors import ANY, InputError, Parameter
from gatewise.file import digest
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.model import load as load_model
from gatewise.tables.seen import seen
from gatewise.tables.table import Table
from gatewise.tables.times import listed
from gatewise.tasks.parameters import Parameters, changes

if TYPE_CHECKING:
    from gatewise.tasks.task import Task

FREE = {
    *("time", "series", "columns", "target"),  # compared by means of the model itself
    *("validation", "learning_rate", "batch", "bptt", "dropout", "variational_dropout", "weight_drop"),
    *("steps", "epochs", "random_state", "smooth", "false_alarms_per_1000", "coverage", "minimum", "maximum"),
}
"""Parameters that may differ from those of the start."""


def started(task: Task, start: Any) -> Model | None:
    """The model from which a task continues; None without a start.

    Args:
        task: the task that is being fitted.
        start: a fitted task of the same class, its model, or the path of its file.

    Raises:
        InputError: it is none of these, or was not fitted by a task of this class.
        FileError: the file is damaged.
        OSError: there is no such file, or no permission to read it.
    """
    if start is None:
        return None
    own = type(task).__name__
    if isinstance(start, Parameters) and type(start) is type(task):
        if not hasattr(start, "model_"):
            raise InputError(f"start is a {own} that is not fitted; fit it, or leave start out")
        start._check_unchanged()
        model = start.model_
    elif isinstance(start, Model):
        model = start
    elif isinstance(start, (str, os.PathLike)):
        model = load_model(start)
    else:
        raise InputError(f"start must be a fitted {own}, its model or the path of its file, got {type(start).__name__}")
    section = model.task
    if section is None or section.kind != task.kind or not isinstance(section.described.get("parameters"), Mapping):
        raise InputError(f"start was not fitted by a {own}; to continue from other weights, use gatewise.train.fit")
    if not isinstance(section.described.get("seen"), Mapping):
        raise InputError(
            "start has no record of the rows on which it was trained, as it is of an older version; fit it again, or "
            "leave start out"
        )
    type(task).of(model, "start")  # raises FileError if the section is damaged
    return model


def subtracted(start: Model, told: Mapping[str, Any]) -> Callable[[Sequence[str]], list[float]]:
    """A function from names of columns to the constants that the start subtracts from them, for `read_table`.

    Args:
        start: the model.
        told: the data of its task.
    """
    columns = [*told["readings"], *told["covariates"]]
    own = {} if start.subtract is None else dict(zip(columns, start.subtract.tolist(), strict=False))
    return lambda names: [own.get(name, 0.0) for name in names]


def in_order(table: Table, columns: Sequence[str]) -> Table:
    """A table with its columns in the order of the start. Raises InputError if it has other columns."""
    lacks = [name for name in columns if name not in table.columns]
    more = [name for name in table.columns if name not in columns]
    if lacks or more:
        what = [f"lack {listed(lacks)}"] if lacks else []
        what += [f"have {listed(more)} besides"] if more else []
        advice = () if lacks else ("; pass ", Parameter("columns", ANY), " to leave out those that it does not read")
        raise InputError(f"start reads the columns {listed(columns)}; the data {' and '.join(what)}", *advice)
    return table.select([table.columns.index(name) for name in columns])


def with_weights(task: Task, untrained: Model, start: Model) -> Model:
    """The model of a task before training, with the weights and the scaling of the start.

    Args:
        task: the task from whose parameters the model was made.
        untrained: the model.
        start: the model from which it continues.

    Raises:
        InputError: the models have different structures; the message names the parameters that differ.
    """
    start = start.relative()
    if _kept(untrained) == _kept(start):
        return untrained.replace(tensors=start.tensors)
    described = task._told(start)["parameters"]
    each = [f"{name} is {before!r} there and {now!r} here" for name, before, now in changes(task, described)
            if name not in FREE]  # fmt: skip
    inputs = [model.spec.input.options["columns"] for model in (start, untrained)]
    if inputs[0] != inputs[1]:
        each.append(f"its columns are {inputs[0] or 'without names'}, and {inputs[1] or 'without names'} here")
    names = [_targets(model) for model in (start, untrained)]
    if names[0] != names[1]:
        each.append(f"its targets are {names[0]}, and {names[1]} here")
    raise InputError(
        f"start has a model of another form: {'; '.join(each) or 'another spec'}; give the task the parameters and "
        "columns of the start, or leave start out"
    )


def rows_seen(table: Table, task: Task, start: Model | None) -> Array | None:
    """On which rows of a table the start was trained, (rows,) bool; None without a start. Raises InputError."""
    if start is None:
        return None
    try:
        return seen(table, task._told(start)["seen"])
    except InputError as error:
        raise InputError("start cannot be used: ", error) from None


def origin(start: Model | None) -> dict[str, Any]:
    """The data about the start that a task saves: the digest of its weights, or nothing without a start."""
    return {} if start is None else {"start": {"weights": digest(start.tensors)}}


def flattering(seen: Array | None, rows: Array) -> list[str]:
    """A warning if the start was trained on rows of the validation part, which chooses the weights.

    Args:
        seen: rows on which the start was trained, (rows,) bool; None = there is no start.
        rows: the rows of the validation part, (some,) int.
    """
    count = 0 if seen is None else int(seen[rows].sum())
    if not count:
        return []
    return [
        f"of the {len(rows):,} rows of the validation part {count:,} are rows that start was trained on or stopped by, "
        "so the held-out loss flatters the model; give rows that came later"
    ]


def _kept(model: Model) -> dict[str, Any]:
    """The options of the model that must not change, as plain JSON values."""
    plain = model.spec.to_dict()
    head = {name: value for name, value in (plain["head"] or {}).items() if name not in (*FREE, "samples", "pause")}
    return {**plain, "head": head}


def _targets(model: Model) -> list[Any]:
    options: Mapping[str, Any] = model.spec.head.options if model.spec.head is not None else {}
    return list(options.get("classes") or options.get("names") or options.get("targets") or [])
