"""The regressor and the classifier on a simple method, against the method on windows cut by hand."""

import numpy as np
import pandas as pd
import pytest

from gatewise.baselines import Classifier, Regressor
from gatewise.baselines.methods import named
from gatewise.errors import GatewiseWarning, InputError


def engines(seed=0):
    """Five engines that wear down, with the cycles left and a state in words."""
    rng = np.random.default_rng(seed)
    frames = []
    for unit in range(5):
        n = int(rng.integers(60, 90))
        life = np.arange(n)[::-1].astype(float)
        frames.append(
            pd.DataFrame(
                {
                    "unit": unit,
                    "cycle": np.arange(n),
                    "heat": 600 - life + rng.normal(size=n),
                    "life": life,
                    "noise": rng.normal(size=n),
                    "state": np.where(life < 20, "worn", "good"),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def cut(data, lookback, target):
    windows, answers, groups, rows = [], [], [], []
    for unit, run in data.groupby("unit"):
        values = run[["heat", "noise"]].to_numpy(np.float32)
        for end in range(lookback - 1, len(run)):
            windows.append(values[end - lookback + 1 : end + 1])
            answers.append(run[target].iloc[end])
            groups.append(unit)
            rows.append(run.index[end])
    return np.array(windows), np.array(answers), np.array(groups), rows


OPTIONS = {"lookback": 10, "series": "unit", "columns": ["heat", "noise"]}


@pytest.mark.parametrize("method", ["constant", "ridge", "trees_last", "trees_window"])
def test_a_number_for_each_row_of_a_table(method):
    data = engines()
    found = Regressor(method, target="life", **OPTIONS).fit(data)
    windows, life, groups, rows = cut(data, 10, "life")
    wanted = named(method).fit(windows, life, groups).predict(windows)[:, 0]
    answer = found.predict(data.drop(columns="life"))
    assert list(answer.columns) == ["unit", "prediction"]
    assert np.allclose(answer.loc[rows, "prediction"], wanted, rtol=1e-6)
    assert answer["prediction"].isna().sum() == 5 * 9
    assert answer.index.equals(data.index)
    if method != "constant":
        assert np.abs(answer["prediction"] - data["life"]).mean() < 3


@pytest.mark.parametrize("method", ["constant", "logistic", "trees_last", "trees_window"])
def test_a_class_for_each_row_of_a_table(method):
    data = engines()
    found = Classifier(method, target="state", **OPTIONS).fit(data)
    windows, state, groups, rows = cut(data, 10, "state")
    wanted = named(method, "classification").fit(windows, (state == "worn") * 1, groups).predict(windows)
    answer = found.predict(data)
    assert list(answer.columns) == ["unit", "prediction", "good", "worn"]
    assert list(found.classes_) == ["good", "worn"]
    assert np.allclose(answer.loc[rows, ["good", "worn"]], wanted, rtol=1e-6)
    assert np.array_equal(answer.loc[rows, "prediction"] == "worn", wanted[:, 1] > wanted[:, 0])
    assert answer.loc[[0, 8], "prediction"].isna().all()


def test_one_answer_for_each_sequence():
    rng = np.random.default_rng(0)
    each = [rng.normal(size=(int(n), 2)) for n in rng.integers(3, 9, 80)]
    y = np.array([one[-3:, 0].sum() for one in each])
    # The last five rows of each; a sequence of three begins with its first row three times.
    windows = np.array([np.concatenate([one[:1]] * 5 + [one])[-5:] for one in each])
    found = Regressor(lookback=5).fit(each, y, groups=np.arange(80) // 4)
    wanted = named("ridge").fit(windows, y, np.arange(80) // 4).predict(windows)[:, 0]
    assert np.array_equal(found.predict(each)["prediction"], wanted)
    assert np.array_equal(found.predict(windows)["prediction"], wanted)
    assert np.abs(wanted - y).mean() < 0.1

    found = Classifier(lookback=5).fit(windows, np.where(y > 0, 7, 3))
    answer = found.predict(windows)
    assert list(answer.columns) == ["prediction", "3", "7"]
    assert (answer["prediction"] == np.where(y > 0, 7, 3)).mean() > 0.9
    assert np.allclose(answer[["3", "7"]].sum(axis=1), 1.0)


def test_rows_without_an_answer_are_left_out():
    data = engines()
    some = data.assign(life=data["life"].where(data.index % 3 == 0))
    found = Regressor(target="life", **OPTIONS).fit(some)
    windows, life, groups, rows = cut(data, 10, "life")
    kept = np.array(rows) % 3 == 0
    peer = named("ridge").fit(windows[kept], life[kept], groups[kept])
    assert np.allclose(found.predict(data).loc[rows, "prediction"], peer.predict(windows)[:, 0], rtol=1e-6)


def test_missing_readings_are_filled_forward():
    data = engines()
    data.loc[20:22, "heat"] = np.nan
    with pytest.warns(GatewiseWarning, match="1 of 5 series is left out: 0; because column 'heat' has a non-finite"):
        left_out = Regressor(target="life", **OPTIONS).fit(data)
    windows, life, groups, _ = cut(data[data["unit"] > 0], 10, "life")
    peer = named("ridge").fit(windows, life, groups)
    assert np.allclose(left_out.method_.predict(windows), peer.predict(windows), rtol=1e-6)
    found = Regressor(target="life", missing="hold", **OPTIONS).fit(data)
    assert np.array_equal(found.predict(data)["prediction"], found.predict(data.ffill())["prediction"], equal_nan=True)


def test_refusals():
    data = engines()
    for estimator, args, words in [
        (Regressor("logistic", target="life"), (data,), "method must be one of .*'ridge'.*, got 'logistic'"),
        (Regressor(), (data,), "needs a column with the answers; name it with target="),
        (Regressor(target=["life", "heat"]), (data,), "one of the columns .* is the target"),
        (Regressor(target="age"), (data,), "target is 'age', but the columns read are"),
        (Regressor(target="life", columns=["life"]), (data,), "the only column is the target, 'life'"),
        (Regressor(target="life", **{**OPTIONS, "lookback": 100}), (data,), "no row with an answer ends a window"),
        (Regressor(target="state", **OPTIONS), (data,), "the answers of a regressor must be numbers, got 'good'"),
        (Regressor(), ([], []), "sequences are a list of arrays"),
        (Regressor(), ([np.zeros((3, 2)), np.zeros((3, 1))], [1, 2]), "of the same columns"),
        (Regressor(), ([np.zeros((3, 2))], [np.nan]), "target 0 of window 0 is nan"),
        (Regressor(), ([np.full((3, 2), np.nan)], [1.0]), "window 0 is nan in row 0, column 0"),
        (Regressor(lookback=0), ([np.zeros((3, 2))], [1.0]), "lookback must be a whole number"),
    ]:
        with pytest.raises(InputError, match=words):
            estimator.fit(*args)
