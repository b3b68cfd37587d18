"""Sharing the rows of a batch out to threads, where there is work enough for them."""

from __future__ import annotations

import ctypes
import os

import torch

SHARE = 2_000_000
"""Multiply-accumulates from which a share is worth a thread: some 60 us of work. Measured: where there are 2 million
in all two threads are as fast as one, with 0.5 million slower by a twentieth, from 6 million on up to 1.4 times as
fast."""

_team: int | None = None


def _one_thread() -> None:
    """After a fork the child has none of the threads, and an OpenMP runtime would wait for them forever.

    It would in torch's own operations as well, so the child's torch is set to one thread, and so is what it runs here.
    """
    global _team
    _team = 0
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_thread)


def team() -> int:
    """Address of the function that runs the threads which torch has anyway; 0 where there is none, or after a fork.

    It is `GOMP_parallel` of the OpenMP runtime that torch is linked with: the same threads, not more of them. As with
    torch's own products, a child is lost that imports this only after its parent has used them: the parent must have
    imported it.
    """
    global _team
    if _team is None:
        library = ctypes.CDLL(torch._C.__file__)  # also finds what is in the libraries that this one needs
        function = getattr(library, "GOMP_parallel", None)
        _team = 0 if function is None else ctypes.cast(function, ctypes.c_void_p).value or 0
    return _team


def shares_of(batch: int, macs: int) -> int:
    """How many parts to do a batch in, of `macs` multiply-accumulates a row: no more than torch may use threads.

    Without a team, as where torch has no OpenMP runtime with GCC's entry, all is one part.
    """
    return max(1, min(torch.get_num_threads(), batch * macs // SHARE, batch)) if team() else 1
