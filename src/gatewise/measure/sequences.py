"""The data on which a model is measured: sequences of readings and their targets, checked once for all measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewise.errors import InputError
from gatewise.graph import stage_tensors
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.readings import as_float32

Progress = Callable[[int, int], Any]
"""Called after each part of a long measurement with the number of parts done and their total number."""

Loss = Callable[[Array, Array], npt.ArrayLike]
"""A loss: answers (n, outputs) and targets (n, values) -> the loss of each answer (n,)."""

Readings = Any
"""(time, inputs), (batch, time, inputs), or a list of (time, inputs), which may have different lengths."""

VALUES = 1 << 22
"""Greatest number of readings in one run, so that a measurement needs little memory."""


@dataclass(frozen=True)
class Sequences:
    """Readings that fit a model, and the model that takes them.

    Attributes:
        model: the model for readings from which its constants are subtracted already, see `Model.relative`.
        x: the readings of each sequence, (time, inputs) float32.
        levels: constants to add to its answers, (outputs,) float64; 0 if there are none.
        single: whether the readings were given as one sequence (time, inputs).
    """

    model: Model
    x: tuple[Array, ...]
    levels: Array
    single: bool

    @property
    def steps(self) -> int:
        """Number of steps of all sequences."""
        return sum(map(len, self.x))

    def answers(self) -> list[Array]:
        """The answers of the model to each sequence: (time, outputs) float64, in units of the columns."""
        found: dict[int, Array] = {}
        lengths: dict[int, list[int]] = {}
        for i, x in enumerate(self.x):
            lengths.setdefault(len(x), []).append(i)
        for length, own in lengths.items():  # sequences of one length run side by side
            at_once = max(1, VALUES // (length * (self.model.inputs + self.model.outputs)))
            for first in range(0, len(own), at_once):
                some = own[first : first + at_once]
                batch = np.asarray(self.model.run(np.stack([self.x[i] for i in some])), np.float64) + self.levels
                found.update(zip(some, batch, strict=True))
        return [found[i] for i in range(len(self.x))]

    def answers_at(self, places: Array) -> Array:
        """The answers at places (n, 2) int, each a sequence and a step: (n, outputs) float64, in units of the columns.

        If these are the ends of sequences that a window holds, only the answers to the ends are computed.
        """
        lengths = np.array([len(self.x[i]) for i in places[:, 0]])
        window = self.model.window or int(lengths.max())
        if (lengths == lengths[0]).all() and (places[:, 1] == lengths - 1).all() and lengths[0] <= window:
            return self.last_answers(np.stack([self.x[i] for i in places[:, 0]]))
        answers = self.answers()
        return np.stack([answers[i][t] for i, t in places.tolist()])

    def last_answers(self, windows: Array) -> Array:
        """The answers after the last step of windows (n, time, inputs), each run from a zero state: (n, outputs).

        The length of the windows must not exceed the window of the model.
        """
        free, (count, time, _) = without_window(self.model), windows.shape
        at_once = max(1, VALUES // (time * (self.model.inputs + self.model.outputs)))
        found = np.empty((count, self.model.outputs))
        for first in range(0, count, at_once):
            some = slice(first, first + at_once)
            found[some] = np.asarray(free.run(windows[some]))[:, -1]
        return found + self.levels


def sequences(model: Model, x: Readings) -> Sequences:
    """Check the readings on which a model is measured.

    Args:
        model: the model.
        x: readings (time, inputs) or (batch, time, inputs), or a list of (time, inputs).

    Raises:
        InputError: there are no readings, their shape, type or column names do not fit, or a reading is missing and the
            model refuses missing readings.
    """
    if not isinstance(model, Model):
        raise InputError(f"a gatewise.Model is measured, got {type(model).__name__}; gatewise.load reads one")
    given: list[Any]
    if isinstance(x, (list, tuple)) and not hasattr(x, "_fields"):
        single, given = (
            False,
            [as_float32(each, model.inputs, (2,), model.columns, subtract=model.subtract) for each in x],
        )
    else:
        array = as_float32(x, model.inputs, (2, 3), model.columns, subtract=model.subtract)
        single, given = array.ndim == 2, [array] if array.ndim == 2 else list(array)
    if not given or any(not len(each) for each in given):
        raise InputError("a model is measured on at least one sequence of at least one step; pass some readings")
    _refuse_missing(model, given)
    levels = np.zeros(model.outputs) if model.levels is None else model.levels
    return Sequences(model.relative(), tuple(given), levels, single)


def without_window(model: Model) -> Model:
    """The same model without a window: its answer to the last step of L readings is that of a window of L."""
    return model if model.window is None else model.replace(spec=model.spec.replace(context="carried"))


def as_targets(targets: Any, data: Sequences) -> list[Array]:
    """Targets as one array (time, values) float64 for each sequence, with NaN at steps without a target.

    Args:
        targets: for each sequence (time,) or (time, values), or a single target, a number or (1, values), which belongs
            to its last step. If the readings are one sequence, so are the targets. NaN = no target.
        data: the sequences.

    Raises:
        InputError: targets do not fit the sequences, are not numbers, or are all NaN.
    """
    if not data.single and not hasattr(targets, "__len__"):
        raise InputError(f"targets must be given for each sequence, got {targets!r}")
    each = [targets] if data.single else list(targets)
    if len(each) != len(data.x):
        raise InputError(
            f"targets are given for {len(each)} sequences, the readings are {len(data.x)}; pass a target for each step "
            "or each sequence"
        )
    found = []
    for i, (one, x) in enumerate(zip(each, data.x, strict=True)):
        try:
            value = np.asarray(one, np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"targets must be numbers; those of sequence {i} are not: {error}") from None
        value = value.reshape(-1, 1) if value.ndim < 2 else value
        if value.ndim != 2 or len(value) not in (1, len(x)):
            raise InputError(
                f"sequence {i} has {len(x)} steps and targets of shape {value.shape}; pass one target for each step, "
                "(time,) or (time, values), or one for the sequence, a number or (1, values)"
            )
        if len(value) != len(x):
            value = np.concatenate([np.full((len(x) - 1, value.shape[1]), np.nan), value])
        found.append(value)
    if len(widths := {value.shape[1] for value in found}) > 1:
        raise InputError(f"all targets must have the same number of values a step, got {sorted(widths)}")
    if not any(np.isfinite(value).all(axis=1).any() for value in found):
        raise InputError("no step has a finite target; pass targets, or measure without them")
    return found


def losses(answers: Array, targets: Array, loss: Loss | None) -> Array:
    """The loss of each answer, (n,) float64.

    Args:
        answers: (n, outputs).
        targets: (n, values).
        loss: the loss; None = the squared error, a mean over the outputs.

    Raises:
        InputError: answers and targets have different shapes and there is no loss for them, or the loss does not return
            a finite number for each answer.
    """
    if loss is None:
        if answers.shape != targets.shape:
            raise InputError(
                f"the model has {answers.shape[1]} outputs a step and there are {targets.shape[1]} target values, so "
                "the squared error is not defined; pass loss=, a function of answers (n, outputs) and targets "
                "(n, values) that returns (n,)"
            )
        return np.asarray(np.mean((answers - targets) ** 2, axis=1))
    found = np.asarray(loss(answers, targets), np.float64)
    if found.shape != (len(answers),) or not np.isfinite(found).all():
        raise InputError(
            f"loss must return {len(answers)} finite numbers, one for each answer, got shape {found.shape}"
            + (" with values that are not finite" if found.shape == (len(answers),) else "")
        )
    return found


def _refuse_missing(model: Model, given: Sequence[Array]) -> None:
    """Raise InputError if a reading is missing and the model refuses missing readings."""
    if not model.graph.refuses_missing:
        return
    stage = stage_tensors(model.graph, model.tensors)
    for i, x in enumerate(given):
        usable = model.graph.stage.usable(stage, x)
        if not usable.all():
            step, column = np.argwhere(~usable)[0]
            name = f"{model.columns[column]!r}" if model.columns else f"input {column}"
            raise InputError(
                f"{name} is {x[step, column]:g} in sequence {i}, step {step}: {model.graph.missing_readings}; clean "
                'the data, or use an input stage with missing="hold" or "mask"'
            )
