"""Scale the columns of a table: which readings are too large for it, and the mean and deviation of each column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gatewise.errors import InputError, Parameter, Text
from gatewise.inputs.base import MOST, usable
from gatewise.layers.base import Array
from gatewise.tables.robust import location_scale, reach
from gatewise.tables.table import TO_FIT, Table, enumerated

LEAST_VARIATION = 1e-30
"""The least standard deviation that readings are scaled by; float32 ends near 1e-38, and needs room for the scaled."""


def within_reach(
    table: Table,
    offset: Array,
    scale: Array,
    missing: str,
    advice: str = TO_FIT,
    leave_out: bool = False,
    transform: Sequence[str | None] | None = None,
) -> Table:
    """The table with NaN for readings too large for a model once they are scaled, see `inputs/base.py`.

    Args:
        table: the readings.
        offset, scale: (columns,) each.
        missing, advice, leave_out: as for `read_table`.
        transform: the transforms of the columns before they are scaled.

    Raises:
        InputError: there are such readings, and `missing` is "raise".
    """
    far = np.isfinite(table.values) & ~usable(table.values, offset, scale, transform)
    if not far.any():
        return table
    if missing == "raise":
        faults: dict[str | int | None, str] = {}
        for name, start, stop in table.series:
            if not far[start:stop].any():
                continue
            row, k = np.argwhere(far[start:stop])[0].tolist()
            value, mean = float(table.values[start + row, k]) + table.subtract[k], offset[k] + table.subtract[k]
            faults[name] = Text(
                f"column {table.columns[k]!r} is {value:g} at {table.where(start + row)}, more than {MOST:g} standard "
                f"deviations from the training mean of {mean:g}; correct it, or treat it as missing: ",
                advice,
            )
            if not (leave_out and table.id is not None):
                raise InputError(faults[name])
        return table.without(faults)
    return replace(table, values=np.where(far, np.float32(np.nan), table.values))


def standardise(table: Table, rows: Array, transform: Sequence[str | None] | None = None) -> tuple[Array, Array]:
    """Robust mean and deviation of each column over the training part.

    Args:
        table: the readings.
        rows: the rows of the training part: (some,) int, or (rows,) bool.
        transform: the transform of each column; no constant can be subtracted from a column that has one.

    Returns:
        offset (columns,) and scale (columns,), float32.

    Raises:
        InputError: columns cannot be scaled: they have no readings there, are constant, or vary too little for float32.
    """
    training = table.values[rows].astype(np.float64)
    part = f"in the {len(training):,} rows of the training part"
    offset, scale = np.zeros(training.shape[1]), np.ones(training.shape[1])
    empty, constant, small = [], [], []
    coarse: list[str] = []
    logs: list[str] = []
    for k, name in enumerate(table.columns):
        values = training[:, k][np.isfinite(training[:, k])]
        if not values.size:
            empty.append(f"column {name!r} has no readings")
            continue
        offset[k], scale[k] = location_scale(values)
        usual = np.clip(np.abs(values).max(), 0, np.abs(reach(values)).max())  # a single wild reading may be coarse
        step = float(max(np.spacing(np.float32(usual)), np.spacing(np.abs(table.subtract[k]))))
        varies = float(scale[k])
        if (values == values[0]).all():
            whole = table.values[:, k]
            varies = float(table.deviations[k]) if np.nanmin(whole) == np.nanmax(whole) else 0.0
            if transform is not None and transform[k] is not None:
                varies *= float(np.exp(-values[0]))  # the slope of log1p
        if not varies:
            constant.append(f"column {name!r} is {values[0] + table.subtract[k]:g} throughout")
        elif varies < LEAST_VARIATION:
            small.append(f"column {name!r} varies by {varies:.3g}")
        elif step > 0.01 * varies:
            (coarse if transform is None or transform[k] is None else logs).append(
                f"column {name!r} varies by {varies:.3g} around {offset[k] + table.subtract[k]:.9g}, where "
                f"{'float64' if table.subtract[k] else 'float32'} has steps of {step:.3g}"
            )
    them = "them" if len(empty) + len(constant) > 1 else "it"
    if empty:
        raise InputError(f"{enumerated(empty + constant)} {part}; leave {them} out of ", Parameter("columns"))
    if constant:
        vary = "they vary" if len(constant) > 1 else "it varies"
        raise InputError(
            f"{enumerated(constant)} {part}; leave {them} out of ",
            Parameter("columns"),
            f", or, for a target, give rows in which {vary}",
        )
    if small:
        each = "them" if len(small) > 1 else "it"
        raise InputError(
            f"{enumerated(small)}, less than the {LEAST_VARIATION:g} that float32 can scale; multiply {each} by a "
            "power of ten before, so that the variation is near 1"
        )
    if coarse:
        each = "each" if len(coarse) > 1 else "it"
        raise InputError(
            f"{enumerated(coarse)}; give {'them' if each == 'each' else 'it'} as float64, or subtract a constant near "
            f"the mean of {each} before"
        )
    if logs:
        raise InputError(
            f"in logarithms {enumerated(logs)}; leave {'them' if len(logs) > 1 else 'it'} out of ",
            Parameter("transform"),
        )
    return offset.astype(np.float32), scale.astype(np.float32)
