"""Detector on real series with known trouble (Numenta anomaly benchmark); needs the shared data."""

from __future__ import annotations

import gzip
import json
import warnings
from pathlib import Path

import pandas as pd
import pytest

from gatewise.errors import InputError
from gatewise.tasks.detector import Detector

TAXI, MACHINE = (f"realKnownCause/{name}" for name in ("nyc_taxi", "machine_temperature_system_failure"))


def test_a_clock_set_back_is_found_in_a_real_file(data_dir: Path) -> None:
    path = data_dir / "nab" / "data" / f"{MACHINE}.csv.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()  # line 1 holds the names
    assert lines[10149].startswith("2014-01-07 02:55:00")
    assert lines[10150].startswith("2014-01-07 02:00:00")
    with pytest.raises(
        InputError, match=r"02:00:00 at row 10149 \(line 10151\) is earlier than 2014-01-07 02:55:00 in"
    ):
        Detector(time="timestamp").fit(path)


@pytest.mark.slow
def test_taxi_rides_alarm_in_labelled_windows_and_rarely_elsewhere(data_dir: Path) -> None:
    """Fitted on four months before the first window (the marathon), scored on the three that hold all five."""
    data = pd.read_csv(data_dir / "nab" / "data" / f"{TAXI}.csv.gz", parse_dates=["timestamp"])
    windows = json.loads((data_dir / "nab" / "labels" / "combined_windows.json").read_text())[f"{TAXI}.csv"]
    before = int((data["timestamp"] < windows[0][0]).sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = Detector(time="timestamp", steps=200, false_alarms_per_1000=5.0).fit(data[:before])
    found = detector.explain(data[before:], state=detector.state_)
    inside = [found["timestamp"].between(*map(pd.Timestamp, window)) for window in windows]
    outside = ~pd.concat(inside, axis=1).any(axis=1)
    assert sum(found["alarm"][window].any() for window in inside) >= 3
    assert 1000 * found["alarm"][outside].mean() < 20
