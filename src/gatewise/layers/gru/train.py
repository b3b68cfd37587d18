"""Gated recurrent unit in torch; the equations and the order of gates are in `spec.py`.

torch has no fused GRU for the CPU: `torch.nn.GRU` records some ten small operations for each step and walks them back
one by one. Here the whole sequence is one autograd function with its gradient written out, which needs fewer operations
and covers every activation whose derivative is a function of its value. The rest is left to autograd: reset "before",
kept for models of older libraries, a clip, and activations that rise and fall.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from gatewise.layers.gru.spec import Spec
from gatewise.layers.train import LayerModule, State, activate, activate_, derivative, live_steps


class Module(LayerModule):
    """A GRU over whole sequences: (batch, time, I) -> (batch, time, H), with state "hidden" (batch, H)."""

    layer: Spec
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        x = inputs[0].transpose(0, 1)  # (time, batch, I): each step contiguous
        live = None if lengths is None else live_steps(lengths, len(x)).t()[:, :, None]  # (time, batch, 1)
        gates = linear(x, self.weight_ih, self.bias_ih)  # (time, batch, 3H), one product for all steps
        layer = self.layer
        by_value = layer.clip is None and layer.activation.monotone and layer.gate_activation.monotone
        recurrence = _After.apply if layer.reset == "after" and by_value else _by_autograd
        hidden = recurrence(gates, state["hidden"], self.weight_hh, self.bias_hh, live, self.layer)
        return hidden[1:].transpose(0, 1), {"hidden": hidden[-1]}


def _by_autograd(gates: Tensor, h: Tensor, weight: Tensor, bias: Tensor, live: Tensor | None, layer: Spec) -> Tensor:
    """Any reset, activation and clip; arguments and result as those of `_After`."""

    def within(x: Tensor) -> Tensor:
        return x if layer.clip is None else x.clamp(-layer.clip, layer.clip)

    n = 2 * layer.units
    hidden = [h]
    for t, gate in enumerate(gates.unbind(0)):
        r, z = activate(layer.gate_activation, within(gate[:, :n] + linear(h, weight[:n], bias[:n]))).chunk(2, -1)
        if layer.reset == "before":
            own = linear(r * h, weight[n:], bias[n:])
        else:
            own = r * linear(h, weight[n:], bias[n:])
        candidate = activate(layer.activation, within(gate[:, n:] + own))
        after = torch.lerp(candidate, h, z)
        h = after if live is None else torch.where(live[t], after, h)
        hidden.append(h)
    return torch.stack(hidden)


class _After(torch.autograd.Function):
    """Reset "after", a whole sequence with its gradient, for monotone activations.

    Takes the input's share of the gates (time, batch, 3H), the first hidden state (batch, H), weight_hh (3H, H),
    bias_hh (3H), which steps are live (time, batch, 1) or None, and the options. Gives the hidden states
    (time + 1, batch, H), of which the first is the one given; beyond the end of a row the state stands still.

    The gradient, with d for the derivative of the loss, a' for an activation's slope, and v = W_hn h + b_hn::

        dn = dh (1 - z) act'       dz = dh (h - n) gate'      dr = dn v gate'      dv = dn r
        dh(t - 1) = dh z + [dr, dz, dv] weight_hh
    """

    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, h: Tensor, weight: Tensor, bias: Tensor, live: Tensor | None, layer: Spec
    ) -> Tensor:
        time, batch, _ = gates.shape
        units = layer.units
        own = gates.new_empty(gates.shape)  # the hidden state's share of the gates; r and z are then made in its place
        rz, v = own[:, :, : 2 * units], own[:, :, 2 * units :]
        r, z = rz.chunk(2, -1)
        n = gates.new_empty(time, batch, units)
        hidden = gates.new_empty(time + 1, batch, units)
        hidden[0] = h
        both, last = gates[:, :, : 2 * units], gates[:, :, 2 * units :]
        transposed = weight.t()
        for t, step in enumerate(_steps(own, rz, r, z, v, n, both, last, hidden[:-1], hidden[1:])):
            own_t, rz_t, r_t, z_t, v_t, n_t, both_t, last_t, before, after = step
            torch.addmm(bias, before, transposed, out=own_t)
            activate_(layer.gate_activation, rz_t.add_(both_t))
            activate_(layer.activation, torch.addcmul(last_t, r_t, v_t, out=n_t))
            torch.lerp(n_t, before, z_t, out=after)
            if live is not None:
                after.copy_(torch.where(live[t], after, before))
        ctx.save_for_backward(r, z, n, v, hidden, weight)
        ctx.live, ctx.layer = live, layer
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_hidden: Tensor) -> tuple[Tensor | None, ...]:
        r, z, n, v, hidden, weight = ctx.saved_tensors
        time, batch, units = n.shape
        gate = ctx.layer.gate_activation
        by_n = (1.0 - z) * derivative(ctx.layer.activation, n)
        by_z = (hidden[:-1] - n) * derivative(gate, z)
        by_r = v * derivative(gate, r)
        d = n.new_empty(time, batch, 4 * units)
        d_r, d_z, d_v, d_n = d.chunk(4, -1)
        own = d[:, :, : 3 * units]
        dh = d_hidden[-1]
        resting = None
        backwards = _steps(d_hidden[:-1], by_n, by_z, by_r, r, z, d_r, d_z, d_v, d_n, own, reverse=True)
        for t, step in zip(reversed(range(time)), backwards, strict=True):
            d_before, by_n_t, by_z_t, by_r_t, r_t, z_t, d_r_t, d_z_t, d_v_t, d_n_t, own_t = step
            if ctx.live is not None:
                resting = torch.where(ctx.live[t], 0.0, dh)
                dh = torch.where(ctx.live[t], dh, 0.0)
            torch.mul(dh, by_n_t, out=d_n_t)
            torch.mul(dh, by_z_t, out=d_z_t)
            torch.mul(d_n_t, by_r_t, out=d_r_t)
            torch.mul(d_n_t, r_t, out=d_v_t)
            dh = torch.addcmul(d_before, dh, z_t).addmm_(own_t, weight)
            if resting is not None:
                dh += resting
        d_gates = torch.cat([d_r, d_z, d_n], -1)
        flat = own.reshape(time * batch, 3 * units)
        return d_gates, dh, flat.t() @ hidden[:-1].reshape(time * batch, units), flat.sum(0), None, None


def _steps(*sequences: Tensor, reverse: bool = False) -> Any:
    """The steps of several (time, ...) tensors side by side."""
    parts = [sequence.unbind(0) for sequence in sequences]
    return zip(*(part[::-1] for part in parts) if reverse else parts, strict=True)
