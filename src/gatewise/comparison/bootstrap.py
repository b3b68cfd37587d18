"""The gain of one model over another, with an interval from a paired bootstrap over groups and seeds.

Answers of one group, such as one engine or one stretch of time, are not independent: if a model is wrong about an
engine in one row, it is wrong in the next row as well. The interval therefore comes from drawing whole groups. A
challenger that was trained with several seeds is judged by the mean of their losses, and seeds are drawn as well,
because another training would have given another model.

With A_g and B_g the summed losses of challenger and incumbent in group g, the gain is a ratio estimator::

    gain = 1 - m(sum A) / m(sum B)        m is the mean, or for a root-mean-square its root
    t    = log(sum A / sum B)             on this scale the error of the estimate is nearly symmetric
    se^2 = G / (G - 1) * sum_g (A_g / sum A - B_g / sum B)^2      linearisation, e.g. Cochran 1977, chapter 6

The interval is the bootstrap-t interval of Efron & Tibshirani 1993, chapter 12.5: in each resample, t* and its own se*
are computed, and the quantiles of (t* - t) / se* replace those of Student's distribution. It is accurate to second
order for one-sided statements, which a plain percentile interval is not. The variance between seeds is added to se^2.
The quantiles of Student's distribution are used where they are wider. If few groups have nearly all the loss, neither
the standard error nor the resamples know how much such groups vary. The degrees of freedom are therefore not G - 1,
but the effective number of groups minus 1, which is 1 / sum_g w_g^2 (Kish 1965) with w_g the share of group g in the
losses.

If one of the two models has no loss at all, the logarithm of the ratio is infinite. Half the mean loss of a group that
has one is then added to the sums of both models (as Haldane 1956 and Anscombe 1956 do with counts of 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gatewise.comparison.metrics import Metric
from gatewise.errors import MissingExtraError
from gatewise.layers.base import Array

try:
    from scipy import stats
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("comparisons need scipy: pip install 'gatewise[train]'") from error

RESAMPLES = 10_000
LEAST_GROUPS = 10
"""With fewer groups, no interval is trusted."""

WORST = 1000.0
"""A greater loss, as a share, is told as this one; an interval may have no lower end at all."""

ROUNDING = 1e-13
"""A sum of squared relative deviations below this is the rounding of its terms, which is about 1e-16 for each group."""

AT_ONCE = 1 << 21
"""Number of entries of the arrays of resamples that are made at once."""


@dataclass(frozen=True)
class Gain:
    """By how much a challenger is better than the incumbent, as a share of the incumbent's metric.

    Attributes:
        estimate: 1 - challenger / incumbent; negative if the challenger is worse.
        groups: number of groups.
        effective: effective number of groups, which is smaller if some have much more loss than others.
        seeds: number of seeds of the challenger.
        error: standard error of log(challenger / incumbent), for the metric itself; infinite if there is one group.
        quantiles: the sorted (t* - t) / se* of the resamples; empty = Student's distribution alone.
    """

    estimate: float
    groups: int
    effective: float
    seeds: int
    error: float
    quantiles: Array

    def low(self, level: float) -> float:
        """The end below which the gain lies with a probability of at most `level`, e.g. 0.005; at least -`WORST`."""
        return self._end(self._width(level, -self.quantiles[::-1]))

    def high(self, level: float) -> float:
        """The end above which the gain lies with a probability of at most `level`."""
        return self._end(-self._width(level, self.quantiles))

    def p_above(self, least: float) -> float:
        """The p-value of the hypothesis that the gain is at most `least`; small = the gain is larger."""
        return self._p_value(self.estimate - least, np.log(1 - least) - self._log, -self.quantiles[::-1])

    def p_below(self, most: float) -> float:
        """The p-value of the hypothesis that the gain is at least `most`; small = the gain is smaller."""
        return self._p_value(most - self.estimate, self._log - np.log(1 - most), self.quantiles)

    def detectable(self, least: float, level: float, power: float = 0.8) -> float:
        """The least true gain that would be found to be above `least` with this power, at this level."""
        width = stats.t.ppf(1 - level, self._degrees) + stats.t.ppf(power, self._degrees)
        return float(-np.expm1(np.log(1 - least) - width * self.error))

    @property
    def _log(self) -> float:
        return float(np.log(max(1 - self.estimate, 1e-300)))

    @property
    def _degrees(self) -> float:
        return max(1.0, self.effective - 1)

    def _p_value(self, beyond: float, distance: float, quantiles: Array) -> float:
        """How likely an estimate so far beyond a bound is by chance.

        Args:
            beyond: by how much it is beyond.
            distance: the same on the scale of the logarithm.
            quantiles: sorted, in standard errors; how far resamples lie beyond the estimate.
        """
        if beyond <= 0 or not np.isfinite(self.error):
            return 1.0
        if self.error == 0:
            return 0.0
        errors = distance / self.error
        student = float(stats.t.sf(errors, self._degrees))
        if not len(quantiles):
            return student
        as_far = len(quantiles) - np.searchsorted(quantiles, errors, side="left")
        return max(student, float((as_far + 1) / (len(quantiles) + 1)))

    def _width(self, level: float, quantiles: Array) -> float:
        """How many standard errors the end is away from the estimate."""
        student = float(stats.t.ppf(1 - level, self._degrees))
        if not len(quantiles):
            return student
        # The greatest distance at which `_p_value` is at least the level.
        as_far = int(np.ceil(level * (len(quantiles) + 1))) - 1
        return max(student, float(quantiles[-as_far]) if as_far > 0 else np.inf)

    def _end(self, errors: float) -> float:
        """The gain at the given number of standard errors above the logarithm of the ratio."""
        if self.error == 0:
            return self.estimate
        return float(max(-WORST, -np.expm1(min(self._log + errors * self.error, 100.0))))


def gain(
    metric: Metric, incumbent: Array, challenger: Array, groups: Array, *, seed: int = 0, resamples: int = RESAMPLES
) -> Gain:
    """The gain of a challenger over the incumbent on the same answers.

    Args:
        metric: the metric.
        incumbent: (n,) the loss of each answer of the incumbent.
        challenger: (seeds, n) the loss of each answer of the challenger, for each of its seeds.
        groups: (n,) number of the group of each answer, from 0 without gaps.
        seed: of the resampling.
        resamples: their number; 0 = Student's distribution alone.
    """
    count = int(groups.max()) + 1
    b = np.bincount(groups, incumbent, count)  # (G,)
    a = np.stack([np.bincount(groups, each, count) for each in challenger])  # (S, G)
    factor = 0.5 if metric.root else 1.0  # of the logarithm of a root
    if (b == a).all():
        return Gain(0.0, count, float(count), len(a), 0.0 if count > 1 else np.inf, np.empty(0))
    if not (a.any() and b.any()):
        lost = a.mean(axis=0) + b
        added = lost[lost > 0].mean() / 2 / count
        a, b = a + added, b + added
    mean = a.mean(axis=0)
    t, error = _log_ratio(mean[None], b[None])
    between = _between_seeds(a)
    estimate = float(-np.expm1(factor * t[0]))
    shares = (mean / mean.sum() + b / b.sum()) / 2
    effective = float(1 / (shares**2).sum())
    if count < 2:
        return Gain(estimate, count, effective, len(a), np.inf, np.empty(0))
    whole = float(np.sqrt(error[0] ** 2 + between))
    ratios = np.empty(0)
    if resamples and whole > 0:
        ratios = _resampled(a, b, float(t[0]), float(error[0]), between, seed, resamples)
    return Gain(estimate, count, effective, len(a), factor * whole, ratios)


def _resampled(a: Array, b: Array, t: float, error: float, between: float, seed: int, resamples: int) -> Array:
    """The sorted (t* - t) / se* of resamples of groups and seeds.

    It is infinite if a model has no loss in a resample. If the losses do not differ between the groups of a resample,
    se* is that of all groups.
    """
    (seeds, count), rng = a.shape, np.random.default_rng(seed)
    found = []
    for begin in range(0, resamples, max(1, AT_ONCE // count)):
        size = min(max(1, AT_ONCE // count), resamples - begin)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size)  # how often each group is drawn
        mean = a[rng.integers(0, seeds, (size, seeds))].mean(axis=1) if seeds > 1 else a  # (R or 1, G)
        ts, errors = _log_ratio(mean, b[None], drawn)
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.sqrt(np.where(errors > 0, errors, error) ** 2 + between)
            found.append(np.where(np.isinf(ts), ts, (ts - t) / spread))
    ratios = np.concatenate(found)
    return np.sort(ratios[~np.isnan(ratios)])


def holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Which hypotheses are rejected so that none is rejected wrongly with probability 1 - level (Holm 1979)."""
    rejected = [False] * len(p_values)
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[i] > level / (len(p_values) - rank):
            break
        rejected[i] = True
    return rejected


def _log_ratio(a: Array, b: Array, counts: Array | None = None) -> tuple[Array, Array]:
    """log(sum a / sum b) and its standard error, for each row of `counts`, how often each group was drawn."""
    groups = a.shape[1]
    c = np.ones((1, groups)) if counts is None else counts
    sum_a, sum_b = (c * a).sum(axis=1), (c * b).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        square = (
            (c * a**2).sum(axis=1) / sum_a**2
            - 2 * (c * a * b).sum(axis=1) / (sum_a * sum_b)
            + (c * b**2).sum(axis=1) / sum_b**2
        )
        square = np.where(square > ROUNDING, square, 0.0) * groups
        return np.log(sum_a / sum_b), np.sqrt(square / (groups - 1) if groups > 1 else square)


def _between_seeds(a: Array) -> float:
    """The variance of log(sum A) between means over as many seeds, by linearisation."""
    if len(a) < 2:
        return 0.0
    totals = a.sum(axis=1)
    return float(np.var(totals / totals.mean(), ddof=1) / len(a))
