"""Tail probability head in torch; the equations are in `spec.py`. Its tables are buffers: calibration fills them.

What is trained is the forecast it reads: location m and log scale s, by the Student t negative log likelihood of the
next scaled reading z (robust where a normal law is not; Lange, Little & Taylor 1989)::

    u = (z - m) exp(-s)
    loss = s + (df + 1) / 2 log(1 + u^2 / df) + log(df pi) / 2 + lgamma(df / 2) - lgamma((df + 1) / 2)      nats
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gatewise.heads.tail_probability.spec import LOG_SCALE_LIMIT, Spec
from gatewise.layers.train import LayerModule, State, at_end, live_steps


class Module(LayerModule):
    """Forecast (batch, time, 2) and scaled input (batch, time, W) -> answers (batch, time, 5)."""

    trained = False
    layer: Spec
    statistic: Tensor
    score: Tensor
    band: Tensor
    unit: Tensor

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        forecast, z = inputs[0], inputs[1][:, :, self.layer.target, None]  # (batch, time, 2), (batch, time, 1)
        first = torch.cat([state["location"], state["log_scale"]], 1)
        before = torch.cat([first[:, None], forecast], 1)[:, :-1]  # the forecast made one step earlier
        location, scale = before[:, :, :1], _scale(before[:, :, 1:])
        smoothed = self._smooth((z - location) / scale, state["smoothed"], lengths)
        score = _piecewise_linear(smoothed.abs(), self.statistic, self.score)
        offset, unit = self.unit.unbind()
        low, high = (location + scale * q for q in self.band.unbind())
        answers = [v * unit + offset for v in (location, low, high)]
        beyond = (score > math.log10(max(self.layer.samples, 1))).to(score.dtype)
        end = at_end(first, forecast, lengths)
        after = {
            "location": end[:, :1],
            "log_scale": end[:, 1:],
            "smoothed": at_end(state["smoothed"], smoothed, lengths),
        }
        return torch.cat([score, *answers, beyond], -1), after

    def targets(self, scaled: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """What the forecast made at each step is held to: the target's next reading.

        Args:
            scaled: a whole series (time, W) as the input stage gives it.
            observed: bool (time, W), False where a reading is missing.

        Returns:
            target (time,) and mask (time,), False where the next reading is missing or lies beyond the series.
        """
        target = torch.zeros_like(scaled[:, self.layer.target])
        mask = torch.zeros_like(target, dtype=torch.bool)
        target[:-1], mask[:-1] = scaled[1:, self.layer.target], observed[1:, self.layer.target]
        return target, mask

    def loss(self, out: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Student t negative log likelihood in nats, in units of the scaled target.

        Args:
            out: forecasts (batch, time, 2).
            target: the readings they are held to, (batch, time).
            mask: unused: every forecast has its loss.
        """
        df = self.layer.df
        constant = 0.5 * math.log(df * math.pi) + math.lgamma(0.5 * df) - math.lgamma(0.5 * (df + 1.0))
        log_scale = out[..., 1].clamp(-LOG_SCALE_LIMIT, LOG_SCALE_LIMIT)
        u = (target - out[..., 0]) * torch.exp(-log_scale)
        return log_scale + 0.5 * (df + 1.0) * torch.log1p(u * u / df) + constant

    def _smooth(self, u: Tensor, e: Tensor, lengths: Tensor | None) -> Tensor:
        """Along time, e' = e + alpha (u - e): (batch, time, 1)."""
        smoothed = []
        live = None if lengths is None else live_steps(lengths, u.shape[1]).t()[:, :, None]
        for t, u_t in enumerate(u.unbind(1)):
            after = e + self.layer.alpha * (u_t - e)
            e = after if live is None else torch.where(live[t], after, e)
            smoothed.append(e)
        return torch.stack(smoothed, 1) if smoothed else u


def _scale(log_scale: Tensor) -> Tensor:
    return torch.exp(log_scale.clamp(-LOG_SCALE_LIMIT, LOG_SCALE_LIMIT))


def _piecewise_linear(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Linear between ascending knots, and on with the last slope beyond the last; x is not below the first."""
    i = torch.searchsorted(knots, x.detach().contiguous(), right=True).sub(1).clamp(0, len(knots) - 2)
    slope = (values[1:] - values[:-1]) / (knots[1:] - knots[:-1])
    return values[i] + slope[i] * (x - knots[i])
