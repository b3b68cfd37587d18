"""The linear scan: h[t] = a[t] * h[t-1] + b[t], elementwise, over whole sequences, with a gradient.

It is the recurrence of layers whose gates do not read the state (minGRU, minLSTM, RG-LRU, LRU): what is left of the
loop over time once a and b are there, for all steps at once.

It is computed in the linear domain. Heinsen 2023, "Efficient Parallelization of a Ubiquitous Sequential Computation"
(arXiv 2311.06281), has it as a difference of logarithms, which wants a and b above 0, or complex numbers for their
signs; here a may be negative, zero, or complex itself.

On the CPU the loop is native (`native/scan_rows.h`), forward and backward, as `torch.ops.gatewise.scan`. For its
gradient it keeps a, h and first, and nothing else.
"""
# mypy: allow-untyped-calls
# torch.library has no annotations.

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatewise import _core
from gatewise.errors import InputError
from gatewise.layers.train import at_end, check_tensors, fixed_steps, live_steps
from gatewise.layers.train.recurrence import array, library, native
from gatewise.layers.train.threads import shares_of, team

NATIVE = (torch.float32, torch.float64, torch.complex64, torch.complex128)
"""What the native kernels compute in."""

COST = 10
"""Multiply-accumulates that take as long as one value here.

The loop is bound by memory. Measured in float32, on two cores with other work beside it: 0.2 to 0.5 ns a value forward,
0.5 to 2 ns backward, as its arrays fit a cache or not. With a million values a second thread made both runs slower,
with two million it began to gain on the one backward. So a share is a million values.
"""


