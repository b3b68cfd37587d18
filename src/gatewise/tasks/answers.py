"""Checks of the answers that a task is given: numbers, and columns of readings that tell the answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gatewise.errors import InputError, Parameter, Text
from gatewise.layers.base import Array
from gatewise.tables.times import Where, listed
from gatewise.tasks.fitting import Fitting

LEAST_ROWS = 10
"""The least number of answers from which a column is said to tell them."""

EQUAL = 1e-6
"""How far a correlation may be from 1 for a column to be equal to the target, apart from rounding to float32."""


def name_of(answers: pd.Series[Any]) -> str:
    """The name of the target in messages and files."""
    return "y" if answers.name is None else str(answers.name)


def numbers(answers: pd.Series[Any], where: Where) -> Array:
    """The answers of a regression as (rows,) float64, NaN where there is none.

    Args:
        answers: (rows,).
        where: a function that describes the place of a row.

    Raises:
        InputError: they are no numbers, infinite, missing everywhere, or all equal.
    """
    name, dtype = name_of(answers), answers.dtype
    known = answers.dropna()
    if not len(known):
        raise InputError(f"the target {name!r} has no answers: it is missing in all rows")
    kind = pd.api.types.infer_dtype(known)
    if kind not in ("floating", "integer", "mixed-integer-float", "decimal"):
        row = int(np.argmax(answers.notna().to_numpy()))
        raise InputError(
            f"the target {name!r} is {known.iloc[0]!r} ({dtype}) at {where(row)}, and a Regressor predicts numbers; "
            "convert it to a number, or predict classes with a Classifier"
        )
    values = answers.to_numpy(np.float64, na_value=np.nan)
    if (bad := np.flatnonzero(np.isinf(values))).size:
        raise InputError(
            f"the target {name!r} is {values[bad[0]]} at {where(int(bad[0]))}; make it a number, or missing (NaN)"
        )
    return values


def check_varies(values: Array, name: str, part: str) -> None:
    """Raise InputError if finite numbers are all equal, or vary too little for float32."""
    if (values == values[0]).all():
        raise InputError(f"the target {name!r} is {values[0]:g} throughout {part}; give rows in which it varies")
    step, varies = float(np.spacing(np.float32(np.abs(values).max()))), float(values.std())
    if not step <= 0.01 * varies:
        raise InputError(
            f"the target {name!r} varies by {varies:.3g} around {values.mean():.9g}, where float32 has steps of "
            f"{step:.3g}; subtract a constant near its mean"
        )


def telling(fitting: Fitting, codes: Array, classes: bool) -> list[str]:
    """A warning about columns that tell the answers of the training part.

    Args:
        fitting: the data.
        codes: (rows,) the answers as numbers, NaN where there is none.
        classes: whether they are numbers of classes; a column then tells them if each of its values has one class.
            Otherwise it tells them if it is equal to them up to offset and scale.
    """
    rows = fitting.parts.training
    rows = rows[np.isfinite(codes[rows])]
    told = [
        name
        for k, name in enumerate(fitting.table.columns)
        if (_names if classes else _equals)(fitting.table.values[rows, k].astype(np.float64), codes[rows])
    ]
    if not told:
        return []
    how = "with each of its values there is only one class" if classes else "it is equal to it up to offset and scale"
    assert fitting.table.answers is not None
    return [
        Text(
            f"column {listed(told)} tells the target {name_of(fitting.table.answers)!r}: {how}. If it is not known "
            "before the answer is, leave it out of ",
            Parameter("columns"),
        )
    ]


def _equals(x: Array, wanted: Array) -> bool:
    both = np.isfinite(x)
    x, wanted = x[both], wanted[both]
    if len(x) < LEAST_ROWS or not np.ptp(x) or not np.ptp(wanted):
        return False
    return bool(abs(np.corrcoef(x, wanted)[0, 1]) > 1.0 - EQUAL)


def _names(x: Array, wanted: Array) -> bool:
    both = np.isfinite(x)
    x, wanted = x[both], wanted[both]
    values = np.unique(x)
    if len(x) < LEAST_ROWS or not 1 < len(values) <= min(len(np.unique(wanted)), len(x) / 2):
        return False
    return len(np.unique(np.stack([x, wanted]), axis=1).T) == len(values)
