"""The results of the demo for the streamed years, with the strongest anomalies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gatewise.layers.base import Array

GREAT = {"1982-83": (1982, 1983), "1997-98": (1997, 1998)}
"""The two great El Ninos of the streamed years, as calendar years."""

STRONGEST = 5
APART = 12
"""Number of months. A score closer than this to a higher score belongs to the same episode."""


@dataclass(frozen=True)
class Episode:
    """A month whose score is the highest within a year before and after.

    Attributes:
        peak: index of the month among the streamed months.
        alarms: number of alarms less than a year from it.
    """

    peak: int
    alarms: int


@dataclass(frozen=True)
class Findings:
    """The results for the M streamed months. Attributes without a shape have one value for each month.

    Attributes:
        dates: datetime64[D], the first of each month.
        readings: the readings, in the unit of the data.
        expected: the forecasts made one month before.
        low: lower edge of the forecast band.
        high: upper edge of the forecast band.
        scores: -log10 of the tail probability.
        extrapolated: bool, True if the score is beyond the range of the calibration months.
        hidden: (M, H) the hidden state after each month.
        alarm_score: the score from which a month is an alarm.
        equal_bits: whether the streamed answers are those of the whole sequence, bit for bit.
    """

    dates: Array
    readings: Array
    expected: Array
    low: Array
    high: Array
    scores: Array
    extrapolated: Array
    hidden: Array
    alarm_score: float
    equal_bits: bool

    @cached_property
    def alarms(self) -> Array:
        """Whether each month is an alarm, bool (M,)."""
        return np.asarray(self.scores >= self.alarm_score)

    @cached_property
    def episodes(self) -> tuple[Episode, ...]:
        """The strongest episodes in descending order of score; each is at least a year from a stronger one."""
        found: list[Episode] = []
        for place in np.argsort(-self.scores, kind="stable"):
            if len(found) == STRONGEST:
                break
            if all(abs(int(place) - episode.peak) >= APART for episode in found):
                near = slice(max(0, int(place) - APART + 1), int(place) + APART)
                found.append(Episode(int(place), int(self.alarms[near].sum())))
        return tuple(found)

    @property
    def alarm_episodes(self) -> int:
        """Number of groups of alarms that are less than a year apart."""
        places = np.flatnonzero(self.alarms)
        return int(len(places) > 0) + int((np.diff(places) >= APART).sum())

    @property
    def great_alarms(self) -> dict[str, int]:
        """Number of alarms in each of the great El Ninos."""
        years = self.dates.astype("datetime64[Y]").astype(int) + 1970
        return {
            name: int((self.alarms & (years >= first) & (years <= last)).sum()) for name, (first, last) in GREAT.items()
        }

    @property
    def great_lead(self) -> bool:
        """Whether the two strongest anomalies are in the two great El Ninos, one in each."""
        years = [int(str(self.dates[episode.peak])[:4]) for episode in self.episodes[:2]]
        return all(any(first <= year <= last for year in years) for first, last in GREAT.values())
