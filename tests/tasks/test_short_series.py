"""Series too short to train on or to forecast are left out by name, and count nowhere."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatewise import Detector, Forecaster
from gatewise.errors import InputError

QUICK: dict[str, Any] = {"units": 3, "batch": 8, "steps": 3, "series": "s"}


def table(**rows: int) -> pd.DataFrame:
    """A column "v" and a covariate "c" for so many rows of each series."""
    parts = []
    for seed, (name, count) in enumerate(rows.items()):
        rng = np.random.default_rng(seed)
        parts.append(pd.DataFrame({"s": name, "v": rng.normal(size=count) + 3 * seed, "c": rng.normal(size=count)}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    ("options", "short", "least"),
    [
        ({"context": {"window": 96}, "horizons": [1, 4]}, 60, 121),  # 97 to train on and 24 to validate on
        ({"context": {"window": 96}, "horizons": [1, 4]}, 120, 121),
        ({"horizons": 24}, 2, 8),  # two for each part
        ({"horizons": [24]}, 30, 31),
        ({"horizons": [24], "covariates": ["c"]}, 20, 55),
        ({"horizons": 24, "covariates": ["c"]}, 20, 32),
        ({"horizons": [24], "covariates": ["c"], "validation": 0.0}, 48, 49),
        ({"horizons": 1, "validation": 0.01}, 149, 150),  # of which round(1.5) = 2
    ],
)
def test_a_series_without_an_example_is_left_out_of_all(options: dict[str, Any], short: int, least: int) -> None:
    whole = table(a=400, b=short, c=400)
    forecaster = Forecaster(**QUICK, **options)
    message = (
        f"1 of 3 series gives no example to train on, and is left out: 'b'; that takes at least {least} rows, "
        f"with readings of a target, and the longest of these has {short}"
    )
    with pytest.warns(UserWarning, match=f"^{message}$"):
        forecaster.fit(whole)
    assert forecaster.cautions_ == (message,)
    without = Forecaster(**QUICK, **options).fit(whole[whole["s"] != "b"])
    assert without.cautions_ == ()
    assert forecaster.split_ == without.split_
    assert sum(without.split_) == 800
    for name, value in without.model_.tensors.items():
        assert np.array_equal(forecaster.model_.tensors[name], value), name
    assert Forecaster(**QUICK, **options).fit(table(a=400, b=least)).cautions_ == ()


def test_readings_of_a_target_are_what_counts() -> None:
    frame = table(a=200, b=200)
    for row, used in ((None, 200), (380, 200), (201, 200), (202, 400)):  # none; not trained on; no row 2 before it
        frame.loc[200:, "v"] = np.nan
        if row is not None:
            frame.loc[row, "v"] = 1.0
        forecaster = Forecaster(**QUICK, target="v", missing="mask", horizons=[2])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            forecaster.fit(frame)
        assert sum(forecaster.split_) == used, row
        assert any("left out: 'b'" in caution for caution in forecaster.cautions_) == (used == 200)


def test_no_series_at_all_is_refused() -> None:
    with pytest.raises(
        InputError, match="^no series gives an example to train on: .* at least 121 rows.* longest has 110"
    ):
        Forecaster(**QUICK, context={"window": 96}, horizons=1).fit(table(a=100, b=110))
    with pytest.raises(InputError, match="^the longest series, 'b', has 32 rows to train on and 8 to validate on"):
        Forecaster(**QUICK, horizons=24).fit(table(a=30, b=40))


def test_a_backtest_names_the_series_it_leaves_out() -> None:
    frame = table(a=200, b=60)
    options: dict[str, Any] = {"context": {"window": 96}, "horizons": 4}
    with pytest.warns(UserWarning, match="left out: 'b'"):
        forecaster = Forecaster(**QUICK, **options).fit(frame)
    with pytest.warns(UserWarning, match="1 of 2 series is left out: 'b'; because it has too few rows"):
        found = forecaster.backtest(frame)
    assert found.series is not None
    assert set(found.series) == {"a"}
    assert found.left_out == ("b",)
    assert repr(found).endswith("; series left out: 'b'")
    alone = forecaster.backtest(frame[frame["s"] == "a"])
    assert alone.left_out == ()
    assert "left out" not in repr(alone)
    with pytest.warns(UserWarning, match="left out: 'b'"):
        known = Forecaster(**QUICK, horizons=24, covariates=["c"]).fit(table(a=300, b=20))
    with pytest.warns(UserWarning, match="left out: 'b'"):
        assert known.backtest(table(a=300, b=20)).left_out == ("b",)
    with pytest.warns(UserWarning, match="3 of 5 series give no example .* and are left out: 'b', 'd', 'e'; "):
        Forecaster(**QUICK, horizons=2).fit(table(a=200, b=1, c=90, d=4, e=7))
    many = Forecaster(**QUICK, horizons=2).fit(frame)
    with pytest.warns(UserWarning, match="15 of 16 series are left out: 'x0', .*'x14'; the first because"):
        assert many.backtest(table(**{f"x{i}": 2 for i in range(15)}, y=9)).left_out[12:] == ("x12", "x13", "x14")


def test_forecasts_of_the_others_come_with_a_warning_that_names_those_left_out() -> None:
    frame = table(a=200, b=20, c=200, d=3)
    options: dict[str, Any] = {"context": {"window": 24}, "horizons": 3}
    forecaster = Forecaster(**QUICK, **options).fit(frame[frame["s"].isin(["a", "c"])])
    message = "2 of 4 series are left out: 'b', 'd'; the first because .* last 24 rows, got 20 in series 'b'"
    with pytest.warns(UserWarning, match=message):
        found = forecaster.predict(frame)
    pd.testing.assert_frame_equal(found, forecaster.predict(frame[frame["s"].isin(["a", "c"])]))
    with pytest.raises(InputError, match="got 20 in series 'b'; give more; none of the 2 series can be used"):
        forecaster.predict(frame[frame["s"].isin(["b", "d"])])
    with pytest.raises(InputError, match="got 3 in series 'd'; give more$"):
        forecaster.predict(frame[frame["s"] == "d"])


def test_a_gap_in_one_series_leaves_that_one_out() -> None:
    frame = table(a=200, b=200, c=200)
    forecaster = Forecaster(**QUICK, horizons=3).fit(frame)
    gap = frame.copy()
    gap.loc[210, "v"] = np.nan
    message = "1 of 3 series is left out: 'b'; because column 'v' has a non-finite reading at row 210, series 'b'"
    with pytest.warns(UserWarning, match=message):
        found = forecaster.predict(gap)
    pd.testing.assert_frame_equal(found, forecaster.predict(frame[frame["s"] != "b"]))
    with pytest.warns(UserWarning, match=message):
        assert forecaster.backtest(gap, stride=50).left_out == ("b",)
    gap.loc[410, "v"] = np.nan
    with pytest.raises(
        InputError, match="first at row 210, series 'b': nan; there are such in 2 of 3 series: 'b', 'c'"
    ):
        Forecaster(**QUICK, horizons=3).fit(gap)


def test_a_series_of_one_row_is_forecast_in_the_step_of_the_others() -> None:
    times = pd.date_range("2024-01-01", periods=200, freq="h")
    frame = table(a=200, new=1).assign(t=[*times, times[50]])
    forecaster = Forecaster(**QUICK, time="t", horizons=[1, 5])
    with pytest.warns(UserWarning, match="left out: 'new'"):
        forecaster.fit(frame)
    found = forecaster.predict(frame)
    assert found[found["s"] == "new"]["t"].tolist()[:2] == [times[51], times[55]]
    numbered = frame.assign(t=[*range(0, 400, 2), 7])
    with pytest.warns(UserWarning, match="left out: 'new'"):
        forecaster.fit(numbered)
    found = forecaster.predict(numbered)
    assert found[found["s"] == "new"]["t"].tolist()[:2] == [9, 17]
    alone = forecaster.predict(numbered[numbered["s"] == "new"])  # the model keeps the step
    assert alone["t"].tolist()[:2] == [9, 17]


def test_a_detector_trains_without_the_short_ones_and_scores_them_all_the_same() -> None:
    frame = table(a=500, b=4, c=500, d=1).drop(columns="c")
    detector = Detector(**QUICK, false_alarms_per_1000=50.0)
    message = (
        "2 of 4 series are too short to train on, and are left out of the training: 'b', 'd'; the longest of these has "
        "4 rows. They can be scored all the same"
    )
    with pytest.warns(UserWarning, match=f"^{message}$"):
        detector.fit(frame)
    assert message in detector.cautions_
    without = Detector(**QUICK, false_alarms_per_1000=50.0).fit(frame[frame["s"].isin(["a", "c"])])
    assert detector.split_ == without.split_
    for name, value in without.model_.tensors.items():
        assert np.array_equal(detector.model_.tensors[name], value), name
    assert set(detector.state_) == {"a", "b", "c", "d"}
    np.testing.assert_array_equal(detector.score_samples(frame), without.score_samples(frame))
    with pytest.raises(InputError, match="too few"):
        Detector(**QUICK).fit(frame[frame["s"].isin(["b", "d"])])


def test_a_detector_explains_the_others() -> None:
    frame = table(a=500, b=500, c=40)[["s", "v"]]
    frame["t"] = [*range(500), *range(500), *range(40)]
    detector = Detector(**QUICK, time="t", false_alarms_per_1000=50.0).fit(frame[frame["s"] != "c"])
    bad = frame.copy()
    bad.loc[700, "v"] = np.nan
    bad.loc[1005, "t"] = 2
    message = "2 of 3 series are left out: 'c', 'b'; the first because the time 2 at row 1005, series 'c' is earlier"
    with pytest.warns(UserWarning, match=message):
        found = detector.explain(bad)
    pd.testing.assert_frame_equal(found, detector.explain(frame[frame["s"] == "a"]))
    for call in (detector.score_samples, detector.predict):  # a row each, so none can be left out
        with pytest.raises(InputError, match="row 1005"):
            call(bad)


def test_a_backtest_calls_series_and_times_as_the_data_do() -> None:
    frame = (
        table(a=60, b=60).assign(when=[*pd.date_range("2024-01-01", periods=60)] * 2).rename(columns={"s": "target"})
    )
    forecaster = Forecaster(**{**QUICK, "series": "target"}, time="when", horizons=1).fit(frame)
    assert list(forecaster.backtest(frame).frame())[:4] == ["target_", "origin", "when", "target"]
    assert list(forecaster.predict(frame))[:2] == ["target_", "when"]
    alone = Forecaster(units=3, batch=8, steps=3, columns=["v"], horizons=1).fit(frame)
    assert list(alone.backtest(frame).frame())[:2] == ["origin", "target"]
