"""The gradient by lag of detectors that differ only in their recurrence: GRU, RNN and LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gatewise.figures.gradients import shares_by_lag
from gatewise.layers.base import Array
from gatewise.measure.gradients import gradient_by_lag
from gatewise.model import Model, init
from gatewise.tasks.detector import Detector
from gatewise.train import to_torch
from gatewise.train.process import torch_settings

LAGS = 60
WARM_UP = 60
"""Number of months before the largest lag, which warm the state up."""

STRIDE = 3
"""Number of months between two positions."""


@dataclass(frozen=True)
class LagCurve:
    """The gradient norm of one recurrence by lag, for each position from which lags are counted.

    Attributes:
        name: "GRU", "RNN" or "LSTM".
        trained: (positions, lags + 1) after training.
        untrained: (positions, lags + 1) before training.
    """

    name: str
    trained: Array
    untrained: Array

    @cached_property
    def medians(self) -> tuple[Array, Array]:
        """Medians over the positions, relative to lag 0, after training and before: (lags + 1,) each."""
        return shares_by_lag(self.trained)[1], shares_by_lag(self.untrained)[1]


def lag_curves(detectors: Sequence[Detector], readings: Array) -> list[LagCurve]:
    """The curves of detectors that differ only in their recurrence, over the months their weights were trained on.

    Args:
        detectors: fitted on the same months.
        readings: (months,) the readings on which they were fitted, degrees Celsius.
    """
    curves = []
    for detector in detectors:
        known = np.asarray(readings, np.float32)[: detector.split_.training]
        span = min(WARM_UP + LAGS + 1, len(known))
        windows = np.lib.stride_tricks.sliding_window_view(known, span)[
            ::-STRIDE, :, None
        ].copy()  # (positions, span, 1)
        model, seed = detector.model_, int(detector.random_state)
        with torch_settings(seed, threads=1):  # too small for a second thread to help
            trained, untrained = (
                gradient_by_lag(to_torch(each), windows, LAGS) for each in (model, _before(model, seed))
            )
        curves.append(LagCurve(detector.recurrence.upper(), trained, untrained))
    return curves


def _before(model: Model, seed: int) -> Model:
    """The model before its training, with its scaling."""
    scaling = {name: value for name, value in model.tensors.items() if name.startswith("input.")}
    untrained = init(model.spec, seed)
    return untrained.replace(tensors={**untrained.tensors, **scaling})
