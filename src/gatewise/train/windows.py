"""Training in windows: for models whose answer is made from the last L steps alone (context {"window": L}).

An example is a window of L steps that ends at a step with a target: the state starts from zero, and the loss is that of
the last step, which is what such a model answers at that step. An epoch is all windows of the training part in random
order. Those of the held-out part may reach back beyond its beginning, as they will in use; what they are held to lies
within it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch

from gatewise.layers.base import Array
from gatewise.train.data import Batch, Plan, Tape

MOST_HELD = 1024
"""Of more held-out windows every second, third, ... is looked at: neighbours tell nearly the same."""


def window_ends(tape: Tape, window: int, ranges: Sequence[tuple[int, int, int]] | None = None) -> Array:
    """Steps of the tape at which a whole window ends and which have a target, ascending: (windows,) int64.

    Args:
        tape: the series.
        window: L.
        ranges: where windows may begin, where the part begins in which they end, and where that ends; None = each
            series whole.
    """
    if ranges is None:
        ranges = [(begin, begin, end) for begin, end in pairwise(np.cumsum([0, *tape.lengths]).tolist())]
    known = tape.mask.flatten(1).any(1).numpy() if tape.mask.ndim > 1 else tape.mask.numpy()
    found = [np.arange(max(start, first + window - 1), end) for first, start, end in ranges]
    ends = np.concatenate([np.zeros(0, np.int64), *found])
    return np.asarray(ends[known[ends]])


def plan_windows(ends: Array, lanes: int, window: int, rng: np.random.Generator) -> Plan:
    """All windows in random order, `lanes` side by side. Those left over, fewer than that, wait for another epoch."""
    rows = len(ends) // lanes
    start = rng.permutation(ends)[: rows * lanes].reshape(rows, lanes) - (window - 1)
    return Plan(start, np.full_like(start, window), np.ones(start.shape, bool))


def last_of(tape: Tape, start: Array, window: int) -> Batch:
    """The windows that begin at `start` (B,), x (B, L, inputs), with the target of their last step (B, 1, ...)."""
    first = torch.from_numpy(start)
    where = first[:, None] + torch.arange(window)
    end = first[:, None] + (window - 1)
    return Batch(tape.x[where], tape.target[end], tape.mask[end], None)


def held_windows(tape: Tape, ends: Array, batch: int, window: int) -> Iterator[Batch]:
    """The windows that end at `ends`, `batch` at a time."""
    for at in range(0, len(ends), batch):
        yield last_of(tape, ends[at : at + batch] - (window - 1), window)


def spread(ends: Array) -> Array:
    """At most `MOST_HELD` of them, evenly spaced."""
    return ends[:: -(-len(ends) // MOST_HELD)] if len(ends) else ends
