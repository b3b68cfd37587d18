"""Recurrent layers over whole sequences on the CPU: one torch operator and its gradient, run by the native core.

torch fuses only its LSTM on the CPU; a GRU or a plain recurrence is recorded as thousands of small operations, and
walked back one by one. Here the loop over time is native (`layers/*/kernel_train.c`), forward and backward, in float32
and float64. Beside it are large products, which stay with torch: the input's share of the sums, and the gradients of
weights. They are made for a part of the steps at a time, while what they read is still in the cache.

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
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatewise import _core
from gatewise.errors import InputError
from gatewise.layers.base import Array, Layer
from gatewise.layers.train import live_steps
from gatewise.layers.train.threads import shared

NATIVE = (torch.float32, torch.float64)
"""What the native kernels compute in."""

PART = 1 << 19
"""Numbers among the sums of the steps that are done in one go: two megabytes, which stay in a cache."""

Cell = Callable[..., tuple[Tensor, ...]]
"""cell(sums, *state) -> the state after one step: sums (batch, sums), the fields of the state (batch, width)."""


@dataclass(frozen=True)
class Trace:
    """What a run back through some steps leaves, for the gradients of the recurrent tensors.

    Attributes:
        options: those of the layer, as its `native` gives them.
        first: the fields of the state (batch, width) before these steps.
        resets: (time, batch) bool, where the state was zero before the step, or None.
        out: (time, batch, R) the hidden state after each step.
        kept: (time, batch, kept) what the kernel kept of each step, as the head of its kernel_train.c says.
        d_sums: (time, batch, sums) the gradient of the sums, 0 beyond the end of a row.
        extra: (time, batch, extra) what else the kernel gives, likewise.
    """

    options: Sequence[float]
    first: Sequence[Tensor]
    resets: Tensor | None
    out: Tensor
    kept: Tensor
    d_sums: Tensor
    extra: Tensor

    @property
    def hidden(self) -> Tensor:
        """The hidden state before each step (time, batch, R)."""
        return self.before(self.first[0], self.out)

    def before(self, first: Tensor, after: Tensor) -> Tensor:
        """A field of the state before each step, from what it was at first (batch, width) and after each step."""
        shifted = torch.cat([first[None], after[:-1]])
        return shifted if self.resets is None else shifted.masked_fill(self.resets[:, :, None], 0.0)


@dataclass(frozen=True)
class Kind:
    """What the operator must know of a kind beside its kernel.

    Attributes:
        gradients: gradients(trace): those of its recurrent tensors.
        state: state(out, kept, sums): the fields of the state after a step (batch, width), from what was written
            (batch, R) and kept (batch, kept) of it, and the width of the sums.
    """

    gradients: Callable[[Trace], list[Tensor]]
    state: Callable[[Tensor, Tensor, int], list[Tensor]] = lambda out, kept, sums: [out]


_kinds: dict[str, Kind] = {}

library = torch.library.Library("gatewise", "DEF")
library.define(
    "recurrence(str kind, float[] options, Tensor x, Tensor weight, Tensor bias, Tensor[] first, Tensor[] tensors, "
    "Tensor? lengths, Tensor? resets, bool keep) -> Tensor[]"
)
library.define(
    "recurrence_backward(str kind, float[] options, Tensor x, Tensor weight, Tensor[] first, Tensor[] tensors, "
    "Tensor? lengths, Tensor? resets, Tensor out, Tensor kept, Tensor d_out, Tensor[] d_last, bool wants_x) -> Tensor[]"
)


def register(kind: str, about: Kind) -> None:
    """Say what the operator must know of a kind."""
    _kinds[kind] = about


def weight_gradient(d: Tensor, x: Tensor) -> Tensor:
    """The gradient of a matrix (rows, cols) from d (time, batch, rows), of what it made of x (time, batch, cols)."""
    return d.flatten(0, 1).t() @ x.flatten(0, 1)


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
    return x.device.type == "cpu" and x.dtype in dtypes and not _off.get()


def recurrence(
    layer: Layer,
    cell: Cell,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    first: Sequence[Tensor],
    tensors: Sequence[Tensor],
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Run a recurrent layer over whole sequences: natively where that is possible, else step by step.

    Args:
        layer: the kind and its options.
        cell: one step in torch, for devices and types that the core does not have.
        x: (time, batch, inputs), finite beyond the end of a row too, where it has no meaning.
        weight, bias: (sums, inputs) and (sums,): the input's share of what goes into the gates is weight x + bias.
        first: the fields of the state (batch, width) before the first step; the first is what the layer writes.
        tensors: the recurrent tensors, as the head of the kind's kernel_train.c says.
        lengths: (batch,) whole numbers, the steps of each row; None = all.
        resets: (time, batch) bool, where the state is zero before the step; None = nowhere.

    Returns:
        out (time, batch, R), of no meaning beyond the end of a row, and the state at each row's end.
    """
    if not native(x):
        return step_by_step(cell, torch.nn.functional.linear(x, weight, bias), first, lengths, resets)
    lengths = None if lengths is None else lengths.to(torch.int64)
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in (x, weight, bias, *first, *tensors))
    out, *last = torch.ops.gatewise.recurrence(
        layer.kind, layer.native(), x, weight, bias, list(first), list(tensors), lengths, resets, keep
    )
    return out, last[: len(first)]


