"""Measure how far back a recurrence can learn: the gradient of its state with respect to earlier readings.

A recurrence s_t = f(x_t, s_{t-1}) with hidden state h (for an LSTM, s = (h, c)) passes a gradient back k steps through
a product of k Jacobians::

    dh_T / dx_{T-k}  =  dh_T/ds_T  (ds_T/ds_{T-1}) ... (ds_{T-k+1}/ds_{T-k})  ds_{T-k}/dx_{T-k}          (H, I)
    G_T(k)           =  || dh_T / dx_{T-k} ||_F  =  sqrt( sum_ij (dh_T,i / dx_{T-k},j)^2 )

If the Jacobians are contractions, G falls exponentially with the lag k. The gradient then vanishes, and the model
cannot learn from readings that far back. If the Jacobians expand, G grows and the gradient explodes. Hochreiter 1991;
Bengio, Simard and Frasconi 1994, "Learning long-term dependencies with gradient descent is difficult", IEEE Trans.
Neural Networks 5(2); Pascanu, Mikolov and Bengio 2013, "On the difficulty of training recurrent neural networks" (arXiv
1211.5063), eq. 5-7.

The gradient is taken with respect to the reading x rather than the state, so that recurrences with different states
(one vector in a GRU, two in an LSTM) are measured in the same unit: change of the hidden state per unit of the reading.
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
"""Greatest number of rows in one pass. More would take more memory, fewer more time."""

PROBE = 2
"""Number of windows in the run that finds the order of the axes; 3 if the number of steps is the same."""

KINDS = (torch.nn.RNNBase, torch.nn.RNNCellBase, Recurrent)
"""Classes of modules that are known to be recurrent."""

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

    For each window it takes about as long as H sequences, forward and backward, in float64. The module itself is not
    changed.

    The hidden state h is the state of the recurrent layer after the window:

    * for `torch.nn.RNN`, `LSTM` and `GRU`, the state of the top layer, in the forward direction if it is bidirectional;
      for a cell, its last output;
    * for a module that `gatewise.train.to_torch` made, all state fields whose names begin with "hidden".

    The recurrent layer is the module itself or the only such layer inside it. If there is none, or if there are
    several, pass `layer`, or let the module return its state together with its answer.

    Args:
        module: a torch module that takes windows and starts from a zero state. The order of the axes, (windows, time,
            inputs) or (time, windows, inputs), is found automatically.
        windows: readings (windows, time, inputs), with time > lags. The steps before the last lags + 1 warm the state
            up.
        lags: the largest k.
        column: the input with respect to which the gradient is taken; None = all inputs.
        layer: the recurrent layer inside the module, or its name as in `named_modules`; "" is the module itself. A
            layer that is not torch's must return its state, (batch, units), or (y, state) like a module.

    Returns:
        float64 (windows, lags + 1): row T, column k.

    Raises:
        InputError: the windows have another shape or are too short; the module does not accept them; its state is not
            found or does not depend on them; or the layer is not in the module.
    """
    x = torch.as_tensor(windows).detach().to("cpu", torch.float64).clone()  # (windows, time, inputs)
    if x.ndim != 3 or not 0 <= lags < x.shape[1]:
        raise InputError(
            f"gradient_by_lag needs windows (windows, time, inputs) with time > lags = {lags}, got {tuple(x.shape)}; "
            "pass longer windows or fewer lags"
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
        # A row for each unit and window. Rows are independent, so the gradient of the sum over all rows contains the
        # gradient of each, and one pass is enough for many units.
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
    """Runs a module and returns the hidden state of its recurrent layer.

    Args:
        module: the module.
        name: name of the layer inside; None = the module returns its state.
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
        """Find the order of the axes that the module takes, batch or time first, and return the number of units."""
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
    """The name of the recurrent layer in the module; None if the module returns its state."""
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
    """Names of the recurrent layers in a module, without those that are inside another of them."""
    known = [name for name, part in module.named_modules() if isinstance(part, KINDS)]
    return [name for name in known if not any(_within(name, other) for other in known)]


def _within(name: str, other: str) -> bool:
    return name != other and (not other or name.startswith(f"{other}."))


def _hidden(returned: Any, batch: int, layer: torch.nn.Module | None) -> Tensor:
    """The hidden state (batch, H) in the value that a recurrent layer or, with None, the module returns."""
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
    # Two tensors of equal shape may be (h, c) of a cell or (y, h) of a step, so the hidden state is not known.
    if layer is not None and not flat and isinstance(state, Tensor) and state.ndim == 2 and len(state) == batch:
        return state
    raise InputError(f"no hidden state is found in what the {_what(layer)} returns, {_kind(returned)}; {HOW}")


def _what(layer: torch.nn.Module | None) -> str:
    return "module" if layer is None else f"layer {type(layer).__name__}"


def _kind(value: Any) -> str:
    """A description of the returned value, for a message."""
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(_kind(part) for part in value)})"
    return type(value).__name__
