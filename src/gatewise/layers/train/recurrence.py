"""Recurrent layers over whole sequences on the CPU: one torch operator and its gradient, run by the native core.

On the CPU, torch has a fused kernel for its LSTM only. A GRU or a plain recurrent layer is recorded as thousands of
small operations, each with its own backward. Here a layer is computed natively as a whole (`layers/*/kernel_train.c`),
forward and backward, in float32 and float64. This includes the large matrix products, which then find their rows in the
cache and need no second team of threads.

`torch.ops.gatewise.recurrence` is registered with `torch.library`, with a fake kernel, so that it can be traced and
compiled. `torch.library.custom_op` would be simpler, but doubles the time of a call, by about as much as a short
sequence of a small model takes.
"""
# mypy: allow-untyped-calls
# torch.library has no annotations.

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from gatewise import _core
from gatewise.errors import InputError
from gatewise.layers.base import Layer
from gatewise.layers.train import live_steps, traced
from gatewise.layers.train.threads import shares_of, team

NATIVE = (torch.float32, torch.float64)
"""The dtypes of the native kernels."""

NOT_FUSED = ("cpu",)
"""Device types with native kernels, on which torch's own recurrent layers are not used."""

Cell = Callable[..., tuple[Tensor, ...]]
"""cell(sums, *state) -> the state after one step: sums (batch, rows), the fields of the state (batch, width)."""

Fused = Callable[..., tuple[Tensor, ...]]
"""fused(x, states, tensors, train) -> out, *last: torch's own layer, with a leading axis of one layer in each state.

Backward needs train=True, because otherwise cuDNN does not save anything for it."""

library = torch.library.Library("gatewise", "DEF")
library.define(
    "recurrence(str kind, float[] options, Tensor x, Tensor[] first, Tensor[] tensors, Tensor? lengths, "
    "Tensor? resets, bool keep) -> Tensor[]"
)
library.define(
    "recurrence_backward(str kind, float[] options, Tensor x, Tensor[] first, Tensor[] tensors, Tensor? lengths, "
    "Tensor? resets, Tensor out, Tensor saved, Tensor d_out, Tensor[] d_last, bool wants_x) -> Tensor[]"
)

_off: ContextVar[bool] = ContextVar("gatewise_without_kernels", default=False)


@contextmanager
def without_kernels() -> Iterator[None]:
    """A context in which recurrent layers and `scan` run in torch alone, also on the CPU.

    This is slower but has derivatives of any order. It applies to forward runs in the current thread.
    """
    token = _off.set(True)
    try:
        yield
    finally:
        _off.reset(token)


def native(x: Tensor, dtypes: Sequence[torch.dtype] = NATIVE) -> bool:
    """Whether the native kernels support a tensor: it must be on the CPU and have one of the dtypes."""
    return x.device.type == "cpu" and x.dtype in dtypes and not traced() and not _off.get()


