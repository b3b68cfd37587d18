"""Stopping on a signal between two pieces of work, never within one."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 0.5
"""Seconds that a reader of the output may take, once the process has been told to stop."""


@contextmanager
def like_ctrl_c() -> Iterator[None]:
    """While open, SIGTERM and SIGHUP raise KeyboardInterrupt, unless they are ignored. Open it in the main thread."""
    given = [number for number in STOPPING if signal.getsignal(number) is signal.SIG_DFL]
    for number in given:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in given:
            signal.signal(number, signal.SIG_DFL)


class Stop:
    """While open, SIGINT, SIGTERM and SIGHUP are noted instead of obeyed; waiting for a file ends when one comes.

    A second SIGINT raises KeyboardInterrupt. Open it in the main thread.

    Attributes:
        signal: the first signal that came, or None.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}
        self._read, self._write = os.pipe()
        self._wakeup = -1

    def __enter__(self) -> Self:
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, self._note) for number in STOPPING}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._read)
        os.close(self._write)

    def readable(self, descriptor: int) -> bool:
        """Wait until there is something to read, or the end of the file; False when told to stop instead."""
        while self.signal is None:
            ready, _, _ = select.select([descriptor, self._read], [], [])
            if self._read in ready:
                os.read(self._read, 4096)  # some signal; if it is one of ours, _note has run or runs now
            elif ready:
                return True
        return False

    def writable(self, descriptor: int) -> bool:
        """Wait until there is room to write; once told to stop, at most GRACE seconds, then False."""
        while self.signal is None:
            ready, room, _ = select.select([self._read], [descriptor], [])
            if room:
                return True
            if ready:
                os.read(self._read, 4096)
        return bool(select.select([], [descriptor], [], GRACE)[1])

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or number
