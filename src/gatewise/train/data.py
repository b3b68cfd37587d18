"""From series to batches: the tape they are laid on, its held-out part, and the plan of windows of an epoch.

Truncated back-propagation through time (Williams and Peng 1990): the series are cut into as many *lanes* as the batch
has rows, and each lane is walked from end to end in windows of `window` steps. The state is carried from window to
window, the gradient is not. Where a new piece begins in a lane, its state starts from zero.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gatewise.errors import InputError
from gatewise.file import digest
from gatewise.inputs.base import fill_forward
from gatewise.layers.base import Array
from gatewise.layers.train import live_steps
from gatewise.nn import Recurrent
from gatewise.readings import as_float32, named

Series = npt.ArrayLike | Sequence[npt.ArrayLike]
"""One series (time, inputs), several in a list, or (series, time, inputs)."""

WARM = 4
"""A held-out lane is warmed up on so many windows of the steps before it."""


@dataclass(frozen=True)
class Tape:
    """Several series end to end; N = steps in all of them.

    Attributes:
        x: raw readings (N, inputs) float32.
        target: what the output at each step is held to, (N, ...), float32 or int64; 0 where there is none.
        mask: bool, of target's shape: where there is a target.
        lengths: steps in each series.
    """

    x: Tensor
    target: Tensor
    mask: Tensor
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """One window of each lane, B lanes by T steps.

    Attributes:
        x: raw readings (B, T, inputs).
        target: (B, T, ...).
        mask: bool, of target's shape: what counts.
        lengths: steps in each row (B,), or None where all rows are full.
    """

    x: Tensor
    target: Tensor
    mask: Tensor
    lengths: Tensor | None


@dataclass(frozen=True)
class Plan:
    """The windows of one epoch: for each window and lane, where on the tape it starts and how long it is.

    Attributes:
        start: (windows, lanes) int64.
        length: (windows, lanes) int64; 0 where a lane has come to its end.
        fresh: (windows, lanes) bool: the lane's state starts from zero here.
    """

    start: Array
    length: Array
    fresh: Array

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class Data:
    """What a training works on.

    Attributes:
        train: the tape trained on.
        held: the tape validated on, with the steps before the held-out ones to warm up on; None = no validation.
        ranges: the held-out parts of `held`: where warming up may begin, where the part begins and ends.
        fingerprint: SHA-256 in hexadecimal over all of it.
    """

    train: Tape
    held: Tape | None
    ranges: tuple[tuple[int, int, int], ...]
    fingerprint: str


def prepare(module: Recurrent, series: Series, targets: Any, validation: Any) -> Data:
    """Check the data, find the targets, and hold a part out.

    Args:
        module: the model; its input stage scales what its head turns into targets.
        series: one or several series.
        targets: for each series, (time, ...) numbers, NaN where there is none; None = those of the head.
        validation: the last part of each series that is held out, from 0 to below 1, or series of their own
            (with targets: a tuple of series and targets); None = 0.

    Raises:
        InputError: what does not fit, naming the series and where in it.
    """
    whole = _pairs(module, series, targets, "series")
    validation = 0.0 if validation is None else validation
    if isinstance(validation, (int, float)) and not isinstance(validation, bool):
        train, ranges, at = [], [], 0
        for i, (x, target) in enumerate(whole):
            cut = _cut(i, len(x), float(validation))
            train.append((x[:cut], None if target is None else target[:cut]))
            ranges.append((at, at + cut, at + len(x)))
            at += len(x)
        held = _tape(module, whole) if validation else None
    else:
        if targets is not None and not (isinstance(validation, tuple) and len(validation) == 2):
            raise InputError("with targets, validation must be a tuple (series, targets), or a share such as 0.2")
        other, other_targets = validation if targets is not None else (validation, None)
        train, own = whole, _pairs(module, other, other_targets, "validation series")
        held = _tape(module, own)
        ends = np.cumsum([0, *held.lengths]).tolist()
        ranges = [(begin, begin, end) for begin, end in pairwise(ends)]
    tape = _tape(module, train)
    if not tape.mask.any():
        raise InputError("the training part has no step with a target; it needs longer series")
    if held is not None and not any(held.mask[start:end].any() for _, start, end in ranges):
        raise InputError(
            "the validation part has no step with a target, so it cannot tell which weights are best; hold out a part "
            "with readings of a target, or more of the series"
        )
    every = [(name, used) for name, used in (("train", tape), ("held", held)) if used is not None]
    parts = {f"{name}.{key}": getattr(used, key).numpy() for name, used in every for key in ("x", "target", "mask")}
    parts |= {f"{name}.lengths": np.array(used.lengths) for name, used in every}
    parts["ranges"] = np.array(ranges if held is not None else [])
    return Data(tape, held, tuple(ranges) if held is not None else (), digest(parts))


def lanes_for(tape: Tape, batch: int, window: int) -> int:
    """As many lanes as the batch may have, but none shorter than a window."""
    return max(1, min(batch, sum(tape.lengths) // window))


def plan_epoch(lengths: Sequence[int], lanes: int, window: int, rng: np.random.Generator) -> Plan:
    """Share out series to lanes for one epoch, evenly, at random, and cut them into windows of about equal length.

    A series longer than a lane is cut; where, differs from epoch to epoch. Series shorter than that stay whole.

    Args:
        lengths: steps in each series.
        lanes: number of lanes.
        window: the most steps in one window.
        rng: decides the cuts and the order.
    """
    share = -(-sum(lengths) // lanes)
    windows = -(-share // window)
    width = -(-share // windows)
    share = windows * width  # whole windows, so that the two pieces left by a shift fill one lane
    pieces, at = [], 0
    for length in lengths:
        shift = width * int(rng.integers(windows)) if length > share else 0
        cuts = [0, *range(shift or share, length, share), length]
        pieces += [(at + a, b - a) for a, b in pairwise(cuts)]
        at += length
    # The longest first, each to the lane that has least: lanes end within a window or so of each other.
    shuffled = [pieces[i] for i in rng.permutation(len(pieces))]
    heap = [(0, lane) for lane in range(lanes)]
    shared: list[list[tuple[int, int]]] = [[] for _ in range(lanes)]
    for piece in sorted(shuffled, key=lambda piece: -piece[1]):
        steps, lane = heap[0]
        shared[lane].append(piece)
        heapq.heapreplace(heap, (steps + piece[1], lane))
    ordered = [[own[i] for i in rng.permutation(len(own)).tolist()] for own in shared]
    columns = [[cut for a, steps in own for cut in _windows(a, steps, window)] for own in ordered]
    rows = max(len(column) for column in columns)
    table = np.zeros((rows, lanes, 3), np.int64)
    for lane, column in enumerate(columns):
        table[: len(column), lane] = np.reshape(column, (-1, 3))  # a lane may be left without a piece
    return Plan(table[:, :, 0], table[:, :, 1], table[:, :, 2].astype(bool))


def window_of(tape: Tape, start: Array, length: Array) -> Batch:
    """The batch whose rows begin at `start` and have `length` steps; both (B,)."""
    steps = int(length.max())
    where = torch.from_numpy(np.minimum(start[:, None] + np.arange(steps), len(tape.x) - 1))
    mask = tape.mask[where]
    lengths = None
    if int(length.min()) < steps:
        lengths = torch.from_numpy(length)
        live = live_steps(lengths, steps)
        mask = mask & live.reshape(*live.shape, *[1] * (mask.ndim - 2))
    return Batch(tape.x[where], tape.target[where], mask, lengths)


def held_lanes(data: Data, batch: int, window: int) -> list[tuple[int, int, int]]:
    """The held-out parts cut into about `batch` lanes: where each warms up from, where it counts from, and its end."""
    warm = WARM * window
    total = sum(end - start for _, start, end in data.ranges)
    share = max(warm, -(-total // batch))
    lanes = []
    for first, start, end in data.ranges:
        pieces = max(1, (end - start) // share)
        cuts = [start + (end - start) * i // pieces for i in range(pieces + 1)]
        lanes += [(max(first, a - warm), a, b) for a, b in pairwise(cuts)]
    return lanes


def held_batches(
    tape: Tape, lanes: Sequence[tuple[int, int, int]], batch: int, steps: int
) -> Iterator[tuple[bool, Batch]]:
    """Walk held-out lanes, at most `batch` at once, in windows of `steps`.

    Yields:
        Whether the states start from zero, and the window; warming up is masked out.
    """
    for group in range(0, len(lanes), batch):
        begin, start, end = np.array(lanes[group : group + batch], np.int64).T
        for offset in range(0, int((end - begin).max()), steps):
            at = begin + offset
            found = window_of(tape, np.minimum(at, end), np.clip(end - at, 0, steps))
            counts = torch.from_numpy(at[:, None] + np.arange(found.x.shape[1]) >= start[:, None])
            mask = found.mask & counts.reshape(*counts.shape, *[1] * (found.mask.ndim - 2))
            yield offset == 0, Batch(found.x, found.target, mask, found.lengths)


def largest(module: Recurrent, tape: Tape, ranges: Sequence[tuple[int, int, int]]) -> str:
    """What lies farthest out in the last parts of `ranges`, a reading once it is scaled or a target, for a message."""
    rows = np.concatenate([np.arange(start, end) for _, start, end in ranges])
    with torch.no_grad():
        scaled = module.scaled(tape.x[None])[0].numpy()[rows, : tape.x.shape[1]]
    reading = _farthest(scaled)
    target = _farthest(tape.target.flatten(1).numpy() if tape.target.ndim > 1 else tape.target.numpy()[:, None], rows)
    ends = np.cumsum(tape.lengths)

    def place(at: int) -> str:
        series = int(np.searchsorted(ends, rows[at], side="right"))
        return f"row {int(rows[at] - ends[series] + tape.lengths[series])} of series {series}"

    if target[0] > reading[0]:
        return f"the largest target there is {target[0]:g} in size, in {place(target[1])}"
    size, at, column = reading
    names = module.graph.spec.input.options.get("columns")
    own = f"column {names[column]!r}" if names else f"column {column}"
    raw = float(tape.x[rows[at], column])
    return f"the largest reading there is {raw:g} in {own}, {place(at)}, {size:g} in size once scaled"


def _farthest(values: Array, rows: Array | slice = slice(None)) -> tuple[float, int, int]:
    """The largest magnitude among rows of values (rows, columns), and its row and column there; NaN counts for 0."""
    size = np.nan_to_num(np.abs(values[rows].astype(np.float64)), nan=0.0, posinf=np.inf)
    row, column = divmod(int(size.argmax()), size.shape[1])
    return float(size[row, column]), row, column


def _windows(start: int, length: int, window: int) -> Iterator[tuple[int, int, int]]:
    """A piece cut into windows: start, length, and whether it is the first."""
    count = -(-length // window)
    width = -(-length // count)
    for offset in range(0, length, width):
        yield start + offset, min(width, length - offset), offset == 0


def _cut(i: int, length: int, share: float) -> int:
    """Steps to train on, of a series of which the last share is held out."""
    if not 0.0 <= share < 1.0 or math.isnan(share):
        raise InputError(f"validation must be a share from 0 to below 1, or series of their own, got {share}")
    cut = length - round(share * length)
    if share and not 2 <= cut <= length - 2:
        raise InputError(
            f"series {i} has {length} steps, too few to hold out {share:g} of it; "
            "pass a longer series, validation=0, or validation series of their own"
        )
    return cut


def _pairs(module: Recurrent, series: Series, targets: Any, what: str) -> list[tuple[Tensor, Tensor | None]]:
    """Each series and its targets as tensors, checked."""
    listed = _listed(series)
    if not listed:
        raise InputError(f"there are no {what}; pass an array (time, inputs) or a list of them")
    inputs = module.graph.edges[0].width
    found: list[tuple[Tensor, Tensor | None]] = []
    wanted: list[Any] = [None] * len(listed)
    if targets is not None:
        wanted = list(targets) if isinstance(series, (list, tuple)) or np.ndim(series) == 3 else [targets]  # type: ignore[arg-type]
        if len(wanted) != len(listed):
            raise InputError(f"there are {len(listed)} {what} but {len(wanted)} targets; pass one for each")
    for i, (one, target) in enumerate(zip(listed, wanted, strict=True)):
        try:
            x = as_float32(one, inputs, (2,), module.graph.spec.input.options.get("columns"))
        except InputError as error:
            raise InputError(f"{what} {i}: {error}") from None
        if not len(x):
            raise InputError(f"{what} {i} has no steps; leave it out")
        readings = torch.tensor(x)
        usable = module.usable(readings)
        if module.graph.refuses_missing and not usable.all():
            step, column = (~usable).nonzero()[0].tolist()
            raise InputError(
                f"{what} {i} is {x[step, column]:g} at step {step}, input {column}: {module.graph.missing_readings}; "
                'clean the data, or use an input stage with missing="hold" or "mask"'
            )
        found.append(
            (
                torch.where(usable, readings, math.nan),
                None if target is None else _target(target, len(x), f"{what} {i}"),
            )
        )
    return found


def _listed(series: Series) -> list[npt.ArrayLike]:
    if isinstance(series, (list, tuple)):
        return list(series)
    if named(series):
        return [series]  # type: ignore[list-item]
    value = _array(series)
    if value.ndim == 3:
        return list(value)
    return [value[:, None] if value.ndim == 1 else value]


def _array(values: Any) -> Array:
    """As an array; what a masked one hides is missing, so it becomes NaN."""
    if np.ma.is_masked(values) and values.dtype.kind in "fiub":
        return np.asarray(np.ma.filled(values.astype(np.float64), np.nan))
    return np.asarray(values)


def _target(target: Any, steps: int, what: str) -> Tensor:
    value = _array(target)
    if value.dtype.kind not in "fiub" or value.ndim < 1 or len(value) != steps:
        raise InputError(f"the targets of {what} must be numbers, one row for each of {steps} steps, got "
                         f"{value.dtype} {value.shape}")  # fmt: skip
    return torch.tensor(value.astype(np.float32 if value.dtype.kind == "f" else np.int64))


def _tape(module: Recurrent, pairs: Sequence[tuple[Tensor, Tensor | None]]) -> Tape:
    """Lay series end to end, with the targets given, else with those of the head."""
    found, masks = [], []
    for x, target in pairs:
        if target is None:
            with torch.no_grad():
                assert module.head is not None, "without targets, fit asks for a head"
                target, mask = module.head.targets(module.scaled(x[None])[0], torch.isfinite(x))
        else:
            mask = torch.isfinite(target)
        found.append(torch.where(mask, target, 0))
        masks.append(mask)
    if len({(target.shape[1:], target.dtype) for target in found}) > 1:
        raise InputError("the targets of all series must have the same width and type")
    every = [x for x, _ in pairs]
    if module.graph.holds_in_window:  # as in use, where a window may begin with a gap
        every = [torch.from_numpy(fill_forward(x.numpy())) for x in every]
    return Tape(torch.cat(every), torch.cat(found), torch.cat(masks), tuple(len(x) for x, _ in pairs))
