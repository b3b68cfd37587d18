"""Detector on many channels, many series, and gaps that the model is told of."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from scipy import stats

import gatewise as gw
from gatewise.errors import InputError, StateError
from gatewise.tasks.detector import Detector

TINY: dict[str, Any] = {"units": 4, "steps": 30, "batch": 8, "bptt": 32}


def noise(rows: int, columns: int = 3, seed: int = 0, shared: float = 0.0) -> pd.DataFrame:
    """White noise; `shared` is the correlation between the columns. Each column in units of its own."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(rows, 1))
    own = rng.normal(size=(rows, columns))
    values = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    return pd.DataFrame(values * 10.0 ** np.arange(columns) + 5, columns=list("abcdefgh"[:columns]))


def fleet(lengths: dict[Any, int], seed: int = 0) -> pd.DataFrame:
    """Series of two columns, their rows mixed as they would arrive."""
    rng = np.random.default_rng(seed)
    parts = [noise(rows, 2, seed=seed + i).assign(machine=name) for i, (name, rows) in enumerate(lengths.items())]
    turn = np.concatenate([np.sort(rng.random(len(part))) for part in parts])
    return pd.concat(parts).iloc[np.argsort(turn, kind="stable")].reset_index(drop=True)


def fitted(data: Any, **parameters: Any) -> Detector:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Detector(**{**TINY, **parameters}).fit(data)


@pytest.fixture(scope="module")
def wide() -> Detector:
    return fitted(noise(12_000), false_alarms_per_1000=20.0)


@pytest.fixture(scope="module")
def many() -> Detector:
    return fitted(fleet({"north": 900, "south": 700, "east": 500}), series="machine", false_alarms_per_1000=20.0)


def test_all_columns_are_targets_unless_some_are_named(wide: Detector) -> None:
    assert wide.targets_ == ("a", "b", "c")
    names = [f"{name}:{what}" for name in "abc" for what in ("score", "expected", "low", "high")]
    assert list(wide.model_.output_names) == ["score", *names, "extrapolated"]
    some = fitted(noise(1200), target=["c", 0])
    assert some.targets_ == ("c", "a")
    assert some.columns_ == ("a", "b", "c")


def test_the_rate_is_that_of_all_channels_together(wide: Detector) -> None:
    """On fresh noise, 20 alarms in 1,000 rows, though each of three channels could raise one."""
    rows = 20_000
    alarms = (wide.predict(noise(rows, seed=1)) == -1).sum()
    assert 0.6 * 0.02 * rows < alarms < 1.6 * 0.02 * rows
    explained = wide.explain(noise(rows, seed=1))
    own = np.stack([explained[f"{name}:score"] for name in "abc"])
    assert ((own >= wide.threshold_).any(axis=0).sum()) > 2 * alarms, "the channels' own scores know nothing of others"


def test_the_joint_score_is_the_tail_probability_of_the_maximum(wide: Detector) -> None:
    """Of independent channels with scores s, P(max s >= m) = 1 - (1 - 10^-m)^3."""
    explained = wide.explain(noise(20_000, seed=2))
    largest = np.stack([explained[f"{name}:score"] for name in "abc"]).max(axis=0)
    inside = (largest > 0.1) & (largest < 2.0)
    wanted = -np.log10(1 - (1 - 10.0 ** -largest[inside]) ** 3)
    np.testing.assert_allclose(explained["score"][inside], wanted, atol=0.15)
    order = np.argsort(largest, kind="stable")
    assert (np.diff(explained["score"].to_numpy()[order]) >= 0).all(), "a larger maximum is never less surprising"


def test_channels_that_move_together_are_calibrated_as_they_are() -> None:
    """Three copies of almost one channel raise as many alarms as one would, not three times as many or a third."""
    detector = fitted(noise(12_000, shared=0.999), false_alarms_per_1000=20.0)
    alarms = (detector.predict(noise(20_000, seed=3, shared=0.999)) == -1).sum()
    assert 0.6 * 400 < alarms < 1.6 * 400


def test_the_channel_that_is_odd_is_named(wide: Detector) -> None:
    odd = noise(200, seed=4)
    odd.loc[120, "b"] += 300.0  # thirty deviations, for a net that has hardly been trained
    explained = wide.explain(odd)
    assert explained["alarm"][120]
    assert explained.loc[120, [f"{name}:score" for name in "abc"]].astype(float).idxmax() == "b:score"
    assert explained["b:observed"][120] == pytest.approx(odd["b"][120])
    assert not explained["b:low"][120] <= odd["b"][120] <= explained["b:high"][120]


