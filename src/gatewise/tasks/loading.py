"""The task in a model file, whichever it is."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from gatewise.errors import FileError
from gatewise.model import load

if TYPE_CHECKING:
    from gatewise.tasks.task import Task

HOMES = {
    "detector": "gatewise.tasks.detector",
    "forecaster": "gatewise.tasks.forecaster",
}
"""Where the class of each task is, by the name that model files have for it."""


def load_task(path: str | os.PathLike[str]) -> Task:
    """Read the task that a model file was saved by, e.g. a Detector or a Forecaster; torch is not needed.

    A task of your own is found once its class is defined.

    Raises:
        FileError: damaged, or a model that no task known here has fitted.
        OSError: no such file, or no permission.
    """
    model = load(path)
    if model.task is None:
        raise FileError(f"{path} was not saved by a task; gatewise.load reads it as a model")
    kind = model.task.kind
    if kind in HOMES:
        importlib.import_module(HOMES[kind])
    from gatewise.tasks.fitted import KINDS

    if kind not in KINDS:
        raise FileError(
            f"{path} was saved by the task {kind!r}, and this version knows {', '.join(sorted({*HOMES, *KINDS}))}; "
            "import the module that defines it, or upgrade gatewise"
        )
    found: Task = KINDS[kind].of(model, path)
    return found
