"""What fit keeps of the times, and what predict and explain say where those of their data differ."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatewise import Detector, Forecaster
from gatewise.errors import FileError
from gatewise.tables.table import read_table
from gatewise.tables.timeline import Timeline, timeline
from sections import retold

TINY: dict[str, Any] = {"time": "t", "steps": 2, "units": 3}


def table(times: Any, series: Any = None) -> pd.DataFrame:
    """Readings at these times."""
    rows = np.arange(len(times))
    found = pd.DataFrame({"t": times, "v": np.sin(rows) + np.random.default_rng(0).normal(0, 0.1, len(rows))})
    return found if series is None else found.assign(place=series)


def dates(start: str, rows: int, freq: Any = "D") -> pd.DatetimeIndex:
    return pd.date_range(start, periods=rows, freq=freq)


def warned(times: Any, series: Any = None) -> list[str]:
    """What is said of them at fit."""
    data = table(times, series)
    return timeline(read_table(data, "t", series=None if series is None else "place"))[1]


def kept(times: Any, series: Any = None) -> Timeline:
    data = table(times, series)
    found = timeline(read_table(data, "t", series=None if series is None else "place"), ends=True)[0]
    again = Timeline.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found
    return again


def compared(timeline: Timeline, times: Any, series: Any = None) -> list[str]:
    return timeline.compare(read_table(table(times, series), "t", series=None if series is None else "place"))


@pytest.fixture(scope="module")
def forecaster() -> Forecaster:
    """Of days."""
    return Forecaster(**TINY, horizons=2).fit(table(dates("2023-01-01", 150)))


@pytest.fixture(scope="module")
def detector() -> Detector:
    """Of days, to 2024-02-04."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # few rows to calibrate on
        return Detector(**TINY).fit(table(dates("2023-01-01", 400)))


def test_rows_of_another_rate_are_warned_of(forecaster: Forecaster, detector: Detector) -> None:
    hours = table(dates("2024-03-01", 50, "h"))
    message = (
        "^the rows are 1 hour apart, but the model was fitted on rows 1 day apart, and it counts steps, not time; give "
        "rows like those, or fit again on rows like these$"
    )
    with pytest.warns(UserWarning, match=message) as caught:
        found = forecaster.predict(hours)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert found["t"].tolist() == list(dates("2024-03-03 02:00", 2, "h")), "on from the data"
    for call in (forecaster.backtest, detector.explain, detector.predict, detector.score_samples):
        with pytest.warns(UserWarning, match=message):
            call(hours)


def test_a_gap_is_warned_of(forecaster: Forecaster) -> None:
    parts = table(dates("2023-01-01", 50).append(dates("2023-06-01", 50)))
    with pytest.warns(UserWarning, match="the usual") as caught:
        found = forecaster.predict(parts)
    (warning,) = caught
    assert str(warning.message) == (
        "1 of 99 steps is not the usual 1 day; the longest, 102 days, ends at row 50, 2023-06-01 00:00:00; the model "
        "counts steps, not time, so fill in the rows left out, or give the parts between them one by one"
    )
    assert found["t"].tolist() == list(dates("2023-07-21", 2))


def test_rows_that_do_not_follow_on_the_state_are_warned_of(detector: Detector, tmp_path: Path) -> None:
    late, right = table(dates("2024-02-06", 30)), table(dates("2024-02-05", 30))
    detector.save(tmp_path / "m")
    for task in (detector, Detector.load(tmp_path / "m")):
        for state in (task.state_, task.state_.to_bytes()):
            with pytest.warns(UserWarning, match="the state given") as caught:
                task.explain(late, state)
            (warning,) = caught
            assert str(warning.message) == (
                "the state given is that after 2024-02-04 00:00:00, the last row fitted, and the rows begin at "
                "2024-02-06 00:00:00, where 2024-02-05 00:00:00 would follow; give the rows that follow those, or "
                "pass state=None to begin a new sequence"
            )
            task.explain(right, state)
        with pytest.warns(UserWarning, match="the rows begin at 2020-01-01 00:00:00, where"):
            task.explain(table(dates("2020-01-01", 30)), task.state_)
        task.explain(late)
        task.explain(late, task.model_.run(np.ones((5, 1)), return_state=True)[1])
        task.explain(late["v"].to_numpy(), task.state_)


