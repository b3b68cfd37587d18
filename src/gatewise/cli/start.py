"""`gatewise train --start FILE`: take the task from a model, and the parameters that no option gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

from gatewise.errors import InputError

DETECT, FORECAST, REGRESS, CLASSIFY = "detect", "forecast", "regress", "classify"
TASKS = {"detector": DETECT, "forecaster": FORECAST, "regressor": REGRESS, "classifier": CLASSIFY}
"""The kind of a task in a model file -> its name on the command line."""

BUDGETS = ("steps", "epochs")
OPTIONS = {"random_state": "seed"}
"""Names of parameters -> names of their options, if the two differ."""


def parameters_of(path: str, task: str, given: Mapping[str, Any], seconds: float | None) -> tuple[str, dict[str, Any]]:
    """The task and the parameters with which a training continues from a model.

    Args:
        path: the model file from which the training continues.
        task: the value of --task, which may be its default.
        given: the values of the options by the names of the parameters, including defaults.
        seconds: the value of --seconds, or None.

    Returns:
        The task of the model, and its parameters. Parameters that are given on the command line replace those of the
        model; a budget that is given there replaces all budgets of the model.

    Raises:
        click.UsageError: --task names another task than that of the model.
        InputError: the model was not made by `gatewise train`.
        FileError: the file is damaged.
        OSError: the file does not exist, or there is no permission to read it.
    """
    from gatewise.model import load
    from gatewise.tasks.loading import load_task

    context = click.get_current_context()

    def is_given(name: str) -> bool:
        return context.get_parameter_source(OPTIONS.get(name, name)) is not ParameterSource.DEFAULT

    section = load(path).task
    found = None if section is None else section.kind
    if found not in TASKS:
        raise InputError(f"{path} was not made by gatewise train, so training cannot continue from it")
    if is_given("task") and task != TASKS[found]:
        raise click.UsageError(f"{path} of --start was trained to {TASKS[found]}, not to {task}; leave --task out")
    own = {name: value for name, value in given.items() if is_given(name)}
    kept = load_task(path).get_params()
    if seconds is not None or any(name in own for name in BUDGETS):
        kept.update(dict.fromkeys(BUDGETS))
    return TASKS[found], {**kept, **own}
