"""Learning curves, errors by horizon, gradients by lag, states and memory scores show the numbers given."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from figures.drawn import bands, edges, legend, line
from gatewise.errors import InputError
from gatewise.figures import (
    error_by_horizon,
    gradient_norms,
    hidden_state,
    learning_curve,
    score_by_lag,
    slowest_first,
)
from gatewise.figures.style import BLUE, GREY
from gatewise.train.history import COLUMNS, History, Record

RNG = np.random.default_rng(0)
LOSSES = [(25, 3.0, 2.5), (50, 2.0, 1.5), (75, 1.0, 1.75)]
RECORDS = tuple(Record(step, 0, loss, held_out, 1e-3, 1.0, 0.0, 1.0) for step, loss, held_out in LOSSES)


def test_a_learning_curve_shows_each_look_and_what_was_kept(ax: Axes) -> None:
    learning_curve(History(RECORDS, 50, 1.5, "budget"), ax=ax)
    for label, column in (("training", 1), ("held out", 2)):
        assert list(line(ax, label).get_xdata()) == [25, 50, 75]
        assert list(line(ax, label).get_ydata()) == [each[column] for each in LOSSES]
    kept = line(ax, "kept")
    assert (list(kept.get_xdata()), list(kept.get_ydata())) == ([50], [1.5])


def test_a_metrics_file_gives_the_same_curve_and_one_without_held_out_rows_one_line(ax: Axes) -> None:
    table = pd.DataFrame([vars(record) for record in RECORDS])[list(COLUMNS)]
    learning_curve(table, ax=ax)
    assert (list(line(ax, "kept").get_xdata()), list(line(ax, "kept").get_ydata())) == ([50], [1.5])
    alone = learning_curve(table.assign(validation=np.nan))
    assert legend(alone) == ["training"]
    with pytest.raises(InputError, match="no column 'validation'"):
        learning_curve(table.drop(columns="validation"))
    with pytest.raises(InputError, match="no evaluation has been"):
        learning_curve(History((), 0, None, "budget"))


def test_errors_by_horizon_have_the_model_in_colour(ax: Axes) -> None:
    table = pd.DataFrame({"model": [1.0, 2.0], "repeat_last": [1.5, np.nan]}, index=[1, 24])
    error_by_horizon(table, label="mae, °C", ax=ax)
    model, naive = line(ax, "model"), line(ax, "repeat last")
    assert (list(model.get_xdata()), list(model.get_ydata()), model.get_color()) == ([1, 24], [1.0, 2.0], BLUE)
    assert (naive.get_ydata()[0], np.isnan(naive.get_ydata()[1]), naive.get_color()) == (1.5, True, GREY)
    assert (ax.get_ylim()[0], ax.get_ylabel(), list(ax.get_xticks())) == (0, "mae, °C", [1, 24])
    with pytest.raises(InputError, match=r"\(0, 1\)"):
        error_by_horizon(pd.DataFrame({"model": []}))


def test_gradients_are_medians_as_shares_of_lag_0(ax: Axes) -> None:
    factors = np.linspace(1, 3, 11)[:, None]  # each window has its own scale, which the shares take out
    falling = factors * 0.5 ** np.arange(6) * np.linspace(0.9, 1.1, 11)[:, None] ** (np.arange(6) > 0)
    norms = {"GRU": falling, "LSTM": np.ones((4, 6)), "RNN": 0.1 ** np.arange(6)[None]}
    gradient_norms(norms, {"GRU": np.ones((2, 6))}, step="months", ax=ax)
    before, gru, lstm, rnn, *_ = ax.lines
    assert np.allclose(gru.get_ydata(), 0.5 ** np.arange(6), rtol=1e-12)
    assert np.array_equal(before.get_ydata(), np.ones(6))
    assert before.get_color() == gru.get_color() == BLUE
    assert np.array_equal(lstm.get_ydata(), np.ones(6))
    assert np.allclose(rnn.get_ydata(), 0.1 ** np.arange(6), rtol=1e-12)
    at, low, high = edges(bands(ax)[0])
    assert at.tolist() == list(range(6))
    assert np.allclose(low[1:], 0.92 * 0.5 ** np.arange(1, 6), rtol=1e-12)  # a tenth of 0.90, 0.92, ... 1.10 lies below
    assert np.allclose(high[1:], 1.08 * 0.5 ** np.arange(1, 6), rtol=1e-12)
    assert (ax.get_yscale(), ax.get_xlabel()) == ("log", "lag, months back")
    named = {text.get_text(): text.get_color() for text in ax.texts if isinstance(text, Annotation)}
    assert named == {"GRU": gru.get_color(), "LSTM": lstm.get_color(), "RNN": rnn.get_color()}
    with pytest.raises(InputError, match=r"\(windows, lags \+ 1\)"):
        gradient_norms({"GRU": np.ones(6)})
    with pytest.raises(InputError, match="no curve"):
        gradient_norms({})


def test_names_of_curves_that_end_at_one_place_lie_apart(ax: Axes) -> None:
    same = 0.5 ** np.arange(6)[None]
    gradient_norms({"a": same, "b": same, "c": same}, ax=ax)
    ax.figure.draw_without_rendering()
    boxes = sorted((text.get_window_extent() for text in ax.texts), key=lambda box: float(box.y0))
    assert all(low.y0 + 0.6 * low.height < high.y0 for low, high in itertools.pairwise(boxes))


def test_the_state_is_an_image_with_slow_units_on_top(ax: Axes) -> None:
    steps = np.arange(60)
    fast, slow = np.where(steps % 2, 0.5, -0.5), np.sin(steps / 20)
    hidden = np.stack([fast, RNG.normal(0, 0.1, 60), slow], axis=1)
    assert slowest_first(hidden).tolist() == [2, 1, 0]
    times = np.datetime64("2024-01-01") + steps * np.timedelta64(1, "D")
    hidden_state(times, hidden, alarms=steps == 30, ax=ax)
    (image,) = ax.images
    assert np.array_equal(image.get_array(), hidden.T[[2, 1, 0]])
    assert image.get_extent() == [date2num(times[0]) - 0.5, date2num(times[-1]) + 0.5, 3, 0]
    assert image.get_clim() == (-1, 1)
    assert list(line(ax, "alarm").get_xdata()) == [date2num(times[30])]
    assert len(ax.figure.axes) == 2  # with the bar of colours

    given = hidden_state(steps, 3 * hidden, order=[0, 1, 2], colour_bar=False)
    assert np.array_equal(given.images[0].get_array(), 3 * hidden.T)
    assert given.images[0].get_clim()[1] == 3 * np.abs(hidden).max()
    assert len(given.figure.axes) == 1
    with pytest.raises(InputError, match="at least 2 steps"):
        hidden_state([1], [[0.0, 1.0]])


def test_memory_scores_have_one_kind_in_colour(ax: Axes) -> None:
    scores = {"gru": {50: 1.0, 1000: 0.5}, "gru+chrono": {50: 0.9}, "lstm": {50: 0.8, 1000: 0.2}, "rnn": {}}
    score_by_lag(scores, "gru", ["gru+chrono"], chance=0.25, ax=ax)
    for name, each in scores.items():
        assert (list(line(ax, name).get_xdata()), list(line(ax, name).get_ydata())) == (list(each), [*each.values()])
    assert [line(ax, name).get_color() for name in scores] == [BLUE, BLUE, GREY, GREY]
    assert set(line(ax, "chance").get_ydata()) == {0.25}
    assert [label.get_text() for label in ax.get_xticklabels()] == ["50", "1k"]
    assert set(legend(ax)) == {"chance", "others", "gru", "gru+chrono"}
    with pytest.raises(InputError, match="no scores of 'lru'"):
        score_by_lag(scores, "lru")


def test_axes_that_are_given_leave_pyplot_alone() -> None:
    one, two, three, four, five = Figure().subplots(5)
    learning_curve(History(RECORDS, 50, 1.5, "budget"), ax=one)
    gradient_norms({"GRU": np.ones((1, 3))}, {"GRU": np.ones((1, 3))}, ax=two)
    hidden_state([1, 2], np.zeros((2, 3)), ax=three)
    score_by_lag({"gru": {50: 1.0}}, "gru", ax=four)
    error_by_horizon(pd.DataFrame({"model": [1.0]}, index=[1]), ax=five)
    assert pyplot.get_fignums() == []


def test_a_new_figure_is_one_of_pyplot() -> None:
    found = error_by_horizon(pd.DataFrame({"model": [1.0]}, index=[1]))
    assert pyplot.gcf() is found.figure
