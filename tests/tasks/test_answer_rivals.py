"""The warning that a simple method is better than a trained regressor or classifier."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, mean_absolute_error, root_mean_squared_error

import gatewise as gw
from gatewise import baselines
from gatewise.baselines.methods import named, suitable
from gatewise.errors import GatewiseWarning
from gatewise.tasks import answer_rivals
from gatewise.tasks.answer_rivals import LEAST_NATS, label, number, quick
from gatewise.tasks.rivals import better, compared
from gatewise.tasks.whole_series import _choose

HARDLY = {"units": 3, "steps": 100, "learning_rate": 1e-4, "target": "y", "series": "s"}
GOOD = {"units": 12, "steps": 400, "learning_rate": 0.02, "target": "y", "series": "s"}


def table(series, answer, seed=0, rows=50):
    """Series of white noise in two columns, and the answer `answer(a, b, rng)` at each row."""
    rng = np.random.default_rng(seed)
    frames = []
    for name in range(series):
        a, b = rng.normal(size=(2, rows)).astype(np.float32)
        frames.append(pd.DataFrame({"s": name, "a": a, "b": b, "y": answer(a, b, rng)}))
    return pd.concat(frames, ignore_index=True)


def linear(a, b, rng):
    return 20 + 3 * a - 2 * np.r_[0, b[:-1]] + 0.5 * rng.normal(size=len(a))


def slow(a, b, rng):
    """h' = 0.99 h + a, of whose variance the last 32 rows explain less than a half, 1 - 0.99^64."""
    return np.convolve(a, 0.99 ** np.arange(len(a)))[: len(a)] + 0.1 * rng.normal(size=len(a))


def quadrant(a, b, rng):
    return np.where(a + 0.5 * rng.normal(size=len(a)) > 0, "up", "down")


