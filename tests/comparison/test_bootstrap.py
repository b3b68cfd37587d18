"""The gain: its estimate and error by hand, its resamples by loops, and what its p-values promise."""

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from gatewise.comparison import Gain, Metric, gain, holm, metric_of
from gatewise.comparison.bootstrap import WORST

RMSE, MAE = metric_of("rmse", "value"), metric_of("mae", "value")
LEVELS = (0.4, 0.05, 0.005, 0.001)


def losses(groups: int, seeds: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared errors of an incumbent and of a challenger in groups of 3 to 9 answers."""
    rng = np.random.default_rng(seed)
    number = np.repeat(np.arange(groups), rng.integers(3, 10, groups))
    own = rng.normal(size=len(number))
    other = 0.8 * own + 0.5 * rng.normal(size=(seeds, len(number)))
    return own**2, other**2, number


def sums(values: np.ndarray, number: np.ndarray) -> list[float]:
    return [float(values[number == g].sum()) for g in range(number.max() + 1)]


def by_hand(a: list[float], b: list[float]) -> tuple[float, float]:
    """The logarithm of the ratio of two sums over groups, and its standard error by linearisation."""
    count, log = len(a), np.log(sum(a) / sum(b))
    square = sum((x / sum(a) - y / sum(b)) ** 2 for x, y in zip(a, b, strict=True))
    return float(log), float(np.sqrt(count / (count - 1) * square))


@pytest.mark.parametrize(("metric", "factor"), [(RMSE, 0.5), (MAE, 1.0)])
def test_estimate_and_error_equal_the_formulas(metric: Metric, factor: float) -> None:
    own, other, number = losses(14)
    found = gain(metric, own, other, number, resamples=0)
    log, error = by_hand(sums(other[0], number), sums(own, number))
    assert found.estimate == pytest.approx(1 - metric.total(other[0]) / metric.total(own), rel=1e-12)
    assert found.estimate == pytest.approx(1 - np.exp(factor * log), rel=1e-12)
    assert found.error == pytest.approx(factor * error, rel=1e-10)
    assert (found.groups, found.seeds) == (14, 1)


def test_the_error_of_groups_of_equal_ratios_is_that_of_seeds_alone() -> None:
    own, _, number = losses(12)
    factors = np.array([0.7, 0.8, 0.9])
    found = gain(MAE, own, factors[:, None] * own, number)
    assert found.estimate == pytest.approx(0.2)
    assert found.error == pytest.approx(np.std(factors / 0.8, ddof=1) / np.sqrt(3), rel=1e-6)


def test_blocks_are_worth_what_the_formula_says() -> None:
    own, _, number = losses(30)
    walk = np.cumsum(np.random.default_rng(1).normal(size=30))
    other = (own * (1 + 0.01 * walk[number]))[None]
    found = gain(MAE, own, other, number, ordered=True, resamples=0)
    plain = gain(MAE, own, other, number, resamples=0)
    widths = []
    for size in (1, 2):  # of fours there would be seven, which are too few
        a, b = (np.array(sums(each, number)).reshape(-1, size).sum(axis=1) for each in (other[0], own))
        d, count = a / a.sum() - b / b.sum(), 30 // size
        r = (d[1:] * d[:-1]).sum() / (d**2).sum()
        r += (1 + 3 * r) / count
        assert 0.2 < r < 0.99, "a random walk is correlated"
        upper = min(0.99, r + stats.norm.ppf(0.9) * np.sqrt((1 - r**2) / count))
        worth = count * (1 - r) / (1 + r)
        error = np.sqrt((d**2).sum() * count / (count - 1) * count / max(worth - 1, 1))
        shares = (a / a.sum() + b / b.sum()) / 2
        degrees = max(1, (1 - upper) / (1 + upper) / (shares**2).sum() - 1)
        widths.append((stats.t.ppf(0.995, degrees) * error, error, degrees))
    _, error, degrees = max(widths)
    assert found.error == pytest.approx(error)
    assert found.degrees == pytest.approx(degrees)
    assert (plain.worth, found.worth) == (30, pytest.approx(30 * (plain.error / error) ** 2))
    assert found.estimate == pytest.approx(plain.estimate)


def test_the_effective_number_of_groups_is_that_of_kish() -> None:
    equal = gain(MAE, np.ones(12), np.full((1, 12), 0.9), np.arange(12))
    assert equal.effective == pytest.approx(12)
    own = np.array([97.0, 1, 1, 1])
    assert gain(MAE, own, own[None] / 2, np.arange(4)).effective == pytest.approx(1 / (0.97**2 + 3 * 0.01**2))


def test_the_degrees_of_freedom_are_those_of_welch_with_the_upper_end_of_the_seeds() -> None:
    """Groups of equal ratios leave the seeds alone, 3 - 1; one seed leaves the groups alone; both lie in between."""
    own, other, number = losses(12, 3)
    alone = gain(MAE, own, np.array([[0.7], [0.8], [0.9]]) * own, number)
    assert alone.degrees == pytest.approx(2, rel=1e-6)
    one = gain(MAE, own, other[:1], number)
    assert one.degrees == pytest.approx(one.effective - 1)
    both = gain(MAE, own, other, number)
    _, of_groups = by_hand(np.mean([sums(each, number) for each in other], axis=0).tolist(), sums(own, number))
    totals = other.sum(axis=1)
    upper = np.var(totals / totals.mean(), ddof=1) / 3 * 2 / -(2 * np.log(0.9))  # chi2 with 2 degrees is exponential
    degrees = (of_groups**2 + upper) ** 2 / (of_groups**4 / (both.effective - 1) + upper**2 / 2)
    assert both.degrees == pytest.approx(degrees, rel=1e-9)


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_resamples_are_a_bootstrap_t(seeds: int) -> None:
    """An independent bootstrap-t, with loops and other random numbers, has the same distribution."""
    own, other, number = losses(11, seeds)
    a, b = [sums(each, number) for each in other], sums(own, number)
    mean = np.mean(a, axis=0).tolist()
    totals = np.array([sum(each) for each in a])
    spread = float(np.std(totals / totals.mean(), ddof=1)) if seeds > 1 else 0.0
    log, _ = by_hand(mean, b)
    rng, ratios = np.random.default_rng(1), []
    for _ in range(3000):
        drawn = rng.integers(0, 11, 11)
        of_seeds = rng.normal(0, spread, seeds)  # new seeds: their mean, and the error of it that they show
        t, error = by_hand([mean[g] for g in drawn], [b[g] for g in drawn])
        seen = np.var(of_seeds, ddof=1) / seeds if seeds > 1 else 0.0
        ratios.append((t + of_seeds.mean() - log) / np.sqrt(error**2 + seen))
    found = gain(RMSE, own, other, number, resamples=3000)
    assert len(found.quantiles) == 3000
    assert (np.diff(found.quantiles) >= 0).all()
    assert stats.ks_2samp(found.quantiles, ratios).pvalue > 0.01
    assert stats.ks_2samp(found.quantiles, np.array(ratios) * 1.3).pvalue < 0.01, "the test can tell them apart"


@pytest.mark.parametrize(("groups", "seeds", "resamples"), [(12, 1, 999), (30, 3, 999), (100, 1, 2000), (12, 3, 0)])
def test_ends_and_p_values_agree(groups: int, seeds: int, resamples: int) -> None:
    found = gain(RMSE, *losses(groups, seeds, seed=groups), resamples=resamples)
    assert found.low(0.005) < found.low(0.05) < found.estimate < found.high(0.05) < found.high(0.005)
    for level, bound in itertools.product(LEVELS, np.linspace(-0.6, 0.6, 61).tolist()):
        if abs(found.low(level) - bound) > 1e-9:
            assert (found.low(level) > bound) == (found.p_above(bound) < level), (level, bound)
        if abs(found.high(level) - bound) > 1e-9:
            assert (found.high(level) < bound) == (found.p_below(bound) < level), (level, bound)


def test_a_level_below_the_resolution_of_the_resamples_has_no_end() -> None:
    found = gain(RMSE, *losses(30), resamples=99)
    assert found.low(0.001) == -WORST
    assert found.p_above(-0.9) >= 0.01


def test_p_values_fall_with_the_distance() -> None:
    found = gain(RMSE, *losses(30), resamples=999)
    above = [found.p_above(bound) for bound in np.linspace(-0.9, 0.9, 50)]
    below = [found.p_below(bound) for bound in np.linspace(-0.9, 0.9, 50)]
    assert above == sorted(above)
    assert below == sorted(below, reverse=True)
    assert found.p_above(found.estimate + 0.01) == found.p_below(found.estimate - 0.01) == 1.0


def test_detectable_is_found_with_its_power() -> None:
    found = Gain(0.0, 30, 30.0, 30.0, 1, 0.04, 29.0, 0.0, np.empty(0))
    width = stats.t.ppf(0.995, 29) + stats.t.ppf(0.8, 29)
    assert found.detectable(0.05, 0.005) == pytest.approx(1 - 0.95 * np.exp(-0.04 * width))
    rng, true = np.random.default_rng(0), found.detectable(0.05, 0.005)
    estimates = 1 - (1 - true) * np.exp(0.04 * rng.normal(size=2000))
    power = np.mean(
        [Gain(each, 30, 30.0, 30.0, 1, 0.04, 29.0, 0.0, np.empty(0)).p_above(0.05) <= 0.005 for each in estimates]
    )
    assert power == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize("groups", [2, 12])
def test_identical_losses_are_a_gain_of_zero(groups: int) -> None:
    own, _, number = losses(groups)
    found = gain(RMSE, own, np.stack([own, own]), number)
    assert found.estimate == found.low(0.005) == found.high(0.005) == 0.0
    assert (found.p_above(0.05), found.p_below(0.05), found.p_above(-0.05)) == (1.0, 0.0, 0.0)
    assert found.detectable(0.05, 0.005) == pytest.approx(0.05)


def test_losses_in_proportion_are_known_exactly() -> None:
    own, _, number = losses(12)
    found = gain(RMSE, own, 0.81 * own[None], number)
    assert found.estimate == pytest.approx(0.1)
    assert found.low(0.005) == found.high(0.005) == found.estimate
    assert (found.p_above(0.05), found.p_below(0.05)) == (0.0, 1.0)


def test_one_group_says_nothing() -> None:
    rng = np.random.default_rng(0)
    for other in (rng.random((1, 50)) / 10, rng.random((3, 50)), np.zeros((1, 50))):
        found = gain(RMSE, rng.random(50), other, np.zeros(50, int))
        assert found.p_above(0.05) == found.p_below(0.05) == found.p_above(-0.05) == 1.0
        assert (found.low(0.005), found.high(0.005), found.detectable(0.05, 0.005)) == (-WORST, 1.0, 1.0)
        assert np.isfinite(found.estimate)


def test_a_model_without_any_loss() -> None:
    """One group with a loss, of twelve, is no evidence; twelve of twelve are."""
    number, none = np.arange(12), np.zeros((1, 12))
    rare = gain(MAE, np.eye(12)[0], none, number)
    assert rare.p_above(0.05) > 0.05
    often = gain(MAE, 1 + 0.1 * np.random.default_rng(0).random(12), none, number)
    assert often.p_above(0.05) < 0.005
    assert 0.9 < often.estimate < 1
    perfect = gain(MAE, np.zeros(12), 1 + 0.1 * np.random.default_rng(0).random((1, 12)), number)
    assert -WORST <= perfect.estimate < -1
    assert perfect.p_below(-0.05) < 0.005
    both = gain(MAE, np.zeros(12), none, number)
    assert (both.estimate, both.p_below(0.05)) == (0.0, 0.0)
    for found in (rare, often, perfect, both):
        ends = [found.low(0.005), found.high(0.005), found.low(0.05), found.high(0.05), found.detectable(0.05, 0.005)]
        assert np.isfinite(ends).all()


def test_losses_in_few_groups_are_no_evidence() -> None:
    """A challenger that is better in 2 of 20 groups, which hold all the loss, and as good as the model elsewhere."""
    own = np.full(20, 1e-9)
    own[:2] = 1.0
    other = own.copy()
    other[:2] = 0.5, 0.6
    assert gain(MAE, own, other[None], np.arange(20)).p_above(0.05) > 0.005


def test_many_groups_do_not_take_much_memory() -> None:
    rng = np.random.default_rng(0)
    own = rng.random(20_000)
    found = gain(MAE, own, 0.8 * own[None] * rng.uniform(0.9, 1.1, 20_000), np.arange(20_000), resamples=300)
    assert found.p_above(0.05) == pytest.approx(1 / 301)


def test_the_order_of_answers_and_the_numbers_of_groups_do_not_matter() -> None:
    own, other, number = losses(12, 2)
    found = gain(RMSE, own, other, number, resamples=0)
    order = np.random.default_rng(0).permutation(len(own))
    mixed = gain(RMSE, own[order], other[:, order], (11 - number)[order], resamples=0)
    assert mixed.estimate == pytest.approx(found.estimate, rel=1e-12)
    assert mixed.error == pytest.approx(found.error, rel=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_holm_equals_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p_values = (rng.random(int(rng.integers(1, 9))) ** 3).tolist()
    for level in (0.5, 0.05, 0.005):
        assert holm(p_values, level) == multipletests(p_values, level, "holm")[0].tolist()


def test_holm_of_nothing_and_of_ties() -> None:
    assert holm([], 0.05) == []
    assert holm([0.02, 0.02], 0.05) == [True, True]
    assert holm([0.03, 0.03], 0.05) == [False, False]
