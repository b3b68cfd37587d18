"""From held-out residuals to the table of a tail-probability head: what is the chance of a residual this large?

Given the statistic S >= 0 of n held-out steps, the table holds score(s) = -log10 P(S >= s) at 64 knots.

* **Where the data reach**, P(S >= s) is the share of held-out steps at or above s: j / (n + 1) at the j-th largest, so
  that the next step exceeds it with just that chance if it is exchangeable with the held-out ones.
* **The tail** is a generalised Pareto distribution fitted to the k largest (peaks over threshold: Pickands 1975)
  by the estimator of Zhang and Stephens (Technometrics 51, 2009), close to maximum likelihood, and it never fails::

      P(S >= u + y) = k/n (1 + shape y / scale)^(-1/shape)

  k starts at a tenth of the data and is halved until the fit agrees with the counts inside it, since a tail that is a
  mixture (a few large errors among many small ones) begins later.
* **Between**, at the j-th largest of the k, the logarithms of the two are mixed with weights j : 10. A count of 10 has
  a relative error of a third, about that of a good fit; far out the fit rules, where there are counts they do.
* **Beyond the largest** residual the fit goes on, but never towards an end: that nothing larger was seen in n steps
  does not show that nothing larger comes, so a negative shape continues as an exponential.

A wild value among the held-out rows, a fault of the sensor say, would take the whole tail with it, and then no fault
would ever be surprising again. So the largest excursions, up to three, are left out where the tail fitted to all others
gives them less than one chance in 10,000; `find_wild` says which.

How far the table can be trusted depends on how many *independent* residuals lie beyond a score. Smoothed or bursty
residuals come in clusters; `effective` is n divided by how much clustering inflates the variance of their counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gatewise.errors import InputError
from gatewise.heads.tail_probability.spec import KNOTS, piecewise_linear
from gatewise.layers.base import Array

LEAST = 50
"""Held-out residuals below which nothing is calibrated."""

NEEDED = 5.0
"""Independent residuals that must lie beyond an alarm threshold before it is called supported. With 5, alarms on fresh
data stay between half and twice the stated rate in about 95 of 100 calibrations; with 10 in more than 98."""

FAR = 12.0
"""The table reaches probabilities of 1e-12, or four orders of magnitude beyond the data where that is more."""

SHAPES = (-0.5, 1.0)
"""Bounds of the shape. A law that ends abruptly (uniform, -1) is given a margin beyond its largest residual; a law
without a mean (beyond 1) is taken to have one."""

WILD = 1e-4
"""A largest residual with a smaller chance than this, by the tail of all others, is taken for a fault and left out."""

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
    """A calibrated table and what it rests on.

    Attributes:
        statistic: (64,) float32, strictly ascending from 0.
        score: (64,) float32, not falling from 0: -log10 of the tail probability at each statistic.
        samples: n, held-out steps used.
        effective: independent steps that they are worth, at most n.
        peaks: k, residuals in the fitted tail.
        threshold: u, where the fitted tail begins.
        shape: of the generalised Pareto distribution; positive = heavy tail, negative = bounded.
        scale: of the generalised Pareto distribution.
        wild: held-out steps that were left out as faults; 0 as a rule.
        run: the most steps that large residuals, one in a hundred, have followed on each other.
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
        """The lowest rate of false alarms, in 1,000 steps, that the data support; below it the fitted tail decides."""
        return 1000.0 * NEEDED / self.effective

    def at(self, statistic: Array) -> Array:
        """Scores of statistics >= 0, as the head reads them from the table."""
        table = self.statistic.astype(np.float64), self.score.astype(np.float64)
        return piecewise_linear(np.asarray(statistic, np.float64), *table)


