"""Check an imported model against answers that the foreign library gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gatewise.errors import InputError
from gatewise.importers.origins import KEY
from gatewise.model import Model

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Check:
    """How far the answers of a model are from those expected.

    Attributes:
        error: the largest |found - expected| / max(1, |expected|); infinite if one of them is not finite and they
            differ.
        tolerance: the largest error that is allowed.
        at: position of this error in the outputs.
        found: the answer there.
        expected: the output there.
        values: number of values that were compared.
        answers: "last" if only the last step of each sequence was compared, "each" if all steps were.
    """

    error: float
    tolerance: float
    at: tuple[int, ...]
    found: float
    expected: float
    values: int
    answers: str

    @property
    def holds(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.error <= self.tolerance


def check(model: Model, inputs: npt.ArrayLike, outputs: npt.ArrayLike, tolerance: float = TOLERANCE) -> Check:
    """Run a model and compare its answers with those that the foreign library gave for the same inputs.

    Args:
        model: a model that `load` imported.
        inputs: (sequences, time, inputs), or (time, inputs) for one sequence; real numbers.
        outputs: (sequences, outputs) if the foreign model answers once for a sequence, (sequences, time, outputs) if at
            each step; without the first axis for one sequence. The last axis may be missing if there is one output.
        tolerance: the largest |found - expected| / max(1, |expected|) that is allowed.

    Raises:
        InputError: the shapes do not fit the model or each other, or the tolerance is negative.
    """
    if not tolerance >= 0.0:
        raise InputError(f"tolerance must be 0 or more, got {tolerance!r}")
    x, expected = np.asarray(inputs), np.asarray(outputs)
    for name, given in (("inputs", x), ("outputs", expected)):
        if given.dtype.kind not in "fiub" or not given.size:
            raise InputError(f"{name} must be real numbers, at least one, got {given.dtype} of shape {given.shape}")
    found = np.asarray(model.run(x), np.float64)
    answers = answers_of(model)
    if answers == "last":
        found = found[..., -1, :]
    if expected.size != found.size or expected.shape[: found.ndim - 1] != found.shape[:-1]:
        raise InputError(
            f"outputs must have the shape {found.shape} for inputs of the shape {x.shape}, "
            f"because the model answers {_ANSWERS[answers]}; got {expected.shape}"
        )
    wanted = np.asarray(expected, np.float64).reshape(found.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.abs(found - wanted) / np.maximum(1.0, np.abs(wanted))
    errors[np.isnan(errors)] = np.inf
    errors[(found == wanted) | (np.isnan(found) & np.isnan(wanted))] = 0.0
    worst = int(np.argmax(errors))
    at = tuple(int(i) for i in np.unravel_index(worst, errors.shape))
    return Check(
        float(errors.flat[worst]), tolerance, at, float(found[at]), float(wanted[at]), int(found.size), answers
    )


_ANSWERS = {"last": "once for a sequence", "each": "at each step"}


def answers_of(model: Model) -> str:
    """Whether the foreign model answers once for a sequence ("last"), or at each step ("each", also if unknown)."""
    record = model.provenance.get(KEY)
    return str(record.get("answers", "each")) if isinstance(record, Mapping) else "each"
