"""gatewise predict: the numbers are those of the Python twins, which are held to theirs, and of the model itself."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors
import safetensors.numpy
from click.testing import CliRunner

import gatewise as gw
from cli.predicting import ROWS, before_summary, column, read, refused, run, run_with_warning
from cli.program import gatewise
from gatewise.cli.app import cli
from gatewise.tasks.forecaster import Forecaster
from sections import retold

RNG = np.random.default_rng(0)


def test_what_to_do_about_missing_readings_is_said_in_words_of_the_command(
    tables: Path, tmp_path: Path, sites: Path, watch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    past, ahead = pd.read_csv(tables / "sites.csv"), pd.read_csv(tables / "next.csv")
    past.loc[5, "heat"] = ahead.loc[1, "price"] = np.nan
    holed, later, bare = tmp_path / "holed.csv", tmp_path / "later.csv", tmp_path / "bare.safetensors"
    past.to_csv(holed, index=False)
    ahead.to_csv(later, index=False)
    gw.init(
        gw.ModelSpec(input=gw.LayerSpec("numeric", width=1, columns=["v"]), layers=[gw.LayerSpec("gru", units=1)])
    ).save(bare)
    trained = "nan; fill them in, or train with --missing hold to repeat the last finite reading"
    out = "warning: 1 of 2 series is left out: "
    for words, *arguments in (
        (trained, watch, holed),
        (trained, sites, holed, "--future", tables / "next.csv"),
        ("nan; fill in the file of --future: ", sites, tables / "sites.csv", "--future", later),
    ):
        ran = CliRunner().invoke(cli, ["predict", *map(str, arguments)], catch_exceptions=False)
        assert ran.exit_code == 0
        assert out in ran.stderr
        assert words in ran.stderr
        assert len({row["site"] for row in read(ran.stdout)}) == 1
    one = past[past["site"] == past.loc[5, "site"]]
    one.to_csv(holed, index=False)
    assert trained in refused(capsys, watch, holed)[1]
    (tmp_path / "v.csv").write_text("v\n1\n2e18\n")
    message = refused(capsys, bare, tmp_path / "v.csv")[1]
    assert "column 'v' is 2e+18 at row 1 (line 3): not finite, or beyond 1e+18 once scaled; " in message
    assert message.endswith("or train with --missing hold to repeat the last finite reading")


def test_reading_without_a_logarithm_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = gw.LayerSpec("numeric", width=2, columns=["u", "v"], transform=[None, "log1p"])
    gw.init(gw.ModelSpec(input=stage, layers=[gw.LayerSpec("gru", units=1)])).save(tmp_path / "m")
    (tmp_path / "x.csv").write_text("u,v\n-3,1\n-3,-2\n")
    status, message = refused(capsys, tmp_path / "m", tmp_path / "x.csv")
    assert status == 1
    assert "column 'v' is -2 at row 1 (line 3): not finite, of -1 or less" in message


def test_forecast_is_the_answer_of_the_model(tables: Path, north: Path) -> None:
    model = gw.load(north)
    rows = read((tables / "north.csv").read_text())
    x = np.stack([column(rows, name) for name in model.columns or ()], axis=1)
    found = read(run(north, tables / "north.csv"))
    assert list(found[0]) == ["time", "horizon", "target", "0.1", "0.5"]
    assert [(row["time"], row["horizon"], row["target"]) for row in found] == [
        ("2024-03-07 16:00:00", "1", "load"),
        ("2024-03-07 18:00:00", "3", "load"),
    ]
    answer = np.asarray(model.run(x))[-1]
    np.testing.assert_array_equal(np.stack([column(found, q) for q in ("0.1", "0.5")], axis=1).ravel(), answer)


def test_edited_forecaster(tables: Path, north: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused as it is; sealed again it forecasts with its new weights, and says what happened to it."""
    path = tmp_path / "m.safetensors"
    path.write_bytes(north.read_bytes())
    with safetensors.safe_open(path, "numpy") as opened:
        metadata = opened.metadata()
    held = safetensors.numpy.load_file(path)
    held["forecast.bias"] += 1
    safetensors.numpy.save_file(held, path, metadata)
    status, said = refused(capsys, path, tables / "north.csv")
    assert status == 1
    assert "the tensors do not match their checksum" in said
    sealed = CliRunner().invoke(cli, ["file", str(path), "--reseal"])
    assert (sealed.exit_code, sealed.stderr) == (0, "")
    model = gw.load(north)
    model = model.replace(tensors={**model.tensors, "forecast.bias": model.tensors["forecast.bias"] + np.float32(1)})
    x = pd.read_csv(tables / "north.csv")[list(model.columns or ())].to_numpy(np.float32)
    found = read(run(path, tables / "north.csv"))
    np.testing.assert_array_equal(
        np.stack([column(found, q) for q in ("0.1", "0.5")], axis=1).ravel(), model.run(x)[-1]
    )
    assert "resealed" in CliRunner().invoke(cli, ["inspect", str(path)]).stdout


