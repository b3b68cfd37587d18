"""The El Nino series that statsmodels carries, and where it is cut."""

from __future__ import annotations

import pandas as pd

FIRST_STREAMED_YEAR = 1980
"""Training, validation and calibration see what lies before.

The first thirty years, 1950 to 1979: the length of a climate normal (World Meteorological Organization, WMO-No. 1203),
and about half of the data. The great El Nino events of 1982-83 and 1997-98 lie in the half that is only streamed.
"""


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
