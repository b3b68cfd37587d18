"""What `fit` says about data: errors and columns of the wrong kind are named, clean series are left in peace."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import signal

from gatewise.layers.base import Array
from gatewise.tables import wild_readings
from gatewise.tables.column_kinds import no_reading
from gatewise.tables.plausible import doubts, implausible
from gatewise.tables.table import Table, read_table
from gatewise.tasks.detector import Detector
from gatewise.tasks.forecaster import Forecaster
from gatewise.tasks.held_out import cut

ROWS = 8000
TINY: dict[str, Any] = {"units": 4, "steps": 3, "batch": 8, "bptt": 32}


def season(rows: int = ROWS, seed: int = 0) -> Array:
    """Noise of a tenth around a sine of 48 rows."""
    return np.sin(2 * np.pi * np.arange(rows) / 48) + np.random.default_rng(seed).normal(0, 0.1, rows)


def changed(values: Array, *placed: tuple[int, float]) -> Array:
    for row, value in placed:
        values[row] = value
    return values


def cut_as_usual(data: Any, **reading: str) -> tuple[Table, Array, Array]:
    table = read_table(data, missing="hold", **reading)
    cuts = cut(table, 0.25)
    return table, cuts.training, cuts.calibration


def said(data: Any, **reading: str) -> list[str]:
    return implausible(*cut_as_usual(data, **reading))


def kinds(data: Any, **reading: str) -> dict[str, list[str]]:
    """Of each kind of fault the columns."""
    return {kind: [name for name, _ in found] for kind, found in doubts(*cut_as_usual(data, **reading)).items()}


def ar(pull: float) -> Callable[[np.random.Generator], Array]:
    return lambda rng: signal.lfilter([1.0], [1.0, -pull], rng.normal(size=ROWS + 5000))[5000:]


CLEAN: dict[str, Callable[[np.random.Generator], Array]] = {
    "normal": lambda rng: rng.normal(size=ROWS),
    "t2": lambda rng: rng.standard_t(2, ROWS),
    "t3": lambda rng: rng.standard_t(3, ROWS),
    "cauchy": lambda rng: rng.standard_cauchy(ROWS),
    "log-normal": lambda rng: rng.lognormal(0, 2, ROWS),
    "counts": lambda rng: rng.poisson(0.1, ROWS),
    "bursty counts": lambda rng: rng.negative_binomial(0.1, 0.01, ROWS),
    "mostly zero": lambda rng: rng.gamma(0.5, 5, ROWS) * (rng.random(ROWS) < 0.02),
    "bursts": lambda rng: signal.lfilter([1.0], [1.0, -0.9], rng.pareto(2.5, ROWS) * (rng.random(ROWS) < 0.01)),
    "on or off": lambda rng: np.cumsum(rng.random(ROWS) < 0.02) % 2,
    "once on": lambda rng: np.arange(ROWS) == rng.integers(ROWS),
    "on or off, noise": lambda rng: 100 * (np.cumsum(rng.random(ROWS) < 0.02) % 2) + rng.normal(size=ROWS),
    "square wave": lambda rng: np.sign(np.sin(np.arange(ROWS) / 20 + 0.01)),
    "sine": lambda rng: np.sin(np.arange(ROWS) / 8 + rng.random()),
    "few cycles": lambda rng: np.sin(6 * np.pi * np.arange(ROWS) / ROWS + 6 * rng.random()) + rng.normal(0, 0.1, ROWS),
    "hour": lambda rng: np.arange(ROWS) % 24,
    "day of the week, hourly": lambda rng: np.arange(ROWS) // 24 % 7,
    "meter reset daily": lambda rng: rng.random((ROWS // 20, 20)).cumsum(axis=1).ravel(),
    "ar(1) 0.9": ar(0.9),
    "ar(1) 0.99": ar(0.99),
    "slow, read to a tenth": lambda rng: np.round(20 + ar(0.99)(rng) / 7, 1),
}


@pytest.mark.parametrize("name", CLEAN)
def test_clean_series_are_left_in_peace(name: str) -> None:
    for seed in range(5):
        assert said(CLEAN[name](np.random.default_rng(seed)).astype(float)) == []


def test_the_chance_of_a_gap_is_that_of_simulated_tails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of sizes that fall off as a power, whatever it is, a share CHANCE is said to have a gap."""
    monkeypatch.setattr(wild_readings, "CHANCE", 0.05)
    rng = np.random.default_rng(0)
    for power in (1.0, 3.0, 20.0):
        found = sum(wild_readings.gap_to_the_rest(rng.pareto(power, 400) + 1, 1.0, 1)[0] for _ in range(4000))
        assert found == pytest.approx(200, abs=45)  # three deviations