def fitted(task, data):
    """The task, and what its fit said about simple methods."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", GatewiseWarning)
        task.fit(data)
    assert [str(one.message) for one in told] == list(task.warnings_)
    return task, [text for text in task.warnings_ if "simpler choice" in text]


def cut(data, held, lookback):
    """The windows (n, L, 2) of the held-out series or of the others, their answers and their series, cut by hand."""
    found = []
    for name, rows in data.groupby("s"):
        if (name in held[0]) == held[1]:
            x, y = rows[["a", "b"]].to_numpy(), rows["y"].to_numpy()
            found += [(x[end - lookback : end], y[end - 1], name) for end in range(lookback, len(rows) + 1)]
    windows, answers, series = zip(*found, strict=True)
    return np.stack(windows), np.array(answers), np.array(series)


def chosen(series):
    """The series that a fit with the seed 0 holds out."""
    return set(np.flatnonzero(_choose([None] * series, 0.2, 0)))


def after(data, held, lookback):
    """The rows of the held-out series that end a window."""
    return data["s"].isin(held) & (data.groupby("s").cumcount() >= lookback - 1)


@pytest.mark.parametrize(
    ("loss", "context", "lookback", "error"),
    [
        ("squared", "carried", 32, root_mean_squared_error),
        ("squared", {"window": 3}, 3, root_mean_squared_error),
        ("absolute", "carried", 32, mean_absolute_error),
    ],
)
def test_a_linear_target_is_better_by_ridge(loss, context, lookback, error):
    data = table(60, linear, rows=50 if lookback > 3 else 23)
    task, (text,) = fitted(gw.Regressor(**HARDLY, loss=loss, context=context), data)
    held = chosen(60)
    x, y, groups = cut(data, (held, False), lookback)
    peer = named("ridge").fit(x, y, groups)
    x, y, _ = cut(data, (held, True), lookback)
    assert len(x) == 12 * (19 if lookback > 3 else 21)  # few enough that all are compared
    own = task.predict(data)["prediction"][after(data, held, lookback)]
    what = "a root mean squared error" if loss == "squared" else "a mean absolute error"
    assert text == (
        f"a ridge regression on the window has {what}, in the units of 'y', of {error(y, peer.predict(x)[:, 0]):.3g} "
        f"on the held-out rows, the model {error(y, own):.3g}; more training, or another context, may help; otherwise "
        f"gatewise.baselines.Regressor(method='ridge', lookback={lookback}) is the simpler choice"
    )


def test_the_comparison_can_be_left_out():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GatewiseWarning)  # few series, for the interval
        task = gw.Regressor(**HARDLY, context={"window": 4}).fit(table(20, linear), baselines=False)
    assert [text for text in task.warnings_ if "simpler choice" in text] == []


def test_the_method_that_is_named_can_be_called():
    _, (text,) = fitted(gw.Regressor(**HARDLY, context={"window": 3}), table(60, linear))
    method, lookback = re.search(r"Regressor\(method='(\w+)', lookback=(\d+)\)", text).groups()
    data = table(10, linear, seed=1)
    simple = baselines.Regressor(method=method, lookback=int(lookback), target="y", series="s").fit(table(60, linear))
    errors = (simple.predict(data)["prediction"] - data["y"]).dropna()
    assert len(errors) == 10 * 48
    assert np.sqrt((errors**2).mean()) < 0.55


def test_a_target_that_needs_memory_beyond_the_window_is_not_warned_of():
    data = table(40, slow, rows=150)
    task, told = fitted(gw.Regressor(**GOOD), data)
    assert not told
    held = chosen(40)
    peer = named("ridge").fit(*cut(data, (held, False), 32))
    x, y, _ = cut(data, (held, True), 32)
    own = task.predict(data)["prediction"][after(data, held, 32)]
    assert root_mean_squared_error(y, own) < 0.8 * root_mean_squared_error(y, peer.predict(x)[:, 0])
    # The answers that are compared have the memory of the whole series: a window of as many rows is not better.
    _, told = fitted(gw.Regressor(**{**HARDLY, "context": {"window": 32}}), data)
    assert told[0].startswith("a ridge regression on the window")


def test_a_sound_model_is_not_warned_of():
    def bent(a, b, rng):
        return np.abs(np.convolve(a, 0.7 ** np.arange(50))[: len(a)]) + 0.05 * rng.normal(size=len(a))

    _, told = fitted(gw.Regressor(**GOOD), table(60, bent))
    assert not told


def test_with_few_series_blocks_are_stretches_of_time():
    data = table(2, linear, rows=1000)
    _, (text,) = fitted(gw.Regressor(**HARDLY), data)
    assert text.startswith("a ridge regression on the window has a root mean squared error")
    _, told = fitted(gw.Regressor(**HARDLY), table(2, linear, rows=400))  # 2 * 80 rows hold 6 blocks of 32
    assert not told


def test_nothing_is_said_of_a_trial_of_few_series_or_without_held_out_rows():
    data = table(60, linear)
    for options in ({"steps": 99}, {"validation": 0.1}, {"validation": 0}):
        _, told = fitted(gw.Regressor(**{**HARDLY, **options}), data)
        assert not told, options


@pytest.mark.parametrize("missing", ["hold", "mask"])
def test_missing_readings_and_answers_and_a_large_constant(missing):
    data = table(60, linear)
    data["a"] = data["a"].astype(float) + 7e9
    data.loc[data.index % 7 == 0, "a"] = np.nan
    data.loc[data.index % 3 == 0, "y"] = np.nan
    _, (text,) = fitted(gw.Regressor(**HARDLY, missing=missing), data)
    assert text.startswith("a ridge regression on the window")


def test_a_class_at_each_row_is_better_by_a_logistic_regression():
    data = table(60, quadrant)
    task, (text,) = fitted(gw.Classifier(**{**HARDLY, "context": {"window": 4}}), data)
    numbers = data.assign(y=(data["y"] == "up").astype(int))  # classes are in ascending order: down, up
    groups = data.groupby("s")["y"].agg(lambda own: int((own == "up").sum() > (own == "down").sum()))
    held = set(np.flatnonzero(_choose(groups.tolist(), 0.2, 0)))
    keep = after(data, held, 4).to_numpy().nonzero()[0][::2]
    probabilities = task.predict(data)[["down", "up"]].to_numpy()[keep]
    probabilities /= probabilities.sum(axis=1, keepdims=True)  # apart from rounding to float32 the sum is 1
    own = log_loss(data["y"][keep], probabilities, labels=["down", "up"])
    found = re.fullmatch(
        r"(a logistic regression on the window|boosted trees on .*) has a log loss of (\S+) nats on the held-out rows, "
        r"the model (\S+) nats; .* gatewise.baselines.Classifier\(method='\w+', lookback=4\) is the simpler choice",
        text,
    )
    assert found[1] == "a logistic regression on the window"
    assert float(found[3]) == pytest.approx(own, rel=6e-3)
    x, y = (each[::2] for each in cut(numbers, (held, False), 4)[:2])  # at most 2,000 of 2,256
    peer = LogisticRegression(C=0.1).fit(x.reshape(len(x), -1), y)
    x, y = (each[::2] for each in cut(numbers, (held, True), 4)[:2])  # at most 500 of 564
    assert float(found[2]) == pytest.approx(log_loss(y, peer.predict_proba(x.reshape(len(x), -1))), rel=0.02)


def test_one_class_a_sequence():
    rng = np.random.default_rng(0)
    names = np.array(["a", "b", "c"])[rng.integers(3, size=150)]
    x = [rng.normal(size=(int(rng.integers(5, 20)), 2)) + "abc".index(name) for name in names]
    options = {"units": 3, "layers": 1, "steps": 100}
    with pytest.warns(GatewiseWarning, match=r"Classifier\(method='\w+', lookback=5\) is the simpler choice"):
        gw.Classifier(**options, learning_rate=1e-5).fit(x, names)
    far_apart = [one + 9 * "abc".index(name) for one, name in zip(x, names, strict=True)]
    gw.Classifier(**{**options, "units": 8}, learning_rate=0.03).fit(far_apart, names)  # nearly no loss: no warning


def test_pure_noise_is_not_warned_of():
    """The answer of a model to noise is the mean; no method can be better, whatever it finds in the training part."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 10)
    for _ in range(20):
        x, y = rng.normal(size=(300, 3, 1)), rng.normal(size=300)
        asked = number(y, "y", "squared")
        told = compared(
            suitable("regression"),
            (x[:180], y[:180], np.arange(180) // 10),
            (x[180:], y[180:]),
            np.full((120, 3), y[:180].mean()),
            asked.error,
            groups,
            asked.measure,
            asked.unit,
            asked.estimator,
            lookback=3,
            root=asked.root,
        )
        assert not told
        asked = label((y > 0.5).astype(int), -1, 2)
        share = (y[:180] > 0.5).mean()
        told = compared(
            [each for each in suitable("classification", classes=2) if each.name != "trees_window"],
            (x[:180], asked.targets[:180], np.arange(180) // 10),
            (x[180:], asked.targets[180:]),
            np.tile([1 - share, share], (120, 1)),
            asked.error,
            groups,
            asked.measure,
            asked.unit,
            asked.estimator,
            lookback=3,
            least=asked.least,
        )
        assert not told


def test_the_gain_is_a_share_of_the_root_and_not_too_small():
    blocks = np.arange(10)
    errors = np.linspace(1.0, 2.0, 10)
    told = [better(errors, {"r": errors * f}, blocks, "e", "", {"r": ""}, root=True) for f in (0.97, 0.95)]
    assert not told[0]  # 1.5 % of the root
    assert told[1] == [f"r has e of {np.sqrt(0.95 * 1.5):.3g} on the held-out rows, the model {np.sqrt(1.5):.3g}; "]
    small = [better(errors * f, {"r": errors * f / 2}, blocks, "e", "", {"r": ""}, least=LEAST_NATS) for f in (1, 0.01)]
    assert small[0]
    assert not small[1]  # 0.0075 nats


def test_a_class_that_was_thought_impossible_counts_little_more_than_others():
    found = answer_rivals.log_loss(np.array([0, 1]), np.array([[0.25, 0.75], [1.0, 0.0]]))
    np.testing.assert_allclose(found, [-np.log(0.25), 23 * np.log(2)])


def test_slow_methods_are_not_compared():
    def names(windows, lookback, columns, classes=None, loss="squared"):
        kind = "regression" if classes is None else "classification"
        methods = suitable(kind, classes=classes, loss=loss)
        return [each.name for each in methods if quick(each, windows, lookback, columns)]

    assert names(2000, 50, 25) == ["constant", "ridge", "trees_last", "trees_window"]
    assert names(2000, 50, 25, loss="absolute") == ["constant", "ridge", "trees_last"]
    assert names(2000, 50, 300) == ["constant", "ridge"]
    assert names(2000, 30, 12, 2) == ["constant", "logistic", "trees_last", "trees_window"]
    assert names(2000, 30, 12, 9) == ["constant", "logistic"]
    assert names(2000, 30, 25, 50) == ["constant"]
