"""Forecaster: series whose future is known, alignment of every column, and what it says when data do not fit."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

import gatewise
from gatewise import Forecaster
from gatewise.errors import FileError, GatewiseWarning, InputError, SpecError
from gatewise.layers.base import Array
from gatewise.tables.split import Split
from sections import retold

WINDOW = 12
QUICK: dict[str, Any] = {"units": 4, "horizons": 3, "batch": 8, "steps": 3}


def waves(rows: int = 300, seed: int = 0) -> Array:
    """Two columns: a sine of period 12 and a slower one, with a little noise."""
    t = np.arange(rows)
    clean = np.stack([np.sin(2 * np.pi * t / 12), 5 + 2 * np.cos(2 * np.pi * t / 30)], 1)
    return clean + 0.05 * np.random.default_rng(seed).normal(size=clean.shape)


def dated(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """`waves` by the hour, with a price whose future is known."""
    frame = pd.DataFrame(waves(rows, seed), columns=["load", "heat"])
    frame["price"] = np.arange(rows) % 7
    frame.insert(0, "time", pd.date_range("2024-03-01", periods=rows, freq="h"))
    return frame


def set_weights(forecaster: Forecaster, **given: Array) -> None:
    """Replace tensors of a fitted model, e.g. `forecast_bias`."""
    named = {name.replace("_", ".", 1): np.asarray(value, np.float32) for name, value in given.items()}
    model = forecaster.model_
    forecaster.model_ = model.replace(tensors={**model.tensors, **named}, task=model.task)


def drift(forecaster: Forecaster, column: int, slope: float) -> None:
    """Let the model forecast that a column rises by `slope` a step, with hand-set weights: exact on a line."""
    targets, horizons, levels = len(forecaster.targets_), forecaster.horizons_, len(forecaster.quantiles_)
    change = slope * np.array(horizons) / forecaster.model_.tensors["head.scale"][column]
    bias = np.zeros((targets, len(horizons), levels))
    bias[column] = change[:, None]
    weight = np.zeros_like(forecaster.model_.tensors["forecast.weight"])
    set_weights(forecaster, forecast_bias=bias.ravel(), forecast_weight=weight)


def test_learns_a_sine_and_beats_the_naive_forecasts() -> None:
    x = waves(700)
    options: dict[str, Any] = {"units": 16, "horizons": 6, "context": {"window": 24}, "normalise": True, "batch": 16}
    with pytest.warns(GatewiseWarning, match="a ridge regression on the last 24 rows"):  # a sine is linear
        forecaster = Forecaster(**options, steps=200, learning_rate=0.01).fit(x[:500])
    errors = forecaster.backtest(x, start=500, season=12).compare()
    assert (errors["model"] < errors["repeat_last"]).all()
    assert (errors["model"] < 1.2 * errors["seasonal_naive"]).all(), "which is off by sqrt(2) of the noise"
    assert errors["model"].max() < 0.02


def test_carried_state_knows_the_period() -> None:
    x = waves(700)[:, :1]
    with pytest.warns(GatewiseWarning, match="a ridge regression on the last 96 rows"):  # a sine is linear
        forecaster = Forecaster(units=16, horizons=6, bptt=48, batch=8, steps=250, learning_rate=0.01).fit(x[:500])
    errors = forecaster.backtest(x, start=500, season=12).compare()
    assert (errors["model"] < 0.5 * errors["repeat_last"]).all()


def test_quantiles_hold_their_share_and_never_cross() -> None:
    # x(t+1) = 0.8 x(t) + e: the quantiles of x(t+h) are known, 0.8^h x(t) + s_h q with s_h^2 the sum of 0.64^i.
    rng = np.random.default_rng(1)
    x = np.zeros(8000)
    for t in range(1, len(x)):
        x[t] = 0.8 * x[t - 1] + rng.normal()
    levels = (0.1, 0.25, 0.5, 0.75, 0.9)
    forecaster = Forecaster(
        units=8, horizons=[1, 4], quantiles=levels, context={"window": 4}, steps=1500, learning_rate=0.01, batch=64
    ).fit(x[:6000])
    found = forecaster.backtest(x, start=6000)
    assert (np.diff(found.forecasts, axis=-1) >= 0).all()
    share = found.calibration()
    np.testing.assert_allclose(share.to_numpy(), np.tile(levels, (2, 1)), atol=0.04)
    truth = 0.8 ** np.array([1, 4]) * x[found.origins, None]
    off = found.median[:, 0] - truth
    noise = np.sqrt([1.0, np.sum(0.64 ** np.arange(4))])
    assert (np.sqrt((off**2).mean(0)) < 0.15 * noise).all()


@pytest.mark.parametrize("context", ["carried", {"window": WINDOW}])
def test_a_line_with_the_right_slope_is_exact(context: Any) -> None:
    x = np.stack([np.sin(np.arange(200.0)), 3 + 0.5 * np.arange(200.0)], 1)
    with pytest.warns(UserWarning, match="column 'x1' changes by 0.5 with every row"):
        forecaster = Forecaster(**{**QUICK, "horizons": [1, 5, 9]}, context=context).fit(x)
    drift(forecaster, 1, 0.5)
    found = forecaster.backtest(x, start=20)
    assert found.origins.tolist() == list(range(19, 200 - 9))
    np.testing.assert_allclose(found.forecasts[:, 1], found.observed[:, 1, :, None].repeat(3, -1), atol=1e-4)
    last = forecaster.predict(x)
    assert last["target"].tolist() == ["x0"] * 3 + ["x1"] * 3
    assert last["horizon"].tolist() == [1, 5, 9] * 2
    for h in (1, 5, 9):
        line = last[(last["target"] == "x1") & (last["horizon"] == h)]
        np.testing.assert_allclose(line[["0.1", "0.5", "0.9"]].to_numpy()[0], 3 + 0.5 * (199 + h), atol=1e-4)


def announced(rows: int = 1500) -> Array:
    """-1 or 1 by the toss of a coin, and 4 after a missing reading. Held at the last one, a gap looks like a repeat."""
    rng = np.random.default_rng(3)
    x, gone = rng.choice([-1.0, 1.0], rows), rng.random(rows) < 0.15
    x[1:][gone[:-1]] = 4.0
    x[gone] = np.nan
    return x


@pytest.mark.parametrize("context", ["carried", {"window": 4}])
def test_what_a_gap_announces_is_learned_from_the_mask_alone(context: Any) -> None:
    x = announced()
    options: dict[str, Any] = {"units": 8, "horizons": 1, "anchor": False, "batch": 16, "steps": 200}
    if context == "carried":
        options["bptt"] = 8
    found = {}
    for missing in ("hold", "mask"):
        forecaster = Forecaster(**options, learning_rate=0.02, missing=missing, context=context, quantiles=[0.5])
        with pytest.warns(UserWarning, match="readings are missing"):
            found[missing] = forecaster.fit(x[:1000]).backtest(x, start=1000)
    after = np.isnan(x[found["mask"].origins]) & np.isfinite(found["mask"].observed[:, 0, 0])
    assert after.sum() > 40
    assert (np.abs(found["mask"].median[after] - 4) < 0.5).all()
    before = np.isfinite(x[found["mask"].origins])
    assert (np.abs(found["mask"].median[before]) < 1.5).all()
    assert (np.abs(found["hold"].median[after] - 4) > 2).all(), "a repeat is most often no gap"


def test_with_a_mask_each_window_has_the_units_of_what_was_read() -> None:
    # The same readings with the same gaps, at another level and scale: the zero held before the first reading of a
    # window, the training mean, must not show.
    x = waves()
    x[np.random.default_rng(7).random(x.shape) < 0.3] = np.nan
    options: dict[str, Any] = {**QUICK, "steps": 40, "learning_rate": 0.02, "context": {"window": WINDOW}}
    forecaster = Forecaster(**options, normalise=True, missing="mask", anchor=False)
    with pytest.warns(UserWarning, match="the model is told where"):
        forecaster.fit(x)
    factor, shift = np.array([4.0, 0.5]), np.array([-7.0, 100.0])
    plain, moved = (forecaster.backtest(values, stride=3).forecasts for values in (x, x * factor + shift))
    assert np.isnan(x[: len(x) - WINDOW]).any()
    np.testing.assert_allclose(
        moved, plain * factor[:, None, None] + shift[:, None, None], rtol=2e-4, atol=1e-3 * float(factor.min())
    )


def test_training_starts_from_repeating_the_last_reading() -> None:
    x = waves()
    forecaster = Forecaster(**{**QUICK, "steps": 1}, learning_rate=1e-9, context={"window": 6}).fit(x)
    found = forecaster.backtest(x, season=None)
    np.testing.assert_allclose(found.forecasts, found.naive["repeat_last"][..., None].repeat(3, -1), atol=1e-5)
    level = Forecaster(
        **{**QUICK, "steps": 1}, learning_rate=1e-9, context={"window": 6}, normalise=True, anchor=False
    ).fit(x)
    mean = np.stack([x[i - 5 : i + 1].mean(0) for i in range(5, 297)])
    found = level.backtest(x)
    np.testing.assert_allclose(found.forecasts[:, :, 0, 1], mean, atol=1e-4)


@pytest.mark.parametrize("missing", ["hold", "mask"])
@pytest.mark.parametrize(
    ("context", "normalise"), [("carried", False), ({"window": WINDOW}, False), ({"window": WINDOW}, True)]
)
def test_a_backtest_is_predict_called_origin_by_origin(context: Any, normalise: bool, missing: str) -> None:
    frame = dated(120)
    forecaster = Forecaster(
        **QUICK, time="time", target="load", covariates=["price"], calendar=("day",), missing=missing, context=context,
        normalise=normalise,
    )  # fmt: skip
    frame.loc[[20, 35, 36, 37, 73], "heat"] = np.nan
    frame.loc[[39, 56, 60, 61], "load"] = np.nan
    forecaster.fit(frame)
    found = forecaster.backtest(frame, start=40, stride=17)
    assert found.origins.tolist() == [39, 56, 73, 90, 107]
    for row, forecasts in zip(found.origins, found.forecasts, strict=True):
        alone = forecaster.predict(frame[: row + 1], future=frame[row + 1 :])
        assert np.array_equal(alone[["0.1", "0.5", "0.9"]].to_numpy(np.float32), forecasts[0])
        assert alone["time"].tolist() == frame["time"][row + 1 : row + 4].tolist()


def test_a_stream_forecasts_what_predict_does() -> None:
    frame = dated(100)
    forecaster = Forecaster(**QUICK, time="time", covariates=["price"], calendar=["week"]).fit(frame)
    names = forecaster.model_.columns
    assert names == ("load", "heat", "price", "week_sin", "week_cos", "price+1", "price+2", "price+3")
    stream = forecaster.model_.stream()
    read = forecaster.layout_.inputs(frame[["load", "heat", "price"]].to_numpy(), pd.DatetimeIndex(frame["time"]))
    assert len(read) == 97, "the last three rows lack a future"
    answers = [np.asarray(stream.push(row)) for row in read]
    predicted = forecaster.predict(frame[:97], future=frame[97:])
    assert np.array_equal(answers[-1], predicted[["0.1", "0.5", "0.9"]].to_numpy(np.float32).ravel())
    assert forecaster.model_.output_names[:2] == ("load+1:0.1", "load+1:0.5")


def test_covariates_are_those_of_the_rows_ahead() -> None:
    # The reading is the covariate of its own row, which nothing in the past tells: only what is known ahead helps.
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"plan": rng.normal(size=1200)})
    frame["output"] = 3 * frame["plan"] + 1 + 0.01 * rng.normal(size=1200)
    options: dict[str, Any] = {"units": 16, "horizons": [1, 3], "anchor": False, "learning_rate": 0.02, "batch": 32}
    blind = Forecaster(**options, context={"window": 2}, columns=["output"], steps=60).fit(frame[:900])
    informed = Forecaster(**options, context={"window": 2}, covariates=["plan"], steps=400).fit(frame[:900])
    assert informed.targets_ == ("output",)
    assert blind.backtest(frame, start=900).scores()["mse_standard"].min() > 0.8
    assert informed.backtest(frame, start=900).scores()["mse_standard"].max() < 0.1


def test_what_forecasts_are_held_to_never_crosses_into_validation() -> None:
    from gatewise.tasks.forecast_inputs import wanted_of

    found = wanted_of(np.arange(10.0)[:, None], [1, 3], rows=7, end=4)
    wanted = np.array([[1, 3], [2, np.nan], [3, np.nan], [np.nan, np.nan], [5, 7], [6, 8], [7, 9]])
    assert np.array_equal(found, wanted, equal_nan=True)


def test_columns_are_found_by_name_whatever_their_order() -> None:
    frame = dated()
    forecaster = Forecaster(**QUICK, time="time", target="heat", covariates=["load"], context={"window": 6}).fit(frame)
    assert forecaster.columns_ == ("load", "heat", "price")
    assert forecaster.layout_.read == ("heat", "price", "load")
    assert forecaster.targets_ == ("heat",)
    rest = frame[:3].assign(time=frame["time"].iloc[-1] + pd.to_timedelta([1, 2, 3], unit="h"))
    wanted = forecaster.predict(frame, future=rest)
    assert forecaster.predict(frame[["price", "time", "load", "heat"]], future=rest[["load", "time"]]).equals(wanted)
    bare = Forecaster(**QUICK, target=[1], covariates=[0], context={"window": 6}).fit(waves())
    assert bare.layout_.read == ("x1", "x0")
    assert bare.targets_ == ("x1",)
    answer = bare.predict(waves(), future=waves()[:3, :1])
    assert answer["target"].tolist() == ["x1"] * 3


def test_many_series_share_one_model_and_stay_apart() -> None:
    parts = [dated(n, seed).assign(place=name) for n, seed, name in ((150, 0, "b"), (120, 1, "a"), (90, 2, "c"))]
    frame = pd.concat(parts)
    forecaster = Forecaster(**QUICK, time="time", series="place", target=["load", "heat"], missing="mask").fit(frame)
    assert forecaster.split_ == Split(120 + 96 + 72, 30 + 24 + 18)
    whole = forecaster.predict(frame)
    assert whole.columns.tolist() == ["place", "time", "horizon", "target", "0.1", "0.5", "0.9"]
    assert whole["place"].drop_duplicates().tolist() == ["b", "a", "c"]
    for part in parts:
        alone = forecaster.predict(part)
        own = whole[whole["place"] == part["place"].iloc[0]].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, own)
    found = forecaster.backtest(frame, start=80, stride=5)
    assert found.series is not None
    assert set(found.series) == {"b", "a", "c"}
    shuffled = frame.sample(frac=1, random_state=0).sort_values("time", kind="stable")
    pd.testing.assert_frame_equal(
        forecaster.predict(shuffled).sort_values(["place", "target", "horizon"], ignore_index=True),
        whole.sort_values(["place", "target", "horizon"], ignore_index=True),
    )


def test_covariates_of_many_series() -> None:
    frame = pd.concat([dated(80, i).assign(place=i) for i in (3, 1)])
    history, future = frame[frame["time"] < "2024-03-04"], frame[frame["time"] >= "2024-03-04"]
    forecaster = Forecaster(**QUICK, time="time", series="place", covariates=["price"], context={"window": 5})
    forecaster.fit(history)
    whole = forecaster.predict(history, future=future)
    alone = forecaster.predict(history[history["place"] == 1], future=future)
    pd.testing.assert_frame_equal(alone, whole[whole["place"] == 1].reset_index(drop=True))
    with pytest.warns(
        UserWarning, match="1 of 2 series is left out: 3; because .* 3 rows of series 3 that follow, got 0"
    ):
        known = forecaster.predict(history, future=future[future["place"] == 1])
    pd.testing.assert_frame_equal(known, alone)
    with pytest.raises(InputError, match="3 rows of series 3 that follow, got 0"):
        forecaster.predict(history[history["place"] == 3], future=future[future["place"] == 1])


def test_normalised_forecasts_move_with_shift_and_scale() -> None:
    x = waves()
    forecaster = Forecaster(
        **{**QUICK, "steps": 40}, learning_rate=0.02, context={"window": WINDOW}, normalise=True
    ).fit(x)
    plain = forecaster.predict(x[-WINDOW:])[["0.1", "0.5", "0.9"]].to_numpy()
    factor, shift = np.array([4.0, 0.5]), np.array([-7.0, 100.0])
    moved = forecaster.predict(x[-WINDOW:] * factor + shift)[["0.1", "0.5", "0.9"]].to_numpy()
    wanted = plain * np.repeat(factor, 3)[:, None] + np.repeat(shift, 3)[:, None]
    np.testing.assert_allclose(moved, wanted, rtol=2e-4)


def test_the_calendar_is_that_of_the_clock() -> None:
    from gatewise.tasks.forecast_inputs import Layout

    layout = Layout(("v",), (), ("day", "week", "year"), (1,))
    assert layout.names == ("v", "day_sin", "day_cos", "week_sin", "week_cos", "year_sin", "year_cos")
    times = pd.DatetimeIndex(["2024-01-01 00:00", "2024-01-01 06:00", "2024-01-04 12:00"])  # a Monday, a Thursday
    x = layout.inputs(np.zeros((3, 1), np.float32), times)
    np.testing.assert_allclose(x[:, 1:3], [[0, 1], [1, 0], [0, -1]], atol=1e-6)
    np.testing.assert_allclose(x[:, 3:5], [[0, 1], [np.sin(np.pi / 14), np.cos(np.pi / 14)], [0, -1]], atol=1e-6)
    halves = pd.Timestamp(1970, 1, 1) + pd.Timedelta(days=365.2425) * np.array([0, 0.25, 0.5])  # of a Gregorian year
    x_year = layout.inputs(np.zeros((3, 1), np.float32), pd.DatetimeIndex(halves))[:, 5:]
    np.testing.assert_allclose(x_year, [[0, 1], [1, 0], [0, -1]], atol=1e-7)
    local = times.tz_localize("Asia/Tokyo")
    assert np.array_equal(layout.inputs(np.zeros((3, 1), np.float32), local), x), "hours of the place"


def test_whole_times_stay_whole_in_the_forecast() -> None:
    frame = pd.DataFrame(waves(), columns=["load", "heat"]).assign(cycle=np.arange(300))
    found = Forecaster(**QUICK, time="cycle").fit(frame).predict(frame)
    assert pd.api.types.is_integer_dtype(found["cycle"].dtype)
    assert found["cycle"].tolist() == [300, 301, 302] * 2


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    frame = dated()
    path = tmp_path / "load.safetensors"
    forecaster = Forecaster(
        **QUICK, time="time", target="load", covariates=["price"], calendar=("day",), context={"window": 6}
    ).fit(frame[:200])
    forecaster.save(path)
    again = Forecaster.load(path)
    assert again.predict(frame[:250], frame[250:]).equals(forecaster.predict(frame[:250], frame[250:]))
    for name in ("columns_", "targets_", "horizons_", "quantiles_", "layout_", "split_", "warnings_", "n_features_in_"):
        assert getattr(again, name) == getattr(forecaster, name), name
    assert again.get_params()["context"] == {"window": 6}
    assert gatewise.load(path).output_names[0] == "load+1:0.1"
    gatewise.init(gatewise.ModelSpec(1, [gatewise.LayerSpec("gru", units=2)])).save(path)
    with pytest.raises(FileError, match="not made by a Forecaster"):
        Forecaster.load(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("columns", ["load"]),
        ("readings", "load"),
        ("split", [1]),
        ("calendar", ["hour"]),
        ("parameters", {"units_": 3}),
    ],
)
def test_a_file_that_was_tampered_with_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    path = tmp_path / "load.safetensors"
    model = Forecaster(**QUICK, time="time", calendar=("day",)).fit(dated()).model_
    retold(model, {**model.task.described, key: value}).save(path)
    with pytest.raises(FileError, match="cannot be read as a Forecaster"):
        Forecaster.load(path)


def test_the_manners_of_scikit_learn() -> None:
    forecaster = Forecaster(**{**QUICK, "horizons": [2, 4]})
    assert clone(forecaster).get_params() == forecaster.get_params()
    with pytest.raises(NotFittedError):
        check_is_fitted(forecaster)
    with pytest.raises(NotFittedError):
        forecaster.predict(waves())
    first, again = forecaster.fit(waves()).predict(waves()), clone(forecaster).fit(waves()).predict(waves())
    assert first.equals(again), "the same seed gives the same bits"
    assert not first.equals(clone(forecaster).set_params(random_state=1).fit(waves()).predict(waves()))
    check_is_fitted(forecaster)
    assert forecaster.n_features_in_ == 2
    assert not hasattr(forecaster, "feature_names_in_")
    assert Forecaster(**QUICK, time="time").fit(dated()).feature_names_in_.tolist() == ["load", "heat", "price"]


def test_resumes_with_the_bits_it_would_have_had(tmp_path: Path) -> None:
    options: dict[str, Any] = {**QUICK, "steps": 12, "context": {"window": 6}, "normalise": True}
    whole = Forecaster(**options).fit(waves())

    def stop(status: Any) -> None:
        if status.step == 5:
            raise RuntimeError("stopped")

    from gatewise import train

    path = tmp_path / "run.checkpoint"
    with pytest.raises(RuntimeError, match="stopped"):
        fit_with(train, Forecaster(**options), path, stop)
    resumed = Forecaster(**options).fit(waves(), checkpoint=path)
    assert all(np.array_equal(value, whole.model_.tensors[name]) for name, value in resumed.model_.tensors.items())


def fit_with(train: Any, forecaster: Forecaster, path: Path, progress: Any) -> None:
    """Fit with a checkpoint after each step."""
    real = train.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "fit", lambda *given, **named: real(*given, **{**named, "checkpoint_every": 0.0}))
        forecaster.fit(waves(), checkpoint=path, progress=progress)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recurrence": "gruu"}, "recurrence must be one of"),
        ({"layers": 0}, "layers must be a whole number"),
        ({"horizons": 0}, "horizons"),
        ({"horizons": [3, 1]}, "horizons must ascend"),
        ({"quantiles": (0.9, 0.1)}, "quantiles must ascend"),
        ({"quantiles": (0.5, 1.0)}, "between 0 and 1"),
        ({"target": "volts"}, r"target is 'volts', but the columns read are \['x0', 'x1'\]"),
        ({"target": 2}, "target is 2"),
        ({"target": []}, "empty list"),
        ({"target": [0, 0]}, "names a column twice"),
        ({"target": 1.5}, "must be a name, a position"),
        ({"covariates": [0, 1]}, "all columns are covariates"),
        ({"covariates": ["x0"], "target": "x0"}, "both a target and a covariate"),
        ({"calendar": ["hour"]}, r"calendar must be a list out of \['day', 'week', 'year'\]"),
        ({"calendar": "day"}, "calendar must be a list"),
        ({"calendar": ["day"]}, "a calendar needs dates"),
        ({"context": {"window": 0}}, "context must be"),
        ({"context": "forever"}, "context must be"),
        ({"context": {"window": 9}, "bptt": 5}, "leave out bptt"),
        ({"normalise": True}, "normalise needs a window"),
        ({"normalise": 1}, "normalise must be True or False"),
        ({"validation": 1.0}, "validation must be a share"),
        ({"validation": None}, "validation must be a share"),
        ({"horizons": 80}, "60 to validate on, too few to forecast 80 steps ahead"),
        (
            {"context": {"window": 250}},
            "no series gives an example .* at least 314 rows, with readings of a target, and the longest has 300",
        ),
        ({"series": "place"}, "place"),
        ({"random_state": "x"}, "random_state must be"),
    ],
)
def test_refusals_of_parameters(options: dict[str, Any], message: str) -> None:
    with pytest.raises((InputError, SpecError), match=message):
        Forecaster(**{**QUICK, **options}).fit(waves())


def test_refusals_of_data() -> None:
    frame = dated()
    forecaster = Forecaster(**QUICK, time="time", covariates=["price"], context={"window": 6}).fit(frame)
    with pytest.raises(InputError, match=r"needs \['price'\] in the 3 rows that follow; pass future="):
        forecaster.predict(frame)
    with pytest.raises(InputError, match="future must have the 3 rows that follow, got 2"):
        forecaster.predict(frame[:200], frame[200:202])
    with pytest.raises(InputError, match="is not after"):
        forecaster.predict(frame[:200], frame[199:])
    for gap, row, message in (
        ("load", 150, "fill them in, or fit with missing='hold'"),
        ("price", 201, "fill in the f"),
    ):
        holed = frame.astype({gap: np.float64})
        holed.loc[row, gap] = np.nan
        with pytest.raises(InputError, match=f"column '{gap}' has a non-finite reading at row .*: nan; {message}"):
            forecaster.predict(holed[:200], holed[200:])
    with pytest.raises(InputError, match=r"'heat' is 3e\+30 at row 7, .*, more than 1e\+18 .*, or fit with missing"):
        forecaster.backtest(frame.assign(heat=np.where(np.arange(300) == 7, 3e30, 0)))
    with pytest.raises(InputError, match="made from the last 6 rows, got 5"):
        forecaster.predict(frame[:5], frame[5:])
    with pytest.raises(InputError, match="fitted on 3 columns"):
        Forecaster(**QUICK).fit(np.ones((300, 3)) * waves()[:, :1]).predict(waves())
    with pytest.raises(InputError, match="no column 'heat'"):
        forecaster.predict(frame.drop(columns="heat"))
    with pytest.raises(InputError, match="not a date"):
        forecaster.backtest(frame, start="soon")
    bare = Forecaster(**QUICK).fit(waves())
    with pytest.raises(InputError, match="future is for covariates"):
        bare.predict(waves(), waves())
    with pytest.raises(InputError, match="start must be a number of rows, or a date"):
        bare.backtest(waves(), start="2024-01-01")
