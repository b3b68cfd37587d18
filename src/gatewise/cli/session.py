"""A stream that survives its process: the state file of `gatewise stream --state`.

A result and a state cannot be written in one atomic act, so after a kill either may be ahead. This makes it harmless:

1. Each result carries its step: 1 for the first reading ever, counted on over restarts.
2. The file holds the state at some step `start` and the readings since, about the last thousand. A step is a pure
   function that gives the same bits in any chunking, so the state after any of these readings is restored exactly.
3. A reading is in the file before its result is written. So if K is the step of the last result that was written, then
   K is between `start` and the last reading in the file, and the state after K can be restored.

The file is safetensors (the state, the readings since, a description) followed by a log of fixed length. Readings may
spell anything, so it is the safetensors header that says where the log begins. The log is mapped into memory, so that
what is stored there costs no call of the system, and is in the file whenever the process is killed. When a thousand
readings have come together, a new file is made and replaces this one by rename. Little endian::

    LF "gatewise log" LF, and zeros to a multiple of 8 bytes
    progress:  2 * length of the records + 1 if all their results are written (uint32), CRC-32 of these 4 bytes
    record:    count (uint32), readings (count, inputs) float32, CRC-32 of all records so far

Progress is stored at once, after the record: so a record is there wholly or not at all, and what follows the records
means nothing. What remains is to know K. If all results are written, K is the last step in the file. Else the results
of the last record were being written, and K is the step of the last whole line of the output, if that is a regular file
(the description names it) and still there. For a pipe, they are taken for written, which is nearly always so: the
program waits until there is room in the pipe, then stores the progress and writes, with nothing in between. `in_doubt`
is set, the caller says so, and the user can name another K (`after`).

Against a power cut there is a flush to the disk when the file is replaced, and one a second.
"""

from __future__ import annotations

import json
import mmap
import os
import stat
import struct
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from gatewise.drift import drifted, has_drifted, state_of, tell_drift
from gatewise.errors import FileError, GatewiseError, StateError
from gatewise.file import MOST_HEADER, digest, read_bytes, seal, target_of, unseal
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.spec import parse_json
from gatewise.state import State
from gatewise.stream import Stream

FORMAT = 1
FLUSH_EVERY = 1.0
"""Seconds."""

_KEYS = ("format", "structure", "start", "header", "output", "log", "tensors")
_LOG = b"\ngatewise log\n"
_TAIL = 1 << 20


@dataclass(frozen=True)
class _Mark:
    """The state after the first `count` readings of the buffer."""

    count: int
    state: State


