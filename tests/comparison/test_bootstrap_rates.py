"""How often the bootstrap is wrong, by simulation with known truth: false changes, and the coverage of intervals."""

from typing import NamedTuple

import numpy as np
import pytest

from gatewise.comparison import Gain, gain, metric_of

RMSE = metric_of("rmse", "value")
LEVEL = 0.005
RUNS = 150


class Law(NamedTuple):
    """How losses arise: the law of errors, the spread of levels between groups, and the sizes of groups."""

    heavy: bool = False
    levels: float = 0.3
    unequal: bool = False


LAWS = {
    "normal": Law(),
    "heavy tails": Law(heavy=True),
    "lognormal levels": Law(levels=1.0),
    "unequal groups": Law(unequal=True),
}
SIZES = [(12, 1), (12, 3), (30, 1), (30, 3)]


def simulated(law: Law, groups: int, seeds: int, true: float, seed: int) -> Gain:
    """A comparison whose true gain is known: groups are drawn, and each seed has an error of its own."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 100, groups) if law.unequal else np.full(groups, 20)
    number = np.repeat(np.arange(groups), sizes)
    draw = (lambda size: rng.standard_t(3, size)) if law.heavy else (lambda size: rng.normal(size=size))
    level = np.exp(law.levels * rng.normal(size=groups))[number]
    shared = draw(len(number))
    suits = np.exp(0.1 * rng.normal(size=groups) - 0.1**2)[number]  # its square has the mean 1
    trained = np.exp(0.02 * rng.normal(size=(seeds, 1)) - 0.02**2) if seeds > 1 else 1.0
    error = (1 - true) * level * suits * trained * (0.8 * shared + 0.6 * draw((seeds, len(number))))
    return gain(RMSE, (level * shared) ** 2, error**2, number, seed=seed, resamples=1000)


@pytest.fixture(scope="module")
def at_the_bound() -> dict[tuple[str, int, int], list[Gain]]:
    """Comparisons with a true gain of exactly 5 %."""
    return {
        (name, groups, seeds): [simulated(law, groups, seeds, 0.05, 1000 * groups + k) for k in range(RUNS)]
        for name, law in LAWS.items()
        for groups, seeds in SIZES
    }


def test_false_changes_are_rare_at_the_bound(at_the_bound: dict[tuple[str, int, int], list[Gain]]) -> None:
    """The worst case: a true gain of exactly 5 %. A challenger that is no better is the next test."""
    above = {case: sum(each.p_above(0.05) <= LEVEL for each in found) for case, found in at_the_bound.items()}
    below = {case: sum(each.p_below(0.05) <= LEVEL for each in found) for case, found in at_the_bound.items()}
    assert sum(above.values()) <= 0.01 * RUNS * len(above)
    assert sum(below.values()) <= 0.01 * RUNS * len(below)
    assert max(above.values()) <= 6, "1 % of 150 is 1.5; more than 6 would be less likely than 1 in 1,000"
    assert max(below.values()) <= 6


def test_intervals_cover_the_truth(at_the_bound: dict[tuple[str, int, int], list[Gain]]) -> None:
    """Intervals of 90 %: not below 80 % for any law, and about 90 % for all of them together."""
    covered = {
        case: np.mean([each.low(0.05) <= 0.05 <= each.high(0.05) for each in found])
        for case, found in at_the_bound.items()
    }
    assert min(covered.values()) > 0.8
    assert 0.86 < np.mean(list(covered.values())) < 0.97


@pytest.mark.parametrize("name", LAWS)
def test_without_a_difference_nothing_is_found_to_be_better(name: str) -> None:
    for groups, seeds in SIZES:
        found = [simulated(LAWS[name], groups, seeds, 0.0, k) for k in range(40)]
        assert not any(each.p_above(0.05) <= LEVEL for each in found)


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.05, 0.1])
def test_seeds_that_differ_are_part_of_the_error(spread: float) -> None:
    """A true gain of exactly 5 %, three seeds, and a variance between them that is known from these three alone."""
    rng, runs, groups, found = np.random.default_rng(0), 4000, 60, 0
    for _ in range(runs):
        level = rng.gamma(50, 1 / 50, groups)
        own = level * rng.normal(1, 0.03, groups)
        trained = 1 + spread * rng.standard_normal((3, 1))
        other = 0.95 * trained * level * rng.normal(1, 0.03, (3, groups))
        found += gain(metric_of("mae", "value"), own, other, np.arange(groups), resamples=0).p_above(0.05) <= LEVEL
    assert found <= 1.4 * LEVEL * runs, f"{found} of {runs}; 20 are stated"


@pytest.mark.parametrize(("correlation", "worth"), [(0.0, (25, 40)), (0.5, (5, 14)), (0.8, (1, 6))])
def test_correlated_blocks_of_time_are_worth_fewer(correlation: float, worth: tuple[float, float]) -> None:
    """A true gain of exactly 5 % in 40 blocks that are an autoregression: 40 (1 - r) / (1 + r) are independent."""
    rng, runs, found, plain, counts = np.random.default_rng(0), 2000, 0, 0, []
    for _ in range(runs):
        noise = np.sqrt(1 - correlation**2) * rng.normal(size=40)
        noise[0] = rng.normal()
        deviations = [noise[0]]
        for each in noise[1:]:
            deviations.append(correlation * deviations[-1] + each)
        other = 0.95 * (1 + 0.05 * np.array(deviations))[None]
        number, mae = np.arange(40), metric_of("mae", "value")
        ordered = gain(mae, np.ones(40), other, number, ordered=True, resamples=0)
        found += ordered.p_above(0.05) <= LEVEL
        plain += gain(mae, np.ones(40), other, number, resamples=0).p_above(0.05) <= LEVEL
        counts.append(ordered.worth)
    assert worth[0] <= np.median(counts) <= worth[1]
    assert found <= 1.5 * LEVEL * runs
    assert plain > 4 * LEVEL * runs or correlation == 0, "as independent groups they would be trusted too much"


def test_slow_changes_under_noise_are_seen_in_pairs_and_fours() -> None:
    """A true gain of exactly 5 %, in 40 blocks with a slow change that hides under noise from neighbouring blocks."""
    rng, runs, found, plain = np.random.default_rng(0), 2000, 0, 0
    for _ in range(runs):
        slow = [rng.normal()]
        for each in rng.normal(0, np.sqrt(1 - 0.9**2), 39):
            slow.append(0.9 * slow[-1] + each)
        other = 0.95 * (1 + 0.05 * (0.6 * np.array(slow) + 0.8 * rng.normal(size=40)))[None]
        number, mae = np.arange(40), metric_of("mae", "value")
        found += gain(mae, np.ones(40), other, number, ordered=True, resamples=0).p_above(0.05) <= LEVEL
        plain += gain(mae, np.ones(40), other, number, resamples=0).p_above(0.05) <= LEVEL
    assert found <= 0.02 * runs, "as many as such a change leaves; ten times as many without it"
    assert plain > 5 * found


def test_a_hundred_groups_find_a_gain_of_a_fifth_and_rule_out_one_where_there_is_none() -> None:
    better = [simulated(LAWS["normal"], 100, 1, 0.2, k) for k in range(20)]
    assert all(each.p_above(0.05) <= LEVEL for each in better)
    equal = [simulated(LAWS["normal"], 100, 1, 0.0, k) for k in range(20)]
    assert np.mean([each.p_below(0.05) <= 0.05 for each in equal]) > 0.6
