"""gatewise predict --backtest: the numbers are those of `Forecaster.backtest`, and of its table by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import gatewise as gw
from cli.predicting import column, read, refused, run, run_with_warning
from gatewise.cli.app import cli
from gatewise.cli.predict import describe, page
from gatewise.tasks.forecaster import Forecaster


@pytest.mark.parametrize("start", ["140", "2024-03-06T20:00"])
def test_backtest(tables: Path, north: Path, tmp_path: Path, start: str) -> None:
    out = tmp_path / "all.csv"
    options = (north, tables / "north.csv", "--backtest", "--start", start, "--stride", 3, "--season", 24)
    truth = Forecaster.load(north).backtest(tables / "north.csv", 140, 3, 24)
    page = run(*options, "-o", out)
    assert page.splitlines()[1] == "  6 forecasts of load; mean squared error in standard units"
    compared = truth.compare()
    shown = [line.split() for line in page.splitlines()[2:]]
    assert shown[0] == ["horizon", "model", "repeat_last", "seasonal_naive", "coverage"]
    for row, h in zip(shown[1:], (1, 3), strict=False):
        assert row[0] == str(h)
        assert row[1:-1] == [f"{value:.4g}" for value in compared.loc[h]]
        assert row[-1] == f"{truth.scores().loc[h, 'coverage']:.4g}"
    assert shown[-1][:-1] == ["all", *(f"{value:.4g}" for value in compared.mean())]
    over = json.loads(run(*options, "--json"))["all"]
    assert [over[name]["mse_standard"] for name in compared] == pytest.approx(compared.mean().tolist(), rel=1e-12)
    assert over["model"]["coverage"] == pytest.approx(truth.scores()["coverage"].mean(), rel=1e-12)
    every = truth.frame()
    found = read(out.read_text())
    assert list(found[0]) == list(every)
    for name in ("0.1", "0.5", "observed", "repeat_last", "seasonal_naive"):
        np.testing.assert_array_equal(column(found, name), every[name].to_numpy(np.float32))
    # and the errors on the page, from the table by hand
    scale = float(gw.load(north).tensors["head.scale"][0])
    for row, h in zip(shown[1:], ("1", "3"), strict=False):
        own = [one for one in found if one["horizon"] == h]
        for place, name in ((1, "0.5"), (2, "repeat_last"), (3, "seasonal_naive")):
            errors = [(float(one["observed"]) - float(one[name])) / scale for one in own]
            assert float(row[place]) == pytest.approx(float(np.mean(np.square(errors))), rel=1e-3)


def test_backtest_of_a_series_that_is_too_short(tables: Path, sites: Path, tmp_path: Path) -> None:
    """It is named, on the page and for machines."""
    frame = pd.read_csv(tables / "sites.csv")
    path = tmp_path / "new.csv"
    frame[(frame.site == "south") | (frame.time < "2024-03-01 05")].to_csv(path, index=False)
    ran = CliRunner().invoke(cli, ["predict", str(sites), str(path), "--backtest"], catch_exceptions=False)
    assert ran.stdout.splitlines()[2] == "  left out: north"
    assert ran.stderr.startswith("gatewise: warning: 1 of 2 series is left out: 'north'; because it has too few rows")
    ran = CliRunner().invoke(cli, ["predict", str(sites), str(path), "--backtest", "--json"], catch_exceptions=False)
    assert json.loads(ran.stdout)["left_out"] == ["north"]
    assert "left out" not in run(sites, tables / "sites.csv", "--backtest")
    assert json.loads(run(sites, tables / "sites.csv", "--backtest", "--json"))["left_out"] == []


@pytest.mark.parametrize("zone", ["UTC", "+02:00"])
def test_backtest_of_times_with_a_zone(tables: Path, north: Path, tmp_path: Path, zone: str) -> None:
    """The date is one on the clock of the data."""
    frame = pd.read_csv(tables / "north.csv", parse_dates=["time"])
    frame.assign(time=frame["time"].dt.tz_localize(zone)).to_csv(tmp_path / "zoned.csv", index=False)
    assert "+0" in (tmp_path / "zoned.csv").read_text()
    found = [
        run(north, path, "--backtest", "--start", "2024-03-06T20:00", "--json").replace(str(path), "")
        for path in (tables / "north.csv", tmp_path / "zoned.csv")
    ]
    assert found[0] == found[1]


def test_backtest_as_json(tables: Path, sites: Path) -> None:
    options = (sites, tables / "sites.csv", "--backtest", "--start", 150, "--season", 0, "--json")
    found = json.loads(run(*options))
    truth = Forecaster.load(sites).backtest(tables / "sites.csv", 150, season=None)
    assert (found["origins"], found["season"]) == (len(truth.origins), None) == (16, None)
    assert found["targets"] == ["load", "heat"]
    assert [one["horizon"] for one in found["horizons"]] == [1, 2, 3]
    for one in found["horizons"]:
        assert set(one) == {"horizon", "model", "repeat_last"}
        for name in ("model", "repeat_last"):
            assert one[name] == truth.scores(forecast=name).loc[one["horizon"]].to_dict()
            assert type(one[name]["count"]) is int


def test_scores_that_are_not_known(tables: Path, north: Path) -> None:
    """Nothing came, so there is nothing to compare, and no NaN in JSON."""
    tested = Forecaster.load(north).backtest(tables / "north.csv")
    found = describe("m", "d", replace(tested, observed=np.full_like(tested.observed, np.nan)))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert [one["model"]["mse"] for one in found["horizons"]] == [None, None]
    assert [one["model"]["count"] for one in found["horizons"]] == [0, 0]
    assert [line.split()[1:] for line in page(found).splitlines()[3:]] == [["-"] * 4] * 3


def test_seasons_that_are_longer_than_the_data(
    tables: Path, north: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tables / "north.csv"
    code, said = refused(capsys, north, data, "--backtest", "--season", 500)
    assert code == 1
    assert said.startswith("a season of 500 rows is too long for the data: at no origin is there a reading one season")
    assert said.endswith("give more rows, a shorter season, or pass --season 0 for none")
    assert json.loads(run(north, data, "--backtest", "--season", 0, "--json"))["season"] is None
    pd.read_csv(data)[:20].to_csv(tmp_path / "short.csv", index=False)
    found = run_with_warning(
        "a season of 24 rows is too long for the data", north, tmp_path / "short.csv", "--backtest"
    )
    assert found.splitlines()[2].split() == ["horizon", "model", "repeat_last", "coverage"]


def test_page_of_many_horizons(tables: Path) -> None:
    path = tables / "far.safetensors"
    Forecaster(units=2, horizons=30, target="load", time="time", steps=1).fit(tables / "north.csv").save(path)
    page = run(path, tables / "north.csv", "--backtest").splitlines()
    assert [line.split()[0] for line in page[3:]] == ["1", *map(str, range(2, 31, 2)), "all"]
