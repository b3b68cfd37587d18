"""Bounds and logarithms of a Forecaster: what it answers is held to a fit on logarithms taken by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise import Forecaster
from gatewise.errors import InputError

QUICK: dict[str, Any] = {"units": 4, "horizons": 3, "batch": 8, "steps": 3}
LEVELS = ["0.1", "0.5", "0.9"]


def stock(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """A stock that falls to nothing."""
    noise = np.random.default_rng(seed).normal(0, 3, rows)
    return pd.DataFrame({"y": np.maximum(0, 2 * rows - 2 * np.arange(rows) + noise)})


def sales(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """Two columns that grow by a share, one that may be anything, and a price whose future is known."""
    rng, t = np.random.default_rng(seed), np.arange(rows)
    grown = np.exp(0.01 * t[:, None] + rng.normal(0, 0.05, (rows, 2)))
    frame = pd.DataFrame(grown, columns=["a", "b"])
    frame["temperature"] = rng.normal(-5, 10, rows)
    frame["price"] = 3 + np.sin(t / 5)
    return frame


def test_a_stock_is_not_forecast_below_nothing(tmp_path: Path) -> None:
    data = stock()
    # Trained on the fall alone, where it was never empty, so that the model expects it to go on.
    options: dict[str, Any] = {"horizons": 30, "units": 8, "steps": 60, "learning_rate": 1e-2, "validation": 0.1}
    free = Forecaster(**options).fit(data[:380])
    before = free.predict(data[:395])
    assert before[LEVELS].min().min() < -1, "or there would be nothing to bound"
    held = Forecaster(minimum=0, **options).fit(data[:380])
    after = held.predict(data[:395])
    np.testing.assert_array_equal(after[LEVELS], before[LEVELS].clip(lower=0))
    held.save(tmp_path / "m")
    for model in (held.model_, gw.load(tmp_path / "m")):
        stream = model.stream()
        answers = stream.push_many(data[:395].to_numpy(np.float32))
        assert answers.min() == 0
        np.testing.assert_array_equal(answers[-1], after[LEVELS].to_numpy(np.float32).ravel())
    assert held.backtest(data, start=365).forecasts.min() == 0


def test_a_bound_that_is_set_later_is_that_of_a_fit() -> None:
    data = stock()
    free, late = Forecaster(**QUICK).fit(data), Forecaster(**QUICK).fit(data[:300])
    with pytest.warns(UserWarning, match="beyond its maximum of 105"):
        held = Forecaster(minimum=100, maximum={"y": 105}, **QUICK).fit(data[:300])
    late.set_params(minimum=100)
    late.maximum = {"y": 105}
    pd.testing.assert_frame_equal(late.predict(data), held.predict(data))
    assert late.predict(data)[LEVELS].to_numpy().min() == 100
    late.minimum = late.maximum = None
    assert late.predict(data)[LEVELS].to_numpy().max() < 100
    for name, value, error, words in (
        ("minimum", "a", InputError, "minimum of column 'y' must be a finite number or None, got 'a'"),
        ("maximum", {"z": 1}, InputError, "maximum is given for 'z', but the columns it can be given for are 'y'"),
    ):
        with pytest.raises(error, match=words):
            setattr(free, name, value)
    free.minimum = 3
    with pytest.raises(InputError, match="minimum of column 'y' must lie below its maximum, got 3 and 2"):
        free.maximum = 2
    assert free.maximum is None
    free.transform = "log1p"
    with pytest.raises(InputError, match="transform was changed after fit from None to 'log1p'; fit again"):
        free.predict(data)


def test_both_bounds_are_moved_together() -> None:
    data = stock()
    found = Forecaster(**QUICK).fit(data[:300]).set_params(maximum=10)
    truth = Forecaster(**QUICK).fit(data[:300])
    truth.maximum = 30
    truth.minimum = 20
    found.set_params(minimum=20, maximum=30)
    pd.testing.assert_frame_equal(found.predict(data), truth.predict(data))
    assert found.model_.spec == truth.model_.spec
    for bad, words in (
        ({"maximum": 10}, "must lie below its maximum"),
        ({"minimum": 5, "maximum": 4}, "must lie below its maximum"),
        ({"minimum": 5, "maximum": "a"}, "maximum of column 'y' must be a finite number"),
        ({"units": np.int64(4), "minimum": 40}, "must lie below its maximum"),
    ):
        with pytest.raises(InputError, match=words):
            found.set_params(**bad)
        assert (found.minimum, found.maximum, found.units) == (20, 30, 4)
        pd.testing.assert_frame_equal(found.predict(data), truth.predict(data))


@pytest.mark.filterwarnings("ignore:column '[ab]' rises on the whole")
@pytest.mark.filterwarnings("ignore:column 'a' is .* beyond its minimum")
def test_bounds_wait_for_the_fit_that_another_parameter_needs() -> None:
    data = sales()
    found = Forecaster(target="a", **QUICK).fit(data)
    found.set_params(target="b", minimum={"b": 0}).fit(data)
    assert found.predict(data)["target"].unique().tolist() == ["b"]
    truth = Forecaster(target="b", minimum={"b": 0}, **QUICK).fit(data)
    assert found.model_.spec == truth.model_.spec
    found.target = "a"
    found.minimum = {"a": 1e6}
    found.maximum = {"a": 2e6}
    with pytest.raises(InputError, match="^target was changed after fit from 'b' to 'a'; fit again, or set it back"):
        found.predict(data)
    with pytest.raises(InputError, match="m..imum is given for 'a', but the columns it can be given for are 'b'"):
        found.target = "b"
    assert found.target == "a"
    found.set_params(minimum=1e6, maximum=None)
    found.target = "b"  # set back, so that the bound no longer waits
    assert (found.predict(data)[LEVELS] == 1e6).all().all()


@pytest.mark.filterwarnings("ignore:column 'y' jumps")
def test_readings_beyond_a_bound_are_warned_about() -> None:
    data = stock()
    data.loc[[5, 9], "y"] = -1.0
    with pytest.warns(
        UserWarning, match=r"column 'y' is -1 at row 5 and in 1 more rows, beyond its minimum of 0, where"
    ):
        found = Forecaster(minimum=0, maximum=1000, **QUICK).fit(data)
    assert sum("beyond its" in warning for warning in found.warnings_) == 1


@pytest.mark.parametrize(
    "more",
    [{}, {"context": {"window": 10}, "normalise": True}, {"missing": "mask"}],
    ids=["carried", "windows", "mask"],
)
@pytest.mark.filterwarnings("ignore:column 'a' rises on the whole")
def test_a_transform_is_a_fit_on_logarithms(more: dict[str, Any], tmp_path: Path) -> None:
    """Of the columns named, covariates and what is known of them ahead among them; others stay as they are."""
    options = {**QUICK, "covariates": ["price"], "target": ["b", "temperature"], "learning_rate": 1e-2, **more}
    data = sales()
    if "missing" in more:
        data.loc[[30, 31, 200], ["a", "b"]] = np.nan
    logs = ["a", "b", "price"]
    by_hand = data.copy()
    by_hand[logs] = np.log1p(data[logs])
    found = Forecaster(transform=dict.fromkeys(logs, "log1p"), **options).fit(data[:-3])
    truth = Forecaster(**options).fit(by_hand[:-3])
    wanted = truth.predict(by_hand[:-3], by_hand[["price"]][-3:])
    of_b = (wanted["target"] == "b").to_numpy()
    wanted.loc[of_b, LEVELS] = np.expm1(wanted.loc[of_b, LEVELS])
    found.save(tmp_path / "m")
    for each in (found, Forecaster.load(tmp_path / "m")):
        got = each.predict(data[:-3], data[["price"]][-3:])
        pd.testing.assert_frame_equal(got, wanted, rtol=2e-4, atol=2e-4)
    test, own = found.backtest(data, start=250), data["b"][:-3]
    np.testing.assert_allclose(test.scale[0], own[: found.split_.training].std(ddof=0), rtol=1e-4)
    scores = test.scores("b")
    np.testing.assert_allclose(scores["mse_standard"], scores["mse"] / test.scale[0] ** 2, rtol=1e-6)


def test_a_text_is_for_the_targets() -> None:
    found = Forecaster(transform="log1p", target=["b", "a"], **QUICK).fit(sales())
    assert found.model_.spec.input.options["transform"] == ["log1p", "log1p", None, None]
    assert found.model_.spec.head is not None
    assert found.model_.spec.head.options["transform"] == ["log1p", "log1p"]
    assert found.predict(sales())[LEVELS].min().min() > 0


def test_growth_goes_on_in_logarithms_alone() -> None:
    """What grows by a tenth at each step: its changes are ratios, at a level that was never seen."""
    y = np.exp(0.1 * np.arange(90))
    options: dict[str, Any] = {
        "horizons": 5,
        "units": 4,
        "steps": 150,
        "learning_rate": 1e-2,
        "batch": 4,
        "validation": 0.1,
    }
    found = Forecaster(transform="log1p", **options).fit(y[:70]).predict(y[:75])
    plain = Forecaster(**options).fit(y[:70]).predict(y[:75])
    wanted = y[75:80]
    assert (np.abs(found["0.5"] / wanted - 1) < 0.15).all()
    assert np.abs(plain["0.5"] / wanted - 1).max() > 0.3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"transform": "log"}, r"transform of column 'a' must be one of \['log1p'\] or None, got 'log'"),
        (
            {"transform": {"c": "log1p"}},
            "transform is given for 'c', but the columns it can be given for are 'a', 'b', 'temp",
        ),
        (
            {"transform": "log1p"},
            r"column 'temperature' is -\S+ at row \d+ \(\d+ such readings\), and with transform \"log1p\" it",
        ),
        ({"minimum": float("inf")}, "minimum of column 'a' must be a finite number or None, got inf"),
        (
            {"minimum": {"price": 0}},
            "minimum is given for 'price', but the columns it can be given for are 'a', 'b', 'temp",
        ),
        ({"maximum": True}, "maximum of column 'a' must be a finite number or None, got True"),
    ],
)
def test_refusals(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Forecaster(covariates=["price"], **given, **QUICK).fit(sales())


@pytest.mark.parametrize("missing", ["raise", "hold"])
def test_what_has_no_logarithm_is_refused_at_use_too(missing: str) -> None:
    data = sales()
    logs = {"a": "log1p", "price": "log1p"}
    found = Forecaster(transform=logs, covariates=["price"], missing=missing, **QUICK).fit(data)
    bad = data.copy()
    bad.loc[7, "a"] = -1.0
    for use in (lambda: found.predict(bad, data[["price"]]), lambda: found.backtest(bad)):
        with pytest.raises(
            InputError, match=r"column 'a' is -1 at row 7, and with transform \"log1p\" it must be above -1"
        ):
            use()
    bad = data[["price"]].copy()
    bad.loc[1, "price"] = -2.0
    with pytest.raises(InputError, match=r"future holds -2 for 'price' in row 1, and with transform"):
        found.predict(data, bad)


def test_what_has_no_logarithm_leaves_one_series_of_several_out() -> None:
    one = sales().assign(s="one")
    several = pd.concat([one, one.assign(s="two"), one.assign(s="three")], ignore_index=True)
    bad = several.copy()
    bad.loc[len(one) + 7, "a"] = -3.0
    good = bad[bad["s"] != "two"]
    options: dict[str, Any] = {"transform": {"a": "log1p", "price": "log1p"}, "series": "s", "covariates": ["price"]}
    message = rf"^1 of 3 series is left out: 'two'; because column 'a' is -3 at row {len(one) + 7}, series 'two', and"
    with pytest.warns(UserWarning, match=message):
        found = Forecaster(**options, **QUICK).fit(bad)
    for name, value in Forecaster(**options, **QUICK).fit(good).model_.tensors.items():
        assert np.array_equal(found.model_.tensors[name], value), name
    ahead = several[["s", "price"]]
    with pytest.warns(UserWarning, match=message):
        pd.testing.assert_frame_equal(found.predict(bad, ahead), found.predict(good, ahead))
    with pytest.warns(UserWarning, match=message):
        assert found.backtest(bad, stride=20).left_out == ("two",)
    far = ahead.copy()
    far.loc[len(one) + 1, "price"] = -2.0
    with pytest.warns(
        UserWarning, match="^1 of 3 series is left out: 'two'; because future holds -2 for 'price' in row 1"
    ):
        pd.testing.assert_frame_equal(found.predict(several, far), found.predict(good, ahead))
    with pytest.raises(InputError, match=r"column 'a' is -3 .* must be above -1"):
        found.predict(bad[bad["s"] == "two"], ahead)
