"""The loop of `gatewise stream`: read lines and write results, until the end of the input or a signal."""

from __future__ import annotations

import json
import math
import os
import select
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gatewise.cli.clock import TimedReader
from gatewise.cli.lines import LineError, LineReader
from gatewise.cli.series import SeriesSession
from gatewise.cli.session import Session, path_of
from gatewise.cli.signals import Stop
from gatewise.errors import InputError, StateError
from gatewise.layers.base import Array
from gatewise.model import Model

CHUNK = 1 << 16
MOST_LINE = 1 << 20
PIECE = select.PIPE_BUF
"""A pipe takes a piece of this many bytes whole or not at all, and at once when writable (POSIX write, select)."""


def answer_lines(
    session: Session | SeriesSession,
    reader: LineReader | TimedReader,
    source: int,
    output: int,
    *,
    replay: bool = False,
    skip: bool = False,
    levels: Array | None = None,
    say: Callable[[str], None],
) -> int | None:
    """Answer each line read from one file descriptor with a line written to another, until the end or a signal.

    Lines that have arrived together are answered together, which changes no bit of the results.

    Args:
        session: the stream, or the streams of many series.
        reader: turns lines into readings.
        source: file descriptor of the input.
        output: file descriptor of the results.
        replay: whether the input starts anew, so that the readings answered before are skipped.
        skip: whether a malformed line is reported and skipped, instead of ending the stream.
        levels: (outputs,) what is added to each answer in float64; None = nothing.
        say: takes messages.

    Returns:
        The signal that ended the stream, or None.

    Raises:
        InputError: a malformed line, or with `replay` an input that is too short. The results before it are written.
        StateError: a reading that takes the state beyond float32. The results before it are written.
        OSError: input, output or state file failed.
    """
    with Stop() as stop:
        answers = _Answers(session, output, stop, say, levels)
        to_skip, number = session.step if replay else 0, 0
        try:
            try:
                for lines in arriving_lines(source, stop):
                    for line in lines:
                        number += 1
                        found = None
                        try:
                            found = reader.read(_text(line, number))
                        except LineError as error:
                            if not skip:
                                raise
                            say(f"line {number}: {error} (skipped)")
                        if reader.header is not None:
                            session.remember_header(reader.header)
                        if found is not None and to_skip:
                            to_skip -= 1
                        elif found is not None:
                            answers.add(*found)
                    answers.write()
            except InputError as error:
                answers.write()
                raise InputError(f"line {number}: ", error) from None
        except _NoRoom:
            pass
    if to_skip and stop.signal is None:
        raise InputError(f"the input ends {to_skip} readings short of step {session.step}, where the stream stood")
    return stop.signal


def arriving_lines(source: int, stop: Stop) -> Iterator[list[bytes]]:
    """Lists of whole lines, without line ends, as they arrive; ends with the input or when told to stop.

    Raises:
        InputError: a line longer than MOST_LINE bytes.
    """
    rest = b""
    while stop.readable(source):
        data = os.read(source, CHUNK)
        if not data:
            if rest:
                yield [rest]
            return
        *lines, rest = (rest + data).split(b"\n")
        if lines:
            yield lines
        if len(rest) > MOST_LINE:
            raise InputError(f"after this line comes a line of more than {MOST_LINE:,} bytes, which is no reading")


class _NoRoom(Exception):
    """The stream was told to stop, and nobody reads its results."""


