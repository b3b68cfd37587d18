"""Regressor: what it learns, what its intervals promise, and that a stream gives the same bits."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise.errors import GatewiseWarning, InputError
from gatewise.tasks.conformal import margin

NOISE = 0.3
QUICK: dict[str, Any] = {"units": 4, "steps": 5}
UNITS: dict[str, Any] = {**QUICK, "target": "y", "series": "unit", "time": "cycle", "coverage": 0.5}


def linear(series: int, seed: int = 0, noise: float = NOISE) -> pd.DataFrame:
    """h' = 0.8 h + u, y = 50 + 3 h + noise, with a second input that tells nothing; series of 60 to 119 rows."""
    rng = np.random.default_rng(seed)
    frames = []
    for i in range(series):
        u = rng.normal(size=int(rng.integers(60, 120)))
        h = np.convolve(u, 0.8 ** np.arange(60))[: len(u)]
        rows = {"u": u, "v": rng.normal(size=len(u)), "y": 50 + 3 * h + rng.normal(0, noise, len(u))}
        frames.append(pd.DataFrame({"unit": f"unit{i}", "cycle": np.arange(1, len(u) + 1), **rows}))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def fitted() -> gw.Regressor:
    """Fitted on a linear system: 60 series, of which 12 are held out."""
    task = gw.Regressor(units=16, target="y", series="unit", time="cycle", steps=800, learning_rate=0.01)
    with pytest.warns(GatewiseWarning, match="^a ridge regression on the window has .* is the simpler choice$"):
        return task.fit(linear(60))


def test_it_learns_a_linear_system_to_near_the_noise(fitted: gw.Regressor) -> None:
    scores = fitted.score(linear(20, seed=1))
    assert scores["rmse"] < 1.15 * NOISE
    assert scores["r2"] > 0.99
    assert fitted.targets_ == ("y",)
    assert fitted.columns_ == ("u", "v")


def test_a_stream_gives_the_same_bits(fitted: gw.Regressor, tmp_path: Path) -> None:
    data = linear(3, seed=2)
    found = fitted.predict(data.drop(columns="y"))
    assert list(found) == ["unit", "cycle", "prediction", "low", "high"]
    assert found.index.equals(data.index)
    fitted.save(tmp_path / "m")
    again = gw.load_task(tmp_path / "m")
    assert isinstance(again, gw.Regressor)
    pd.testing.assert_frame_equal(again.predict(data), found)
    for name, rows in data.groupby("unit"):
        stream = again.model_.stream()
        answers = [stream.push(row) for row in rows[["u", "v"]].to_numpy(np.float32)]
        np.testing.assert_array_equal(answers, found.loc[found["unit"] == name, ["prediction", "low", "high"]])


def test_intervals_hold_for_new_series_with_the_stated_probability() -> None:
    """The errors of these series differ in size by far, so that rows of one series are anything but independent."""
    rng = np.random.default_rng(0)

    def wild(series: int) -> pd.DataFrame:
        rows = [(f"s{i}", x, x + size * e) for i, size in enumerate(np.exp(rng.normal(size=series)))
                for x, e in rng.normal(size=(12, 2))]  # fmt: skip
        return pd.DataFrame(rows, columns=["s", "x", "y"])

    inside = []
    for seed in range(5):
        task = gw.Regressor(units=2, steps=20, learning_rate=0.03, target="y", series="s", coverage=0.8, validation=0.5)
        new = wild(200)
        found = task.set_params(random_state=seed).fit(wild(80)).predict(new)
        within = (found["low"] <= new["y"]) & (new["y"] <= found["high"])
        inside.append(within.groupby(new["s"]).mean().to_numpy())
    shares = np.concatenate(inside)
    # Each fit has 40 held-out series, whose quantile varies like a beta distribution with deviation 0.063.
    assert abs(shares.mean() - 0.8) < 3 * 0.063 / np.sqrt(5) + 3 * shares.std() / np.sqrt(shares.size)


