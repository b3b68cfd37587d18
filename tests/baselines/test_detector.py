"""The detector on a method that scores windows, against the method on arrays and the frames of the task."""

import warnings

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise.baselines import Detector
from gatewise.baselines.unusual import KMeansWindows, PCAWindows
from gatewise.errors import GatewiseWarning, InputError


def pump(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    return pd.DataFrame(
        {
            "when": pd.date_range("2024-01-01", periods=n, freq="min"),
            "flow": 300 + np.sin(t / 5) + 0.1 * rng.normal(size=n),
            "heat": np.cos(t / 5) + 0.1 * rng.normal(size=n),
        }
    )


OPTIONS = {"lookback": 10, "time": "when", "false_alarms_per_1000": 20.0}


def test_scores_are_the_probabilities_of_those_of_the_method():
    data = pump()
    found = Detector("kmeans", options={"clusters": 5}, **OPTIONS).fit(data)
    values = data[["flow", "heat"]].to_numpy(np.float32)
    cut = np.array([values[end - 9 : end + 1] for end in range(9, 2000)])
    peer = KMeansWindows(5).fit(cut[: 1500 - 9])
    usual = np.sort(peer.score(cut[1500 - 9 :]))
    raw = peer.score(cut)
    edge = usual[-26]  # 25 of the 500 are above
    excess = (usual[-25:] - edge).mean()
    wanted = [(1 + (usual >= min(s, edge)).sum()) / 501 * np.exp(-max(s - edge, 0) / excess) for s in raw]
    scores = found.score_samples(data)
    assert np.isnan(scores[:9]).all()
    assert np.allclose(scores[9:], np.log10(wanted), atol=1e-6)
    assert found.threshold_ == pytest.approx(-np.log10(0.02))
    assert np.array_equal(found.predict(data) == -1, np.nan_to_num(scores, nan=0.0) <= np.log10(0.02))
    assert np.array_equal(found.decision_function(data)[9:] <= 0, found.predict(data)[9:] == -1)


@pytest.mark.parametrize("method", ["pca", "kmeans", "isolation_forest"])
def test_the_rate_of_alarms_holds_and_a_fault_is_found(method):
    found = Detector(method, **OPTIONS).fit(pump(8000))
    fresh = pump(4000, seed=1)
    rate = (found.predict(fresh) == -1).mean()
    assert 0.01 < rate < 0.04  # 0.02 is stated; windows overlap, so alarms come in runs
    fresh.loc[2000:2003, "flow"] += 5.0
    explained = found.explain(fresh)
    assert explained["score"].idxmax() in range(2000, 2014)
    assert explained.loc[2003, "extrapolated"]


def test_the_frame_is_that_of_the_task_without_its_forecast():
    data = pump()
    for target in ("flow", ["flow", "heat"]):
        ours = Detector(target=target, **OPTIONS).fit(data).explain(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GatewiseWarning)
            task = gw.Detector(units=4, steps=2, target=target, time="when").fit(data).explain(data)
        kept = [name for name in task.columns if name.rpartition(":")[2] not in ("expected", "low", "high")]
        kept = [name for name in kept if not name.endswith(":score")]  # one score for the whole window
        assert list(ours.columns) == kept
        same = [name for name in kept if name not in ("score", "extrapolated", "alarm")]
        pd.testing.assert_frame_equal(ours[same], task[same], check_dtype=False)


def test_only_the_targets_are_read():
    data, other = pump(), pump()
    other["heat"] = other["heat"].to_numpy()[::-1]
    one, same = (Detector(target="flow", **OPTIONS).fit(each).score_samples(each) for each in (data, other))
    assert np.array_equal(one, same, equal_nan=True)


def test_series_in_any_order():
    long = pd.concat([pump(seed=i).assign(unit=name) for i, name in enumerate("ab")], ignore_index=True)
    mixed = long.sort_values(["when", "unit"], ignore_index=True)
    whole = Detector(series="unit", **OPTIONS).fit(long)
    scores = whole.score_samples(long)
    assert np.isnan(scores[[0, 8, 2000, 2008]]).all()
    assert np.isfinite(scores[[9, 2009]]).all()
    rows = np.lexsort([mixed["when"], mixed["unit"]])
    assert np.array_equal(whole.score_samples(mixed)[rows], scores, equal_nan=True)


def test_missing_readings_are_filled_forward():
    data = pump()
    data.loc[:4, "heat"] = np.nan
    data.loc[100, "flow"] = np.nan
    found = Detector(missing="hold", **OPTIONS).fit(data)
    scores = found.score_samples(data)
    assert np.isnan(scores[:14]).all()
    assert np.isfinite(scores[14:]).all()
    assert np.array_equal(scores[14:], found.score_samples(data.ffill())[14:])


def test_large_levels_keep_their_digits():
    data = pump()
    far = data.assign(flow=data["flow"] + 1e8)
    near, other = (Detector(**OPTIONS).fit(each).score_samples(each)[9:] for each in (data, far))
    assert np.allclose(near, other, atol=0.02)


def test_few_windows_give_a_warning_of_the_rate():
    with pytest.warns(GatewiseWarning, match=r"1 in 1,000, rests on a fitted tail: there are 500 held-out windows"):
        found = Detector(lookback=10, time="when").fit(pump())
    assert len(found.warnings_) == 1
    assert isinstance(found.method_, PCAWindows)


def test_constant_columns():
    data = pump().assign(heat=3.0)
    found = Detector(**OPTIONS).fit(data)
    assert np.isfinite(found.score_samples(data)[9:]).all()


def test_refusals():
    data = pump(200)
    for options, words in [
        ({"method": "lof"}, r"method must be one of \['pca', 'kmeans', 'isolation_forest'\], got 'lof'"),
        ({"lookback": 140}, "there are 11 windows of 140 rows to fit and 50 to calibrate on, and at least 20"),
        ({"lookback": 300}, "there are 0 windows"),
        ({"false_alarms_per_1000": 0.0}, "false_alarms_per_1000 must be between 0 and 1,000"),
        ({"options": {"leaves": 3}}, "options are not those of 'pca': .*leaves"),
        ({"options": {"variance": 2}}, "variance must be a share"),
    ]:
        with pytest.raises(InputError, match=words):
            Detector(**{**OPTIONS, **options}).fit(data)
    with pytest.raises(InputError, match="non-finite reading at row 3"):
        Detector(**OPTIONS).fit(data.assign(heat=data["heat"].where(data.index != 3)))
