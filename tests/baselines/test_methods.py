"""The simple methods against formulas worked out in other ways, and their figures on two public data sets."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from gatewise.baselines import logistic, method, ridge
from gatewise.baselines.methods import (
    Constant,
    Logistic,
    RepeatLast,
    Ridge,
    SeasonalNaive,
    TreesLast,
    TreesWindow,
    suitable,
)
from gatewise.baselines.trees import features
from gatewise.errors import InputError


def some(n=60, length=7, columns=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(5.0, [1.0, 20.0, 0.1][:columns], (n, length, columns)), rng


def test_constant_is_mean_median_or_frequencies():
    x, _ = some(4)
    y = np.array([[1.0, 0.0], [2.0, 0.0], [9.0, 3.0], [4.0, 5.0]])
    assert np.allclose(Constant().fit(x, y).predict(x[:2]), [[4.0, 2.0]] * 2)
    assert np.allclose(Constant("absolute").fit(x, y).predict(x[:1]), [[3.0, 1.5]])
    classes = Constant(kind="classification", classes=4).fit(x, np.array([0, 2, 2, 1]))
    assert np.allclose(classes.predict(x[:1]), [[0.25, 0.25, 0.5, 0.0]])
    assert (classes.parameters, classes.bytes) == (4, 32)


def test_last_and_seasonal_by_indexing():
    x = np.arange(2 * 6 * 2.0).reshape(2, 6, 2)
    y = np.zeros((2, 3))
    assert np.array_equal(RepeatLast([1, 0, 0]).fit(x, y).predict(x), x[:, -1][:, [1, 0, 0]])
    seasonal = SeasonalNaive([0, 0, 1], season=4, horizons=[1, 4, 5]).fit(x, y)
    # The last row is 5: one row ahead was row 2, four rows ahead row 5, five rows ahead row 2, two seasons earlier.
    assert np.array_equal(seasonal.predict(x), np.stack([x[:, 2, 0], x[:, 5, 0], x[:, 2, 1]], axis=1))
    assert seasonal.parameters == 0


def by_hand(z, y, penalty):
    """The ridge regression of y on z by a solve with an extra column of ones that is not penalised."""
    ones = np.column_stack([z, np.ones(len(z))])
    penalties = np.diag([penalty * len(z)] * z.shape[1] + [0.0])
    return np.linalg.solve(ones.T @ ones + penalties, ones.T @ y)


def test_ridge_equals_a_direct_solve(monkeypatch):
    monkeypatch.setattr(method, "CHUNK_BYTES", 5000)  # several chunks
    x, rng = some()
    y = x[:, -1] @ rng.normal(size=(3, 2)) + rng.normal(size=(60, 2)) + 1e4
    found = Ridge(penalty=0.3).fit(x.astype(np.float32), y)
    z = x.astype(np.float32).astype(float)
    z = ((z - z.mean((0, 1))) / z.std((0, 1))).reshape(60, -1)
    weight = by_hand(z, y, 0.3)
    assert np.allclose(found.predict(x.astype(np.float32)), z @ weight[:-1] + weight[-1], rtol=1e-10)
    assert found.parameters == 21 * 2 + 2


def test_anchored_ridge_sees_changes_only():
    x, rng = some()
    y = np.column_stack([x[:, -1, 1] + rng.normal(size=60), x[:, -1, 0] + rng.normal(size=60)])
    found = Ridge([1, 0], penalty=0.3)
    found.fit(x, y)
    assert found.form_ in ("own column", "all columns")
    scale = x.std((0, 1))
    # Both forms by hand.
    changes = (x - x[:, -1:])[..., [1, 0]] / scale[[1, 0]]
    wanted = (y - x[:, -1, [1, 0]]) / scale[[1, 0]]
    own = by_hand(changes.transpose(0, 2, 1).reshape(-1, 7), wanted.reshape(-1, 1), 0.3)
    answers = (changes.transpose(0, 2, 1) @ own[:-1, 0] + own[-1, 0]) * scale[[1, 0]] + x[:, -1, [1, 0]]
    level = np.where([True, True, False], x[:, -1:], x.mean((0, 1)))
    z = ((x - level) / scale).reshape(60, -1)
    every = by_hand(z, wanted, 0.3)
    both = {
        "own column": answers,
        "all columns": (z @ every[:-1] + every[-1]) * scale[[1, 0]] + x[:, -1, [1, 0]],
    }
    for form in ridge._forms(x, y, np.array([1, 0])):
        total = ridge._moments(form, x, y, None)[0]
        weight = total.solve(0.3)
        z = (form.features(x) - total.x / 60 / form.each) @ weight + total.y / 60 / form.each
        assert np.allclose(form.answers(x, z), both.pop(form.name), rtol=1e-9)
    assert not both


def test_the_penalty_is_that_of_the_least_error_over_groups():
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(12), 10)
    # The target is the same within a group, and so are the readings nearly: rows that are neighbours tell everything,
    # other groups nothing.
    x = np.repeat(rng.normal(size=(12, 5, 2)), 10, axis=0) + 0.01 * rng.normal(size=(120, 5, 2))
    y = np.repeat(rng.normal(size=12), 10)
    found = Ridge().fit(x, y, groups=groups)
    assert found.penalty_ >= 100
    parts = method.folds(120, groups)
    z = ((x - x.mean((0, 1))) / x.std((0, 1))).reshape(120, -1)
    errors = {}
    for penalty in ridge.PENALTIES:
        errors[penalty] = 0.0
        for i in range(5):
            weight = by_hand(z[parts != i], y[parts != i], penalty)
            errors[penalty] += ((z[parts == i] @ weight[:-1] + weight[-1] - y[parts == i]) ** 2).sum() / 120 / y.var()
    assert found.error_ == pytest.approx(errors[found.penalty_], rel=1e-8)
    assert found.error_ == pytest.approx(min(errors.values()), rel=1e-8)
    for i in range(5):
        assert not set(groups[parts == i]) & set(groups[parts != i])
    assert np.array_equal(method.folds(7, None), [0, 0, 0, 1, 1, 2, 2])


def test_ridge_reads_the_last_rows_of_large_windows():
    x, rng = some()
    y = rng.normal(size=60)
    limited = Ridge(penalty=1.0, most=10).fit(x, y)
    assert limited.parameters == 3 * 3 + 1
    changed = x.copy()
    changed[:, :4] = 0.0
    assert np.array_equal(limited.predict(changed), limited.predict(x))


def test_trees_are_those_of_scikit_learn():
    x, rng = some(200)
    y = np.column_stack([x[:, -1, 0], x[:, :, 1].mean(1)]) + 0.1 * rng.normal(size=(200, 2))
    flat = {TreesLast: x[:, -1], TreesWindow: features(x)}
    for kind, rows in flat.items():
        found = kind().fit(x, y)
        peers = [HistGradientBoostingRegressor(early_stopping=False).fit(rows, y[:, k]) for k in range(2)]
        assert np.array_equal(found.predict(x), np.stack([peer.predict(rows) for peer in peers], axis=1))
        leaves = sum(len(tree[0].nodes[tree[0].nodes["is_leaf"] == 1]) for p in peers for tree in p._predictors)
        assert found.parameters == leaves + 2 * (leaves - 200)  # 200 trees
        classes = (y[:, 0] > 5).astype(int) * 2
        peer = HistGradientBoostingClassifier(early_stopping=False).fit(rows, classes)
        answers = kind(kind="classification").fit(x, classes).predict(x)
        assert np.array_equal(answers[:, [0, 2]], peer.predict_proba(rows))
        assert not answers[:, 1].any()


def test_features_of_a_window():
    x, _ = some(2, columns=1)
    slope = [np.polyfit(np.arange(7), each[:, 0], 1)[0] for each in x]
    own = x[..., 0]
    wanted = np.stack([own[:, -1], own.mean(1), own.std(1), own.min(1), own.max(1), slope], axis=1)
    assert np.allclose(features(x), wanted, rtol=1e-12)
    assert np.array_equal(features(x[:, :1])[:, 5], [0.0, 0.0])  # one row has no slope


def test_logistic_is_that_of_scikit_learn():
    x, rng = some(90)
    y = (x[:, -1, 1] + 5 * rng.normal(size=90) > 5).astype(int) + 1
    found = Logistic(classes=4).fit(x, y)
    flat = x.reshape(90, -1)
    flat = (flat - flat.mean(0)) / flat.std(0)
    peer = LogisticRegression(C=found.strength_, max_iter=logistic.STEPS, tol=1e-3).fit(flat, y)
    assert np.allclose(found.predict(x)[:, 1:3], peer.predict_proba(flat), rtol=1e-10)
    assert not found.predict(x)[:, [0, 3]].any()


def test_logistic_is_as_good_as_if_it_had_converged():
    """Random walks, whose neighbouring rows are nearly equal, take many steps; the last ones gain next to nothing."""
    rng = np.random.default_rng(0)
    x = (0.02 * rng.normal(size=(900, 40, 3))).cumsum(axis=1) + rng.normal(size=(900, 1, 3))
    y = (x @ np.array([2.0, -1.0, 0.0])).mean(axis=1) + 5 * (x[:, -1, 2] - x[:, -9, 2]) + rng.logistic(size=900)
    y = np.digitize(y, [-1.0, 1.0])
    found = Logistic().fit(x[:600], y[:600])
    flat = x.reshape(900, -1)
    flat = (flat - flat[:600].mean(0)) / flat[:600].std(0)
    peer = LogisticRegression(C=found.strength_, max_iter=10_000, tol=1e-8).fit(flat[:600], y[:600])
    assert peer.n_iter_[0] > 2 * found.model_.n_iter_[0]
    cut_off, converged = log_loss(y[600:], found.predict(x[600:])), log_loss(y[600:], peer.predict_proba(flat[600:]))
    assert abs(cut_off - converged) < 0.005


def test_samples_of_many_windows_are_seeded(monkeypatch):
    from gatewise.baselines import trees

    x, rng = some(200)
    y = rng.normal(size=200)
    monkeypatch.setattr(trees, "MOST_WINDOWS", 50)
    monkeypatch.setattr(logistic, "MOST_NUMBERS", 0)
    one, same, other = (TreesLast(random_state=seed).fit(x, y).predict(x) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    one, same, other = (Logistic(random_state=seed).fit(x, (y > 0) * 1).predict(x) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_large_levels_cost_no_digits():
    x, rng = some(300, columns=1)
    y = x[:, -1, 0] + 0.5 * (x[:, -1, 0] - x[:, -2, 0]) + 0.01 * rng.normal(size=300)
    near = Ridge([0]).fit(x, y)
    far = Ridge([0]).fit(x + 1e9, y + 1e9)
    assert np.allclose(far.predict(x + 1e9) - 1e9, near.predict(x), atol=1e-5)
    far = Ridge().fit(x + 1e9, y)
    assert np.allclose(far.predict(x + 1e9), Ridge().fit(x, y).predict(x), atol=1e-5)


def test_constant_columns_and_targets():
    x, _ = some()
    x[..., 1] = 7.0
    for each in suitable("regression", [0, 1], season=7):
        answers = each.fit(x, np.column_stack([x[:, -1, 0], np.full(60, 7.0)])).predict(x)
        assert np.isfinite(answers).all(), each.name
        assert np.allclose(answers[:, 1], 7.0), each.name
    for each in suitable("classification"):
        assert np.allclose(each.fit(x, np.zeros(60, int)).predict(x), 1.0), each.name


def test_few_windows():
    x, _ = some(1)
    for each in suitable("regression", [0]):
        assert np.allclose(each.fit(x, [3.0]).predict(x), x[:, -1, 0] if each.name == "last" else 3.0), each.name
    assert np.isnan(Ridge().fit(x, [3.0]).error_)


def test_what_is_suitable():
    def names(*args, **options):
        return [each.name for each in suitable(*args, **options)]

    trees = ["trees_last", "trees_window"]
    assert names("regression") == ["constant", "ridge", *trees]
    assert names("regression", [2], 24, [1, 2]) == ["constant", "last", "seasonal", "ridge", *trees]
    assert names("regression", [2], 24, lookback=12) == ["constant", "last", "ridge", *trees]
    assert names("regression", [0, 1], horizons=range(1, 25)) == ["constant", "last", "ridge"]
    assert names("classification") == ["constant", "logistic", *trees]
    seasonal = suitable("regression", [2, 0], 24, [1, 5])[2]
    assert (seasonal.columns, seasonal.horizons) == ([2, 2, 0, 0], [1, 5, 1, 5])
    with pytest.raises(InputError, match='kind must be "regression" or "classification", got \'number\''):
        suitable("number")


def test_refusals():
    x, _ = some(5)
    y = np.zeros(5)
    bad = x.copy()
    bad[3, 2, 1] = np.nan
    for windows, targets, words in [
        (bad, y, "window 3 is nan in row 2, column 1; fill in"),
        (x[0], y, r"windows must be numbers, \(n, L, columns\)"),
        (x[:0], y[:0], "at least one of each"),
        (x.astype(str), y, "windows must be numbers"),
        (x, y[:4], "each of the 5 windows needs a target, got 4"),
        (x, y + np.inf, "target 0 of window 0 is inf; leave out"),
        (x, np.zeros((5, 1, 1)), r"must be numbers, \(n, k\)"),
    ]:
        with pytest.raises(InputError, match=words):
            Ridge().fit(windows, targets)
    with pytest.raises(InputError, match="'ridge' is not fitted"):
        Ridge().predict(x)
    with pytest.raises(InputError, match="windows of 7 rows and 3 columns, got windows of 6 rows"):
        Constant().fit(x, y).predict(x[:, 1:])
    with pytest.raises(InputError, match="season of 8 rows is longer than the windows of 7 rows"):
        SeasonalNaive([0], 8, [1]).fit(x, y)
    with pytest.raises(InputError, match="season must be a whole number"):
        SeasonalNaive([0], 0, [1]).fit(x, y)
    with pytest.raises(InputError, match="horizons must be a whole number"):
        SeasonalNaive([0], 2, [0]).fit(x, y)
    with pytest.raises(InputError, match="columns from 0 to 2, got"):
        RepeatLast([3]).fit(x, y)
    with pytest.raises(InputError, match="one column for each of the 1 outputs"):
        Ridge([0, 1]).fit(x, y)
    with pytest.raises(InputError, match="penalty must be 0 or larger"):
        Ridge(penalty=-1.0).fit(x, y)
    with pytest.raises(InputError, match="loss must be"):
        Constant("cubed").fit(x, y)
    with pytest.raises(InputError, match=r"class numbers from 0 below 2, \(n,\) int"):
        Logistic(classes=2).fit(x, np.arange(5))
    with pytest.raises(InputError, match="needs a group, got 2 groups"):
        Ridge().fit(x, y, groups=[1, 2])


def windows_of(values, length, horizon):
    """All windows of `length` rows, and the next `horizon` rows of each column, by column."""
    both = np.lib.stride_tricks.sliding_window_view(values, length + horizon, axis=0).transpose(0, 2, 1)
    return both[:, :length], both[:, length:].transpose(0, 2, 1).reshape(len(both), -1)


@pytest.mark.data
@pytest.mark.parametrize(("lookback", "expected"), [(96, 0.383), (336, 0.370)])
def test_ridge_on_etth1(lookback, expected):
    values = pd.read_csv(Path(os.environ["GATEWISE_DATA"]) / "ett" / "ETTh1.csv.gz").iloc[:, 1:].to_numpy()
    values = ((values - values[:8640].mean(0)) / values[:8640].std(0)).astype(np.float32)
    windows, targets = windows_of(values[:8640], lookback, 96)
    anchor = np.repeat(np.arange(7), 96)
    found = Ridge(anchor).fit(windows, targets)
    windows, targets = windows_of(values[11520 - lookback : 14400], lookback, 96)
    assert np.mean((found.predict(windows) - targets) ** 2) == pytest.approx(expected, abs=0.0005)
    assert found.form_ == "own column"


@pytest.mark.data
def test_methods_on_turbofan_engines():
    """The windows, scaling and test engines of the turbofan model; its own root mean squared error there is 18.4."""
    folder = Path(os.environ["GATEWISE_DATA"]) / "cmapss"
    train, test = (pd.read_csv(folder / f"{name}_FD001.txt.gz", sep=r"\s+", header=None) for name in ("train", "test"))
    life = np.loadtxt(folder / "RUL_FD001.txt.gz")
    columns = [2, 3, 4, 1, *range(5, 26)]
    low, high = train[columns].min(), train[columns].max()

    def scaled(frame):
        return ((frame[columns] - low) / (high - low).where(high > low, 1.0)).to_numpy(np.float32)

    runs = [run for _, run in train.groupby(0)]
    windows = np.concatenate([windows_of(scaled(run), 50, 0)[0] for run in runs])
    targets = np.concatenate([np.arange(len(run) - 50, -1, -1.0) for run in runs])
    groups = np.concatenate([run[0].to_numpy()[49:] for run in runs])
    ends = [scaled(run)[-50:] for _, run in test.groupby(0) if len(run) >= 50]
    true = np.array([life[unit - 1] for unit, run in test.groupby(0) if len(run) >= 50])
    assert len(ends) == 93
    errors = {
        each.name: np.sqrt(np.mean((each.fit(windows, targets, groups).predict(ends)[:, 0] - true) ** 2))
        for each in suitable("regression")
    }
    # About 41.0 is known for a constant, 23.2 for trees on the last row and 20.9 for trees on window features, with
    # other training rows (also the first 49 of each engine) and other features.
    assert errors == {
        "constant": pytest.approx(41.0, abs=2.5),
        "ridge": pytest.approx(21.6, abs=0.5),
        "trees_last": pytest.approx(23.2, abs=2.0),
        "trees_window": pytest.approx(20.9, abs=1.5),
    }