def test_bands_hold_their_share_of_each_channel(wide: Detector) -> None:
    fresh = noise(20_000, seed=5)
    explained = wide.explain(fresh)
    for name in "abc":
        inside = fresh[name].between(explained[f"{name}:low"], explained[f"{name}:high"]).mean()
        assert inside == pytest.approx(0.95, abs=0.02)


def test_one_of_several_channels_scores_as_it_would_alone() -> None:
    """One target of three columns: five outputs, and the names of old."""
    detector = fitted(noise(1500), target="b")
    assert detector.model_.output_names == ("score", "expected", "low", "high", "extrapolated")
    assert list(detector.explain(noise(30)).columns) == [
        *("observed", "score", "expected", "low", "high", "extrapolated", "alarm"),
    ]


def test_streaming_many_channels_gives_the_bits_of_the_batch(wide: Detector, tmp_path: Path) -> None:
    new = noise(120, seed=6)
    wide.save(tmp_path / "wide.safetensors")
    stream = gw.load(tmp_path / "wide.safetensors").stream(wide.state_)
    pushed = np.stack([stream.push(row) for row in new.to_numpy(np.float32)])
    explained = wide.explain(new, state=wide.state_)
    for k, name in enumerate(wide.model_.output_names[:-1]):
        np.testing.assert_array_equal(pushed[:, k].astype(float), explained[name], name)
    again = Detector.load(tmp_path / "wide.safetensors")
    np.testing.assert_array_equal(again.score_samples(new), wide.score_samples(new))
    assert (again.targets_, again.calibration_.samples) == (wide.targets_, wide.calibration_.samples)
    np.testing.assert_array_equal(again.calibration_.score, wide.model_.tensors["head.joint_score"])


def test_a_channel_that_hardly_varies_is_named() -> None:
    data = noise(1200)
    data["b"] = (np.arange(1200) % 3 == 0).astype(float)
    data.loc[900:, "b"] = 1.0
    with pytest.raises(InputError, match="column 'b' is 1 throughout the 240 rows of the calibration part"):
        fitted(data)
    data.loc[900:, "a"] = 0.5
    with pytest.raises(InputError, match="column 'a' is 0.5 throughout, column 'b' is 1 throughout the 240 rows"):
        fitted(data)


def test_many_series_train_one_model(many: Detector) -> None:
    assert many.targets_ == ("a", "b")
    assert set(many.state_) == {"north", "south", "east"}
    split = many.split_
    assert split.training + split.validation + split.calibration == 2100
    assert split.calibration == pytest.approx(0.2 * 2100, abs=3)
    assert many.calibration_.samples == split.calibration


def test_series_do_not_touch_each_other(many: Detector) -> None:
    """Scored together in any order of arrival, each row gets what its series gets alone."""
    new = fleet({"south": 80, "north": 60, "west": 40}, seed=7)
    together = pd.Series(many.score_samples(new, state=many.state_))
    for name, rows in new.groupby("machine"):
        start = {name: many.state_[name]} if name in many.state_ else None
        np.testing.assert_array_equal(together[rows.index], many.score_samples(rows, state=start))
        stream = many.model_.stream(many.state_.get(name))
        pushed = [stream.push(row)[0] for row in rows[["a", "b"]].to_numpy(np.float32)]
        np.testing.assert_array_equal(together[rows.index], -np.array(pushed, float))


def test_rows_of_series_are_explained_in_the_order_they_came(many: Detector) -> None:
    new = fleet({"south": 30, "north": 20}, seed=8)
    explained = many.explain(new)
    assert list(explained["machine"]) == list(new["machine"])
    np.testing.assert_array_equal(explained.index, new.index)
    np.testing.assert_allclose(explained["a:observed"], new["a"], rtol=1e-6)
    np.testing.assert_array_equal(-many.score_samples(new), explained["score"])
    np.testing.assert_array_equal(many.predict(new) == -1, explained["alarm"])


def test_states_of_series_survive_the_file(many: Detector, tmp_path: Path) -> None:
    many.save(tmp_path / "many.safetensors")
    again = Detector.load(tmp_path / "many.safetensors")
    assert again.state_ == many.state_
    assert again.series == "machine"


def test_the_fitted_states_go_straight_on() -> None:
    data = fleet({1: 700, 2: 600}, seed=9)
    first = data.groupby("machine").cumcount() < 550
    detector = fitted(data[first], series="machine")
    whole = pd.Series(detector.score_samples(data), index=data.index)
    assert set(detector.state_) == {1, 2}
    np.testing.assert_array_equal(detector.score_samples(data[~first], state=detector.state_), whole[~first])


