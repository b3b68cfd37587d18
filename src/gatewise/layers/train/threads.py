"""Divide the rows of a batch among threads, if there is enough work for them."""

from __future__ import annotations

import ctypes
import os

import torch

SHARE = 2_000_000
"""The least number of multiply-accumulates for each thread, about 60 us of work. Measured with two threads: as fast as
one at 2 million in all, slower by a twentieth at 0.5 million, and up to 1.4 times as fast from 6 million on."""

_team: int | None = None


def _one_thread() -> None:
    """Use one thread in a forked child, which has none of the parent's threads; OpenMP would wait for them forever.

    This is also true of torch's own operations, so torch is set to one thread in the child, too.
    """
    global _team
    _team = 0
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_thread)


def team() -> int:
    """Address of the function that runs code on torch's threads; 0 if there is none, or after a fork.

    It is `GOMP_parallel` of the OpenMP runtime that torch is linked with, so no further threads are created. As with
    torch's own products, a forked child hangs if it imports this module only after its parent has used the threads. The
    parent must therefore import it before the fork.
    """
    global _team
    if _team is None:
        library = ctypes.CDLL(torch._C.__file__)  # also finds symbols of the libraries that this one needs
        function = getattr(library, "GOMP_parallel", None)
        _team = 0 if function is None else ctypes.cast(function, ctypes.c_void_p).value or 0
    return _team


def shares_of(batch: int, macs: int) -> int:
    """The number of parts into which to divide a batch with `macs` multiply-accumulates a row.

    It is at most the number of threads that torch may use, and 1 if torch has no OpenMP runtime with the entry point of
    GCC.
    """
    return max(1, min(torch.get_num_threads(), batch * macs // SHARE, batch)) if team() else 1
