"""What a training works on: the series one after another, with their targets and masks, and the part held out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatewise.errors import InputError
from gatewise.file import digest
from gatewise.inputs.base import fill_forward
from gatewise.layers.base import Array
from gatewise.nn import Recurrent
from gatewise.train.series import OneSeries, Series, read_series


@dataclass(frozen=True)
class Concatenated:
    """Several series one after another; N is the number of steps in all of them.

    Attributes:
        x: raw readings (N, inputs) float32.
        target: what the model should answer at each step, (N, ...) float32 or int64; 0 where there is no target.
        mask: bool, of target's shape: True where there is a target.
        lengths: the number of steps in each series.
    """

    x: Tensor
    target: Tensor
    mask: Tensor
    lengths: tuple[int, ...]

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """The first step of each series, and the step after its last one."""
        return list(pairwise(np.cumsum([0, *self.lengths]).tolist()))


@dataclass(frozen=True)
class Data:
    """What a training works on.

    Attributes:
        train: the series trained on.
        held_out: the series validated on, together with the steps before the held-out part, which states are warmed up
            on; None = no validation.
        ranges: for each part of `held_out` that is validated on, the first step that may be read for it, its own first
            step, and the step after its last one.
        fingerprint: SHA-256 of all of it, in hexadecimal.
    """

    train: Concatenated
    held_out: Concatenated | None
    ranges: tuple[tuple[int, int, int], ...]
    fingerprint: str


def prepare(module: Recurrent, series: Series, targets: Any, validation: Any, mask: Any = None) -> Data:
    """Check the data, find the targets, and hold a part out.

    Args:
        module: the model. If its head makes the targets, they are in the units of its input stage.
        series: one or several series.
        targets: for each series numbers (time, ...); None = those of the head.
        validation: the share at the end of each series that is held out, from 0 to below 1; or other series to validate
            on, with targets as a tuple (series, targets) or (series, targets, masks); None = 0.
        mask: for each series bool (time,), or of its targets' shape: True where there is a target; None = floats are
            targets where they are finite, and integers everywhere.

    Raises:
        InputError: data that do not fit, naming the series and the step.
    """
    whole = read_series(module, series, targets, mask, "series")
    validation = 0.0 if validation is None else validation
    held_out: Concatenated | None = None
    ranges: list[tuple[int, int, int]] = []
    if isinstance(validation, (int, float)) and not isinstance(validation, bool):
        cuts = [_cut(i, len(one), float(validation)) for i, one in enumerate(whole)]
        train = [one[:cut] for one, cut in zip(whole, cuts, strict=True)]
        if validation:
            held_out = _concatenate(module, whole)
            ranges = [(begin, begin + cut, end) for (begin, end), cut in zip(held_out.bounds, cuts, strict=True)]
    else:
        train = whole
        others = _validation_series(validation, targets is not None, mask is not None)
        held_out = _concatenate(module, read_series(module, *others, "validation series"))
        ranges = [(begin, begin, end) for begin, end in held_out.bounds]
    trained = _concatenate(module, train)
    if not trained.mask.any():
        raise InputError("the training part has no step with a target; it needs longer series")
    if held_out is not None and not any(held_out.mask[start:end].any() for _, start, end in ranges):
        raise InputError(
            "the validation part has no step with a target, so it cannot tell which weights are best; hold out a part "
            "with readings of a target, or more of the series"
        )
    every = [(name, used) for name, used in (("train", trained), ("held_out", held_out)) if used is not None]
    parts = {f"{name}.{key}": getattr(used, key).numpy() for name, used in every for key in ("x", "target", "mask")}
    parts |= {f"{name}.lengths": np.array(used.lengths) for name, used in every}
    parts["ranges"] = np.array(ranges)
    return Data(trained, held_out, tuple(ranges), digest(parts))


def largest(module: Recurrent, data: Data) -> str:
    """The largest scaled reading or the largest target of the held-out part, whichever is larger, for a message."""
    series = data.held_out
    assert series is not None
    rows = np.concatenate([np.arange(start, end) for _, start, end in data.ranges])
    with torch.no_grad():
        scaled = module.scaled(series.x[None])[0].numpy()[rows, : series.x.shape[1]]
    reading = _largest(scaled)
    target = _largest(series.target.reshape(len(series.target), -1).numpy()[rows])
    ends = np.cumsum(series.lengths)

    def place(at: int) -> str:
        i = int(np.searchsorted(ends, rows[at], side="right"))
        return f"row {int(rows[at] - ends[i] + series.lengths[i])} of series {i}"

    if target[0] > reading[0]:
        return f"the largest target there is {target[0]:g} in size, in {place(target[1])}"
    size, at, column = reading
    names = module.graph.stage.columns
    own = f"column {names[column]!r}" if names else f"column {column}"
    raw = float(series.x[rows[at], column])
    return f"the largest reading there is {raw:g} in {own}, {place(at)}, {size:g} in size once scaled"


def _largest(values: Array) -> tuple[float, int, int]:
    """The largest magnitude in values (rows, columns), and its row and column; NaN counts as 0."""
    size = np.nan_to_num(np.abs(values.astype(np.float64)), nan=0.0, posinf=np.inf)
    row, column = divmod(int(size.argmax()), size.shape[1])
    return float(size[row, column]), row, column


def _cut(i: int, length: int, share: float) -> int:
    """How many steps of a series are trained on if its last share is held out."""
    if not 0.0 <= share < 1.0 or math.isnan(share):
        raise InputError(f"validation must be a share from 0 to below 1, or series to validate on, got {share}")
    cut = length - round(share * length)
    if share and not 2 <= cut <= length - 2:
        raise InputError(
            f"series {i} has {length} steps, too few to hold out {share:g} of it; "
            "pass a longer series, validation=0, or other series to validate on"
        )
    return cut


def _validation_series(validation: Any, with_targets: bool, masked: bool) -> tuple[Any, Any, Any]:
    """The series to validate on, their targets and their masks."""
    if not with_targets:
        return validation, None, None
    if not isinstance(validation, tuple) or len(validation) not in (2, 3):
        raise InputError(
            "with targets, validation must be a tuple (series, targets) or (series, targets, masks), "
            "or a share such as 0.2"
        )
    if masked and len(validation) == 2:
        raise InputError(
            "the training has a mask, so the validation needs one as well: pass validation=(series, targets, masks), "
            "with None for masks if all targets are present"
        )
    series, targets, masks = validation if len(validation) == 3 else (*validation, None)
    if targets is None:
        raise InputError("the validation series need targets, as the training has them; got None in their place")
    return series, targets, masks


def _concatenate(module: Recurrent, series: Sequence[OneSeries]) -> Concatenated:
    """The series one after another, with the targets given, else with those that the head makes of them."""
    found, masks = [], []
    for one in series:
        target, mask = one.target, one.mask
        if target is None or mask is None:
            with torch.no_grad():
                assert module.head is not None, "without targets, fit asks for a head"
                target, mask = module.head.targets(module.scaled(one.x[None])[0], torch.isfinite(one.x))
        found.append(torch.where(mask, target, 0))
        masks.append(mask)
    if len({(target.shape[1:], target.dtype) for target in found}) > 1:
        raise InputError("the targets of all series must have the same width and type")
    every = [one.x for one in series]
    if module.graph.fills_before_window:  # as in use, where a window may begin with a gap
        every = [torch.from_numpy(fill_forward(x.numpy())) for x in every]
    return Concatenated(torch.cat(every), torch.cat(found), torch.cat(masks), tuple(len(one) for one in series))
