"""The ranges of levels, against formulas by hand."""

import numpy as np
import pytest

from gatewise.heads.tail_probability.spec import SPANS, UNBOUNDED
from gatewise.tasks.levels import level_tests


def smoothed(values: np.ndarray, span: int) -> np.ndarray:
    level, levels = 0.0, []
    for value in values:
        level += 2.0 / (span + 1) * (value - level)
        levels.append(level)
    return np.array(levels)


def test_the_range_reaches_beyond_the_levels_by_their_tail() -> None:
    z = np.random.default_rng(0).normal(size=(5000, 1)).astype(np.float32)
    found = level_tests([z], masked=False)
    for j, span in enumerate(SPANS):
        level = smoothed(z[:, 0].astype(float), span)
        low, high = level.min(), level.max()
        q = np.quantile(level, [0.01, 0.99])
        assert found["range"][0, 2 * j : 2 * j + 2] == pytest.approx([2 * low - q[0], 2 * high - q[1]], rel=1e-5)


def test_the_factors_are_likelihood_ratios_of_looks() -> None:
    """Of white noise, 16 and 32 rows make a look; 4 / (looks + 1) is borne, the middle from there to 1 is sought."""
    z = np.random.default_rng(0).normal(size=(4800, 1)).astype(np.float32)
    factor = level_tests([z], masked=False)["factor"][0]
    for j, together in enumerate((16, 32)):
        p = 4.0 / (4800 / together + 1)
        q = 0.5 * (1 + p)
        outside, inside = factor[2 * j : 2 * j + 2].astype(float) ** together
        assert outside == pytest.approx(q / p, rel=1e-3)
        assert inside == pytest.approx((1 - q) / (1 - p), rel=1e-3)
        assert p * outside + (1 - p) * inside == pytest.approx(1.0, rel=1e-3), "an e-value"


def test_slower_columns_take_more_rows_for_a_look() -> None:
    t = np.arange(20_000)
    z = np.sin(2 * np.pi * t[:, None] / np.array([[8.0, 400.0]])).astype(np.float32)
    factor = level_tests([z], masked=False)["factor"]
    assert factor[0, 0] > factor[1, 0] > 1.0


def test_one_wild_reading_moves_no_range() -> None:
    z = np.random.default_rng(0).normal(size=(5000, 1)).astype(np.float32)
    clean = level_tests([z], masked=False)
    z[2500] = 1e6
    spoilt = level_tests([z], masked=False)
    np.testing.assert_allclose(spoilt["range"], clean["range"], atol=0.7)
    assert (spoilt["clip"] < 30).all()


def test_a_column_without_variation_is_not_tested() -> None:
    found = level_tests([np.zeros((500, 1), np.float32)], masked=False)
    assert found["range"].tolist() == [[-np.float32(UNBOUNDED), np.float32(UNBOUNDED)] * 2]
    assert not found["factor"].any()


def test_too_few_rows_are_not_tested() -> None:
    assert not level_tests([np.random.default_rng(0).normal(size=(100, 1))], masked=False)["factor"].any()


def test_missing_readings_are_held_or_left_out() -> None:
    z = np.random.default_rng(0).normal(size=(3000, 1)).astype(np.float32)
    gaps = z.copy()
    gaps[1000:1200] = np.nan
    left_out = level_tests([gaps], masked=True)["range"]
    np.testing.assert_allclose(left_out, level_tests([np.delete(z, slice(1000, 1200), axis=0)], True)["range"])
    filled = z.copy()
    filled[1000:1200] = z[999]
    np.testing.assert_allclose(level_tests([gaps], False)["range"], level_tests([filled], False)["range"])