def recurrence(
    layer: Layer,
    cell: Cell,
    x: Tensor,
    first: Sequence[Tensor],
    tensors: Sequence[Tensor],
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    fused: Fused | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Run a recurrent layer over whole sequences, natively if possible, else in torch.

    Args:
        layer: the kind and its options.
        cell: one step in torch, for devices and dtypes without native kernels. Its argument `sums` is the product of
            the first tensor and x, without biases.
        x: (batch, time, inputs); values beyond the end of a row are arbitrary.
        first: the fields of the state (batch, width) before the first step; the first field is the layer's output.
        tensors: all tensors of the layer, in the order of its spec.py: the first is the input matrix (rows, inputs).
        lengths: (batch,) whole numbers, the number of steps in each row; None = all.
        resets: (batch, time) bool, True at steps before which the state is set to zero; None = no resets.
        fused: torch's own layer, if it supports the options; other devices use it for full rows.

    Returns:
        out (batch, time, R), arbitrary beyond the end of a row, and the state at each row's end.
    """
    x = x.to(first[0].dtype)  # under autocast the result of a product is narrower than the state
    if not native(x):
        if fused and lengths is None and resets is None and _takes_fused(x):
            out, *last = fused(x, [field[None] for field in first], list(tensors), torch.is_grad_enabled())
            return out, [field[0] for field in last]
        return step_by_step(cell, torch.nn.functional.linear(x, tensors[0]), first, lengths, resets)
    lengths = None if lengths is None else lengths.to(torch.int64)
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in (x, *first, *tensors))
    keep = keep or torch.autograd.forward_ad._current_level >= 0  # autograd then raises an error with a clear message
    out, *last = torch.ops.gatewise.recurrence(
        layer.kind, layer.native(), x, list(first), list(tensors), lengths, resets, keep
    )
    return out, last[: len(first)]


def _takes_fused(x: Tensor) -> bool:
    """Whether torch's own layers are used: on other devices, and in exported graphs, which become shorter with them.

    They are not used within transforms of `torch.func`, which do not support them.
    """
    if traced():
        return torch.compiler.is_compiling() or not torch._C._are_functorch_transforms_active()
    return x.device.type not in NOT_FUSED and not _off.get()


def step_by_step(
    cell: Cell, sums: Tensor, first: Sequence[Tensor], lengths: Tensor | None = None, resets: Tensor | None = None
) -> tuple[Tensor, list[Tensor]]:
    """Compute the same as `recurrence` step by step in torch, on any device."""
    state, out = list(first), []
    live = None if lengths is None else live_steps(lengths, sums.shape[1])  # (batch, time)
    for t, step in enumerate(sums.unbind(1)):
        before = state if resets is None else [field.masked_fill(resets[:, t, None], 0.0) for field in state]
        after = cell(step, *before)
        if live is not None:
            after = tuple(torch.where(live[:, t, None], new, old) for new, old in zip(after, state, strict=True))
        state = list(after)
        out.append(state[0])
    return torch.stack(out, 1) if out else sums.new_zeros(*sums.shape[:2], first[0].shape[1]), state


def array(tensor: Tensor | None) -> Any:
    """The values of a tensor as a C-contiguous NumPy array for the native core, without a copy if possible."""
    return None if tensor is None else tensor.detach().contiguous().numpy()


def arrays(tensors: Sequence[Tensor]) -> tuple[Any, ...]:
    """`array` of each."""
    return tuple(array(tensor) for tensor in tensors)


# --- the operator -----------------------------------------------------------------------------------------------------


def _saved_size(
    kind: str, options: Sequence[float], x: Tensor, first: Sequence[Tensor], tensors: Sequence[Tensor]
) -> int:
    """How many numbers the kernel saves for backward, for each row and step."""
    rows, hidden = int(tensors[0].shape[0]), int(first[0].shape[1])
    return _core.train_saved(kind, tuple(options), int(x.shape[2]), rows, hidden, x.dtype == torch.float64, None)


def _shares(x: Tensor, tensors: Sequence[Tensor], passes: int) -> int:
    """The number of threads to use for a batch; `passes` is how often every weight is used for a row and step."""
    batch, time, _ = x.shape
    return shares_of(batch, passes * time * sum(tensor.numel() for tensor in tensors))


def _forward(
    kind: str,
    options: Sequence[float],
    x: Tensor,
    first: Sequence[Tensor],
    tensors: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    keep: bool,
) -> list[Tensor]:
    """out, the last states, and the values that are saved for backward, if `keep` is true."""
    results = _fake(kind, options, x, first, tensors, lengths, resets, keep)
    out, *last, saved = results
    given = (array(x), arrays(first), arrays(tensors), array(lengths), array(resets))
    written = (array(out), arrays(last), array(saved) if keep else None)
    _core.train_forward(kind, tuple(options), *given, *written, _shares(x, tensors, 1), team(), None)
    return results


def _fake(
    kind: str,
    options: Sequence[float],
    x: Tensor,
    first: Sequence[Tensor],
    tensors: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    keep: bool,
) -> list[Tensor]:
    """Uninitialised tensors of the shapes that `_forward` returns, for tracing."""
    batch, time, _ = x.shape
    # The large tensor first: if activations are recomputed in segments, its memory is reused by the next segment, and
    # tensors that live longer must not be allocated in it.
    saved = x.new_empty(time, batch, _saved_size(kind, options, x, first, tensors)) if keep else x.new_empty(0)
    out = x.new_empty(batch, time, first[0].shape[1])
    return [out, *(field.new_empty(field.shape) for field in first), saved]


def _backward(
    kind: str,
    options: Sequence[float],
    x: Tensor,
    first: Sequence[Tensor],
    tensors: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    out: Tensor,
    saved: Tensor,
    d_out: Tensor,
    d_last: Sequence[Tensor],
    wants_x: bool,
) -> list[Tensor]:
    """The gradients of x (empty unless needed), the first states and the tensors."""
    shares = _shares(x, tensors, 2)
    d_x = x.new_empty(x.shape if wants_x else 0)
    d_first = [field.new_empty(field.shape) for field in first]
    d_tensors = [tensor.new_zeros(shares, *tensor.shape) for tensor in tensors]  # each share has its own
    _core.train_backward(
        kind,
        tuple(options),
        array(x),
        arrays(first),
        arrays(tensors),
        array(lengths),
        array(resets),
        array(out),
        array(saved),
        array(d_out),
        arrays(d_last),
        array(d_x) if wants_x else None,
        arrays(d_first),
        arrays(d_tensors),
        shares,
        team(),
        None,
    )
    return [d_x, *d_first, *(d[0] if shares == 1 else d.sum(0) for d in d_tensors)]


def _backward_fake(
    kind: str,
    options: Sequence[float],
    x: Tensor,
    first: Sequence[Tensor],
    tensors: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    out: Tensor,
    saved: Tensor,
    d_out: Tensor,
    d_last: Sequence[Tensor],
    wants_x: bool,
) -> list[Tensor]:
    """Uninitialised tensors of the shapes that `_backward` returns."""
    return [x.new_empty(x.shape if wants_x else 0), *(value.new_empty(value.shape) for value in (*first, *tensors))]


class _Recurrence(torch.autograd.Function):
    """`recurrence` with its gradient: (kind, options, states, lengths, resets, x, *first, *tensors)."""

    @staticmethod
    def forward(
        ctx: Any,
        kind: str,
        options: Sequence[float],
        states: int,
        lengths: Tensor | None,
        resets: Tensor | None,
        x: Tensor,
        *rest: Tensor,
    ) -> tuple[Tensor, ...]:
        with torch._C._AutoDispatchBelowAutograd():
            found = torch.ops.gatewise.recurrence(kind, options, x, rest[:states], rest[states:], lengths, resets, True)
        ctx.save_for_backward(lengths, resets, found[0], found[-1], x, *rest)
        ctx.kind, ctx.options, ctx.states = kind, options, states
        ctx.mark_non_differentiable(found[-1])
        ctx.set_materialize_grads(False)  # the saved values have no gradient, and they are large
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *d_results: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise InputError(
                f"the native {ctx.kind} has no second derivative, as create_graph=True asks for; "
                "run the model within gatewise.train.without_kernels()"
            )
        lengths, resets, out, saved, x, *rest = ctx.saved_tensors
        first, tensors = rest[: ctx.states], rest[ctx.states :]
        ends = zip((out, *first), d_results[: 1 + ctx.states], strict=True)
        d_out, *d_last = (torch.zeros_like(value) if d is None else d for value, d in ends)
        wants_x = ctx.needs_input_grad[5]
        d_x, *found = torch.ops.gatewise.recurrence_backward(
            ctx.kind, ctx.options, x, first, tensors, lengths, resets, out, saved, d_out, d_last, wants_x
        )
        return (None, None, None, None, None, d_x if wants_x else None, *found)


def _autograd(
    kind: str,
    options: Sequence[float],
    x: Tensor,
    first: Sequence[Tensor],
    tensors: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    keep: bool,
) -> list[Tensor]:
    if keep:
        return list(_Recurrence.apply(kind, options, len(first), lengths, resets, x, *first, *tensors))
    with torch._C._AutoDispatchBelowAutograd():
        found: list[Tensor] = torch.ops.gatewise.recurrence(kind, options, x, first, tensors, lengths, resets, False)
    return found


library.impl("recurrence", _forward, "CPU")
library.impl("recurrence", _autograd, "Autograd")
library.impl("recurrence_backward", _backward, "CPU")
torch.library.register_fake("gatewise::recurrence", _fake, lib=library)
torch.library.register_fake("gatewise::recurrence_backward", _backward_fake, lib=library)
