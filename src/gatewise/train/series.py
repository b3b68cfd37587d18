"""The series, targets and masks that `fit` is given, checked and made into tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.nn import Recurrent
from gatewise.readings import as_float32, named

Series = npt.ArrayLike | Sequence[npt.ArrayLike]
"""One series (time, inputs), several in a list, or (series, time, inputs)."""


@dataclass(frozen=True)
class OneSeries:
    """One series with its targets; `series[:n]` is its first n steps.

    Attributes:
        x: raw readings (time, inputs) float32, NaN where one is missing.
        target: (time, ...) float32 or int64, or None if the head is to make the targets.
        mask: bool, of target's shape: True where there is a target.
    """

    x: Tensor
    target: Tensor | None = None
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, steps: slice) -> OneSeries:
        target, mask = (None if value is None else value[steps] for value in (self.target, self.mask))
        return OneSeries(self.x[steps], target, mask)


def read_series(module: Recurrent, series: Series, targets: Any, masks: Any, what: str) -> list[OneSeries]:
    """Each series with its targets as tensors.

    Args:
        module: the model, which says how many inputs there are and whether readings may be missing.
        series: one or several series.
        targets: for each series numbers (time, ...); None = those of the head.
        masks: for each series bool (time,), or of its targets' shape; None = every finite target that no masked array
            masks is present.
        what: what the series are called in messages.

    Raises:
        InputError: data that do not fit, naming the series and the step.
    """
    listed = _listed(series)
    if not listed:
        raise InputError(f"there are no {what}; pass an array (time, inputs) or a list of them")
    if masks is not None and targets is None:
        raise InputError("a mask says which targets are present, so it needs targets; pass targets, or leave mask out")
    several = isinstance(series, (list, tuple)) or np.ndim(series) == 3  # type: ignore[arg-type]
    each_targets = _one_for_each(targets, len(listed), several, what, "targets")
    each_mask = _one_for_each(masks, len(listed), several, what, "masks")
    found = []
    for i, (one, target, mask) in enumerate(zip(listed, each_targets, each_mask, strict=True)):
        name = f"{what} {i}"
        x = _readings(module, one, name)
        found.append(OneSeries(x, *(() if target is None else _target(target, mask, len(x), name))))
    return found


def _listed(series: Series) -> list[npt.ArrayLike]:
    if isinstance(series, (list, tuple)):
        return list(series)
    if named(series):
        return [series]  # type: ignore[list-item]
    value = np.asarray(series)
    if np.ma.is_masked(series) and value.dtype.kind in "fiub":
        value = np.ma.filled(series.astype(np.float64), np.nan)  # type: ignore[union-attr]
    if value.ndim == 3:
        return list(value)
    return [value[:, None] if value.ndim == 1 else value]


def _one_for_each(values: Any, count: int, several: bool, what: str, name: str) -> list[Any]:
    """What belongs to each of the series; None for each if nothing was given."""
    if values is None:
        return [None] * count
    each = list(values) if several else [values]
    if len(each) != count:
        raise InputError(f"there are {count} {what} but {len(each)} {name}; pass one for each")
    return each


def _readings(module: Recurrent, one: npt.ArrayLike, name: str) -> Tensor:
    """The readings of one series, (time, inputs) float32, with NaN for every missing one."""
    try:
        x = as_float32(one, module.graph.edges[0].width, (2,), module.graph.stage.columns)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    if not len(x):
        raise InputError(f"{name} has no steps; leave it out")
    readings = torch.tensor(x)
    usable = module.usable(readings)
    if module.graph.refuses_missing and not usable.all():
        step, column = (~usable).nonzero()[0].tolist()
        raise InputError(
            f"{name} is {x[step, column]:g} at step {step}, input {column}: {module.graph.missing_readings}; "
            'clean the data, or use an input stage with missing="hold" or "mask"'
        )
    return torch.where(usable, readings, math.nan)


def _target(target: Any, mask: Any, steps: int, name: str) -> tuple[Tensor, Tensor]:
    """The targets of one series and where there is one, both (time, ...)."""
    hidden = np.ma.getmaskarray(target) if isinstance(target, np.ma.MaskedArray) else False
    value = np.asarray(target)
    if value.dtype.kind not in "fiub" or value.ndim < 1 or len(value) != steps:
        raise InputError(f"the targets of {name} must be numbers, one row for each of {steps} steps, got "
                         f"{value.dtype} {value.shape}")  # fmt: skip
    value = value.astype(np.float32 if value.dtype.kind == "f" else np.int64)
    known = np.isfinite(value) & np.logical_not(hidden)
    if mask is not None:
        present = _mask(mask, value.shape, name)
        if (present & ~known).any():
            step = int(np.argwhere(present & ~known)[0, 0])
            raise InputError(
                f"the targets of {name} are missing at step {step}, where its mask is True; "
                "give a target there, or set the mask to False"
            )
        known = present
    return torch.tensor(value), torch.tensor(known)


def _mask(mask: Any, shape: tuple[int, ...], name: str) -> Array:
    """A mask that was given, in the shape of the targets."""
    value = np.asarray(mask)
    if value.dtype != bool or value.shape not in (shape[:1], shape):
        wanted = f"{shape[:1]}" if len(shape) == 1 else f"{shape[:1]} or {shape}"
        raise InputError(
            f"the mask of {name} must be bool {wanted}, True where there is a target, got {value.dtype} {value.shape}"
        )
    return np.broadcast_to(value.reshape(*value.shape, *[1] * (len(shape) - value.ndim)), shape)
