"""Linear recurrent unit in torch; the equations are in `spec.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

from gatewise.layers.lru.spec import Spec
from gatewise.layers.train import LayerModule, State, traced
from gatewise.layers.train.scan import in_parallel, scan


class Module(LayerModule):
    """A linear recurrent unit over whole sequences: (batch, time, I) -> (batch, time, H).

    The state is "hidden_re" and "hidden_im", (batch, N) each.
    """

    takes_resets = True
    layer: Spec
    weight_ih: Tensor
    weight_ho: Tensor
    weight_io: Tensor
    nu_log: Tensor
    theta_log: Tensor
    gamma_log: Tensor

    def forward(
        self,
        inputs: Sequence[Tensor],
        state: Mapping[str, Tensor],
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        x = inputs[0]
        if traced():
            return self._in_pairs(x, state, lengths, resets)
        turn = torch.polar(torch.exp(-self.nu_log.exp()), self.theta_log.exp())  # lambda (N)
        real, imag = linear(x, self.weight_ih).chunk(2, -1)  # B x, (batch, time, N) each
        gamma = self.gamma_log.exp()
        first = torch.complex(state["hidden_re"], state["hidden_im"])
        h, last = scan(turn, torch.complex(gamma * real, gamma * imag), first, lengths, resets)
        y = linear(torch.cat([h.real, h.imag], -1), self.weight_ho) + linear(x, self.weight_io)
        return y, {"hidden_re": last.real, "hidden_im": last.imag}

    def _in_pairs(
        self, x: Tensor, state: Mapping[str, Tensor], lengths: Tensor | None, resets: Tensor | None
    ) -> tuple[Tensor, State]:
        """The same in real numbers, for exported graphs: along the last axis all real, then all imaginary parts."""
        size, angle = torch.exp(-self.nu_log.exp()), self.theta_log.exp()
        turn = torch.cat([size * angle.cos(), size * angle.sin()])
        gamma = self.gamma_log.exp()
        first = torch.cat([state["hidden_re"], state["hidden_im"]], -1)
        taken = torch.cat([gamma, gamma]) * linear(x, self.weight_ih)
        h, last = in_parallel(turn, taken, first, lengths, resets, pairs=True)
        real, imag = last.chunk(2, -1)
        return linear(h, self.weight_ho) + linear(x, self.weight_io), {"hidden_re": real, "hidden_im": imag}
