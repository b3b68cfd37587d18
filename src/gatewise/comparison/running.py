"""Run a model over examples in batches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gatewise.comparison.examples import Examples
from gatewise.layers.base import Array
from gatewise.model import Model

BATCH = 512
"""Number of windows that are made and run at once."""

Prepare = Callable[[Array], Array]
"""A function from readings (..., columns) to the inputs of a model."""


def whole(model: Model) -> Model:
    """The same model with a carried context: its run over exactly one window ends with the answer to the window."""
    return model if model.window is None else model.replace(spec=model.spec.replace(context="carried"))


def in_context(model: Model, context: str, lookback: int | None) -> Model:
    """The same model with the context in which it is used: "window" with a lookback, or "series"."""
    if context == "series" or model.window == lookback:
        return whole(model) if context == "series" else model
    return model.replace(spec=model.spec.replace(context={"window": lookback}))


def answers_of_windows(model: Model | Callable[[Array], Array], examples: Examples, prepare: Prepare) -> Array:
    """The answers to examples, each from its window and a state of zero, (n, k) float64.

    Args:
        model: a `Model`, or a function from the windows of a batch to their answers.
        examples: the examples, with a lookback.
        prepare: makes the inputs of the model from the readings.
    """
    run = _last(whole(model)) if isinstance(model, Model) else model
    found = [
        np.asarray(run(prepare(examples.windows(slice(i, i + BATCH)))), np.float64)
        for i in range(0, len(examples), BATCH)
    ]
    return np.concatenate(found)


def answers_of_series(model: Model, examples: Examples, prepare: Prepare) -> Array:
    """The answers to examples, each from all rows of its series up to it, (n, k) float64."""
    model, found = whole(model), None
    for _, start, stop in examples.series:
        own = np.flatnonzero((examples.ends >= start) & (examples.ends < stop))
        if own.size:
            last = int(examples.ends[own].max()) + 1
            answers = model.run(prepare(examples.rows[start:last]))
            assert isinstance(answers, np.ndarray)
            if found is None:
                found = np.empty((len(examples), answers.shape[-1]))
            found[own] = answers[examples.ends[own] - start]
    assert found is not None, "there are examples, and each lies in a series"
    return found


def _last(model: Model) -> Callable[[Array], Array]:
    def run(windows: Array) -> Array:
        answers = model.run(windows)
        assert isinstance(answers, np.ndarray)
        return answers[:, -1]

    return run