def test_states_for_no_series_are_refused(many: Detector) -> None:
    data = fleet({"north": 5, "west": 5})
    south = many.state_["south"]
    many.score_samples(data, state=many.state_)  # that of south was fitted, and is left over
    with pytest.raises(StateError, match=r"is called 'nord' \(str\), .*; they are called 'north', 'west' \(str\)"):
        many.score_samples(data, state={**many.state_, "nord": south})
    with pytest.raises(StateError, match=r"is called 'south' \(str\)"):
        many.score_samples(data, state={"south": south})
    for keys, ids in ((("1", "2"), (1, 2)), ((1, 2), ("1", "2")), ((1, "2"), ("1", "2"))):
        numbered = fleet({ids[0]: 5, ids[1]: 5})
        with pytest.raises(StateError, match=f"is called {keys[0]!r}"):
            many.score_samples(numbered, state=dict.fromkeys(keys, south))


def test_states_that_do_not_fit_are_refused(many: Detector, wide: Detector) -> None:
    with pytest.raises(StateError, match="series='machine', so state must be a dict from ids to States"):
        many.score_samples(fleet({"north": 5}), state=many.state_["north"])
    with pytest.raises(StateError, match="fitted without series, so state must be one State"):
        wide.score_samples(noise(5), state={"north": wide.state_})
    with pytest.raises(StateError, match="another structure"):
        many.score_samples(fleet({"north": 5}), state={"north": wide.state_})


def test_the_states_of_many_series_are_kept(tmp_path: Path) -> None:
    detector = fitted(fleet(dict.fromkeys(range(600), 20)), series="machine", units=227, steps=1)
    detector.save(tmp_path / "fleet.safetensors")
    again = Detector.load(tmp_path / "fleet.safetensors")
    assert again.state_ == detector.state_
    kept = safetensors.numpy.load_file(tmp_path / "fleet.safetensors")["task.state.gru0.hidden"]
    np.testing.assert_array_equal(kept[list(detector.state_).index(17)], detector.state_[17].fields["gru0.hidden"][0])
    assert kept.shape == (600, 227)


def test_a_series_too_short_to_cut_is_named() -> None:
    detector = fitted(fleet({"north": 900, "stub": 6}), series="machine")
    assert "1 of 2 series is too short to train on, and is left out of the training: 'stub'" in detector.warnings_[0]
    assert set(detector.state_) == {"north", "stub"}


def test_too_few_rows_count_the_series() -> None:
    with pytest.raises(InputError, match="^200 rows in 2 series are too few: "):
        Detector(series="machine").fit(fleet({"north": 100, "west": 100}))


def test_a_missing_reading_is_no_surprise_where_the_model_is_told() -> None:
    """A gap in one channel has the score 0; held instead, the old reading is judged again and again."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"a": np.sin(np.arange(3000) / 3) + rng.normal(0, 0.05, 3000), "b": rng.normal(size=3000)})
    data.loc[rng.choice(3000, 90, replace=False), "a"] = np.nan
    gap = slice(100, 111)
    new = pd.DataFrame({"a": np.sin(np.arange(200) / 3), "b": rng.normal(size=200)})
    new.loc[gap, "a"] = np.nan
    masked, held = (fitted(data, missing=missing, steps=200).explain(new) for missing in ("mask", "hold"))
    assert (masked.loc[gap, "a:score"] == 0).all()
    assert masked.loc[gap, "b:score"].gt(0).all(), "the other channel is watched all the while"
    assert masked.loc[gap, "a:observed"].isna().all()
    assert held.loc[gap, "a:score"].gt(0).all()


def test_gaps_neither_train_nor_calibrate() -> None:
    data = noise(1500, 2)
    data.loc[1300:1399, "a"] = np.nan
    detector = fitted(data, missing="mask")
    single = fitted(data, target="a", missing="mask")
    assert single.calibration_.samples == single.split_.calibration - 100
    assert detector.calibration_.samples == detector.split_.calibration, (
        "rows with any target seen count for the maximum"
    )


def test_the_uncalibrated_joint_table_is_that_of_independent_channels() -> None:
    spec = gw.ModelSpec(
        2, [gw.LayerSpec("dense", units=4)], head=gw.LayerSpec("tail_probability", targets=[0, 1], smooth=1)
    )
    model = gw.init(spec)
    still = {name: np.zeros_like(value) for name, value in model.tensors.items() if name.startswith("dense")}
    x = np.array([[1.5, -2.5], [0.0, 3.0]], np.float32)
    y = np.asarray(model.replace(tensors={**model.tensors, **still}).run(x), float)
    p = 2 * stats.norm.sf(np.abs(x.astype(float)))
    np.testing.assert_allclose(y[:, 0], -np.log10(1 - (1 - p.min(axis=1)) ** 2), atol=0.01)
