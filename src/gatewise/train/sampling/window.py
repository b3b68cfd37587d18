"""Batches for models whose context is a window: each answer is made from the last L steps alone, {"window": L}.

An example is a window of L steps that ends at a step with a target. The state starts from zero, and the loss is that of
the last step, which is the step that such a model answers. An epoch is all windows of the training part in random
order. Windows of the held-out part may begin before that part, as they will in use, but end within it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.nn import Recurrent
from gatewise.train.data import Concatenated, Data
from gatewise.train.sampling.base import Batch, Sampler, State

MOST_HELD_OUT = 1024
"""The most windows in an evaluation. Of more, every second, third, ... is used: neighbours have nearly equal losses."""


class WindowSampler(Sampler):
    """Windows in random order, each from a zero state.

    Args:
        data: what is trained on and validated on.
        batch: the most windows in a batch.
        window: L, the steps in a window.

    Raises:
        InputError: there is no whole window with a target at its end in the training part or in the held-out part.
    """

    def __init__(self, data: Data, batch: int, window: int) -> None:
        super().__init__()
        self.data = data
        self.most_rows = batch
        self.window = window
        self.ends = _some(window_ends(data.train, window), window, "training")
        self.rows = min(batch, len(self.ends))
        self.held_out_ends: Array = np.zeros(0, np.int64)
        if data.held_out is not None:
            ends = window_ends(data.held_out, window, data.ranges)
            self.held_out_ends = evenly_spaced(_some(ends, window, "validation"))
        self.plan: Array

    def begin_epoch(self, rng: np.random.Generator) -> None:
        """See `Sampler`."""
        self.plan = plan_windows(self.ends, self.rows, rng)

    def __len__(self) -> int:
        return len(self.plan)

    def batch(self, i: int) -> tuple[Batch, State | None]:
        """See `Sampler`."""
        return windows(self.data.train, self.plan[i], self.window), None

    def forward(self, module: Recurrent, batch: Batch, state: State | None) -> tuple[Tensor, State]:
        """See `Sampler`."""
        return module.body(batch.x, state, last=True)[0][:, -1:], {}

    def advance(self, after: State) -> None:
        """See `Sampler`: every window starts from zero, so there is nothing to keep."""

    def held_out(self) -> Iterator[tuple[Batch, bool]]:
        """See `Sampler`."""
        for at in range(0, len(self.held_out_ends), self.most_rows):
            assert self.data.held_out is not None
            yield windows(self.data.held_out, self.held_out_ends[at : at + self.most_rows], self.window), False

    @property
    def evaluation_steps(self) -> float:
        """See `Sampler`."""
        return len(self.held_out_ends) / self.most_rows * self.window


def window_ends(series: Concatenated, window: int, ranges: Sequence[tuple[int, int, int]] | None = None) -> Array:
    """Steps at which a whole window ends and which have a target, in ascending order: int64 (windows,).

    Args:
        series: the concatenated series.
        window: L, the steps in a window.
        ranges: for each part the first step that a window may begin with, the first that it may end at, and the step
            after the last; None = each series as a whole.
    """
    if ranges is None:
        ranges = [(begin, begin, end) for begin, end in series.bounds]
    known = series.mask.flatten(1).any(1).numpy() if series.mask.ndim > 1 else series.mask.numpy()
    found = [np.arange(max(start, first + window - 1), end) for first, start, end in ranges]
    ends = np.concatenate([np.zeros(0, np.int64), *found])
    return np.asarray(ends[known[ends]])


def plan_windows(ends: Array, rows: int, rng: np.random.Generator) -> Array:
    """The last steps of all windows in random order, (batches, rows). Fewer than `rows` are left for another epoch."""
    batches = len(ends) // rows
    return np.asarray(rng.permutation(ends)[: batches * rows].reshape(batches, rows))


def windows(series: Concatenated, ends: Array, window: int) -> Batch:
    """The windows whose last steps are `ends`, int64 (B,): x (B, L, inputs), and the target of the last step alone."""
    end = torch.from_numpy(ends)[:, None]
    where = end + torch.arange(1 - window, 1)
    return Batch(series.x[where], series.target[end], series.mask[end], None)


def evenly_spaced(ends: Array) -> Array:
    """At most `MOST_HELD_OUT` of them, at equal distances."""
    return ends[:: -(-len(ends) // MOST_HELD_OUT)] if len(ends) else ends


def _some(ends: Array, window: int, part: str) -> Array:
    """The same ends of windows. Raises InputError if there are none."""
    if not len(ends):
        raise InputError(
            f"the {part} part has no window of {window} steps with a target at its end; "
            "give longer series, or a shorter window"
        )
    return ends