class Session:
    """A stream, how far it has come, and the file that remembers both.

    For each block of readings: `advance`, `commit`, write the answers, `settle`.

    Args:
        model: the model to stream.
        path: the state file, made if it does not exist; None = nothing is remembered.
        after: continue after this step; None = find out.
        output: descriptor of the file that results are written to.
        begin: the state in which a new session begins; None = the start of a sequence. A state file comes first.
        raw: the model of readings from which nothing was subtracted yet, for messages; None = `model`.

    Attributes:
        stream: the stream, at `step`.
        header: names of the fields of CSV input, if it has a header; remembered.
        resumed: whether the session continues from a file.
        in_doubt: whether the last results may not have been written, see above.
        most: how many readings `advance` takes at once.
        warning: that the readings of the last `advance` have drifted; None as a rule, and once it has been said.

    Raises:
        StateError: a state file that is damaged, belongs to another model, or does not reach `after`; or `begin` is of
            another model.
        OSError: the file cannot be read or written, or is a device, a pipe, a socket or a folder.
    """

    def __init__(
        self,
        model: Model,
        path: str | None = None,
        after: int | None = None,
        output: int = 1,
        begin: State | None = None,
        raw: Model | None = None,
    ) -> None:
        self.stream: Stream = model.stream(begin)
        self._raw = raw or model
        self.header: tuple[str, ...] | None = None
        self.resumed = False
        self.in_doubt = False
        self.warning: str | None = None
        self.most = max(16, min(1024, 16384 // model.inputs))  # readings; 64 KiB of them, or 16
        self._name = path
        self._path: Path | None = None
        self._output = path_of(output)
        self._start = 0
        self._base = self.stream.state
        self._middle: _Mark | None = None
        self._readings = np.empty((4 * self.most, model.inputs), np.float32)
        self._count = 0
        self._logged = 0  # readings of the buffer that are in the file
        self._log: mmap.mmap | None = None  # the state file, once this session has made one
        self._records = self._length = 0  # where its records begin, and their length
        self._crc = 0  # of the records
        self._number = (0, 0)  # device and number of the file
        self._flushed = time.monotonic()
        if path is None:
            return
        self._path = target_of(path)
        if self._path.exists():
            self._open(self._path, after, output)
        elif after:
            raise StateError(f"{path} does not exist, so there is nothing to continue from after step {after}")
        else:
            self._save()  # if this cannot be written, say so before any input is read

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    @property
    def drifted(self) -> frozenset[str]:
        """The columns of which it was told already that they have drifted."""
        return drifted(self.model, self.stream.state)

    def forget_drift(self) -> None:
        """Forget the evidence of drift. The session cannot go back to a step before this one."""
        self.stream.settle()
        self._start, self._base, self._middle = self.step, self.stream.state, None
        self._count = self._logged = 0
        if self._path is not None:
            self._save()

    @property
    def step(self) -> int:
        """Readings answered since the session began."""
        return self._start + self._count

    @property
    def model(self) -> Model:
        """The model that is streamed."""
        return self.stream.model

    def steps(self, count: int) -> Sequence[int]:
        """The steps of the last `count` readings answered."""
        return range(self.step - count + 1, self.step + 1)

    @property
    def coming(self) -> str:
        """What to call the reading that comes next."""
        return f"step {self.step + 1}"

    @property
    def remembers(self) -> bool:
        """Whether there is a state file."""
        return self._path is not None

    def advance(self, readings: Array) -> Array:
        """Answer up to `most` readings (steps, inputs) float32 -> (steps, outputs).

        Fewer steps are answered when the next reading would take the state beyond float32: no state file could hold
        that. The stream then stands before this reading.
        """
        begin = self.stream.get_state()
        answers = self._push(readings)
        count = len(answers)
        self.warning = None
        if has_drifted(self.model, self.stream.get_state()):
            was = state_of(self.model, begin)
            told = tell_drift(self.model, readings[:count], was, self.stream.state, self._raw)
            self.warning = None if told is None else f"step {self.step + told[0] + 1}: {told[1]}"
        if self._path is None:
            self._start += count
        else:
            if self._log is None:
                self._save()
            self._readings[self._count : self._count + count] = readings[:count]
            self._count += count
        return answers

    def _push(self, readings: Array) -> Array:
        """The answers to the readings before the first after which the state is not finite."""
        before = self.stream.get_state()
        answers = self.stream.push_many(readings)
        if np.isfinite(answers).all() and self._may_continue():
            return answers
        self.stream.set_state(before)
        for i in range(len(readings)):
            before = self.stream.get_state()
            self.stream.push(readings[i])
            if not self._may_continue():
                self.stream.set_state(before)
                return answers[:i]
        return answers

    def _may_continue(self) -> bool:
        return may_continue(self.model, self.stream.get_state())

    def commit(self) -> None:
        """Save the readings of the last `advance`: now their answers may be written."""
        if self._log is None:
            return
        self._refuse_company()
        record, self._crc = _record(self._readings[self._logged : self._count], self._crc)
        self._logged = self._count
        at = self._records + self._length
        self._log[at : at + len(record)] = record
        self._length += len(record)
        self._store_progress(written=False)

    def settle(self, unwritten: int = 0) -> None:
        """The answers are written, but for the last `unwritten`, whose readings are taken back."""
        if self._log is None:
            return
        if unwritten:
            self._restore(self._count - unwritten)
            self._save()
            return
        self._store_progress(written=True)
        middle, now = self._middle, self._count
        if now - (middle.count if middle else 0) >= self.most:
            if middle:  # the older half is no longer needed
                self._readings[: now - middle.count] = self._readings[middle.count : now]
                self._start, self._base, self._count = self._start + middle.count, middle.state, now - middle.count
            self._middle = _Mark(self._count, self.stream.state)
            self._save()
        elif time.monotonic() - self._flushed >= FLUSH_EVERY:
            self._log.flush()
            self._flushed = time.monotonic()

    def remember_header(self, header: tuple[str, ...]) -> None:
        """Remember the names of the fields of CSV input, for an input that continues without them."""
        if header != self.header:
            self.header = header
            if self._path is not None:
                self._save()

    def close(self) -> None:
        """Close the state file. It is complete at any time."""
        if self._log is not None:
            self._log.flush()
            self._log.close()
            self._log = None

    def _restore(self, count: int) -> None:
        """Take the stream to where it had the first `count` readings of the buffer behind it."""
        if self._middle is not None and self._middle.count > count:
            self._middle = None
        mark = self._middle or _Mark(0, self._base)
        self.stream.load(mark.state)
        if count > mark.count:
            self.stream.push_many(self._readings[mark.count : count])
        self._count = count

    def _open(self, path: Path, after: int | None, output: int) -> None:
        """Continue from the file."""
        data = read_bytes(path)
        try:
            end = _sealed_bytes(data)
            if data[end : end + len(_LOG)] != _LOG:
                raise FileError("it has no log, or was cut off")
            fields, described = unseal(data[:end], FORMAT, _KEYS)
            if described["tensors"] != digest(fields):
                raise FileError("the values do not match their checksum: they were altered")
        except GatewiseError as error:
            raise StateError(f"{self._name} is no state of a stream: ", error) from None
        saved = fields.pop("readings", np.empty(0))
        start, header, last_output = (described[key] for key in ("start", "header", "output"))
        self._base = State(str(described["structure"]), fields)
        try:
            self._base.rows(self.stream.model.graph, 1)
            end += len(_LOG)
            if len(data) - end != described["log"]:
                raise FileError("it was cut off, or something was appended to it")
            blocks, written = _read_log(data[end + -end % 8 :], self.stream.model.inputs)
        except GatewiseError as error:
            raise StateError(f"{self._name}: ", error) from None
        if (
            saved.dtype != np.float32
            or saved.ndim != 2
            or saved.shape[1] != self._readings.shape[1]
            or len(saved) + sum(map(len, blocks)) > len(self._readings)
            or not (isinstance(start, int) and start >= 0)
            or not (header is None or (isinstance(header, list) and all(isinstance(name, str) for name in header)))
            or not (last_output is None or isinstance(last_output, str))
        ):
            raise StateError(f"{self._name} holds readings or a description that do not fit; start with a new file")
        readings = np.concatenate([saved, *blocks])
        last = start + len(readings)
        if after is not None and not start <= after <= last:
            raise StateError(f"{self._name} can continue after any of the steps {start} to {last}, got --after {after}")
        step = last if after is None else after
        if not written and last_output is not None and last_output == self._output:
            _cut_partial_line(output, last_output)
        if not written and after is None:
            ended = last_step(last_output) if last_output is not None else None
            self.in_doubt = ended is None or not last - len(blocks[-1]) <= ended <= last
            if ended is not None and not self.in_doubt:
                step = ended
        # Keep as many readings before this step as a session may go back, and no more.
        known = readings[: step - start]
        passed = max(0, len(known) - self.most)
        self.stream.load(self._base)
        if passed:
            self.stream.push_many(known[:passed])
        self._start, self._base = start + passed, self.stream.state
        self._readings[: len(known) - passed] = known[passed:]
        if continues := self._may_continue():
            self._restore(len(known) - passed)
        if not (continues and self._may_continue()):
            raise StateError(f"{self._name}: with this model its readings lead beyond float32; start with a new file")
        self.header = None if header is None else tuple(header)
        self.resumed = True

    def _save(self) -> None:
        """Replace the file; all results are written."""
        assert self._path is not None
        self._refuse_company()
        tensors = {**self._base.fields, "readings": self._readings[: self._count]}
        described: dict[str, Any] = {
            "format": FORMAT,
            "structure": self._base.structure,
            "start": self._start,
            "header": None if self.header is None else list(self.header),
            "output": self._output,
            "log": _log_bytes(2 * self.most, self.stream.model.inputs),
            "tensors": digest(tensors),
        }
        # One temporary name for all times: kills leave at most one such file behind, and the next save takes it over.
        temporary = self._path.with_name(f".{self._path.name}.tmp")
        data = seal(tensors, described) + _LOG
        try:
            with open(temporary, "w+b") as file:
                # The log is written out, or a full disk would only be found in the mapping.
                file.write(data + bytes(described["log"]))
                file.flush()
                self._map(file.fileno(), len(data))
                os.fsync(file.fileno())
            os.replace(temporary, self._path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._name) from error
        self._flushed = time.monotonic()

    def _map(self, descriptor: int, end: int) -> None:
        """Map a new file, in which the log comes after so many bytes, instead of the old one."""
        found = os.fstat(descriptor)
        log = mmap.mmap(descriptor, 0)
        if self._log is not None:
            self._log.close()
        self._log, self._number = log, (found.st_dev, found.st_ino)
        self._records, self._length, self._crc, self._logged = end + -end % 8 + 8, 0, 0, self._count
        self._store_progress(written=True)

    def _store_progress(self, written: bool) -> None:
        """Eight aligned bytes, so that they are stored at once."""
        assert self._log is not None
        self._log[self._records - 8 : self._records] = _progress(self._length, written)

    def _refuse_company(self) -> None:
        """Two streams with one file would each undo what the other wrote."""
        if self._log is not None and self._path is not None and self._path.exists():
            found = self._path.stat()
            if (found.st_dev, found.st_ino) != self._number:
                raise StateError(f"{self._name} was changed by another process; give each stream a file of its own")


def _sealed_bytes(data: bytes) -> int:
    """Length of the safetensors data that `data` begins with. What it holds may look like anything, so no mark ends it.

    Raises:
        FileError: there is no header that says how long it is.
    """
    begin = 8 + int.from_bytes(data[:8], "little")
    if begin > min(len(data), MOST_HEADER):
        raise FileError("no safetensors data, or cut off")
    try:
        header = parse_json(data[8:begin].decode(), "header", MOST_HEADER)
        end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
        if not isinstance(end, int) or end < 0:
            raise ValueError(f"a tensor ends at {end!r}")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise FileError(f"no valid safetensors data: {str(error)[:200]}") from None
    return begin + end


def may_continue(model: Model, states: bytes) -> bool:
    """Whether a stream can continue from all of these states, as `get_state` gives them: they are finite.

    The state of a model with a window is the readings themselves, of which some may be missing.
    """
    return model.window is not None or bool(np.isfinite(np.frombuffer(states, np.float32)).all())


def _log_bytes(readings: int, inputs: int) -> int:
    """Length of a log that takes so many readings, even one by one, with its padding and progress."""
    return 16 + readings * (4 + 4 * inputs + 4)


def _progress(length: int, written: bool) -> bytes:
    value = struct.pack("<I", 2 * length + written)
    return value + struct.pack("<I", zlib.crc32(value))


def _record(readings: Array, crc: int) -> tuple[bytes, int]:
    """A record of the log, and the CRC-32 of all records with it."""
    data = struct.pack("<I", len(readings)) + readings.astype("<f4", copy=False).tobytes()
    crc = zlib.crc32(data, crc)
    return data + struct.pack("<I", crc), crc


def _read_log(log: bytes, inputs: int) -> tuple[list[Array], bool]:
    """The records of a log from its progress on, each (count, inputs) float32; and whether all results are written.

    Raises:
        FileError: the log was altered.
    """
    length, written = divmod(int.from_bytes(log[:4], "little"), 2)
    blocks: list[Array] = []
    crc, at, end = 0, 8, 8 + length
    while at < end <= len(log):
        last = at + 4 + 4 * inputs * int.from_bytes(log[at : at + 4], "little")
        crc = zlib.crc32(log[at:last], crc)
        if crc != int.from_bytes(log[last : last + 4], "little"):
            break
        blocks.append(np.frombuffer(log[at + 4 : last], "<f4").astype(np.float32).reshape(-1, inputs))
        at = last + 4
    if at != end or log[:8] != _progress(length, bool(written)) or not (written or blocks):
        raise FileError("its log does not match its checksums: it was altered, or damaged by a power cut")
    return blocks, bool(written)


def path_of(descriptor: int) -> str | None:
    """The path of an open regular file, where the system tells (Linux, macOS); None for pipes, terminals and so on."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return None
    try:
        if sys.platform == "darwin":
            import fcntl

            path = fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0").decode()
        else:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
        return path if os.path.samestat(os.stat(path), os.fstat(descriptor)) else None
    except (OSError, UnicodeDecodeError):
        return None


def last_step(path: str) -> int | None:
    """The step of the last whole line in a file of results; None if there is no such line."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            whole = file.read(_TAIL).rpartition(b"\n")[0]
        step = json.loads(whole.rpartition(b"\n")[2])["step"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return step if isinstance(step, int) else None


def _cut_partial_line(descriptor: int, path: str) -> None:
    """Remove what stands after the last line end of an open file of results."""
    with open(path, "rb") as file:
        end = os.fstat(file.fileno()).st_size
        file.seek(max(0, end - _TAIL))
        partial = file.read(_TAIL).rpartition(b"\n")[2]
    if partial:
        os.ftruncate(descriptor, end - len(partial))
