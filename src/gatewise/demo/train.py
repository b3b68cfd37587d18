"""The gradient by lag of a plain RNN and an LSTM, trained in plain torch beside the detector's GRU, and of that GRU.

What they share with the GRU: the months trained on and those that choose the weights, the number of units, the Student
t likelihood of the head, AdamW with warm-up and cosine, clipping, and the start: recurrent weights orthogonal gate by
gate, other weights Glorot uniform, biases zero (but the forget bias of the LSTM, which is 1: Jozefowicz, Zaremba and
Sutskever 2015).
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatewise.demo.findings import LagCurve
from gatewise.layers.base import Array
from gatewise.measure.gradients import gradient_by_lag
from gatewise.model import init
from gatewise.tasks.detector import Detector
from gatewise.train import to_torch
from gatewise.train.process import torch_settings

LAGS = 60
WARM_UP = 60
"""Months before the largest lag, to bring the state up."""

STRIDE = 3
"""Months between two positions."""

DEFAULT_STEPS = 2000
LEARNING_RATE = 3e-3
BATCH = 4
WINDOW = 64
LOOK_EVERY = 25
PATIENCE = 20


class Plain(torch.nn.Module):
    """A torch recurrence, "RNN" or "LSTM", and a linear layer to location and log scale, as the detector has them."""

    def __init__(self, kind: str, units: int) -> None:
        super().__init__()
        self.recurrence: torch.nn.RNNBase = getattr(torch.nn, kind)(1, units, batch_first=True)
        self.forecast = torch.nn.Linear(units, 2)
        for name, parameter in self.named_parameters():
            if "weight_hh" in name:
                for gate in parameter.data.split(units):  # type: ignore[no-untyped-call]
                    torch.nn.init.orthogonal_(gate)
            elif "weight" in name:
                for gate in parameter.data.split(units):  # type: ignore[no-untyped-call]
                    torch.nn.init.xavier_uniform_(gate)
            else:
                torch.nn.init.zeros_(parameter)
        if kind == "LSTM":  # gates i, f, g, o
            self.recurrence.bias_ih_l0.data[units : 2 * units] = 1.0

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Scaled readings (batch, time, 1) -> forecasts (batch, time, 2), and the state."""
        h, after = self.recurrence(x, state)
        return self.forecast(h), after


def lag_curves(detector: Detector, readings: Array, seed: int, steps: int | None) -> list[LagCurve]:
    """The curves of RNN, LSTM and GRU, before and after training, over the months the weights were trained on.

    Args:
        detector: fitted; its GRU is the third.
        readings: (months,) what it was fitted on, degrees Celsius.
        seed: of the plain networks.
        steps: updates of their training; None = 2,000.
    """
    model, split = detector.model_, detector.split_
    untrained = init(model.spec, seed)
    scaling = {name: value for name, value in model.tensors.items() if name.startswith("input.")}
    untrained = untrained.replace(tensors={**untrained.tensors, **scaling})
    raw = np.asarray(readings, np.float32)[: split.training + split.validation]
    scaled = (raw - model.tensors["input.offset"]) / model.tensors["input.scale"]
    head: Any = to_torch(model).head
    curves = []
    with torch_settings(seed, threads=1):  # so small that a second thread would only be waited for
        for kind in ("RNN", "LSTM"):
            before = Plain(kind, model.spec.nodes[0].options["units"])
            after = train_plain(before, scaled, split.training, head, seed, steps or DEFAULT_STEPS)
            curves.append(_curve(kind, scaled[: split.training], before.recurrence, after.recurrence))
        curves.append(_curve("GRU", raw[: split.training], to_torch(untrained), to_torch(model)))
    return curves


def train_plain(start: Plain, scaled: Array, training: int, head: Any, seed: int, steps: int) -> Plain:
    """A trained copy: the weights that forecast the months after the training part best.

    Args:
        start: the network before training.
        scaled: (months,) float32 readings: the training part, then the part that chooses the weights.
        training: months in the training part.
        head: the torch module of a tail-probability head; its loss is used.
        seed: of the windows drawn.
        steps: updates at most; training ends early when 20 looks bring nothing.
    """
    module = copy.deepcopy(start)
    weights = {"params": [p for p in module.parameters() if p.ndim > 1], "weight_decay": 1e-2}
    biases = {"params": [p for p in module.parameters() if p.ndim == 1], "weight_decay": 0.0}
    optimiser = torch.optim.AdamW([weights, biases])
    series = torch.tensor(scaled)[:, None]  # (months, 1)
    window = min(WINDOW, training - 1)
    rng = np.random.default_rng(seed)
    best, least, stale = start, math.inf, 0
    for step in range(steps):
        begins = torch.from_numpy(rng.integers(training - window, size=(BATCH, 1)))
        drawn = series[begins + torch.arange(window + 1)]  # (batch, window + 1, 1)
        loss = _loss(module, drawn, head).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * _schedule(step / steps)
        optimiser.step()
        optimiser.zero_grad()
        if step % LOOK_EVERY == LOOK_EVERY - 1 or step == steps - 1:
            with torch.no_grad():
                held_out = float(_loss(module, series[None], head)[:, training - 1 :].mean())
            stale += 1
            if held_out < least:
                best, least, stale = copy.deepcopy(module), held_out, 0
            if stale == PATIENCE:
                break
    return best


def _loss(module: Plain, series: Tensor, head: Any) -> Tensor:
    """Losses (batch, time - 1, 1) of the forecasts of each next reading; series (batch, time, 1)."""
    forecasts, _ = module(series[:, :-1])
    target = series[:, 1:]
    losses: Tensor = head.loss(forecasts, target, torch.ones_like(target, dtype=torch.bool))
    return losses


def _schedule(fraction: float) -> float:
    """Linear rise over the first twentieth, then half a cosine down to 0."""
    if fraction < 0.05:
        return max(fraction, 1e-3) / 0.05
    return 0.5 * (1.0 + math.cos(math.pi * (fraction - 0.05) / 0.95))


def _curve(name: str, readings: Array, before: torch.nn.Module, after: torch.nn.Module) -> LagCurve:
    """Medians and the middle 80 % over positions, as shares of lag 0."""
    span = min(WARM_UP + LAGS + 1, len(readings))
    windows = np.lib.stride_tricks.sliding_window_view(readings, span)[::-STRIDE, :, None]  # (positions, span, 1)
    shares = []
    for module in (before, after):
        norms = gradient_by_lag(module, windows.copy(), LAGS)
        shares.append(norms / norms[:, :1])
    low, median, high = np.quantile(shares[1], [0.1, 0.5, 0.9], axis=0)
    return LagCurve(name, len(windows), median, low, high, np.median(shares[0], axis=0))
