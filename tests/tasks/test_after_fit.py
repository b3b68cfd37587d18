"""Parameters that are set after a fit: some take effect at once, others are refused until the next fit."""

import copy
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import gatewise as gw
from gatewise.errors import InputError, SpecError
from gatewise.layers.base import Array

X: Array = np.sin(np.arange(900.0) / 7) + 0.1 * np.random.default_rng(0).normal(size=900)
NEW: Array = np.sin(np.arange(300.0) / 7) + 0.2 * np.random.default_rng(1).normal(size=300)


def fitted(task: Any, data: Any = X, **parameters: Any) -> Any:
    given = {"units": 6, "steps": 3, "random_state": 3, **parameters}
    if task is gw.Detector:
        given = {"false_alarms_per_1000": 100, **given}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a rate that so few rows do not support
        return task(**given).fit(data)


@pytest.fixture(scope="module")
def detector_once() -> gw.Detector:
    found: gw.Detector = fitted(gw.Detector)
    return found


@pytest.fixture
def detector(detector_once: gw.Detector) -> gw.Detector:
    return copy.copy(detector_once)


@pytest.fixture(scope="module")
def forecaster_once() -> gw.Forecaster:
    found: gw.Forecaster = fitted(gw.Forecaster, horizons=3)
    return found


@pytest.fixture
def forecaster(forecaster_once: gw.Forecaster) -> gw.Forecaster:
    return copy.copy(forecaster_once)


SETTERS: list[Callable[[Any, str, Any], object]] = [setattr, lambda task, name, value: task.set_params(**{name: value})]


@pytest.mark.parametrize("change", SETTERS, ids=["attribute", "set_params"])
def test_another_rate_is_that_of_a_fit_with_it(detector: gw.Detector, change: Any, tmp_path: Path) -> None:
    scores = detector.score_samples(NEW)
    change(detector, "false_alarms_per_1000", np.float64(200))
    truth = fitted(gw.Detector, false_alarms_per_1000=200.0)
    assert detector.threshold_ == truth.threshold_ == pytest.approx(-np.log10(0.2))
    assert detector.offset_ == truth.offset_
    assert detector.model_.alarm_score == truth.model_.alarm_score
    np.testing.assert_array_equal(detector.score_samples(NEW), scores)
    np.testing.assert_array_equal(detector.predict(NEW), np.where(-scores >= -np.log10(0.2), -1, 1))
    np.testing.assert_array_equal(detector.predict(NEW), truth.predict(NEW))
    assert detector.explain(NEW)["alarm"].equals(truth.explain(NEW)["alarm"])
    detector.save(tmp_path / "m")
    again = gw.Detector.load(tmp_path / "m")
    assert again.model_.spec == truth.model_.spec
    assert again.model_.task.described == truth.model_.task.described
    assert again.false_alarms_per_1000 == 200
    assert again.threshold_ == truth.threshold_


def test_a_rate_without_support_is_warned_about(detector: gw.Detector) -> None:
    assert detector.warnings_ == ()
    with pytest.warns(UserWarning, match="the rate of false alarms, 0.1 in 1,000, rests on a fitted tail"):
        detector.false_alarms_per_1000 = 0.1
    (warning,) = detector.warnings_
    with pytest.warns(UserWarning, match="the rate of false alarms, 0.2 in 1,000, rests on a fitted tail"):
        detector.set_params(false_alarms_per_1000=0.2)
    assert len(detector.warnings_) == 1
    assert detector.warnings_ != (warning,)
    detector.false_alarms_per_1000 = 100
    assert detector.warnings_ == ()


@pytest.mark.parametrize("rate", [0, -1, 1e6, "often", None, float("nan")])
def test_a_rate_that_is_none_changes_nothing(detector: gw.Detector, rate: Any) -> None:
    before = detector.threshold_
    with pytest.raises(SpecError, match="false_alarms_per_1000 must be a number from 1e-06 to 999, got"):
        detector.false_alarms_per_1000 = rate
    assert detector.false_alarms_per_1000 == 100
    assert detector.threshold_ == before
    detector.predict(NEW)


def test_a_rate_that_is_none_changes_nothing_else(detector: gw.Detector) -> None:
    for bad, error in (({"time": "when", "false_alarms_per_1000": 0}, SpecError), ({"unit": 3}, ValueError)):
        with pytest.raises(error):
            detector.set_params(units=6, **{"time": "other", **bad})
        assert (detector.time, detector.units) == (None, 6)
    detector.predict(NEW)


def test_a_rate_waits_for_what_needs_training(detector: gw.Detector) -> None:
    detector.set_params(smooth=2, false_alarms_per_1000="often")
    assert detector.threshold_ == pytest.approx(1)
    with pytest.raises(SpecError, match="false_alarms_per_1000 must be a number"):
        detector.fit(X)
    detector.false_alarms_per_1000 = 200
    detector.smooth = 1
    assert detector.threshold_ == detector.model_.alarm_score == pytest.approx(-np.log10(0.2))
    detector.predict(NEW)