def test_each_series_has_an_end_of_its_own() -> None:
    times = [*dates("2024-01-01", 160), *dates("2024-03-01", 140)]
    data = table(times, ["a"] * 160 + ["b"] * 140)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        detector = Detector(**TINY, series="place").fit(data)
    assert detector.timeline_.ends == {"a": "2024-06-08T00:00:00", "b": "2024-07-18T00:00:00"}
    rest = table([*dates("2024-06-09", 20), *dates("2024-07-19", 20)], ["a"] * 20 + ["b"] * 20)
    detector.explain(rest, detector.state_)
    with pytest.warns(UserWarning, match=r"^series 'b': the state given is that after 2024-07-18 00:00:00"):
        detector.explain(rest.drop(index=[20]), detector.state_)
    detector.explain(rest.drop(index=[20]), {"a": detector.state_["a"]})


def test_a_model_without_its_times_says_nothing(forecaster: Forecaster, tmp_path: Path) -> None:
    told = {k: v for k, v in forecaster.model_.task.described.items() if k != "times"}
    retold(forecaster.model_, {**told, "times": None}).save(tmp_path / "m")
    older = Forecaster.load(tmp_path / "m")
    assert older.timeline_ == Timeline()
    hours = dates("2024-03-01", 52, "h")
    assert older.predict(table(hours[:50]))["t"].tolist() == hours[50:].tolist()
    with pytest.warns(
        UserWarning, match="the times of the forecast are not known: one row does not tell how far apart"
    ):
        assert older.predict(table(hours[:1]))["t"].isna().all()
    assert forecaster.predict(table(hours[:1]))["t"].tolist() == [
        pd.Timestamp("2024-03-02"),
        pd.Timestamp("2024-03-03"),
    ]
    for bad in ({"calendar": 5}, {"calendar": None, "others": [], "ends": [["a", None]]}, [], {"others": []}):
        retold(forecaster.model_, {**told, "times": bad}).save(tmp_path / "m")
        with pytest.raises(FileError, match="cannot be read as a Forecaster"):
            Forecaster.load(tmp_path / "m")


def test_forecasts_go_on_by_the_calendar_of_the_training_data() -> None:
    days = dates("2023-01-02", 200, "B")
    forecaster = Forecaster(**TINY, horizons=3, context={"window": 2}).fit(table(days))
    assert forecaster.warnings_ == ()
    friday = table(pd.DatetimeIndex(["2024-05-02", "2024-05-03"]))
    assert forecaster.predict(friday)["t"].tolist() == list(dates("2024-05-06", 3)), "two rows do not tell"
    with pytest.warns(UserWarning, match=r"^the rows are 1 day apart, but the model was fitted on rows on Mon to Fri"):
        forecaster.predict(table(dates("2024-05-01", 50)))


def test_where_no_calendar_fits_the_times_ahead_are_said_to_be_estimates() -> None:
    irregular = pd.Timestamp("2024-01-01") + pd.to_timedelta(
        np.random.default_rng(0).integers(1, 90, 200).cumsum(), "D"
    )
    with pytest.warns(UserWarning, match="no calendar fits, so times ahead are estimates. The model counts"):
        forecaster = Forecaster(**TINY, horizons=2).fit(table(irregular))
    with pytest.warns(
        UserWarning, match=r"^no calendar fits the times, so those of the forecast go on in the usual step"
    ):
        forecaster.predict(table(irregular[:150]))
    regular = dates("2024-01-01", 42, "50D")
    assert forecaster.predict(table(regular[:40]))["t"].tolist() == regular[40:].tolist()


def test_holidays_are_left_to_the_user() -> None:
    days = dates("2023-01-02", 300, "B").delete([10, 55, 120, 200])
    with pytest.warns(UserWarning, match=r"^4 of 295 steps are not those of rows on Mon to Fri; the longest, "):
        forecaster = Forecaster(**TINY, horizons=5).fit(table(days))
    with pytest.warns(UserWarning, match=r"leave out no rows, as holidays do: 4 of 295 steps of the data") as caught:
        forecaster.predict(table(days))
    assert len(caught) == 1, "what was warned of at fit is no news"


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (pd.DatetimeIndex(["2024-03-01 00:00", "2024-03-01 00:05", "2024-03-01 00:20", "2024-03-01 00:25"]),
         "1 of 3 steps is not the usual 5 minutes; the longest, 15 minutes, ends at row 2, 2024-03-01 00:20:00; no "
         "calendar fits, so times ahead are estimates. The model counts steps, not time"),
        (dates("2024-03-01", 30, "h").delete([7, 8]),
         "1 of 27 steps is not the usual 1 hour; the longest, 3 hours, ends at row 7, 2024-03-01 09:00:00. The model "
         "counts steps, not time"),
        (dates("2014-01-01", 40, "MS").delete(20),
         "1 of 38 steps is not those of rows on the 1st day of each month; the longest, 61 days, ends at row 20, "
         "2015-10-01 00:00:00. The model counts steps, not time"),
        (np.delete(np.arange(0, 60, 2), 9),
         "1 of 28 steps is not the usual 2; the longest, 4, ends at row 9, 20. The model counts steps, not time"),
    ],
)  # fmt: skip
def test_rows_left_out_are_said_at_fit(times: Any, message: str) -> None:
    assert warned(times) == [message]


