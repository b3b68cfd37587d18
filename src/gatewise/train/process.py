"""What a training changes in its process and restores at the end: torch's threads and generator, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

import torch

from gatewise.graph import Graph

SMALL_STEP = 500_000
"""Below this number of multiply-accumulates in one step of a batch, a second thread costs more time than it saves.

Measured over 64 steps with a batch of 16: with two threads a GRU of 64 units (0.2 million) is slower by a tenth, and
one of 128 units (0.8 million) faster by a quarter."""


def threads_for(graph: Graph, batch: int) -> int:
    """The number of threads that torch should use: 1 for small models, otherwise as many as are set.

    If the context is a window, the layers after the last one with a state run once for the whole window, so they do
    not count.
    """
    macs = graph.macs if graph.window is None else sum(node.macs for node in graph.nodes[: graph.tail])
    return 1 if macs * batch < SMALL_STEP else torch.get_num_threads()


@contextmanager
def torch_settings(seed: int, threads: int) -> Iterator[None]:
    """Seed torch, set its number of threads and enable gradients; restore everything at the end.

    The number of threads is not restored in a child process that was forked in between: the threads do not exist there,
    and torch would wait for them forever.
    """
    before, process = torch.get_num_threads(), os.getpid()
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            if os.getpid() == process:
                torch.set_num_threads(before)


class Interrupt:
    """Delays Ctrl-C until the step is finished; a second Ctrl-C stops at once.

    It also delays SIGTERM and SIGHUP if they are handled like Ctrl-C, as in the program `gatewise`. It does so only
    in the main thread, and only for signals that Python's own handler of Ctrl-C handles; other handlers are left alone.

    Attributes:
        asked: whether such a signal has arrived.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            every = {getattr(signal, name, signal.SIGINT) for name in ("SIGINT", "SIGTERM", "SIGHUP")}
            own = [number for number in every if signal.getsignal(number) is signal.default_int_handler]
            self._before = {number: signal.signal(number, self._ask) for number in own}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
