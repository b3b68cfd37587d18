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
order for one-sided statements, which a plain percentile interval is not.

The variance between S seeds, divided by S, is added to se^2. Three seeds cannot be resampled, because one resample in
nine would consist of one seed alone. Their part of t* is therefore drawn from a normal distribution with this variance,
and their part of se*^2 from the distribution that such an estimate has, chi^2 with S - 1 degrees of freedom.

The quantiles of Student's distribution are used where they are wider. If few groups have nearly all the loss, neither
the standard error nor the resamples know how much such groups vary. The degrees of freedom of the groups are therefore
not G - 1, but the effective number of groups minus 1, which is 1 / sum_g w_g^2 (Kish 1965) with w_g the share of group
g in the losses. Those of the sum of both variances are the ones of Welch 1947 and Satterthwaite 1946, in which the
variance of the seeds enters with the upper end of its interval. Three seeds may agree by chance, and the plain formula
then takes the sum for as well known as the variance of the groups.

Blocks of one series are groups in the order of time, and neighbours may be alike however long they are. Their relative
deviations d_g = A_g / sum A - B_g / sum B are therefore taken as an autoregression of first order::

    r     = sum_g d_g d_(g+1) / sum_g d_g^2, plus (1 + 3 r) / G for its bias (Marriott & Pope 1954); at least 0
    worth = G (1 - r) / (1 + r)           independent blocks with as much information, e.g. Box et al. 2015, chapter 2
    se^2  is multiplied by G / (worth - 1), and the effective number of groups by worth / G

For the effective number, which decides the degrees of freedom, r is the upper end of its interval, as for the seeds. An
autoregression of first order does not see slow changes under much noise. The same is therefore done with pairs and with
fours of blocks, if there are at least `LEAST_GROUPS` of them, and what gives the widest interval counts.

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

UPPER = 0.9
"""The probability of the upper ends, of the variance between seeds and of the correlation of neighbouring blocks."""

MERGED = (1, 2, 4)
"""How many blocks of time are merged into one."""

