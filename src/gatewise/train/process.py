"""What a training borrows from its process, and gives back: torch's threads and generator, and Ctrl-C."""

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
"""Multiply-accumulates in one step of all lanes below which a second thread costs more than it brings (measured, in
windows of 64 steps: with two threads a GRU of 64 units over 16 lanes, 0.2 million, is slower by a tenth, one of 128
units, 0.8 million, faster by a quarter)."""


def threads_for(graph: Graph, batch: int) -> int:
    """Threads that torch should use: 1 for small models, else as many as are set.

    With a window, what comes after the last layer with a state runs once for many steps, so it does not count.
    """
    macs = graph.macs if graph.window is None else sum(node.macs for node in graph.nodes[: graph.tail])
    return 1 if macs * batch < SMALL_STEP else torch.get_num_threads()


@contextmanager
def torch_settings(seed: int, threads: int) -> Iterator[None]:
    """Seed torch, set its threads, record gradients; put everything back as it was at the end.

    Not the threads in a child that was forked within: they are not there, and to wait for them has no end.
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
    """Holds Ctrl-C back until the step is finished; a second Ctrl-C stops at once.

    So it does with the other signals that ask a process to end, where they are handled like Ctrl-C, as the program
    `gatewise` does. Only in the main thread, and only where Python's own handler of Ctrl-C is installed: otherwise a
    signal is somebody else's.
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
