"""A detector says, once, that readings are no longer like those it was calibrated on; and is silent while they are."""

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise import Detector
from gatewise.drift import describe, first_drift
from gatewise.errors import InputError, StateError
from gatewise.heads.tail_probability.spec import ROWS_PER_ERROR, Spec

ROWS = 4000


def table(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    return pd.DataFrame({"a": np.sin(t / 8) + rng.normal(0, 0.3, n), "b": np.cos(t / 5) + rng.normal(0, 0.3, n)})


@pytest.fixture(scope="module")
def fitted() -> Detector:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Detector(units=8, steps=150, learning_rate=1e-2).fit(table(ROWS, 0))


FRESH = table(ROWS + 3000, 0)[ROWS:].reset_index(drop=True)
"""Rows of the same kind, in phase with those fitted."""


def changed(**columns: np.ndarray) -> pd.DataFrame:
    return FRESH.assign(**{name: FRESH[name] + value for name, value in columns.items()})


STEP = np.where(np.arange(3000) >= 500, 1.0, 0.0)
CHANGES = {
    "level": changed(b=5 * FRESH.b.std() * STEP),
    "ramp": changed(b=np.linspace(0, 12, 3000)),
    "noise": FRESH.assign(b=FRESH.b + STEP * np.random.default_rng(5).normal(0, 1.5, 3000)),
}


def test_nothing_is_said_of_rows_like_those_fitted(fitted: Detector) -> None:
    fitted.explain(FRESH, fitted.state_)  # a warning would be an error
    fitted.predict(table(3000, 9))


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_told_once_and_soon_and_by_its_column(fitted: Detector, name: str) -> None:
    with pytest.warns(UserWarning, match="no longer|not calibrated") as caught:
        found = fitted.explain(CHANGES[name], fitted.state_)
    assert len(caught) == 1
    assert re.search(r"of '(\w)'", str(caught[0].message))[1] == "b"  # type: ignore[index]
    assert caught[0].filename == __file__
    row = int(str(caught[0].message).split()[1].rstrip(":,"))
    begins = 500 if name != "ramp" else int(np.argmax(CHANGES[name].b > table(ROWS, 0).b.max()))
    assert begins - (600 if name == "ramp" else 0) <= row <= begins + 200
    assert len(found) == 3000


def test_a_stream_tells_the_same_at_the_same_step(fitted: Detector, tmp_path: Path) -> None:
    fitted.save(tmp_path / "m.safetensors")
    model = gw.load(tmp_path / "m.safetensors")
    x = CHANGES["noise"].to_numpy(np.float32)
    found = first_drift(model, x, fitted.state_)
    assert found is not None
    stream = model.stream(fitted.state_)
    for row in x[: found[0]]:
        stream.push(row)
    assert stream.drifts == ()
    stream.push(x[found[0]])
    assert [drift.column for drift in stream.drifts] == ["b"]
    assert stream.drifts[0].evidence >= 1
    assert stream.state == found[1]
    again = model.stream(stream.save())
    assert again.drifts == stream.drifts, "what was found is part of the state"
    with pytest.warns(UserWarning, match=f"row {found[0]}, .*|row {found[0]}: "):
        fitted.score_samples(CHANGES["noise"], fitted.state_)
    stream.push_many(x[found[0] + 1 :])
    stream.settle()
    assert stream.drifts == ()
    assert model.drifts(model.settled(again.state)) == ()


def test_a_state_in_which_it_was_told_already_is_not_told_of_again(fitted: Detector) -> None:
    _, state = fitted.model_.run(CHANGES["noise"].to_numpy(), fitted.state_, return_state=True)
    assert fitted.model_.drifts(state)
    fitted.explain(CHANGES["noise"], state)


def test_a_pool_tells_it_of_each_session(fitted: Detector) -> None:
    pool = fitted.model_.pool(2)
    for fresh, noisy in zip(FRESH.to_numpy(np.float32), CHANGES["noise"].to_numpy(np.float32), strict=True):
        pool.push([0, 1], np.stack([fresh, noisy]))
    assert pool.drifts(0) == ()
    assert pool.drifts(1)[0].column == "b"


def test_the_words_name_the_level_and_its_range_in_the_units_of_the_column(fitted: Detector) -> None:
    model = fitted.model_
    stuck = np.tile(np.array([[0.0, 50.0]], np.float32), (600, 1))
    found = first_drift(model, np.concatenate([FRESH.to_numpy(np.float32)[:300], stuck]), fitted.state_)
    assert found is not None
    fields = {**found[1].fields, "head.rate_evidence": np.zeros_like(found[1].fields["head.rate_evidence"])}
    fields["head.level_evidence"] = np.array([[[0, 0], [2, 0]]], np.float32)
    words = describe(model, gw.State(found[1].structure, fields))
    offset, scale = (model.tensors[f"input.{name}"][1] for name in ("offset", "scale"))
    level = fields["head.level"][0, 1, 0] * scale + offset
    assert (
        f"the level of 'b' has left the range in which the model was fitted: its mean over some 16 rows is {level:.5g}"
        in words
    )


def test_states_of_several_sessions_are_refused(fitted: Detector) -> None:
    _, state = fitted.model_.run(np.zeros((2, 3, 2), np.float32), return_state=True)
    with pytest.raises(StateError):
        fitted.model_.drifts(state)


def test_fitted_rows_are_no_evidence(fitted: Detector) -> None:
    for name, value in fitted.state_.fields.items():
        if name.endswith("evidence"):
            assert not value.any()
    assert fitted.state_.fields["head.level"].any()


def test_models_without_tests_have_no_drift() -> None:
    model = gw.init(gw.ModelSpec(1, [gw.LayerSpec("gru", units=2)]))
    stream = model.stream()
    stream.push(1.0)
    assert stream.drifts == ()
    assert first_drift(model, np.ones((5, 1), np.float32)) is None
    uncalibrated = gw.init(gw.ModelSpec(1, [gw.LayerSpec("dense", units=2)], head=gw.LayerSpec("tail_probability")))
    _, state = uncalibrated.run(np.full((3000, 1), 9.0), return_state=True)
    assert uncalibrated.drifts(state) == ()


@pytest.mark.parametrize("rate", [0.01, 1.0, 20.0, 300.0])
@pytest.mark.parametrize("targets", [(0,), (0, 1, 2)])
def test_the_test_of_the_rate_is_an_e_detector(rate: float, targets: tuple[int, ...]) -> None:
    """At twice the stated rate the statistic grows by its start a row on average, so 1 takes 1 / start rows or more."""
    head = Spec(targets=targets, samples=1000, false_alarms_per_1000=rate)
    start, factors = head.rate_test
    p = 2 * rate / 1000
    for i in (0, 1):
        assert p * factors[2 * i] + (1 - p) * factors[2 * i + 1] == pytest.approx(1.0, rel=1e-9)
    tests = 2 * head.rates
    assert tests * start == pytest.approx(0.75 / ROWS_PER_ERROR)


def test_a_rate_that_says_nothing_is_not_tested() -> None:
    assert Spec(samples=1000, false_alarms_per_1000=600.0).rate_test == (0.0, (0.0,) * 4)


@pytest.mark.parametrize(("multiple", "within"), [(10, 2500), (50, 200)])
def test_higher_rates_are_found_in_time(multiple: int, within: int) -> None:
    """By the recursion in its plain form, a sum over all rows at which the change may have begun."""
    start, factors = Spec(samples=1000).rate_test
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(60):
        alarms = rng.random(8 * within) < multiple / 1000
        first = []
        for i in (0, 1):
            logs = np.cumsum(np.log(np.where(alarms, factors[2 * i], factors[2 * i + 1])))
            earlier = np.logaddexp.accumulate(-np.r_[0.0, logs[:-1]])
            first.append(int(np.argmax(logs + earlier + np.log(start) >= 0)) + 1)
        rows.append(min(first))
    assert np.median(rows) < within
    assert np.mean(np.array(rows) <= within) > 0.7


def test_the_summary_counts_and_joins_alarms(fitted: Detector) -> None:
    data = FRESH.copy()
    data.loc[1000, "a"] += 8
    data.loc[2000, "b"] -= 15
    found = fitted.explain(data, fitted.state_)
    short = fitted.summary(found)
    assert short.rows == 3000
    assert short.alarms == int(found.alarm.sum())
    assert short.expected == pytest.approx(3.0)
    assert short.episodes.alarms.sum() == short.alarms
    assert short.episodes.strongest.is_monotonic_decreasing
    two = short.episodes.set_index("start").loc[[2000, 1000]]
    assert two.column.tolist() == ["b", "a"]
    assert two.strongest.tolist() == [
        found.score[2000 : two.end[2000] + 1].max(),
        found.score[1000 : two.end[1000] + 1].max(),
    ]
    assert str(short).startswith(f"{short.alarms} alarms in 3,000 rows, 3 expected, in {len(short.episodes)} episodes")
    with pytest.raises(InputError, match="pass detector.explain"):
        fitted.summary(data)


def test_a_summary_of_nothing() -> None:
    from gatewise.tasks.episodes import summarise

    frame = pd.DataFrame({"score": [0.1, 0.2], "alarm": [False, False]})
    assert str(summarise(frame, 1.0, ("a",), None, None)) == "0 alarms in 2 rows, 0.002 expected"


def test_episodes_of_several_series_are_apart_and_have_times() -> None:
    from gatewise.tasks.episodes import summarise

    frame = pd.DataFrame(
        {
            "id": ["x", "y"] * 20,
            "when": np.repeat(pd.date_range("2024-01-01", periods=20), 2),
            "score": np.arange(40.0),
            "alarm": [i in (0, 2, 3, 39) for i in range(40)],
        }
    )
    found = summarise(frame, 1.0, ("a",), frame["when"], frame["id"]).episodes
    assert found.series.tolist() == ["y", "y", "x"]
    assert found.start.dt.day.tolist() == [20, 2, 1]
    assert found.end.dt.day.tolist() == [20, 2, 2]
    assert found.alarms.tolist() == [1, 1, 2]


def test_another_column_that_drifts_later_is_told_then(fitted: Detector) -> None:
    x = CHANGES["level"].to_numpy(np.float32)
    _, state = fitted.model_.run(x, fitted.state_, return_state=True)
    both = changed(b=np.full(3000, 5 * FRESH.b.std()), a=6 * FRESH.a.std() * STEP)
    assert {drift.column for drift in fitted.model_.drifts(state)} == {"b"}
    with pytest.warns(UserWarning, match="of 'a'"):
        fitted.explain(both, state)


def test_one_warning_counts_the_series_that_drift() -> None:
    def both(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([frame.assign(id="x"), frame.assign(id="y")], ignore_index=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = Detector(units=8, steps=150, learning_rate=1e-2, series="id").fit(both(table(ROWS, 0)))
    with pytest.warns(UserWarning, match=r"series 'x'.* \(and so have 1 other series\)$"):
        detector.explain(both(CHANGES["level"]), detector.state_)


def test_states_may_be_bytes(fitted: Detector) -> None:
    with pytest.warns(UserWarning, match="of 'b'"):
        fitted.predict(CHANGES["level"], fitted.state_.to_bytes())


def test_a_summary_finds_series_and_times_in_the_index(fitted: Detector) -> None:
    days = pd.date_range("2024-01-01", periods=4)
    index = pd.MultiIndex.from_product([["x", "y"], days], names=["id", "t"])
    found = pd.DataFrame({"score": 9.0, "a:score": 9.0, "b:score": 1.0, "alarm": True}, index=index)
    task = Detector(series="id", time="t").set_params()
    task.model_, task.targets_ = fitted.model_, ("a", "b")
    episodes = task.summary(found).episodes
    assert sorted(episodes.series) == ["x", "y"]
    assert set(episodes.start) == {days[0]}
    assert set(episodes.end) == {days[-1]}
