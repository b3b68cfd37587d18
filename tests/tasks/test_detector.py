"""Detector: held-out data stay held out, streaming equals batch, and scikit-learn's manners."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks

import gatewise as gw
from gatewise.errors import FileError, InputError, StateError
from gatewise.tasks.detector import Detector
from sections import retold

ROWS = 1200
TINY: dict[str, Any] = {"units": 4, "steps": 20, "batch": 8, "bptt": 32}


def frame(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """A vibration that follows a load, each minute."""
    noise = np.random.default_rng(seed).normal(0, [1, 0.1], (rows, 2))
    load = 50 + 10 * np.sin(2 * np.pi * np.arange(rows) / 60) + noise[:, 0]
    vibration = 3 + 0.02 * np.r_[load[:1], load[:-1]] + noise[:, 1]
    stamps = pd.date_range("2024-01-01", periods=rows, freq="min")
    return pd.DataFrame({"stamp": stamps, "load": load, "vibration": vibration})


def fitted(data: Any, **parameters: Any) -> Detector:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Detector(**{**TINY, **parameters}).fit(data)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return fitted(frame(), target="vibration", time="stamp", smooth=3, false_alarms_per_1000=20.0)


def pushed(detector: Detector, values: np.ndarray, state: Any = None) -> np.ndarray:
    stream = detector.model_.stream(state)
    return np.stack([stream.push(row) for row in values.astype(np.float32)])


def test_streaming_gives_the_scores_of_the_batch_bit_for_bit(detector: Detector) -> None:
    new = frame(300, seed=1)
    scores = -detector.score_samples(new)
    answers = pushed(detector, new[["load", "vibration"]].to_numpy())
    assert (answers[:, 0].astype(np.float64) == scores).all()
    explained = detector.explain(new)
    for k, name in enumerate(("score", "expected", "low", "high")):
        assert (answers[:, k].astype(np.float64) == explained[name].to_numpy()).all()


def test_the_fitted_state_goes_straight_on(detector: Detector) -> None:
    data = frame(ROWS + 200)
    whole = detector.score_samples(data)
    np.testing.assert_array_equal(detector.score_samples(data[ROWS:], state=detector.state_), whole[ROWS:])
    assert (detector.score_samples(data[ROWS:]) != whole[ROWS:]).any()
    foreign = gw.init(gw.ModelSpec(inputs=2, layers=[gw.LayerSpec("gru", units=3)])).stream().state
    with pytest.raises(StateError, match="another structure"):
        detector.score_samples(data, state=foreign)


def test_weights_never_see_the_calibration_rows() -> None:
    data = frame()
    one = fitted(data, target="vibration", time="stamp")
    split = one.split_
    assert (split.training, split.validation, split.calibration) == (900, 60, 240)
    other = data.copy()
    other.loc[split.training + split.validation :, ["load", "vibration"]] *= 1.7
    two = fitted(other, target="vibration", time="stamp")
    for name, value in one.model_.tensors.items():
        same = np.array_equal(value, two.model_.tensors[name])
        measured = ("statistic", "score", "band", "clip", "range", "factor")
        assert same == (name.removeprefix("head.") not in measured), name


def test_scores_on_the_calibration_rows_are_their_own_tail_probabilities(detector: Detector) -> None:
    """Counted independently: of n held-out rows, about n p have a score of -log10 p or more."""
    split = detector.split_
    held = detector.explain(frame()).iloc[split.training + split.validation :]
    n = len(held)
    assert detector.calibration_.samples == n == split.calibration
    for p in (0.5, 0.2, 0.1, 0.05):
        assert (held["score"] >= -np.log10(p)).sum() == pytest.approx(n * p, abs=2 + 0.25 * n * p)
    assert held["observed"].between(held["low"], held["high"]).mean() == pytest.approx(0.95, abs=0.01)
    assert (held["low"] < held["expected"]).all()
    assert (held["expected"] < held["high"]).all()


def test_expectations_are_in_the_units_of_the_data(detector: Detector) -> None:
    data = frame(600, seed=2)
    explained = detector.explain(data)
    assert list(explained.columns) == [
        *("stamp", "observed", "score", "expected", "low", "high", "extrapolated", "alarm"),
    ]
    np.testing.assert_allclose(explained["observed"], data["vibration"], rtol=1e-6)
    assert explained["expected"].mean() == pytest.approx(data["vibration"].mean(), abs=0.1)
    first = explained.iloc[0]
    assert first["expected"] == pytest.approx(frame()["vibration"][:900].mean(), rel=1e-5)  # the zero state


def test_scores_decisions_and_predictions_agree(detector: Detector) -> None:
    new = frame(500, seed=3)
    scores, decisions, labels = detector.score_samples(new), detector.decision_function(new), detector.predict(new)
    assert scores.shape == decisions.shape == labels.shape == (500,)
    assert (scores <= 0).all()
    assert detector.threshold_ == -detector.offset_ == pytest.approx(-np.log10(0.02))
    np.testing.assert_array_equal(decisions, scores - detector.offset_)
    np.testing.assert_array_equal(labels == -1, detector.explain(new)["alarm"])
    assert set(labels) == {-1, 1}


def test_a_strange_reading_is_an_alarm_beyond_what_the_data_can_show(detector: Detector) -> None:
    new = frame(200, seed=4)
    new.loc[150, "vibration"] += 3.0  # thirty times the noise
    row = detector.explain(new).iloc[150]
    assert row["alarm"]
    assert row["extrapolated"]
    assert row["score"] > np.log10(detector.calibration_.samples)
    assert row["observed"] > row["high"]


@pytest.mark.parametrize(("per_1000", "low", "high"), [(100.0, 80, 125), (10.0, 5, 20)])
def test_alarms_come_at_the_stated_rate(per_1000: float, low: float, high: float) -> None:
    rng = np.random.default_rng(7)
    noise = rng.laplace(size=30_000)
    values = np.sin(np.arange(30_000) / 9) + noise
    detector = fitted(values[:6_000], false_alarms_per_1000=per_1000)
    alarms = (detector.predict(values[6_000:], state=detector.state_) == -1).mean()
    assert low < 1000 * alarms < high


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    data = frame()["vibration"]
    one, two = (fitted(data, random_state=5).model_.tensors for _ in range(2))
    assert all(np.array_equal(value, two[name]) for name, value in one.items())
    other = fitted(data, random_state=np.random.RandomState(6)).model_.tensors
    assert not np.array_equal(one["gru0.weight_ih"], other["gru0.weight_ih"])
    again = fitted(data, random_state=np.random.RandomState(6)).model_.tensors
    assert np.array_equal(again["gru0.weight_ih"], other["gru0.weight_ih"])


def test_every_source_gives_the_same_scores(tmp_path: Path, detector: Detector) -> None:
    new = frame(100, seed=8)
    csv, parquet = tmp_path / "new.csv", tmp_path / "new.parquet"
    shuffled = new[["vibration", "stamp", "load"]].assign(other="text")  # columns are found by name
    shuffled.to_csv(csv, index=False)
    shuffled.to_parquet(parquet)
    expected = detector.score_samples(new)
    for source in (csv, str(parquet), shuffled, new[["load", "vibration"]].to_numpy()):
        np.testing.assert_array_equal(detector.score_samples(source), expected)


def test_arrays_have_no_names(tmp_path: Path) -> None:
    values = frame()[["load", "vibration"]].to_numpy()
    detector = fitted(values, target=1)
    assert (detector.columns_, detector.targets_) == (("x0", "x1"), ("x1",))
    assert detector.n_features_in_ == 2
    assert not hasattr(detector, "feature_names_in_")
    assert detector.model_.spec.input.options["columns"] is None
    named = fitted(frame().drop(columns="stamp"), target=1)
    assert list(named.feature_names_in_) == ["load", "vibration"]
    with pytest.raises(InputError, match="was fitted on 2 columns"):
        detector.score_samples(values[:, :1])
    with pytest.raises(InputError, match="was fitted on 2 columns"):
        named.score_samples(values[:, 0])
    with pytest.raises(InputError, match="no column 'vibration'"):
        named.score_samples(frame()[["load"]])


def test_missing_readings_are_refused_or_held_and_never_calibrate() -> None:
    data = frame()
    data.loc[1_050:1_059, "vibration"] = np.nan
    data.loc[[3, 400], "load"] = np.inf
    with pytest.raises(InputError, match=r"'load' has 2 non-finite readings, the first at row 3, 2024-01-01 00:03:00"):
        fitted(data, target="vibration", time="stamp")
    with pytest.raises(InputError, match="; fill them in, or fit with missing='hold' to repeat"):
        fitted(frame(), target="vibration", time="stamp").explain(data)
    detector = fitted(data, target="vibration", time="stamp", missing="hold")
    assert detector.calibration_.samples == detector.split_.calibration - 10
    explained = detector.explain(data)
    assert np.isfinite(explained["score"]).all()
    assert np.flatnonzero(explained["observed"].isna()).tolist() == list(range(1_050, 1_060))
    values = data[["load", "vibration"]].to_numpy()
    assert (pushed(detector, values)[:, 0] == explained["score"].to_numpy()).all()


def test_what_a_masked_array_hides_is_missing() -> None:
    data = frame()[["load", "vibration"]].to_numpy()
    mask = np.zeros_like(data, bool)
    mask[1_050:1_060, 1] = mask[[3, 400], 0] = True
    missing, hidden = np.where(mask, np.nan, data), np.ma.masked_array(np.where(mask, 1e6, data), mask)
    with pytest.raises(InputError, match="'x0' has 2 non-finite readings, the first at row 3"):
        fitted(hidden, target=1)
    one, two = (fitted(values, target=1, missing="hold") for values in (missing, hidden))
    for name, value in one.model_.tensors.items():
        np.testing.assert_array_equal(value, two.model_.tensors[name], name)
    np.testing.assert_array_equal(one.score_samples(missing), two.score_samples(hidden))


def test_saved_and_loaded_it_is_the_same(tmp_path: Path, detector: Detector) -> None:
    path = tmp_path / "pump.safetensors"
    detector.save(path)
    loaded = Detector.load(path)
    new = frame(100, seed=9)
    np.testing.assert_array_equal(loaded.score_samples(new), detector.score_samples(new))
    assert loaded.get_params() == detector.get_params()
    for name in ("columns_", "targets_", "threshold_", "offset_", "split_", "state_", "warnings_", "n_features_in_"):
        assert getattr(loaded, name) == getattr(detector, name), name
    assert list(loaded.feature_names_in_) == ["load", "vibration"]
    assert loaded.calibration_.finest_per_1000 == detector.calibration_.finest_per_1000
    assert not hasattr(loaded, "history_")
    assert gw.load(path).graph.output_names[0] == "score"  # a plain model, too
    copied = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(copied.score_samples(new), detector.score_samples(new))


def test_a_file_that_no_detector_wrote_is_refused(tmp_path: Path, detector: Detector) -> None:
    path = tmp_path / "other.safetensors"
    model = detector.model_
    gw.Model(model.spec, model.tensors).save(path)
    with pytest.raises(
        FileError, match=r"other.safetensors cannot be read as a Detector: it was not made by a Detector"
    ):
        Detector.load(path)
    good = model.task.described
    for change in (
        {"parameters": {"unit": 3}},
        {"split": {"training": 1}},
        {"split": {**good["split"], "training": "all"}},
        {"calibration": {}},
        {"calibration": {**good["calibration"], "effective": "many"}},
        {"warnings": 3},
        {"warnings": "text"},
        {"parameters": None},
    ):
        retold(model, {**good, **change}).save(path)
        with pytest.raises(FileError, match="cannot be read as a Detector"):
            Detector.load(path)
    for lost in ("parameters", "split", "calibration", "warnings"):
        retold(model, {k: v for k, v in good.items() if k != lost}).save(path)
        with pytest.raises(FileError, match=f"cannot be read as a Detector: it does not say '{lost}'"):
            Detector.load(path)
    spec = model.spec.replace(head=None)
    tensors = {name: value for name, value in model.tensors.items() if not name.startswith("head.")}
    gw.Model(spec, tensors, task=model.task).save(path)
    with pytest.raises(FileError, match="cannot be read as a Detector: it has no head tail_probability"):
        Detector.load(path)
    with pytest.raises(FileNotFoundError):
        Detector.load(tmp_path / "nothing.safetensors")


def test_warnings_are_kept_and_issued(detector: Detector) -> None:
    with pytest.warns(UserWarning, match=r"rate of false alarms, 1 in 1,000, rests on a fitted tail .*would support 1"):
        found = Detector(**TINY, target="vibration", time="stamp").fit(frame())
    assert len(found.warnings_) == 1
    assert "the 240 calibration rows are worth" in found.warnings_[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet = Detector(**TINY, target="vibration", time="stamp", false_alarms_per_1000=200.0).fit(frame())
    assert quiet.warnings_ == ()


def test_budget_metrics_and_progress_reach_the_training(tmp_path: Path) -> None:
    seen: list[Any] = []
    metrics, kept = tmp_path / "metrics.csv", tmp_path / "run.safetensors"
    data = frame()["vibration"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = Detector(**TINY).fit(data, progress=seen.append, metrics=metrics, checkpoint=kept)
        second = Detector(**TINY).fit(data, checkpoint=kept)
    assert len(seen) == 20
    assert first.history_.stopped == "budget"
    assert len(pd.read_csv(metrics)) == len(first.history_.records)
    assert np.array_equal(first.model_.tensors["head.score"], second.model_.tensors["head.score"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"target": []}, "target is an empty list"),
        ({"target": "b"}, r"target is 'b', but the columns read are \['stamp', 'load', 'vibration'\]"),
        ({"target": 3}, "give a name or a position"),
        ({"target": "vibration", "columns": ["load"]}, r"the columns read are \['load'\]"),
        ({"target": 1, "validation": 0.0}, "validation must be a share between 0 and 1, got 0.0"),
        ({"target": 1, "validation": True}, "validation must be a share"),
        ({"target": 1, "coverage": 95}, "coverage must be a share between 0 and 1, got 95"),
        ({"target": 1, "recurrence": "transformer"}, "recurrence must be one of .*'gru'.*got 'transformer'"),
        ({"target": 1, "recurrence": "dense"}, "recurrence must be one of"),
        ({"target": 1, "layers": 0}, "layers must be a whole number of at least 1, got 0"),
        ({"target": 1, "units": 0}, "units must be a whole number"),
        ({"target": 1, "smooth": 0}, "smooth must be a whole number"),
        ({"target": 1, "false_alarms_per_1000": 0}, "false_alarms_per_1000 must be a number"),
        ({"target": 1, "missing": "drop"}, 'missing must be "raise", "hold" or "mask"'),
        ({"target": 1, "random_state": "x"}, "random_state must be"),
        ({"target": 1, "random_state": -1}, "random_state must be a whole number from 0.*got -1"),
        ({"target": 1, "random_state": 1 << 63}, "random_state must be a whole number from 0.*got 9223372036854775808"),
        ({"target": 0, "columns": 5}, "columns must be a list of names, got 5"),
        ({"target": 1, "batch": np.int64(0)}, "batch must be a whole number of at least 1, got 0"),
        ({"target": 1, "learning_rate": -1.0}, "learning_rate must be"),
    ],
)
def test_bad_parameters_are_refused_by_fit_not_before(parameters: dict[str, Any], message: str) -> None:
    data = frame()
    data["stamp"] = np.arange(len(data)) % 7
    detector = Detector(**{**TINY, **parameters})
    with pytest.raises(ValueError, match=message):
        detector.fit(data)
    assert not hasattr(detector, "model_")


def test_parameters_may_be_numpy_scalars() -> None:
    given: dict[str, Any] = {
        **{name: np.int64(value) for name, value in TINY.items()},
        "layers": np.int8(1),
        "smooth": np.uint16(2),
        "epochs": np.int32(50),
        "learning_rate": np.float32(0.01),
        "validation": np.float32(0.25),
        "coverage": np.float32(0.5),
        "false_alarms_per_1000": np.float32(20),
        "random_state": np.int64(3),
    }
    values = frame()["vibration"]
    one, two = (fitted(values, **p).model_ for p in (given, {k: v.item() for k, v in given.items()}))
    for name, value in one.tensors.items():
        np.testing.assert_array_equal(value, two.tensors[name], name)
    assert one.task.described["parameters"] == two.task.described["parameters"]


def test_only_layers_that_are_recurrent_are_recurrences() -> None:
    for kind in ("norm", "dense"):
        known = r"\['rnn', 'lstm', 'gru', 'mingru', 'minlstm', 'rglru', 'lru'\]"
        with pytest.raises(
            InputError, match=rf"recurrence must be one of {known}, or a list of LayerSpec, got '{kind}'"
        ):
            fitted(frame()["vibration"], recurrence=kind)


def test_too_few_rows_are_refused_saying_how_many_are_needed() -> None:
    data = frame()["vibration"]
    with pytest.raises(
        InputError, match=r"200 rows are too few: with validation=0.25 .* at least 280, of which 100 train"
    ):
        fitted(data[:200])
    assert fitted(data[:280]).split_.calibration >= 50


def test_a_constant_column_is_refused() -> None:
    data = frame()
    data.loc[:899, "load"] = 4.0
    with pytest.raises(InputError, match="'load' is 4 throughout in the 900 rows of the training part"):
        fitted(data, target="vibration", time="stamp")
    data = frame()
    data.loc[950:, "vibration"] = 3.5
    with pytest.raises(InputError, match=r"'vibration' is 3.5 throughout the 240 rows of the calibration part"):
        fitted(data, target="vibration", time="stamp")


def test_manners_of_scikit_learn(detector: Detector) -> None:
    fresh = clone(detector)
    assert fresh.get_params() == detector.get_params()
    assert not hasattr(fresh, "model_")
    with pytest.raises(NotFittedError):
        fresh.score_samples(frame())
    assert fresh.set_params(units=7).units == 7
    assert repr(Detector(units=5)) == "Detector(units=5)"
    for check in (
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_tags_renamed,
        estimator_checks.check_valid_tag_types,
        estimator_checks.check_mixin_order,
        estimator_checks.check_estimators_unfitted,
    ):
        check("Detector", Detector(**TINY))


def test_fit_keeps_data_and_parameters_as_they_are(detector: Detector) -> None:
    data = frame()
    before = data.copy()
    found = Detector(**TINY, target="vibration", time="stamp", columns=["vibration"])
    parameters = found.get_params()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = found.fit_predict(data)
    pd.testing.assert_frame_equal(data, before)
    assert found.get_params() == parameters
    assert found.columns_ == ("vibration",)
    assert labels.shape == (ROWS,)


def test_fitting_again_forgets_names() -> None:
    found = fitted(frame()[["vibration"]])
    assert hasattr(found, "feature_names_in_")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found.fit(frame()["vibration"].to_numpy())
    assert not hasattr(found, "feature_names_in_")


def run_alone(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout


def test_scoring_needs_no_torch(tmp_path: Path, detector: Detector) -> None:
    path = tmp_path / "pump.safetensors"
    detector.save(path)
    said = run_alone(
        "import sys, numpy as np\n"
        "from gatewise import Detector\n"
        f"print(Detector.load({str(path)!r}).score_samples(np.ones((5, 2))).shape, 'torch' in sys.modules)"
    )
    assert said == "(5,) False\n"


@pytest.mark.parametrize("absent", ["pandas", "sklearn", "torch"])
def test_an_extra_that_is_missing_is_named(absent: str) -> None:
    said = run_alone(
        "import sys\nclass Absent:\n    def find_spec(self, name, *_):\n"
        f"        if name.split('.')[0] == {absent!r}: raise ImportError(name)\n"
        "sys.meta_path.insert(0, Absent())\nimport gatewise\n"
        "try:\n    gatewise.Detector(validation=0.4).fit(list(range(400)))\n"
        "except gatewise.errors.MissingExtraError as error:\n    print(error)"
    )
    assert "pip install 'gatewise[train]'" in said
