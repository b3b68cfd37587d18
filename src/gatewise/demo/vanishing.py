"""The vanishing gradient on the task of `recall.py`: a plain RNN that forgets beside an LSTM and a GRU that do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.demo.recall import LOOKBACK, NEAREST, Windows, draw, windows
from gatewise.demo.train import UNITS, begin, fit
from gatewise.layers.base import Array
from gatewise.measure.gradients import gradient_by_lag
from gatewise.model import Model
from gatewise.train import to_torch

KINDS = ("rnn", "lstm", "gru")
STEPS = 1_000
SEEDS = 3
UNSEEN = 10_000
"""Number of windows that measure the errors."""

POSITIONS = 2
"""Number of windows for each lag that measure the gradient."""

SHOWN_LAGS = (5, 10, 20, 50, 99)

FORGOTTEN, REMEMBERED, VANISHED = 0.9, 0.1, 1e-6
"""Errors, as a share of that of an answer that knows only this week, and the share of a gradient; see `Memory`."""

BIN = 5
"""Number of neighbouring lags whose errors are shown together."""


@dataclass(frozen=True)
class Memory:
    """What one recurrence remembers, over S seeds.

    Attributes:
        name: "RNN", "LSTM" or "GRU".
        errors: (S,) mean squared error on unseen windows, as a share of that of an answer which knows only this week.
        by_lag: (S, bins) the same, for windows whose marks are at neighbouring lags.
        gradients: (S * POSITIONS, LOOKBACK) the norm of dh_T / dx_{T-k} for the marked week, by its lag k.
        untrained: (POSITIONS, LOOKBACK) the same for the first seed before training.
        models: the trained models, one for each seed.
    """

    name: str
    errors: Array
    by_lag: Array
    gradients: Array
    untrained: Array
    models: tuple[Model, ...]

    @property
    def forgets(self) -> bool:
        """Whether each seed has forgotten the marked week: the error is that of knowing only this week, and of the
        gradient at lag 1 not a millionth is left at the largest lag.
        """
        return bool((self.errors > FORGOTTEN).all()) and self.left(LOOKBACK - 1) < VANISHED

    @property
    def remembers(self) -> bool:
        """Whether each seed remembers the marked week."""
        return bool((self.errors < REMEMBERED).all())

    def left(self, lag: int) -> float:
        """The gradient at a lag as a share of that at lag 1; the median over windows and seeds."""
        return float(np.median(self.gradients[:, lag] / self.gradients[:, 1]))


def lag_bins() -> Array:
    """The middle of the bins of lags, (bins,)."""
    return np.arange(NEAREST, LOOKBACK, BIN) + (BIN - 1) / 2


def remember(
    kind: str,
    earlier: Array,
    later: Array,
    seeds: Sequence[int],
    steps: int = STEPS,
    learning_rate: float = 0.01,
    start: str = "gatewise",
) -> Memory:
    """Train a recurrence with several seeds on the earlier weeks, and measure what it remembers on the later ones.

    Args:
        kind: "rnn", "lstm" or "gru".
        earlier: (weeks,) the changes to train on.
        later: (weeks,) the changes to measure on.
        seeds: of the trainings.
        steps: number of updates of each training.
        learning_rate: of each training.
        start: how the weights start, see `train.fit`.
    """
    models = tuple(fit(kind, earlier, seed, steps, learning_rate, start) for seed in seeds)
    rng = np.random.default_rng(0)
    unseen = draw(later, UNSEEN, rng)
    squares = np.stack([(answers(model, unseen) - unseen.y) ** 2 for model in models]) / forgotten(later)  # (S, n)
    bins = (unseen.lag - NEAREST) // BIN
    by_lag = np.stack([squares[:, bins == k].mean(axis=1) for k in range(int(bins.max()) + 1)], axis=1)
    marked = _marked(later, rng)
    trained = np.concatenate([_gradients(model, marked) for model in models])
    untrained = _gradients(begin(kind, seeds[0], start), marked)
    return Memory(kind.upper(), squares.mean(axis=1), by_lag, trained, untrained, models)


def answers(model: Model, asked: Windows) -> Array:
    """The answers of a model of `train.fit` after the last week of each window, (n,)."""
    return np.asarray(model.run(asked.x))[:, -1, 0]


def forgotten(changes: Array) -> float:
    """The squared error of the best answer that does not know the marked week: the variance of the changes."""
    return float(np.var(changes, dtype=np.float64))


def _marked(changes: Array, rng: np.random.Generator) -> Windows:
    """Windows for the gradient: `POSITIONS` for each lag from 1."""
    lags = np.tile(np.arange(1, LOOKBACK), POSITIONS)
    starts = rng.integers(0, len(changes) - LOOKBACK + 1, POSITIONS)
    return windows(changes, np.repeat(starts, LOOKBACK - 1), lags)


def _gradients(model: Model, marked: Windows) -> Array:
    """The gradient of the hidden state by the marked change, (POSITIONS, LOOKBACK); at lag 0, by the last change."""
    norms = gradient_by_lag(to_torch(model), marked.x, LOOKBACK - 1, column=0)  # (n, LOOKBACK)
    of_mark = norms[np.arange(len(marked)), marked.lag].reshape(POSITIONS, LOOKBACK - 1)
    now = norms[:, 0].reshape(POSITIONS, LOOKBACK - 1)[:, :1]
    return np.concatenate([now, of_mark], axis=1)


def memory_summary(
    memories: Sequence[Memory], seeds: Sequence[int], steps: int, weeks: tuple[int, int]
) -> dict[str, Any]:
    """What was measured, as plain JSON values.

    Args:
        memories: what each recurrence remembers.
        seeds: of the trainings.
        steps: number of updates of each.
        weeks: number of weeks for the training, and of unseen weeks.
    """
    return {
        "units": UNITS,
        "seeds": list(seeds),
        "steps": steps,
        "weeks": weeks[0],
        "unseen_weeks": weeks[1],
        "windows": UNSEEN,
        "lookback": LOOKBACK,
        "nearest": NEAREST,
        "positions": POSITIONS * len(seeds),
        "lags": list(SHOWN_LAGS),
        **{
            each.name: {
                "error": float(each.errors.mean()),
                "best": float(each.errors.min()),
                "worst": float(each.errors.max()),
                "left": [each.left(lag) for lag in SHOWN_LAGS],
                "solved": int((each.errors < REMEMBERED).sum()),
                "forgets": each.forgets,
                "remembers": each.remembers,
            }
            for each in memories
        },
    }
