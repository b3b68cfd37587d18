"""Draw what a model remembers: its hidden state over time as a heat map."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from gatewise.errors import InputError
from gatewise.figures.style import ORANGE, clock, drawn_on, numbers, rows_of, time_axis
from gatewise.layers.base import Array


def hidden_state(
    times: ArrayLike,
    hidden: ArrayLike,
    *,
    alarms: ArrayLike | None = None,
    order: ArrayLike | None = None,
    colour_bar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw the hidden state as a heat map with a column for each step and a row for each unit; alarms are marked above.

    Args:
        times: (T,) datetime64 or numbers, evenly spaced, at least two.
        hidden: (T, H) the hidden state after each step, for example `stream.state.fields["gru0.hidden"][0]`.
        alarms: bool (T,); None = no marks.
        order: (H,) the units from top to bottom; None = `slowest_first`.
        colour_bar: whether to draw a colour bar beside the axes.
        ax: the axes to draw into; None = a new figure.

    Returns:
        The axes. Their only image contains the state, (H, T), in that order of units.

    Raises:
        InputError: the arrays do not fit each other, or have fewer than two steps.
    """
    x, values = clock(times), np.asarray(hidden, np.float64)
    marked = None if alarms is None else np.asarray(alarms, bool)
    rows_of(len(x), hidden=values, alarms=marked)
    if len(x) < 2 or values.ndim != 2:
        raise InputError(f"hidden must be (steps, units) with at least 2 steps, got the shape {values.shape}")
    ax = drawn_on(ax)
    units = values.shape[1]
    rows = slowest_first(values) if order is None else np.asarray(order)
    at = numbers(x)
    half = (at[-1] - at[0]) / (len(at) - 1) / 2
    bound = max(1.0, float(np.nanmax(np.abs(values))))
    image = ax.imshow(
        values[:, rows].T,
        aspect="auto",
        cmap="PuOr",
        vmin=-bound,
        vmax=bound,
        interpolation="nearest",
        extent=(at[0] - half, at[-1] + half, units, 0),
    )
    if marked is not None:
        ax.plot(at[marked], np.full(marked.sum(), -0.02 * units), "v", color=ORANGE, ms=4, clip_on=False, label="alarm")
    time_axis(ax, x)
    ax.set_ylim(units, 0)
    ax.set_yticks(*(([0.5, units - 0.5], ["slow", "fast"]) if order is None else ([],)))
    ax.tick_params(axis="y", length=0)
    ax.set_ylabel("units")
    ax.spines["left"].set_visible(False)
    if colour_bar:
        bar = ax.figure.colorbar(image, ax=ax, pad=0.01, aspect=22, ticks=[-bound, 0, bound])
        bar.outline.set_visible(False)
        bar.set_label("hidden state")
    return ax


def slowest_first(hidden: ArrayLike) -> Array:
    """Sort units by their correlation with themselves one step later: slow units, which keep the past, come first.

    Args:
        hidden: (T, H) the hidden state after each step.

    Returns:
        (H,) int64.
    """
    values = np.asarray(hidden, np.float64)
    centred = values - values.mean(axis=0)
    power = (centred**2).sum(axis=0)
    lagged = (centred[1:] * centred[:-1]).sum(axis=0) / np.where(power > 0, power, 1.0)
    return np.argsort(-lagged, kind="stable")
