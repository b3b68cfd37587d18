"""The comparison of a trained regressor or classifier with simple methods on windows, see `gatewise.tasks.rivals`.

Each method reads the last L rows up to an answer. L is the window of the model. A model that carries its context reads
all earlier rows as well; there L is `LOOKBACK`, or the length of the shortest series. Only rows that end a full window
are compared. If whole series are held out, each of them is a block; otherwise blocks are stretches of time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gatewise.baselines.answers import Answers, Classifier, Regressor
from gatewise.baselines.estimator import finite, windows_at
from gatewise.baselines.logistic import MOST_NUMBERS as MOST_OF_LOGISTIC
from gatewise.baselines.methods import CLASSIFICATION, REGRESSION, Method, suitable
from gatewise.baselines.trees import FEATURES
from gatewise.inputs.base import fill_forward
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.tasks.fitting import Fitting, at
from gatewise.tasks.rivals import (
    LEAST_BLOCKS,
    LEAST_WINDOWS,
    MOST_NUMBERS,
    MOST_ROWS,
    MOST_VALUES,
    MOST_WINDOWS,
    blocks_of,
    compared,
    spaced,
)

LOOKBACK = 32
"""Rows of a window, if the model carries its context."""

MOST_SPLITS = 200
"""Limit on outputs * (columns + `TREE`) of boosted trees, which take about a second for 100 of these."""

TREE = 25
"""The columns that take as long as a tree without any."""

MOST_PRODUCTS = 20_000_000
"""Limit on the values of all windows times the classes of a logistic regression, which then takes a few seconds."""

LEAST_NATS = 0.01
"""A smaller gain in log loss is not told: it is a change of the probability of the right class by one in a hundred."""

LEAST_PROBABILITY = float(np.finfo(np.float32).eps)
"""A smaller probability counts as this one, so that a single answer does not decide the comparison."""


@dataclass(frozen=True)
class Question:
    """What the model and the methods are asked.

    Attributes:
        targets: (rows,) the answers: numbers, or numbers of classes.
        known: (rows,) bool, whether there is an answer.
        classes: number of classes; None = the answers are numbers.
        error: a function of targets (n,) and of answers in the form of `Method.predict` that gives the errors (n,).
        measure, unit, root, least: as for `gatewise.tasks.rivals.better`.
        loss: "squared" or "absolute", the error that the methods minimise; not used for classes.
    """

    targets: Array
    known: Array
    classes: int | None
    error: Callable[[Array, Array], Array]
    measure: str
    unit: str = ""
    root: bool = False
    least: float = 0.0
    loss: str = "squared"

    @property
    def estimator(self) -> type[Answers]:
        """The estimator of `gatewise.baselines` for this question."""
        return Regressor if self.classes is None else Classifier


def number(wanted: Array, name: str, loss: str) -> Question:
    """The question of a regressor.

    Args:
        wanted: (rows,) float64, NaN where there is no answer.
        name: name of the target.
        loss: "squared" to compare by the root mean squared error, "absolute" by the mean absolute error.
    """
    absolute = loss == "absolute"
    measure = f"a {'mean absolute' if absolute else 'root mean squared'} error, in the units of {name!r},"

    def error(known: Array, found: Array) -> Array:
        return np.asarray(np.abs(known - found[:, 0]) ** (1 if absolute else 2))

    return Question(wanted, np.isfinite(wanted), None, error, measure, root=not absolute, loss=loss)


def label(numbers: Array, missing: int, classes: int) -> Question:
    """The question of a classifier, which is compared by the log loss, the mean of -log p(class).

    Args:
        numbers: (rows,) int, the number of the class, `missing` where there is no answer.
        missing: the number that stands for no answer.
        classes: number of classes.
    """
    return Question(numbers, numbers != missing, classes, log_loss, "a log loss", "nats", least=LEAST_NATS)


def log_loss(known: Array, found: Array) -> Array:
    """The negative logarithm of the probability of the right class in nats, (n,), of probabilities (n, classes)."""
    right = found[np.arange(len(known)), known].astype(np.float64)
    return np.asarray(-np.log(np.maximum(right, LEAST_PROBABILITY)))


def answer_rivals(model: Model, fitting: Fitting, question: Question) -> list[str]:
    """A warning if a simple method is better than a model on the held-out rows.

    Compared are those methods of `gatewise.baselines.suitable` that take little time: see `quick`. They are fitted to
    at most `MOST_WINDOWS` windows, and compared at no more than `MOST_ROWS` rows.

    Args:
        model: the trained model, relative to the constants that are subtracted from the table.
        fitting: the data of the fit.
        question: what is asked.
    """
    table, parts = fitting.table, fitting.parts
    shortest = min(span.calibration - span.training for span in parts.spans)
    L = min(model.window or LOOKBACK, MOST_VALUES, shortest)
    values = np.full_like(table.values, np.nan)
    training, held_out = [], []
    for span in parts.spans:
        values[span.training : span.calibration] = fill_forward(table.values[span.training : span.calibration])
        first = span.training + L - 1
        training.append(np.arange(first, span.validation))
        held_out.append(np.arange(max(first, span.validation), span.calibration))
    numbers = L * table.values.shape[1]
    most = max(LEAST_WINDOWS, min(MOST_WINDOWS, MOST_NUMBERS // numbers))
    to_fit, rows = (
        ends[finite(windows_at(values, ends, L))] if len(ends) else ends
        for ends in (
            spaced(each[question.known[each]], count)
            for each, count in ((np.concatenate(training), most), (np.concatenate(held_out), MOST_ROWS))
        )
    )
    starts = np.array([span.training for span in parts.spans])

    def series(of: Array) -> Array:
        return np.searchsorted(starts, of, side="right") - 1

    if not len(to_fit) or not len(rows):
        return []
    blocks = series(rows) if parts.share is None else blocks_of(rows, starts, L)
    if len(np.unique(blocks)) < LEAST_BLOCKS:
        return []
    kind = REGRESSION if question.classes is None else CLASSIFICATION
    methods = suitable(kind, lookback=L, classes=question.classes, loss=question.loss)
    return compared(
        [each for each in methods if quick(each, len(to_fit), L, table.values.shape[1])],
        (windows_at(values, to_fit, L), question.targets[to_fit], series(to_fit)),
        (windows_at(values, rows, L), question.targets[rows]),
        _answers(model, fitting, rows),
        question.error,
        blocks,
        question.measure,
        question.unit,
        question.estimator,
        lookback=L,
        root=question.root,
        least=question.least,
    )


def quick(method: Method, windows: int, lookback: int, columns: int) -> bool:
    """Whether a method takes no more than a few seconds.

    Boosted trees take long if there are many columns or classes, and a logistic regression if the windows have many
    values and there are many classes. Other methods are always quick.
    """
    outputs = 1 if method.classes in (None, 2) else int(method.classes or 1)
    if method.name == "logistic":
        return min(windows * lookback * columns, MOST_OF_LOGISTIC) * outputs <= MOST_PRODUCTS
    if method.name in ("trees_last", "trees_window"):
        read = columns if method.name == "trees_last" else len(FEATURES) * columns
        passes = 2 if method.kind == REGRESSION and getattr(method, "loss", "") == "absolute" else 1
        return passes * outputs * (read + TREE) <= MOST_SPLITS
    return True


def _answers(model: Model, fitting: Fitting, rows: Array) -> Array:
    """What the model answers at some rows, (n, outputs) float32."""
    table = fitting.table
    found = []
    for span in fitting.parts.spans:
        own = rows[(rows >= span.training) & (rows < span.calibration)]
        if len(own):
            # A window reaches back a known number of rows; a carried context reaches back to the first row.
            start = span.training if model.window is None else max(span.training, own[0] - model.window + 1)
            of = slice(start, own[-1] + 1)
            x = fitting.layout.inputs(table.values[of], at(table.times, of))
            found.append(np.asarray(model.run(x))[own - start])
    return np.concatenate(found)
