"""The classes in a column of answers, and their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.tasks.fitting import Fitting

Label = str | int | bool
"""A class, as the data have it."""

MISSING = -1
"""The number of a row without a class."""

MANY = 20
"""The number of classes from which whole numbers may be a quantity, if there are few examples of each."""


def classes_of(answers: pd.Series[Any]) -> tuple[Label, ...]:
    """The classes, in ascending order.

    Raises:
        InputError: there are none, only one, or they are neither texts, whole numbers nor booleans.
    """
    known = answers.dropna()
    if not len(known):
        raise InputError("the target has no answers; it is missing in all rows")
    found = [_label(value) for value in known.unique()]
    kinds = {type(one) for one in found}
    if len(kinds) > 1:
        raise InputError(
            f"the classes are of several types, {said(found)}; convert them to text, or all to whole numbers"
        )
    classes = tuple(sorted(set(found)))
    if len(classes) == 1:
        raise InputError(f"all answers are of one class, {classes[0]!r}; give examples of at least two classes")
    return classes


def numbers_of(answers: pd.Series[Any], classes: Sequence[Label]) -> Array:
    """The number of each answer's class, (rows,) int64, `MISSING` for a missing answer or another class."""
    kind = type(classes[0])
    codes, unique = pd.factorize(answers)
    order = {name: k for k, name in enumerate(classes)}
    found = [_found(value, kind, order) for value in unique]
    return np.array([*found, MISSING], np.int64)[codes]


def rare(fitting: Fitting, classes: Sequence[Label], numbers: Array) -> list[str]:
    """Warnings about classes with too few examples, or so many classes that they look like a quantity.

    Args:
        fitting: the data.
        classes: the classes.
        numbers: (rows,) the number of the class of each answer, `MISSING` where there is none.
    """
    every, trained = (np.bincount(own[own != MISSING], minlength=len(classes))
                      for own in (numbers, numbers[fitting.parts.training]))  # fmt: skip
    found = []
    if not isinstance(classes[0], str) and len(classes) > MANY and every.sum() < 5 * len(classes):
        found.append(
            f"the target has {len(classes):,} different numbers in {every.sum():,} answers, which look like a "
            "quantity; to predict it, use a Regressor"
        )
    if (single := [name for name, count in zip(classes, every, strict=True) if count == 1]) and not found:
        found.append(
            f"there is only one example of the class {said(single)}, so it cannot be both trained on and held out; "
            "give more examples"
        )
    if (unseen := [name for name, count in zip(classes, trained, strict=True) if not count]) and not found:
        found.append(
            f"no example of the class {said(unseen)} is in the training part, so it will hardly be predicted; give "
            "more examples, or hold out less"
        )
    return found


def said(classes: Sequence[Label]) -> str:
    """Classes in a message, at most twelve of them."""
    return ", ".join(map(repr, classes[:12])) + (f" and {len(classes) - 12:,} more" if len(classes) > 12 else "")


def _found(value: Any, kind: type, order: dict[Label, int]) -> int:
    try:
        label = _label(value)
    except InputError:
        return MISSING
    return order.get(label, MISSING) if type(label) is kind else MISSING


def _label(value: Any) -> Label:
    """A value of the data as a class. Whole numbers may be floats, as pandas makes them where some are missing."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return int(value)
    if isinstance(value, (float, np.floating)):
        raise InputError(
            f"the target has the number {float(value):g}, and a class is a text, a whole number or a boolean; to "
            "predict a quantity, use a Regressor, else convert it to text"
        )
    raise InputError(
        f"the target has a {type(value).__name__}, {value!r}, and a class is a text, a whole number or a boolean; "
        "convert it to text"
    )
