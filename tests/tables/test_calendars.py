"""The calendar of a series: what it continues with is what pandas continues with, whatever the frequency."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatewise.errors import InputError
from gatewise.tables.calendars import Calendar, find

AHEAD = list(range(1, 41))
SUNDAY_TO_THURSDAY = pd.offsets.CustomBusinessDay(weekmask="Sun Mon Tue Wed Thu")
LAST_FRIDAY = pd.offsets.LastWeekOfMonth(weekday=4)
FREQUENCIES = [
    *("D", "2D", "B", "2B", "h", "6h", "15min", "7min", "s", "100ms", "bh", SUNDAY_TO_THURSDAY, "W-SUN", "3W-WED"),
    *("MS", "ME", "2MS", "BMS", "BME", "SMS", "SME", "WOM-3FRI", LAST_FRIDAY),
    *("QS", "QE", "QE-JAN", "BQS", "BQE", "YS", "YE", "YS-APR", "BYE"),
]
STARTS = ["2024-01-30", "2023-02-16", "2021-09-18 06:00", "1999-12-31", "2020-02-29"]


def known(times: pd.Index) -> Calendar:
    calendar = find(times)
    assert calendar is not None
    return calendar


@pytest.mark.parametrize("freq", FREQUENCIES, ids=str)
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_times_go_on_as_pandas_goes_on(freq: Any, zone: str | None) -> None:
    for start in STARTS if zone is None else STARTS[:2]:
        every = pd.date_range(start, periods=100, freq=freq, tz=zone)
        for rows in (41, 60) if zone is None else (60,):
            calendar = known(every[:rows])
            assert calendar.odd == 0
            assert calendar.after(every[:rows], AHEAD) == every[rows : rows + 40].tolist(), (start, rows)
            assert calendar.after(every[:rows], [7, 3]) == every[[rows + 6, rows + 2]].tolist()
            assert (calendar.measure(every) == 1).all()
            assert Calendar.from_dict(json.loads(json.dumps(calendar.to_dict()))) == calendar


@pytest.mark.parametrize("months", [1, 2, 3, 12])
def test_the_same_day_of_each_month_is_the_last_where_there_is_none(months: int) -> None:
    for day in (1, 2, 15, 28, 29, 30, 31):
        first = pd.Timestamp(2019, 1, day, 8)
        every = pd.DatetimeIndex([first + pd.DateOffset(months=months * i) for i in range(70)])
        assert known(every[:30]).after(every[:30], AHEAD) == every[30:].tolist()


def test_half_days_and_two_sessions_a_day() -> None:
    days = pd.date_range("2024-01-01", periods=100, freq="B")
    times = [f"{h:02}:{m:02}" for h, m in [(9, 30), (10, 0), (10, 30), (11, 0), (13, 0), (13, 30), (14, 0)]]
    every = pd.DatetimeIndex([
        pd.Timestamp(f"{day:%Y-%m-%d} {time}")
        for day in days
        for time in (times[:4] if day.day_of_week == 4 else times)
    ])  # fmt: skip
    calendar = known(every[:301])
    assert calendar.after(every[:301], AHEAD) == every[301:341].tolist()
    assert calendar.describe() == ("30 minutes apart on Mon to Fri from 09:30 to 11:00; Mon to Thu from 13:00 to 14:00")


def test_markets_open_all_day_but_not_on_weekends() -> None:
    hours = pd.date_range("2024-03-01", periods=1500, freq="h", tz="UTC")
    weekend = (hours.day_of_week == 5) | ((hours.day_of_week == 4) & (hours.hour >= 22))
    every = hours[~weekend & ~((hours.day_of_week == 6) & (hours.hour < 22))]
    assert known(every[:600]).after(every[:600], AHEAD) == every[600:640].tolist()


def test_hours_on_a_clock_that_changes() -> None:
    every = pd.date_range("2024-10-20", periods=400, freq="h", tz="Europe/Berlin")
    assert known(every[:100]).after(every[:100], [*AHEAD, 100]) == every[[*range(100, 140), 199]].tolist()
    local = pd.DatetimeIndex([f"2024-{m}-{d:02} {h}:00" for m in ("09", "10") for d in range(1, 31) for h in (0, 12)])
    noon = local.tz_localize("Europe/Berlin")
    assert known(noon[:118]).after(noon[:118], [1, 2]) == noon[118:].tolist(), "the clock went back on the 27th"
    assert known(noon[:118]).describe() == "12 hours apart"


@pytest.mark.parametrize("missing", [[66], [10, 11, 40], [0, 69]])
@pytest.mark.parametrize("freq", ["MS", "ME", "BME", "B", "QE", "D", "h", "YS", "W-SUN"])
def test_rows_that_are_missing_change_no_date(freq: str, missing: list[int]) -> None:
    every = pd.date_range("2014-01-01", periods=110, freq=freq)
    given = every[:70].delete(missing)
    calendar = known(given)
    assert calendar.after(given, [6])[0] == every[74 if 69 in missing else 75]
    odd = np.diff(np.setdiff1d(np.arange(70), missing)) != 1
    assert calendar.odd == odd.sum()
    assert calendar.longest == (np.diff(given)[odd].max() / pd.Timedelta(seconds=1) if odd.any() else 0)


def test_holidays_are_not_guessed() -> None:
    every = pd.date_range("2022-01-03", periods=520, freq="B")
    given = every[~((every.month == 12) & (every.day == 26)) & ~((every.month == 5) & (every.day == 1))]
    calendar = known(given)
    assert calendar.describe() == "on Mon to Fri"
    assert 0 < calendar.odd < 5


def test_a_stray_row_is_no_part_of_the_calendar() -> None:
    every = pd.date_range("2022-01-03", periods=400, freq="B")
    given = every.append(pd.DatetimeIndex(["2022-03-05 11:00"])).sort_values()
    calendar = known(given)
    assert calendar.after(given, AHEAD[:10]) == pd.date_range(every[-1], periods=11, freq="B")[1:].tolist()
    assert calendar.odd == 2
    assert np.isnan(calendar.measure(given)).sum() == 2


def test_what_is_irregular_has_no_calendar() -> None:
    rng = np.random.default_rng(0)
    for unit in ("s", "min", "D"):
        times = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(1, 50, 300).cumsum(), unit=unit)
        calendar = known(pd.DatetimeIndex(times))
        assert calendar.rule is None
        assert calendar.usual == np.median(np.diff(times) / pd.Timedelta(seconds=1))
        assert calendar.season() is None
        assert calendar.describe().startswith("at no regular times, usually ")
        assert Calendar.from_dict(json.loads(json.dumps(calendar.to_dict()))) == calendar
    months = [pd.Timestamp("2014-01-01") + pd.DateOffset(months=i, days=int(rng.integers(0, 5))) for i in range(60)]
    assert known(pd.DatetimeIndex(months)).rule is None, "steps of 28 to 35 days are not about 30"


def test_four_days_do_not_tell_what_comes_on_the_fifth() -> None:
    hours = pd.date_range("2024-01-01 09:00", periods=40, freq="bh")
    assert known(hours[:30]).rule is None
    assert known(hours[:40]).rule is None
    weeks = pd.date_range("2024-01-01 09:00", periods=100, freq="bh")
    assert known(weeks[:70]).after(weeks[:70], [2, 10]) == weeks[[71, 79]].tolist()


def test_steps_that_vary_a_little_go_on_in_the_usual_one() -> None:
    rng = np.random.default_rng(0)
    times = pd.date_range("2024-01-01", periods=200, freq="5min") + pd.to_timedelta(rng.integers(-9, 9, 200), unit="s")
    calendar = known(times)
    assert calendar.odd == 0
    assert calendar.describe().startswith("about ")
    off = (calendar.after(times, [24])[0] - times[-1]) / pd.Timedelta(minutes=5 * 24)
    assert off == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        ([0.5, 1.0, 1.5], [2.0, 2.5]),
        ([0.1, 0.2, 0.1 + 0.2, 0.4], [0.5, 0.6]),
        ([190, 191, 192], [193, 194]),
        ([1990, 1991, 1992, 1993], [1994, 1995]),
        ([0, 1, 3], [4.5, 6.0]),
        ([1 << 62, (1 << 62) + 100, (1 << 62) + 200], [(1 << 62) + 300, (1 << 62) + 400]),
    ],
)
def test_numbers_go_on_as_what_they_are(times: list[Any], wanted: list[Any]) -> None:
    for index in (pd.Index(times), pd.Index(times, dtype="Int64") if isinstance(times[0], int) else pd.Index(times)):
        found = known(index).after(index, [1, 2])
        assert found == pytest.approx(wanted, rel=1e-15, abs=0)
        assert [isinstance(time, (int, np.integer)) for time in found] == [isinstance(time, int) for time in wanted]


def test_durations_go_on() -> None:
    times = pd.timedelta_range("1h", periods=30, freq="90s")
    assert known(times[:20]).after(times[:20], [1, 10]) == times[[20, 29]].tolist()
    assert known(times).describe() == "90 seconds apart" or known(times).describe() == "0:01:30 apart"


def test_times_beyond_the_nanoseconds() -> None:
    every = pd.date_range("2600-01-31", periods=60, freq="ME", unit="s")
    assert known(every[:30]).after(every[:30], AHEAD[:30]) == every[30:].tolist()
    assert known(every[:30]).after(every[:30], [1])[0].unit == "s"


@pytest.mark.parametrize(
    ("freq", "season"),
    [
        *[("h", 24), ("30min", 48), ("D", 7), ("B", 5), (SUNDAY_TO_THURSDAY, 5), ("MS", 12), ("BME", 12), ("QE", 4)],
        *[("SME", 24), ("W", 52), ("7min", None), ("YS", None), ("s", 86400), ("bh", 8), ("2B", None), ("6MS", 2)],
    ],
    ids=str,
)
def test_the_season_follows_from_the_calendar(freq: Any, season: int | None) -> None:
    assert known(pd.date_range("2020-01-01", periods=70, freq=freq)).season() == season
    assert known(pd.RangeIndex(40)).season() is None


@pytest.mark.parametrize(
    ("freq", "words"),
    [
        ("D", "1 day apart"),
        ("90s", "90 seconds apart"),
        ("15min", "15 minutes apart"),
        ("36h", "36 hours apart"),
        ("ME", "on the last day of each month"),
        ("QS", "on the 1st day of every 3rd month"),
        ("SME", "on the 15th and last day of each month"),
        ("BMS", "on the first business day of each month"),
        ("WOM-3FRI", "on the 3rd Fri of each month"),
        (SUNDAY_TO_THURSDAY, "on Sun to Thu"),
        ("bh", "1 hour apart on Mon to Fri from 09:00 to 16:00"),
        ("2B", "at every 2nd time on Mon to Fri"),
    ],
    ids=str,
)
def test_in_words(freq: Any, words: str) -> None:
    assert known(pd.date_range("2020-01-01", periods=130, freq=freq)).describe() == words


@pytest.mark.parametrize("freq", ["h", "B", "ME", "bh"])
def test_what_is_no_calendar_is_refused(freq: str) -> None:
    told = known(pd.date_range("2020-01-01", periods=130, freq=freq)).to_dict()
    changes: list[dict[str, Any]] = [{"kind": "moons"}, {"rule": "moons"}, {"usual": -1}, {"usual": float("nan")}]
    changes += [{"step": 0}, {"step": None}] if freq == "h" else [{"kind": "numbers"}, {"every": 0}]
    if freq == "ME":
        changes += [{"days": [40]}, {"on": "moons"}, {"at": 1e9}]
    elif freq != "h":
        changes += [{"sessions": []}, {"sessions": [{"weekdays": [9], "opens": 0, "closes": 0}]}, {"step": -1}]
    for change in changes:
        with pytest.raises((InputError, ValueError, TypeError)):
            Calendar.from_dict({**told, **change})
    for lost in set(told) - {"span"}:
        with pytest.raises((KeyError, InputError)):
            Calendar.from_dict({key: value for key, value in told.items() if key != lost})


def test_one_row_tells_nothing() -> None:
    assert find(pd.DatetimeIndex(["2024-01-01"])) is None


@pytest.mark.data
def test_real_series(data_dir: Path) -> None:
    """Of each series the times ahead are those that came, or it has no calendar or left rows out."""
    hourly = pd.to_datetime(pd.read_csv(data_dir / "ett" / "ETTh1.csv.gz")["date"])
    times = pd.DatetimeIndex(hourly)
    assert known(times[:9000]).after(times[:9000], AHEAD) == times[9000:9040].tolist()
    wrong, regular = [], 0
    for path in sorted((data_dir / "nab" / "data").rglob("*.csv.gz")):
        times = pd.DatetimeIndex(pd.to_datetime(pd.read_csv(path)["timestamp"])).sort_values().unique()
        for rows in range(len(times) // 3, len(times) - 40, len(times) // 7):
            calendar = known(times[:rows])
            regular += calendar.rule is not None and calendar.odd == 0
            came = times[rows : rows + 24]
            ahead = pd.DatetimeIndex(calendar.after(times[:rows], range(1, 25)))  # type: ignore[arg-type]
            odd_ahead = (calendar.measure(times[rows - 1 : rows + 24]) != 1).any()
            far = np.abs((ahead - came) / pd.Timedelta(seconds=1)).max() > 0.1 * calendar.usual * 24
            if far and calendar.rule is not None and calendar.odd == 0 and not odd_ahead:
                wrong.append((path.name, rows, calendar.describe()))
    assert not wrong
    assert regular > 100