@pytest.mark.parametrize("freq", ["MS", "B", "bh", "SME", "h", "W-SUN"])
def test_calendars_are_no_reason_for_a_warning(freq: str) -> None:
    assert warned(dates("1990-01-01", 100, freq)) == []


def test_steps_are_those_within_a_series() -> None:
    ids = ["a"] * 9 + ["b"] * 9
    (warning,) = warned([*dates("2024-01-01", 9, "h"), *dates("2024-01-01", 10, "h").delete(4)], ids)
    assert warning.startswith(
        "1 of 16 steps is not the usual 1 hour; the longest, 2 hours, ends at row 13, series 'b', "
    )


def test_series_may_have_calendars_of_their_own() -> None:
    times, ids = (
        [*dates("2024-01-01", 40), *dates("2024-01-01", 30, "h"), *dates("2020-01-01", 20)],
        "a" * 40 + "b" * 30 + "c" * 20,
    )
    (warning,) = warned(times, list(ids))
    assert warning == (
        "1 of 3 series has other times than the rest (1 day apart): 'b': rows 1 hour apart. The model counts steps, "
        "not time"
    )
    found = kept(times, list(ids))
    assert compared(found, times, list(ids)) == []
    assert [found.others[name].describe() for name in found.others] == ["1 hour apart"]
    (message,) = compared(found, times, ["b"] * 40 + ["a"] * 30 + ["c"] * 20)
    assert message.startswith("series 'b': the rows are 1 day apart, but the model was fitted on rows 1 hour apart")
    assert message.endswith(" (1 more series alike)")


def test_what_was_left_out_in_training_may_be_left_out_again() -> None:
    days = dates("2022-01-03", 500, "B")
    rng = np.random.default_rng(0)
    found = kept(days.delete(rng.choice(480, 20, replace=False) + 5))
    assert compared(found, dates("2024-01-01", 100, "B").delete([10, 40, 70])) == []
    (message,) = compared(found, dates("2024-01-01", 100, "B").delete(np.arange(10, 95, 7)))
    assert message.startswith("13 of 86 steps are not those of rows on Mon to Fri")
    (message,) = compared(found, dates("2024-01-01", 100, "B").delete(range(40, 60)))
    assert message.startswith("1 of 79 steps is not those")
    irregular = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(1, 90, 300).cumsum(), "s")
    found = kept(irregular[:200])
    assert compared(found, irregular[200:]) == []
    (message,) = compared(found, dates("2024-01-01", 50, "h"))
    assert message.startswith(
        "the rows are 1 hour apart, but the model was fitted on rows at no regular times, usually"
    )


def test_times_of_another_kind_are_said() -> None:
    (message,) = compared(kept(np.arange(30)), dates("2024-01-01", 30))
    assert message.startswith("the times are dates, and the model was fitted on numbers, so it cannot be checked")
    assert compared(kept(dates("2024-01-01", 30)), dates("2024-03-01", 30).tz_localize("Asia/Tokyo")) == []


@pytest.mark.parametrize(
    ("times", "end"),
    [
        (np.arange(30), 29),
        (np.arange(30) / 2, 14.5),
        (pd.timedelta_range("1h", periods=30, freq="90s"), 3600 + 29 * 90.0),
        (pd.date_range("2024-03-30", periods=30, freq="h", tz="Europe/Berlin"), "2024-03-31T06:00:00+02:00"),
    ],
)
def test_ends_of_every_kind_are_kept(times: Any, end: object) -> None:
    found = kept(times)
    assert found.ends == {None: end}
    index = pd.Index(times)
    step = index[1] - index[0]
    following = read_table(table(index + 30 * step), "t")
    assert found.follows(following, [None]) == []
    assert found.follows(following, []) == []
    (message,) = found.follows(read_table(table(index), "t"), [None])
    assert f"the rows begin at {index[0]}, where {index[-1] + step} would follow" in message


