"""The estimator that forecasts with a simple method, against the method on arrays and the frames of the task."""

import warnings

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise.baselines import Forecaster
from gatewise.baselines.methods import named
from gatewise.errors import GatewiseWarning, InputError


def daily(n=400, seed=0, series=False):
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    load = 1000 + 50 * np.sin(2 * np.pi * t / 24) + rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "when": pd.date_range("2024-01-01", periods=n, freq="h"),
            "load": load,
            "heat": rng.normal(size=n).cumsum(),
        }
    )
    return pd.concat([frame.assign(unit=name) for name in ("a", "b")]) if series else frame


def by_hand(values, own, horizons, lookback, stop):
    """Windows and targets of all rows from which the last horizon is before `stop`."""
    ends = range(lookback - 1, stop - max(horizons))
    windows = np.array([values[end - lookback + 1 : end + 1] for end in ends])
    return windows, np.array([[values[end + h, k] for k in own for h in horizons] for end in ends])


@pytest.mark.parametrize("method", ["constant", "last", "seasonal", "ridge", "trees_last", "trees_window"])
def test_forecasts_are_those_of_the_method(method):
    data, horizons = daily(), [1, 3]
    found = Forecaster(method, horizons=horizons, lookback=24, time="when", quantiles=(0.1, 0.5)).fit(data[:380])
    values = data[["load", "heat"]].to_numpy(np.float32)
    options = {"loss": "absolute" if method == "constant" else "squared"}
    train, wanted = by_hand(values, [0, 1], horizons, 24, 380 - 76)
    peer = named(method, "regression", [0, 1], 24, horizons, **options).fit(train, wanted)
    held_out, came = by_hand(values, [0, 1], horizons, 24, 380)
    rows = 380 - 76 - 24  # the first origin whose targets are all held out
    errors = np.quantile(came[rows:] - peer.predict(held_out[rows:]), [0.1, 0.5], axis=0)
    peer = named(method, "regression", [0, 1], 24, horizons, **options).fit(held_out, came)
    answer = found.predict(data[:380])
    points = peer.predict(values[None, 356:380])[0]
    assert np.allclose(answer[["0.1", "0.5"]], (points + errors).T, rtol=1e-6)
    assert answer["horizon"].tolist() == [1, 3, 1, 3]
    assert answer["target"].tolist() == ["load", "load", "heat", "heat"]
    assert answer["when"].tolist() == data["when"].iloc[[380, 382, 380, 382]].tolist()
    test = found.backtest(data, start=381, stride=5)
    assert np.allclose(
        test.loc[test["origin"] == 380, "observed"], data.loc[[381, 383], ["load", "heat"]].T.to_numpy().ravel()
    )
    first = found.backtest(data, start=380)
    assert np.allclose(first.loc[first["origin"] == 379, ["0.1", "0.5"]], answer[["0.1", "0.5"]], rtol=1e-6)


def test_frames_are_those_of_the_task():
    data = daily(series=True)
    options = {"horizons": [1, 2], "target": "load", "time": "when", "series": "unit"}
    ours = Forecaster(lookback=12, **options).fit(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GatewiseWarning)
        task = gw.Forecaster(units=4, steps=2, context={"window": 12}, **options).fit(data)
    one, other = ours.predict(data), task.predict(data)
    assert list(one.columns) == list(other.columns)
    led = ["unit", "when", "horizon", "target"]
    pd.testing.assert_frame_equal(one[led], other[led])
    one = ours.backtest(data, start=390, stride=3)
    other = task.backtest(data, start=390, stride=3, season=None).frame().drop(columns="repeat_last")
    assert list(one.columns) == list(other.columns)
    led = ["unit", "origin", "when", "target", "horizon"]
    pd.testing.assert_frame_equal(one[led], other[led])
    assert np.allclose(one["observed"], other["observed"])


def test_large_levels_keep_their_digits():
    data = daily()[["load"]] + 1e9
    found = Forecaster("last", horizons=1, lookback=2, quantiles=[0.5]).fit(data)
    errors = np.diff(data["load"].to_numpy()[319:])
    assert found.predict(data)["0.5"][0] - data["load"].iloc[-1] == pytest.approx(np.median(errors), abs=1e-3)


def test_missing_readings_are_filled_forward():
    data = daily()[["load", "heat"]]
    data.loc[:2, "heat"] = np.nan
    data.loc[50:55, "load"] = np.nan
    with pytest.raises(InputError, match="non-finite readings, the first at row 50"):
        Forecaster(lookback=5, horizons=1).fit(data)
    filled = data.ffill()
    found = Forecaster(lookback=5, horizons=1, missing="hold").fit(data)
    same = Forecaster(lookback=5, horizons=1).fit(filled[3:].reset_index(drop=True))
    assert found.method_.penalty_ == same.method_.penalty_
    window = filled.to_numpy()[None, -5:]
    assert np.allclose(found.method_.predict(window), same.method_.predict(window), rtol=1e-5)
    assert np.isfinite(found.predict(data)["0.5"]).all()
    assert found.backtest(data, start=48, stride=400)["observed"].isna().sum() == 0
    assert np.isnan(found.backtest(data, start=50, stride=400)["observed"][0])


def test_it_is_an_estimator_of_scikit_learn():
    from sklearn.base import clone

    found = Forecaster("last", horizons=[2], lookback=3)
    assert clone(found).get_params() == found.get_params()
    with pytest.raises(Exception, match="not fitted"):
        found.predict(daily())
    assert found.set_params(lookback=4).lookback == 4


def test_refusals():
    data = daily(60)
    for options, words in [
        ({"lookback": 70}, "the longest series has 60 rows, too few for windows of 70 rows"),
        ({"lookback": 48}, "and 1 rows after them, both in"),
        ({"method": "seasonal", "lookback": 12}, "season of 24 rows is longer than the windows of 12 rows"),
        ({"method": "seasonal", "lookback": 12, "season": None}, "no season can be found from the times; name"),
        ({"method": "seasonal", "lookback": 12, "season": 2.5}, "season must be a whole number"),
        ({"method": "arima"}, "method must be one of .'constant', 'last'.*, got 'arima'"),
        ({"lookback": 0}, "lookback must be a whole number of at least 1, got 0"),
        ({"horizons": [2, 1]}, "horizons must be a number of steps ahead from 1, or an ascending list"),
        ({"horizons": 1.5}, "horizons must be a number of steps"),
        ({"quantiles": [0.5, 1.0]}, "quantiles must be ascending probabilities"),
        ({"missing": "mask"}, 'missing must be "raise" or "hold" for a baseline'),
        ({"validation": 0.0}, "validation must be a share between 0 and 1"),
        ({"target": "cold"}, "target is 'cold', but the columns read are"),
        ({"target": []}, "target is an empty list"),
    ]:
        with pytest.raises(InputError, match=words):
            Forecaster(**{"horizons": 1, "lookback": 6, "time": "when", **options}).fit(data)
    found = Forecaster(horizons=1, lookback=6, time="when").fit(data)
    with pytest.raises(InputError, match="made from the last 6 rows, got 5"):
        found.predict(data[:5])
    with pytest.raises(InputError, match="no origin has 6 rows up to it and 1 after it"):
        found.backtest(data[:6])
    with pytest.raises(InputError, match="fitted on 2 columns"):
        found.predict(np.zeros((10, 3)))
