"""How far back a recurrence can learn: the gradient of its state with respect to earlier readings.

A recurrence s_t = f(x_t, s_{t-1}) with hidden state h (for an LSTM, s = (h, c)) passes a gradient back k steps through
a product of k Jacobians::

    dh_T / dx_{T-k}  =  dh_T/ds_T  (ds_T/ds_{T-1}) ... (ds_{T-k+1}/ds_{T-k})  ds_{T-k}/dx_{T-k}          (H, I)
    G_T(k)           =  || dh_T / dx_{T-k} ||_F  =  sqrt( sum_ij (dh_T,i / dx_{T-k},j)^2 )

Where the Jacobians shrink what they multiply, G falls exponentially with the lag k (the gradient vanishes: nothing can
be learnt from so far back); where they stretch it, G grows (it explodes). Hochreiter 1991; Bengio, Simard and Frasconi
1994, "Learning long-term dependencies with gradient descent is difficult", IEEE Trans. Neural Networks 5(2);
Pascanu, Mikolov and Bengio 2013, "On the difficulty of training recurrent neural networks" (arXiv 1211.5063), eq. 5-7.

The gradient ends at the reading x rather than at the state, so that recurrences with different states (one vector in a
GRU, two in an LSTM) are measured in the same unit: change of the hidden state per unit of the reading.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatewise.errors import InputError
from gatewise.layers.base import Array

ROWS = 512
"""Rows in one pass: more would cost memory, fewer time."""


def gradient_by_lag(module: torch.nn.Module, windows: Array | Tensor, lags: int, column: int | None = None) -> Array:
    """G_T(k), the Frobenius norm of dh_T / dx_{T-k}, for k = 0 .. lags, where T is the last step of each window.

    Costs about what H sequences a window cost, forward and backward, in float64. The module itself is left as it is.

    Args:
        module: a batch-first torch module with `forward(x) -> (y, state)` that starts from a zero state:
            `torch.nn.RNN`, `LSTM`, `GRU` (h is the hidden state of the top layer), or what `gatewise.train.to_torch`
            makes of a model (h is every state field whose name begins with "hidden").
        windows: readings (windows, time, inputs), with time > lags. The steps before the last lags + 1 bring the
            state up.
        lags: the largest k.
        column: the one input whose gradient is taken; None = all of them.

    Returns:
        float64 (windows, lags + 1): row T, column k.

    Raises:
        InputError: windows of another shape or too short, or a module that returns no hidden state.
    """
    x = torch.as_tensor(windows).to(torch.float64).clone()  # (windows, time, inputs)
    if x.ndim != 3 or not 0 <= lags < x.shape[1]:
        raise InputError(
            f"gradient_by_lag needs windows (windows, time, inputs) with time > lags = {lags}, got {tuple(x.shape)}; "
            "take longer windows or fewer lags"
        )
    if column is not None and not 0 <= column < x.shape[2]:
        raise InputError(f"column must be 0 to {x.shape[2] - 1}, got {column}")
    measured = copy.deepcopy(module).to(torch.float64).eval()
    with torch.no_grad():
        units = _hidden(measured(x[:1])[1]).shape[1]
    squares = torch.zeros(x.shape[0], lags + 1, dtype=torch.float64)
    at_once = max(1, ROWS // max(1, x.shape[0]))
    for first in range(0, units, at_once):
        # A row for each unit and window: rows do not touch one another, so that the gradient of the sum over all of
        # them holds the gradient of each, and one pass serves many units.
        some = torch.arange(first, min(first + at_once, units))
        rows = x.repeat(len(some), 1, 1).requires_grad_()  # (some * windows, time, inputs)
        with torch.enable_grad():
            h = _hidden(measured(rows)[1]).view(len(some), x.shape[0], units)
            total = h[torch.arange(len(some)), :, some].sum()
        (gradient,) = torch.autograd.grad(total, rows)
        recent = gradient.view(len(some), *x.shape).flip(2)[:, :, : lags + 1]
        squares += (recent if column is None else recent[..., column : column + 1]).square().sum((0, 3))
    return np.asarray(squares.sqrt().numpy(), np.float64)


def _hidden(state: Any) -> Tensor:
    """The hidden state (batch, H) in what a recurrent module returns beside its output."""
    if isinstance(state, dict):
        fields = [value for name, value in state.items() if name.rpartition(".")[2].startswith("hidden")]
        if fields:
            return torch.cat(fields, dim=1)
    if isinstance(state, tuple) and state and isinstance(state[0], Tensor):  # LSTM: (h, c)
        state = state[0]
    if isinstance(state, Tensor) and state.ndim == 3:  # (layers, batch, H)
        return state[-1]
    raise InputError(
        "the module must return (y, state) with a hidden state: a tensor (layers, batch, units), a tuple that starts "
        f"with one, or a dict with a field called 'hidden'; got {type(state).__name__}"
    )