def test_numbers_that_are_dates_stay_dates_when_they_are_few() -> None:
    months = [year * 100 + month for year in (2019, 2020, 2021) for month in range(1, 13)]
    forecaster = Forecaster(**TINY, horizons=2, context={"window": 2}).fit(table(months[:30]))
    assert forecaster.predict(table([202011, 202012]))["t"].tolist() == [
        pd.Timestamp("2021-01-01"),
        pd.Timestamp("2021-02-01"),
    ]
    assert forecaster.predict(table([202012, 202101]))["t"].tolist() == [
        pd.Timestamp("2021-02-01"),
        pd.Timestamp("2021-03-01"),
    ]
    counted = Forecaster(**TINY, horizons=2, context={"window": 2}).fit(table(np.arange(201990, 202040)))
    assert counted.predict(table([202011, 202012]))["t"].tolist() == [202013, 202014]


def test_rows_without_times_are_said_where_the_model_was_fitted_on_times() -> None:
    indexed = table(dates("2023-01-01", 150)).set_index("t")
    forecaster = Forecaster(**{**TINY, "time": None}, horizons=2).fit(indexed)
    message = "^the rows have no times, and the model was fitted on rows 1 day apart, so it cannot be checked"
    for use in (forecaster.predict, forecaster.backtest):
        with pytest.warns(UserWarning, match=message):
            use(indexed.reset_index(drop=True))
        use(indexed)
    assert "t" not in forecaster.predict(indexed.to_numpy()), "an array has no times to give"


def opening(days: list[str], hours: range, rows: int) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([f"{day} {hour:02}:00" for day in days for hour in hours][:rows])


MWF = pd.date_range("2024-01-01", periods=80)
MWF = MWF[MWF.day_of_week.isin([0, 2, 4])]
DAYTIME = opening([f"2024-01-{day:02}" for day in (1, 2, 3, 4, 5, 8, 9, 10)], range(9, 18), 99)
MINUTES = pd.date_range("2024-01-01", periods=3 * 1440, freq="min")
MINUTES = MINUTES[(MINUTES.hour >= 9) & (MINUTES.hour < 17)]


@pytest.mark.parametrize("horizon", [1, 5, 24])
@pytest.mark.parametrize(
    ("every", "least"), [(MWF, 4), (DAYTIME, 10), (MINUTES[::5], 100), (MINUTES, 500)], ids=["MWF", "h", "5min", "min"]
)
def test_dates_ahead_are_right_or_doubted_with_few_rows(every: pd.DatetimeIndex, least: int, horizon: int) -> None:
    for rows in range(least, len(every) - horizon, max(1, len(every) // 40)):
        read = read_table(table(every[:rows]), "t")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ahead = timeline(read)[0].ahead(read, range(1, horizon + 1))[None]
        assert ahead is not None
        assert caught or ahead == every[rows : rows + horizon].tolist(), rows


def test_the_doubt_of_few_rows_says_what_it_rests_on() -> None:
    read = read_table(table(MWF[:6]), "t")
    with pytest.warns(UserWarning, match="^the times of the forecast go on") as caught:
        timeline(read)[0].ahead(read, [1])
    assert [str(each.message) for each in caught] == [
        "the times of the forecast go on with rows 2 days apart and may be wrong: 1 of 5 steps of the data was not so, "
        "and less than two weeks do not show whether such steps come again; fit on more rows, or set the times yourself"
    ]
    for times in (dates("2024-01-01", 400, "h").delete([7]), dates("2024-01-01", 14), dates("2024-01-01", 9, "h")):
        read = read_table(table(times), "t")
        timeline(read)[0].ahead(read, [1])  # long enough, or nothing odd


def test_series_of_a_panel_are_no_longer_for_being_many() -> None:
    times, names = DAYTIME[:26], [str(i) for i in range(40)]
    read = read_table(table(np.tile(times, 40), np.repeat(names, 26)), "t", series="place")
    with pytest.warns(UserWarning, match="less than two weeks do not show"):
        timeline(read)[0].ahead(read, [1])


def test_times_of_which_only_some_say_their_zone_are_told() -> None:
    def rows(start: str, zone: str | None) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        return pd.DataFrame({"t": pd.date_range(start, periods=600, freq="h", tz=zone), "y": rng.normal(size=600)})

    detector = Detector(time="t", steps=2, units=3, false_alarms_per_1000=100).fit(rows("2024-01-01", "Europe/Oslo"))
    with pytest.warns(UserWarning, match="only one of them has a time zone"):
        detector.explain(rows("2024-03-05", None), detector.state_)
