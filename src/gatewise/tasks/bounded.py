"""Quantities with a lower or upper limit: bounds of forecasts, and forecasts of logarithms.

Quantiles are clipped to the bounds. With transform "log1p" the model reads log(1 + x), and its forecasts y are
converted back as exp(y) - 1. It then learns ratios instead of differences, and its forecasts are above -1. Both are
options of the model itself (`inputs/numeric`, `heads/quantiles`), so they also apply when the model streams without the
task.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatewise.errors import InputError, Parameter, Text
from gatewise.inputs.base import transformed
from gatewise.layers.base import TRANSFORMS, Array
from gatewise.tables.table import Table, enumerated
from gatewise.tables.times import listed
from gatewise.tasks.layout import Layout
from gatewise.tasks.parameters import as_json

Each = list[str | None] | None
"""For each column its transform or None; None instead of a list = no column has one."""


@dataclass(frozen=True)
class Bounded:
    """Bounds and transforms of the columns of a forecaster.

    Attributes:
        minimum, maximum: the bound of each target, None for one without; None = no target has one.
        columns: the transform of each column read, in the order of the input; None = no column has one.
        targets: the transform of each target.
    """

    minimum: list[float | None] | None
    maximum: list[float | None] | None
    columns: Each
    targets: Each

    def less(self, constants: Array) -> Bounded:
        """The same after constants (targets,) float64 are subtracted from the targets."""

        def shifted(bounds: list[float | None] | None) -> list[float | None] | None:
            if bounds is None:
                return None
            return [None if one is None else one - less for one, less in zip(bounds, constants.tolist(), strict=True)]

        return replace(self, minimum=shifted(self.minimum), maximum=shifted(self.maximum))


def bounded(minimum: Any, maximum: Any, transform: Any, layout: Layout) -> Bounded:
    """Bounds and transforms for each column, from the parameters of a Forecaster.

    Args:
        minimum, maximum, transform: the parameters of the Forecaster.
        layout: the columns that its model reads and forecasts.

    Raises:
        InputError: there is no such column or transform, a bound is not a number, or a minimum is not below its
            maximum.
    """
    names = layout.target_names
    given = _by_column("transform", transform, names, layout.read)
    for name, one in given.items():
        if one is not None and one not in TRANSFORMS:
            raise InputError(f"transform of column {name!r} must be one of {list(TRANSFORMS)} or None, got {one!r}")
    columns = [given.get(name) for name in layout.read]
    low, high = limit("minimum", minimum, names), limit("maximum", maximum, names)
    for name, least, most in zip(names, low or [], high or [], strict=False):
        if least is not None and most is not None and least >= most:
            raise InputError(f"minimum of column {name!r} must lie below its maximum, got {least:.12g} and {most:.12g}")
    return Bounded(
        low,
        high,
        columns if any(columns) else None,
        [columns[k] for k in layout.targets] if any(columns[k] for k in layout.targets) else None,
    )


def limit(what: str, given: Any, names: Sequence[str]) -> list[float | None] | None:
    """A bound for each target, given as a number for all or by name; None if no target has one. Raises InputError."""
    found = _by_column(what, given, names, names)
    for name, bound in found.items():
        number = isinstance(bound, (int, float)) and not isinstance(bound, bool)
        if bound is not None and not (number and math.isfinite(bound)):
            raise InputError(f"{what} of column {name!r} must be a finite number or None, got {bound!r}")
    bounds = [None if found.get(name) is None else float(found[name]) for name in names]
    return None if all(bound is None for bound in bounds) else bounds


def no_logs(table: Table, columns: Sequence[str | None] | None) -> dict[str | int | None, str]:
    """The series with readings that have no logarithm, each with a message, for `Table.without`.

    Such readings are an error for every value of `missing`.

    Args:
        table: the readings.
        columns: the transform of each of its columns.
    """
    found: dict[str | int | None, str] = {}
    for k, one in enumerate(columns or ()):
        if one is None or not (table.values[:, k] <= -1).any():
            continue
        for name, start, stop in table.series:
            bad = start + np.flatnonzero(table.values[start:stop, k] <= -1)
            if not bad.size:
                continue
            count = f" ({bad.size:,} such readings)" if bad.size > 1 else ""
            found.setdefault(
                name,
                Text(
                    f"column {table.columns[k]!r} is {table.values[bad[0], k]:g} at {table.where(int(bad[0]))}{count}, "
                    f'and with transform "{one}" it must be above -1; correct it, or leave the column out of ',
                    Parameter("transform"),
                ),
            )
    return found


def no_logs_ahead(ahead: Mapping[str | int | None, Array | None], layout: Layout) -> dict[str | int | None, str]:
    """The same for the covariates of future rows, (rows, covariates) for each series."""
    found: dict[str | int | None, str] = {}
    if layout.transform is None:
        return found
    own = layout.transform[len(layout.readings) :]
    for name, values in ahead.items():
        for k, one in enumerate(own):
            if one is not None and values is not None and (values[:, k] <= -1).any():
                row = int(np.argmax(values[:, k] <= -1))
                of = "" if name is None else f" of series {name!r}"
                found.setdefault(
                    name,
                    f"future holds {values[row, k]:g} for {layout.covariates[k]!r} in row {row}{of}, and with "
                    f'transform "{one}" it must be above -1; correct it',
                )
    return found


def logged(table: Table, columns: Sequence[str | None] | None) -> Table:
    """The table after the transforms of its columns."""
    return replace(table, values=np.ascontiguousarray(transformed(table.values, columns)))


def beyond(table: Table, targets: Sequence[int], ends: Bounded) -> list[str]:
    """Warnings about readings of a target that are beyond its bounds."""
    found = []
    for what, bounds, sign in (("minimum", ends.minimum, 1.0), ("maximum", ends.maximum, -1.0)):
        for k, bound in zip(targets, bounds or [None] * len(targets), strict=True):
            if bound is None:
                continue
            values, digits = table.wide(k), 12 if table.subtract[k] else 6
            slack = 1e-6 * abs(bound - table.subtract[k])  # readings are rounded to float32 after the subtraction
            bad = np.flatnonzero(sign * values < sign * bound - slack)
            if bad.size:
                found.append(
                    f"column {table.columns[k]!r} is {values[bad[0]]:.{digits}g} at {table.where(int(bad[0]))}"
                )
                found[-1] += f" and in {bad.size - 1:,} more rows" if bad.size > 1 else ""
                found[-1] += f", beyond its {what} of {bound:.{digits}g}, where no forecast goes"
    return [enumerated(found)] if found else []


def _by_column(what: str, given: Any, default: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """A parameter as a mapping by column: given for all columns of `default`, or as a mapping from some of `names`."""
    value = as_json(given)
    if not isinstance(value, dict):
        return dict.fromkeys(default, value)
    if unknown := [name for name in value if name not in names]:
        raise InputError(f"{what} is given for {unknown[0]!r}, but the columns it can be given for are {listed(names)}")
    return value
