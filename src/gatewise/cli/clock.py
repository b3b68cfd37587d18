"""`gatewise stream --time`: warn if lines are not as far apart as the rows that the model was trained on.

Only constant steps are compared here, without pandas. For other calendars (weekdays, months, opening hours) only the
order of the times is checked. Readings are never refused because of their time, unless it is no time at all: the model
counts steps and answers each reading. A date may be written in ISO 8601 or as numbers with the year first (1950/01/31,
1950.1, 195001). Other notations with the year first, which a training reads, are accepted but not compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gatewise.cli.common import say
from gatewise.cli.lines import LineError, LineReader
from gatewise.cli.series import SeriesReader
from gatewise.tables.step_lengths import COUNTS, DATES, NUMBERS, SLACK, step_length
from gatewise.tasks.section import times_of

if TYPE_CHECKING:
    from gatewise.model import Model


_YEAR_FIRST = re.compile(r"(\d{4})(?:[-/.](\d{1,2})(?:[-/.](\d{1,2}))?)?(?!\d)(.*)")
_YEAR_AND_MONTH = re.compile(r"(\d{4})(\d{2})()()")


class Clock:
    """Compares the times of one or many series with those of the training data, and reports each kind of
    difference once.

    Args:
        told: what the model keeps of times, as `gatewise.tables.timeline.Timeline.to_dict` writes it, or anything else.
        ends: whether the streams begin where the training data ended, so that the first rows should follow on these.
        say: takes messages.
    """

    def __init__(self, told: object, ends: bool = False, say: Callable[[str], None] = lambda message: None) -> None:
        self._say = say
        self._said: set[str] = set()
        self._last: dict[str | None, tuple[float, str]] = {}  # of each series the last time, and how it was written
        self._odd: dict[str | None, tuple[float, str]] = {}  # of each series a step that was not as it should be
        self._kind: str | None = None
        self._step: float | None = None
        self._others: set[str] = set()  # series whose steps are not those of most
        self._ends: dict[str | None, tuple[float, str]] = {}
        self._zoned: bool | None = None  # whether the dates of training have a time zone
        read = told if isinstance(told, Mapping) else {}
        calendar = read.get("calendar")
        if not isinstance(calendar, Mapping) or calendar.get("kind") not in (DATES, NUMBERS):
            say("the model does not say how far apart its rows are, so --time checks only that times ascend")
            return
        self._kind = calendar["kind"]
        step = calendar.get("step")
        if calendar.get("rule") == "steps" and isinstance(step, (int, float)) and step > 0:
            self._step = float(step)
        else:
            say("the rows that the model was trained on are no constant step apart, so --time checks only that times "
                "ascend")  # fmt: skip
        self._others = {str(pair[0]) for pair in _pairs(read.get("others"))}
        for id, end in _pairs(read.get("ends")):
            self._keep_end(None if id is None else str(id), end, ends)

    def _keep_end(self, id: str | None, end: object, use: bool) -> None:
        try:
            number, zoned = self._read(end)
        except (LineError, ValueError):
            return
        self._zoned = zoned
        if use:
            self._ends[id] = number, str(end)

    def see(self, value: object, id: str | None = None) -> None:
        """Compare the time of the next reading.

        Args:
            value: a date, as the head of this file has it, or a number, as JSON has it.
            id: of the series.

        Raises:
            LineError: it is neither.
        """
        text = str(value)
        try:
            now, zoned = self._read(value)
        except _OtherwiseWrittenError:
            self._last.pop(id, None)
            self._once(
                "unread",
                f"the time {text} has the year first but is no ISO 8601 date, so it is not compared with those of the "
                "training data, nor are others like it; write ISO 8601 to have them compared",
            )
            return
        last = self._last.get(id)
        self._last[id] = now, text
        own = "" if id is None else f"series {id!r}: "
        if last is None:
            self._follows(now, text, zoned, id)
            return
        step = now - last[0]
        if step <= 0:
            self._once("order", f"{own}the time {text} does not lie after {last[1]}, the one before it; {COUNTS}")
        elif self._step is not None and id not in self._others:
            self._compare(step, f"from {last[1]} to {text}", id)

    def end(self) -> None:
        """Report what was still open at the end of the stream: its last step."""
        for id in list(self._odd):
            self._gap(id)

    def _compare(self, step: float, where: str, id: str | None) -> None:
        """Compare a step. An unusual step is a gap, unless the next one is like it: then the rows have another rate."""
        assert self._step is not None
        before = self._odd.get(id)
        if abs(step - self._step) <= SLACK * self._step:
            self._gap(id)
            return
        if before is not None and abs(step - before[0]) <= SLACK * before[0]:
            self._odd.pop(id)
            self._once(
                "rate",
                f"{'' if id is None else f'series {id!r}: '}the rows are {self._length(step)} apart, but the model was "
                f"trained on rows {self._length(self._step)} apart; {COUNTS}, so send rows like those, or train again "
                "on rows like these",
            )
            self._said.add("gap")  # what follows of this kind is not one
            return
        self._gap(id)
        self._odd[id] = step, where

    def _gap(self, id: str | None) -> None:
        found = self._odd.pop(id, None)
        if found is None or self._step is None:
            return
        what = "rows are missing" if found[0] > self._step else "there is an extra row"
        self._once(
            "gap",
            f"{'' if id is None else f'series {id!r}: '}{what} {found[1]}: a step of {self._length(found[0])} where "
            f"{self._length(self._step)} is usual; {COUNTS}",
        )

    def _follows(self, now: float, text: str, zoned: bool, id: str | None) -> None:
        """Report a first row that does not follow on the training data."""
        end = self._ends.get(id)
        if end is None or zoned != self._zoned:
            return
        step = now - end[0]
        late = self._step is not None and id not in self._others and abs(step - self._step) > SLACK * self._step
        if step <= 0 or late:
            where = f" and not {self._length(self._step)} after that" if late and self._step is not None else ""
            self._once(
                "follow",
                f"{'' if id is None else f'series {id!r}: '}the training data end at {end[1]}, and the first row "
                f"comes at {text}{where}, so it does not follow on them; send the rows that do, or leave out "
                "--after-training",
            )

    def _once(self, kind: str, message: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            self._say(message)

    def _length(self, step: float) -> str:
        return step_length(round(step, 6), self._kind or DATES)

    def _read(self, value: object) -> tuple[float, bool]:
        """A time as a number, of seconds if it is a date, and whether it has a time zone."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if self._kind != DATES:
                self._kind = NUMBERS
                return value, False
            value = str(value)  # 20240131 is a date
        if not isinstance(value, str) or self._kind == NUMBERS:
            wanted = {None: "an ISO 8601 date or a number", DATES: "an ISO 8601 date", NUMBERS: "a number"}[self._kind]
            raise LineError(f"the time must be {wanted}, got {json.dumps(value)}")
        date = _date(value.strip())
        if date is None:
            if self._kind == DATES and re.match(r"\s*\d{4}", value):
                raise _OtherwiseWrittenError
            raise LineError(f"the time must be an ISO 8601 date, got {json.dumps(value[:60])}")
        self._kind = DATES
        zoned = date.tzinfo is not None
        return (date if zoned else date.replace(tzinfo=UTC)).timestamp(), zoned