MOST_CORRELATION = 0.99
"""A greater correlation of neighbouring blocks is taken as this one."""

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
        worth: number of independent groups whose gain has the same error; below `groups` if blocks of time are alike.
        effective: effective number of groups, which is smaller still if some have much more loss than others.
        seeds: number of seeds of the challenger.
        error: standard error of log(challenger / incumbent), for the metric itself; infinite if there is one group.
        degrees: degrees of freedom of the error; few if the seeds differ much.
        seed_share: share of the variance between seeds in the square of the error.
        quantiles: the sorted (t* - t) / se* of the resamples; empty = Student's distribution alone.
    """

    estimate: float
    groups: int
    worth: float
    effective: float
    seeds: int
    error: float
    degrees: float
    seed_share: float
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
        width = stats.t.ppf(1 - level, self.degrees) + stats.t.ppf(power, self.degrees)
        return float(-np.expm1(np.log(1 - least) - width * self.error))

    @property
    def _log(self) -> float:
        return float(np.log(max(1 - self.estimate, 1e-300)))

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
        student = float(stats.t.sf(errors, self.degrees))
        if not len(quantiles):
            return student
        as_far = len(quantiles) - np.searchsorted(quantiles, errors, side="left")
        return max(student, float((as_far + 1) / (len(quantiles) + 1)))

    def _width(self, level: float, quantiles: Array) -> float:
        """How many standard errors the end is away from the estimate."""
        student = float(stats.t.ppf(1 - level, self.degrees))
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
    metric: Metric,
    incumbent: Array,
    challenger: Array,
    groups: Array,
    *,
    ordered: bool = False,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Gain:
    """The gain of a challenger over the incumbent on the same answers.

    Args:
        metric: the metric.
        incumbent: (n,) the loss of each answer of the incumbent.
        challenger: (seeds, n) the loss of each answer of the challenger, for each of its seeds.
        groups: (n,) number of the group of each answer, from 0 without gaps.
        ordered: whether the groups are blocks of time of one series, in this order, which may be correlated.
        seed: of the resampling.
        resamples: their number; 0 = Student's distribution alone.
    """
    count = int(groups.max()) + 1
    b = np.bincount(groups, incumbent, count)  # (G,)
    a = np.stack([np.bincount(groups, each, count) for each in challenger])  # (S, G)
    factor = 0.5 if metric.root else 1.0  # of the logarithm of a root
    if (b == a).all():
        error = 0.0 if count > 1 else np.inf
        return Gain(0.0, count, float(count), float(count), len(a), error, max(1.0, count - 1), 0.0, np.empty(0))
    if not (a.any() and b.any()):
        lost = a.mean(axis=0) + b
        added = lost[lost > 0].mean() / 2 / count
        a, b = a + added, b + added
    mean, between = a.mean(axis=0), _between_seeds(a)
    sizes = [size for size in MERGED if size == 1 or count // size >= LEAST_GROUPS] if ordered else [1]
    sums = max((_sums(mean, b, ordered, size) for size in sizes), key=lambda each: each.width)
    estimate = float(-np.expm1(factor * sums.t))
    if count < 2:
        return Gain(estimate, count, 1.0, 1.0, len(a), np.inf, 1.0, 0.0, np.empty(0))
    whole, ratios = float(np.hypot(sums.wider * sums.error, between**0.5)), np.empty(0)
    if resamples and whole > 0:
        # Resamples of single groups have the error of independent ones.
        relative = between / sums.wider**2
        ratios = _resampled(sums.a, sums.b, sums.t, sums.error, relative, len(a), seed, resamples)
    degrees = _satterthwaite(((sums.wider * sums.error) ** 2, sums.degrees), (_upper(between, len(a)), len(a) - 1))
    plain = _sums(mean, b, False, 1).error
    worth = count * min(1.0, (plain / (sums.wider * sums.error)) ** 2) if plain > 0 else float(count)
    of_seeds = between / whole**2 if whole > 0 else 0.0
    return Gain(estimate, count, worth, sums.effective, len(a), factor * whole, degrees, of_seeds, ratios)


@dataclass(frozen=True)
class _Sums:
    """Summed losses of groups, or of merged blocks, and what they tell.

    Attributes:
        a, b: (G,) summed losses of the challenger and of the incumbent.
        t, error: the logarithm of the ratio, and its standard error if the groups are independent.
        wider: by how much the error is greater because blocks are alike.
        effective: effective number of groups.
    """

    a: Array
    b: Array
    t: float
    error: float
    wider: float
    effective: float

    @property
    def degrees(self) -> float:
        """The degrees of freedom of the error."""
        return max(1.0, self.effective - 1)

    @property
    def width(self) -> float:
        """The width of an interval at a small level."""
        return float(stats.t.ppf(0.995, self.degrees)) * self.wider * self.error


def _sums(a: Array, b: Array, ordered: bool, size: int) -> _Sums:
    """The sums of groups; of blocks, in merged ones of `size` each, the last of which may be larger."""
    begin = np.arange(max(1, len(b) // size)) * size
    a, b = np.add.reduceat(a, begin), np.add.reduceat(b, begin)
    (t,), (error,) = _log_ratio(a[None], b[None])
    count = len(b)
    worth, least = _worth(a / a.sum() - b / b.sum()) if ordered else (float(count), float(count))
    shares = (a / a.sum() + b / b.sum()) / 2
    effective = float(least / count / (shares**2).sum())
    wider = (count / max(worth - 1, 1)) ** 0.5 if worth < count else 1.0
    return _Sums(a, b, float(t), float(error), wider, effective)


def _resampled(
    a: Array, b: Array, t: float, error: float, between: float, seeds: int, seed: int, resamples: int
) -> Array:
    """The sorted (t* - t) / se* of resamples of groups and seeds.

    It is infinite if a model has no loss in a resample. If the losses do not differ between the groups of a resample,
    se* is that of all groups.

    Args:
        a, b: (G,) summed losses of the challenger, the mean over its seeds, and of the incumbent.
        t, error: the logarithm of the ratio and its standard error over groups.
        between: the variance of the mean over seeds, relative to the same error.
        seeds: their number.
        seed, resamples: as in `gain`.
    """
    count, rng = len(b), np.random.default_rng(seed)
    found = []
    for begin in range(0, resamples, max(1, AT_ONCE // count)):
        size = min(max(1, AT_ONCE // count), resamples - begin)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size)  # how often each group is drawn
        ts, errors = _log_ratio(a[None], b[None], drawn)
        variance: Array | float = 0.0
        if between > 0:
            ts += np.sqrt(between) * rng.normal(size=size)
            variance = between * rng.chisquare(seeds - 1, size) / (seeds - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.sqrt(np.where(errors > 0, errors, error) ** 2 + variance)
            found.append(np.where(np.isinf(ts), ts, (ts - t) / spread))
    ratios = np.concatenate(found)
    return np.sort(ratios[~np.isnan(ratios)])


def _upper(between: float, seeds: int) -> float:
    """The upper end of the variance between seeds."""
    return between * (seeds - 1) / float(stats.chi2.ppf(1 - UPPER, seeds - 1)) if between > 0 else 0.0


def _satterthwaite(*parts: tuple[float, float]) -> float:
    """The degrees of freedom of a sum of variances, each with its own."""
    whole = sum(variance for variance, _ in parts)
    uncertain = sum(variance**2 / degrees for variance, degrees in parts if variance > 0)
    return float(whole**2 / uncertain) if uncertain > 0 else parts[0][1]


def holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Which hypotheses are rejected so that none is rejected wrongly with probability 1 - level (Holm 1979)."""
    return [p <= own for p, own in zip(p_values, holm_levels(p_values, level), strict=True)]


def holm_levels(p_values: Sequence[float], level: float) -> list[float]:
    """The level of each hypothesis in Holm's correction; behind the first that is not rejected, the level of that."""
    levels, stopped = [level] * len(p_values), False
    own = level
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        own = own if stopped else level / (len(p_values) - rank)
        stopped = stopped or p_values[i] > own
        levels[i] = own
    return levels


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


def _worth(deviations: Array) -> tuple[float, float]:
    """How many independent blocks are as much evidence as these, and the lower end of that number.

    Args:
        deviations: (G,) the relative deviations of the blocks in order.
    """
    count, square = len(deviations), float((deviations**2).sum())
    if count < 2 or square <= ROUNDING:
        return float(count), float(count)
    r = float((deviations[1:] * deviations[:-1]).sum()) / square
    r += (1 + 3 * r) / count
    error = (max(0.0, 1 - r**2) / count) ** 0.5  # Bartlett 1946
    ends = [min(max(each, 0.0), MOST_CORRELATION) for each in (r, r + float(stats.norm.ppf(UPPER)) * error)]
    worth, least = (count * (1 - each) / (1 + each) for each in ends)
    return worth, least


def _between_seeds(a: Array) -> float:
    """The variance of log(sum A) between means over as many seeds, by linearisation."""
    if len(a) < 2:
        return 0.0
    totals = a.sum(axis=1)
    return float(np.var(totals / totals.mean(), ddof=1) / len(a))
