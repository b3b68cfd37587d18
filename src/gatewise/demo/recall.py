"""A task that needs memory, driven by real readings: compare this week with one that was marked long ago.

The readings are real: how much carbon dioxide in the air at Mauna Loa changed from one week to the next. The task is
made up. In each window one week carries a mark, and the model has to say, after the last week, how much more the
concentration rose in that week than in the marked one. Neighbouring changes say almost nothing about each other, so
that a model which has forgotten the marked week can do no better than this week's change alone; its squared error is
then the variance of the changes. Only the marked week counts, so it is known how far back a model has to remember.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gatewise.layers.base import Array

LOOKBACK = 100
"""Number of weeks in a window."""

NEAREST = 5
"""Least number of weeks from the marked week to the last one; the largest is LOOKBACK - 1."""

FIRST_YEAR, UNSEEN_YEAR = 1965, 1982
"""The first year, because those before have too many gaps, and the first of the years that judge. Ten weeks are missing
and interpolated."""

COLUMNS = ("change", "mark")
TARGET, GROUP = "difference", "years"

STRETCH = 104
"""Number of weeks of a group of a table. Groups do not overlap, so they are as independent as two years are."""


@dataclass(frozen=True)
class Windows:
    """Windows of the task, with their answers.

    Attributes:
        x: (n, LOOKBACK, 2) float32, the columns of `COLUMNS`.
        y: (n,) float32, this week's change minus that of the marked week.
        lag: (n,) int, how many weeks before the last one the mark is.
    """

    x: Array
    y: Array
    lag: Array

    def __len__(self) -> int:
        return len(self.y)


def load_changes() -> tuple[Array, Array]:
    """The weekly changes of atmospheric carbon dioxide at Mauna Loa without the seasons, before 1982 and from then on.

    From `statsmodels.datasets.co2` (Keeling and Whorf, Scripps Institution of Oceanography); nothing is downloaded. The
    mean of each calendar month is subtracted and the result divided by the standard deviation; both are those of the
    earlier years.

    Returns:
        the earlier weeks, on which models are trained, and the later ones, (weeks,) float32 each, in standard
        deviations of the earlier weeks.
    """
    from statsmodels.datasets import co2

    changes = co2.load_pandas().data["co2"].loc[str(FIRST_YEAR) :].interpolate().diff().iloc[1:]  # ppm
    weeks = pd.DatetimeIndex(changes.index)
    early = int((weeks.year < UNSEEN_YEAR).sum())
    means = changes.iloc[:early].groupby(weeks.month[:early]).mean()
    left = changes.to_numpy(float) - means.loc[weeks.month].to_numpy(float)
    scaled = (left / left[:early].std()).astype(np.float32)
    return scaled[:early], scaled[early:]


def draw(changes: Array, count: int, rng: np.random.Generator) -> Windows:
    """Windows at random places of a series, each with a mark at a random week.

    Args:
        changes: (weeks,) float32.
        count: number of windows.
        rng: the random generator.
    """
    starts = rng.integers(0, len(changes) - LOOKBACK + 1, count)
    return windows(changes, starts, rng.integers(NEAREST, LOOKBACK, count))


def windows(changes: Array, starts: Array, lags: Array) -> Windows:
    """The windows that begin at the given weeks, with the marks at the given lags.

    Args:
        changes: (weeks,) float32.
        starts: (n,) int, the first week of each window.
        lags: (n,) int, how many weeks before the last one the marks are, up to LOOKBACK - 1.
    """
    each = np.arange(len(starts))
    x = np.zeros((len(starts), LOOKBACK, len(COLUMNS)), np.float32)
    x[:, :, 0] = changes[np.asarray(starts)[:, None] + np.arange(LOOKBACK)]
    x[each, LOOKBACK - 1 - lags, 1] = 1
    return Windows(x, x[:, -1, 0] - x[each, LOOKBACK - 1 - lags, 0], np.asarray(lags))


def table(changes: Array, each: int, rng: np.random.Generator, first_year: int) -> pd.DataFrame:
    """The task as a table: windows one below the other, each with its answer in its last row.

    Args:
        changes: (weeks,) float32. Weeks after the last whole stretch are left out.
        each: number of windows from each stretch of `STRETCH` weeks.
        rng: the random generator.
        first_year: the year of the first week.

    Returns:
        The columns of `COLUMNS`; `TARGET`, in the last row of each window; and `GROUP`, the two years of the stretch.
    """
    parts = []
    for k in range(len(changes) // STRETCH):
        drawn = draw(changes[k * STRETCH : (k + 1) * STRETCH], each, rng)
        part = pd.DataFrame(drawn.x.reshape(-1, len(COLUMNS)), columns=list(COLUMNS))
        target = np.full((each, LOOKBACK), np.nan)
        target[:, -1] = drawn.y
        year = first_year + 2 * k
        part[TARGET], part[GROUP] = target.ravel(), f"{year} to {year + 1}"
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
