"""Progress of a training: what a callback is told after each step, and the bar or the lines that show it."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

from gatewise.errors import InputError


@dataclass(frozen=True)
class Status:
    """Where a training stands. The words in brackets are those of the bar and of the lines.

    Attributes:
        step: updates done ("step").
        epoch: whole passes over the data done.
        fraction: of the budget used, 0 to 1 (the bar).
        loss: training loss, a mean over the last steps ("loss").
        validation: latest loss on the held-out part ("val"); NaN without one.
        best_validation: the lowest so far; NaN without one.
        clip_rate: share of the updates since the latest record whose gradient was longer than `clip` allows and was
            shortened to it ("clipped"). It says how strongly learning is damped, not that anything is wrong: from 0%
            to 100% all is usual.
        steps_per_second: of this session ("steps/s").
        seconds_left: until the budget is used up, at this speed ("left"); the training may end sooner.
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


EVERY = 10.0
"""Seconds between two lines about the progress, where there is no terminal to draw a bar on."""


@contextmanager
def reporter(progress: str | bool | Callback | None, console: Any = None) -> Iterator[Callback | None]:
    """The callback that `progress` asks for.

    Args:
        progress: a callback, "bar" for a bar on the terminal (nothing where there is none), True for a bar on the
            terminal and lines where there is none, None or False for nothing.
        console: a rich Console for the bar; None = standard error.

    Raises:
        InputError: anything else.
    """
    if progress is None or progress is False or callable(progress):
        yield progress or None
        return
    if progress != "bar" and progress is not True:
        raise InputError(f'progress must be "bar", True, a function or None, got {progress!r}')
    from rich.console import Console

    console = console or Console(stderr=True)
    if console.is_terminal:
        with _bar(console) as show:
            yield show
    else:
        yield lines() if progress is True else None


def lines(say: Callable[[str], Any] | None = None, end: bool = True) -> Callback:
    """A callback for where there is no terminal: a line every ten seconds.

    Args:
        say: takes each line; None = standard error.
        end: whether there is one at the end of the training, too.
    """
    last = monotonic()

    def show(status: Status) -> None:
        nonlocal last
        if monotonic() - last >= EVERY or (end and status.fraction >= 1.0):
            last = monotonic()
            if say is None:
                print(f"gatewise: {describe(status)}", file=sys.stderr, flush=True)
            else:
                say(describe(status))

    return show


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
    """Step, loss, validation loss, clip rate, speed and time left, in a line that a terminal has room for.

    `Status` says what the words mean.
    """
    parts = [f"step {status.step}", f"loss {status.loss:.4f}"]
    if not math.isnan(status.validation):
        parts.append(f"val {status.validation:.4f}")
    minutes, seconds = divmod(math.ceil(status.seconds_left), 60)
    hours, minutes = divmod(minutes, 60)
    left = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    parts += [f"clipped {status.clip_rate:.0%}", f"{status.steps_per_second:.0f} steps/s", f"{left} left"]
    return " ".join(parts)
