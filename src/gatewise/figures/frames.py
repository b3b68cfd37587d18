"""Find rows and times in the frames that tasks return."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gatewise.errors import InputError
from gatewise.figures.style import clock
from gatewise.layers.base import Array


def values_of(frame: pd.DataFrame, name: str | None) -> pd.Series | None:
    """The column of this name, or else the level of the index.

    Returns:
        (rows,), or None if there is no such column.
    """
    if name is not None and name in frame.columns:
        return pd.Series(frame[name])
    if name is not None and name in frame.index.names:
        return pd.Series(frame.index.get_level_values(name))
    return None


def times_of(frame: pd.DataFrame, time: str | None) -> Array:
    """The values of the time axis.

    Args:
        frame: a frame with a row for each step.
        time: name of the column of times; None = "time" if there is one.

    Returns:
        (rows,) datetime64, in local time if there is a time zone, or numbers. They are the column of times, else the
        index if it holds dates, else the row numbers.

    Raises:
        InputError: there is no such column.
    """
    found = values_of(frame, time or "time")
    if found is None and time is not None:
        raise InputError(f"the frame has no column {time!r}; it has {list(frame.columns)}; pass the name as time=")
    if found is None and isinstance(frame.index, pd.DatetimeIndex):
        found = pd.Series(frame.index)
    if found is None:
        return np.arange(len(frame))
    return clock(found)


def of_series(frame: pd.DataFrame, series: str | None, which: Any = None) -> pd.DataFrame:
    """The rows of one series.

    Args:
        frame: a frame with one or several series.
        series: name of the column, or level of the index, with the series ids; None = there is one series.
        which: the id of the series; None if there is one.

    Raises:
        InputError: there are several series and none is chosen, or there is no such series.
    """
    ids = values_of(frame, series)
    if ids is None:
        if which is not None:
            raise InputError(f"there is one series, and none called {which!r}; leave the name out")
        return frame
    known = list(ids.unique())
    if which is None and len(known) == 1:
        which = known[0]
    if which not in known:
        shown = ", ".join(map(repr, known[:10])) + (", ..." if len(known) > 10 else "")
        raise InputError(f"one of {len(known)} series is drawn; say which of {shown}, got {which!r}")
    own: pd.DataFrame = frame[(ids == which).to_numpy()]
    return own