def step_by_step(
    cell: Cell, sums: Tensor, first: Sequence[Tensor], lengths: Tensor | None = None, resets: Tensor | None = None
) -> tuple[Tensor, list[Tensor]]:
    """What `recurrence` computes, in torch alone and for any device."""
    state, out = list(first), []
    live = None if lengths is None else live_steps(lengths, len(sums)).t()[:, :, None]  # (time, batch, 1)
    for t, step in enumerate(sums.unbind(0)):
        before = state if resets is None else [field.masked_fill(resets[t][:, None], 0.0) for field in state]
        after = cell(step, *before)
        state = [new if live is None else torch.where(live[t], new, old) for new, old in zip(after, state, strict=True)]
        out.append(state[0])
    return torch.stack(out) if out else first[0].new_zeros(0, *first[0].shape), state


# --- the operator -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kernel:
    """A kind's kernel for one call: what it needs beside the data.

    Attributes:
        kind, options: as in `_core`.
        sums, hidden: widths of the sums and of the hidden state.
        kept, extra: numbers of a row and step.
        packed: numbers of the recurrent matrices as forward and as backward reads them.
    """

    kind: str
    options: tuple[float, ...]
    sums: int
    hidden: int
    kept: int
    extra: int
    packed: tuple[int, int]

    @classmethod
    def of(cls, kind: str, options: Sequence[float], weight: Tensor, first: Sequence[Tensor]) -> _Kernel:
        plain, sums, hidden = tuple(options), int(weight.shape[0]), int(first[0].shape[1])
        is_double = weight.dtype == torch.float64
        kept, extra, *packed = _core.train_sizes(kind, plain, sums, hidden, is_double, None)
        return cls(kind, plain, sums, hidden, kept, extra, (packed[0], packed[1]))

    def pack(self, tensors: Sequence[Tensor], backward: bool) -> Any:
        packed = _array(tensors[0].new_empty(self.packed[backward]))
        _core.train_pack(self.kind, self.options, self.sums, self.hidden, _arrays(tensors), backward, packed, None)
        return packed

    def parts(self, time: int, batch: int) -> list[tuple[int, int]]:
        """The steps in parts of about `PART` numbers."""
        steps = max(1, -(-PART // max(1, batch * (self.sums + self.extra))))
        steps = -(-time // max(1, -(-time // steps)))
        return [(a, min(a + steps, time)) for a in range(0, time, max(1, steps))]


def _forward(
    kind: str,
    options: Sequence[float],
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    first: Sequence[Tensor],
    tensors: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    keep: bool,
) -> list[Tensor]:
    """out, the last states, and what the gradient needs, if it is to be kept."""
    kernel = _Kernel.of(kind, options, weight, first)
    time, batch, inputs = x.shape
    x = x.contiguous()
    out = x.new_empty(time, batch, kernel.hidden)
    kept = x.new_empty(time, batch, kernel.kept) if keep else x.new_empty(0)
    last = [field.clone(memory_format=torch.contiguous_format) for field in first]
    packed, own, state = kernel.pack(tensors, False), _arrays(tensors), _arrays(last)
    y, rest, ends, starts = out.numpy(), kept.numpy(), _array(lengths), _array(resets)
    parts = kernel.parts(time, batch)
    steps = max((b - a for a, b in parts), default=0)
    sums = x.new_empty(steps, batch, kernel.sums)
    sum_rows, rows, transposed = sums.view(steps * batch, kernel.sums), x.view(time * batch, inputs), weight.t()
    into = sums.numpy()
    for a, b in parts:
        torch.addmm(bias, rows[a * batch : b * batch], transposed, out=sum_rows[: (b - a) * batch])
        arguments = (into[: b - a], state, own, packed, *_some(ends, starts, a, b))
        results = (y[a:b], state, rest[a:b] if keep else None)
        work = (b - a) * kernel.sums * kernel.hidden
        shared(_core.train_forward, (kind, kernel.options, *arguments, *results), batch, work)
    return [out, *last, kept]


def _fake(
    kind: str,
    options: Sequence[float],
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    first: Sequence[Tensor],
    tensors: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    keep: bool,
) -> list[Tensor]:
    kernel = _Kernel.of(kind, options, weight, first)
    time, batch, _ = x.shape
    kept = x.new_empty(time, batch, kernel.kept) if keep else x.new_empty(0)
    last = [field.new_empty(field.shape) for field in first]
    return [x.new_empty(time, batch, kernel.hidden), *last, kept]


def _backward(
    kind: str,
    options: Sequence[float],
    x: Tensor,
    weight: Tensor,
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
    """The gradients of x (empty where it is not wanted), weight, bias, the first states and the tensors."""
    kernel, about = _Kernel.of(kind, options, weight, first), _kinds[kind]
    time, batch, inputs = x.shape
    x, d_out = x.contiguous(), d_out.contiguous()
    d_x = x.new_empty(x.shape if wants_x else 0)
    d_first = [field.clone(memory_format=torch.contiguous_format) for field in d_last]
    found = [x.new_zeros(tensor.shape) for tensor in (weight, weight[:, 0], *tensors)]
    packed, own, d_state = kernel.pack(tensors, True), _arrays(tensors), _arrays(d_first)
    y, rest, d_y, ends, starts = out.numpy(), kept.numpy(), d_out.numpy(), _array(lengths), _array(resets)
    parts = kernel.parts(time, batch)
    steps = max((b - a for a, b in parts), default=0)
    d_sums, extra = x.new_empty(steps, batch, kernel.sums), x.new_empty(steps, batch, kernel.extra)
    d_rows, rows = d_sums.view(steps * batch, kernel.sums), x.view(time * batch, inputs)
    d_x_rows = d_x.view(time * batch if wants_x else 0, inputs)
    d_into, extra_into, ones = d_sums.numpy(), extra.numpy(), x.new_ones(steps * batch)
    for a, b in reversed(parts):
        before = list(first) if a == 0 else about.state(out[a - 1], kept[a - 1], kernel.sums)
        arguments = (_arrays(before), own, packed, *_some(ends, starts, a, b), y[a:b], rest[a:b], d_y[a:b], d_state)
        results = (d_into[: b - a], d_state, extra_into[: b - a])
        work = (b - a) * kernel.sums * kernel.hidden
        shared(_core.train_backward, (kind, kernel.options, *arguments, *results), batch, work)
        d, some = d_rows[: (b - a) * batch], slice(a * batch, b * batch)
        if wants_x:
            torch.mm(d, weight, out=d_x_rows[some])
        found[0].addmm_(d.t(), rows[some])
        found[1].addmv_(d.t(), ones[: len(d)])
        own_resets = None if resets is None else resets[a:b]
        trace = Trace(kernel.options, before, own_resets, out[a:b], kept[a:b], d_sums[: b - a], extra[: b - a])
        for total, part in zip(found[2:], about.gradients(trace), strict=True):
            total.add_(part)
    return [d_x, *found[:2], *d_first, *found[2:]]


def _backward_fake(
    kind: str,
    options: Sequence[float],
    x: Tensor,
    weight: Tensor,
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
    shapes = [x.shape if wants_x else (0,), weight.shape, weight.shape[:1], *(t.shape for t in (*first, *tensors))]
    return [x.new_empty(shape) for shape in shapes]


class _Recurrence(torch.autograd.Function):
    """`recurrence` with its gradient: (kind, options, states, lengths, resets, x, weight, bias, *first, *tensors)."""

    @staticmethod
    def forward(
        ctx: Any,
        kind: str,
        options: Sequence[float],
        states: int,
        lengths: Tensor | None,
        resets: Tensor | None,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        *rest: Tensor,
    ) -> tuple[Tensor, ...]:
        first, tensors = rest[:states], rest[states:]
        with torch._C._AutoDispatchBelowAutograd():
            found = torch.ops.gatewise.recurrence(kind, options, x, weight, bias, first, tensors, lengths, resets, True)
        ctx.save_for_backward(lengths, resets, found[0], found[-1], x, weight, *rest)
        ctx.kind, ctx.options, ctx.states = kind, options, states
        ctx.mark_non_differentiable(found[-1])
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, d_out: Tensor, *d_rest: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise InputError(
                f"the native {ctx.kind} has no second derivative, as create_graph=True asks for; "
                "run the model within gatewise.train.without_kernels()"
            )
        lengths, resets, out, kept, x, weight, *rest = ctx.saved_tensors
        first, tensors = rest[: ctx.states], rest[ctx.states :]
        d_last, wants_x = d_rest[: ctx.states], ctx.needs_input_grad[5]
        d_x, *found = torch.ops.gatewise.recurrence_backward(
            ctx.kind, ctx.options, x, weight, first, tensors, lengths, resets, out, kept, d_out, d_last, wants_x
        )
        return (None, None, None, None, None, d_x if wants_x else None, *found)


def _autograd(
    kind: str,
    options: Sequence[float],
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    first: Sequence[Tensor],
    tensors: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    keep: bool,
) -> list[Tensor]:
    if keep:
        return list(_Recurrence.apply(kind, options, len(first), lengths, resets, x, weight, bias, *first, *tensors))
    with torch._C._AutoDispatchBelowAutograd():
        found: list[Tensor] = torch.ops.gatewise.recurrence(
            kind, options, x, weight, bias, first, tensors, lengths, resets, False
        )
    return found


library.impl("recurrence", _forward, "CPU")
library.impl("recurrence", _autograd, "Autograd")
library.impl("recurrence_backward", _backward, "CPU")
torch.library.register_fake("gatewise::recurrence", _fake, lib=library)
torch.library.register_fake("gatewise::recurrence_backward", _backward_fake, lib=library)


def _some(lengths: Array | None, resets: Array | None, a: int, b: int) -> tuple[Array | None, Array | None]:
    """Lengths and resets of the steps from a to b."""
    return None if lengths is None else np.clip(lengths - a, 0, b - a), None if resets is None else resets[a:b]


def _array(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.detach().contiguous().numpy()


def _arrays(tensors: Sequence[Tensor]) -> tuple[Any, ...]:
    return tuple(_array(tensor) for tensor in tensors)
