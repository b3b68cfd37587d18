"""Candidates and answers against the truth show the numbers given."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from gatewise.errors import InputError
from gatewise.figures import against_truth, by_amount, candidates
from gatewise.figures.comparison import MOST_DOTS
from gatewise.figures.style import BLUE


def test_candidates_stand_one_below_the_other_with_their_intervals(ax: Axes) -> None:
    candidates(["old", "ridge", "gru"], [2.0, 1.5, 2.5], intervals=[None, (1.2, 1.9), None], label="error", ax=ax)
    line, *others = ax.lines
    assert set(line.get_xdata()) == {2.0}
    dots = [each for each in others if each.get_marker() == "o"]
    assert [(each.get_xdata()[0], each.get_ydata()[0]) for each in dots] == [(2.0, 0), (1.5, -1), (2.5, -2)]
    (interval,) = [each for each in others if each.get_marker() != "o"]
    assert (list(interval.get_xdata()), list(interval.get_ydata())) == ([1.2, 1.9], [-1, -1])
    assert to_hex(dots[0].get_color()).upper() == BLUE != to_hex(dots[1].get_color()).upper()
    assert [each.get_text() for each in ax.get_yticklabels()] == ["old", "ridge", "gru"]
    assert ax.get_xlabel() == "error"


def test_candidates_need_names_and_values() -> None:
    with pytest.raises(InputError, match="got 2 names and 1 values"):
        candidates(["a", "b"], [1.0])
    with pytest.raises(InputError, match="got 0 names and 0 values"):
        candidates([], [])


def test_answers_against_the_truth(ax: Axes) -> None:
    truth, answers = np.array([1.0, 2.0, 3.0]), np.array([1.5, 1.5, 4.0])
    against_truth(truth, answers, label="hours", ax=ax)
    diagonal, dots = ax.lines
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == [1.0, 4.0]
    assert (list(dots.get_xdata()), list(dots.get_ydata())) == (truth.tolist(), answers.tolist())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("true hours", "answer hours")


def test_many_answers_are_thinned_out_evenly(ax: Axes) -> None:
    values = np.arange(10.0 * MOST_DOTS)
    against_truth(values, values, ax=ax)
    shown = np.asarray(ax.lines[1].get_xdata())
    assert len(shown) == MOST_DOTS
    assert (shown[0], shown[-1]) == (0, values[-1])
    assert np.ptp(np.diff(shown)) <= 1


def test_answers_need_a_truth_each() -> None:
    with pytest.raises(InputError, match=r"equally long, got \(3,\) and \(2,\)"):
        against_truth(np.zeros(3), np.zeros(2))


def test_a_value_by_amount(ax: Axes) -> None:
    by_amount([1, 4, 16], [3.0, 2.0, 1.5], reference=1.8, label="error", amount="rows", ax=ax)
    reference, line = ax.lines
    assert set(reference.get_ydata()) == {1.8}
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([1, 4, 16], [3.0, 2.0, 1.5])
    assert ax.get_xscale() == "log"
    assert [each.get_text() for each in ax.get_xticklabels()] == ["1", "4", "16"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("rows", "error")


@pytest.mark.parametrize(("amounts", "values"), [([], []), ([1], [1.0, 2.0]), ([0, 1], [1.0, 2.0])])
def test_amounts_are_above_zero_and_have_a_value_each(amounts: list[float], values: list[float]) -> None:
    with pytest.raises(InputError, match="each value needs an amount above 0"):
        by_amount(amounts, values)
