"""Measure the range of the level of each column in the data of the fit, and the evidence of a row outside that range.

The tail-probability head smooths the readings of each column over a short and a long span and tests whether these
levels have left their range (see `heads/tail_probability/spec.py`). The tensors that it needs are measured here, on all
rows of the fit:

* A reading is clipped to the bulk of the column, extended by its width on both sides, so that a single wild value
cannot
  move a level far.
* The range is that from the smallest to the largest level. On both sides it is extended by the distance from there to
  the level that 99 of 100 rows do not exceed: little for a level that ends abruptly, more for one with tails.
* Levels of neighbouring rows depend on each other. Rows count as independent if they are twice the lag apart at which
  the autocorrelation of the column falls below 1/e, and at least the short span or a quarter of the long one. n rows
  then contain N independent levels. If levels are exchangeable, the next one is beyond all of them with probability
  2/(N + 1); twice that is tolerated, and the alternative that is tested is a half.
* If a column moves so slowly that the rows of the fit contain fewer than 20 such lags, its range is not reliable. It
may
  be a trend or a counter. The least distance is then used, so that leaving the range is reported early.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatewise.errors import MissingExtraError
from gatewise.heads.tail_probability.spec import SPANS, TOLERATED, UNBOUNDED
from gatewise.inputs.base import fill_forward
from gatewise.layers.base import Array
from gatewise.tables.robust import reach

try:
    from scipy import fft, signal
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks need SciPy: pip install 'gatewise[train]'") from error

LEAST_ROWS = (SPANS[0], SPANS[1] // 4)
"""The least number of rows, for each span, between levels that count as independent."""

_FEW_LAGS = 20
_LARGEST = 0.4


def level_tests(series: Sequence[Array], masked: bool) -> dict[str, Array]:
    """The tensors `clip`, `range` and `factor` of the head.

    Args:
        series: for each series all rows of the fit, (rows, W), scaled, NaN if missing.
        masked: whether a missing reading does not change the level; if not, it is filled forward.

    Returns:
        clip (W, 2), range (W, 4) and factor (W, 4), float32.
    """
    found = [_test([rows[:, w] for rows in series], masked) for w in range(series[0].shape[1])]
    return {
        name: np.array([each[i] for each in found], np.float32) for i, name in enumerate(("clip", "range", "factor"))
    }


def _test(series: Sequence[Array], masked: bool) -> tuple[list[float], list[float], list[float]]:
    """Clip, range and factors of one column."""
    present = [rows.astype(np.float64) for rows in series]
    present = [
        rows[np.isfinite(rows)] if masked else np.nan_to_num(fill_forward(rows[:, None])[:, 0]) for rows in present
    ]
    every = np.concatenate(present)
    low, high = reach(every) if every.size else (0.0, 0.0)
    if not low < high:
        return [-UNBOUNDED, UNBOUNDED], [-UNBOUNDED, UNBOUNDED] * len(SPANS), [0.0, 0.0] * len(SPANS)
    clipped = [np.clip(rows, low, high) for rows in present]
    lag = _lag(max(clipped, key=len))
    slow = lag * _FEW_LAGS > len(every)
    bounds: list[float] = []
    factors: list[float] = []
    for span, least in zip(SPANS, LEAST_ROWS, strict=True):
        beta = 2.0 / (span + 1.0)
        level = np.concatenate([signal.lfilter([beta], [1.0, beta - 1.0], rows) for rows in clipped])
        bounds += _range(level)
        factors += _factors(len(level), least if slow else max(least, 2 * lag))
    return [low, high], bounds, factors


def _range(level: Array) -> list[float]:
    """The ends of the range of levels (rows,)."""
    low, usual_low, usual_high, high = np.quantile(level, [0.0, 0.01, 0.99, 1.0])
    least = 0.01 * (high - low) + 1e-6
    return [float(low - max(usual_low - low, least)), float(high + max(high - usual_high, least))]


def _factors(rows: int, together: int) -> list[float]:
    """Likelihood ratios outside and inside the range, to the power of one over the number of dependent rows."""
    p = TOLERATED * 2.0 / (rows / together + 1.0)
    if p > _LARGEST:
        return [0.0, 0.0]
    q = 0.5 * (1.0 + p)
    return [(q / p) ** (1.0 / together), ((1.0 - q) / (1.0 - p)) ** (1.0 / together)]


def _lag(values: Array) -> int:
    """The first lag at which the autocorrelation of values (rows,) falls below 1/e."""
    n = len(values)
    if n < 2:
        return 1
    centred = values - values.mean()
    spectrum = fft.rfft(centred, fft.next_fast_len(2 * n))
    correlation = fft.irfft(np.abs(spectrum) ** 2)[:n]
    below = np.flatnonzero(correlation < correlation[0] / np.e)
    return int(below[0]) if below.size else n
