"""The table of scores against laws whose tail probability is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal, stats

from gatewise.errors import InputError
from gatewise.heads.tail_probability.spec import Spec
from gatewise.layers.base import Edge
from gatewise.tasks.calibrate import LEAST, calibrate, count_inflation, log_survival, pareto_fit

LAWS: dict[str, Any] = {
    "normal": stats.norm(),
    "laplace": stats.laplace(),
    "t2": stats.t(2),
    "t3": stats.t(3),
    "uniform": stats.uniform(-1, 2),
    "lognormal": stats.lognorm(1, loc=-math.exp(0.5)),
    "exponential": stats.expon(loc=-1),
}


def exceed(law: Any, s: float) -> float:
    """P(|X| >= s)."""
    return float(law.sf(s) + law.cdf(-s))


def threshold(table: Any, per_1000: float) -> float:
    return float(np.interp(-math.log10(per_1000 / 1000), table.score, table.statistic))


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("seed", range(3))
def test_the_stated_rate_of_exceedances_comes_true(name: str, seed: int) -> None:
    law = LAWS[name]
    table = calibrate(np.abs(law.rvs(25_000, random_state=seed)))
    for per_1000, low, high in [(100, 0.95, 1.05), (10, 0.8, 1.25), (1, 0.5, 2.0)]:
        assert low < exceed(law, threshold(table, per_1000)) * 1000 / per_1000 < high, per_1000


@pytest.mark.parametrize("name", ["normal", "t3", "lognormal"])
@pytest.mark.parametrize("seed", range(3))
def test_on_clean_steps_alarms_come_at_the_stated_rate(name: str, seed: int) -> None:
    """Counted, not computed: at a stated 1 in 1,000, 10^5 fresh steps alarm between 50 and 200 times."""
    law = LAWS[name]
    table = calibrate(np.abs(law.rvs(12_000, random_state=seed)))
    fresh = np.abs(law.rvs(100_000, random_state=100 + seed))
    alarms = int((table.at(fresh) >= Spec(false_alarms_per_1000=1.0).alarm_score).sum())
    assert 50 <= alarms <= 200


@pytest.mark.parametrize("name", ["normal", "laplace", "t3", "lognormal", "exponential"])
def test_beyond_the_data_the_order_of_magnitude_holds(name: str) -> None:
    law = LAWS[name]
    table = calibrate(np.abs(law.rvs(100_000, random_state=1)))
    for statistic in law.isf([5e-6, 5e-7]):
        true = -math.log10(exceed(law, statistic))
        assert table.at(np.array([statistic]))[0] == pytest.approx(true, abs=1.0)


def test_a_tail_that_is_a_mixture_begins_where_the_mixture_shows() -> None:
    """One step in 200 has ten times the noise: a tail fitted to a tenth of the data would be wrong by 2.5."""
    rng = np.random.default_rng(5)
    noise = rng.standard_normal(25_000) * np.where(rng.random(25_000) < 0.005, 10, 1)
    table = calibrate(np.abs(noise))
    s = threshold(table, 1.0)
    assert 0.5 < 2000 * (0.995 * stats.norm.sf(s) + 0.005 * stats.norm.sf(s / 10)) < 2.0
    assert table.peaks < 625


def test_the_claim_of_support_is_true() -> None:
    """With NEEDED independent residuals beyond the threshold, 95 in 100 tables are right within a factor of two."""
    law, right = stats.norm(), []
    for seed in range(100):
        table = calibrate(np.abs(law.rvs(5_000, random_state=seed)))
        assert table.finest_per_1000 < 2.0
        right.append(0.5 < exceed(law, threshold(table, 1.0)) * 1000 < 2.0)
    assert np.mean(right) >= 0.93


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.2, 0.7])
def test_the_fit_finds_a_known_pareto_law_as_maximum_likelihood_does(shape: float) -> None:
    law = stats.genpareto(shape, scale=2.5)
    peaks = np.sort(law.rvs(2_000, random_state=3))
    found, scale = pareto_fit(peaks)
    assert found == pytest.approx(shape, abs=0.07)
    assert scale == pytest.approx(2.5, rel=0.1)
    best, _, best_scale = stats.genpareto.fit(peaks, floc=0)
    ours, theirs = (stats.genpareto(c, scale=s).logpdf(peaks).sum() for c, s in [(found, scale), (best, best_scale)])
    assert ours > theirs - 0.5


def test_the_shape_is_that_of_zhang_and_stephens_drawn_towards_a_tenth() -> None:
    """Their equations, one number at a time: in their sign, the shape is k = -mean log(1 - theta x)."""
    x = sorted(stats.genpareto(0.2, scale=2.0).rvs(60, random_state=3))
    n, m, quartile = 60, 30 + int(math.sqrt(60)), x[int(60 / 4 + 0.5) - 1]

    def shape(theta: float) -> float:
        return -sum(math.log(1 - theta * one) for one in x) / n

    thetas = [1 / x[-1] + (1 - math.sqrt(m / (j - 0.5))) / (3 * quartile) for j in range(1, m + 1)]
    profile = [n * (math.log(theta / shape(theta)) + shape(theta) - 1) for theta in thetas]
    weights = [1 / sum(math.exp(other - one) for other in profile) for one in profile]
    best = sum(theta * weight for theta, weight in zip(thetas, weights, strict=True))
    found, _ = pareto_fit(np.array(x))
    assert found == pytest.approx((n * -shape(best) + 10 * 0.1) / (n + 10), rel=1e-9)


@pytest.mark.parametrize(("true", "bound"), [(-1.0, -0.5), (2.0, 1.0)])
def test_shapes_are_bounded_and_the_scale_then_is_the_most_likely(true: float, bound: float) -> None:
    peaks = np.sort(stats.genpareto(true).rvs(500, random_state=4))
    shape, scale = pareto_fit(peaks)
    assert shape == bound
    others = scale * np.linspace(0.7, 1.4, 200)
    likelihood = [stats.genpareto(shape, scale=s).logpdf(peaks).sum() for s in others]
    assert others[int(np.argmax(likelihood))] == pytest.approx(scale, rel=0.03)


def test_survival_is_that_of_scipy() -> None:
    y = np.linspace(0, 3, 50)
    for shape in (-0.4, 0.0, 0.5):
        np.testing.assert_allclose(log_survival(y, shape, 1.3), stats.genpareto(shape, scale=1.3).logsf(y), atol=1e-12)
    assert log_survival(np.array([4.0]), -0.5, 1.0)[0] == -np.inf


@pytest.mark.parametrize("law", [stats.halfnorm(), stats.expon(), stats.burr12(2, 1)])
def test_64_knots_are_enough(law: Any) -> None:
    """Between knots the table stays within 3 per cent of the probabilities that it was made from."""
    n = 20_000
    ideal = law.isf(np.arange(1, n + 1) / (n + 1))  # no sampling error: what remains is the table's own
    table = calibrate(np.random.default_rng(0).permutation(ideal))
    probabilities = np.geomspace(0.9, 20 / n, 500)
    np.testing.assert_allclose(10 ** -table.at(law.isf(probabilities)), probabilities, rtol=0.03)
    assert table.score[-1] == pytest.approx(12.0, abs=0.02)


def test_the_pareto_tail_survives_the_interpolation() -> None:
    """Beyond the data the table is the law of the excess over the largest residual, within 0.06 in the logarithm."""
    values = np.abs(np.random.default_rng(2).standard_t(3, 10_000))
    table = calibrate(values)
    assert table.shape > 0.2
    largest = values.max()
    y = np.geomspace(largest, float(table.statistic[-1]), 500) - largest
    scale = table.scale + table.shape * (largest - table.threshold)
    exact = table.at(np.array([largest])) - log_survival(y, table.shape, scale) / math.log(10)
    np.testing.assert_allclose(table.at(largest + y), exact, atol=0.06)


def test_a_bounded_tail_has_no_end_in_the_table() -> None:
    values = np.random.default_rng(3).uniform(0, 1, 10_000)
    table = calibrate(values)
    assert table.shape == -0.5
    assert table.statistic[-1] > values.max() + table.scale


def smoothed(values: np.ndarray, span: int) -> np.ndarray:
    alpha = 2 / (span + 1)
    return np.abs(signal.lfilter([alpha], [1, alpha - 1], values))


def test_clusters_lower_what_the_samples_are_worth() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(40_000)
    alone, together = calibrate(np.abs(noise)), calibrate(smoothed(noise, 12))
    assert alone.samples == together.samples == 40_000
    assert alone.effective > 0.7 * 40_000
    assert 0.15 < together.effective / together.samples < 0.45
    assert together.finest_per_1000 == pytest.approx(5000 / together.effective)
    assert count_inflation(np.repeat(np.abs(noise), 8)) == pytest.approx(8, rel=0.35)


@given(
    seed=st.integers(0, 2**31),
    n=st.integers(200, 2_000),
    make=st.sampled_from(["normal", "rounded", "cauchy", "zeros", "one atom", "tiny", "huge", "pairs"]),
)
def test_every_table_is_one_that_the_head_takes(seed: int, n: int, make: str) -> None:
    rng = np.random.default_rng(seed)
    x = np.abs(rng.standard_normal(n))
    kinds: dict[str, Callable[[], np.ndarray]] = {
        "normal": lambda: x,
        "rounded": lambda: np.round(x, 1),
        "cauchy": lambda: np.abs(rng.standard_cauchy(n)),
        "zeros": lambda: np.where(rng.random(n) < 0.8, 0, x),
        "one atom": lambda: np.where(rng.random(n) < 0.15, 4.0, x),
        "tiny": lambda: x * 1e-20,
        "huge": lambda: x * 1e20,
        "pairs": lambda: np.repeat(x, 2)[:n],
    }
    values = kinds[make]()
    table = calibrate(values)
    assert table.statistic.dtype == table.score.dtype == np.float32
    assert np.isfinite(table.statistic).all()
    assert np.isfinite(table.score).all()
    head = Spec(samples=n)
    drawn = head.initial((Edge(2), Edge(1)), rng)
    head.check({**drawn, "statistic": table.statistic[None], "score": table.score[None]})
    # Held-out data alarm no more often than stated, where counts decide, however many values are equal.
    alarms = (table.at(values.astype(np.float32)) >= 1.0).mean()
    assert alarms <= 0.11 + 2.0 / n


def test_the_table_scales_with_the_residuals() -> None:
    values = np.abs(np.random.default_rng(1).standard_t(4, 5_000))
    one, thousand = calibrate(values), calibrate(1000 * values)
    at = np.geomspace(0.01, 100, 300)
    np.testing.assert_allclose(thousand.at(1000 * at), one.at(at), rtol=1e-3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones(LEAST - 1), "at least 50 held-out steps, got 49"),
        (np.r_[np.arange(300.0), np.nan], "not finite"),
        (np.arange(-1.0, 300.0), "non-negative"),
        (np.zeros(300), "only 1 different values"),
        (np.arange(300.0) % 10, "only 10 different values"),
        (np.r_[np.zeros(10_000), np.arange(1.0, 16.0)], "only 16 different"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        calibrate(values)