@pytest.mark.parametrize("row", [50, 7000])
@pytest.mark.parametrize("value", [5.0, 100.0, 1e6])
def test_a_single_wild_value_is_named(row: int, value: float, tmp_path: Path) -> None:
    data = pd.DataFrame({"a": changed(season(), (row, value)), "b": season(seed=1)})
    ratio = (value - data["a"].median()) / np.abs(data["a"].drop(row) - data["a"].median()).max()
    times = f"{ratio:.1f}" if ratio < 10 else f"{ratio:,.0f}"
    data.to_csv(tmp_path / "a.csv", index=False)
    for source, line in ((data, ""), (tmp_path / "a.csv", f" (line {row + 2})")):
        (warning,) = said(source)
        assert f"column 'a' is {value:.6g} at row {row}{line}, {times} times as far from the median" in warning
        assert "missing='hold' or missing='mask'" in warning
        assert "'b'" not in warning


def test_codes_for_no_reading_are_named() -> None:
    temperature = changed(20 + season(), (5, -999), (70, -999), (6000, -999), (88, 65535), (89, 65535))
    others = np.sort(temperature)[3:-2]
    span = f"while all else lies from {others[0]:.6g} to {others[-1]:.6g}"
    assert said(pd.DataFrame({"t": temperature})) == [
        f"column 't' is -999 in 3 rows, first at row 5, {span}; "
        f"column 't' is 65535 in 2 rows, first at row 88, {span}. "
        "Where these are errors, make the readings missing (NaN), and fit with missing='hold' or missing='mask'"
    ]
    assert kinds(changed(np.random.default_rng(0).standard_t(2, ROWS), (7, -9999.0))) == {"code": ["x0"]}
    assert kinds(changed(20 + season(), (7, 0.0))) == {"code": ["x0"]}  # never near 0 elsewhere
    assert kinds(changed(season(), (7, 0.0))) == {}
    assert kinds(np.where(np.arange(ROWS) % 3 == 0, -9999.0, season())) == {"code": ["x0"]}
    assert kinds(np.where(np.arange(ROWS) // 100 % 2, 99.0, 0.0)) == {}  # two states


def test_a_spike_within_the_range_is_seen_where_the_series_moves_slowly() -> None:
    walk = np.random.default_rng(3).normal(size=ROWS).cumsum()
    assert np.ptp(walk) > 60
    spiked = changed(walk.copy(), (4000, walk[4000] + 30))
    assert np.abs(spiked - np.median(spiked)).argmax() != 4000
    assert "spike" not in kinds(walk)
    spikes = [warning for warning in said(spiked) if "jumps for one row" in warning]
    assert len(spikes) == 1
    assert f"to {spiked[4000]:.6g} at row 4000" in spikes[0]
    pulses = np.sign(np.sin(np.arange(ROWS) / 20)) + season() / 10
    assert kinds(changed(pulses, (1000, -pulses[1000]))) == {}  # as high as its usual steps


def test_a_sensor_that_is_stuck_is_named() -> None:
    stuck = season()
    stuck[3000:3400] = stuck[3000]
    (warning,) = said(stuck)
    assert f"stays at {np.float32(stuck[3000]):.6g} at row 3000 for 400 rows" in warning
    steps = np.repeat(np.random.default_rng(0).normal(size=ROWS // 10), 10)
    assert kinds(steps) == {}
    resting = np.where(np.arange(ROWS) // 500 % 2, season(), 0.5)
    assert kinds(resting) == {}  # it comes back to that value


def test_faults_are_not_made_by_the_borders_of_series() -> None:
    levels = np.concatenate([level + season(2000, seed) for seed, level in enumerate((0, 100, 0, 100))])
    data = pd.DataFrame({"id": np.repeat(list("abcd"), 2000), "a": levels})
    assert said(data, series="id") == []


def energy(rng: np.random.Generator) -> Array:
    return rng.exponential(1, ROWS).cumsum()


LASTING: dict[str, tuple[Callable[[np.random.Generator], Array], str]] = {
    "meter": (energy, "counter"),
    "meter with resets": (lambda rng: energy(rng) - 900.0 * (np.arange(ROWS) > 1000), "counter"),
    "emptying": (lambda rng: 1e4 - energy(rng), "counter"),
    "ramp": (lambda rng: np.linspace(0, 1, ROWS) + rng.normal(0, 0.02, ROWS), "trend"),
    "season on a ramp": (lambda rng: season() - np.linspace(0, 2, ROWS), "trend"),
    "new level": (lambda rng: season() + 5.0 * (np.arange(ROWS) > 0.8 * ROWS), "shift"),
}


@pytest.mark.parametrize("name", LASTING)
def test_columns_that_do_not_come_back_are_named(name: str) -> None:
    make, kind = LASTING[name]
    for seed in range(3):
        assert kinds(make(np.random.default_rng(seed))) == {kind: ["x0"]}


def test_most_random_walks_are_named() -> None:
    walks = [np.random.default_rng(seed).normal(size=ROWS).cumsum() for seed in range(20)]
    found = [kinds(walk) for walk in walks]
    assert sum(bool({"walk", "trend", "shift"} & set(each)) for each in found) >= 15


def test_what_is_said_of_a_counter() -> None:
    data = pd.DataFrame({"energy": energy(np.random.default_rng(0)), "good": season()})
    last, most = data["energy"][6400:], data["energy"][:6000].astype(np.float32).max()
    assert (last > most).all()
    assert said(data) == [
        "column 'energy' only ever rises, as a counter or a meter does: 100% of the held-out rows lie above "
        f"the range trained on, {np.float32(data['energy'][0]):.6g} to {most:.6g}. What is learnt at one level says "
        "little about the next: give its changes, frame['energy'].diff()"
    ]


TIMES = {
    "row": np.arange(ROWS),
    "seconds": 1.7e9 + 3600 * np.arange(ROWS),
    "each minute": 1.7e9 + 60 * np.arange(ROWS),
    "ms": 1.7e12 + 6e4 * np.arange(ROWS),
    "day": pd.date_range("2001-01-01", periods=ROWS).strftime("%Y%m%d").astype(int),
    "timestamp": np.random.default_rng(0).exponential(1, ROWS).cumsum(),
    "Unnamed: 0": np.arange(ROWS),
    "yearMonth": np.arange(ROWS) // 30,
}


@pytest.mark.parametrize("name", TIMES)
def test_times_and_row_numbers_are_told_from_readings(name: str) -> None:
    data = pd.DataFrame({name: TIMES[name], "good": season()})
    (warning,) = said(data)
    assert f"column {name!r} " in warning
    assert f"pass time={name!r}" in warning
    (warning,) = said(data.assign(clock=pd.date_range("2024", periods=ROWS, freq="h")), time="clock")
    assert "pass time" not in warning
    assert "leave it out of columns" in warning
    assert name == "yearMonth" or said(data, time=name) == []


def test_ids_are_told_from_readings() -> None:
    lengths = np.random.default_rng(0).integers(100, 200, 20)
    panel = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(1, 21), lengths),
            "cycle": np.concatenate([np.arange(1, 1 + length) for length in lengths]),
            "good": np.concatenate([season(length, seed) for seed, length in enumerate(lengths)]),
        }
    )
    assert kinds(panel) == {"restart": ["cycle"], "id": ["unit"]}
    restart, ident = said(panel)
    assert "begins again 19 times" in restart
    assert "time='cycle'" in restart
    assert "20 different whole numbers" in ident
    assert "pass series='unit'" in ident
    assert said(panel[["unit", "good"]], series="unit") == []
    assert "'cycle' changes by 1 with every row" in said(panel, series="unit")[0]
    devices = pd.DataFrame({"deviceId": np.arange(ROWS) % 4, "phase": np.arange(ROWS) % 4, "good": season()})
    assert kinds(devices) == {"id": ["deviceId"]}


def test_columns_of_one_kind_share_a_warning() -> None:
    data = pd.DataFrame({f"c{k}": changed(season(seed=k), (40, -999.0)) for k in range(100)})
    (warning,) = said(data)
    assert warning.count("is -999 at row 40") == 3
    assert "likewise 'c3', 'c4', 'c5', 'c6', 'c7', 'c8', 'c9', 'c10', 'c11' and 88 more" in warning


def test_missing_readings_are_no_fault() -> None:
    gaps = season()
    gaps[np.random.default_rng(0).random(ROWS) < 0.3] = np.nan
    gaps[2000:2600] = np.nan
    assert said(pd.DataFrame({"a": gaps, "empty": np.nan})) == []
    assert kinds(changed(gaps, (7001, 100.0))) == {"far": ["x0"]}


def test_a_detector_says_it_and_keeps_it(tmp_path: Path) -> None:
    data = pd.DataFrame({"a": changed(season(2000), (1900, 100.0))})
    detector = Detector(**TINY, false_alarms_per_1000=200)
    with pytest.warns(UserWarning, match="column 'a' is 100 at row 1900"):
        detector.fit(data)
    assert [warning.partition(",")[0] for warning in detector.warnings_] == ["column 'a' is 100 at row 1900"]
    detector.save(tmp_path / "d.safetensors")
    assert Detector.load(tmp_path / "d.safetensors").warnings_ == detector.warnings_


def test_a_forecaster_minds_levels_only_where_it_is_not_anchored() -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame(
        {"price": 100 + rng.normal(size=1000).cumsum() + np.arange(1000), "meter": rng.random(1000).cumsum()}
    )
    common: dict[str, Any] = {"units": 2, "steps": 2, "horizons": 2}

    def warned(**options: Any) -> list[str]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = Forecaster(**common, **options).fit(data).warnings_
        return [name for name in data.columns if any(f"column {name!r}" in warning for warning in found)]

    assert warned() == []
    assert warned(target="price") == ["meter"]
    assert warned(anchor=False) == ["price", "meter"]
    assert warned(target="price", context={"window": 8}, normalise=True) == []
    data["price"] = changed(data["price"].to_numpy(copy=True), (500, 1e6))
    assert warned() == ["price"]


@pytest.mark.parametrize(("options", "rows"), [({"bptt": 32}, 32), ({"context": {"window": 12}}, 12)])
def test_a_forecast_that_depends_on_a_wild_reading_is_warned_of(options: dict[str, Any], rows: int) -> None:
    data = season(800)
    forecaster = Forecaster(units=2, steps=2, horizons=2, **options).fit(data[:600])
    forecaster.predict(data)  # warnings are errors
    forecaster.predict(changed(data.copy(), (799 - rows, 1e6)))
    for row in (800 - rows, 799):
        with pytest.warns(
            UserWarning, match=f"is 1e.06 at row {row}, .* in any other row. The forecasts depend on that"
        ):
            forecaster.predict(changed(data.copy(), (row, 1e6)))
    with pytest.warns(UserWarning, match="is -999 at row 790, while all else lies from .*missing='hold'"):
        forecaster.predict(changed(data.copy(), (790, -999.0)))


def test_a_wild_value_does_not_hide_that_a_column_leaves_its_range() -> None:
    climbing = changed(season() + np.linspace(0, 5, ROWS), (10, 1e5))
    assert set(kinds(climbing)) == {"far", "trend"}
    assert set(kinds(changed(energy(np.random.default_rng(0)), (100, 1e9)))) == {"far", "counter"}


def test_a_large_total_that_rises_unevenly_is_a_counter_and_no_time() -> None:
    total = 623_000_000 + np.random.default_rng(0).integers(5, 45, 400).cumsum()
    assert no_reading("y", total.astype(float), np.diff(total).astype(float), several=False) is None
    hours = 1_700_000_000.0 + 3600.0 * np.arange(400)
    hours[200:] += 7200.0  # a gap
    assert no_reading("y", hours, np.diff(hours), several=False) == "time"