def test_forecasts_of_many_series(tables: Path, sites: Path) -> None:
    truth = Forecaster.load(sites).predict(tables / "sites.csv", tables / "next.csv")
    assert len(truth) == 2 * 2 * 3
    options = (sites, tables / "sites.csv", "--future", tables / "next.csv")
    found = read(run(*options))
    as_json = [json.loads(line) for line in run(*options, "--json").splitlines()]
    assert list(found[0]) == list(as_json[0]) == list(truth)
    for rows in (found, as_json):
        for name in ("site", "target"):
            assert [row[name] for row in rows] == truth[name].tolist()
        assert [int(row["horizon"]) for row in rows] == truth["horizon"].tolist()
        assert [pd.Timestamp(row["time"]) for row in rows] == truth["time"].tolist()
        for name in ("0.1", "0.5", "0.9"):
            np.testing.assert_array_equal(column(rows, name), truth[name].to_numpy())
    assert as_json[0]["time"] == "2024-03-07T16:00:00"


def test_written_to_a_file(tables: Path, north: Path, tmp_path: Path) -> None:
    assert run(north, tables / "north.csv", "-o", tmp_path / "out.csv") == ""
    assert (tmp_path / "out.csv").read_text() == run(north, tables / "north.csv")
    assert run(north, tables / "north.csv", "--json", "-o", tmp_path / "out.json") == ""
    assert (tmp_path / "out.json").read_text() == run(north, tables / "north.csv", "--json")
    assert run(north, tables / "north.csv", "-o", tmp_path / "out.parquet") == ""
    truth = Forecaster.load(north).predict(tables / "north.csv")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), truth)


def test_times_that_differ_from_those_of_the_training_data_are_said(
    tables: Path, north: Path, watch: Path, tmp_path: Path
) -> None:
    daily = pd.read_csv(tables / "north.csv").assign(time=pd.date_range("2024-03-01", periods=ROWS))
    daily.to_csv(tmp_path / "daily.csv", index=False)
    found = read(run_with_warning("the rows are 1 day apart, but the model was f", north, tmp_path / "daily.csv"))
    assert [row["time"] for row in found] == ["2024-08-08", "2024-08-10"]
    rest = pd.read_csv(tables / "sites.csv")
    rest["time"] = pd.to_datetime(rest["time"]) + pd.Timedelta(hours=ROWS)
    rest.to_csv(tmp_path / "rest.csv", index=False)
    run(watch, tmp_path / "rest.csv", "--after-training")
    rest[2:].to_csv(tmp_path / "late.csv", index=False)
    warning = (
        "series 'north': the state given is that after 2024-03-07 15:00:00, the last row fitted, and the rows begin"
    )
    ran = CliRunner().invoke(cli, ["predict", str(watch), str(tmp_path / "late.csv"), "--after-training"])
    assert warning in ran.stderr
    assert before_summary(ran.stderr).endswith(
        "or leave out --after-training to begin a new sequence (1 more series alike)\n"
    )


