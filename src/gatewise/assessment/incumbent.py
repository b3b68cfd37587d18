"""The model that is assessed, in whatever form it comes, as something that answers examples."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatewise.assessment.scaler import Scaler
from gatewise.assessment.stated import is_whole
from gatewise.comparison.examples import Examples
from gatewise.comparison.running import answers_of_series, answers_of_windows
from gatewise.errors import ANY, InputError, Parameter
from gatewise.file import is_model_file
from gatewise.importers import load as import_model
from gatewise.importers.origins import KEY as IMPORTED
from gatewise.importers.origins import origins
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.model import load as load_model

Answers = Callable[[Array], Array]
"""A function from scaled windows (n, lookback, columns) float32 to answers (n, k), in the units of the model."""

CONTEXTS = ("window", "series")
"""How the state is treated: zero before each window, or zero before each series and carried within it."""


@dataclass(frozen=True)
class Incumbent:
    """The model that is assessed.

    Attributes:
        name: for people, e.g. the name of its file.
        model: the model, if it is one that gatewise can run; None = a function, or predictions alone.
        function: if there is no model, the function that answers; None = its predictions stand in the data.
        scaler: how its inputs are scaled.
        target_scaler: how its targets are scaled.
        context: one of `CONTEXTS`.
        order: the positions of its inputs among the columns of the examples.
    """

    name: str
    model: Model | None
    function: Answers | None
    scaler: Scaler
    target_scaler: Scaler
    context: str
    order: tuple[int, ...]

    def answers(self, examples: Examples) -> Array:
        """The answers to examples, (n, k) float64 in the units of the data.

        Raises:
            InputError: an answer is not finite, or there are not as many in a row as targets.
        """
        if self.model is None and self.function is None:
            return examples.given[self.name]
        columns = list(self.order)
        if self.model is None:
            assert self.function is not None
            found = answers_of_windows(self.function, examples, lambda x: self.scaler.scaled(x[..., columns]))
        elif self.context == "series":
            found = answers_of_series(self.model, examples, lambda x: self.scaler.scaled(x[..., columns]))
        else:
            found = answers_of_windows(self.model, examples, lambda x: self.scaler.scaled(x[..., columns]))
        if self.model is not None:
            found = found[:, answering(self.model)]
        wanted = len(self.target_scaler.offset)
        if found.shape[1] != wanted:
            raise InputError(f"{self.name} answers with {found.shape[1]} values, but the number of targets is {wanted}")
        bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
        if bad.size:
            raise InputError(
                f"{self.name} has no finite answer to {bad.size:,} of {len(found):,} windows, the first of which "
                f"ends at {examples.place(int(bad[0]))}, so it cannot be compared; check the columns that it reads "
                "and their scaling"
            )
        return self.target_scaler.unscaled(found)

    def swapped(self, i: int, j: int) -> Incumbent:
        """The incumbent with two inputs exchanged. Each input keeps the scaling of its column."""
        order, at = list(self.order), [*range(len(self.order))]
        order[i], order[j] = order[j], order[i]
        at[i], at[j] = at[j], at[i]
        scaler = replace(self.scaler, offset=self.scaler.offset[at], scale=self.scaler.scale[at])
        return replace(self, order=tuple(order), scaler=scaler)


def in_units(incumbent: Incumbent, model: Model, columns: Sequence[str]) -> Model | None:
    """A model that reads and answers in the units of the data, with the names of its columns.

    Args:
        incumbent: says how inputs and targets are scaled.
        model: its model, or the same in another context.
        columns: names of the columns of the examples.

    Returns:
        The scaling of the inputs becomes the input stage, and that of the targets part of the last layer. None if the
        model has an input stage that scales as well, or a last layer that is not linear.
    """
    spec, tensors = model.spec, dict(model.tensors)
    stage = spec.input.replace(columns=[columns[k] for k in incumbent.order])
    if incumbent.scaler.name != "none":
        if stage.options.get("scaling", "none") != "none":
            return None
        stage = stage.replace(scaling="standard")
        tensors["input.offset"] = incumbent.scaler.offset.astype(np.float32)
        tensors["input.scale"] = incumbent.scaler.scale.astype(np.float32)
    if incumbent.target_scaler.name != "none":
        last, scale, offset = spec.nodes[-1], incumbent.target_scaler.scale, incumbent.target_scaler.offset
        if last.options.get("activation") != "linear" or spec.head is not None:
            return None
        weight, bias = (tensors[f"{last.name}.{name}"].astype(np.float64) for name in ("weight", "bias"))
        tensors[f"{last.name}.weight"] = (weight * scale[:, None]).astype(np.float32)
        tensors[f"{last.name}.bias"] = (bias * scale + offset).astype(np.float32)
    return Model(spec.replace(input=stage), tensors, model.provenance)


def model_of(given: Any, spec: Any = None) -> tuple[str, Model | None, Answers | None]:
    """The name and the model, or the function, that a user gives.

    Args:
        given: a `Model`; a fitted task; the path of a model file or of a file of another library; a torch module; a
            function from windows (n, lookback, columns) to answers (n, k); or None for predictions alone.
        spec: what the file of another library cannot tell, see `gatewise.importers.load`.

    Raises:
        InputError: it is none of these.
        FileError: the file cannot be read.
    """
    if given is None:
        return "predictions", None, None
    if isinstance(given, Model):
        return "the model", given, None
    if isinstance(given, (str, os.PathLike)):
        path = os.fspath(given)
        model = load_model(path) if is_model_file(path) else import_model(path, spec)
        return os.path.basename(path), model, None
    if isinstance(getattr(given, "model_", None), Model):
        return type(given).__name__, given.model_, None
    if hasattr(given, "state_dict") and hasattr(given, "eval"):
        return type(given).__name__, *_of_torch(given)
    if callable(given):
        return getattr(given, "__name__", "the function"), None, _function(given)
    raise InputError(
        "the model must be a Model, a path, a torch module, a function, or None with ",
        Parameter("predictions", ANY),
        f" for predictions alone, got {type(given).__name__}",
    )


def answering(model: Model) -> list[int]:
    """The positions of the outputs of a model that are compared with targets: not the ends of an interval."""
    return [k for k, name in enumerate(model.output_names) if name not in ("low", "high")]


def context_of(
    model: Model | None, function: Answers | None, lookback: int | None, stated: str | None
) -> tuple[str, int | None]:
    """How the state of the model is treated, and the length of a window.

    Raises:
        InputError: the lookback is needed and not stated, or contradicts the model.
    """
    if lookback is not None and not (is_whole(lookback) and lookback >= 1):
        raise InputError(f"lookback must be a whole number of rows of at least 1, got {lookback!r}")
    own = None if model is None else model.window
    if own is not None and lookback not in (None, own):
        raise InputError(
            f"the model answers from windows of {own} rows, but lookback is {lookback}; leave it out, or pass ",
            Parameter("lookback", own),
        )
    lookback = own if lookback is None else lookback
    if stated not in (None, *CONTEXTS):
        raise InputError(f"context must be {' or '.join(map(repr, CONTEXTS))}, got {stated!r}")
    if function is not None and stated == "series":
        raise InputError('a function answers from windows, so its context is "window"; a Model can carry its state')
    once = model is not None and imported(model) and origins(model).answers == "last"
    if once and lookback is None and stated is None:
        raise InputError(
            "the model answers once, after the last row of a sequence, and its file does not say how many rows the "
            "sequences of its training had; pass ",
            Parameter("lookback", ANY),
        )
    context = stated or ("series" if lookback is None and function is None else "window")
    if context == "window" and lookback is None:
        raise InputError(
            "the number of rows from which the model answers is not known; pass ", Parameter("lookback", ANY)
        )
    return context, lookback


def _of_torch(module: Any) -> tuple[Model | None, Answers | None]:
    """A torch module as a Model if it consists of layers that gatewise knows, else as a function."""
    import importlib

    nn = importlib.import_module("gatewise.nn")
    try:
        return nn.from_torch(module), None
    except InputError:
        return None, nn.answers_of_module(module)


def _function(given: Callable[[Array], Any]) -> Answers:
    def answers(windows: Array) -> Array:
        found = np.asarray(given(windows), np.float64)
        if found.ndim == 1:
            found = found[:, None]
        if found.ndim != 2 or len(found) != len(windows):
            raise InputError(
                f"the function must return one row of answers for each of {len(windows)} windows, got an array of "
                f"shape {found.shape}"
            )
        return found

    return answers


def imported(model: Model) -> bool:
    """Whether the model was read from the file of another library."""
    return IMPORTED in model.provenance
