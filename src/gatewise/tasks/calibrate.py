"""Compute the table of a tail-probability head from held-out residuals: the probability of a residual this large.

From the statistic S >= 0 at n held-out steps, it computes score(s) = -log10 P(S >= s) at 64 knots.

* **Within the range of the data**, P(S >= s) is the share of held-out steps at or above s: j / (n + 1) at the j-th
  largest. The next step exceeds this value with exactly that probability if it is exchangeable with the held-out steps.
* **In the tail**, a generalised Pareto distribution is fitted to the k largest values (peaks over threshold: Pickands
  1975). The estimator is that of Zhang and Stephens (Technometrics 51, 2009), which is close to maximum likelihood and
  always has a solution::

      P(S >= u + y) = k/n (1 + shape y / scale)^(-1/shape)

  k starts at a tenth of the data and is halved until the fit agrees with the counts, because the tail of a mixture (a
  few large errors among many small ones) begins later.
* **Between both**, at the j-th largest of the k values, the logarithms of the two estimates are averaged with weights
  j : 10. A count of 10 has a relative error of a third, about that of a good fit. The fit therefore dominates far out
  in the tail, and the counts dominate where they are large.
* **Beyond the largest** residual the fit continues, but never with an upper end: if nothing larger occurred in n steps,
  larger values can still occur. A negative shape is therefore continued as an exponential distribution.

A wild value among the held-out rows, such as a fault of the sensor, would dominate the tail, so that no later fault
would get a high score. Up to three of the largest excursions are therefore left out, if their probability is less than
one in 10,000 under the tail fitted to all other values; see `find_wild`.

How reliable the table is depends on the number of *independent* residuals beyond a score. Smoothed or bursty residuals
come in clusters; `effective` is n divided by the factor by which clusters increase the variance of counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gatewise.errors import InputError
from gatewise.heads.tail_probability.spec import KNOTS, piecewise_linear
from gatewise.layers.base import Array

LEAST = 50
"""The least number of held-out residuals for a calibration."""

NEEDED = 5.0
"""The least number of independent residuals beyond an alarm threshold that the data are said to support. With 5, the
rate of alarms on new data is between half and twice the stated one in about 95 of 100 calibrations; with 10, in more
than 98."""

FAR = 12.0
"""The table extends to probabilities of 1e-12, or to four orders of magnitude beyond the data if that is further."""

SHAPES = (-0.5, 1.0)
"""Bounds of the shape. A distribution that ends abruptly (uniform, -1) gets a margin beyond its largest residual; one
without a mean (a shape above 1) is treated as if it had one."""

WILD = 1e-4
"""Largest residuals with a smaller probability than this, under the tail of all others, are left out as faults."""

_MOST_WILD = 3
_CALM = 4
_LONGEST_RUN = 32
_TIE = 10.0
_LEAST_PEAKS = 50
_PRIOR_PEAKS, _PRIOR_SHAPE = 10, 0.1
_BODY = 24
_DATA_TAIL = 26


@dataclass(frozen=True)
class Calibration:
    """A calibrated table, with statistics of the calibration.

    Attributes:
        statistic: (64,) float32, strictly ascending from 0.
        score: (64,) float32, not falling from 0: -log10 of the tail probability at each statistic.
        samples: n, the number of held-out steps that were used.
        effective: the equivalent number of independent steps, at most n.
        peaks: k, the number of residuals in the fitted tail.
        threshold: u, where the fitted tail begins.
        shape: shape of the generalised Pareto distribution; positive = heavy tail, negative = bounded.
        scale: scale of the generalised Pareto distribution.
        wild: number of held-out steps that were left out as faults; usually 0.
        run: length in steps of the longest run of large residuals, those beyond the 99 per cent quantile.
    """

    statistic: Array
    score: Array
    samples: int
    effective: float
    peaks: int
    threshold: float
    shape: float
    scale: float
    wild: int = 0
    run: int = 1

    @property
    def finest_per_1000(self) -> float:
        """The lowest rate of false alarms in 1,000 steps that the data support without the fitted tail."""
        return 1000.0 * NEEDED / self.effective

    def at(self, statistic: Array) -> Array:
        """Scores of statistics >= 0, as the head computes them from the table."""
        table = self.statistic.astype(np.float64), self.score.astype(np.float64)
        return piecewise_linear(np.asarray(statistic, np.float64), *table)


def calibrate(statistic: Array) -> Calibration:
    """Compute the table of scores.

    Args:
        statistic: (n,) the head's |smoothed residual| at held-out steps, in time order, which is needed to measure
            clusters.

    Raises:
        InputError: there are fewer than 50 steps, non-finite or negative values, or too few different values.
    """
    series = np.asarray(statistic, np.float64).reshape(-1)
    n = len(series)
    if n < LEAST:
        raise InputError(f"calibration needs at least {LEAST} held-out steps, got {n}; give a longer series")
    if not np.isfinite(series).all() or series.min() < 0:
        raise InputError(
            "the held-out residuals are not finite and non-negative; the model has diverged, train it again"
        )
    distinct = len(np.unique(series))
    if distinct < 20:
        raise InputError(
            f"the {n} held-out residuals take only {distinct} different values, too few to fit a tail; the held-out "
            "part of the target hardly varies: give data in which it does"
        )
    out = find_wild(series)
    ordered = np.sort(series[~out])
    inflation = count_inflation(series[~out])
    peaks, shape, scale = _fit_tail(ordered, inflation)
    statistic_knots, score_knots = _knots(*_curve(ordered, peaks, shape, scale))
    return Calibration(
        statistic_knots,
        score_knots,
        n,
        n / inflation,
        peaks,
        float(ordered[len(ordered) - peaks - 1]),
        shape,
        scale,
        int(out.sum()),
        _longest_run(series[~out]),
    )


def find_wild(series: Array) -> Array:
    """Which held-out steps belong to excursions that the tail of all other steps does not explain: (n,) bool.

    An excursion extends until `_CALM` consecutive steps are at or below the 90 per cent quantile on each side, because
    a smoothed residual, and a model that has read a wild value, take some steps to return to normal.

    Args:
        series: (n,) finite statistics in time order.
    """
    out, found = np.zeros(len(series), bool), np.zeros(len(series), bool)
    usual = np.quantile(series, 0.9)
    for _ in range(_MOST_WILD):
        highest = int(np.argmax(np.where(out, -1.0, series)))
        high = np.flatnonzero((series > usual) & ~out)
        if not high.size:
            break
        groups = np.split(high, np.flatnonzero(np.diff(high) > _CALM) + 1)
        excursion = next(group for group in groups if highest in group)
        out[excursion[0] : excursion[-1] + 1] = True
        rest = np.sort(series[~out])
        if len(rest) < LEAST or len(np.unique(rest)) < 20:
            break
        k, shape, scale = _fit_tail(rest, count_inflation(series[~out]))
        excess = np.array([series[highest] - rest[len(rest) - k - 1]])
        chance = len(series) * k / len(rest) * math.exp(float(log_survival(excess, max(shape, 0.0), scale)[0]))
        if chance < WILD:
            found = out.copy()
    return found


def _longest_run(series: Array) -> int:
    """The length of the longest run of residuals beyond the 99 per cent quantile with gaps of at most two steps."""
    large = np.flatnonzero(series > np.quantile(series, 0.99))
    runs = np.split(large, np.flatnonzero(np.diff(large) > 2) + 1)
    return min(_LONGEST_RUN, max((int(run[-1] - run[0]) + 1 for run in runs if run.size), default=1))


def count_inflation(series: Array, share: float = 0.05, blocks: int = 50) -> float:
    """The factor by which clusters increase the variance of the number of large values, at least 1.

    It is the variance of the counts of the largest `share` of values in `blocks` periods of time, divided by the
    binomial variance. Independent values give 1 within about a fifth.
    """
    length = len(series) // blocks
    large = series >= np.quantile(series, 1.0 - share)
    counts = large[: blocks * length].reshape(blocks, length).sum(axis=1)
    binomial = length * large.mean() * (1.0 - large.mean())
    return max(1.0, float(counts.var(ddof=1) / binomial)) if binomial > 0 else 1.0


def pareto_fit(peaks: Array) -> tuple[float, float]:
    """Shape and scale of the generalised Pareto distribution of exceedances.

    It uses the estimator of Zhang and Stephens (2009), a posterior mean over theta = -shape / scale of the profile
    likelihood (their shape has the opposite sign). The shape is then shrunk towards 0.1 with the weight of 10 peaks,
    which stabilises small samples and hardly changes large ones, and clipped to `SHAPES`. The scale is the maximum
    likelihood estimate for this shape.

    Args:
        peaks: (k,) ascending and positive.
    """
    k, largest = len(peaks), float(peaks[-1])
    grid = np.arange(1, 31 + int(math.sqrt(k)))
    quartile = float(peaks[max(int(k / 4 + 0.5) - 1, 0)])
    theta = 1.0 / largest + (1.0 - np.sqrt((len(grid)) / (grid - 0.5))) / (3.0 * quartile)
    theta = theta[theta != 0]
    shapes = np.log1p(-np.outer(theta, peaks)).mean(axis=1)
    likelihood = k * (np.log(-theta / shapes) - shapes - 1.0)
    weight = np.exp(likelihood - likelihood.max())
    best = float((theta * weight).sum() / weight.sum())
    shape = (k * float(np.log1p(-best * peaks).mean()) + _PRIOR_PEAKS * _PRIOR_SHAPE) / (k + _PRIOR_PEAKS)
    shape = min(max(shape, SHAPES[0]), SHAPES[1])
    return shape, _scale_given(shape, peaks)


def _scale_given(shape: float, peaks: Array) -> float:
    """Maximum likelihood of the scale at a given shape, on a fine grid of its logarithm."""
    if abs(shape) <= 1e-6:
        return float(peaks.mean())
    least = max(-shape * float(peaks[-1]) * (1.0 + 1e-9), 1e-6 * float(peaks.mean()))
    scales = np.geomspace(least, max(10.0 * float(peaks.mean()), 2.0 * least), 400)
    cost = [len(peaks) * math.log(s) + (1.0 + 1.0 / shape) * np.log1p(shape * peaks / s).sum() for s in scales]
    return float(scales[int(np.argmin(cost))])


def log_survival(y: Array, shape: float, scale: float) -> Array:
    """Natural logarithm of P(Y >= y) under the generalised Pareto distribution; -inf beyond its upper end."""
    if abs(shape) < 1e-9:
        return np.asarray(-y / scale)
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(np.maximum(1.0 + shape * y / scale, 0.0)) / shape)


def _fit_tail(ordered: Array, inflation: float) -> tuple[int, float, float]:
    """The number of peaks, shape and scale, found by halving as described at the head of this file."""
    n = len(ordered)
    k = max(n // 10, min(_LEAST_PEAKS, n // 4))
    found: tuple[int, float, float] | None = None
    while k >= _LEAST_PEAKS or found is None:
        threshold = ordered[n - k - 1]
        peaks = ordered[ordered > threshold] - threshold
        if len(peaks) >= 10:
            found = len(peaks), *pareto_fit(peaks)
            if _agrees(peaks, *found[1:], inflation):
                break
        elif found is not None:
            break
        else:  # many equal residuals at the threshold: begin below them; at least 20 values differ
            k = int((ordered >= threshold).sum())
            continue
        k //= 2
    return found


def _agrees(peaks: Array, shape: float, scale: float, inflation: float) -> bool:
    """Whether the k/2, k/4, ... largest peaks agree with the fit within 1.5 standard errors of a count."""
    k = len(peaks)
    j = k // 2
    while j >= 8:
        expected = k * math.exp(float(log_survival(peaks[k - j], shape, scale)))
        if abs(expected - j) > 1.5 * math.sqrt(inflation * j):
            return False
        j //= 2
    return True


def _curve(ordered: Array, k: int, shape: float, scale: float) -> tuple[Array, Array, int, int]:
    """The curve of score against statistic at every different residual, and then out to `FAR`.

    Returns:
        statistic, ascending, and score, not falling, both from 0; the indices where the tail begins and the data end.
    """
    n = len(ordered)
    s, first, equal = np.unique(ordered, return_index=True, return_counts=True)
    j = (n - first).astype(np.float64)  # residuals at or above each different value
    score = -np.log10(j / (n + 1.0))
    u = ordered[n - k - 1]
    tail = s > u
    fitted = math.log10((n + 1.0) / k) - log_survival(s[tail] - u, shape, scale) / math.log(10.0)
    counts = j[tail] / (j[tail] + _TIE)
    mixed = counts * score[tail] + (1.0 - counts) * np.minimum(fitted, FAR)
    score[tail] = np.where(equal[tail] > 1, np.minimum(score[tail], mixed), mixed)  # ties: counts decide
    score = np.minimum.accumulate(score[::-1])[::-1]
    begins, ends = len(s) - int(tail.sum()), len(s)
    onward = max(scale + shape * (s[-1] - u), 0.1 * scale)
    decades = np.arange(0.01, max(FAR, math.log10(n) + 4.0) - score[-1], 0.01)
    excess = decades * math.log(10.0)
    if shape > 1e-9:
        excess = np.expm1(shape * excess) / shape
    s = np.concatenate([s, s[-1] + onward * excess])
    score = np.concatenate([score, score[-1] + decades])
    if s[0] > 0:
        s, score = np.insert(s, 0, 0.0), np.insert(score, 0, 0.0)
        begins, ends = begins + 1, ends + 1
    else:
        score[0] = 0.0
    return s, score, begins, ends


def _knots(s: Array, score: Array, begins: int, ends: int) -> tuple[Array, Array]:
    """Select 64 knots of the curve: dense in score within the range of the data, sparser beyond.

    Each knot is the last point of the curve that is not above a level. The steps of the curve at equal residuals are
    therefore kept, and no residual gets a higher score than its count justifies.
    """
    last, tail = score[ends - 1], score[min(begins, ends - 1)]
    far = KNOTS - 1 - _BODY - _DATA_TAIL
    levels = np.concatenate(
        [
            np.linspace(0.0, tail, _BODY, endpoint=False),
            np.linspace(tail, last, _DATA_TAIL, endpoint=False),
            np.linspace(last, score[-1], far + 1) if score[-1] > last else np.full(far + 1, last),
        ]
    )
    at = np.unique(np.searchsorted(score, levels, side="right") - 1)
    x, y = s[at].astype(np.float32), score[at].astype(np.float32)
    rising = np.concatenate([[True], np.diff(x) > 0])  # neighbours may be equal in float32
    x, y = x[rising], np.maximum.accumulate(y[rising])
    while len(x) < KNOTS:  # add points on the line segments, which does not change the curve
        gap = int(np.argmax(np.diff(x)))
        x = np.insert(x, gap + 1, (x[gap] + x[gap + 1]) / 2)
        y = np.insert(y, gap + 1, (y[gap] + y[gap + 1]) / 2)
    return x, y