def scan(
    a: Tensor, b: Tensor, first: Tensor, lengths: Tensor | None = None, resets: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """h[t] = a[t] * h[t-1] + b[t], elementwise, from h[-1] = first.

    Differentiable in a, b and first. These are of one type: on the CPU float32, float64, complex64 and complex128 run
    natively; others, other devices, and all within `without_kernels`, in torch.

    Args:
        a: (batch, time, width), or (width,) where it is the same at every step.
        b: (batch, time, width).
        first: (batch, width), h before the first step.
        lengths: (batch,) whole numbers, the steps of each row; None = all. What lies beyond the end of a row does not
            matter, be it NaN.
        resets: (batch, time) bool, where h is zero before the step; None = nowhere. In torch all before a reset must
            be finite, natively it may be NaN.

    Returns:
        h (batch, time, width), 0 beyond the end of a row, and the h at each row's end (batch, width).

    Raises:
        InputError: tensors that do not fit each other; in a native run, lengths out of range, or create_graph=True.
    """
    _check(a, b, first, lengths, resets)
    if not native(b, NATIVE):
        return in_parallel(a, b, first, lengths, resets)
    lengths = None if lengths is None else lengths.to(torch.int64)
    h, last = torch.ops.gatewise.scan(a, b, first, lengths, resets)
    return h, last


def in_parallel(
    a: Tensor,
    b: Tensor,
    first: Tensor,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    pairs: bool = False,
) -> tuple[Tensor, Tensor]:
    """What `scan` computes, in torch alone and for any device, in about log2(time) steps over all of the array.

    Two steps one after the other are one: a2 (a1 h + b1) + b2 = (a2 a1) h + (a2 b1 + b2). Each round joins what ends at
    t with what ends `reach` steps before it, so that the reach doubles (Hillis & Steele 1986, "Data Parallel
    Algorithms"). That multiplies up to half the a of a row with each other, which must not overflow. A reset is an a of
    0; unlike the native one it does not stop what is not finite.

    With `pairs` it is a complex scan in real numbers, as ONNX has no others: the last axis of a, b and first holds all
    real parts, and after them all imaginary ones.
    """
    b = fixed_steps(b)
    a = a.expand(b.shape)
    if resets is not None:
        a = a.masked_fill(resets[:, :, None], 0.0)
    if lengths is not None:
        beyond = ~live_steps(lengths, b.shape[1])[:, :, None]  # (batch, time, 1)
        a, b = a.masked_fill(beyond, 0.0), b.masked_fill(beyond, 0.0)
    h = torch.cat([_plus_product(b[:, :1], a[:, :1], first[:, None], pairs), b[:, 1:]], 1)
    product, reach = a[:, 1:], 1  # the product of `reach` of the a, for each t from `reach` on
    while reach < h.shape[1]:
        h = torch.cat([h[:, :reach], _plus_product(h[:, reach:], product, h[:, :-reach], pairs)], 1)
        product, reach = _product(product[:, reach:], product[:, :-reach], pairs), 2 * reach
    end = at_end(first, h, lengths)
    return (h if lengths is None else h.masked_fill(beyond, 0.0)), end  # so that no gradient comes from there


def _product(a: Tensor, b: Tensor, pairs: bool) -> Tensor:
    """a b, elementwise."""
    if not pairs:
        return a * b
    (real, imag), (re, im) = a.chunk(2, -1), b.chunk(2, -1)
    return torch.cat([real * re - imag * im, real * im + imag * re], -1)


def _plus_product(c: Tensor, a: Tensor, b: Tensor, pairs: bool) -> Tensor:
    """c + a b, elementwise."""
    return c + _product(a, b, True) if pairs else torch.addcmul(c, a, b)


def _check(a: Tensor, b: Tensor, first: Tensor, lengths: Tensor | None, resets: Tensor | None) -> None:
    """Refuse what is no tensor, or does not fit b."""
    check_tensors(a=a, b=b, first=first, lengths=lengths, resets=resets)
    if b.ndim != 3:
        raise InputError(f"scan: b must be (batch, time, width), got {tuple(b.shape)}")
    batch, time, width = b.shape
    if a.shape not in (b.shape, (width,)):
        raise InputError(f"scan: a must be {tuple(b.shape)}, as b, or ({width},), got {tuple(a.shape)}")
    if first.shape != (batch, width):
        raise InputError(f"scan: first must be ({batch}, {width}), got {tuple(first.shape)}")
    if a.dtype != b.dtype or first.dtype != b.dtype:
        raise InputError(f"scan: a, b and first must be of one type, got {a.dtype}, {b.dtype} and {first.dtype}")
    if lengths is not None and (
        lengths.shape != (batch,) or lengths.is_floating_point() or lengths.dtype == torch.bool
    ):
        raise InputError(f"scan: lengths must be whole numbers ({batch},), got {lengths.dtype} {tuple(lengths.shape)}")
    if resets is not None and (resets.shape != (batch, time) or resets.dtype != torch.bool):
        got = f"{resets.dtype} {tuple(resets.shape)}"
        raise InputError(f"scan: resets must be bool ({batch}, {time}), got {got}")


# --- the operator -----------------------------------------------------------------------------------------------------

library.define("scan(Tensor a, Tensor b, Tensor first, Tensor? lengths, Tensor? resets) -> (Tensor, Tensor)")
library.define(
    "scan_backward(Tensor a, Tensor first, Tensor? lengths, Tensor? resets, Tensor h, Tensor d_h, Tensor d_last, "
    "bool wants_a) -> (Tensor, Tensor, Tensor)"
)


def _shares(h: Tensor) -> int:
    """How many threads a scan of so many values is worth."""
    return shares_of(len(h), COST * h.shape[1] * h.shape[2])


def _forward(
    a: Tensor, b: Tensor, first: Tensor, lengths: Tensor | None, resets: Tensor | None
) -> tuple[Tensor, Tensor]:
    """h and the last of each row."""
    h, last = _fake(a, b, first, lengths, resets)
    inputs = (_numbers(a), _numbers(b), _numbers(first), array(lengths), array(resets))
    _core.scan_forward(b.is_complex(), *inputs, _numbers(h), _numbers(last), _shares(b), team(), None)
    return h, last


def _fake(a: Tensor, b: Tensor, first: Tensor, lengths: Tensor | None, resets: Tensor | None) -> tuple[Tensor, Tensor]:
    return b.new_empty(b.shape), b.new_empty(first.shape)


def _backward(
    a: Tensor,
    first: Tensor,
    lengths: Tensor | None,
    resets: Tensor | None,
    h: Tensor,
    d_h: Tensor,
    d_last: Tensor,
    wants_a: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of a (empty where it is not wanted), b and first."""
    d_a, d_b, d_first = _backward_fake(a, first, lengths, resets, h, d_h, d_last, wants_a)
    rows = d_a if a.ndim == 3 else first.new_empty(first.shape)  # where a is (width,): summed over the steps of a row
    inputs = (_numbers(a), _numbers(first), array(lengths), array(resets))
    given = (_numbers(h), _numbers(d_h), _numbers(d_last))
    results = (_numbers(rows) if wants_a else None, _numbers(d_b), _numbers(d_first))
    _core.scan_backward(h.is_complex(), *inputs, *given, *results, _shares(h), team(), None)
    if wants_a and rows is not d_a:
        np.add.reduce(rows.numpy(), 0, out=d_a.numpy())  # row after row, however many threads there are
    return d_a, d_b, d_first


def _backward_fake(
    a: Tensor,
    first: Tensor,
    lengths: Tensor | None,
    resets: Tensor | None,
    h: Tensor,
    d_h: Tensor,
    d_last: Tensor,
    wants_a: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return h.new_empty(a.shape if wants_a else (0,)), h.new_empty(h.shape), h.new_empty(first.shape)


class _Scan(torch.autograd.Function):
    """`scan` with its gradient."""

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, first: Tensor, lengths: Tensor | None, resets: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        with torch._C._AutoDispatchBelowAutograd():
            h, last = torch.ops.gatewise.scan(a, b, first, lengths, resets)
        ctx.save_for_backward(a, first, lengths, resets, h)
        return h, last

    @staticmethod
    def backward(ctx: Any, d_h: Tensor, d_last: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise InputError(
                "the native scan has no second derivative, as create_graph=True asks for; "
                "run it within gatewise.train.without_kernels()"
            )
        a, first, lengths, resets, h = ctx.saved_tensors
        wants_a = ctx.needs_input_grad[0]
        d_a, d_b, d_first = torch.ops.gatewise.scan_backward(a, first, lengths, resets, h, d_h, d_last, wants_a)
        return d_a if wants_a else None, d_b, d_first, None, None


library.impl("scan", _forward, "CPU")
library.impl("scan", _Scan.apply, "Autograd")
library.impl("scan_backward", _backward, "CPU")
torch.library.register_fake("gatewise::scan", _fake, lib=library)
torch.library.register_fake("gatewise::scan_backward", _backward_fake, lib=library)


def _numbers(tensor: Tensor) -> Any:
    """Its values, contiguous; of complex ones the real and the imaginary part beside each other along the last axis."""
    tensor = tensor.detach().resolve_conj().resolve_neg().contiguous()
    return (torch.view_as_real(tensor).flatten(-2) if tensor.is_complex() else tensor).numpy()