@pytest.mark.parametrize("options", [[], ["--after-training"]])
def test_detector(tables: Path, watch: Path, tmp_path: Path, options: list[str]) -> None:
    """What a stream answers, bit for bit and line by line, with what was observed beside it."""
    rest, data = pd.read_csv(tables / "sites.csv"), tmp_path / "rest.csv"
    rest["time"] = (pd.to_datetime(rest["time"]) + pd.Timedelta(hours=ROWS if options else 0)).astype(str)
    rest.to_csv(data, index=False)
    found = read(run(watch, data, *options))
    rows = read(data.read_text())
    ran = gatewise(
        "stream", watch, "--series", "site", "--pass", "time", "--time", "time", *options, stdin=data.read_bytes()
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    truth = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(found) == len(truth) == 2 * ROWS
    members = [
        f"{name}:{what}" for name in ("load", "heat") for what in ("observed", "score", "expected", "low", "high")
    ]
    assert list(found[0]) == ["site", "time", "score", *members, "extrapolated", "alarm"]
    for name in ("load", "heat"):
        np.testing.assert_array_equal(column(found, f"{name}:observed"), column(rows, name))
    for name in ("score", *members):
        if not name.endswith("observed"):
            np.testing.assert_array_equal(column(found, name), column(truth, name))
    for name in ("extrapolated", "alarm"):
        assert [row[name] for row in found] == [str(one[name]) for one in truth]
    assert [(row["site"], row["time"]) for row in found] == [(one["site"], one["time"]) for one in truth]
    as_json = [json.loads(line) for line in run(watch, data, *options, "--json").splitlines()]
    assert [(row["alarm"], row["load:low"]) for row in as_json] == [(one["alarm"], one["load:low"]) for one in truth]


def test_plain_model(tmp_path: Path, two: Path) -> None:
    """Of a head without a task, columns in another order, one missing; a column more, and times in the index."""
    x = RNG.normal(size=(30, 2)).astype(np.float32)
    x[[4, 9], [0, 1]] = np.nan
    frame = pd.DataFrame({"b": x[:, 1], "t": pd.date_range("2024-01-01", periods=30), "word": "w", "a": x[:, 0]})
    frame.to_csv(tmp_path / "x.csv", index=False)
    frame.set_index("t").to_parquet(tmp_path / "x.parquet")
    model = gw.load(two)
    truth = np.asarray(model.run(x))
    for name, options in (("x.csv", ["--time", "t"]), ("x.parquet", [])):
        found = read(run(two, tmp_path / name, *options))
        assert list(found[0]) == ["t", *model.output_names, "alarm"]
        assert [row["t"] for row in found] == [f"{day:%Y-%m-%d}" for day in frame["t"]]
        for k, output in enumerate(model.output_names[:-1]):
            np.testing.assert_array_equal(column(found, output), truth[:, k])
        assert [row["extrapolated"] for row in found] == [str(bool(v)) for v in truth[:, -1]]
        assert [row["alarm"] for row in found] == [str(bool(v >= model.alarm_score)) for v in truth[:, 0]]


def test_plain_model_of_many_series(tmp_path: Path, bare: Path) -> None:
    x = RNG.normal(size=(30, 3)).astype(np.float32)
    ids = RNG.choice([3, 1, 2], 30)
    frame = pd.DataFrame({"p": x[:, 0], "q": x[:, 1], "id": ids, "r": x[:, 2], "word": "w"})
    frame.to_csv(tmp_path / "x.csv", index=False)
    options = (bare, tmp_path / "x.csv", "--series", "id", "--columns", "p,q,r")
    found = read(run(*options))
    assert [row["id"] for row in found] == [str(id) for id in ids], "rows stay in their order"
    for id in (1, 2, 3):
        own = [row for row in found if row["id"] == str(id)]
        truth = np.asarray(gw.load(bare).run(x[ids == id]))
        np.testing.assert_array_equal(np.stack([column(own, "y0"), column(own, "y1")], axis=1), truth)
    assert json.loads(run(*options, "--json").splitlines()[0])["id"] == ids[0]


def test_model_that_needs_whole_sequences(tmp_path: Path) -> None:
    both = gw.bidirectional(gw.LayerSpec("gru", units=3), source="input")
    spec = gw.ModelSpec(inputs=1, layers=[*both, gw.LayerSpec("dense", units=1)])
    model = gw.init(spec, 1)
    model.save(tmp_path / "m")
    x = RNG.normal(size=(20, 1)).astype(np.float32)
    pd.DataFrame(x, columns=["v"]).to_csv(tmp_path / "x.csv", index=False)
    found = read(run(tmp_path / "m", tmp_path / "x.csv"))
    np.testing.assert_array_equal(column(found, "y0"), np.asarray(model.run(x))[:, 0])


def test_refused_usage(
    tables: Path, sites: Path, north: Path, watch: Path, one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tables / "north.csv"
    for status, arguments, message in (
        (2, (north, data, "--start", "3"), "--start is for a backtest; give --backtest as well"),
        (2, (north, data, "--stride", "3"), "--stride is for a backtest"),
        (2, (north, data, "--season", "0"), "--season is for a backtest"),
        (2, (north, data, "--stride", "0", "--backtest"), "0 is not in the range x>=1"),
        (2, (sites, data, "--backtest", "--future", data), "FILE and --future are the same file"),
        (2, (sites, data, "--backtest", "--future", tables / "next.csv"), "--future is for a forecast"),
        (2, (north, data, "-o", data), "FILE and --output are the same file"),
        (2, (north, data, "-o", north), "MODEL and --output are the same file"),
        (2, (north, data, "--json", "-o", tmp_path / "x.pq"), "--json writes text, and "),
        (2, (north, data, "--time", "time"), "--time is for a model without a task; "),
        (2, (watch, data, "--columns", "load"), "is a detector and knows its columns"),
        (1, (watch, data, "--backtest"), "is no forecaster, so --backtest and --future do not apply"),
        (1, (one, data, "--future", tables / "next.csv"), "is no forecaster"),
        (1, (north, data, "--after-training"), "is no detector, so --after-training does not apply"),
        (1, (north, data, "-o", tmp_path / "none" / "x"), "there is no folder"),
        (1, (north, tables / "none.csv"), f"there is no file {tables / 'none.csv'}"),
        (1, (tables / "none", data), "No such file or directory"),
        (1, (sites, tables / "sites.csv"), "needs ['price'] in the 3 rows that follow; pass --future"),
        (1, (sites, data), "has no column of series 'site'"),
        (1, (north, data, "--backtest", "--start", "0"), "--start must be a whole number of at least 1, got 0"),
        (1, (north, data, "--backtest", "--start", "soon"), "--start is 'soon', which is not a date"),
        (1, (north, data, "--backtest", "--start", "159"), "no origin has all horizons up to 3"),
        (1, (one, data), "has no column 'v'"),
        (1, (one, data, "--columns", "load,heat"), "reads 1 columns, got 2 (load, heat); say with --columns which"),
    ):
        code, said = refused(capsys, *arguments)
        assert code == status, said
        assert message in said
    assert list(tmp_path.iterdir()) == []


def test_advice_names_options(tmp_path: Path, bare: Path, one: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("when,v\n2024-01-01,1\n2024-01-02,2\n")
    assert refused(capsys, bare, tmp_path / "t.csv") == (
        1,
        "column 'when' is not numeric: '2024-01-01'; if it is the time, pass --time when",
    )
    (tmp_path / "gap.csv").write_text("v\n1\n\n2\n")
    status, said = refused(capsys, one, tmp_path / "gap.csv")
    assert status == 1
    assert "column 'v' has a non-finite reading at row 1 (line 3)" in said


def test_files_that_only_look_like_tasks(
    tmp_path: Path, one: Path, tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for task in ("forecaster", "detector"):
        for told in ({}, {"parameters": 5}, {"parameters": {}}):
            retold(gw.load(one), told, task).save(tmp_path / "m")
            status, said = refused(capsys, tmp_path / "m", tables / "north.csv")
            assert status == 1
            assert f"cannot be read as a {task.capitalize()}" in said
