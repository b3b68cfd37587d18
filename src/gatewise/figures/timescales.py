"""Draw how long the units of gated layers remember: the share of units by their time constant."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike

from gatewise.errors import InputError
from gatewise.figures.style import CYCLE, drawn_on, legend_above


def time_constants(constants: Mapping[str, ArrayLike], *, step: str = "steps", ax: Axes | None = None) -> Axes:
    """Draw the share of units whose time constant is longer than a number of steps, with a line for each layer.

    The horizontal scale is logarithmic. Units that forget everything in one step lower the beginning of a line, and
    units that never forget lift its end.

    Args:
        constants: name -> time constants of the units in steps, (units,), from 0 to inf: those of
            `gatewise.measure.gates`.
        step: unit of the time constants, for the label, such as "months".
        ax: the axes to draw into; None = a new figure.

    Returns:
        The axes. The label of each line is its name.

    Raises:
        InputError: there is no layer, or time constants are not (units,), negative or NaN.
    """
    given = {name: np.sort(np.asarray(values, np.float64)) for name, values in constants.items()}
    if not given or any(values.ndim != 1 or not values.size or not (values >= 0).all() for values in given.values()):
        raise InputError(
            "time constants must be (units,), at least one unit and no negative value, for at least one name; got "
            f"{ {name: values.shape for name, values in given.items()} }"
        )
    finite = np.concatenate([values[np.isfinite(values) & (values > 0)] for values in given.values()])
    low, high = (finite.min() / 2, finite.max() * 2) if finite.size else (0.5, 2.0)
    ax = drawn_on(ax)
    for (name, values), colour in zip(given.items(), itertools.cycle(CYCLE)):
        inside = values[(values >= low) & (values <= high)]
        at = np.concatenate([[low], inside, [high]])
        longer = 1.0 - np.searchsorted(values, at, "right") / values.size
        ax.step(at, longer, where="post", color=colour, lw=1.8, label=name)
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda steps, _: f"{steps:g}"))
    ax.set_ylim(0, 1.03)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f} %"))
    ax.set_xlabel(f"time constant, {step}")
    ax.set_ylabel("units that remember longer")
    legend_above(ax)
    return ax
