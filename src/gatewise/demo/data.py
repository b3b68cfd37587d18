"""The series of the demo, El Nino from statsmodels and a simulated pump, and the rows at which they are split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gatewise.file import atomic_write
from gatewise.layers.base import Array

FIRST_STREAMED_YEAR = 1980
"""The first year that is only streamed. Training, validation and calibration use the years before.

The first thirty years, 1950 to 1979: the length of a climate normal (World Meteorological Organization, WMO-No. 1203),
and about half of the data. The great El Nino events of 1982-83 and 1997-98 lie in the half that is only streamed.
"""

PUMP_ROWS, NEW_ROWS = 30_240, 2_880
"""Number of minutes of the pump: three weeks for training, and the next two days, which have the faults."""

PUMP_FAULTS = {"knock": (600, 601), "cavitation": (1_200, 1_260), "rubbing seal": (2_100, 2_160)}
"""The faults in the two days: the first row of each, and the row after its last."""


def load_elnino() -> pd.DataFrame:
    """Monthly mean sea-surface temperature off Peru (0-10 degrees south, 80-90 degrees west: the region Nino 1+2).

    NOAA ERSST.v3b, January 1950 to December 2010, from `statsmodels.datasets.elnino`; nothing is downloaded.

    Returns:
        Columns month (datetime64, first of the month) and temperature (degrees Celsius), 732 rows in order of time.
    """
    from statsmodels.datasets import elnino

    wide = elnino.load_pandas().data  # YEAR, JAN ... DEC
    years = wide["YEAR"].astype(int)
    month = pd.date_range(f"{years.iloc[0]}-01-01", periods=12 * len(wide), freq="MS")
    return pd.DataFrame({"month": month, "temperature": wide.drop(columns="YEAR").to_numpy(float).ravel()})


def make_pump(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate the vibration of a pump: three weeks without faults, and the next two days with three faults.

    The load varies over the hours, the vibration follows it with a delay of some minutes, and both are noisy. The
    faults are a knock (one reading), cavitation (an hour of noise four times as strong) and a seal that rubs every
    third minute of an hour.

    Args:
        seed: seed of the noise.

    Returns:
        The three weeks and the two days, each with the columns time (datetime64, one row a minute), load (share of the
        maximum) and vibration (millimetres a second).
    """
    rng = np.random.default_rng(seed)
    rows = PUMP_ROWS + NEW_ROWS
    minute = np.arange(rows)
    swing = 0.16 * np.sin(2 * np.pi * minute / 180) + 0.1 * np.sin(2 * np.pi * minute / 67)
    load = 0.6 + swing + 0.2 * _smooth(rng.normal(size=rows), 10)
    noise = 0.06 * _smooth(rng.normal(size=rows), 2)
    fault = np.zeros(rows)
    knock, cavitation, seal = (slice(PUMP_ROWS + a, PUMP_ROWS + b) for a, b in PUMP_FAULTS.values())
    fault[knock] = 0.5
    fault[cavitation] = rng.normal(0, 4 * 0.03, cavitation.stop - cavitation.start)
    fault[seal][::3] = 0.3
    usual = 1.0 + 2.0 * _smooth(load**2, 10)
    table = pd.DataFrame(
        {
            "time": pd.date_range("2024-03-01", periods=rows, freq="min"),
            "load": load.round(3),
            "vibration": (usual + noise + fault).round(3),
        }
    )
    return table[:PUMP_ROWS], table[PUMP_ROWS:].reset_index(drop=True)


SERIES = ("elnino.csv", "pump.csv", "new.csv")
"""Files that `write_series` writes."""


def write_series(folder: Path) -> None:
    """Write the files of `SERIES` into a folder: El Nino, and the two parts of the pump."""
    weeks, days = make_pump()
    tables = zip(SERIES, (load_elnino(), weeks, days), ("%Y-%m-%d", *["%Y-%m-%d %H:%M"] * 2), strict=True)
    for name, table, form in tables:
        atomic_write(folder / name, table.to_csv(index=False, date_format=form, lineterminator="\n").encode())


def _smooth(values: Array, span: int) -> Array:
    """The exponentially weighted mean of the values so far, whose weights fall by 1 - 1 / span with each step."""
    return pd.Series(values).ewm(alpha=1 / span, adjust=False).mean().to_numpy()
