"""Backtests: forecasts are those of a run up to each origin; scores against scikit-learn and pandas."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, mean_squared_error

import gatewise as gw
from gatewise import Forecaster
from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.tasks.backtest import CHUNK, Backtest, backtest, forecast_at

HORIZONS, QUANTILES = (1, 3, 5), (0.1, 0.5, 0.9)


def forecaster(window: int | None = None, **options: Any) -> gw.Model:
    options = {"targets": [2, 0], "horizons": HORIZONS, "quantiles": QUANTILES, **options}
    layers = [gw.LayerSpec("gru", units=5), gw.LayerSpec("dense", units=6 * len(options["quantiles"]))]
    context: Any = "carried" if window is None else {"window": window}
    stage = gw.LayerSpec("numeric", width=3, scaling="standard", missing="hold")
    spec = gw.ModelSpec(input=stage, layers=layers, head=gw.LayerSpec("quantiles", **options), context=context)
    model = gw.init(spec, seed=1)
    units = {"head.offset": np.float32([1, -2]), "head.scale": np.float32([2.0, 0.5])}
    return model.replace(tensors={**model.tensors, **units})


def readings(rows: int, missing: float = 0.0) -> Array:
    rng = np.random.default_rng(rows)
    x = rng.normal(size=(rows, 3)).cumsum(0).astype(np.float32)
    x[rng.random(x.shape) < missing] = np.nan
    return x


@pytest.mark.parametrize("window", [None, 4, 40])
@pytest.mark.parametrize(
    "origins",
    [
        [0],
        [3],
        [0, 1, 2, 9, 60],
        list(range(2, 70)),
        [CHUNK - 1, CHUNK, CHUNK + 37],
        [3 * CHUNK],
        [CHUNK + 1, 3 * CHUNK + 1],
    ],
)
def test_an_answer_is_that_of_a_run_up_to_it_bit_for_bit(window: int | None, origins: list[int]) -> None:
    model, x = forecaster(window), readings(3 * CHUNK + 2, 0.1)
    found = forecast_at(model, x, np.array(origins))
    for row, t in enumerate(origins):
        assert found[row].tobytes() == np.asarray(model.run(x[: t + 1]))[-1].tobytes()


GRU, DENSE = gw.LayerSpec("gru", units=4), gw.LayerSpec("dense", units=6)


@pytest.mark.parametrize(
    ("layers", "missing"),
    [
        ([GRU, DENSE.replace(activation="tanh"), DENSE], "raise"),
        ([GRU.replace(name="a"), DENSE.replace(name="b", sources="input"), GRU.replace(sources="b"), DENSE], "hold"),
        ([GRU, gw.LayerSpec("concat", sources=("gru0", "input")), DENSE], "mask"),
        ([DENSE], "hold"),
        ([DENSE], "raise"),
    ],
)
def test_where_there_are_no_origins_only_the_state_is_carried(layers: list[gw.LayerSpec], missing: str) -> None:
    stage = gw.LayerSpec("numeric", width=3, missing=missing, scaling="standard")
    head = gw.LayerSpec("quantiles", horizons=[1, 2])
    model = gw.init(gw.ModelSpec(input=stage, layers=layers, head=head), seed=2)
    x = readings(3 * CHUNK, 0.0 if missing == "raise" else 0.2)
    for origin in (CHUNK - 1, CHUNK, 2 * CHUNK + 9):
        found = forecast_at(model, x, np.array([5, origin]))
        assert found[1].tobytes() == np.asarray(model.run(x[: origin + 1]))[-1].tobytes()


def run(model: gw.Model, x: Array, spans: list[tuple[Any, int, int]], **options: Any) -> Backtest:
    return backtest(model, [x[a:b] for _, a, b in spans], x[:, [2, 0]], spans, **options)


def test_origins_of_several_series_and_what_came() -> None:
    x = readings(70, 0.1)
    spans = [("a", 0, 40), ("short", 40, 47), ("b", 47, 70)]
    found = run(forecaster(), x, spans, start=8, stride=4, season=6)
    assert found.origins.tolist() == [*range(7, 35, 4), *range(47 + 7, 65, 4)]
    assert found.series is not None
    assert found.series.tolist() == ["a"] * 7 + ["b"] * 3
    for row, t in enumerate(found.origins):
        begin = 0 if found.series[row] == "a" else 47
        answer = np.asarray(forecaster().run(x[begin : t + 1]))[-1]
        assert found.forecasts[row].ravel().tobytes() == answer.tobytes()
        for i, h in enumerate(HORIZONS):
            np.testing.assert_array_equal(found.observed[row, :, i], x[t + h, [2, 0]])


def test_naive_forecasts() -> None:
    x = np.arange(40, dtype=np.float32)[:, None] * [1, 10, 100]
    x[[10, 11], 2] = np.nan
    found = run(forecaster(), x.astype(np.float32), [(None, 0, 40)], season=4)
    repeat, seasonal = found.naive["repeat_last"], found.naive["seasonal_naive"]
    assert repeat[20].tolist() == [[2000] * 3, [20] * 3]
    assert seasonal[20].tolist() == [[1700, 1900, 1700], [17, 19, 17]]
    assert repeat[11].tolist() == [[900] * 3, [11] * 3]
    assert seasonal[11, 0].tolist() == [800, 900, 800]
    assert np.isnan(seasonal[0]).all()
    assert found.counts[:3, 0].tolist() == [[False] * 3, [False, True, False], [False, True, False]]
    assert not found.counts[7, 0, 1]  # row 10 was not observed
    assert found.counts[7, 1, 1]


def test_scores_are_those_of_scikit_learn() -> None:
    found = run(forecaster(), readings(90, 0.1), [(None, 0, 90)], season=7)
    for name, k in (("x2", 0), ("x0", 1)):
        for forecast in ("model", "repeat_last", "seasonal_naive"):
            scores = found.scores(name, forecast)
            for i, h in enumerate(HORIZONS):
                known = found.counts[:, k, i]
                y = found.observed[known, k, i]
                p = found.forecasts[known, k, i] if forecast == "model" else None
                point = found.naive[forecast][known, k, i] if p is None else p[:, 1]
                each = [point if p is None else p[:, j] for j in range(3)]
                pinball = np.mean([mean_pinball_loss(y, v, alpha=q) for v, q in zip(each, QUANTILES, strict=True)])
                wanted = {
                    "mse": mean_squared_error(y, point),
                    "mae": mean_absolute_error(y, point),
                    "pinball": pinball,
                    "mse_standard": mean_squared_error(y, point) / found.scale[k] ** 2,
                    "mae_standard": mean_absolute_error(y, point) / found.scale[k],
                    "pinball_standard": pinball / found.scale[k],
                    "count": known.sum(),
                }
                if p is not None:
                    wanted["coverage"] = ((p[:, 0] <= y) & (y <= p[:, 2])).mean()
                assert set(scores) == set(wanted)
                for key, value in wanted.items():
                    assert scores.loc[h, key] == pytest.approx(value, rel=1e-5), key
    both = found.scores()
    for key in ("mse_standard", "coverage"):
        each_target = [found.scores(name) for name in found.targets]
        total = sum(frame[key] * frame["count"] for frame in each_target)
        np.testing.assert_allclose(both[key], total / both["count"])


def test_the_frame_holds_all_of_it() -> None:
    times = pd.date_range("2020-01-01", periods=60, freq="h")
    x = readings(60)
    found = run(forecaster(), x, [("a", 0, 30), ("b", 30, 60)], season=4, times=times, names=["p", "q"], stride=3)
    frame = found.frame()
    assert list(frame) == [
        *("series", "origin", "time", "target", "horizon", "0.1", "0.5", "0.9"),
        *("observed", "repeat_last", "seasonal_naive"),
    ]
    assert len(frame) == found.observed.size
    row = frame.query("series == 'b' and target == 'q' and horizon == 3").iloc[2]
    assert row["time"] == times[row["origin"]]
    assert row["observed"] == x[row["origin"] + 3, 0]
    assert row["repeat_last"] == x[row["origin"], 0]
    errors = (frame["observed"] - frame["0.5"]) ** 2
    wanted = errors[frame["seasonal_naive"].notna()].groupby(frame["horizon"]).mean()
    np.testing.assert_allclose(found.scores()["mse"], wanted, rtol=1e-5)
    assert "2 targets, horizons 1 to 5" in repr(found)


def test_calibration_and_comparison() -> None:
    found = run(forecaster(), readings(90), [(None, 0, 90)])
    below = (found.observed[..., None] <= found.forecasts).mean((0, 1))
    np.testing.assert_allclose(found.calibration(), below)
    compared = found.compare("mae")
    assert list(compared) == ["model", "repeat_last"]
    np.testing.assert_array_equal(compared["model"], found.scores()["mae"])
    np.testing.assert_array_equal(compared["repeat_last"], found.scores(forecast="repeat_last")["mae"])


def test_a_backtest_draws_the_errors_it_compares() -> None:
    found = run(forecaster(), readings(90), [(None, 0, 90)], season=7)
    drawn = found.plot("mae_standard", "x2", ax=Figure().subplots())
    compared = found.compare("mae_standard", "x2")
    assert [list(line.get_ydata()) for line in drawn.lines] == [list(compared[name]) for name in compared]
    assert all(list(line.get_xdata()) == list(HORIZONS) for line in drawn.lines)
    assert drawn.get_ylabel() == "mean absolute error, standard units"
    assert found.plot(ax=Figure().subplots()).get_ylabel() == "mean absolute error, standard units"
    assert found.plot(target="x2", ax=Figure().subplots()).get_ylabel() == "mean absolute error"
    with pytest.raises(InputError, match="measure must be one of .*'coverage'"):
        found.plot("coverage", ax=Figure().subplots())


@pytest.mark.parametrize(
    ("levels", "wanted"),
    [((0.3,), 1.0), ((0.4, 0.6), 1.5), ((0.6, 0.7), 1.0), ((0.1, 0.3), 2.0), ((0.3, 0.7, 0.9), 1.5)],
)
def test_the_median_lies_between_quantiles(levels: tuple[float, ...], wanted: float) -> None:
    forecasts = np.arange(1.0, 1.0 + len(levels)).astype(np.float32).reshape(1, 1, 1, -1)
    one = np.zeros((1, 1, 1), np.float32)
    found = Backtest(np.array([0]), ("a",), (1,), levels, forecasts, one, np.ones(1), {"repeat_last": one})
    assert found.median.item() == pytest.approx(wanted)


def test_refusals() -> None:
    model, x = forecaster(), readings(30)
    with pytest.raises(InputError, match="start must be a whole number of at least 1, got 0"):
        run(model, x, [(None, 0, 30)], start=0)
    with pytest.raises(InputError, match="stride must be a whole number of at least 1, got None"):
        run(model, x, [(None, 0, 30)], stride=None)
    with pytest.raises(InputError, match="season must be a whole number of at least 1, got True"):
        run(model, x, [(None, 0, 30)], season=True)
    with pytest.raises(InputError, match="the longest has 30 rows and forecasts begin at row 26"):
        run(model, x, [(None, 0, 30)], start=26)
    assert len(run(model, x, [(None, 0, 30)], start=25).origins) == 1
    found = run(model, x, [(None, 0, 30)])
    with pytest.raises(InputError, match=r"target must be one of \['x2', 'x0'\], or None for all, got 'y'"):
        found.scores("y")
    with pytest.raises(InputError, match=r"forecast must be one of \['model', 'repeat_last'\], got 'seasonal_naive'"):
        found.scores(forecast="seasonal_naive")
    with pytest.raises(InputError, match="measure must be one of"):
        found.compare("coverage")


QUICK: dict[str, Any] = {"units": 4, "horizons": 3, "batch": 8, "steps": 3}


def dated() -> pd.DataFrame:
    """Two columns by the hour."""
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 2)), columns=["load", "heat"])
    frame.insert(0, "time", pd.date_range("2024-03-01", periods=300, freq="h"))
    return frame


def test_a_backtest_begins_at_a_date() -> None:
    frame = dated()
    forecaster = Forecaster(**QUICK, time="time").fit(frame[:200])
    found = forecaster.backtest(frame, start="2024-03-10")
    assert found.origins[0] == 24 * 9 - 1
    assert found.times is not None
    assert found.times[0] == pd.Timestamp("2024-03-09 23:00")
    assert found.season == 24
    assert "seasonal_naive" in found.naive


def test_a_date_without_a_zone_is_one_of_the_zone_of_the_times() -> None:
    frame = dated().assign(time=pd.date_range("2024-03-28", periods=300, freq="h", tz="Europe/Berlin"))
    forecaster = Forecaster(**QUICK, time="time").fit(frame[:200])
    changed = 3 * 24 + 2  # the clock goes from 2 to 3 on the 31st of March
    for start, row in (
        ("2024-04-01", 4 * 24 - 1),
        (pd.Timestamp("2024-04-01"), 4 * 24 - 1),
        ("2024-03-31T22:00Z", 4 * 24 - 1),
        (pd.Timestamp("2024-04-01", tz="Europe/Berlin"), 4 * 24 - 1),
        ("2024-03-31 01:00", changed - 1),
        ("2024-03-31 02:30", changed),
        ("2024-03-31 03:00", changed),
    ):
        assert forecaster.backtest(frame, start=start).origins[0] == row - 1, start
    autumn = frame.assign(time=pd.date_range("2024-10-26", periods=300, freq="h", tz="Europe/Berlin"))
    assert forecaster.backtest(autumn, start="2024-10-27 02:00").origins[0] == 26 - 1, "the first of two"
    with pytest.raises(InputError, match="a date with a zone, but the times of the data have none; leave the zone out"):
        forecaster.backtest(dated(), start="2024-04-01T00:00Z")
    with pytest.raises(InputError, match="start is 'NaT', which is not a date"):
        forecaster.backtest(frame, start="NaT")


def seconds(rows: int = 400) -> pd.DataFrame:
    """A reading each second, of which a day would be 86,400."""
    return pd.DataFrame({"t": pd.date_range("2024-01-01", periods=rows, freq="s"), "y": np.sin(np.arange(rows) / 9)})


def test_a_guessed_season_that_is_longer_than_the_data_is_left_out_and_said() -> None:
    forecaster = Forecaster(**QUICK, time="t").fit(seconds())
    message = (
        "^a season of 86,400 rows is too long for the data: at no origin is there a reading one season before that of "
        "horizon 1, so no forecast repeats the last season; give more rows, or pass season=... for another$"
    )
    with pytest.warns(UserWarning, match=message) as caught:
        found = forecaster.backtest(seconds())
    assert caught[0].filename == __file__
    assert found.season is None
    assert not found.frame().isna().any().any()
    assert (found.compare().columns == ["model", "repeat_last"]).all()
    assert forecaster.backtest(seconds(), season=56).season == 56
    with pytest.raises(
        InputError, match=r"^a season of 900 rows is too long .*; give more rows, a shorter season, or pass sea"
    ):
        forecaster.backtest(seconds(), season=900)


@pytest.mark.parametrize("rows", [12, 13, 14, 15])
def test_a_season_is_taken_where_each_horizon_has_a_reading_one_season_before(rows: int) -> None:
    model, x = forecaster(), readings(rows)
    spans: list[tuple[Any, int, int]] = [("a", 0, 7), ("b", 7, 7 + rows)]
    x = np.concatenate([x[:7], x])
    latest = rows - 1 - 5
    if latest + 1 - 7 < 0:
        with pytest.raises(InputError, match="a season of 7 rows is too long for the data"):
            run(model, x, spans, season=7)
        with pytest.warns(UserWarning, match="a season of 7 rows is too long for the data"):
            assert run(model, x, spans, season=7, guessed=True).season is None
    else:
        found = run(model, x, spans, season=7)
        assert found.counts.any(0).all()
        assert not np.isnan(found.scores()["mse"]).any()


def test_no_season_is_none_or_0() -> None:
    model, x = forecaster(), readings(30)
    for season in (None, 0, np.int64(0)):
        found = run(model, x, [(None, 0, 30)], season=season)
        assert found.season is None
        assert list(found.naive) == ["repeat_last"]
    with pytest.raises(InputError, match="season must be a whole number of at least 1, got False"):
        run(model, x, [(None, 0, 30)], season=False)
    for odd in (-1, 1.5, "daily"):
        with pytest.raises(InputError, match=f"season must be a whole number of at least 1, got {odd!r}"):
            run(model, x, [(None, 0, 30)], season=odd)


def test_what_cannot_be_scored_is_said() -> None:
    x = readings(40)
    x[:, 0] = np.nan
    message = (
        "^3 of the 6 pairs of target and horizon cannot be scored, those of 'x0': no origin has a reading at that ho"
    )
    with pytest.warns(UserWarning, match=message):
        found = run(forecaster(), x, [(None, 0, 40)], season=4)
    assert found.counts[:, 0].any(0).all()
    assert not found.counts[:, 1].any()


@pytest.mark.parametrize(("freq", "season"), [("h", 24), ("B", 5), ("MS", 12), ("bh", 8)])
def test_the_season_is_that_of_the_calendar(freq: str, season: int) -> None:
    frame = seconds(130).assign(t=pd.date_range("2024-01-01", periods=130, freq=freq))
    fitted = Forecaster(**QUICK, time="t").fit(frame)
    assert fitted.backtest(frame).season == season
    assert fitted.backtest(frame, season=0).season is None
