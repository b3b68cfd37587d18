"""How well does a plain GRU forecast ETTh1, compared with naive forecasts, and how long does a backtest take?

    GATEWISE_DATA=/path/to/data python benchmarks/forecast.py [--horizons 96 192 336 720] [--seeds 3] [--steps 2500]
    GATEWISE_DATA=/path/to/data python benchmarks/forecast.py --choose

The folder must contain ett/ETTh1.csv.gz (Zhou et al. 2021, "Informer"): seven hourly readings of an electricity
transformer. Split and measures are those of the literature: rows 0 to 8639 are for training, 8640 to 11519 for
validation, and 11520 to 14399 for the test. Windows may reach back across these borders. Readings are standardised by
the training rows. Errors are means over all seven columns, all steps ahead, and forecasts from every hour. One model
with one GRU layer reads each column as a series of its own, in normalised windows of 96 hours, and forecasts all steps
at once. At each step ahead it is compared with the last reading and with the reading at the same hour of yesterday.

The settings were found with --choose: each setting is fitted and evaluated on rows 0 to 11519, and the results are
written to a file. The test rows are not read. The result is that of the seed with the lowest validation error; all
seeds are shown. The forecast that is evaluated is the median, which has the lowest absolute error. The mean has the
lowest squared error, so a model trained on squared errors can have a lower MSE. A published result is shown for
comparison; it was measured by its authors.

The time of `backtest` over the test rows is compared with that of plain runs of the same model over the same rows.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from common import interleave, ratio, record
from gatewise import Forecaster
from gatewise.tasks.backtest import Backtest

TRAINING, VALIDATION, TEST = 8640, 11520, 14400
"""The rows at which each part ends."""

DAY = 24
SETTINGS: Mapping[str, Any] = {"units": 64, "context": {"window": 96}, "normalise": True, "learning_rate": 0.01}
"""Found with --choose; all other parameters have the defaults of Forecaster."""

TRIED: tuple[Mapping[str, Any], ...] = (
    {},
    {"together": True},
    {"anchor": False},
    {"calendar": ("day",)},
    {"units": 32},
    {"units": 128},
    {"layers": 2},
    {"context": {"window": 168}},
    {"context": {"window": 336}},
    {"quantiles": (0.5,)},
    {"steps": 6000},
    {"learning_rate": 0.003},
    {"learning_rate": 0.03},
    {"recurrence": "lstm"},
)
"""The settings that --choose tries in addition to SETTINGS. Together: one model reads all columns at once."""

PUBLISHED = {96: (0.368, 0.395), 192: (0.408, 0.419), 336: (0.444, 0.440), 720: (0.446, 0.457)}
"""MSE and MAE of SegRNN (Lin et al. 2023), a GRU layer over segments of the last 96 hours, as its repository states."""


def read(root: Path, rows: int) -> pd.DataFrame:
    """The first rows of ETTh1: the time, and each column standardised by the training rows."""
    frame = pd.read_csv(root / "ett" / "ETTh1.csv.gz", parse_dates=["date"])
    columns = frame.columns.drop("date")
    training = frame.loc[: TRAINING - 1, columns]
    frame[columns] = (frame[columns] - training.mean()) / training.std(ddof=0)
    return frame[:rows]


def apart(frame: pd.DataFrame) -> pd.DataFrame:
    """Each column as a series of its own, one after the other in a long table."""
    return frame.melt("date", var_name="column", value_name="reading")


def fit(frame: pd.DataFrame, horizon: int, *, together: bool = False, **changes: Any) -> Forecaster:
    """A forecaster of all steps up to the horizon, trained on the first three quarters and validated on the rest."""
    options = {"time": "date", "validation": 1 - TRAINING / VALIDATION, **SETTINGS, **changes}
    forecaster = Forecaster(horizons=horizon, series=None if together else "column", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return forecaster.fit(frame if together else apart(frame))


def score(forecaster: Forecaster, frame: pd.DataFrame, start: int) -> Backtest:
    """Forecasts from the row before `start` on, one hour apart."""
    return forecaster.backtest(frame if forecaster.series is None else apart(frame), start=start, season=DAY)


def errors(found: Backtest) -> dict[str, Any]:
    """Mean errors of the model and of the naive forecasts, and the number of steps at which it is better than both."""
    answer: dict[str, Any] = {}
    for measure in ("mse", "mae"):
        frame = found.compare(measure)
        best = frame.drop(columns="model").min(axis=1)
        answer[measure] = frame.mean().to_dict()
        answer[f"{measure} better at"] = int((frame["model"] < best).sum())
        answer[f"{measure} worst ratio"] = float((frame["model"] / best).max())
        answer[f"{measure} by step"] = {name: frame[name].round(5).tolist() for name in frame}
    answer["coverage"] = float(found.scores()["coverage"].mean())
    answer["readings scored"] = int(found.scores()["count"].sum())
    return answer


def choose(root: Path, seeds: int, steps: int) -> list[dict[str, Any]]:
    """Each setting's errors on the validation rows, the mean of the seeds; the test rows are not read."""
    frame = read(root, VALIDATION)
    print("validation rows, 96 steps ahead; number of steps at which both naive forecasts are worse; seconds of a fit")
    print(f"{'setting':<36}{'MSE':>8}{'MAE':>8}{'in MSE':>8}{'in MAE':>8}{'seconds':>9}")
    found = []
    for changes in TRIED:
        rows = []
        for seed in range(seeds):
            began = time.perf_counter()
            forecaster = fit(frame, 96, random_state=seed, **{"steps": steps, **changes})
            seconds = time.perf_counter() - began
            answer = errors(score(forecaster, frame, TRAINING))
            rows.append({"seed": seed, "fit seconds": seconds, **summary(answer)})
        mean = {key: statistics.mean(row[key] for row in rows) for key in rows[0] if key != "seed"}
        name = ", ".join(f"{key}={value}" for key, value in changes.items()) or "as settled"
        cells = f"{mean['mse']:>8.4f}{mean['mae']:>8.4f}{mean['mse better at']:>8.1f}{mean['mae better at']:>8.1f}"
        print(f"{name:<36}{cells}{mean['fit seconds']:>9.0f}", flush=True)
        found.append({"changes": dict(changes), "mean": mean, "seeds": rows})
    return found