class _Answers:
    """Collects readings, answers them together and writes the results."""

    def __init__(
        self,
        session: Session | SeriesSession,
        output: int,
        stop: Stop,
        say: Callable[[str], None],
        levels: Array | None = None,
    ) -> None:
        self.session, self.output, self.stop, self.say = session, output, stop, say
        # A pipe with a state gets one piece at a time: then a kill does not come between two of them.
        self.by_piece = session.remembers and path_of(output) is None
        self.most = 1 if self.by_piece else session.most
        self.format = result_format(session.model, levels)
        self.rows: list[list[float]] = []
        self.kept: list[str] = []

    def add(self, row: list[float], kept: str) -> None:
        self.rows.append(row)
        self.kept.append(kept)
        if len(self.rows) >= self.most:
            self.write()

    def write(self) -> None:
        """Answer what was collected.

        Raises:
            _NoRoom: the session stands after the last result written.
            StateError: the session stands before a reading that takes the state beyond float32.
        """
        if not self.rows:
            return
        # Wait for room and prepare all first, so that next to no time lies between the save and the write.
        if not self.stop.writable(self.output):
            raise _NoRoom
        values = self.session.advance(np.array(self.rows, np.float32))
        if self.session.warning:
            self.say(f"warning: {self.session.warning}")
        diverges = len(values) < len(self.rows)
        lines = self.format(self.session.steps(len(values)), self.kept[: len(values)], values)
        self.rows, self.kept = [], []
        if lines:
            self._put(lines)
        if diverges:
            raise StateError(
                f"{self.session.coming}: this reading takes the state of the model beyond float32, so the "
                "stream ends before it; a model that diverges on its data must be trained anew"
            )

    def _put(self, lines: list[bytes]) -> None:
        """Save the readings and write their results."""
        pieces = _pieces(lines)
        if self.by_piece:
            longest = max(map(len, lines)) + 8  # results differ by a few digits
            self.most = max(1, min(self.session.most, PIECE // longest))
        unwritten = len(lines)
        self.session.commit()
        for i, (count, piece) in enumerate(pieces):
            if i and not self.stop.writable(self.output):
                break
            rest = piece
            try:
                while rest:
                    rest = rest[os.write(self.output, rest) :]
            except OSError:
                if rest is piece:  # else a part of it stands in the output, which the next start will look at
                    self.session.settle(unwritten)
                raise
            unwritten -= count
        self.session.settle(unwritten)
        if unwritten:
            raise _NoRoom


def _pieces(lines: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """Whole lines joined to pieces of at most PIECE bytes, if they are no longer than that; each with its count."""
    pieces: list[tuple[int, bytes]] = []
    start, size = 0, 0
    for i, line in enumerate(lines):
        if i > start and size + len(line) > PIECE:
            pieces.append((i - start, b"".join(lines[start:i])))
            start, size = i, 0
        size += len(line)
    pieces.append((len(lines) - start, b"".join(lines[start:])))
    return pieces


def result_format(
    model: Model, levels: Array | None = None
) -> Callable[[Sequence[int], Sequence[str], Array], list[bytes]]:
    """A function (steps, kept members, values (steps, outputs)) -> lines of JSON, for one model.

    To the values `levels` are added in float64, if any. Numbers have as many digits as tell one float32 from the next;
    what is not finite becomes null.
    """
    alarm_score = model.alarm_score
    names = model.output_names
    members = ",".join(json.dumps(name).replace("%", "%%") + ":%s" for name in names)
    line = '{"step":%d,%s' + members + (',"alarm":%s}\n' if alarm_score is not None else "}\n")
    constants = [] if levels is None else levels.tolist()
    raised = [i for i, constant in enumerate(constants) if constant]
    flags = [i for i, name in enumerate(names) if name == "extrapolated"]

    def form(steps: Sequence[int], kept: Sequence[str], values: Array) -> list[bytes]:
        texts = values.astype("U32").tolist()
        if not np.isfinite(values).all():
            texts = [["null" if t in ("nan", "inf", "-inf") else t for t in row] for row in texts]
        for i in raised:
            for row, value in zip(texts, values[:, i].tolist(), strict=True):
                row[i] = _raised(value, constants[i])
        for i in flags:
            for row in texts:
                row[i] = "true" if float(row[i]) else "false"
        if alarm_score is not None:
            for row, score in zip(texts, values[:, 0].tolist(), strict=True):
                row.append("true" if score >= alarm_score else "false")
        rows = zip(steps, kept, texts, strict=True)
        return [(line % (step, members, *row)).encode() for step, members, row in rows]

    return form


def _raised(value: float, constant: float) -> str:
    """A float32 value and a constant as one number, with as many decimals as the value has."""
    if not np.isfinite(value):
        return "null"
    step = float(np.spacing(np.float32(abs(value))))
    return repr(round(value + constant, max(0, -math.floor(math.log10(step)))))


def _text(line: bytes, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise LineError(f"no UTF-8 text: {error.reason} at byte {error.start}") from None
