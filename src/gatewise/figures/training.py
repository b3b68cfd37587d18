"""Draw the course of a training: the losses by update."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gatewise.errors import InputError
from gatewise.figures.style import BLUE, GREY, drawn_on, ink, legend_above

if TYPE_CHECKING:
    from gatewise.train import History


def learning_curve(history: History | pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the training loss and the held-out loss at each evaluation, and mark the update whose weights were kept.

    Args:
        history: the History from `gatewise.train.fit` or from `history_` of a task; or a frame read from the CSV file
            of `metrics=`, also during training, with the columns step, loss and validation.
        ax: the axes to draw into; None = a new figure.

    Returns:
        The axes.

    Raises:
        InputError: no evaluation has been recorded yet, or a frame has other columns.
    """
    if isinstance(history, pd.DataFrame):
        if missing := [name for name in ("step", "loss", "validation") if name not in history]:
            raise InputError(f"the frame has no column {missing[0]!r}; pass the frame of a file written by metrics=")
        table = history
        held_out = table["validation"].to_numpy(float)
        best = table["step"].to_numpy()[np.nanargmin(held_out)] if np.isfinite(held_out).any() else None
    else:
        table = pd.DataFrame([(r.step, r.loss, r.validation) for r in history.records], None, _COLUMNS)
        best = history.best_step if history.best_validation is not None else None
    if not len(table):
        raise InputError("no evaluation has been recorded; pass a history with at least one record")
    step, loss, validation = (table[name].to_numpy(float) for name in _COLUMNS)
    ax = drawn_on(ax)
    ax.plot(step, loss, color=ink(), lw=0.9, label="training")
    if np.isfinite(validation).any():
        ax.plot(step, validation, color=BLUE, lw=1.6, label="held out")
    if best is not None:
        ax.axvline(best, color=GREY, lw=0.9, ls=(0, (1, 1.6)))
        ax.plot([best], validation[step == best], "o", color=BLUE, ms=5, label="kept")
    ax.set_xlabel("updates")
    ax.set_ylabel("loss")
    legend_above(ax)
    return ax


_COLUMNS = ["step", "loss", "validation"]
