"""The rows to come: those that do not follow on the data are refused, and no column of a forecast hides another."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatewise import Forecaster
from gatewise.errors import InputError

QUICK: dict[str, Any] = {"units": 3, "horizons": 3, "batch": 8, "steps": 2, "covariates": ["price"]}


def table(times: pd.Index, seed: int = 0) -> pd.DataFrame:
    """A reading and a price at these times."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"time": times, "load": rng.normal(size=len(times)), "price": rng.normal(size=len(times))})


def hours(rows: int = 130, freq: str = "h") -> pd.DataFrame:
    return table(pd.date_range("2024-03-01", periods=rows, freq=freq))


@pytest.mark.parametrize(
    ("rows", "place", "expected"),
    [
        ([101, 102, 103], "row 0, 2024-03-05 05:00:00", "2024-03-05 04:00:00, .* after the last row of the data"),
        ([100, 102, 103], "row 1, 2024-03-05 06:00:00", "2024-03-05 05:00:00, .* after the row before it"),
        ([100, 101, 103], "row 2, 2024-03-05 07:00:00", "2024-03-05 06:00:00"),
        ([124, 125, 126], "row 0, 2024-03-06 04:00:00", "2024-03-05 04:00:00"),
    ],
)
def test_rows_that_leave_a_gap_are_refused(rows: list[int], place: str, expected: str) -> None:
    frame = hours()
    forecaster = Forecaster(**QUICK, time="time").fit(frame[:100])
    assert len(forecaster.predict(frame[:100], frame[100:103])) == 3
    with pytest.raises(
        InputError, match=rf"^future does not continue in the steps of the data: got {place}, ex.*{expected}"
    ):
        forecaster.predict(frame[:100], frame.iloc[rows].reset_index(drop=True))


def test_the_series_that_does_not_follow_is_named() -> None:
    frame = pd.concat([hours().assign(place=name) for name in ("a", "b")], ignore_index=True)
    known = frame[frame["time"] < "2024-03-05"]
    future = frame[frame["time"] >= "2024-03-05"]
    forecaster = Forecaster(**QUICK, time="time", series="place").fit(known)
    late = future[(future["place"] == "a") | (future["time"] >= "2024-03-05 01:00")]
    with pytest.warns(
        UserWarning, match=r"left out: 'b'; because future of series 'b' does .*got row 34, series 'b', .*01:00:00, exp"
    ):
        assert set(forecaster.predict(known, late)["place"]) == {"a"}
    with pytest.raises(InputError, match=r"^future of series 'a' begins at 2024-03-01 00:00:00, which is not after"):
        forecaster.predict(known, frame)
    assert len(forecaster.predict(known, future)) == 6


@pytest.mark.parametrize("freq", ["MS", "ME", "QS", "YS", "B", "10min"])
def test_calendar_months_and_business_days_follow(freq: str) -> None:
    frame = hours(200, freq)
    forecaster = Forecaster(**QUICK, time="time").fit(frame[:150])
    for end in range(150, 160):
        found = forecaster.predict(frame[:end], frame[end:])
        assert found["time"].tolist() == frame["time"][end : end + 3].tolist()
        with pytest.raises(InputError, match=f"expected {found['time'][0]}"):
            forecaster.predict(frame[:end], frame[end + 1 :])


def test_a_single_gap_in_the_data_allows_none_ahead() -> None:
    frame = hours().drop(index=range(40, 45))
    with pytest.warns(UserWarning, match="not the usual"):
        forecaster = Forecaster(**QUICK, time="time").fit(frame[:100])
    with pytest.raises(InputError, match="does not continue in the steps of the data"):
        forecaster.predict(frame[:100], frame[105:])


