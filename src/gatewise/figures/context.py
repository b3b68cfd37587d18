"""Draw how much of its past a model uses: the change of its answers, or its loss, by the length of its context."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from gatewise.errors import InputError
from gatewise.figures.style import CYCLE, DASHED, DOTTED, GREY, drawn_on, legend_above
from gatewise.measure.truncated import TruncatedContext


def context_response(
    measured: Mapping[str, TruncatedContext],
    *,
    loss: bool = False,
    share: float | None = 0.05,
    step: str = "readings",
    ax: Axes | None = None,
) -> Axes:
    """Draw the relative change of the answers, or the loss, by the number K of last readings: a line for each model.

    The horizontal scale is logarithmic. The change is relative to the standard deviation of the answers. A ring marks
    the least K from which on the change stays below `share`, which is a dotted line. With `loss`, a dashed line is the
    loss with the whole context.

    Args:
        measured: name -> from `gatewise.measure.truncated_context`.
        loss: whether to draw the loss.
        share: the relative change that counts as small; None = not drawn.
        step: unit of K, for the label, such as "months".
        ax: the axes to draw into; None = a new figure.

    Returns:
        The axes. The label of each line is its name.

    Raises:
        InputError: there is no line to draw, or a loss is wanted and was not measured.
    """
    if not measured:
        raise InputError("there is no line to draw; give at least one name with its measurement")
    ax = drawn_on(ax)
    for (name, found), colour in zip(measured.items(), itertools.cycle(CYCLE)):
        drawn = found.loss if loss else found.relative
        if drawn is None:
            raise InputError(f"no loss was measured for {name!r}; measure truncated_context with targets")
        if loss and found.full_loss is not None:
            ax.axhline(found.full_loss, color=colour, lw=1, ls=DASHED)
        ax.plot(found.lags, drawn, color=colour, lw=1.8, marker="o", ms=4, label=name)
        if share is not None and not loss and math.isfinite(reach := found.reach(share)):
            at = float(found.relative[found.lags == reach][0])
            ax.plot([reach], [at], color=colour, marker="o", ms=10, mfc="none", ls="none", clip_on=False)
    if share is not None and not loss:
        ax.axhline(share, color=GREY, lw=1, ls=DOTTED, label=f"{100 * share:g} %")
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda lag, _: f"{lag:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(f"last {step} that the model is given")
    ax.set_ylabel("loss" if loss else "relative change of the answer")
    if not loss:
        ax.set_ylim(bottom=0)
    legend_above(ax)
    return ax
