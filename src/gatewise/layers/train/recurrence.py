"""Recurrent layers over whole sequences on the CPU: one torch operator and its gradient, run by the native core.

torch fuses only its LSTM on the CPU; a GRU or a plain recurrence is recorded as thousands of small operations, and
walked back one by one. Here all of a layer is native (`layers/*/kernel_train.c`), forward and backward, in float32 and
float64: the loop over time, and the large products beside it, whose rows are then still in the cache, and which need no
second team of threads.

`torch.ops.gatewise.recurrence` is registered with `torch.library`, with a fake kernel, so that it can be traced and
compiled. It is defined there rather than by `torch.library.custom_op`, which does the same in Python at each call and
takes twice as long for it: as long as a short sequence of a small net.
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
"""What the native kernels compute in."""

NOT_FUSED = ("cpu",)
"""Kinds of device where torch's own recurrent layers are not used: there are native kernels."""

Cell = Callable[..., tuple[Tensor, ...]]
"""cell(sums, *state) -> the state after one step: sums (batch, rows), the fields of the state (batch, width)."""

Fused = Callable[..., tuple[Tensor, ...]]
"""fused(x, states, tensors, train) -> out, *last: torch's own layer, with a leading axis of one layer in each state.
With train it has a gradient; cuDNN keeps nothing for one without."""

library = torch.library.Library("gatewise", "DEF")
library.define(
    "recurrence(str kind, float[] options, Tensor x, Tensor[] first, Tensor[] tensors, Tensor? lengths, "
    "Tensor? resets, bool keep) -> Tensor[]"
)
library.define(
    "recurrence_backward(str kind, float[] options, Tensor x, Tensor[] first, Tensor[] tensors, Tensor? lengths, "
    "Tensor? resets, Tensor out, Tensor kept, Tensor d_out, Tensor[] d_last, bool wants_x) -> Tensor[]"
)

_off: ContextVar[bool] = ContextVar("gatewise_without_kernels", default=False)


@contextmanager
def without_kernels() -> Iterator[None]:
    """Within it recurrent layers and `scan` run in torch alone, on the CPU too: slower, with derivatives of any order.

    For this thread, and for what is run forward within it.
    """
    token = _off.set(True)
    try:
        yield
    finally:
        _off.reset(token)


def native(x: Tensor, dtypes: Sequence[torch.dtype] = NATIVE) -> bool:
    """Whether the native kernels take it: float32 or float64, or what else they have, on the CPU."""
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
    """Run a recurrent layer over whole sequences: natively where that is possible, else in torch.

    Args:
        layer: the kind and its options.
        cell: one step in torch, for devices and types that the core does not have, from the input's share of the sums:
            the first tensor times x, without biases.
        x: (batch, time, inputs); what it holds beyond the end of a row has no meaning.
        first: the fields of the state (batch, width) before the first step; the first is what the layer writes.
        tensors: all of the layer, in the order of its spec.py: the first is the matrix of the input (rows, inputs).
        lengths: (batch,) whole numbers, the steps of each row; None = all.
        resets: (batch, time) bool, where the state is zero before the step; None = nowhere.
        fused: torch's own layer, where it can be told all options; other devices run whole rows so.

    Returns:
        out (batch, time, R), of no meaning beyond the end of a row, and the state at each row's end.
    """
    x = x.to(first[0].dtype)  # under autocast what a product has made is narrower than the state
    if not native(x):
        if fused and lengths is None and resets is None and _takes_fused(x):
            out, *last = fused(x, [field[None] for field in first], list(tensors), torch.is_grad_enabled())
            return out, [field[0] for field in last]
        return step_by_step(cell, torch.nn.functional.linear(x, tensors[0]), first, lengths, resets)
    lengths = None if lengths is None else lengths.to(torch.int64)
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in (x, *first, *tensors))
    keep = keep or torch.autograd.forward_ad._current_level >= 0  # which autograd then refuses in words
    out, *last = torch.ops.gatewise.recurrence(
        layer.kind, layer.native(), x, list(first), list(tensors), lengths, resets, keep
    )
    return out, last[: len(first)]


