"""Times of every form that results have: with a zone, as a column, an index or an array; and text, which is none."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from gatewise.errors import InputError
from gatewise.figures import alarm_scores, forecast_band, hidden_state

TIMES = pd.date_range("2024-03-30", periods=30, freq="h", tz="Europe/Berlin")
VALUES = np.sin(np.arange(30.0))


@pytest.mark.parametrize(
    "times", [TIMES, pd.Series(TIMES), TIMES.tz_convert("UTC"), TIMES.tz_localize(None).to_numpy()]
)
def test_times_with_a_zone_are_drawn_by_the_clock_of_the_place(times: Any) -> None:
    index = pd.DatetimeIndex(times)
    local = date2num(index.tz_localize(None) if index.tz is not None else index)
    ax = forecast_band(times, VALUES - 1, VALUES + 1, observed=VALUES, ax=Figure().subplots())
    (line,) = [line for line in ax.get_lines() if line.get_label() == "observed"]
    np.testing.assert_allclose(date2num(line.get_xdata()), local)
    alarm_scores(times, np.abs(VALUES), 0.5, ax=Figure().subplots())
    hidden_state(times, np.tile(VALUES[:, None], 3), ax=Figure().subplots(), colour_bar=False)


def test_texts_are_no_times() -> None:
    with pytest.raises(InputError, match="times must be dates or numbers, got object; convert text with pandas"):
        forecast_band(np.array(["a"] * 30, object), VALUES, VALUES, ax=Figure().subplots())
