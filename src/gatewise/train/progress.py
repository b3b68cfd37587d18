"""Progress of a training: what a callback is told after each step, and the bar that shows it in a terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

from gatewise.errors import InputError


@dataclass(frozen=True)
class Status:
    """Where a training stands.

    Attributes:
        step: updates done.
        epoch: whole passes over the data done.
        fraction: of the budget used, 0 to 1.
        loss: training loss, a mean over the last steps.
        validation: latest loss on the held-out part; NaN without one.
        best_validation: the lowest so far; NaN without one.
        clip_rate: share of clipped updates since the latest record.
        steps_per_second: of this session.
        seconds_left: until the budget is used up, at this speed.
    """

    step: int
    epoch: int
    fraction: float
    loss: float
    validation: float
    best_validation: float
    clip_rate: float
    steps_per_second: float
    seconds_left: float


Callback = Callable[[Status], Any]


@contextmanager
def reporter(progress: str | Callback | None, console: Any = None) -> Iterator[Callback | None]:
    """The callback that `progress` asks for.

    Args:
        progress: a callback, "bar" for a bar on the terminal (nothing where there is none), None for nothing.
        console: a rich Console for the bar; None = standard error.

    Raises:
        InputError: anything else.
    """
    if progress is None or callable(progress):
        yield progress
        return
    if progress != "bar":
        raise InputError(f'progress must be "bar", a function or None, got {progress!r}')
    from rich.console import Console

    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with _bar(console) as show:
        yield show


@contextmanager
def _bar(console: Any) -> Iterator[Callback]:
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(bar_width=10), TextColumn("{task.fields[text]}"))
    last = -math.inf
    with Progress(*columns, console=console, auto_refresh=False) as bar:
        task = bar.add_task("training", total=1.0, text="")

        def show(status: Status) -> None:
            nonlocal last
            if monotonic() - last > 0.1 or status.fraction >= 1.0:
                last = monotonic()
                bar.update(task, completed=status.fraction, text=describe(status), refresh=True)

        yield show


def describe(status: Status) -> str:
    """Step, loss, validation loss, clip rate, speed and time left, in a line that a terminal has room for."""
    parts = [f"step {status.step}", f"loss {status.loss:.4f}"]
    if not math.isnan(status.validation):
        parts.append(f"val {status.validation:.4f}")
    minutes, seconds = divmod(math.ceil(status.seconds_left), 60)
    hours, minutes = divmod(minutes, 60)
    left = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    parts += [f"clipped {status.clip_rate:.0%}", f"{status.steps_per_second:.0f} steps/s", f"{left} left"]
    return " ".join(parts)
