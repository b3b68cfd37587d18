"""Sharing the rows of a batch out to threads, where there is work enough for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

SHARE = 10_000_000
"""Multiply-accumulates from which a share is worth a thread of its own: some 0.3 ms of work."""

_pool: ThreadPoolExecutor | None = None


def _forget_pool() -> None:
    """After a fork the child has the pool, but none of its threads."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def shared(run: Callable[..., None], arguments: tuple[Any, ...], batch: int, macs: int) -> None:
    """Run all shares of a batch, in as many threads as torch may use and as the work is worth.

    Args:
        run: run(*arguments, share, shares, cpu) does the rows of one share, without the interpreter lock.
        arguments: its first ones.
        batch: rows.
        macs: multiply-accumulates of one row.
    """
    global _pool
    threads = min(torch.get_num_threads(), batch * macs // SHARE, batch)
    if threads < 2:
        run(*arguments, 0, 1, None)
        return
    if _pool is None:
        _pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="gatewise")
    waiting = [_pool.submit(run, *arguments, share, threads, None) for share in range(1, threads)]
    run(*arguments, 0, threads, None)
    for one in waiting:
        one.result()