class _OtherwiseWrittenError(ValueError):
    """A date with the year first that is written in a way that needs pandas to be read."""


def _date(text: str) -> datetime | None:
    """A date in ISO 8601, or as numbers with the year first; the first day if it names none. None if it is neither.

    If it has no day or no month, the rest of it must be empty.
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        found = _YEAR_AND_MONTH.fullmatch(text) or _YEAR_FIRST.fullmatch(text)
    if found is None or (found[4] and not found[3]):
        return None
    year, month, day = found[1], found[2] or "1", found[3] or "1"
    rest = re.sub(r"^T(\d):|^\s+(\d):", r"T0\1\2:", found[4])  # an hour of one digit
    try:
        return datetime.fromisoformat(f"{year}-{int(month):02}-{int(day):02}{rest.rstrip()}")
    except ValueError:
        return None


class TimedReader:
    """A reader of lines that also hands the time of each to a clock.

    Args:
        reader: reads the lines, and keeps the field of the time.
        clock: takes the times.
        time: name of the field.
        kept: whether the time is to be copied to the results.
    """

    def __init__(self, reader: LineReader, clock: Clock, time: str, kept: bool) -> None:
        self.reader, self.clock = reader, clock
        self.time, self.kept = time, kept
        self._member = json.dumps(time) + ":"

    @property
    def header(self) -> tuple[str, ...] | None:
        """Names of the CSV fields, once they are known."""
        return self.reader.header

    def read(self, line: str) -> tuple[list[float], str] | None:
        """As `LineReader.read`. Raises LineError also if the time is none."""
        found = self.reader.read(line)
        if found is None:
            return None
        values, members = found
        fields: dict[str, Any] = json.loads("{" + members.rstrip(",") + "}")
        id = self.reader.ids[int(values[-1])] if isinstance(self.reader, SeriesReader) else None
        self.clock.see(fields[self.time], id)
        return values, members if self.kept else members[: members.rindex(self._member)]


@contextmanager
def watched(
    reader: LineReader, model: Model, time: str | None, keep: Sequence[str], follows: bool
) -> Iterator[LineReader | TimedReader]:
    """The reader, which within also compares the times of its lines with those that the model was trained on.

    Args:
        reader: reads the lines, with the field of the time behind those to keep.
        model: a detector or forecaster, or any other, which says nothing of times.
        time: name of the field; None = nothing is compared.
        keep: the fields to copy to the results.
        follows: whether the lines should follow on the training data.
    """
    if time is None:
        yield reader
        return
    clock = Clock(times_of(model), follows, say)
    yield TimedReader(reader, clock, time, time in keep)
    clock.end()


def _pairs(value: object) -> Iterable[tuple[Any, Any]]:
    """The pairs of a list of pairs; none of anything else."""
    every = value if isinstance(value, list) else []
    return [(pair[0], pair[1]) for pair in every if isinstance(pair, list) and len(pair) == 2]