def calibrate(statistic: Array) -> Calibration:
    """Find the table of scores.

    Args:
        statistic: (n,) the head's |smoothed residual| at held-out steps, in time order (clusters are measured).

    Raises:
        InputError: fewer than 50 steps, non-finite or negative values, or hardly any different ones.
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
            f"the {n} held-out residuals take only {distinct} different values, too few to tell a tail; the held-out "
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

    An excursion ends before and after `_CALM` steps in a row that are not above the 90 per cent quantile: a smoothed
    residual, and a network that has read a wild value, take some steps to come back.

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
    """The most steps from first to last of residuals beyond the 99 per cent quantile, at most two steps apart."""
    large = np.flatnonzero(series > np.quantile(series, 0.99))
    runs = np.split(large, np.flatnonzero(np.diff(large) > 2) + 1)
    return min(_LONGEST_RUN, max((int(run[-1] - run[0]) + 1 for run in runs if run.size), default=1))


def count_inflation(series: Array, share: float = 0.05, blocks: int = 50) -> float:
    """How much clusters inflate the variance of the number of large values, at least 1.

    The count of the largest `share` in each of `blocks` stretches of time, its variance divided by the binomial one.
    Independent values give 1 within about a fifth.
    """
    length = len(series) // blocks
    large = series >= np.quantile(series, 1.0 - share)
    counts = large[: blocks * length].reshape(blocks, length).sum(axis=1)
    binomial = length * large.mean() * (1.0 - large.mean())
    return max(1.0, float(counts.var(ddof=1) / binomial)) if binomial > 0 else 1.0


def pareto_fit(peaks: Array) -> tuple[float, float]:
    """Shape and scale of the generalised Pareto distribution of exceedances.

    Args:
        peaks: (k,) ascending and positive.

    The estimator of Zhang and Stephens (2009): a posterior mean over theta = -shape / scale of the profile likelihood
    (their sign of the shape is the opposite). The shape is then drawn towards 0.1 with the weight of 10 peaks, which
    steadies small samples and hardly touches large ones, and kept within `SHAPES`; the scale is the most likely for it.
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
    """Natural logarithm of P(Y >= y) under the generalised Pareto distribution; -inf beyond its end."""
    if abs(shape) < 1e-9:
        return np.asarray(-y / scale)
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(np.maximum(1.0 + shape * y / scale, 0.0)) / shape)


def _fit_tail(ordered: Array, inflation: float) -> tuple[int, float, float]:
    """The number of peaks, shape and scale, by the halving that the head of this file describes."""
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
        else:  # many equal residuals at the threshold: begin below them; there are 20 different ones
            k = int((ordered >= threshold).sum())
            continue
        k //= 2
    return found


def _agrees(peaks: Array, shape: float, scale: float, inflation: float) -> bool:
    """Whether k/2, k/4, ... peaks lie where the fit expects them, within 1.5 standard errors of a count."""
    k = len(peaks)
    j = k // 2
    while j >= 8:
        expected = k * math.exp(float(log_survival(peaks[k - j], shape, scale)))
        if abs(expected - j) > 1.5 * math.sqrt(inflation * j):
            return False
        j //= 2
    return True


def _curve(ordered: Array, k: int, shape: float, scale: float) -> tuple[Array, Array, int, int]:
    """Score against statistic, densely: at every different residual, then out to `FAR`.

    Returns:
        statistic ascending and score not falling, both from 0; the places where the tail begins and the data end.
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
    score[tail] = np.where(equal[tail] > 1, np.minimum(score[tail], mixed), mixed)  # no smooth law has equal values
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
    """64 points of the curve: dense in score where there are data, sparser beyond.

    Knots are points of the curve, the last one not above each level. So where many residuals are equal the step of the
    curve is kept, and a residual is never scored above its count.
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
    rising = np.concatenate([[True], np.diff(x) > 0])  # float32 may join neighbours
    x, y = x[rising], np.maximum.accumulate(y[rising])
    while len(x) < KNOTS:  # fill up on the lines between, which changes nothing
        gap = int(np.argmax(np.diff(x)))
        x = np.insert(x, gap + 1, (x[gap] + x[gap + 1]) / 2)
        y = np.insert(y, gap + 1, (y[gap] + y[gap + 1]) / 2)
    return x, y
