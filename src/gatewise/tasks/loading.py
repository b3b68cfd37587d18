"""Load the task from a model file, of whatever class it is."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from gatewise.errors import FileError
from gatewise.model import load

if TYPE_CHECKING:
    from gatewise.tasks.task import Task


def load_task(path: str | os.PathLike[str]) -> Task:
    """Read the task that saved a model file, e.g. a Detector or a Forecaster. torch is not needed.

    The class of a task of your own has to be defined before.

    Raises:
        FileError: the file is damaged, or was not saved by a task that is known here.
        OSError: there is no such file, or no permission to read it.
    """
    model = load(path)
    if model.task is None:
        raise FileError(f"{path} was not saved by a task; gatewise.load reads it as a model")
    from gatewise.tasks.fitted import HOMES, KINDS  # tasks need pandas, and reading a file does not

    kind = model.task.kind
    if kind in HOMES:
        importlib.import_module(HOMES[kind])
    if kind not in KINDS:
        raise FileError(
            f"{path} was saved by the task {kind!r}, and this version knows {', '.join(sorted({*HOMES, *KINDS}))}; "
            "import the module that defines it, or upgrade gatewise"
        )
    found: Task = KINDS[kind].of(model, path)
    return found
