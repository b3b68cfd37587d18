"""What tasks draw: the figures themselves are tested in tests/figures, here that they show what the task says."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.dates import date2num
from matplotlib.figure import Figure

import gatewise as gw
from gatewise.errors import InputError


def lines(ax: Any) -> dict[str, Any]:
    return {str(line.get_label()): np.asarray(line.get_ydata(), float) for line in ax.get_lines()}


@pytest.fixture(scope="module")
def fleet() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    times = pd.date_range("2024-01-01", periods=700, freq="h")
    each = [pd.DataFrame({"t": times, "v": np.sin(np.arange(700) / 9) + rng.normal(0, 0.1, 700) + k, "id": name})
            for k, name in enumerate("ab")]  # fmt: skip
    return pd.concat(each, ignore_index=True)


def test_a_detector_draws_one_series_with_its_alarms(fleet: pd.DataFrame) -> None:
    detector = gw.Detector(units=4, steps=5, time="t", series="id", false_alarms_per_1000=100).fit(fleet)
    new = fleet.groupby("id").head(60).copy()
    new.loc[new.index[70], "v"] += 9
    found = detector.explain(new)
    top, bottom = detector.plot(found, series="b", axes=Figure().subplots(2))
    own = found[found["id"] == "b"]
    assert own["alarm"].any()
    np.testing.assert_allclose(lines(top)["observed"], own["observed"])
    np.testing.assert_allclose(lines(top)["alarm"], own.loc[own["alarm"], "observed"])
    assert any(np.allclose(line.get_ydata(), detector.threshold_) for line in bottom.get_lines())
    with pytest.raises(InputError, match="'c'"):
        detector.plot(found, series="c")


def test_a_forecaster_draws_its_median_after_the_rows_before_it(fleet: pd.DataFrame) -> None:
    one = fleet[fleet["id"] == "a"].drop(columns="id")
    forecaster = gw.Forecaster(units=4, steps=5, horizons=6, time="t").fit(one[:600])
    ax = forecaster.plot(one[:600], came=one[600:606], rows=48, ax=Figure().subplots())
    ahead = forecaster.predict(one[:600])
    drawn = lines(ax)
    np.testing.assert_allclose(drawn["observed"], one["v"][552:600])
    np.testing.assert_allclose(drawn["came later"], one["v"][600:606])
    medians = [line for line in ax.get_lines() if len(line.get_xdata()) == 6 and line.get_label() != "came later"]
    np.testing.assert_allclose(np.asarray(medians[0].get_ydata(), float), ahead["0.5"], rtol=1e-6)
    np.testing.assert_allclose(date2num(medians[0].get_xdata()), date2num(ahead["t"]))


def test_without_times_the_rows_that_came_lie_beside_the_forecast() -> None:
    x = np.sin(np.arange(500.0) / 7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        forecaster = gw.Forecaster(units=4, steps=5, horizons=3).fit(x)
    ax = forecaster.plot(x[:400], came=x[400:405], rows=20, ax=Figure().subplots())
    by_label = {str(line.get_label()): np.asarray(line.get_xdata(), float) for line in ax.get_lines()}
    np.testing.assert_array_equal(by_label["observed"], np.arange(20))
    np.testing.assert_array_equal(by_label["came later"], np.arange(20, 25))
    assert len(forecaster.plot(x[:400], ax=Figure().subplots()).get_lines()[0].get_xdata()) == 24
    for rows in (0, -5, 1.5, True):
        with pytest.raises(InputError, match="rows must be a whole number of at least 1"):
            forecaster.plot(x, rows=rows)


def test_one_series_is_drawn_and_warned_of_once(fleet: pd.DataFrame) -> None:
    named = fleet.rename(columns={"id": "pump", "v": "pump_"})
    forecaster = gw.Forecaster(units=4, steps=5, horizons=3, time="t", series="pump").fit(named)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ax = forecaster.plot(named.drop(index=[300]), series="b", rows=30, ax=Figure().subplots())
    told = [str(warning.message) for warning in caught]
    assert told
    assert len(set(told)) == len(told)
    np.testing.assert_allclose(lines(ax)["observed"], named[named["pump"] == "b"]["pump_"].iloc[-30:])
    with pytest.raises(InputError, match=r"one of 2 series is used, got None; name one of 'a', 'b' with series=\.\.\."):
        forecaster.plot(named)


def test_readings_whose_names_resemble_those_of_series_and_times_are_not_taken_for_them(fleet: pd.DataFrame) -> None:
    data = fleet.rename(columns={"v": "target_", "t": "target", "id": "pump"}).assign(pump_=1.0 + np.arange(1400) % 7)
    fitted = gw.Forecaster(units=4, steps=5, horizons=3, time="target", series="pump").fit(data)
    ax = fitted.plot(data, target="target_", series="b", rows=10, ax=Figure().subplots())
    own = data[data["pump"] == "b"].tail(10)
    observed = next(line for line in ax.get_lines() if line.get_label() == "observed")
    np.testing.assert_allclose(np.asarray(observed.get_ydata(), float), own["target_"], rtol=1e-6)
    np.testing.assert_allclose(date2num(observed.get_xdata()), date2num(own["target"]))
    with pytest.raises(InputError, match="name one of 'a', 'b' with series"):
        fitted.plot(data, target="pump_")


def test_a_detector_finds_its_series_and_times_under_the_names_of_results(fleet: pd.DataFrame) -> None:
    data = fleet.rename(columns={"t": "score_", "id": "score"})
    detector = gw.Detector(units=4, steps=5, time="score_", series="score", false_alarms_per_1000=100).fit(data)
    found = detector.explain(data.groupby("score").head(60))
    top, _ = detector.plot(found, series="b", axes=Figure().subplots(2))
    observed = next(line for line in top.get_lines() if line.get_label() == "observed")
    np.testing.assert_allclose(np.asarray(observed.get_ydata(), float), data["v"][700:760], rtol=1e-6)
    np.testing.assert_allclose(date2num(observed.get_xdata()), date2num(data["score_"][700:760]))
    assert set(detector.summary(found).episodes["series"]) <= {"a", "b"}
