"""What does `fit` say about data, and is it right? Counts its cautions on clean, on faulty and on real series.

    GATEWISE_DATA=/path/to/data python benchmarks/plausible.py [--seeds 100] [--rows 1000 8000] [--no-real]
    python benchmarks/plausible.py --page

Clean series are those of `calibration.py`, with ten laws of noise, and others that are easily taken for faulty: heavy
tails, bursts, counts, columns that are mostly zero, on or off, seasons, and series that return slowly. No caution is
wanted. To faulty ones something is done that is to be found. On real data every caution is listed, for a reader to
judge. One setting for all: rows are cut as `Detector` cuts them by default. `--page` writes the table of
docs/guides/detect.md from the results.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import signal

import calibration
from common import FOLDER, record
from gatewise.tables.plausible import doubts, implausible
from gatewise.tables.table import Table, read_table
from gatewise.tasks.held_out import cut

PAGE = FOLDER.parent / "docs" / "guides" / "detect.md"
FOUND = FOLDER / "results" / "plausible.json"
BEGIN, END = "<!-- cautions counted -->\n", "<!-- end of the count -->\n"

Maker = Callable[[np.random.Generator, int], np.ndarray]


def returning(pull: float, noise: Maker) -> Maker:
    """x_t = pull x_{t-1} + e_t, once it has forgotten where it began."""

    def make(rng: np.random.Generator, n: int) -> np.ndarray:
        start = int(10 / (1 - pull))
        return signal.lfilter([1.0], [1.0, -pull], noise(rng, start + n))[start:]

    return make


def normal(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.standard_normal(n)


def season(rng: np.random.Generator, n: int, cycles: float | None = None) -> np.ndarray:
    """A sine of 48 steps, or of so many cycles in all, with noise of a tenth."""
    turns = np.arange(n) / 48 if cycles is None else cycles * np.arange(n) / n
    return np.sin(2 * np.pi * (turns + rng.random())) + 0.1 * rng.standard_normal(n)


def of_law(noise: Maker) -> Maker:
    """As `calibration.py` makes them."""
    return lambda rng, n: returning(0.8, noise)(rng, n) + 3 * np.sin(2 * np.pi * np.arange(n) / 48)


def switching(rng: np.random.Generator, n: int) -> np.ndarray:
    """On and off, for 50 rows on average."""
    return (np.cumsum(rng.random(n) < 0.02) % 2).astype(float)


def bursts(rng: np.random.Generator, n: int) -> np.ndarray:
    """Shocks of very different sizes, which die away, over a little noise."""
    shocks = rng.pareto(2.5, n) * (rng.random(n) < 0.01)
    return signal.lfilter([1.0], [1.0, -0.9], shocks) + 0.1 * rng.standard_normal(n)


def setpoints(rng: np.random.Generator, n: int) -> np.ndarray:
    """A level that is held for a sixtieth of the rows, with a little noise."""
    return np.repeat(rng.standard_normal(60), n // 60 + 1)[:n] + 0.1 * rng.standard_normal(n)


def quantised(rng: np.random.Generator, n: int) -> np.ndarray:
    """A slow temperature read to a tenth of a degree: the same value many times in a row."""
    return np.round(20 + returning(0.99, normal)(rng, n) / 7, 1)


def daily_meter(rng: np.random.Generator, n: int) -> np.ndarray:
    """A meter that begins at 0 every 24 rows."""
    return rng.random((n // 24 + 1, 24)).cumsum(axis=1).ravel()[:n]


CLEAN: dict[str, Maker] = {
    **{f"AR(1) 0.8 and season, {law} noise": of_law(noise) for law, noise in calibration.LAWS.items()},
    "Student t, 2 degrees": lambda rng, n: rng.standard_t(2, n),
    "Student t, 3 degrees": lambda rng, n: rng.standard_t(3, n),
    "log-normal, sigma 1": lambda rng, n: rng.lognormal(0.0, 1.0, n),
    "log-normal, sigma 2": lambda rng, n: rng.lognormal(0.0, 2.0, n),
    "Pareto, exponent 1.5": lambda rng, n: rng.pareto(1.5, n),
    "Poisson counts, mean 0.1": lambda rng, n: rng.poisson(0.1, n).astype(float),
    "Poisson counts, mean 5": lambda rng, n: rng.poisson(5.0, n).astype(float),
    "bursty counts": lambda rng, n: rng.negative_binomial(0.1, 0.01, n).astype(float),
    "rain in 2% of the rows": lambda rng, n: rng.gamma(0.5, 5.0, n) * (rng.random(n) < 0.02),
    "bursts that die away": bursts,
    "on or off": switching,
    "on or off, with noise": lambda rng, n: 100 * switching(rng, n) + rng.standard_normal(n),
    "square wave": lambda rng, n: np.sign(np.sin(2 * np.pi * (np.arange(n) + 0.5) / 120)),
    "sine without noise": lambda rng, n: np.sin(2 * np.pi * np.arange(n) / 48),
    "season, 8 cycles in all": lambda rng, n: season(rng, n, 8),
    "season, 3 cycles in all": lambda rng, n: season(rng, n, 3),
    "setpoints": setpoints,
    "hour of the day": lambda rng, n: np.arange(n) % 24.0,
    "meter reset each day": daily_meter,
    "temperature read to 0.1": quantised,
    "AR(1) 0.9": returning(0.9, normal),
    "AR(1) 0.99": returning(0.99, normal),
    "AR(1) 0.99, t noise": returning(0.99, calibration.LAWS["t3"]),
    "AR(1) 0.998": returning(0.998, normal),
}


def placed(base: Maker, count: int, value: float, raised: bool = False) -> Maker:
    """A series with so many rows set to a value, or raised by it."""

    def make(rng: np.random.Generator, n: int) -> np.ndarray:
        values = base(rng, n)
        rows = rng.choice(np.arange(1, n - 1), count, replace=False)
        values[rows] = values[rows] + value if raised else value
        return values

    return make


def stuck(base: Maker, rows: int) -> Maker:
    """A series that keeps one value for so many rows."""

    def make(rng: np.random.Generator, n: int) -> np.ndarray:
        values = base(rng, n)
        start = int(rng.integers(10, n - rows - 10))
        values[start : start + rows] = values[start]
        return values

    return make


def walk(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.standard_normal(n).cumsum()


def meter(rng: np.random.Generator, n: int, resets: int = 0) -> np.ndarray:
    """It only ever rises, but for resets in the first half."""
    rises = rng.exponential(1.0, n)
    for row in rng.choice(n // 2, resets, replace=False):
        rises[row] = -rises[: row + 1].sum() * 0.9
    return rises.cumsum()


def ramp(deviations: float) -> Maker:
    """A season that rises by so many of its deviations."""
    return lambda rng, n: season(rng, n) + deviations * np.linspace(0, np.sqrt(0.5), n)


def calendar(rng: np.random.Generator, n: int) -> np.ndarray:
    return pd.date_range("2000-01-01", periods=n).strftime("%Y%m%d").astype(float).to_numpy()


def cycles(rng: np.random.Generator, n: int) -> np.ndarray:
    """1, 2, 3, ... of one series after the other."""
    return np.concatenate([np.arange(1.0, 1 + length) for length in rng.integers(60, 140, n // 60)])[:n]


WILD, LASTING = {"far", "spike"}, {"walk", "trend", "shift"}
FAULTY: dict[str, tuple[Maker, set[str]]] = {
    "season, one row -9999": (placed(season, 1, -9999.0), {"code"}),
    "season, one row 1e6": (placed(season, 1, 1e6), WILD),
    "season, one row 100": (placed(season, 1, 100.0), WILD),
    "season, one row 5": (placed(season, 1, 5.0), WILD),
    "season, one spike of 2": (placed(season, 1, 2.0, True), WILD),
    "season, five spikes of 5": (placed(season, 5, 5.0, True), WILD),
    "season, -999 in 20 rows": (placed(season, 20, -999.0), {"code"}),
    "season, 65535 in 3 rows": (placed(season, 3, 65535.0), {"code"}),
    "230 +- 5, once 0": (placed(lambda rng, n: 230 + 5 * normal(rng, n), 1, 0.0), {"code"}),
    "Student t, 2 degrees, one row -9999": (placed(CLEAN["Student t, 2 degrees"], 1, -9999.0), {"code"}),
    "Student t, 3 degrees, one row 1e6": (placed(CLEAN["Student t, 3 degrees"], 1, 1e6), WILD),
    "random walk, one spike of 40": (placed(walk, 1, 40.0, True), WILD),
    "season, stuck for 100 rows": (stuck(season, 100), {"stuck"}),
    "temperature read to 0.1, stuck for 300 rows": (stuck(quantised, 300), {"stuck"}),
    "meter": (meter, {"counter"}),
    "meter, two resets": (lambda rng, n: meter(rng, n, 2), {"counter"}),
    "ramp with noise": (lambda rng, n: np.linspace(0, 1, n) + 0.02 * normal(rng, n), LASTING),
    "season, rising by 3 deviations": (ramp(3.0), LASTING),
    "season, rising by 1 deviation": (ramp(1.0), LASTING),
    "random walk": (walk, LASTING),
    "random walk, t noise": (lambda rng, n: rng.standard_t(3, n).cumsum(), LASTING),
    "random walk, read with noise": (lambda rng, n: walk(rng, n) + 5 * normal(rng, n), LASTING),
    "season, the last fifth 5 higher": (lambda rng, n: season(rng, n) + 5.0 * (np.arange(n) >= 0.8 * n), LASTING),
    "row number": (lambda rng, n: np.arange(n), {"steps"}),
    "seconds since 1970": (lambda rng, n: 1.7e9 + 60.0 * np.arange(n), {"steps", "time"}),
    "milliseconds since 1970": (lambda rng, n: 1.7e12 + 6e4 * np.arange(n), {"steps", "time"}),
    "YYYYMMDD": (calendar, {"time"}),
    "ids of stacked series": (lambda rng, n: np.repeat(np.arange(n // 100), 100), {"id"}),
    "row numbers of stacked series": (cycles, {"restart"}),
}


def read(data: object, **reading: str) -> tuple[Table, np.ndarray, np.ndarray]:
    """The table, and its rows of training and calibration as `Detector` cuts them by default."""
    table = read_table(data, missing="hold", **reading)
    cuts = cut(table, 0.25)
    return table, cuts.rows(table, "training"), cuts.rows(table, "calibration")


def count(name: str, make: Maker, wanted: set[str] | None, rows: int, seeds: int) -> dict[str, int]:
    """In how many series which kinds are found, any at all ("any"), and any that is wanted ("right")."""
    found: Counter[str] = Counter(any=0, right=0)
    for seed in range(seeds):
        kinds = set(doubts(*read(make(np.random.default_rng([seed, *name.encode()]), rows))))
        found.update(kinds)
        found["any"] += bool(kinds)
        found["right"] += bool(kinds & (wanted or set()))
    return dict(found)


def real(root: Path) -> Iterator[tuple[str, pd.DataFrame, dict[str, str]]]:
    """The tables of the folder, with the parameters that a user would pass."""
    for path in sorted((root / "nab/data").rglob("*.csv.gz")):
        yield f"nab/{path.parent.name}/{path.name[:-7]}", pd.read_csv(path)[["value"]], {}
    yield "ett/ETTh1", pd.read_csv(root / "ett/ETTh1.csv.gz"), {"time": "date"}
    arrays = np.load(root / "smap_msl/smap_msl.npz")
    for key in sorted(name for name in arrays.files if name.endswith("/value")):
        yield f"smap_msl/{key[:-6]}", pd.DataFrame({"value": arrays[key].ravel()}), {}
    turbines = pd.read_csv(root / "cmapss/train_FD001.txt.gz", sep=r"\s+", header=None)
    turbines.columns = ["unit", "cycle", *(f"setting{i}" for i in range(1, 4)), *(f"s{i}" for i in range(1, 22))]
    yield "cmapss/FD001, series= forgotten", turbines, {}
    yield "cmapss/FD001", turbines, {"series": "unit", "time": "cycle"}
    recordings = np.load(root / "hapt/hapt_raw.npz")
    for key in sorted(name for name in recordings.files if name.startswith("exp")):
        yield f"hapt/{key}", pd.DataFrame(recordings[key], columns=["ax", "ay", "az", "gx", "gy", "gz"]), {}


def measure_real(root: Path) -> dict[str, object]:
    """Of each set how many columns there are and are cautioned, and of each table with cautions what is said."""
    said: dict[str, list[str]] = {}
    columns: Counter[str] = Counter()
    doubted: Counter[str] = Counter()
    for name, frame, reading in real(root):
        table = read(frame, **reading)
        kind = name.split("/")[0] + (", series= forgotten" if "forgotten" in name else "")
        columns[kind] += len(table[0].columns)
        doubted[kind] += len({column for found in doubts(*table).values() for column, _ in found})
        if cautions := implausible(*table):
            said[name] = cautions
            print(name, *cautions, sep="\n    ")
    return {"columns": dict(columns), "columns doubted": {kind: doubted[kind] for kind in columns}, "said": said}


def table(results: dict[str, dict[str, dict[str, dict[str, int]]]], rows: list[int], seeds: int) -> str:
    """For the page: clean series that are ever doubted, and all faulty ones."""
    heads = [f"{n:,} rows" for n in rows]
    lines = ["| series | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(rows)]
    quiet = [name for name, found in results["clean"].items() if not any(found[str(n)]["any"] for n in rows)]
    lines.append(f"| *clean:* {len(quiet)} other kinds | " + " | ".join("0" for _ in rows) + " |")
    for part, what, names in (
        ("clean", "any", [name for name in results["clean"] if name not in quiet]),
        ("faulty", "right", list(results["faulty"])),
    ):
        shares = [(name, [results[part][name][str(n)][what] for n in rows]) for name in names]
        lines += [f"| *{part}:* {name} | " + " | ".join(map(str, found)) + " |" for name, found in shares]
    return f"Cautions in {seeds} series:\n\n" + "\n".join(lines) + "\n"


SETS = {
    "nab": "Numenta anomaly benchmark",
    "ett": "ETTh1, a transformer",
    "smap_msl": "SMAP and MSL, telemetry with anomalies",
    "cmapss, series= forgotten": "C-MAPSS FD001, turbines run until they fail; series= and time= forgotten",
    "cmapss": "the same, with series= and time=",
    "hapt": "HAPT, a telephone carried about",
}


def real_table(results: dict[str, dict[str, int]]) -> str:
    """For the page: of each real set its columns, and those with a caution."""
    lines = ["| real data | columns | with a caution |", "|---|---:|---:|"]
    columns, doubted = results["columns"], results["columns doubted"]
    return "\n".join(lines + [f"| {name} | {columns[kind]} | {doubted[kind]} |" for kind, name in SETS.items()]) + "\n"


def page(text: str, results: dict) -> str:
    """The text of the guide with its tables written anew."""
    before, _, rest = text.partition(BEGIN)
    settings = results["settings"]
    counted = table(results, settings["rows"], settings["seeds"])
    return f"{before}{BEGIN}\n{counted}\n{real_table(results['real'])}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Count, print, write results/plausible.json; or write the table of the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 8000])
    parser.add_argument("--real", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--page", action="store_true", help="write the table of the guide from the results, count nothing"
    )
    options = vars(parser.parse_args())
    if options.pop("page"):
        PAGE.write_text(page(PAGE.read_text(), json.loads(FOUND.read_text())["results"]))
        return
    rows, seeds = options["rows"], options["seeds"]
    results: dict[str, object] = {"settings": options}
    kinds = {"clean": {name: (make, None) for name, make in CLEAN.items()}, "faulty": FAULTY}
    for part, makers in kinds.items():
        what = "any" if part == "clean" else "right"
        print(f"\n{f'{part}: cautions in {seeds} series of':<45}" + "".join(f"{n:>8,}" for n in rows) + " rows")
        cells = {}
        for name, (make, wanted) in makers.items():
            cells[name] = {str(n): count(name, make, wanted, n, seeds) for n in rows}
            print(f"{name:<45}" + "".join(f"{cells[name][str(n)][what]:>8}" for n in rows), flush=True)
        results[part] = cells
    values = read(np.random.default_rng(0).standard_normal((10_000, 100)))
    began = time.process_time()
    doubts(*values)
    results["seconds for 100 columns of 10,000 rows"] = time.process_time() - began
    print(f"\n{results['seconds for 100 columns of 10,000 rows']:.2f} s for 100 columns of 10,000 rows")
    if options["real"]:
        results["real"] = measure_real(Path(os.environ["GATEWISE_DATA"]))
        print(results["real"]["columns"], results["real"]["columns doubted"])
    print(f"written to {record('plausible', results)}")


if __name__ == "__main__":
    main()
