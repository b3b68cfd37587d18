"""A large level with a small variation: a task makes of it what it makes of the variation alone, and adds the level."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise import Detector, Forecaster
from gatewise import heads as kinds
from gatewise.errors import InputError, SpecError
from gatewise.tables.constants import FIND, constant_of
from gatewise.tables.scaling import standardise
from gatewise.tables.table import read_table

LEVEL = 623_000_000.0
QUICK: dict[str, Any] = {"units": 3, "steps": 3}


def small(rows: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(rows) / 9)
    return pd.DataFrame({"total": 40 * wave + rng.normal(0, 5, rows), "flow": wave + rng.normal(0, 0.1, rows)})


def quiet(task: Any, data: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return task.fit(data, **options)


def large(rows: int = 600) -> pd.DataFrame:
    return small(rows).assign(total=lambda f: f["total"] + LEVEL)


@pytest.mark.parametrize(
    ("values", "constant"),
    [
        (np.arange(1000.0), 0.0),
        (1e9 + np.arange(1000.0) % 7, 1e9 + 3),
        (-1e9 + np.arange(1000.0) % 7, -1e9 + 3),
        (np.r_[1e9 + np.arange(999.0) % 7, 1e15], 1e9 + 3),  # one wild value hides nothing
        (np.r_[1e9 + np.arange(999.0) % 7, np.nan, np.inf], 1e9 + 3),
        (20 + 1e-6 * np.sin(np.arange(1000.0)), 20.0),
        (np.full(1000, 1e9), 0.0),
        (np.full(3, np.nan), 0.0),
        (np.arange(10) + 1e39, 0.0),
    ],
)
def test_a_constant_is_found_only_where_float32_is_too_coarse(values: np.ndarray, constant: float) -> None:
    assert constant_of(values) == constant


def test_what_is_left_is_exact() -> None:
    table = read_table(large(), subtract=FIND)
    assert table.subtract[1] == 0
    left = (large()["total"] - table.subtract[0]).to_numpy().astype(np.float32)
    np.testing.assert_array_equal(table.wide(0), left.astype(np.float64) + table.subtract[0])
    np.testing.assert_allclose(table.wide(0), large()["total"], rtol=0, atol=1e-5)
    assert table.select([1, 0]).subtract.tolist() == table.subtract[::-1].tolist()
    with pytest.raises(InputError, match="column .total. are float32, .* 64 wide, .* pass them as float64"):
        read_table(large().astype("f4"), subtract=table.subtract)
    rounded = read_table(large().astype("f4"), subtract=FIND)
    with pytest.raises(InputError, match="'total' varies by .* where float32 has steps of 64; give it as float64"):
        standardise(rounded, np.arange(600))
    fine = read_table(1e17 + 16.0 * np.arange(100) % 48, subtract=FIND)
    with pytest.raises(InputError, match="where float64 has steps of 16"):
        standardise(fine, np.arange(100))


@pytest.mark.parametrize("name", ["ts", "row"])
def test_a_column_that_looks_like_a_time_says_so(name: str) -> None:
    data = small().assign(**{name: 1.7e9 + 60 * np.arange(600.0)})
    with pytest.raises(
        InputError, match=f"'{name}' ascends evenly, by 60 with each row .*; pass time='{name}', or leave"
    ):
        Detector(**QUICK).fit(data)
    data["t"] = range(600)
    with pytest.raises(InputError, match="as a time or a row number does; leave it out of columns"):
        Detector(**QUICK, time="t").fit(data)
    meter = small().assign(total=LEVEL + np.cumsum(np.random.default_rng(0).integers(5, 45, 600)))
    assert read_table(meter, subtract=FIND).subtract[0] > 0


@pytest.mark.parametrize("options", [{}, {"context": {"window": 24}}, {"context": {"window": 24}, "normalise": True}])
def test_a_forecaster_forecasts_the_variation_and_adds_the_level(options: dict[str, Any], tmp_path: Path) -> None:
    low = Forecaster(**QUICK, target=["flow", "total"], horizons=[1, 4], **options).fit(small())
    high = Forecaster(**QUICK, target=["flow", "total"], horizons=[1, 4], **options).fit(large())
    assert low.model_.subtract is None
    high.save(tmp_path / "m.safetensors")
    wanted = low.predict(small())
    for forecaster in (high, Forecaster.load(tmp_path / "m.safetensors")):
        found = forecaster.predict(large())
        level = np.where(found["target"] == "total", LEVEL, 0.0)
        for quantile in ("0.1", "0.5", "0.9"):
            np.testing.assert_allclose(found[quantile] - level, wanted[quantile], rtol=1e-4, atol=0.02)
    tested, plain = high.backtest(large(), start=400), low.backtest(small(), start=400)
    np.testing.assert_allclose(tested.observed[:, 1], plain.observed[:, 1] + LEVEL, atol=1e-4)
    for name in ("mse_standard", "mae_standard", "coverage"):
        np.testing.assert_allclose(tested.scores()[name], plain.scores()[name], rtol=1e-3, atol=0.01)
    np.testing.assert_allclose(tested.compare(), plain.compare(), rtol=1e-3)


def test_covariates_have_a_level_too() -> None:
    low = Forecaster(**QUICK, covariates=["total"], horizons=2).fit(small())
    high = Forecaster(**QUICK, covariates=["total"], horizons=2).fit(large())
    wanted, found = low.predict(small()[:500], small()[500:502]), high.predict(large()[:500], large()[500:502])
    np.testing.assert_allclose(found["0.5"], wanted["0.5"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("target", ["total", ["total", "flow"]])
def test_a_detector_scores_the_variation_and_adds_the_level(target: Any, tmp_path: Path) -> None:
    options = {**QUICK, "target": target, "false_alarms_per_1000": 100.0}
    low, high = Detector(**options).fit(small()), Detector(**options).fit(large())
    high.save(tmp_path / "m.safetensors")
    wanted = low.explain(small())
    own = "" if target == "total" else "total:"
    for detector in (high, Detector.load(tmp_path / "m.safetensors")):
        found = detector.explain(large())
        np.testing.assert_allclose(found["score"], wanted["score"], atol=2e-3)
        for name in ("observed", "expected", "low", "high"):
            np.testing.assert_allclose(found[own + name] - LEVEL, wanted[own + name], rtol=1e-3, atol=0.02)
        np.testing.assert_array_equal(detector.explain(large().to_numpy())["score"], found["score"])


def test_a_model_reads_raw_float64_and_refuses_what_is_rounded_already() -> None:
    detector = Detector(**QUICK, target="total", false_alarms_per_1000=100.0).fit(large())
    model, explained = detector.model_, detector.explain(large())
    assert model.subtract is not None
    raw = large().to_numpy()
    answers = model.run(raw)
    assert answers.dtype == np.float64
    np.testing.assert_array_equal(answers[:, 0], -detector.score_samples(large()))
    for column, name in enumerate(("score", "expected", "low", "high")):
        np.testing.assert_array_equal(answers[:, column], explained[name])
    for given in (raw, large(), large()[["flow", "total"]], raw.tolist()):
        np.testing.assert_array_equal(model.run(given), answers)
        np.testing.assert_array_equal(model.stream().push_many(given), answers)
    stream, out = model.stream(), np.empty(5)
    assert stream.push(raw[0], out) is out
    np.testing.assert_array_equal(out, answers[0])
    np.testing.assert_array_equal(stream.push(large().iloc[1]), answers[1])
    pool = model.pool(2)
    np.testing.assert_array_equal(pool.push([0, 1], raw[[0, 0]]), answers[[0, 0]])
    state = stream.save()
    narrow = raw.astype(np.float32)
    for call in (lambda: model.run(narrow), lambda: stream.push(narrow[2]), lambda: pool.push([0, 1], narrow[:2])):
        with pytest.raises(
            InputError, match="readings are float32, whose steps around .* are 64 wide.* pass them as float64"
        ):
            call()
    with pytest.raises(InputError, match="the readings of column 'total' are float32"):
        model.run(large().astype({"total": "f4"}))
    assert model.run(large().astype({"flow": "f4"})).shape == answers.shape
    with pytest.raises(InputError, match=r"out must be float64 \(5,\), .*, got float32 \(5,\)"):
        stream.push(raw[2], np.empty(5, np.float32))
    assert stream.save() == state


def test_the_relative_model_has_the_same_states() -> None:
    model = Detector(**QUICK, false_alarms_per_1000=100.0).fit(large()).model_
    assert model.subtract is not None
    assert model.levels is not None
    plain, less = model.relative(), large().to_numpy() - model.subtract
    assert plain.subtract is None
    assert plain.relative() is plain
    assert plain.graph.structure == model.graph.structure
    answers, state = plain.run(less.astype(np.float32), return_state=True)
    assert answers.dtype == np.float32
    np.testing.assert_array_equal(model.run(large().to_numpy()), answers + model.levels)
    np.testing.assert_array_equal(model.run(large()[:3], state), plain.run(less[:3], state) + model.levels)
    np.testing.assert_allclose(np.array(model.limits) - model.subtract, plain.limits, rtol=1e-6)
    with pytest.raises(InputError, match=r"subtracts constants .* pass model.relative\(\)"):
        gw.train.to_torch(model)


def test_the_option_is_checked() -> None:
    for wrong, words in (
        ([1.0], "2 numbers, one for each column, got 1"),
        ([1.0, "a"], "must be a number"),
        (3.0, "list"),
    ):
        with pytest.raises(SpecError, match=words):
            gw.init(
                gw.ModelSpec(
                    input=gw.LayerSpec("numeric", width=2, subtract=wrong), layers=[gw.LayerSpec("gru", units=2)]
                )
            )
    spec = gw.ModelSpec(
        input=gw.LayerSpec("numeric", width=2, subtract=[0.0, 0]), layers=[gw.LayerSpec("gru", units=2)]
    )
    assert gw.init(spec).subtract is None


GIVEN: dict[str, dict[str, Any]] = {"number": {}, "softmax": {"classes": ["a", "b"]}}
"""The heads whose answers are not among the readings, with their options."""


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_each_answer_of_a_head_is_a_level_or_not(kind: str) -> None:
    if kind in GIVEN:
        head = kinds.registry.spec(kind).parse("head", GIVEN[kind])
        assert head.levels() == (None,) * len(head.output_names())
        return
    for targets in ([1], [1, 0]):
        head = kinds.registry.spec(kind).parse("head", {"targets": targets, "names": ["b", "a"][: len(targets)]})
        names, levels = head.output_names(), head.levels()
        assert levels is not None
        assert names is not None
        assert len(levels) == len(names)
        for name, level in zip(names, levels, strict=True):
            score = "score" in name or name == "extrapolated"
            of = {"a": 0, "b": 1}.get(name[0], targets[0]) if len(targets) > 1 or kind == "quantiles" else 1
            assert level == (None if score else of), name


@pytest.mark.parametrize("level", [623_456_780.0, 1e10 + 7_000, 1e12 + 7_000])
@pytest.mark.filterwarnings("ignore:column 'other'")
def test_a_model_subtracts_just_what_the_training_did(level: float, tmp_path: Path) -> None:
    data = small(200).assign(total=lambda f: f["total"] + level, other=lambda f: f["total"] * 0.7 - 2 * level)
    table = read_table(data, subtract=FIND)
    constants = dict(zip(table.columns, table.subtract.tolist(), strict=True))
    assert constants["total"] != float(np.float32(constants["total"])), "or rounding it would change nothing"
    data["time"] = pd.date_range("2024-01-01", periods=200, freq="h")
    options: dict[str, Any] = {"covariates": ["other"], "calendar": ["day", "week"], "time": "time"}
    for more in ({"columns": ["flow", "total"]}, options):
        forecaster = Forecaster(**QUICK, horizons=[1, 4], **{"time": "time", **more}).fit(data)
        forecaster.save(tmp_path / "m")
        wanted = [constants.get(name.partition("+")[0], 0.0) for name in forecaster.layout_.names]
        for model in (forecaster.model_, gw.load(tmp_path / "m")):
            assert model.subtract is not None
            assert model.subtract.tolist() == wanted


LEVELS = ["0.1", "0.5", "0.9"]


def test_bounds_are_those_of_the_data() -> None:
    options: dict[str, Any] = {**QUICK, "target": ["flow", "total"], "horizons": [1, 4]}
    free = Forecaster(**options).fit(large())
    before = free.predict(large())
    total = before["target"] == "total"
    values = np.sort(before.loc[total, LEVELS].to_numpy().ravel())
    least, most, flow = float(values[1:3].mean()), float(values[3:5].mean()), -0.665
    bounds = {"minimum": {"total": least}, "maximum": {"total": most, "flow": flow}}
    wanted = before[LEVELS].to_numpy().copy()
    wanted[total] = np.clip(wanted[total], least, most)
    wanted[~total] = np.minimum(wanted[~total], flow)
    assert (wanted != before[LEVELS]).any(axis=None), "or there would be nothing to bound"
    set_later = Forecaster(**options).fit(large()).set_params(**bounds)
    with pytest.warns(
        UserWarning,
        match=r"'total' is 6229999\d\d.\d+ at row 34 and in 181 more rows, beyond its minimum of 6229999\d\d\.\d",
    ):
        fitted = Forecaster(**options, **bounds).fit(large())
    for held in (fitted, set_later):
        np.testing.assert_allclose(held.predict(large())[LEVELS], wanted, rtol=0, atol=1e-5)
        found = held.model_.run(large())
        assert float(found[:, 6:].min()) >= least
        assert float(found[:, 6:].max()) <= most
    still = {**options, "steps": 1, "learning_rate": 1e-12}
    on = quiet(Forecaster(**still, **bounds), large(), start=free)
    np.testing.assert_allclose(on.predict(large())[LEVELS], wanted, rtol=0, atol=1e-3)


def test_a_bound_far_off_changes_nothing() -> None:
    free, held = (
        Forecaster(**QUICK, horizons=2, **more).fit(large()) for more in ({}, {"minimum": {"total": 0}, "maximum": 1e9})
    )
    assert held.warnings_ == ()
    assert held.model_.subtract is not None
    pd.testing.assert_frame_equal(held.predict(large()), free.predict(large()))
    with pytest.raises(InputError, match="minimum of column 'total' must lie below its maximum, got 623000000 and 5"):
        Forecaster(**QUICK, minimum=LEVEL, maximum=5).fit(large())
    with pytest.raises(InputError, match="minimum of column 'total' must lie below its maximum, got 0 and -7"):
        held.maximum = -7


def test_readings_just_beyond_a_bound_are_told_where_the_level_is_large() -> None:
    least = float(large()["total"].min())
    held = Forecaster(**QUICK, target="total", minimum=least).fit(large())
    assert held.warnings_ == ()
    with pytest.warns(UserWarning, match=f"beyond its minimum of {least + 1:.12g}, where no forecast goes"):
        Forecaster(**QUICK, target="total", minimum=least + 1).fit(large())


def test_columns_beside_one_in_logarithms_have_a_level() -> None:
    low, high = (data.assign(flow=lambda f: f["flow"] + 5) for data in (small(), large()))
    options: dict[str, Any] = {**QUICK, "horizons": 2, "transform": {"flow": "log1p"}}
    wanted, found = (Forecaster(**options).fit(data).predict(data) for data in (low, high))
    level = np.where(found["target"] == "total", LEVEL, 0.0)
    np.testing.assert_allclose(found["0.5"] - level, wanted["0.5"], rtol=1e-4, atol=0.02)
    with pytest.raises(InputError, match="in logarithms column 'total' varies by .*; leave it out of transform"):
        Forecaster(**QUICK, transform="log1p").fit(high)


@pytest.mark.parametrize("task", [Detector, Forecaster])
def test_a_start_subtracts_what_it_did(task: Any) -> None:
    options = {**QUICK, "false_alarms_per_1000": 100.0} if task is Detector else {**QUICK, "horizons": 2}
    start = quiet(task(**options), large())
    data = large(700)[["flow", "total"]]
    data["flow"] = np.r_[data["flow"][:600], data["flow"][600:] + 0.01]
    data.loc[:590, "total"] += 300  # the constant near these is another one, in which the last rows are coarse
    found = quiet(task(**options), data, start=start)
    assert found.model_.subtract.tolist() == start.model_.subtract.tolist()
    own = read_table(data, subtract=FIND)
    assert own.subtract.tolist() != start.model_.subtract[::-1].tolist()
    if task is Detector:  # its state after the last row is that of the model on the readings as they are
        _, state = found.model_.run(data, return_state=True)
        assert found.model_.settled(state) == found.state_
    rounded = data.astype("f4")
    with pytest.raises(
        InputError, match="'total' are float32, whose steps around .* are 64 wide.*pass them as float64"
    ):
        task(**options).fit(rounded, start=start)
    if task is Forecaster:
        with pytest.raises(InputError, match="transform is None there and {'total': 'log1p'} here"):
            task(**options, transform={"total": "log1p"}).fit(data, start=start)


def test_subclasses_of_streams_and_pools_subtract_as_well() -> None:
    class Counting(gw.Stream):
        """Counts its steps."""

        count = 0

        def push(self, x: Any, out: Any = None) -> np.ndarray:
            self.count += 1
            return super().push(x, out)

    class Plain(gw.Stream):
        __slots__ = ("note",)

        def __new__(cls, model: gw.Model, note: str) -> Plain:
            return super().__new__(cls, model)  # type: ignore[return-value]

        def __init__(self, model: gw.Model, note: str) -> None:
            super().__init__(model)
            self.note = note

    class Named(gw.Pool):
        pass

    plain = Detector(**QUICK, false_alarms_per_1000=100.0).fit(small()).model_
    for model, data in (
        (plain, small()),
        (Detector(**QUICK, false_alarms_per_1000=100.0).fit(large()).model_, large()),
    ):
        raw, answers = data.to_numpy()[:3], model.run(data.to_numpy())[:3]
        counting, noted, pool = Counting(model), Plain(model, "a"), Named(model, 3)
        np.testing.assert_array_equal([counting.push(row) for row in raw], answers)
        np.testing.assert_array_equal(noted.push_many(raw), answers)
        np.testing.assert_array_equal(pool.push([0, 2], raw[[0, 0]]), answers[[0, 0]])
        assert (counting.count, noted.note) == (3, "a")
        assert isinstance(counting, Counting)
        assert isinstance(noted, Plain)
        assert isinstance(pool, Named)
        assert type(counting).__qualname__ == Counting.__qualname__
        assert isinstance(Counting(model), type(counting))
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(counting)).push(raw[2]), counting.push(raw[2]))
    assert type(model.stream()).__name__ == "Stream"
    for kind in (gw.Stream, Counting):
        assert type(kind(plain)) is kind, "which stays as it is"
