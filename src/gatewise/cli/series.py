"""Many series in one input: each line names its series, and each series has its own stream, kept in a pool.

`gatewise stream --series` uses these classes instead of `LineReader` and `Session`. They write no state file, because a
state file holds one stream.

Two lines belong to the same series if their ids are the same text: 7, "7" and a 7 in CSV are the same id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gatewise.cli.common import size
from gatewise.cli.lines import MISSING, LineError, LineReader
from gatewise.cli.session import may_continue
from gatewise.drift import has_drifted, state_of, tell_drift
from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.state import State

MOST_SERIES = 1 << 20
"""Series in one stream; a float32 holds each of their places exactly."""

MOST_ID = 256
"""Characters of an id, which is kept as long as the stream runs."""

_WHOLE = re.compile(r"[+-]?[0-9]+")


class SeriesReader(LineReader):
    """Reads lines that carry the id of their series, which is copied to the result.

    A reading comes with one more value: the place of its series, 0 for the first that came, and so on.

    Args:
        series: the field that holds the id: a text or a whole number.
        columns, width, refuses_missing, keep, format: as `LineReader` takes them; `keep` are further fields to copy.
        limits, subtract, sep, decimal: as `LineReader` takes them.
        whole: whether the ids are known to be whole numbers, so that "007" in CSV is 7.

    Attributes:
        ids: of all series so far, in the order in which they came.
    """

    def __init__(
        self,
        series: str,
        columns: Sequence[str] | None,
        width: int,
        refuses_missing: bool,
        keep: Sequence[str] = (),
        format: str = "auto",
        whole: bool = False,
        limits: tuple[Sequence[float], Sequence[float]] | None = None,
        subtract: Sequence[float] | None = None,
        sep: str | None = None,
        decimal: str = ".",
    ) -> None:
        fields = tuple(dict.fromkeys((series, *keep)))
        super().__init__(columns, width, refuses_missing, fields, format, None, limits, subtract, sep, decimal)
        self.series = series
        self.whole = whole
        self.ids: list[str] = []
        self._places_of: dict[str, int] = {}
        self._id = ""

    def read(self, line: str) -> tuple[list[float], str] | None:
        """As `LineReader.read`, with the place of the series behind the readings.

        Raises:
            LineError: also if the id is missing, or no text and no whole number.
            InputError: also if there are more than MOST_SERIES series.
        """
        found = super().read(line)
        if found is None:
            return None
        values, kept = found
        place = self._places_of.get(self._id)
        if place is None:
            if len(self.ids) == MOST_SERIES:
                raise InputError(
                    f"series {self._id!r} would be one more than {MOST_SERIES:,}, the most that one stream has; "
                    "is this the field that tells series apart? If so, run several streams"
                )
            place = self._places_of[self._id] = len(self.ids)
            self.ids.append(self._id)
        return [*values, float(place)], kept

    def _kept(self, values: Sequence[str]) -> str:
        """Also notes whose line it is."""
        text = values[0]  # JSON, as the series is the first field to keep
        id = json.loads(text) if text[0] == '"' else text
        if text == "null" or (self.format == "csv" and id.lower() in MISSING):
            raise LineError(f"the series {self.series!r} is missing")
        if text[0] != '"' and self.format == "ndjson" and not _WHOLE.fullmatch(text):
            got = text if len(text) <= 60 else text[:57] + "..."
            raise LineError(f"the series {self.series!r} must be a text or a whole number, got {got}")
        if len(id) > MOST_ID:
            raise LineError(f"the series {self.series!r} must have at most {MOST_ID} characters, got {len(id):,}")
        self._id = str(int(id)) if self.whole and _WHOLE.fullmatch(id) else id
        return super()._kept(values)


class SeriesSession:
    """The streams of all series: what a `Session` without a file is to one.

    Args:
        model: the model to stream.
        ids: of the series by their place, as `SeriesReader.ids`, which grows as lines are read.
        begin: id -> the state in which its stream begins; others begin at the start of a sequence. None = all do.
        say: takes messages.
        raw: the model of readings from which nothing was subtracted yet, for messages; None = `model`.

    Attributes:
        step: readings answered, of all series.
        most: how many readings `advance` takes at once.
        warning: that the readings of a series have drifted in the last `advance`; None as a rule.

    Raises:
        StateError: a state that does not fit the model.
    """

    header: tuple[str, ...] | None = None
    remembers = False

    def __init__(
        self,
        model: Model,
        ids: Sequence[str],
        begin: Mapping[str, State] | None = None,
        say: Callable[[str], None] = lambda message: None,
        raw: Model | None = None,
    ) -> None:
        self._raw = raw or model
        self.model = model
        self.pool = model.pool(0)
        self.step = 0
        self.most = max(16, min(1024, 16384 // model.inputs))
        self._ids, self._begin, self._say = ids, begin, say
        self._begun = 0  # series whose streams have begun
        self._counts = np.zeros(0, np.int64)  # (sessions) readings answered of each
        self._steps: list[int] = []  # of the readings answered last
        self._refused = 0  # place of the series whose reading was not answered
        self._warned = False  # whether a series came that was not trained on
        self.warning: str | None = None
        for state in (begin or {}).values():
            state.rows(model.graph, 1)

    def advance(self, readings: Array) -> Array:
        """Answer readings (steps, inputs + 1) float32, the last column the place of the series -> (steps, outputs).

        Each series is answered as if it were alone, so readings of different series are answered together. Fewer steps
        are answered when the next reading would take the state of its series beyond float32: no stream could
        continue from there.

        Raises:
            InputError: there is no memory for the states of so many series.
        """
        x, places = readings[:, :-1], readings[:, -1].astype(np.int64)
        self._make_room()
        named = np.unique(places).tolist()
        before = [self.pool.get_state(place) for place in named]
        answers = np.empty((len(x), self.model.outputs), np.float32)
        for rows in _rounds(places):
            answers[rows] = self.pool.push(places[rows], x[rows])
        if not (np.isfinite(answers).all() and self._are_finite(named)):
            for place, state in zip(named, before, strict=True):
                self.pool.set_state(place, state)
            answers = answers[: self._answerable(x, places)]
        places = places[: len(answers)]
        self.warning = self._drift(dict(zip(named, before, strict=True)), x[: len(answers)], places)
        self._steps = (self._counts[places] + 1 + _earlier(places)).tolist()
        np.add.at(self._counts, places, 1)
        self.step += len(answers)
        return answers

    def _drift(self, before: Mapping[int, bytes], x: Array, places: Array) -> str | None:
        """Which series have drifted in these readings, given their states before; the first one in full."""
        found = []
        for place, state in before.items():
            if has_drifted(self.model, end := self.pool.get_state(place)):
                was, now = (state_of(self.model, each) for each in (state, end))
                told = tell_drift(self.model, x[places == place], was, now, self._raw)
                found += [] if told is None else [(place, *told)]
        if not found:
            return None
        place, row, text = found[0]
        others = f" (and so have {len(found) - 1} other series)" if len(found) > 1 else ""
        return f"series {self._ids[place]!r}, step {self._counts[place] + row + 1}: {text}{others}"

    def steps(self, count: int) -> Sequence[int]:
        """The steps of the last `count` readings answered, each counted in its series from 1."""
        return self._steps[len(self._steps) - count :]

    @property
    def coming(self) -> str:
        """What to call the reading that was not answered."""
        return f"series {self._ids[self._refused]!r}, step {self._counts[self._refused] + 1}"

    def commit(self) -> None:
        """Nothing is remembered."""

    def settle(self, unwritten: int = 0) -> None:
        """Nothing is remembered."""

    def remember_header(self, header: tuple[str, ...]) -> None:
        """Nothing is remembered."""

    def _answerable(self, x: Array, places: Array) -> int:
        """How many readings come before the first after which a state is not finite; the pool then stands there."""
        for row, place in enumerate(places.tolist()):
            before = self.pool.get_state(place)
            self.pool.push(places[row : row + 1], x[row : row + 1])
            if not self._are_finite([place]):
                self.pool.set_state(place, before)
                self._refused = place
                return row
        return len(x)

    def _are_finite(self, places: Sequence[int]) -> bool:
        return may_continue(self.model, b"".join(map(self.pool.get_state, places)))

    def _make_room(self) -> None:
        """A session for each series that came, in its first state; some to spare, or this were done each time."""
        count = len(self._ids)
        if count > len(self.pool):
            sessions = min(MOST_SERIES, max(16, 2 * count))
            try:
                self.pool.resize(sessions)
            except MemoryError:
                raise InputError(
                    f"there is no memory for the states of {sessions:,} series, "
                    f"{size(self.model.graph.state_bytes)} each; run several streams, with some of the series each"
                ) from None
            self._counts = np.concatenate([self._counts, np.zeros(sessions - len(self._counts), np.int64)])
        for place in range(self._begun, count if self._begin is not None else 0):
            self._begin_at(place, self._ids[place])
        self._begun = count

    def _begin_at(self, place: int, id: str) -> None:
        state = (self._begin or {}).get(id)
        if state is not None:
            self.pool.load(place, state)
        elif not self._warned:
            self._warned = True
            self._say(f"series {id!r} was not trained on, so its stream begins without a past; others may too")


def _rounds(places: Array) -> list[Array]:
    """Rows that can be answered together, none of one series twice: the first of each, then the second of each, ..."""
    earlier = _earlier(places)
    return np.split(np.argsort(earlier, kind="stable"), np.cumsum(np.bincount(earlier))[:-1])


def _earlier(places: Array) -> Array:
    """For each row how many before it have the same place: (rows,)."""
    order = np.argsort(places, kind="stable")
    grouped = places[order]
    starts = np.flatnonzero(np.diff(grouped, prepend=-1))
    earlier = np.empty(len(places), np.int64)
    earlier[order] = np.arange(len(places)) - np.repeat(starts, np.diff(starts, append=len(places)))
    return earlier
