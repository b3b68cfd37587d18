"""Series too short to train on or to forecast are left out by name, and count nowhere."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatewise import Forecaster
from gatewise.errors import InputError

QUICK: dict[str, Any] = {"units": 3, "batch": 8, "steps": 3, "series": "s"}


def table(**rows: int) -> pd.DataFrame:
    """A column "v" and a covariate "c" for so many rows of each series."""
    parts = []
    for seed, (name, count) in enumerate(rows.items()):
        rng = np.random.default_rng(seed)
        parts.append(pd.DataFrame({"s": name, "v": rng.normal(size=count) + 3 * seed, "c": rng.normal(size=count)}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    ("options", "short", "least"),
    [
        ({"context": {"window": 96}, "horizons": [1, 4]}, 60, 121),  # 97 to train on and 24 to validate on
        ({"context": {"window": 96}, "horizons": [1, 4]}, 120, 121),
        ({"horizons": 24}, 2, 8),  # two for each part
        ({"horizons": [24]}, 30, 31),
        ({"horizons": [24], "covariates": ["c"]}, 20, 55),
        ({"horizons": 24, "covariates": ["c"]}, 20, 32),
        ({"horizons": [24], "covariates": ["c"], "validation": 0.0}, 48, 49),
        ({"horizons": 1, "validation": 0.01}, 149, 150),  # of which round(1.5) = 2
    ],
)
def test_a_series_without_an_example_is_left_out_of_all(options: dict[str, Any], short: int, least: int) -> None:
    whole = table(a=400, b=short, c=400)
    forecaster = Forecaster(**QUICK, **options)
    message = (
        f"1 of 3 series gives no example to train on, and is left out: 'b'; that takes at least {least} rows, "
        f"with readings of a target, and the longest of these has {short}"
    )
    with pytest.warns(UserWarning, match=f"^{message}$"):
        forecaster.fit(whole)
    assert forecaster.cautions_ == (message,)
    without = Forecaster(**QUICK, **options).fit(whole[whole["s"] != "b"])
    assert without.cautions_ == ()
    assert forecaster.split_ == without.split_
    assert sum(without.split_) == 800
    for name, value in without.model_.tensors.items():
        assert np.array_equal(forecaster.model_.tensors[name], value), name
    assert Forecaster(**QUICK, **options).fit(table(a=400, b=least)).cautions_ == ()


def test_readings_of_a_target_are_what_counts() -> None:
    frame = table(a=200, b=200)
    for row, used in ((None, 200), (380, 200), (201, 200), (202, 400)):  # none; not trained on; no row 2 before it
        frame.loc[200:, "v"] = np.nan
        if row is not None:
            frame.loc[row, "v"] = 1.0
        forecaster = Forecaster(**QUICK, target="v", missing="mask", horizons=[2])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            forecaster.fit(frame)
        assert sum(forecaster.split_) == used, row
        assert any("left out: 'b'" in caution for caution in forecaster.cautions_) == (used == 200)


def test_no_series_at_all_is_refused() -> None:
    with pytest.raises(
        InputError, match="^no series gives an example to train on: .* at least 121 rows.* longest has 110"
    ):
        Forecaster(**QUICK, context={"window": 96}, horizons=1).fit(table(a=100, b=110))
    with pytest.raises(InputError, match="^the longest series, 'b', has 32 rows to train on and 8 to validate on"):
        Forecaster(**QUICK, horizons=24).fit(table(a=30, b=40))


def test_a_backtest_names_the_series_it_leaves_out() -> None:
    frame = table(a=200, b=60)
    options: dict[str, Any] = {"context": {"window": 96}, "horizons": 4}
    with pytest.warns(UserWarning, match="left out: 'b'"):
        forecaster = Forecaster(**QUICK, **options).fit(frame)
    found = forecaster.backtest(frame)
    assert found.series is not None
    assert set(found.series) == {"a"}
    assert found.left_out == ("b",)
    assert repr(found).endswith("; series too short for a forecast: 'b'")
    alone = forecaster.backtest(frame[frame["s"] == "a"])
    assert alone.left_out == ()
    assert "short" not in repr(alone)
    with pytest.warns(UserWarning, match="left out: 'b'"):
        known = Forecaster(**QUICK, horizons=24, covariates=["c"]).fit(table(a=300, b=20))
    assert known.backtest(table(a=300, b=20)).left_out == ("b",)
    with pytest.warns(UserWarning, match="3 of 5 series give no example .* and are left out: 'b', 'd', 'e'; "):
        Forecaster(**QUICK, horizons=2).fit(table(a=200, b=1, c=90, d=4, e=7))
    many = Forecaster(**QUICK, horizons=2).fit(frame)
    assert many.backtest(table(**{f"x{i}": 2 for i in range(15)}, y=9)).left_out[12:] == ("x12", "x13", "x14")