@pytest.mark.parametrize(
    ("errors", "coverage", "wanted"),
    [
        ([[1.0], [2.0], [3.0], [4.0]], 0.8, (4.0, 0.8)),  # the ceil(5 * 0.8) = 4th smallest of 4
        ([[1.0], [2.0], [3.0], [4.0]], 0.6, (3.0, 0.6)),
        ([[1.0], [2.0], [3.0], [4.0]], 0.9, (4.0, 0.8)),  # would need 9 series
        ([[1.0, 5.0], [2.0]], 1 / 2, (2.0, 1 / 2)),  # weights 1/6, 1/6 and 1/3
        ([[1.0, 5.0], [2.0]], 0.51, (5.0, 0.51)),
        ([list(range(100)), [1000.0]], 1 / 3, (99.0, 1 / 3)),  # many rows of one series count as one
    ],
)
def test_the_margin_by_hand(errors: list[list[float]], coverage: float, wanted: tuple[float, float]) -> None:
    assert margin([np.array(one, float) for one in errors], coverage) == pytest.approx(wanted, abs=1e-12)


def test_too_few_series_for_the_interval_are_told() -> None:
    message = "the 6 held-out series are too few for an interval .* 0.9: .* reaches 0.86; hold out at least 9 series"
    with pytest.warns(UserWarning, match=message):
        gw.Regressor(**{**UNITS, "coverage": 0.9}).fit(linear(30))


def test_whole_series_are_held_out_and_decided_by_random_state() -> None:
    data = linear(20)
    lengths = data.groupby("unit").size()
    held_out = []
    for seed in (0, 0, 1):
        task = gw.Regressor(**UNITS, random_state=seed).fit(data)
        held_out.append(task.split_.validation)
        assert task.split_.training + task.split_.validation == len(data)
        sums = {sum(four) for four in itertools.combinations(lengths, 4)}
        assert task.split_.validation in sums
    assert held_out[0] == held_out[1] != held_out[2]


def test_with_few_series_the_last_rows_are_held_out() -> None:
    data = linear(3)
    task = gw.Regressor(**UNITS).fit(data)
    assert task.split_.validation == sum(round(0.2 * rows) for rows in data.groupby("unit").size())
    assert gw.Regressor(**UNITS, validation=0).fit(data).margin_ is None


def test_rows_without_an_answer_do_not_train() -> None:
    data = linear(10)
    masked = data.assign(y=data["y"].where(data["cycle"] % 3 == 0))
    task = gw.Regressor(**UNITS).fit(masked)
    other = masked.assign(y=masked["y"].astype(object).where(masked["y"].notna(), None))
    pd.testing.assert_frame_equal(task.predict(data), gw.Regressor(**UNITS).fit(other).predict(data))
    scores = task.score(masked)
    known = masked["y"].notna()
    wanted, found = masked["y"][known], task.predict(masked)["prediction"][known]
    assert scores["rmse"] == pytest.approx(np.sqrt(((wanted - found) ** 2).mean()))
    assert scores["mae"] == pytest.approx((wanted - found).abs().mean())
    without = masked.assign(y=masked["y"].where(masked["unit"] != "unit4"))
    with pytest.warns(UserWarning, match="^1 of 10 series has no answer and is neither .*: 'unit4'$"):
        gw.Regressor(**UNITS).fit(without)


def test_a_window_answers_from_its_last_rows_alone() -> None:
    data = linear(12)
    task = gw.Regressor(**UNITS, context={"window": 7}).fit(data)
    one = data[data["unit"] == "unit3"]
    whole, last = task.predict(one), task.predict(one.tail(7))
    np.testing.assert_array_equal(whole["prediction"].iloc[-1], last["prediction"].iloc[-1])
    assert len(task.predict(one.head(3))) == 3
    stream = task.model_.stream()
    pushed = [stream.push(row) for row in one[["u", "v"]].to_numpy(np.float32)]
    np.testing.assert_array_equal(pushed, whole[["prediction", "low", "high"]])
    short = pd.concat([data, data[data["unit"] == "unit1"].head(5).assign(unit="short")])
    with pytest.warns(UserWarning, match=r"^1 of 13 series has no answer with 7 rows up to it, .*: 'short'$"):
        task.fit(short)


