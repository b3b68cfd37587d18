"""Summarise the alarms of a detector in a table: their number, the expected number, and the episodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gatewise.layers.base import Array

APART = 10
"""Alarms with fewer rows than this between them belong to one episode."""

_SHOWN = 5


@dataclass(frozen=True)
class Found:
    """The summary of the alarms in a table; `str` gives it as text.

    Attributes:
        rows: number of scored rows.
        alarms: number of rows that are alarms.
        expected: expected number of alarms in as many rows like the calibration rows.
        episodes: a frame with a row for each episode of alarms, the strongest first: `start` and `end` (times if the
            table has them, else rows), with several series also `series`; `rows`, the number of rows from start to end;
            `alarms`, the number of alarms among them; `strongest`, the highest score; and `column`, the target with the
            highest score of its own there.
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
    frame: pd.DataFrame, rate: float, targets: tuple[str, ...], when: pd.Series | None, ids: pd.Series | None
) -> Found:
    """Count the alarms of a frame from `Detector.explain`, and group them into episodes.

    Args:
        frame: a frame with a row for each row of the data, in order within each series.
        rate: the stated number of false alarms in 1,000 rows.
        targets: names of the columns that were forecast.
        when: times of the rows; None = the index of the frame is used.
        ids: ids of the series of the rows; None = there is one series.
    """
    order, codes = np.arange(len(frame)), np.zeros(len(frame), np.int64)
    if ids is not None:
        codes = pd.factorize(ids)[0]
        order = np.argsort(codes, kind="stable")
    alarm = frame["alarm"].to_numpy(bool)
    places = np.flatnonzero(alarm[order])  # in the order of the series
    apart = (np.diff(places) > APART) | (np.diff(codes[order][places]) != 0)
    groups = np.split(places, np.flatnonzero(apart) + 1) if places.size else []
    when = frame.index.to_series() if when is None else when
    found = [_episode(frame, order[group[0] : group[-1] + 1], alarm, targets, when, ids) for group in groups]
    columns = [*(["series"] if ids is not None else []), "start", "end", "rows", "alarms", "strongest", "column"]
    episodes = pd.DataFrame(found, columns=columns).sort_values("strongest", ascending=False, ignore_index=True)
    return Found(len(frame), int(alarm.sum()), rate * len(frame) / 1000.0, episodes)


def _episode(
    frame: pd.DataFrame,
    rows: Array,
    alarm: Array,
    targets: tuple[str, ...],
    when: pd.Series,
    ids: pd.Series | None,
) -> dict[str, object]:
    """One episode, given by positions of rows in the frame."""
    own = [frame["score" if len(targets) == 1 else f"{target}:score"].to_numpy()[rows].max() for target in targets]
    return {
        **({"series": ids.iloc[rows[0]]} if ids is not None else {}),
        "start": when.iloc[rows[0]],
        "end": when.iloc[rows[-1]],
        "rows": len(rows),
        "alarms": int(alarm[rows].sum()),
        "strongest": float(frame["score"].to_numpy()[rows].max()),
        "column": targets[int(np.argmax(own))],
    }
