"""`gatewise train --start FILE`: take the task from a model, and the parameters that no option gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

from gatewise.errors import InputError

DETECT, FORECAST = "detect", "forecast"
TASKS = {"detector": DETECT, "forecaster": FORECAST}
"""What a model file calls them, and what an option does."""

BUDGETS = ("steps", "epochs")
OPTIONS = {"random_state": "seed"}
"""Parameters whose option has another name."""


def parameters_of(path: str, task: str, given: Mapping[str, Any], seconds: float | None) -> tuple[str, dict[str, Any]]:
    """The task and the parameters to go on with.

    Args:
        path: of the model to go on from.
        task: what --task says, be it by default.
        given: parameters by name, those of defaults included.
        seconds: budget given with them.

    Returns:
        The task, and the parameters of the model, in which those that were said on the command line stand for its own.
        A budget that was said stands for all of its.

    Raises:
        click.UsageError: --task says another one.
        InputError: a model that no task has made.
        FileError: the file is damaged.
        OSError: no such file, or no permission.
    """
    from gatewise.model import load
    from gatewise.tasks.loading import load_task

    context = click.get_current_context()

    def said(name: str) -> bool:
        return context.get_parameter_source(OPTIONS.get(name, name)) is not ParameterSource.DEFAULT

    section = load(path).task
    found = None if section is None else section.kind
    if found not in TASKS:
        raise InputError(f"{path} is no model that gatewise train has made, so training cannot continue from it")
    if said("task") and task != TASKS[found]:
        raise click.UsageError(f"{path} of --start was trained to {TASKS[found]}, not to {task}; leave --task out")
    own = {name: value for name, value in given.items() if said(name)}
    kept = load_task(path).get_params()
    if seconds is not None or any(name in own for name in BUDGETS):
        kept.update(dict.fromkeys(BUDGETS))
    return TASKS[found], {**kept, **own}
