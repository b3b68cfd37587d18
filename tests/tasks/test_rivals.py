"""The warning that a simple forecast is better than a trained forecaster."""

import warnings

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise.baselines import Regressor as Simple
from gatewise.baselines.methods import Ridge, named, suitable
from gatewise.errors import GatewiseWarning
from gatewise.tasks import forecast_rivals, rivals
from gatewise.tasks.rivals import better, blocks_of, compared, spaced
from gatewise.train import History

OPTIONS = {"units": 4, "horizons": [1, 6], "steps": 100, "learning_rate": 1e-4}


def seasonal(n=1200, seed=0):
    """A day that repeats, with a noise and an hour of its own."""
    rng = np.random.default_rng(seed)
    days = np.tile(rng.normal(0, 3, 24), n // 24)
    return pd.DataFrame({"y": days + rng.normal(size=n)}, index=pd.date_range("2024-01-01", periods=n, freq="h"))


def fitted(data, **options):
    """The forecaster, and the warnings of its fit."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", GatewiseWarning)
        found = gw.Forecaster(**{**OPTIONS, **options}).fit(data)
    assert [str(one.message) for one in told] == list(found.warnings_)
    return found, list(found.warnings_)


def test_the_warning_names_the_best_method_with_its_error():
    data = seasonal()
    forecaster, told = fitted(data)
    (text,) = told
    assert text.startswith("a ridge regression on the last 96 rows has a mean absolute error of ")
    assert text.endswith(
        "more training, or another context, may help; otherwise gatewise.baselines.Forecaster('ridge') is the simpler "
        "choice"
    )
    # Both errors again, from the forecasts of a backtest and from the method on windows cut by hand.
    y = data["y"].to_numpy(np.float32).astype(float)
    deviation = y[:960].std()
    test = forecaster.backtest(data, start=960).scores()
    assert f"the model {test['mae'].mean() / deviation:.3g} standard deviations;" in text
    ends = np.arange(95, 960 - 6)
    cut = np.array([y[end - 95 : end + 1, None] for end in ends])
    ridge = named("ridge", own=[0], horizons=[1, 6]).fit(cut, np.stack([y[ends + 1], y[ends + 6]], axis=1))
    ends = np.arange(959, 1200 - 6)
    cut = np.array([y[end - 95 : end + 1, None] for end in ends])
    errors = np.abs(ridge.predict(cut) - np.stack([y[ends + 1], y[ends + 6]], axis=1))
    assert f"error of {errors.mean() / deviation:.3g} standard deviations on the held-out rows" in text


def test_a_season_that_repeats_exactly():
    data = seasonal()
    data["y"] = np.tile(data["y"].to_numpy()[:24], 50) + 1e-3 * data["y"]
    _, (text,) = fitted(data, context={"window": 4})
    assert text.startswith("the reading of 24 rows earlier has a mean absolute error of 0.0")
    assert "Forecaster('seasonal', lookback=24)" in text


def test_nothing_is_said_of_a_trial_or_without_held_out_rows():
    for options in ({"steps": rivals.LEAST_UPDATES - 1}, {"validation": 0.0}):
        _, told = fitted(seasonal(), **options)
        assert not told


def test_nothing_is_said_if_no_forecast_can_be_better():
    rng = np.random.default_rng(0)
    walk = pd.DataFrame({"y": rng.normal(size=1200).cumsum()})
    _, told = fitted(walk, learning_rate=3e-3)  # the model begins with the last reading
    assert not told


def test_several_series_missing_readings_and_constants():
    data = pd.concat([seasonal(seed=i).assign(unit=name, z=7e9 + np.arange(1200) % 5) for i, name in enumerate("abc")])
    data.iloc[[5, 700, 1150, 2500], 0] = np.nan
    data.iloc[1200:1210, 0] = np.nan
    for missing in ("hold", "mask"):
        _, told = fitted(data, series="unit", target="y", missing=missing, steps=120)
        assert any(text.startswith("a ridge regression on the last 96 rows") for text in told)


def test_a_series_that_is_too_short_to_say():
    _, told = fitted(seasonal(216), horizons=[1, 12], validation=0.25)  # four blocks
    assert not told


def test_better_only_beyond_two_standard_errors():
    rng = np.random.default_rng(0)
    blocks = np.repeat(np.arange(10), 5)
    advice = dict.fromkeys(("one", "two"), "do that")
    model = 1.0 + np.repeat(rng.normal(size=10), 5)

    def told(one, two):
        return [str(text) for text in better(model, {"one": one, "two": two}, blocks, "an error", "m", advice)]

    gain = np.repeat(rng.normal(size=10), 5)
    gain = (gain - gain.mean()) / (gain[::5].std(ddof=1) / np.sqrt(10))  # a standard error of 1 over the blocks
    scale = 0.03 * model.mean()
    assert not told(model - scale * (gain + 1.99), model)
    (text,) = told(model - scale * (gain + 2.01), model)
    mean = model.mean()
    assert (
        text == f"one has an error of {mean - 2.01 * scale:.3g} m on the held-out rows, the model {mean:.3g} m; do that"
    )
    assert told(model - 0.03 * mean, model - 0.04 * mean)[0].startswith("two has")  # the best
    assert not told(model - 0.019 * mean, model)  # certain, but small
    few = blocks < rivals.LEAST_BLOCKS - 1
    assert not better(model[few], {"one": model[few] / 2}, blocks[few], "an error", "", advice)


def test_methods_on_windows_are_compared_by_group():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5, 2))
    y = x[:, -1, 0] + 0.1 * rng.normal(size=300)
    groups = np.repeat(np.arange(10), 10)

    def told(answers):
        return compared(
            suitable("regression"),
            (x[:200], y[:200], None),
            (x[200:], y[200:]),
            answers[:, None],
            lambda known, found: np.abs(known - found[:, 0]),
            groups,
            "a mean absolute error",
            "cycles",
            Simple,
            lookback=5,
        )

    (text,) = told(np.zeros(100))
    ridge = named("ridge").fit(x[:200], y[:200]).predict(x[200:])[:, 0]
    error = np.abs(ridge - y[200:]).mean()
    assert text.startswith(f"a ridge regression on the window has a mean absolute error of {error:.3g} cycles on the ")
    assert text.endswith("gatewise.baselines.Regressor(method='ridge', lookback=5) is the simpler choice")
    assert not told(y[200:])


def test_the_rate_of_warnings_about_noise():
    """Two equal forecasts of a series whose mood lasts: few of 400 differ by more than two standard errors."""
    rng = np.random.default_rng(1)
    count = 0
    for _ in range(400):
        noise = rng.normal(size=(2, 500 + 24)).cumsum(axis=1)
        errors = 5.0 + (noise[:, 24:] - noise[:, :-24]) / 5  # averages over 24 rows
        blocks = blocks_of(np.arange(500), np.array([0]), 24)
        count += bool(better(errors[0], {"r": errors[1]}, blocks, "an error", "", {"r": ""}))
    assert count <= 0.06 * 400


def test_blocks_hold_what_one_forecast_refers_to():
    rows = np.r_[np.arange(100, 200), np.arange(500, 510)]
    found = blocks_of(rows, np.array([0, 400]), 3)
    assert len(np.unique(found)) == 17 + 2  # six rows each: 110 rows in 20 blocks
    assert np.array_equal(np.unique(found[:100], return_counts=True)[1], [6] * 16 + [4])
    assert not set(found[:100]) & set(found[100:])
    assert len(np.unique(blocks_of(rows, np.array([0, 400]), 50))) == 2 + 1
    assert np.array_equal(spaced(np.arange(10), 4), [0, 3, 6, 9])
    assert np.array_equal(spaced(np.arange(4), 4), np.arange(4))


def test_enough_is_a_training_that_ended_by_itself():
    assert rivals.enough(History((), 0, None, "patience"))
    assert not rivals.enough(History((), 0, None, "budget"))


@pytest.mark.parametrize("quantiles", [(0.5,), (0.2, 0.9)])
def test_other_quantiles(quantiles):
    _, (text,) = fitted(seasonal(), quantiles=quantiles)
    assert "on the held-out rows" in text


def test_the_comparison_is_bounded(monkeypatch):
    """Wide tables use fewer windows, and no more rows of a long window than the ridge regression may read."""
    shapes = []

    def fit(self, windows, targets, groups=None):
        shapes.append(windows.shape)
        return real(self, windows, targets, groups)

    real = Ridge.fit
    monkeypatch.setattr(Ridge, "fit", fit)
    monkeypatch.setattr(forecast_rivals, "MOST_NUMBERS", 300 * 50)
    monkeypatch.setattr(forecast_rivals, "MOST_VALUES", 50)
    _, (text,) = fitted(seasonal().reset_index(drop=True), context={"window": 96})
    assert text.startswith("a ridge regression on the last 50 rows")
    assert "Forecaster('ridge', lookback=50)" in text
    ((n, rows, columns),) = shapes
    assert (rows, columns) == (50, 1)
    assert 200 < n <= 300
