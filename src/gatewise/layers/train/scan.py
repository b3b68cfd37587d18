"""The linear scan h[t] = a[t] * h[t-1] + b[t], elementwise, over whole sequences, with a gradient.

It is the recurrence of layers whose gates do not read the state (minGRU, minLSTM, RG-LRU, LRU). They compute a and b
for all steps at once; only the scan is a loop over time.

It is computed in the linear domain. Heinsen 2023, "Efficient Parallelization of a Ubiquitous Sequential Computation"
(arXiv 2311.06281), computes it with logarithms, which need positive a and b, or complex numbers for their signs. Here a
may be negative, zero or complex.

On the CPU the loop is native (`native/scan_rows.h`), forward and backward, as `torch.ops.gatewise.scan`. It saves only
a, h and first for backward.
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
"""The dtypes of the native kernels."""

COST = 10
"""The number of multiply-accumulates that take as long as one value of a scan.

The loop is limited by memory bandwidth. Measured in float32 on two cores: 0.2 to 0.5 ns a value forward and 0.5 to 2 ns
backward, depending on whether the arrays fit into a cache. With a million values, a second thread made both runs
slower; with two million, it began to make backward faster. Each thread therefore gets a million values.
"""


def scan(
    a: Tensor, b: Tensor, first: Tensor, lengths: Tensor | None = None, resets: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """h[t] = a[t] * h[t-1] + b[t], elementwise, from h[-1] = first.

    It is differentiable in a, b and first, which must have the same dtype. On the CPU, float32, float64, complex64 and
    complex128 run natively. Other dtypes and devices, and everything within `without_kernels`, run in torch.

    Args:
        a: (batch, time, width), or (width,) if it is the same at every step.
        b: (batch, time, width).
        first: (batch, width), h before the first step.
        lengths: (batch,) whole numbers, the number of steps in each row; None = all. Values beyond the end of a row do
            not matter, even if they are NaN.
        resets: (batch, time) bool, True at steps before which h is set to zero; None = no resets. In torch all values
            before a reset must be finite; natively they may be NaN.

    Returns:
        h (batch, time, width), 0 beyond the end of a row, and h at each row's end (batch, width).

    Raises:
        InputError: tensors do not fit each other; in a native run also if lengths are out of range, or with
            create_graph=True.
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
    """Compute the same as `scan` in torch, on any device, in about log2(time) rounds over the whole array.

    Two steps can be combined into one: a2 (a1 h + b1) + b2 = (a2 a1) h + (a2 b1 + b2). Each round combines the steps
    that end at t with those that end `reach` steps earlier, so that the reach doubles (Hillis & Steele 1986, "Data
    Parallel Algorithms"). The products of up to half of the a of a row must not overflow. A reset is an a of 0; unlike
    in the native scan, values before a reset that are not finite spread beyond it.

    With `pairs` it computes a complex scan in real numbers, because ONNX has no complex ones: the last axis of a, b and
    first has all real parts, then all imaginary parts.
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
    """Raise InputError for arguments that are not tensors or do not fit b."""
    check_tensors(a=a, b=b, first=first, lengths=lengths, resets=resets)
    if b.ndim != 3:
        raise InputError(f"scan: b must be (batch, time, width), got {tuple(b.shape)}")
    batch, time, width = b.shape
    if a.shape not in (b.shape, (width,)):
        raise InputError(f"scan: a must be {tuple(b.shape)}, as b, or ({width},), got {tuple(a.shape)}")
    if first.shape != (batch, width):
        raise InputError(f"scan: first must be ({batch}, {width}), got {tuple(first.shape)}")
    if a.dtype != b.dtype or first.dtype != b.dtype:
        raise InputError(f"scan: a, b and first must have one dtype, got {a.dtype}, {b.dtype} and {first.dtype}")
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
    """The number of threads to use for a scan of this size."""
    return shares_of(len(h), COST * h.shape[1] * h.shape[2])


def _forward(
    a: Tensor, b: Tensor, first: Tensor, lengths: Tensor | None, resets: Tensor | None
) -> tuple[Tensor, Tensor]:
    """h, and the last h of each row."""
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
    """The gradients of a (empty unless needed), b and first."""
    d_a, d_b, d_first = _backward_fake(a, first, lengths, resets, h, d_h, d_last, wants_a)
    rows = d_a if a.ndim == 3 else first.new_empty(first.shape)  # if a is (width,): summed over the steps of a row
    inputs = (_numbers(a), _numbers(first), array(lengths), array(resets))
    given = (_numbers(h), _numbers(d_h), _numbers(d_last))
    results = (_numbers(rows) if wants_a else None, _numbers(d_b), _numbers(d_first))
    _core.scan_backward(h.is_complex(), *inputs, *given, *results, _shares(h), team(), None)
    if wants_a and rows is not d_a:
        np.add.reduce(rows.numpy(), 0, out=d_a.numpy())  # in the order of the rows, for any number of threads
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
    """The values of a tensor, contiguous; complex ones as pairs of real and imaginary part along the last axis."""
    tensor = tensor.detach().resolve_conj().resolve_neg().contiguous()
    return (torch.view_as_real(tensor).flatten(-2) if tensor.is_complex() else tensor).numpy()
