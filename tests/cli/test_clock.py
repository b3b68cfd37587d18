"""gatewise stream --time: what differs from the times of the training data is said once on standard error."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from cli.program import gatewise
from gatewise.cli.clock import Clock
from gatewise.cli.lines import LineError
from gatewise.tables.table import read_table
from gatewise.tables.timeline import timeline
from sections import ended

COUNTS = "the model counts steps, not time"


def told(times: Any, series: Any = None) -> dict[str, Any]:
    """What a task keeps of these times."""
    data = pd.DataFrame({"t": times, "v": 0.0, "id": "p" if series is None else series})
    table = read_table(data, "t", ["v"], series=None if series is None else "id")
    kept: dict[str, Any] = json.loads(json.dumps(timeline(table, ends=True)[0].to_dict()))
    return kept


DAYS = pd.date_range("2024-01-01", periods=35, freq="D")


def fitted(model: Path, path: Path, kept: dict[str, Any], ids: list[Any] | None = None) -> Path:
    """A detector that keeps these times, and a state after training."""
    loaded = gw.load(model)
    past = np.random.default_rng(0).normal(size=(len(ids or [0]), 20, 1))
    ended(loaded, ids, *(loaded.run(rows, return_state=True)[1] for rows in past), times=kept).save(path)
    return path


def objects(times: Any, **more: Any) -> str:
    return "".join(json.dumps({"v": 0.5, "t": str(t), **more}) + "\n" for t in times)


@pytest.fixture
def daily(one: Path, tmp_path: Path) -> Path:
    return fitted(one, tmp_path / "daily.safetensors", told(DAYS))


def said(model: Path, stdin: str, *options: str) -> list[str]:
    ran = gatewise("stream", model, "--time", "t", *options, stdin=stdin)
    assert ran.returncode == 0, ran.stderr
    return [line.removeprefix("gatewise: ") for line in ran.stderr.splitlines()]


def test_nothing_is_said_where_times_go_on_and_results_are_the_same(daily: Path) -> None:
    lines = objects(pd.date_range("2024-02-05", periods=40, freq="D"))
    assert said(daily, lines, "--after-training") == []
    timed = gatewise("stream", daily, "--time", "t", "--after-training", stdin=lines)
    assert timed.stdout == gatewise("stream", daily, "--after-training", stdin=lines).stdout
    for keep in (["--pass", "t"], ["--pass", "v", "--pass", "t"], ["--pass", "v"]):
        timed = gatewise("stream", daily, "--time", "t", *keep, stdin=lines)
        assert timed.stdout == gatewise("stream", daily, *keep, stdin=lines).stdout
        assert ("2024-02-05" in timed.stdout) == ("t" in keep)
    csv = "t,v\n" + "".join(f"2024-02-{day:02},0.5\n" for day in range(5, 15))
    ran = gatewise("stream", daily, "--time", "t", "--after-training", stdin=csv)
    assert (len(ran.stdout.splitlines()), ran.stderr) == (10, "")


def test_another_rate_is_said_once(daily: Path) -> None:
    (message,) = said(daily, objects(pd.date_range("2024-02-05", periods=40, freq="h")))
    assert message == (
        f"the rows are 1 hour apart, but the model was trained on rows 1 day apart; {COUNTS}, so send rows like those, "
        "or train again on rows like these"
    )


def test_a_gap_and_a_step_back_are_said_once_each(daily: Path) -> None:
    times = [*pd.date_range("2024-02-05", periods=5), *pd.date_range("2024-02-12", periods=5)]
    times += [*pd.date_range("2024-02-10", periods=3), *pd.date_range("2024-03-10", periods=3)]
    gap, back = said(daily, objects(times))
    assert gap == (
        "rows are missing from 2024-02-09 00:00:00 to 2024-02-12 00:00:00: a step of 3 days where 1 day is usual; "
        f"{COUNTS}"
    )
    assert back == (f"the time 2024-02-10 00:00:00 does not lie after 2024-02-16 00:00:00, the one before it; {COUNTS}")
    assert said(daily, objects(["2024-02-05", "2024-02-06", "2024-02-09"]))[0].startswith("rows are missing from"), (
        "the last step too"
    )


@pytest.mark.parametrize("begin", ["2024-02-04", "2024-02-06", "2020-01-01"])
def test_rows_that_do_not_follow_on_the_training_data(daily: Path, begin: str) -> None:
    lines = objects(pd.date_range(begin, periods=9))
    (message,) = said(daily, lines, "--after-training")
    assert message == (
        f"the training data end at 2024-02-04T00:00:00, and the first row comes at {begin} 00:00:00 and not 1 day "
        "after that, so it does not follow on them; send the rows that do, or leave out --after-training"
    )
    assert said(daily, lines) == []


def test_a_state_comes_before_the_training_data(daily: Path, tmp_path: Path) -> None:
    options = ("--after-training", "--state", str(tmp_path / "state"))
    assert said(daily, objects(["2024-02-05", "2024-02-06"]), *options) == []
    assert said(daily, objects(["2024-02-07", "2024-02-08"]), *options) == ["continuing after step 2"]


def test_each_series_has_a_clock_of_its_own(one: Path, tmp_path: Path) -> None:
    kept = told(
        [*DAYS, *DAYS[:-5], *pd.date_range("2024-01-01", periods=30, freq="h")], ["p"] * 35 + ["q"] * 30 + ["r"] * 30
    )
    model = fitted(one, tmp_path / "m.safetensors", kept, ["p", "q", "r"])
    p, q = pd.date_range("2024-02-05", periods=5), pd.date_range("2024-01-31", periods=5)
    r = pd.date_range("2024-01-02 06:00", periods=5, freq="h")
    lines = "".join(
        objects([a], id="p") + objects([b], id="q") + objects([c], id="r") for a, b, c in zip(p, q, r, strict=True)
    )
    options = ("--series", "id", "--after-training")
    assert said(model, lines, *options) == []
    assert said(model, lines, "--series", "id", "--pass", "t") == []
    (message,) = said(model, lines + objects(q[-1:], id="q"), *options)
    assert message.startswith("series 'q': the time 2024-02-04 00:00:00 does not lie after 2024-02-04 00:00:00")
    skipped = "".join(objects([t], id="q") for t in [*q[:2], *q[4:]])
    (message,) = said(model, skipped, *options)
    assert message.startswith("series 'q': rows are missing from 2024-02-01 00:00:00 to 2024-02-04 00:00:00")


def test_calendars_that_are_no_steps_are_checked_for_order(one: Path, tmp_path: Path) -> None:
    model = fitted(one, tmp_path / "m.safetensors", told(pd.date_range("2024-01-01", periods=35, freq="B")))
    first = "the rows that the model was trained on are no constant step apart, so --time checks only that times ascend"
    assert said(model, objects(pd.date_range("2024-02-19", periods=20, freq="B")), "--after-training") == [first]
    assert said(model, objects(["2024-03-01", "2024-02-28"])) == [first, (
        f"the time 2024-02-28 does not lie after 2024-03-01, the one before it; {COUNTS}"
    )]  # fmt: skip
    assert said(model, objects(pd.date_range("2024-01-10", periods=3)), "--after-training")[1].startswith(
        "the training data end at 2024-02-16T00:00:00, and the first row comes at 2024-01-10"
    )


def test_a_model_that_says_nothing_of_times(one: Path) -> None:
    first = "the model does not say how far apart its rows are, so --time checks only that times ascend"
    assert said(one, objects(["2024-03-01", "2024-03-02"])) == [first]
    assert said(one, '{"v": 1, "t": 7}\n{"v": 1, "t": 6}\n') == [
        first, f"the time 6 does not lie after 7, the one before it; {COUNTS}"
    ]  # fmt: skip


def test_a_time_that_is_none_is_a_malformed_line(daily: Path, one: Path, tmp_path: Path) -> None:
    for time in ("null", '"soon"', "true", "[1]", "1.5"):
        ran = gatewise("stream", daily, "--time", "t", stdin=f'{{"v": 1, "t": {time}}}\n')
        assert ran.returncode == 1
        assert ran.stderr.startswith("gatewise: line 1: the time must be an ISO 8601 date, got "), time
    ran = gatewise("stream", daily, "--time", "t", stdin='{"v": 1}\n')
    assert "column 't' is absent" in ran.stderr
    numbered = fitted(one, tmp_path / "m.safetensors", told(np.arange(30) * 2))
    ran = gatewise("stream", numbered, "--time", "t", stdin='{"v": 1, "t": "2024-01-01"}\n')
    assert ran.stderr == 'gatewise: line 1: the time must be a number, got "2024-01-01"\n'
    ran = gatewise("stream", one, "--time", "t", "--series", "t", stdin="")
    assert ran.returncode == 2


def seen(kept: object, times: list[Any], **options: Any) -> list[str]:
    messages: list[str] = []
    clock = Clock(kept, say=messages.append, **options)
    for time in times:
        clock.see(time)
    clock.end()
    return messages


def test_numbers_keep_their_last_digit() -> None:
    begin = 1_700_000_000_000_000_000
    kept = told(begin + 100 * np.arange(30))
    assert seen(kept, [begin + 100 * i for i in range(30, 60)], ends=True) == []
    (message,) = seen(kept, [begin + 100 * i for i in (30, 31, 33, 34)], ends=True)
    assert ": a step of 200 where 100 is usual" in message


def test_days_written_as_whole_numbers() -> None:
    kept = told([int(f"{day:%Y%m%d}") for day in DAYS])
    assert seen(kept, [20240205, 20240206], ends=True) == []
    assert seen(kept, [20240205, 20240208, 20240209], ends=True)[0].startswith("rows are missing from 20240205 to")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC"])
def test_offsets_are_read(zone: str) -> None:
    hours = pd.date_range("2024-10-20", periods=400, freq="h", tz=zone)
    kept = told(hours[:150])
    assert seen(kept, [time.isoformat() for time in hours[150:]], ends=True) == []
    assert seen(kept, [time.isoformat() for time in hours[150:].tz_convert("Asia/Tokyo")], ends=True) == []
    assert "does not follow" in seen(kept, [time.isoformat() for time in hours[151:]], ends=True)[0]
    days = pd.date_range("2024-10-01", periods=60, freq="D", tz=zone)
    assert seen(told(days[:20]), [time.isoformat() for time in days[20:]], ends=True) == [], "a day of 25 hours"


def test_a_row_that_comes_twice_as_often_for_a_while() -> None:
    kept = told(pd.date_range("2024-01-01", periods=50, freq="h"))
    times = pd.date_range("2024-01-03 02:00", periods=5, freq="h").append(pd.DatetimeIndex(["2024-01-03 06:30"]))
    (message,) = seen(kept, [*map(str, times), "2024-01-03 07:30", "2024-01-03 08:30"], ends=True)
    assert message.startswith("there is an extra row from 2024-01-03 06:00:00 to 2024-01-03 06:30:00")


def test_odd_provenance_is_no_obstacle() -> None:
    for kept in (None, 5, [], {}, {"calendar": 5}, {"calendar": {"kind": "dates"}, "ends": 5, "others": [1, ["a"]]}):
        assert len(seen(kept, ["2024-01-01", "2024-01-02"], ends=True)) == 1
    odd = {"calendar": {"kind": "dates", "rule": "steps", "step": 60}, "ends": [[None, "soon"], [None, None]]}
    assert seen(odd, ["2024-01-01T00:00", "2024-01-01T00:01"], ends=True) == []
    with pytest.raises(LineError):
        Clock(odd).see([])


@pytest.mark.parametrize(
    "form", ["%Y/%m/%d", "%Y.%m.%d", "%Y/%m/%d %H:%M", "%Y/%m/%dT%H:%M:%S", "%Y%m%d", "{t.year}/{t.month}/{t.day}"]
)
def test_dates_that_training_reads_are_read(form: str) -> None:
    written = [day.strftime(form) if "%" in form else form.format(t=day) for day in DAYS]
    kept = told(written[:25])
    assert kept["calendar"]["kind"] == "dates"
    assert seen(kept, written[25:], ends=True) == []
    (message,) = seen(kept, [*written[25:28], *written[30:]], ends=True)
    assert message.startswith(f"rows are missing from {written[27]} to {written[30]}: a step of 3 days")


@pytest.mark.parametrize("form", ["%Y%m", "%Y-%m", "%Y/%m", "%Y"])
def test_months_and_years_that_training_reads_are_read(form: str) -> None:
    months = pd.date_range("1950-01-01", periods=40, freq="YS" if form == "%Y" else "MS").strftime(form).tolist()
    numbers = [int(month) for month in months] if form == "%Y%m" else []
    kept = told(numbers[:30] or months[:30])
    first = "the rows that the model was trained on are no constant step apart, so --time checks only that times ascend"
    assert seen(kept, months[30:], ends=True) == [first]
    order = seen(kept, [months[31], months[30]])[1]
    assert order.startswith(f"the time {months[30]} does not lie after {months[31]}")
    assert seen(kept, numbers[30:]) == [first]


def test_what_only_pandas_reads_is_not_compared_and_said_once(daily: Path) -> None:
    written = [f"{day:%Y %b %d}" for day in DAYS]
    assert told(written)["calendar"]["kind"] == "dates"
    messages = seen(told(written), [*written, *DAYS.astype(str)[:2]])
    assert messages == [
        "the time 2024 Jan 01 has the year first but is no ISO 8601 date, so it is not compared with those of the "
        "training data, nor are others like it; write ISO 8601 to have them compared"
    ]
    assert len(said(daily, objects(written))) == 1, "and all are answered"
