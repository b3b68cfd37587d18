"""Progress of a training: the status that a callback is given after each step, and the bar or lines that show it."""

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
    """How far a training has got. The words in brackets are those that the bar and the lines show.

    Attributes:
        step: number of updates made ("step").
        epoch: number of whole passes over the data made.
        fraction: the part of the budget that is used, from 0 to 1 (the length of the bar).
        loss: training loss, a mean over the last updates ("loss").
        validation: latest loss on the held-out part ("val"); NaN before the first evaluation, and if nothing is held
            out.
        best_validation: the lowest such loss so far; NaN if there is none.
        clip_rate: share of the updates since the latest evaluation whose gradient was longer than `clip` and was
            shortened to it ("clipped"). It says how strongly learning is damped, not that anything is wrong: values
            from 0% to 100% are all usual.
        steps_per_second: updates in a second of this session ("steps/s").
        seconds_left: time until the budget is used up, at this speed ("left"); the training may end sooner.
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
"""Seconds between two lines about the progress, if there is no terminal that could show a bar."""


@contextmanager
def reporter(progress: str | bool | Callback | None, console: Any = None) -> Iterator[Callback | None]:
    """The callback for the `progress` that `fit` was given.

    Args:
        progress: a callback; "bar" for a bar on a terminal, and nothing elsewhere; True for a bar on a terminal, and
            lines elsewhere; None or False for nothing.
        console: a rich Console for the bar; None = standard error.

    Raises:
        InputError: `progress` is anything else.
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
    """A callback that writes a line every ten seconds, for logs and other places that are no terminal.

    Args:
        say: called with each line; None = write it to standard error.
        end: whether a line is also written at the end of the training.
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
    """Step, loss, validation loss, clip rate, speed and time left, in a line that is short enough for a terminal.

    `Status` explains the words.
    """
    parts = [f"step {status.step}", f"loss {status.loss:.4f}"]
    if not math.isnan(status.validation):
        parts.append(f"val {status.validation:.4f}")
    minutes, seconds = divmod(math.ceil(status.seconds_left), 60)
    hours, minutes = divmod(minutes, 60)
    left = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    parts += [f"clipped {status.clip_rate:.0%}", f"{status.steps_per_second:.0f} steps/s", f"{left} left"]
    return " ".join(parts)
