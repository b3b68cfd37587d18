"""Scale, tail and levels of data in which single values are wild."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gatewise.tables.robust import location_scale, reach
from gatewise.tasks.calibrate import calibrate, find_wild
from gatewise.tasks.detector import Detector


@pytest.mark.parametrize("law", [stats.norm(5, 2), stats.t(3), stats.lognorm(1), stats.uniform(), stats.expon()])
def test_of_usual_data_mean_and_deviation_are_the_plain_ones(law: stats.rv_continuous) -> None:
    values = law.rvs(4000, random_state=0)
    assert location_scale(values) == pytest.approx((values.mean(), values.std()), rel=0.02)


def test_normal_data_are_not_changed_at_all() -> None:
    values = np.random.default_rng(0).normal(3, 2, 10_000)
    assert location_scale(values) == (values.mean(), values.std())


@pytest.mark.parametrize("wild", [-9999.0, 1e6, 1e30])
@pytest.mark.parametrize("rows", [60, 500, 8000])
def test_one_wild_value_changes_the_scale_by_little(wild: float, rows: int) -> None:
    values = np.random.default_rng(1).normal(3, 2, rows)
    mean, deviation = values.mean(), values.std()
    values[rows // 2] = wild
    found = location_scale(values)
    assert abs(found[0] - mean) < 0.2 * deviation
    assert found[1] == pytest.approx(deviation, rel=0.5)


def test_a_column_that_is_nearly_always_zero_keeps_its_events() -> None:
    values = np.zeros(10_000)
    values[[100, 4000, 9000]] = 1.0, 2.0, 3.0
    assert reach(values) == (0.0, 3.0)
    assert location_scale(values) == (values.mean(), values.std())


def spike(series: pd.Series, size: float) -> float:
    return float(calibrate(series.to_numpy()).at(np.array([size]))[0])


@pytest.mark.parametrize("wild", [12.0, 50.0, 1e3, 1e7])
@pytest.mark.parametrize("times", [1, 2])
def test_wild_residuals_change_the_score_of_a_spike_by_less_than_a_quarter(wild: float, times: int) -> None:
    clean = pd.Series(np.abs(np.random.default_rng(2).normal(size=1600)))
    spoilt = clean.copy()
    spoilt.iloc[[300, 900][:times]] = wild
    assert spike(spoilt, 15.0) == pytest.approx(spike(clean, 15.0), rel=0.25)


def test_a_wild_residual_is_left_out_with_the_rows_that_it_drags_along() -> None:
    residuals = np.abs(np.random.default_rng(3).normal(size=1600))
    residuals[700:740] = np.maximum(residuals[700:740], 1e4 * 0.7 ** np.arange(40))  # smoothed, it takes some rows
    out = np.flatnonzero(find_wild(residuals))
    assert out[0] <= 700
    assert 720 <= out[-1] < 760
    assert calibrate(residuals).wild == len(out)


@pytest.mark.parametrize("law", [stats.norm(), stats.t(3), stats.t(2), stats.lognorm(1), stats.laplace()])
def test_of_lawful_tails_nothing_is_left_out(law: stats.rv_continuous) -> None:
    left_out = [find_wild(np.abs(law.rvs(2000, random_state=seed))).any() for seed in range(20)]
    assert sum(left_out) <= 1


def test_many_wild_values_are_usual() -> None:
    residuals = np.abs(np.random.default_rng(4).normal(size=2000))
    residuals[::50] = 1e3
    assert not find_wild(residuals).any()


def test_a_wild_residual_of_a_usual_value_is_named() -> None:
    """A reading in the range of the column, but far from what was expected: no look at the column finds it."""
    t = np.arange(3000)
    data = pd.DataFrame({"a": np.sin(t / 8) + np.random.default_rng(0).normal(0, 0.02, 3000)})
    peak = int(2700 + np.argmax(data.a[2700:2750]))
    data.loc[peak, "a"] = -0.9
    with pytest.warns(UserWarning, match="rests on a fitted tail|row"):
        detector = Detector(units=8, steps=250, learning_rate=1e-2).fit(data)
    named = [warning for warning in detector.warnings_ if f"row {peak}" in warning]
    assert len(named) == 1, detector.warnings_
    assert named[0].startswith(f"column 'a' is -0.9 at row {peak}")
    assert detector.calibration_.wild >= 1


@pytest.mark.parametrize("wild", [999_999.0, -2147483648.0, 1e9])
def test_a_wild_training_row_is_named_and_training_goes_on(wild: float) -> None:
    data = pd.DataFrame({"temp": np.random.default_rng(0).normal(21, 2, 2000)})
    data.loc[500, "temp"] = wild
    with pytest.warns(UserWarning, match=r"column 'temp' is .* at row 500|rests on a fitted tail"):
        detector = Detector(units=4, steps=3).fit(data)
    assert any("at row 500" in warning for warning in detector.warnings_), detector.warnings_
