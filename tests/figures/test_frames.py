"""Times and series of the frames that tasks give."""

import numpy as np
import pandas as pd
import pytest

from gatewise.errors import InputError
from gatewise.figures.frames import of_series, times_of

DAYS = pd.date_range("2024-01-01", periods=3)
FRAME = pd.DataFrame({"score": [1.0, 2.0, 3.0], "line": ["a", "b", "a"]})


def test_times_are_those_of_the_column_the_index_or_the_rows() -> None:
    days = DAYS.to_numpy()
    assert np.array_equal(times_of(FRAME, None), [0, 1, 2])
    assert np.array_equal(times_of(FRAME.assign(time=days), None), days)
    assert np.array_equal(times_of(FRAME.set_index(DAYS), None), days)
    assert np.array_equal(times_of(FRAME.assign(score_=days), "score"), [1.0, 2.0, 3.0])  # names are never guessed
    assert np.array_equal(times_of(FRAME.set_index([DAYS.rename("when"), "line"]), "when"), days)
    local = FRAME.assign(time=DAYS.tz_localize("Europe/Berlin"))
    assert np.array_equal(times_of(local, None), days)  # as the clock on the wall
    with pytest.raises(InputError, match="no column 'when'"):
        times_of(FRAME, "when")


def test_the_rows_of_one_series() -> None:
    assert of_series(FRAME, "line", "a")["score"].tolist() == [1.0, 3.0]
    assert of_series(FRAME, None) is FRAME
    assert of_series(FRAME[:1], "line")["score"].tolist() == [1.0]
    with pytest.raises(InputError, match="say which of 'a', 'b', got None"):
        of_series(FRAME, "line")
    with pytest.raises(InputError, match="got 'c'"):
        of_series(FRAME, "line", "c")
    with pytest.raises(InputError, match="none called 'a'"):
        of_series(FRAME, None, "a")
