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
from collections.abc import Mapping
from typing import Any

import numpy as np

from gatewise.errors import InputError, MissingExtraError
from gatewise.layers.base import Array

try:
    import torch
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtraError("gradients need torch: pip install 'gatewise[train]'") from error
from torch import Tensor

from gatewise.nn import Recurrent

ROWS = 512
"""Rows in one pass: more would cost memory, fewer time."""

PROBE = 2
"""Windows in the run that finds out which axis is which; 3 where there are as many steps as that."""

KINDS = (torch.nn.RNNBase, torch.nn.RNNCellBase, Recurrent)
"""Modules that are known to be recurrent."""

HOW = (
    "pass layer=, the recurrent layer inside or its name, as in layer='encoder.lstm'; or let the module return (y, "
    "state), where state is a tensor (layers, batch, units), a tuple that starts with one, or a dict with a field "
    "called 'hidden'"
)


def gradient_by_lag(
    module: torch.nn.Module,
    windows: Array | Tensor,
    lags: int,
    column: int | None = None,
    layer: str | torch.nn.Module | None = None,
) -> Array:
    """G_T(k), the Frobenius norm of dh_T / dx_{T-k}, for k = 0 .. lags, where T is the last step of each window.

    Costs about what H sequences a window cost, forward and backward, in float64. The module itself is left as it is.

    The hidden state h is that of the recurrent layer, when it has run over the window:

    * of `torch.nn.RNN`, `LSTM` and `GRU` the state of the top layer, of a bidirectional one in its forward direction;
      of a cell, what it returns last;
    * of what `gatewise.train.to_torch` makes of a model, every state field whose name begins with "hidden".

    It is the module itself or the one such layer inside it. Where there is none, or are several, `layer` says which, or
    the module returns its state beside its answer.

    Args:
        module: a torch module that takes windows, (windows, time, inputs) or (time, windows, inputs), which is found
            out, and starts from a zero state.
        windows: readings (windows, time, inputs), with time > lags. The steps before the last lags + 1 bring the
            state up.
        lags: the largest k.
        column: the one input whose gradient is taken; None = all of them.
        layer: the recurrent layer inside the module, or its name as `named_modules` has it; the module itself is "". A
            layer that is not torch's must return its state, (batch, units), or (y, state) as a module may.

    Returns:
        float64 (windows, lags + 1): row T, column k.

    Raises:
        InputError: windows of another shape or too short; a module that does not take them, or whose state is not
            found or does not depend on them; a layer that is not in the module.
    """
    x = torch.as_tensor(windows).detach().to("cpu", torch.float64).clone()  # (windows, time, inputs)
    if x.ndim != 3 or not 0 <= lags < x.shape[1]:
        raise InputError(
            f"gradient_by_lag needs windows (windows, time, inputs) with time > lags = {lags}, got {tuple(x.shape)}; "
            "take longer windows or fewer lags"
        )
    if column is not None and not 0 <= column < x.shape[2]:
        raise InputError(f"column must be 0 to {x.shape[2] - 1}, got {column}")
    name = _name_of(module, layer)
    measured = _Measured(copy.deepcopy(module).to("cpu", torch.float64).eval().requires_grad_(False), name)
    with torch.no_grad():
        units = measured.probe(x)
    squares = torch.zeros(x.shape[0], lags + 1, dtype=torch.float64)
    at_once = max(1, ROWS // max(1, x.shape[0]))
    for first in range(0, units, at_once):
        # A row for each unit and window: rows do not touch one another, so that the gradient of the sum over all of
        # them holds the gradient of each, and one pass serves many units.
        some = torch.arange(first, min(first + at_once, units))
        rows = x.repeat(len(some), 1, 1).requires_grad_()  # (some * windows, time, inputs)
        with torch.enable_grad():
            h = measured(rows).view(len(some), x.shape[0], units)
            total = h[torch.arange(len(some)), :, some].sum()
        if not total.requires_grad:
            raise InputError("the hidden state does not depend on the windows by operations that have a gradient")
        (gradient,) = torch.autograd.grad(total, rows)
        recent = gradient.view(len(some), *x.shape).flip(2)[:, :, : lags + 1]
        squares += (recent if column is None else recent[..., column : column + 1]).square().sum((0, 3))
    return np.asarray(squares.sqrt().numpy(), np.float64)


class _Measured:
    """A module from whose runs the hidden state of its recurrent layer is taken.

    Args:
        module: what is run.
        name: of the layer inside; None = the module returns its state.
    """

    def __init__(self, module: torch.nn.Module, name: str | None) -> None:
        self._module = module
        self._layer = None if name is None else module.get_submodule(name)
        self._time_first = False
        self._found: Any = None
        if self._layer is not None:
            self._layer.register_forward_hook(self._keep)

    def __call__(self, rows: Tensor) -> Tensor:
        """h (batch, units) after rows (batch, time, inputs)."""
        self._found = None
        returned = self._module(rows.transpose(0, 1) if self._time_first else rows)
        if self._layer is None:
            return _hidden(returned, len(rows), None)
        if self._found is None:
            raise InputError(f"the layer {type(self._layer).__name__} is not called when the module runs; {HOW}")
        return _hidden(self._found, len(rows), self._layer)

    def probe(self, x: Tensor) -> int:
        """Find out whether the module takes (batch, time, inputs) or (time, batch, inputs); the number of units."""
        batch = PROBE if x.shape[1] != PROBE else PROBE + 1
        rows = x[:1].expand(batch, -1, -1) if len(x) else x.new_zeros(batch, *x.shape[1:])
        refused: list[Exception] = []
        layer = self._module if self._layer is None else self._layer
        likely = isinstance(layer, torch.nn.RNNBase) and not layer.batch_first
        for time_first in (likely, not likely):
            self._time_first = time_first
            try:
                return self(rows).shape[1]
            except Exception as error:
                refused.append(error)
        if not_found := [error for error in refused if isinstance(error, InputError)]:
            several = _recurrent(self._module) if self._layer is None else []
            raise InputError(f"{not_found[0]}{f'; it has the layers {several}' if several else ''}")
        first, second = tuple(rows.shape), tuple(rows.transpose(0, 1).shape)
        kind = type(refused[0]).__name__
        raise InputError(
            f"the module takes float64 windows neither as {first} nor, time first, as {second}: {kind}: {refused[0]}"
        ) from refused[0]

    def _keep(self, layer: torch.nn.Module, given: Any, returned: Any) -> None:
        self._found = returned


def _name_of(module: object, layer: str | torch.nn.Module | None) -> str | None:
    """The name of the recurrent layer in the module; None where its returned state is to be taken."""
    if not isinstance(module, torch.nn.Module):
        kind = type(module).__name__
        raise InputError(
            f"gradient_by_lag takes a torch module, got {kind}; gatewise.train.to_torch makes one of a model"
        )
    named = dict(module.named_modules())
    if layer is not None:
        found: list[str] = [
            name for name, part in named.items() if (name == layer if isinstance(layer, str) else part is layer)
        ]
        if not found:
            what = repr(layer) if isinstance(layer, str) else type(layer).__name__
            raise InputError(f"the module has no layer {what}; its modules are {', '.join(map(repr, named))}")
        return found[0]
    known = _recurrent(module)
    return known[0] if len(known) == 1 else None


def _recurrent(module: torch.nn.Module) -> list[str]:
    """Names of the recurrent layers in a module that are in no other of them."""
    known = [name for name, part in module.named_modules() if isinstance(part, KINDS)]
    return [name for name in known if not any(_within(name, other) for other in known)]


def _within(name: str, other: str) -> bool:
    return name != other and (not other or name.startswith(f"{other}."))


def _hidden(returned: Any, batch: int, layer: torch.nn.Module | None) -> Tensor:
    """The hidden state (batch, H) in what a recurrent layer or, with None, the module returns."""
    first, state = returned if isinstance(returned, (tuple, list)) and len(returned) == 2 else (returned, None)
    flat = isinstance(first, Tensor) and first.ndim == 2 and len(first) == batch
    if layer is not None and flat and (state is None or isinstance(layer, torch.nn.RNNCellBase)):
        return torch.as_tensor(first)
    if isinstance(state, Mapping):
        fields = [value for name, value in state.items() if name.rpartition(".")[2].startswith("hidden")]
        if fields and all(len(value) == batch for value in fields):
            return torch.cat(fields, dim=1)
    if isinstance(state, (tuple, list)) and state:  # LSTM: (h, c)
        state = state[0]
    if isinstance(state, Tensor) and state.ndim == 3 and state.shape[1] == batch:  # (layers, batch, H)
        both = isinstance(layer, torch.nn.RNNBase) and layer.bidirectional
        return state[-2 if both else -1]
    # Of two that are alike, (h, c) of a cell or (y, h) of a step, none is known to be the hidden state.
    if layer is not None and not flat and isinstance(state, Tensor) and state.ndim == 2 and len(state) == batch:
        return state
    raise InputError(f"no hidden state is found in what the {_what(layer)} returns, {_kind(returned)}; {HOW}")


def _what(layer: torch.nn.Module | None) -> str:
    return "module" if layer is None else f"layer {type(layer).__name__}"


def _kind(value: Any) -> str:
    """What was returned, for a message."""
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(_kind(part) for part in value)})"
    return type(value).__name__