def _takes_fused(x: Tensor) -> bool:
    """Whether torch's own layers are used: on other devices, and in an exported graph, which they keep short.

    Not within transforms of `torch.func`, which do not have them.
    """
    if traced():
        return torch.compiler.is_compiling() or not torch._C._are_functorch_transforms_active()
    return x.device.type not in NOT_FUSED and not _off.get()


def step_by_step(
    cell: Cell, sums: Tensor, first: Sequence[Tensor], lengths: Tensor | None = None, resets: Tensor | None = None
) -> tuple[Tensor, list[Tensor]]:
    """What `recurrence` computes, in torch alone and for any device."""
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
    """Its values as the core takes them: a C-contiguous NumPy array, of the same memory where it is contiguous."""
    return None if tensor is None else tensor.detach().contiguous().numpy()


def arrays(tensors: Sequence[Tensor]) -> tuple[Any, ...]:
    """`array` of each."""
    return tuple(array(tensor) for tensor in tensors)


# --- the operator -----------------------------------------------------------------------------------------------------


def _kept(kind: str, options: Sequence[float], x: Tensor, first: Sequence[Tensor], tensors: Sequence[Tensor]) -> int:
    """Numbers that the kernel keeps of a row and step."""
    rows, hidden = int(tensors[0].shape[0]), int(first[0].shape[1])
    return _core.train_kept(kind, tuple(options), int(x.shape[2]), rows, hidden, x.dtype == torch.float64, None)


def _shares(x: Tensor, tensors: Sequence[Tensor], passes: int) -> int:
    """How many threads the work on a batch is worth; `passes` goes over every weight."""
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
    """out, the last states, and what the gradient needs, if it is to be kept."""
    results = _fake(kind, options, x, first, tensors, lengths, resets, keep)
    out, *last, kept = results
    given = (array(x), arrays(first), arrays(tensors), array(lengths), array(resets))
    written = (array(out), arrays(last), array(kept) if keep else None)
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
    """What `_forward` returns, not yet written: all that tracing needs to know."""
    batch, time, _ = x.shape
    # First the large one: where it is computed again piece by piece, its memory is free for that of the next piece, and
    # what stays must not be put there.
    kept = x.new_empty(time, batch, _kept(kind, options, x, first, tensors)) if keep else x.new_empty(0)
    out = x.new_empty(batch, time, first[0].shape[1])
    return [out, *(field.new_empty(field.shape) for field in first), kept]


def _backward(
    kind: str,
    options: Sequence[float],
    x: Tensor,
    first: Sequence[Tensor],
    tensors: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    out: Tensor,
    kept: Tensor,
    d_out: Tensor,
    d_last: Sequence[Tensor],
    wants_x: bool,
) -> list[Tensor]:
    """The gradients of x (empty where it is not wanted), the first states and the tensors."""
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
        array(kept),
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
    kept: Tensor,
    d_out: Tensor,
    d_last: Sequence[Tensor],
    wants_x: bool,
) -> list[Tensor]:
    """What `_backward` returns, not yet written."""
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
        ctx.set_materialize_grads(False)  # of what was kept there is none, and it is large
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *d_results: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise InputError(
                f"the native {ctx.kind} has no second derivative, as create_graph=True asks for; "
                "run the model within gatewise.train.without_kernels()"
            )
        lengths, resets, out, kept, x, *rest = ctx.saved_tensors
        first, tensors = rest[: ctx.states], rest[ctx.states :]
        ends = zip((out, *first), d_results[: 1 + ctx.states], strict=True)
        d_out, *d_last = (torch.zeros_like(value) if d is None else d for value, d in ends)
        wants_x = ctx.needs_input_grad[5]
        d_x, *found = torch.ops.gatewise.recurrence_backward(
            ctx.kind, ctx.options, x, first, tensors, lengths, resets, out, kept, d_out, d_last, wants_x
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