def test_times_in_one_table_alone_are_refused() -> None:
    frame = hours().set_index("time")
    forecaster = Forecaster(**QUICK).fit(frame[:100])
    with pytest.raises(
        InputError, match="^there are times in the data and none in future, so it cannot be checked that future follows"
    ):
        forecaster.predict(frame[:100], frame[["price"]][100:].reset_index(drop=True))
    with pytest.raises(InputError, match="^there are times in the data and none in future"):
        forecaster.predict(frame[:100], frame[["price"]][100:].to_numpy())
    bare, untold = frame.reset_index(drop=True), "^the rows have no times, and the model was fitted on rows"
    with (
        pytest.warns(UserWarning, match=untold),
        pytest.raises(InputError, match="^there are times in future and none in the data"),
    ):
        forecaster.predict(bare[:100], frame[100:])
    with pytest.warns(UserWarning, match=untold):
        assert len(forecaster.predict(bare[:100], bare[100:])) == 3


def test_times_of_another_kind_are_refused() -> None:
    frame = hours().set_index("time")
    forecaster = Forecaster(**QUICK).fit(frame[:100])
    zoned = frame.tz_localize("Europe/Berlin")
    with pytest.raises(InputError, match="are dates without a zone in the data and dates with a zone in future; give"):
        forecaster.predict(frame[:100], zoned[100:])
    wanted = forecaster.predict(zoned[:100], zoned[100:])
    assert forecaster.predict(zoned[:100], zoned[100:].tz_convert("UTC")).equals(wanted), "the same hours"
    numbered = table(pd.RangeIndex(0, 260, 2))
    counted = Forecaster(**QUICK, time="time").fit(numbered[:100])
    assert counted.predict(numbered[:100], numbered[100:])["time"].tolist() == [200, 202, 204]
    with pytest.raises(InputError, match=r"got row 0, 202, expected 200, 2 after the last row"):
        counted.predict(numbered[:100], numbered[101:].reset_index(drop=True))
    with pytest.raises(InputError, match="are numbers in the data and dates without a zone in future"):
        counted.predict(numbered[:100], hours()[100:])


@pytest.mark.parametrize(
    ("series", "time", "wanted"),
    [
        ("target", "horizon", ["target_", "horizon_", "horizon", "target"]),
        ("horizon", "target", ["horizon_", "target_", "horizon", "target"]),
        ("0.5", "0.1", ["0.5_", "0.1_", "horizon", "target"]),
        ("time", None, ["time", "horizon", "target"]),
    ],
)
def test_ids_and_times_outlast_names_of_results(series: str, time: str | None, wanted: list[str]) -> None:
    frame = pd.concat([hours().assign(place=name) for name in ("a", "b")])
    frame = frame.drop(columns="time") if time is None else frame.rename(columns={"time": time})
    frame = frame.rename(columns={"place": series})
    forecaster = Forecaster(**{**QUICK, "covariates": ()}, target="load", series=series, time=time).fit(frame)
    found = forecaster.predict(frame)
    assert found.columns.tolist() == [*wanted, "0.1", "0.5", "0.9"]
    assert found[wanted[0]].tolist() == ["a"] * 3 + ["b"] * 3
    assert found["horizon"].tolist() == [1, 2, 3] * 2
    assert set(found["target"]) == {"load"}
    if time is not None:
        assert found[wanted[1]].tolist() == pd.date_range("2024-03-06 10:00", periods=3, freq="h").tolist() * 2


def test_quantiles_that_are_near_keep_their_columns() -> None:
    frame, levels = hours()[["load"]], [1e-05, 0.1234561, 0.1234562, 0.5]
    forecaster = Forecaster(**{**QUICK, "horizons": [2], "covariates": ()}, quantiles=levels).fit(frame)
    names = ["1e-05", "0.1234561", "0.1234562", "0.5"]
    assert forecaster.predict(frame).columns.tolist() == ["horizon", "target", *names]
    assert forecaster.model_.output_names == tuple(f"load+2:{name}" for name in names)
    assert forecaster.backtest(frame).frame().columns.tolist()[3:7] == names
