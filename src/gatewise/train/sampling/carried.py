"""Batches for models that carry their state: truncated back-propagation through time (Williams and Peng 1990).

The series are cut into as many *lanes* as a batch has rows. Each lane is walked from its beginning to its end in
*segments* of at most `bptt` steps, one segment of each lane in an update. The state is carried from segment to segment,
the gradient is not. Where a new series, or a new piece of a series, begins in a lane, the state starts from zero.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from gatewise.layers.base import Array, Field
from gatewise.layers.train import live_steps
from gatewise.nn import Recurrent
from gatewise.train.data import Concatenated, Data
from gatewise.train.sampling.base import Batch, Sampler, State

WARM_UP = 4
"""A lane of the held-out part is run over this many times `bptt` steps before it, so that its state has settled."""


@dataclass(frozen=True)
class Plan:
    """The segments of one epoch: for each update and lane, where in the concatenated series it lies.

    Attributes:
        start: (updates, lanes) int64: the first step.
        length: (updates, lanes) int64: the number of steps; 0 if a lane has already ended.
        fresh: (updates, lanes) bool: True if the state of the lane starts from zero.
    """

    start: Array
    length: Array
    fresh: Array

    def __len__(self) -> int:
        return len(self.start)


class CarriedSampler(Sampler):
    """Segments of lanes, whose state is carried from update to update.

    Args:
        data: what is trained on and validated on.
        fields: the state fields that are carried.
        batch: the most lanes side by side; short series get fewer.
        bptt: the most steps in a segment.
    """

    def __init__(self, data: Data, fields: Sequence[Field], batch: int, bptt: int) -> None:
        super().__init__()
        self.data = data
        self.most_rows = batch
        self.bptt = bptt
        self.lanes = lanes_for(data.train, batch, bptt)
        self.held_out_lanes = held_out_lanes(data, batch, bptt)
        self.state = {field.name: torch.zeros(self.lanes, *field.shape) for field in fields}
        self.plan: Plan

    def begin_epoch(self, rng: np.random.Generator) -> None:
        """See `Sampler`."""
        self.plan = plan_epoch(self.data.train.lengths, self.lanes, self.bptt, rng)

    def __len__(self) -> int:
        return len(self.plan)

    def batch(self, i: int) -> tuple[Batch, State | None]:
        """See `Sampler`."""
        batch = segments(self.data.train, self.plan.start[i], self.plan.length[i])
        keep = torch.from_numpy(~self.plan.fresh[i])
        return batch, {name: value * keep.reshape(-1, *[1] * (value.ndim - 1)) for name, value in self.state.items()}

    def forward(self, module: Recurrent, batch: Batch, state: State | None) -> tuple[Tensor, State]:
        """See `Sampler`."""
        out, _, after = module.body(batch.x, state, batch.lengths)
        return out, after

    def advance(self, after: State) -> None:
        """See `Sampler`."""
        self.state = {name: value.detach() for name, value in after.items()}

    def held_out(self) -> Iterator[tuple[Batch, bool]]:
        """See `Sampler`."""
        if self.data.held_out is not None:
            steps = WARM_UP * self.bptt
            yield from held_out_batches(self.data.held_out, self.held_out_lanes, self.most_rows, steps)

    @property
    def evaluation_steps(self) -> float:
        """See `Sampler`."""
        steps = sum(end - begin for begin, _, end in self.held_out_lanes)
        return steps / max(1, min(len(self.held_out_lanes), self.most_rows))


def lanes_for(series: Concatenated, batch: int, bptt: int) -> int:
    """As many lanes as a batch may have rows, but none shorter than `bptt` steps on average."""
    return max(1, min(batch, sum(series.lengths) // bptt))


def plan_epoch(lengths: Sequence[int], lanes: int, bptt: int, rng: np.random.Generator) -> Plan:
    """Distribute series over lanes for one epoch, evenly and at random, and cut them into segments of similar length.

    A series longer than a lane is cut, at places that differ from epoch to epoch. Shorter series stay whole.

    Args:
        lengths: steps in each series.
        lanes: number of lanes.
        bptt: the most steps in a segment.
        rng: decides the cuts and the order.
    """
    share = -(-sum(lengths) // lanes)
    count = -(-share // bptt)
    width = -(-share // count)
    share = count * width  # whole segments, so that the two pieces left by a shift fill one lane
    pieces, at = [], 0
    for length in lengths:
        shift = width * int(rng.integers(count)) if length > share else 0
        cuts = [0, *range(shift or share, length, share), length]
        pieces += [(at + a, b - a) for a, b in pairwise(cuts)]
        at += length
    # The longest piece first, each to the shortest lane: the lanes then end within about a segment of each other.
    shuffled = [pieces[i] for i in rng.permutation(len(pieces))]
    heap = [(0, lane) for lane in range(lanes)]
    shared: list[list[tuple[int, int]]] = [[] for _ in range(lanes)]
    for piece in sorted(shuffled, key=lambda piece: -piece[1]):
        steps, lane = heap[0]
        shared[lane].append(piece)
        heapq.heapreplace(heap, (steps + piece[1], lane))
    ordered = [[own[i] for i in rng.permutation(len(own)).tolist()] for own in shared]
    columns = [[cut for a, steps in own for cut in _cut(a, steps, bptt)] for own in ordered]
    rows = max(len(column) for column in columns)
    table = np.zeros((rows, lanes, 3), np.int64)
    for lane, column in enumerate(columns):
        table[: len(column), lane] = np.reshape(column, (-1, 3))  # a lane may be left without a piece
    return Plan(table[:, :, 0], table[:, :, 1], table[:, :, 2].astype(bool))


def segments(series: Concatenated, start: Array, length: Array) -> Batch:
    """The batch whose rows begin at step `start` and have `length` steps; both int64 (rows,)."""
    steps = int(length.max())
    where = torch.from_numpy(np.minimum(start[:, None] + np.arange(steps), len(series.x) - 1))
    mask = series.mask[where]
    lengths = None
    if int(length.min()) < steps:
        lengths = torch.from_numpy(length)
        live = live_steps(lengths, steps)
        mask = mask & live.reshape(*live.shape, *[1] * (mask.ndim - 2))
    return Batch(series.x[where], series.target[where], mask, lengths)


def held_out_lanes(data: Data, batch: int, bptt: int) -> list[tuple[int, int, int]]:
    """Cut the held-out parts into about `batch` lanes.

    Returns:
        for each lane the step from which its state is warmed up, the first step whose loss counts, and the step after
        its last one.
    """
    warm_up = WARM_UP * bptt
    total = sum(end - start for _, start, end in data.ranges)
    share = max(warm_up, -(-total // batch))
    lanes = []
    for first, start, end in data.ranges:
        pieces = max(1, (end - start) // share)
        cuts = [start + (end - start) * i // pieces for i in range(pieces + 1)]
        lanes += [(max(first, a - warm_up), a, b) for a, b in pairwise(cuts)]
    return lanes


def held_out_batches(
    series: Concatenated, lanes: Sequence[tuple[int, int, int]], batch: int, steps: int
) -> Iterator[tuple[Batch, bool]]:
    """Walk the lanes of the held-out part, at most `batch` side by side, in segments of `steps` steps.

    Yields:
        a batch, in which the steps of the warm-up are masked, and whether it starts from the state after the batch
        before it.
    """
    for group in range(0, len(lanes), batch):
        begin, start, end = np.array(lanes[group : group + batch], np.int64).T
        for offset in range(0, int((end - begin).max()), steps):
            at = begin + offset
            found = segments(series, np.minimum(at, end), np.clip(end - at, 0, steps))
            counts = torch.from_numpy(at[:, None] + np.arange(found.x.shape[1]) >= start[:, None])
            mask = found.mask & counts.reshape(*counts.shape, *[1] * (found.mask.ndim - 2))
            yield Batch(found.x, found.target, mask, found.lengths), offset > 0


def _cut(start: int, length: int, bptt: int) -> Iterator[tuple[int, int, int]]:
    """A piece of a series cut into segments: the start and length of each, and whether it is the first."""
    count = -(-length // bptt)
    width = -(-length // count)
    for offset in range(0, length, width):
        yield start + offset, min(width, length - offset), offset == 0
