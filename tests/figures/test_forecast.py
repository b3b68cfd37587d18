"""The fan of a forecast has the quantiles as its edges, and opens from the last reading."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.dates import date2num

from figures.drawn import bands, edges, legend, line
from gatewise.errors import InputError
from gatewise.figures import forecast, forecast_fan

DAYS = pd.date_range("2024-01-01", periods=20)
PAST = pd.DataFrame({"time": DAYS[:15], "flow": np.sin(np.arange(15.0)), "other": 1.0})
CAME = pd.DataFrame({"time": DAYS[15:], "flow": np.cos(np.arange(5.0))})
LEVELS = ["0.1", "0.25", "0.5", "0.75", "0.9"]
VALUES = np.array([[-1.0, 0.0, 1.0, 2.0, 4.0], [-3.0, -1.0, 0.5, 3.0, 6.0]])
HORIZONS = [1, 4]


def ahead(**more: Any) -> pd.DataFrame:
    found = pd.DataFrame({"time": DAYS[[15, 18]], "horizon": HORIZONS, "target": "flow"})
    return found.assign(**dict(zip(LEVELS, VALUES.T, strict=True)), **more)


def test_a_forecast_is_a_fan_after_the_readings(ax: Axes) -> None:
    assert forecast(ahead(), PAST, came=CAME, ax=ax) is ax
    where = date2num(DAYS[[14, 15, 18]])
    last = PAST["flow"].iloc[-1]
    outer, inner = bands(ax)
    for band, low, high in ((outer, 0, 4), (inner, 1, 3)):
        at, below, above = edges(band)
        assert np.array_equal(at, where)
        assert np.array_equal(below, [last, *VALUES[:, low]])
        assert np.array_equal(above, [last, *VALUES[:, high]])
    assert np.array_equal(line(ax, "median").get_ydata(), VALUES[:, 2])
    assert np.array_equal(line(ax, "observed").get_ydata(), PAST["flow"])
    assert np.array_equal(line(ax, "came later").get_ydata(), CAME["flow"])
    assert legend(ax) == ["observed", "came later", "50 and 80 % bands", "median"]
    assert ax.get_ylabel() == "flow"
    assert ax.get_xlim() == (date2num(DAYS[0]) - 0.5, date2num(DAYS[-1]) + 0.5)


def test_without_times_horizons_follow_on_the_last_row(ax: Axes) -> None:
    forecast(ahead().drop(columns="time"), PAST[["flow"]], came=CAME[["flow"]], ax=ax)
    assert np.array_equal(line(ax, "observed").get_xdata(), np.arange(15))
    assert np.array_equal(line(ax, "median").get_xdata(), [15, 18])
    assert np.array_equal(line(ax, "came later").get_xdata(), np.arange(15, 20))


def test_a_missing_last_reading_opens_the_fan_from_the_one_before(ax: Axes) -> None:
    past = PAST.copy()
    past.loc[14, "flow"] = np.nan
    forecast(ahead(), past, ax=ax)
    at, low, _ = edges(bands(ax)[0])
    assert (at[0], low[0]) == (date2num(DAYS[13]), PAST["flow"][13])


def test_a_fan_of_two_quantiles_has_no_middle_line(ax: Axes) -> None:
    forecast_fan([1, 2], VALUES[:, [0, 4]], [0.05, 0.95], ax=ax)
    at, low, high = edges(bands(ax)[0])
    assert (at.tolist(), low.tolist(), high.tolist()) == ([1, 2], VALUES[:, 0].tolist(), VALUES[:, 4].tolist())
    assert (len(ax.lines), legend(ax)) == (0, ["90 % band"])


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda ax: forecast(PAST, ax=ax), "forecaster.predict"),
        (lambda ax: forecast(ahead(), target="other", ax=ax), r"say which of \['flow'\].*got 'other'"),
        (lambda ax: forecast(pd.concat([ahead(), ahead(target="b")]), ax=ax), "one target is drawn"),
        (lambda ax: forecast(pd.concat([ahead(), ahead()]), ax=ax), "one series is drawn"),
        (lambda ax: forecast_fan([1, 2], VALUES, [0.5], ax=ax), r"= \(2, 1\), got \(2, 5\)"),
        (lambda ax: forecast_fan([1, 2], VALUES[:, :1], [0.5], past_times=[0], past=[1, 2], ax=ax), "past must have"),
    ],
)
def test_what_cannot_be_drawn_is_refused(ax: Axes, call: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        call(ax)
