"""Responses to truncated context and time constants show the numbers given."""

import numpy as np
import pytest
from matplotlib.axes import Axes

from figures.drawn import legend, line
from gatewise.errors import InputError
from gatewise.figures import context_response, time_constants
from gatewise.figures.style import BLUE, ORANGE
from gatewise.measure import TruncatedContext

LAGS = np.array([1, 2, 4, 8])
RELATIVE = np.array([0.9, 0.5, 0.04, 0.01])
FOUND = TruncatedContext(LAGS, RELATIVE[:, None] * 3, RELATIVE, np.array([4.0, 3.0, 1.2, 1.0]), 0.9, 100)
LONG = TruncatedContext(LAGS, RELATIVE[:, None] * 3, np.array([1.0, 0.9, 0.8, 0.7]), None, None, 100)


def test_the_change_falls_and_a_ring_marks_where_it_is_small(ax: Axes) -> None:
    context_response({"GRU": FOUND, "LSTM": LONG}, step="months", ax=ax)
    assert np.array_equal(line(ax, "GRU").get_xdata(), LAGS)
    assert np.array_equal(line(ax, "GRU").get_ydata(), RELATIVE)
    assert np.array_equal(line(ax, "LSTM").get_ydata(), LONG.relative)
    assert (line(ax, "GRU").get_color(), line(ax, "LSTM").get_color()) == (BLUE, ORANGE)
    assert list(line(ax, "5 %").get_ydata()) == [0.05, 0.05]
    rings = [each for each in ax.lines if each.get_markerfacecolor() == "none"]
    assert [(list(ring.get_xdata()), list(ring.get_ydata()), ring.get_color()) for ring in rings] == [
        ([4], [0.04], BLUE)
    ]
    assert (ax.get_xscale(), ax.get_xlabel(), ax.get_ylim()[0]) == ("log", "last months that the model is given", 0)
    assert legend(ax) == ["GRU", "LSTM", "5 %"]


def test_losses_stand_beside_that_of_the_whole_context(ax: Axes) -> None:
    context_response({"GRU": FOUND}, loss=True, ax=ax)
    assert np.array_equal(line(ax, "GRU").get_ydata(), [4.0, 3.0, 1.2, 1.0])
    (whole,) = [each for each in ax.lines if each.get_label() != "GRU"]
    assert (list(whole.get_ydata()), whole.get_color()) == ([0.9, 0.9], BLUE)
    with pytest.raises(InputError, match="no loss was measured for 'LSTM'"):
        context_response({"LSTM": LONG}, loss=True)
    with pytest.raises(InputError, match="no line to draw"):
        context_response({})


def test_time_constants_are_a_share_of_units(ax: Axes) -> None:
    time_constants({"gru0": [8.0, 2.0, 2.0, 0.0], "gru1": [np.inf, 4.0]}, step="hours", ax=ax)
    first, second = line(ax, "gru0"), line(ax, "gru1")
    assert list(first.get_xdata()) == [1, 2, 2, 8, 16]
    assert list(first.get_ydata()) == [0.75, 0.25, 0.25, 0.0, 0.0]  # one forgets at once
    assert list(second.get_xdata()) == [1, 4, 16]
    assert list(second.get_ydata()) == [1.0, 0.5, 0.5]  # one never forgets
    assert first.get_drawstyle() == "steps-post"
    assert (ax.get_xscale(), ax.get_xlabel()) == ("log", "time constant, hours")
    assert legend(ax) == ["gru0", "gru1"]
    for bad in ({}, {"a": []}, {"a": [[1.0]]}, {"a": [-1.0]}, {"a": [np.nan]}):
        with pytest.raises(InputError, match=r"time constants must be \(units,\)"):
            time_constants(bad)
    never = time_constants({"a": [np.inf]})
    assert list(line(never, "a").get_ydata()) == [1.0, 1.0]
