"""The tasks of `memory_tasks.py`: random rows, the wanted answers, and the scores.

Adding (Hochreiter & Schmidhuber 1997, "Long Short-Term Memory"; marks as in Arjovsky, Shah & Bengio 2016): a number
from 0 to 1 at each step, of which one in the first half and one in the second half are marked. The answer at the last
step is their sum.

Copy (Arjovsky, Shah & Bengio 2016, "Unitary Evolution Recurrent Neural Networks", arXiv 1511.06464): three symbols,
then as many blanks as the lag, then three times the sign to answer. The answer is the symbols in their order.

Selective copy (Gu & Dao 2023, "Mamba", arXiv 2312.00752): as copy, but the three symbols are at random steps within the
lag.

Parity: a random bit at each step. The answer at each step is whether the number of ones so far is odd. The training
uses every step, the score only the second half.

Delayed recall: a marked symbol at the first step, then as many other symbols as the lag, which do not matter, then the
sign to answer. The answer is the first symbol.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SYMBOLS = 4
COUNT = 3
"""Symbols to copy."""


class Batch(NamedTuple):
    """Rows of a task.

    Attributes:
        x: float32 (rows, time, inputs).
        y: the wanted answers at the last steps (rows, answers): int64 classes, or float32 numbers.
        scored: how many of these answers, the last ones, are scored.
    """

    x: Array
    y: Array
    scored: int


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        inputs: the number of inputs at each step.
        outputs: the number of classes, or 1 if the answer is a number.
        chance: the score of the best answer that does not look at x.
        sample: (generator, rows, lag) -> Batch.
        variance: of the wanted number.
    """

    inputs: int
    outputs: int
    chance: float
    sample: Callable[[np.random.Generator, int, int], Batch]
    variance: float = 0.0

    def score(self, out: Array, batch: Batch) -> float:
        """The share of classes that are right or, of numbers, 1 - mean squared error / variance.

        Args:
            out: the outputs of the model at the last steps (rows, answers, outputs); the largest one is the class.
            batch: the rows with their wanted answers.
        """
        out, y = out[:, -batch.scored :], batch.y[:, -batch.scored :]
        if self.outputs == 1:
            return float(1 - ((out[:, :, 0].astype(float) - y) ** 2).mean() / self.variance)
        return float((out.argmax(-1) == y).mean())


def adding(rng: np.random.Generator, rows: int, lag: int) -> Batch:
    """Inputs: the number, 1 where it is marked."""
    x = np.zeros((rows, lag, 2), np.float32)
    x[:, :, 0] = rng.uniform(0, 1, (rows, lag))
    every, half = np.arange(rows), lag // 2
    x[every, rng.integers(0, half, rows), 1] = 1
    x[every, rng.integers(half, lag, rows), 1] = 1
    return Batch(x, x.prod(-1).sum(-1, keepdims=True), 1)


def copy(rng: np.random.Generator, rows: int, lag: int) -> Batch:
    """Inputs: one for each symbol, then the blank and the sign to answer; one of them is 1."""
    symbols = rng.integers(0, SYMBOLS, (rows, COUNT))
    return _recalled(symbols, np.broadcast_to(np.arange(COUNT), symbols.shape), COUNT + lag)


def selective_copy(rng: np.random.Generator, rows: int, lag: int) -> Batch:
    """Inputs as those of `copy`."""
    symbols = rng.integers(0, SYMBOLS, (rows, COUNT))
    places = np.sort(rng.permuted(np.tile(np.arange(lag), (rows, 1)), axis=1)[:, :COUNT], axis=1)
    return _recalled(symbols, places, lag)


def _recalled(symbols: Array, places: Array, time: int) -> Batch:
    """Symbols (rows, COUNT) at the given places (rows, COUNT), blanks at all other steps, then COUNT signs."""
    x = np.full((len(symbols), time + COUNT), SYMBOLS)
    np.put_along_axis(x, places, symbols, 1)
    x[:, time:] = SYMBOLS + 1
    return Batch(np.eye(SYMBOLS + 2, dtype=np.float32)[x], symbols, COUNT)


def parity(rng: np.random.Generator, rows: int, lag: int) -> Batch:
    """Inputs: 1 where the bit is 0, 1 where it is 1."""
    bits = rng.integers(0, 2, (rows, lag))
    return Batch(np.eye(2, dtype=np.float32)[bits], bits.cumsum(1) % 2, lag - lag // 2)


def delayed_recall(rng: np.random.Generator, rows: int, lag: int) -> Batch:
    """Inputs: one for each symbol, then the mark and the sign to answer."""
    symbols = rng.integers(0, SYMBOLS, (rows, 1 + lag))
    x = np.zeros((rows, lag + 2, SYMBOLS + 2), np.float32)
    x[:, :-1, :SYMBOLS] = np.eye(SYMBOLS, dtype=np.float32)[symbols]
    x[:, 0, SYMBOLS] = 1
    x[:, -1, SYMBOLS + 1] = 1
    return Batch(x, symbols[:, :1], 1)


TASKS = {
    "adding": Task(2, 1, 0.0, adding, variance=1 / 6),  # two independent numbers, each of variance 1/12
    "copy": Task(SYMBOLS + 2, SYMBOLS, 1 / SYMBOLS, copy),
    "selective copy": Task(SYMBOLS + 2, SYMBOLS, 1 / SYMBOLS, selective_copy),
    "parity": Task(2, 2, 0.5, parity),
    "delayed recall": Task(SYMBOLS + 2, SYMBOLS, 1 / SYMBOLS, delayed_recall),
}
