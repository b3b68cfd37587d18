"""Tail probability head in torch; the equations are in `spec.py`. Its tables are buffers: calibration fills them.

The forecast that the head reads, location m and log scale s, is trained with the Student t negative log likelihood of
the next scaled reading z, which is robust to outliers (Lange, Little & Taylor 1989)::

    u = (z - m) exp(-s)
    loss = s + (df + 1) / 2 log(1 + u^2 / df) + log(df pi) / 2 + lgamma(df / 2) - lgamma((df + 1) / 2)      nats
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gatewise.heads.tail_probability.spec import LOG_SCALE_LIMIT, SPANS, Spec, level_start
from gatewise.heads.train import HeadModule
from gatewise.layers.train import State, at_end, live_steps, traced


class Module(HeadModule):
    """Forecast (batch, time, 2K) and scaled input (batch, time, W or 2W) -> answers (batch, time, 5 or 2 + 4K)."""

    layer: Spec
    statistic: Tensor
    score: Tensor
    band: Tensor
    unit: Tensor
    clip: Tensor
    range: Tensor
    factor: Tensor
    joint_statistic: Tensor  # these two exist only with several targets
    joint_score: Tensor

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LayerModule.forward`."""
        forecast, read = inputs
        K, columns = len(self.layer.targets), list(self.layer.targets)
        first = torch.cat([state["location"], state["log_scale"]], 1)
        before = torch.cat([first[:, None], forecast], 1)[:, :-1]  # the forecast made one step earlier
        location, scale = before[:, :, :K], _scale(before[:, :, K:])
        u = (read[:, :, columns] - location) / scale  # (batch, time, K)
        if self.layer.masked:
            u = torch.where(read[:, :, read.shape[2] // 2 :][:, :, columns] != 0, 0.0, u)
        smoothed = self._smooth(u, state["smoothed"], lengths)
        scores = _piecewise_linear(smoothed.abs(), self.statistic, self.score)
        score = scores.amax(-1, keepdim=True)
        if K > 1:
            score = _piecewise_linear(score, self.joint_statistic[None], self.joint_score[None])
        offset, unit = self.unit.unbind(1)
        own = [v * unit + offset for v in (location, *(location + scale * q for q in self.band.unbind(1)))]
        if K > 1:
            own.insert(0, scores)
        beyond = (score > math.log10(max(self.layer.samples, 1))).to(score.dtype)
        rates = torch.cat([scores, score], -1) if K > 1 else scores  # (batch, time, rates)
        live = None if lengths is None else live_steps(lengths, u.shape[1])  # (batch, time)
        level, left = self._levels(read, state, live)
        pause, rate = self._rates(rates >= self.layer.alarm_score, state, live)
        end = at_end(first, forecast, lengths)
        after = {
            "location": end[:, :K],
            "log_scale": end[:, K:],
            "smoothed": at_end(state["smoothed"], smoothed, lengths),
            "level": level,
            "pause": pause,
            "rate_evidence": rate,
            "level_evidence": left,
        }
        return torch.cat([score, torch.stack(own, 3).flatten(2), beyond], -1), after

    def targets(self, scaled: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """The targets of the forecasts made at each step: the next readings of the target columns.

        Args:
            scaled: a whole series (time, W or 2W), as the input stage writes it.
            observed: bool (time, W), False for missing readings.

        Returns:
            target (time, K) and mask (time, K), False if the next reading is missing or after the end of the series.
        """
        columns = list(self.layer.targets)
        target = torch.zeros_like(scaled[:, columns])
        mask = torch.zeros_like(target, dtype=torch.bool)
        target[:-1], mask[:-1] = scaled[1:, columns], observed[1:, columns]
        return target, mask

    def loss(self, out: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Student t negative log likelihood in nats, in units of the scaled target.

        Args:
            out: forecasts (batch, time, 2K).
            target: the readings that are forecast, (batch, time, K).
            mask: not used, as the loss of every forecast is returned.

        Returns:
            (batch, time, K).
        """
        df = self.layer.df
        constant = 0.5 * math.log(df * math.pi) + math.lgamma(0.5 * df) - math.lgamma(0.5 * (df + 1.0))
        location, log_scale = out.tensor_split(2, -1)
        log_scale = log_scale.clamp(-LOG_SCALE_LIMIT, LOG_SCALE_LIMIT)
        u = (target - location) * torch.exp(-log_scale)
        return log_scale + 0.5 * (df + 1.0) * torch.log1p(u * u / df) + constant

    def _rates(self, alarms: Tensor, state: Mapping[str, Tensor], live: Tensor | None) -> tuple[Tensor, Tensor]:
        """Remaining rows of the pause after the last step, (batch, rates), and the evidence, (batch, rates, 2)."""
        pause, evidence = state["pause"], state["rate_evidence"]
        start, factors = self.layer.rate_test
        rise, fall = evidence.new_tensor(factors[0::2]), evidence.new_tensor(factors[1::2])
        for t, alarm in enumerate(alarms.unbind(1)):
            now = torch.ones_like(alarm) if live is None else live[:, t, None].expand_as(alarm)
            counts = now & (pause <= 0)
            tested = (evidence.clamp(min=0.0) + start) * torch.where(alarm[:, :, None], rise, fall)
            evidence = torch.where(counts[:, :, None] & (evidence < 1.0), tested, evidence)
            pause = torch.where(now, torch.where(counts, self.layer.pause * alarm, pause - 1.0), pause)
        return pause, evidence

    def _levels(self, read: Tensor, state: Mapping[str, Tensor], live: Tensor | None) -> tuple[Tensor, Tensor]:
        """The smoothed levels after the last step, and the evidence that they have left their ranges: (batch, W, 2)."""
        columns = self.clip.shape[0]
        used = torch.ones_like(read[:, :, :columns], dtype=torch.bool)
        if self.layer.masked:
            used = read[:, :, columns:] == 0
        if live is not None:
            used = used & live[:, :, None]
        beta = 2.0 / (read.new_tensor(SPANS) + 1.0)
        level, evidence, start = state["level"], state["level_evidence"], level_start(columns)
        lowest, highest = _pairs(self.range)
        rise, fall = _pairs(self.factor)
        for z, now in zip(read[:, :, :columns].clamp(*self.clip.unbind(1)).unbind(1), used.unbind(1), strict=True):
            after = level + beta * (z[:, :, None] - level)
            level = torch.where(now[:, :, None], after, level)
            outside = (after < lowest) | (after > highest)
            tested = (evidence.clamp(min=0.0) + start) * torch.where(outside, rise, fall)
            evidence = torch.where(now[:, :, None] & (evidence < 1.0), tested, evidence)
        return level, evidence

    def _smooth(self, u: Tensor, e: Tensor, lengths: Tensor | None) -> Tensor:
        """Exponential smoothing along time, e' = e + alpha (u - e): (batch, time, K)."""
        smoothed = []
        live = None if lengths is None else live_steps(lengths, u.shape[1]).t()[:, :, None]
        for t, u_t in enumerate(u.unbind(1)):
            after = e + self.layer.alpha * (u_t - e)
            e = after if live is None else torch.where(live[t], after, e)
            smoothed.append(e)
        return torch.stack(smoothed, 1) if smoothed else u


def _scale(log_scale: Tensor) -> Tensor:
    return torch.exp(log_scale.clamp(-LOG_SCALE_LIMIT, LOG_SCALE_LIMIT))


def _pairs(table: Tensor) -> tuple[Tensor, Tensor]:
    """The even and the odd columns of a table, in a form that ONNX exporters fold into constants."""
    even, odd = table.reshape(-1, len(SPANS), 2).unbind(2)
    return even, odd


def _piecewise_linear(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Interpolate linearly between ascending knots; continue the last segment beyond them. x is at least the first.

    Args:
        x: (batch, time, K).
        knots, values: (K, N).
    """
    each = x.flatten(0, 1).t().contiguous()  # (K, batch * time)
    if traced():  # ONNX has no searchsorted
        i = (knots[:, None] <= each[:, :, None]).sum(-1)
    else:
        i = torch.searchsorted(knots, each.detach(), right=True)
    i = i.sub(1).clamp(0, knots.shape[1] - 2)
    slope = (values[:, 1:] - values[:, :-1]) / (knots[:, 1:] - knots[:, :-1])
    y = values.gather(1, i) + slope.gather(1, i) * (each - knots.gather(1, i))
    return y.t().reshape(x.shape)
