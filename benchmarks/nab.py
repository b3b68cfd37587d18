"""How does a detector do on real series? Counts hits and false alarms on the Numenta anomaly benchmark.

    GATEWISE_DATA=/path/to/data python benchmarks/nab.py [--steps 400] [--share 0.4] [FILE ...]

The folder must contain nab/data and nab/labels (Lavin and Ahmad 2015). A detector is fitted on the first part of each
series, including its anomalies, and scores the rows that follow. A labelled window counts as hit if an alarm is in it;
alarms outside of all windows are false. The files contain changes of the clock, which a detector refuses, so rows are
sorted and repeated times are left out. Some labels are known to be arbitrary (Wu and Keogh 2021), so this is a check of
plausibility and not a ranking.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from common import record
from gatewise import Detector

RATES = (10.0, 1.0)
FILES = (
    "realKnownCause/machine_temperature_system_failure",
    "realKnownCause/nyc_taxi",
    "realKnownCause/ambient_temperature_system_failure",
    "realKnownCause/ec2_request_latency_system_failure",
    "realAWSCloudwatch/rds_cpu_utilization_e47b3b",
    "realTraffic/speed_7578",
)


def measure(root: Path, name: str, share: float, steps: int, smooth: int) -> dict[str, object]:
    """Windows that are hit, and false alarms in 1,000 rows outside of windows, after the training rows."""
    frame = pd.read_csv(root / "data" / f"{name}.csv.gz", parse_dates=["timestamp"])
    frame = frame[~frame["timestamp"].duplicated()].sort_values("timestamp", ignore_index=True)
    labels = json.loads((root / "labels" / "combined_windows.json").read_text())[f"{name}.csv"]
    rows = round(share * len(frame))
    windows = [frame["timestamp"].between(*map(pd.Timestamp, window)).to_numpy() for window in labels]
    detector = Detector(time="timestamp", validation=0.4, smooth=smooth, steps=steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector.fit(frame[:rows])
    scores = -detector.score_samples(frame[rows:], state=detector.state_)
    later = [window[rows:] for window in windows if not window[:rows].any()]
    clear = ~np.any([window[rows:] for window in windows], axis=0)
    found: dict[str, object] = {
        "series": name,
        "rows": len(frame),
        "fitted": rows,
        "windows": len(later),
        "finest supported rate": detector.calibration_.finest_per_1000,
    }
    for rate in RATES:
        alarms = scores >= 3 - np.log10(rate)
        found[f"hit at {rate:g}"] = sum(bool(alarms[window].any()) for window in later)
        found[f"false per 1000 at {rate:g}"] = 1000 * float(alarms[clear].mean())
    return found


def main() -> None:
    """Measure, print a table, write results/nab.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", default=FILES)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--share", type=float, default=0.4, help="of the series that is fitted")
    parser.add_argument("--smooth", type=int, default=1)
    options = parser.parse_args()
    root = Path(os.environ["GATEWISE_DATA"]) / "nab"
    stated = "".join(f"{f'hit at {rate:g}':>11}{f'false at {rate:g}':>12}" for rate in RATES)
    print(f"{'series':<52}{'fitted':>7}{stated}   finest supported")
    results = []
    for name in options.files:
        row = measure(root, name, options.share, options.steps, options.smooth)
        results.append(row)
        cells = "".join(
            f"{row[f'hit at {rate:g}']:>6} of {row['windows']}{row[f'false per 1000 at {rate:g}']:>12.1f}"
            for rate in RATES
        )
        print(f"{name:<52}{row['fitted']:>7}{cells}{row['finest supported rate']:>15.1f}", flush=True)
    print(f"written to {record('nab', {'settings': vars(options), 'series': results})}")


if __name__ == "__main__":
    main()
