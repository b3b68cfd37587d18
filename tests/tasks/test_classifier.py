"""Classifier: what it learns, the names of classes, and that a stream gives the same bits."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

import gatewise as gw
from gatewise.errors import InputError
from gatewise.layers.base import Array

QUICK: dict[str, Any] = {"units": 4, "layers": 1, "steps": 5}


def delayed(sequences: int, seed: int = 0) -> tuple[list[Array], list[str]]:
    """The class is the sign of the first of 12 to 20 readings; all others are noise."""
    rng = np.random.default_rng(seed)
    x = [rng.normal(size=(int(rng.integers(12, 21)), 2)) for _ in range(sequences)]
    for one in x:
        one[0, 0] += np.copysign(0.5, one[0, 0])
    return x, ["up" if one[0, 0] > 0 else "down" for one in x]


def read(path: Path) -> tuple[list[Array], list[str]]:
    """The sequences (time, inputs) and their classes in a file of the UEA archive."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    rows = [line.split(":") for line in lines if line and line[0] not in "#@"]
    return [np.array([one.split(",") for one in row[:-1]], float).T for row in rows], [row[-1] for row in rows]


@pytest.fixture(scope="module")
def fitted() -> gw.Classifier:
    return gw.Classifier(units=16, layers=1, steps=400, variational_dropout=0.0).fit(*delayed(300))


def test_it_remembers_the_first_reading(fitted: gw.Classifier) -> None:
    x, y = delayed(200, seed=1)
    scores = fitted.score(x, y)
    assert scores["accuracy"] > 0.97
    found = fitted.predict(x)
    assert list(found) == ["prediction", "down", "up"]
    assert scores["accuracy"] == (found["prediction"] == y).mean()
    likely = found[["down", "up"]].to_numpy(copy=True)
    np.testing.assert_allclose(likely.sum(axis=1), 1, atol=1e-6)
    likely /= likely.sum(axis=1, keepdims=True)
    assert scores["log_loss"] == pytest.approx(log_loss(y, likely), abs=1e-6)
    assert fitted.answer_ == "sequence"
    assert fitted.classes_ == ("down", "up")


def test_a_stream_gives_the_same_bits(fitted: gw.Classifier, tmp_path: Path) -> None:
    x, _ = delayed(4, seed=2)
    fitted.save(tmp_path / "m")
    again = gw.load_task(tmp_path / "m")
    assert isinstance(again, gw.Classifier)
    found = again.predict(x)
    pd.testing.assert_frame_equal(found, fitted.predict(x))
    assert again.model_.output_names == ("down", "up")
    for i, one in enumerate(x):
        stream = again.model_.stream()
        last = [stream.push(row) for row in np.float32(one)][-1]
        np.testing.assert_array_equal(last, found.loc[i, ["down", "up"]].to_numpy(float))


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "name", "least"), [("japanese_vowels", "JapaneseVowels", 0.93), ("basic_motions", "BasicMotions", 0.97)]
)
def test_the_default_configuration_on_known_sets(data_dir: Path, folder: str, name: str, least: float) -> None:
    """Published: 0.96 and 1.0 by dynamic time warping with one neighbour (Bagnall et al. 2018)."""
    train, test = (read(data_dir / folder / f"{name}_{part}.ts.gz") for part in ("TRAIN", "TEST"))
    task = gw.Classifier(steps=600).fit(*train)
    assert task.score(*test)["accuracy"] >= least


