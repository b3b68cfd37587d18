"""What a detector found in a table, in short: how many alarms, how many were to be expected, and when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gatewise.layers.base import Array

APART = 10
"""Alarms with fewer rows than this between them are one episode."""

_SHOWN = 5


@dataclass(frozen=True)
class Found:
    """The alarms of a table in short; `str` says it in words.

    Attributes:
        rows: how many were scored.
        alarms: rows that are alarms.
        expected: alarms to expect in so many rows like those calibrated on.
        episodes: a frame with a row for each stretch of alarms, the strongest first: `start` and `end` (times where
            the table has some, else rows), with several series also `series`; `rows` from start to end, `alarms` among
            them, `strongest` (the highest score) and `column` (the target with the highest score of its own there).
    """

    rows: int
    alarms: int
    expected: float
    episodes: pd.DataFrame

    def __str__(self) -> str:
        """One line for the counts, then one for each of the strongest episodes."""
        text = (
            f"{self.alarms:,} alarm{'s' * (self.alarms != 1)} in {self.rows:,} rows, {_count(self.expected)} expected"
        )
        if not len(self.episodes):
            return text
        many = len(self.episodes)
        lines = [
            f"{text}, in {many:,} episode{'s' * (many != 1)}" + (f"; the {_SHOWN} strongest:" * (many > _SHOWN) or ":")
        ]
        for episode in self.episodes.head(_SHOWN).to_dict("records"):
            own = f"series {episode['series']!r}, " if "series" in episode else ""
            start, end = str(episode["start"]), str(episode["end"])
            when = start if start == end else f"{start} to {end}"
            lines.append(f"  {own}{when}: score {episode['strongest']:.1f}, column {episode['column']!r}")
        return "\n".join(lines)


def _count(expected: float) -> str:
    return f"{expected:,.0f}" if expected >= 10 else f"{expected:.2g}"


def summarise(
    frame: pd.DataFrame, rate: float, targets: tuple[str, ...], time: str | None, series: str | None
) -> Found:
    """Count the alarms of a frame that `Detector.explain` gave, and join them to episodes.

    Args:
        frame: a row for each row of the data; of several series, each in its order.
        rate: false alarms that are stated, in 1,000 rows.
        targets: names of the columns that were forecast.
        time, series: names of these columns in the frame, where it has such.
    """
    order = np.arange(len(frame))
    ids = np.zeros(len(frame), np.int64)
    if series is not None:
        ids = pd.factorize(frame[series])[0]
        order = np.argsort(ids, kind="stable")
    alarm = frame["alarm"].to_numpy(bool)
    places = np.flatnonzero(alarm[order])  # in the order of the series
    if places.size:
        new = (np.diff(places) > APART) | (np.diff(ids[order][places]) != 0)
        groups = np.split(places, np.flatnonzero(new) + 1)
    else:
        groups = []
    when = frame[time] if time is not None else frame.index.to_series()
    found = [_episode(frame, order[group[0] : group[-1] + 1], alarm, targets, when, series) for group in groups]
    columns = [*(["series"] if series is not None else []), "start", "end", "rows", "alarms", "strongest", "column"]
    episodes = pd.DataFrame(found, columns=columns).sort_values("strongest", ascending=False, ignore_index=True)
    return Found(len(frame), int(alarm.sum()), rate * len(frame) / 1000.0, episodes)


def _episode(
    frame: pd.DataFrame, rows: Array, alarm: Array, targets: tuple[str, ...], when: pd.Series, series: str | None
) -> dict[str, object]:
    """One stretch of rows of the frame, by position."""
    own = [frame["score" if len(targets) == 1 else f"{target}:score"].to_numpy()[rows].max() for target in targets]
    return {
        **({"series": frame[series].iloc[rows[0]]} if series is not None else {}),
        "start": when.iloc[rows[0]],
        "end": when.iloc[rows[-1]],
        "rows": len(rows),
        "alarms": int(alarm[rows].sum()),
        "strongest": float(frame["score"].to_numpy()[rows].max()),
        "column": targets[int(np.argmax(own))],
    }