def test_one_answer_a_sequence() -> None:
    """The mean of the first input over a sequence, which takes memory, from lists, one array and a long frame."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(120, 15, 2)) + rng.normal(size=(120, 1, 2))
    y = 7 * x[:, :, 0].mean(1)
    options: dict[str, Any] = {"units": 12, "steps": 400, "learning_rate": 0.01}
    simpler = pytest.warns(GatewiseWarning, match="ridge regression on the window")  # the mean is linear
    with simpler:
        task = gw.Regressor(**options).fit(list(x[:100]), y[:100])
    assert task.answer_ == "sequence"
    assert task.score(list(x[100:]), y[100:])["r2"] > 0.95
    found = task.predict(x[100:])
    assert list(found) == ["prediction", "low", "high"]
    assert len(found) == 20
    assert np.asarray(task.model_.run(np.float32(x[101])))[-1].tolist() == found.iloc[1].tolist()
    with simpler:
        again = gw.Regressor(**options).fit(x[:100], y[:100])
    pd.testing.assert_frame_equal(again.predict(x[100:]), found)
    long = pd.DataFrame({"s": np.repeat(np.arange(100), 15), "a": x[:100, :, 0].ravel(), "b": x[:100, :, 1].ravel()})
    long["y"] = np.repeat(y[:100], 15)
    with simpler:
        same = gw.Regressor(**options, series="s", target="y", answer="sequence").fit(long)
    np.testing.assert_array_equal(same.predict(x[100:]), found)
    assert same.predict(long)["s"].tolist() == list(range(100))


def test_one_array_with_an_answer_a_row() -> None:
    x = np.random.default_rng(0).normal(size=(500, 2))
    y = 3 * x[:, 0] + np.r_[0, x[:-1, 0]] - 5
    task = gw.Regressor(units=8, steps=400, learning_rate=0.02).fit(x[:400], y[:400])
    assert task.answer_ == "row"
    assert task.score(x[400:], y[400:])["r2"] > 0.98
    in_lists = gw.Regressor(**QUICK, coverage=0.5).fit(list(x.reshape(50, 10, 2)), list(y.reshape(50, 10)))
    assert in_lists.answer_ == "row"
    assert list(in_lists.predict([x[:10]])) == ["sequence", "prediction", "low", "high"]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"y": 5.0}, {}, "the target 'y' is 5 throughout the data; give rows in which it varies"),
        ({"y": 1e9 + np.arange(len(linear(6))) % 2}, {}, "varies by 0.5 around .* float32 has steps of 64; subtract"),
        ({"y": np.nan}, {}, "the target 'y' has no answers: it is missing in all rows"),
        ({"y": "high"}, {}, "the target 'y' is 'high' .* at row 0.*predict classes with a Classifier"),
        ({"y": True}, {}, "predict classes with a Classifier"),
        ({}, {"target": None}, "there are no answers; pass target="),
        ({}, {"target": "z"}, "the frame has no target 'z'; it has 'unit', 'cycle', 'u', 'v', 'y'"),
        ({}, {"answer": "column"}, 'answer must be "row" or "sequence", got \'column\''),
        ({}, {"coverage": 1.0}, "coverage must be a share between 0 and 1, got 1.0"),
        ({}, {"columns": ["u", "y"]}, "column 'y' cannot be both the target and a reading"),
        ({}, {"validation": 1.0}, "validation must be a share from 0 to below 1, got 1.0"),
        ({}, {"context": {"window": 500}}, "none of the 6 series has an answer with 500 rows up to it"),
        ({}, {"loss": "cubed"}, "loss must be one of"),
    ],
)
def test_bad_targets_are_refused(change: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gw.Regressor(**{**UNITS, **options}).fit(linear(6).assign(**change))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([np.zeros((3, 2)), np.zeros((3, 1))], [1, 2], "sequence 1 has 1 inputs and sequence 0 has 2"),
        ([np.zeros((3, 2)), np.zeros((0, 2))], [1, 2], "sequence 1 has no steps; leave it out"),
        ([np.zeros((3, 2))], [1, 2], "there are 1 sequences and 2 answers; give one for each"),
        ([np.zeros((3, 2))], [[1, 2]], "sequence 0 has 3 steps and answers of shape"),
        ([pd.DataFrame({"a": [1.0, 2.0]})] * 9, range(9), "a list of frames is given; give one long frame"),
        (np.zeros((3, 2)), [1, 2], "the array has 3 rows and y has 2 answers; give one a row"),
        (np.random.default_rng(0).normal(size=(4, 9, 2)), [1, 2, 3, 4], "there are 4 series with an answer, too few"),
    ],
)
def test_answers_that_do_not_fit_are_refused(x: Any, y: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        gw.Regressor(**QUICK).fit(x, y)


def test_answers_are_given_in_one_place() -> None:
    with pytest.raises(InputError, match="the target is the column 'y', and y has answers as well; leave out y or"):
        gw.Regressor(**UNITS).fit(linear(6), linear(6)["y"])


@pytest.mark.parametrize("missing", ["hold", "mask"])
def test_readings_may_be_missing_and_times_are_kept(missing: str) -> None:
    data = linear(10).assign(when=lambda rows: pd.Timestamp("2024-01-01") + pd.to_timedelta(rows["cycle"], "h"))
    data = data.assign(u=data["u"].where(data["cycle"] % 50 != 7)).drop(columns="cycle")
    task = gw.Regressor(**{**UNITS, "time": "when"}, missing=missing).fit(data)
    found = task.predict(data.drop(columns="y"))
    assert np.isfinite(found["prediction"]).all()
    assert found["when"].equals(data["when"])
    last = gw.Regressor(**{**UNITS, "time": "when"}, missing=missing, answer="sequence").fit(data).predict(data)
    assert last["when"].tolist() == data.groupby("unit", sort=False)["when"].last().tolist()


def test_an_infinite_answer_is_refused_with_its_place() -> None:
    data = linear(6)
    data.loc[7, "y"] = np.inf
    with pytest.raises(InputError, match="the target 'y' is inf at row 7, series 'unit0', 8; make it a number"):
        gw.Regressor(**UNITS).fit(data)


def test_a_column_that_tells_the_target_is_told() -> None:
    data = linear(20)
    message = "column 'copy' tells the target 'y': it is equal to it up to offset and scale"
    with pytest.warns(UserWarning, match=message):
        gw.Regressor(**UNITS).fit(data.assign(copy=100 - 2 * data["y"]))


def test_the_absolute_loss_predicts_the_median() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 1))
    y = np.where(rng.random(2000) < 0.3, 100.0, 1.0) + 0.01 * rng.normal(size=2000)
    options: dict[str, Any] = {"recurrence": "rnn", "units": 2, "steps": 300, "learning_rate": 0.02}
    found = gw.Regressor(**options, loss="absolute").fit(x, y).predict(x)["prediction"]
    assert found.median() < 10 < 20 < gw.Regressor(**options).fit(x, y).predict(x)["prediction"].median() < 45


def test_a_fit_continues_from_another() -> None:
    data = linear(20)
    first = gw.Regressor(**UNITS).fit(data)
    again = gw.Regressor(**UNITS).fit(data, start=first)
    for name in ("input.offset", "head.offset", "head.scale"):
        np.testing.assert_array_equal(again.model_.tensors[name], first.model_.tensors[name])
    assert again.history_.best_validation is not None
    assert first.history_.best_validation is not None
    assert again.history_.best_validation < first.history_.best_validation