def test_the_warning_shows_the_line_that_sets_the_rate(detector: gw.Detector) -> None:
    for change in SETTERS:
        with pytest.warns(UserWarning, match="rests on a fitted tail") as caught:
            change(detector, "false_alarms_per_1000", 0.1)
        if change is not setattr:
            assert caught[0].filename == __file__
        detector.false_alarms_per_1000 = 100


def test_a_detector_with_another_rate_is_copied_and_pickled(detector: gw.Detector, detector_once: gw.Detector) -> None:
    detector.false_alarms_per_1000 = 200
    assert detector_once.threshold_ == pytest.approx(-np.log10(0.1)), "a copy is of its own"
    for other in (copy.deepcopy(detector), pickle.loads(pickle.dumps(detector))):
        assert other.threshold_ == detector.threshold_
        other.set_params(false_alarms_per_1000=100)
        assert other.model_.alarm_score == pytest.approx(1)
        assert detector.model_.alarm_score == pytest.approx(-np.log10(0.2))
    fresh = clone(detector)
    assert fresh.get_params() == detector.get_params()
    assert not hasattr(fresh, "model_")
    fresh.false_alarms_per_1000 = "any"  # stored as given until it is fitted
    assert fresh.false_alarms_per_1000 == "any"


def uses(task: Any, path: Path) -> list[Callable[[], object]]:
    common: list[Callable[[], object]] = [lambda: task.predict(NEW), lambda: task.save(path / "m")]
    if isinstance(task, gw.Forecaster):
        return [*common, lambda: task.backtest(NEW)]
    return [*common, *(lambda name=name: getattr(task, name)(NEW) for name in ("explain", "score_samples"))]  # type: ignore[misc]


@pytest.mark.parametrize("change", SETTERS, ids=["attribute", "set_params"])
@pytest.mark.parametrize(
    ("task", "name", "value", "message"),
    [
        (gw.Detector, "smooth", 9, "^smooth was changed after fit from 1 to 9; fit again, or set it back$"),
        (gw.Detector, "coverage", 0.5, "coverage was changed after fit from 0.95 to 0.5"),
        (gw.Detector, "random_state", 4, "random_state was changed after fit from 3 to 4"),
        (gw.Forecaster, "quantiles", (0.5,), r"quantiles was changed after fit from \[0.1, 0.5, 0.9\] to \[0.5\]"),
        (gw.Forecaster, "context", {"window": 4}, "context was changed after fit from 'carried' to {'window': 4}"),
        (gw.Forecaster, "options", {"reset": "before"}, "options was changed after fit from None to "),
    ],
)
def test_what_needs_training_is_refused(
    task: Any, name: str, value: Any, message: str, change: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    found = request.getfixturevalue(task.__name__.lower())
    before = getattr(found, name)
    change(found, name, value)
    for use in uses(found, tmp_path):
        with pytest.raises(InputError, match=message):
            use()
    if task is gw.Detector:
        found.false_alarms_per_1000 = 200  # follows, and blesses no other
        with pytest.raises(InputError, match=message):
            found.predict(NEW)
    change(found, name, before)
    for use in uses(found, tmp_path):
        use()


def test_all_that_was_changed_is_named_and_a_fit_ends_it(detector: gw.Detector) -> None:
    detector.set_params(units=5, smooth=2)
    with pytest.raises(
        InputError, match=r"smooth was changed .* from 1 to 2, units .* from 6 to 5; fit again, or set them back"
    ):
        detector.predict(NEW)
    detector.fit(X).predict(NEW)


@pytest.mark.parametrize("quantiles", [[0.1, 0.5, 0.9], np.array([0.1, 0.5, 0.9])], ids=["list", "array"])
def test_the_same_in_another_form_is_no_change(forecaster: gw.Forecaster, quantiles: Any) -> None:
    forecaster.set_params(quantiles=quantiles, units=np.int64(6), target=None)
    forecaster.predict(NEW)


@pytest.mark.parametrize("state", [None, np.random.RandomState(0), np.random.default_rng(0)], ids=str)
def test_a_random_state_that_is_no_number(state: Any, tmp_path: Path) -> None:
    found = fitted(gw.Detector, random_state=state)
    found.predict(NEW)
    found.save(tmp_path / "m")
    gw.Detector.load(tmp_path / "m").predict(NEW)
    pickle.loads(pickle.dumps(found)).predict(NEW)


def test_what_is_changed_in_place_is_seen() -> None:
    found = fitted(gw.Forecaster, recurrence="lstm", options={"chrono": 40}, horizons=2)
    found.options["chrono"] = 50
    with pytest.raises(InputError, match="options was changed after fit from {'chrono': 40} to {'chrono': 50}"):
        found.predict(NEW)


def test_the_time_is_read_where_it_is_said_to_be(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"stamp": pd.date_range("2024-01-01", periods=900, freq="min"), "v": X})
    found = fitted(gw.Forecaster, frame, time="stamp", horizons=2)
    wanted = found.predict(frame)
    found.time = "when"
    pd.testing.assert_frame_equal(
        found.predict(frame.rename(columns={"stamp": "when"})), wanted.rename(columns={"stamp": "when"})
    )
    found.save(tmp_path / "m")
    assert gw.Forecaster.load(tmp_path / "m").time == "when"
