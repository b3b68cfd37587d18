"""The linear scan: h[t] = a[t] * h[t-1] + b[t], elementwise, over whole sequences, with a gradient.

It is the recurrence of layers whose gates do not read the state (minGRU, minLSTM, RG-LRU, LRU): what is left of the
loop over time once a and b are there, for all steps at once.

It is computed in the linear domain. Heinsen 2023, "Efficient Parallelization of a Ubiquitous Sequential Computation"
(arXiv 2311.06281), has it as a difference of logarithms, which wants a and b above 0, or complex numbers for their
signs; here a may be negative, zero, or complex itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gatewise.errors import InputError
from gatewise.layers.train import at_end, live_steps


def scan(
    a: Tensor, b: Tensor, first: Tensor, lengths: Tensor | None = None, resets: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """h[t] = a[t] * h[t-1] + b[t], elementwise, from h[-1] = first.

    Differentiable in a, b and first, all of one type.

    Args:
        a: (batch, time, width), or (width,) where it is the same at every step.
        b: (batch, time, width).
        first: (batch, width), h before the first step.
        lengths: (batch,) whole numbers, the steps of each row; None = all. What lies beyond the end of a row does not
            matter, be it NaN.
        resets: (batch, time) bool, where h is zero before the step; None = nowhere.

    Returns:
        h (batch, time, width), 0 beyond the end of a row, and the h at each row's end (batch, width).

    Raises:
        InputError: tensors that do not fit each other.
    """
    _check(a, b, first, lengths, resets)
    return in_parallel(a, b, first, lengths, resets)


def in_parallel(
    a: Tensor, b: Tensor, first: Tensor, lengths: Tensor | None = None, resets: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """What `scan` computes, in torch alone and for any device, in about log2(time) steps over all of the array.

    Two steps one after the other are one: a2 (a1 h + b1) + b2 = (a2 a1) h + (a2 b1 + b2). Each round joins what ends at
    t with what ends `reach` steps before it, so that the reach doubles (Hillis & Steele 1986, "Data Parallel
    Algorithms"). That multiplies the a of up to half the sequence with each other, which must not overflow.
    """
    a = a.expand(b.shape)
    if resets is not None:
        a = a.masked_fill(resets[:, :, None], 0.0)
    if lengths is not None:
        beyond = ~live_steps(lengths, b.shape[1])[:, :, None]  # (batch, time, 1)
        a, b = a.masked_fill(beyond, 0.0), b.masked_fill(beyond, 0.0)
    h = torch.cat([torch.addcmul(b[:, :1], a[:, :1], first[:, None]), b[:, 1:]], 1)
    product, reach = a[:, 1:], 1  # the product of `reach` of the a, for each t from `reach` on
    while reach < h.shape[1]:
        h = torch.cat([h[:, :reach], torch.addcmul(h[:, reach:], product, h[:, :-reach])], 1)
        product, reach = product[:, reach:] * product[:, :-reach], 2 * reach
    return h, at_end(first, h, lengths)


def _check(a: Tensor, b: Tensor, first: Tensor, lengths: Tensor | None, resets: Tensor | None) -> None:
    """Refuse what does not fit b."""
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
