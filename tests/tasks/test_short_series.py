"""Series too short to train on or to forecast are left out by name, and count nowhere."""

import re
import warnings
from collections.abc import Callable
from dataclasses import astuple
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
    assert forecaster.warnings_ == (message,)
    without = Forecaster(**QUICK, **options).fit(whole[whole["s"] != "b"])
    assert without.warnings_ == ()
    assert forecaster.split_ == without.split_
    assert sum(astuple(without.split_)) == 800
    for name, value in without.model_.tensors.items():
        assert np.array_equal(forecaster.model_.tensors[name], value), name
    assert Forecaster(**QUICK, **options).fit(table(a=400, b=least)).warnings_ == ()


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
        assert sum(astuple(forecaster.split_)) == used, row
        assert any("left out: 'b'" in warning for warning in forecaster.warnings_) == (used == 200)


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


Spoil = Callable[[pd.DataFrame], None]
SPOILT = [
    ("column 'v' has a non-finite reading at row 610, series 'b'", lambda data: _put(data, "v", 610, np.nan)),
    ("column 'v' has a non-finite reading at row 610, series 'b'", lambda data: _put(data, "v", 610, np.inf)),
    ("the time 3 at row 610, series 'b' is earlier than 109", lambda data: _put(data, "t", 610, 3)),
    ("column 'v' holds 1e\\+39 at row 610, series 'b', 110, too large", lambda data: _put(data, "v", 610, 1e39)),
    ("column 'v' is 1e\\+30 at row 610, series 'b', 110, more than", lambda data: _put(data, "v", 610, 1e30)),
]


def _put(data: pd.DataFrame, column: str, row: int, value: float) -> None:
    data.loc[row, column] = value


@pytest.mark.parametrize(("why", "spoil"), SPOILT)
def test_one_bad_series_is_left_out_at_every_verb(why: str, spoil: Spoil) -> None:
    frame = table(a=500, b=500, c=500)[["s", "v"]].assign(t=[*range(500)] * 3)
    bad, good = frame.copy(), frame[frame["s"] != "b"]
    spoil(bad)
    message = f"^1 of 3 series is left out: 'b'; because {why}"
    detector = Detector(**QUICK, time="t", false_alarms_per_1000=50.0)
    forecaster = Forecaster(**QUICK, time="t", horizons=3)
    for task in (detector, forecaster):
        with pytest.warns(UserWarning, match=message):
            task.fit(bad)
        assert re.match(message, task.warnings_[0])
        without = type(task)(**task.get_params()).fit(good)
        assert without.split_ == task.split_
        for name, value in without.model_.tensors.items():
            assert np.array_equal(task.model_.tensors[name], value), name
    assert set(detector.state_) == {"a", "c"}
    with pytest.warns(UserWarning, match=message):
        pd.testing.assert_frame_equal(forecaster.predict(bad), forecaster.predict(good))
    with pytest.warns(UserWarning, match=message):
        assert forecaster.backtest(bad, stride=100).left_out == ("b",)
    mixed = bad.iloc[np.random.default_rng(0).permutation(1500)].sort_values("t", kind="stable")
    if "the time" in why:
        mixed = bad
    rows = (mixed["s"] == "b").to_numpy()
    for call in (detector.score_samples, detector.decision_function):
        with pytest.warns(UserWarning, match=message.replace("610", "[0-9]+")):
            found = call(mixed)
        assert np.isnan(found[rows]).all()
        np.testing.assert_array_equal(found[~rows], call(mixed[~rows]))
    with pytest.warns(UserWarning, match=message.replace("610", "[0-9]+")):
        alarms = detector.predict(mixed)
    assert (alarms[rows] == 1).all()
    np.testing.assert_array_equal(alarms[~rows], detector.predict(mixed[~rows]))
    assert (alarms == -1).any()
    with pytest.warns(UserWarning, match=message):
        pd.testing.assert_frame_equal(detector.explain(bad), detector.explain(good))


@pytest.mark.parametrize(("why", "spoil"), SPOILT)
def test_a_bad_series_alone_is_refused(why: str, spoil: Spoil) -> None:
    bad = table(a=500, b=500).assign(t=[*range(500)] * 2)[["s", "v", "t"]]
    spoil(bad)
    alone = bad[bad["s"] == "b"]
    detector = Detector(**QUICK, time="t", false_alarms_per_1000=50.0).fit(bad[bad["s"] == "a"])
    for call in (Detector(**QUICK, time="t").fit, Forecaster(**QUICK, time="t").fit, detector.score_samples):
        with pytest.raises(InputError, match=why.replace("610", "110")):
            call(alone)
    single = alone.drop(columns="s").reset_index(drop=True)
    with pytest.raises(InputError, match=why.replace("610", "110").replace(", series 'b'", "")):
        Forecaster(**{**QUICK, "series": None}, time="t").fit(single)


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
        "4 rows. They can still be scored"
    )
    with pytest.warns(UserWarning, match=f"^{message}$"):
        detector.fit(frame)
    assert message in detector.warnings_
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


def test_a_backtest_calls_series_and_times_as_the_data_do() -> None:
    frame = (
        table(a=60, b=60).assign(when=[*pd.date_range("2024-01-01", periods=60)] * 2).rename(columns={"s": "target"})
    )
    forecaster = Forecaster(**{**QUICK, "series": "target"}, time="when", horizons=1).fit(frame)
    assert list(forecaster.backtest(frame).frame())[:4] == ["target_", "origin", "when", "target"]
    assert list(forecaster.predict(frame))[:2] == ["target_", "when"]
    alone = Forecaster(units=3, batch=8, steps=3, columns=["v"], horizons=1).fit(frame)
    assert list(alone.backtest(frame).frame())[:2] == ["origin", "target"]


@pytest.mark.parametrize("value", [1e6, 1e15])
def test_one_coarse_reading_does_not_stop_the_training(value: float) -> None:
    frame = table(a=500, b=500)[["s", "v"]]
    frame.loc[610, "v"] = value
    for task in (Detector(**QUICK, false_alarms_per_1000=50.0), Forecaster(**QUICK, horizons=3)):
        with pytest.warns(UserWarning, match=f"{value:.0f}|{value:g}".replace("+", "[+]")):
            task.fit(frame)
        assert task.model_.tensors["input.scale"][0] < 10