def summary(answer: Mapping[str, Any]) -> dict[str, float]:
    """The numbers about the model in the result of `errors`."""
    own = {measure: answer[measure]["model"] for measure in ("mse", "mae")}
    return {**own, **{key: value for key, value in answer.items() if key.endswith(("better at", "worst ratio"))}}


def measure(root: Path, horizon: int, seeds: int, steps: int) -> dict[str, Any]:
    """The errors of several seeds on the test rows; one of them is chosen before by its validation error."""
    fitted, frame = read(root, VALIDATION), read(root, TEST)
    rows = []
    for seed in range(seeds):
        began = time.perf_counter()
        forecaster = fit(fitted, horizon, steps=steps, random_state=seed)
        seconds = time.perf_counter() - began
        held = float(score(forecaster, fitted, TRAINING).compare("mse")["model"].mean())
        tested = errors(score(forecaster, frame, VALIDATION))
        rows.append({"seed": seed, "fit seconds": seconds, "validation mse": held, **tested})
    chosen = min(rows, key=lambda row: row["validation mse"])
    naive = {name: (chosen["mse"][name], chosen["mae"][name]) for name in chosen["mse"] if name != "model"}
    print(f"\n{horizon} steps ahead        MSE     MAE   better than both at (MSE, MAE), fit")
    for name, (mse, mae) in naive.items():
        print(f"  {name:<16}{mse:>8.4f}{mae:>8.4f}")
    for row in rows:
        label = f"seed {row['seed']}{', chosen' if row is chosen else ''}"
        better = f"{row['mse better at']}, {row['mae better at']} of {horizon}"
        cells = f"{row['mse']['model']:>8.4f}{row['mae']['model']:>8.4f}"
        print(f"  {label:<16}{cells}   {better}, {row['fit seconds']:.0f} s")
    if horizon in PUBLISHED:
        print(f"  {'SegRNN, published':<16}{PUBLISHED[horizon][0]:>8.3f}{PUBLISHED[horizon][1]:>8.3f}", flush=True)
    return {
        "horizon": horizon,
        "seeds": rows,
        "chosen seed": chosen["seed"],
        "mean mse": statistics.mean(row["mse"]["model"] for row in rows),
        "mean mae": statistics.mean(row["mae"]["model"] for row in rows),
        "published": dict(zip(("mse", "mae"), PUBLISHED.get(horizon, ()), strict=False)),
    }


def cost(root: Path, rounds: int = 5) -> dict[str, Any]:
    """Seconds of a backtest of the test rows, and of plain runs over the rows that it reads, with any weights."""
    frame = apart(read(root, TEST))
    answer = {}
    for name, options in (("carried", {"context": "carried", "normalise": False, "bptt": 96}), ("window", {})):
        forecaster = fit(read(root, VALIDATION), 96, steps=2, **options)
        model = forecaster.model_
        first = 0 if model.window is None else VALIDATION - model.window
        series = [
            np.ascontiguousarray(part["reading"].to_numpy(np.float32)[first : TEST - 96, None])
            for _, part in frame.groupby("column", sort=False)
        ]

        def backtest(times: int, forecaster: Forecaster = forecaster) -> None:
            for _ in range(times):
                forecaster.backtest(frame, start=VALIDATION, season=DAY)

        def runs(times: int, model: Any = model, series: list[Any] = series) -> None:
            for _ in range(times):
                for x in series:
                    model.run(x)

        spent = interleave({"backtest": backtest, "runs": runs}, rounds, seconds=1.0)
        answer[name] = {
            "backtest seconds": statistics.median(spent["backtest"]),
            "runs seconds": statistics.median(spent["runs"]),
            "ratio": ratio(spent["backtest"], spent["runs"]),
            "rows read": sum(map(len, series)),
            "forecasts": len(series) * (TEST - VALIDATION - 96 + 1) * 96,
        }
        shown = answer[name]
        print(
            f"backtest, {name}: {shown['backtest seconds']:.2f} s for {shown['forecasts']:,} forecasts; bare runs over "
            f"the {shown['rows read']:,} rows: {shown['runs seconds']:.2f} s; ratio {shown['ratio']:.2f}",
            flush=True,
        )
    return answer


def main() -> None:
    """Measure, print tables, write results/forecast.json, or with --choose results/forecast_choice.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--horizons", type=int, nargs="+", default=list(PUBLISHED))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2500, help="updates of each fit")
    parser.add_argument("--threads", type=int, default=1, help="of torch, while it trains")
    parser.add_argument("--choose", action="store_true", help="try settings on the validation rows")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    root = Path(os.environ["GATEWISE_DATA"])
    settings = {**vars(options), **SETTINGS}
    if options.choose:
        found = choose(root, options.seeds, options.steps)
        print(f"written to {record('forecast_choice', {'settings': settings, 'tried': found})}")
        return
    spent = cost(root)
    results = [measure(root, horizon, options.seeds, options.steps) for horizon in options.horizons]
    print(f"written to {record('forecast', {'settings': settings, 'cost': spent, 'horizons': results})}")


if __name__ == "__main__":
    main()