@pytest.mark.parametrize(
    "names", [["a", "b", "c"], [3, 1, 2], [True, False], ["10", "9"], np.array([7, 8, 9], np.int8)]
)
def test_predictions_are_classes_as_the_data_have_them(names: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    which = rng.integers(len(names), size=60)
    x = rng.normal(size=(60, 5, 1)) + 4 * which[:, None, None]
    y = pd.Series([names[k] for k in which])
    task = gw.Classifier(units=8, layers=1, steps=100, learning_rate=0.03).fit(x, y)
    task.save(tmp_path / "m")
    found = gw.load_task(tmp_path / "m").predict(x)  # type: ignore[attr-defined]
    assert (found["prediction"] == y).mean() > 0.95
    assert {type(one) for one in found["prediction"].tolist()} == {type(one) for one in y.tolist()}
    assert list(found)[1:] == [str(name) for name in sorted(names)]


def test_rows_of_a_long_frame() -> None:
    """The class of each row is whether there has been a pulse before; some rows have none."""
    rng = np.random.default_rng(0)
    frames = []
    for i in range(40):
        x = rng.normal(size=30) + 5 * (rng.random(30) < 0.05)
        x[(x > 2) & (x < 3)] = 0
        state = pd.Series(np.where(np.maximum.accumulate(x) > 2.5, 1, 0)).astype("Int64")
        state[rng.random(30) < 0.2] = pd.NA
        frames.append(pd.DataFrame({"run": i, "x": x, "state": state}))
    frame = pd.concat(frames, ignore_index=True)
    task = gw.Classifier(units=16, layers=1, steps=300, target="state", series="run").fit(frame)
    assert task.score(frame)["accuracy"] > 0.97
    found = task.predict(frame.drop(columns="state"))
    assert list(found) == ["run", "prediction", "0", "1"]
    assert len(found) == len(frame)
    assert found["prediction"].dtype == np.int64


def test_each_class_has_its_share_of_the_held_out_sequences() -> None:
    x = np.random.default_rng(0).normal(size=(55, 4, 1))
    with pytest.warns(UserWarning, match="only one example of the class 'rare', so it cannot be both trained on and"):
        task = gw.Classifier(**QUICK).fit(x, ["a"] * 44 + ["b"] * 10 + ["rare"])
    assert task.split_.validation == 4 * (9 + 2)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a"] * 20, "all answers are of one class, 'a'; give examples of at least two classes"),
        ([None] * 20, "the target has no answers"),
        (["a", 1] * 10, "the classes are of several types"),
        ([0.5, 1.5] * 10, "the target has the number 0.5, .* use a Regressor"),
        ([pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-02")] * 10, "the target has a Timestamp"),
    ],
)
def test_bad_classes_are_refused(y: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        gw.Classifier(**QUICK).fit(np.random.default_rng(0).normal(size=(20, 4, 1)), y)


def test_an_unknown_class_is_refused_when_scored(fitted: gw.Classifier) -> None:
    x, y = delayed(5)
    with pytest.raises(InputError, match="the class 'left' at row .*, which is none of those of the fit, 'down', 'up'"):
        fitted.score(x, [*y[:4], "left"])


def test_a_start_has_the_same_classes(fitted: gw.Classifier) -> None:
    x, y = delayed(30, seed=5)
    other = gw.Classifier(**{**fitted.get_params(), "steps": 2})
    assert other.fit(x, y, start=fitted).classes_ == fitted.classes_
    with pytest.raises(InputError, match=r"its targets are \['down', 'up'\], and \['left', 'up'\] here"):
        other.fit(x, ["left" if one == "down" else one for one in y], start=fitted)


def test_doubtful_classes_are_told() -> None:
    x = np.random.default_rng(0).normal(size=(60, 4, 1))
    with pytest.warns(UserWarning, match="60 different numbers in 60 answers, which look like a quantity"):
        gw.Classifier(**QUICK).fit(x, np.arange(60))
    known = np.arange(60) % 2
    telling = np.concatenate([x, np.repeat(known, 4).reshape(60, 4, 1)], axis=2)
    with pytest.warns(UserWarning, match="column 'x1' tells the target 'y': with each of its values there is only one"):
        gw.Classifier(**QUICK).fit(telling, known)


def test_classes_named_like_results() -> None:
    x = np.random.default_rng(0).normal(size=(20, 4, 1))
    task = gw.Classifier(**QUICK).fit(x, ["prediction", "other"] * 10)
    assert list(task.predict(x)) == ["prediction", "other", "prediction_"]
