"""Find readings of a column that look like errors: codes for "no reading", wild values, spikes, a stuck sensor.

Series with heavy tails, bursts and rare states have extreme readings too, which are no errors. An extreme is therefore
compared with the tail of its own column. For sizes with a power-law tail, the ratio of the j-th largest to the next has
a known distribution (Rényi 1953; Hill 1975)::

    x(1) >= x(2) >= ...                                        sizes in descending order
    H   = mean over i = j+1 .. j+k of i log(x(i) / x(i+1))     the reciprocal of the tail index below the gap
    gap = log(x(j) / x(j+1))
    P(gap at least so wide) = (1 + j gap / (k H)) ^ -k

In tails that fall faster, as that of the normal distribution does, such a gap is even less likely. The j largest sizes
count as wild if this probability is below `CHANCE` and the gap has at least a certain width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gatewise.layers.base import Array

CHANCE = 1e-5
"""The largest probability of such a gap in the tail of a clean column."""

MOST_WILD = 10
"""Greatest number of wild rows; if there are more, they are normal for the column."""

TAIL = 50
"""Number of sizes below a gap from which H is estimated; a fortieth of all sizes if that is less, but at least 10."""

FARTHER = 3.0
"""A wild reading lies at least this many times as far from the median as any other."""

HIGHER = 4.0
"""A spike is at least this many times as high as any other."""

LONGER = 5.0
"""A stuck column keeps a value at least this many times as long as it does elsewhere."""

FEW_LEVELS, FARTHER_OF_LEVELS = 20, 100.0
"""A column with so few different values has rare states, not tails; a wild reading must then be this far off."""

LEAST_STUCK = 20
"""The fewest rows with the same value that may be called stuck."""

LIMITS = frozenset({2.0**15 - 1, -(2.0**15), 2.0**16 - 1, 2.0**31, -(2.0**31), 2.0**32})
"""The limits of integers of 16 and 32 bits, rounded to float32."""


@dataclass(frozen=True)
class Wild:
    """Readings of a column that look like errors.

    Attributes:
        kind: "code", "far", "spike" or "stuck".
        rows: (few,) int, ascending; for "stuck" the first row of each period with one value.
        values: (few,) the readings in these rows.
        size: for "far" and "spike" the ratio to the furthest, or highest, of the other readings; for "stuck" the number
            of rows in the longest period; for "code" 0.
        usual: for "code" the smallest and the largest other reading; for "far" the median; for "stuck" the number of
            rows in the longest other period.
    """

    kind: str
    rows: Array
    values: Array
    size: float
    usual: tuple[float, ...]


def wild_readings(values: Array, starts: Sequence[int]) -> list[Wild]:
    """The readings that look like errors: at most one entry for each kind and code.

    Args:
        values: (rows,) float64, NaN where missing.
        starts: rows at which a series begins.
    """
    found = _codes(values)
    if found:
        values = values.copy()
        for code in found:
            values[code.rows] = np.nan
    if far := _far(values):
        found.append(far)
    if spike := _spikes(values, starts):
        known = far.rows if far else np.zeros(0, int)
        rows = spike.rows[~np.isin(spike.rows, known)]
        if rows.size:
            found.append(Wild("spike", rows, values[rows], spike.size, spike.usual))
    if stuck := _stuck(values, starts):
        found.append(stuck)
    return found


def gap_to_the_rest(sizes: Array, ratio: float, most: int) -> tuple[int, float]:
    """How many of the largest sizes lie apart from the tail of the others, and how many times as large they are.

    Args:
        sizes: (n,), of which those above 0 count.
        ratio: the least ratio of the sizes above and below the gap.
        most: greatest number of sizes above the gap.
    """
    sizes = sizes[sizes > 0]  # also removes NaN
    tail = min(TAIL, max(TAIL // 5, sizes.size // 40), sizes.size // 5)
    largest = most + tail + 1
    if sizes.size > largest:
        sizes = np.partition(sizes, sizes.size - largest)[-largest:]
    logs = np.log(np.sort(sizes)[::-1].astype(np.float64))
    above = np.arange(1, min(most, logs.size - 2) + 1)  # j
    if tail < TAIL // 5 or not above.size:
        return 0, 1.0
    below = np.minimum(tail, logs.size - above - 1)  # k
    sums = np.concatenate([[0.0], np.cumsum(logs)])
    last = above + below
    slopes = (above * logs[above] + sums[last] - sums[above] - last * logs[last]) / below  # H, summed by parts
    gaps = logs[above - 1] - logs[above]
    unlikely = below * np.log1p(above * gaps / (below * np.maximum(slopes, 1e-9))) > -np.log(CHANCE)
    wild = np.flatnonzero(unlikely & (gaps >= np.log(ratio)))
    return (int(above[wild[-1]]), float(np.exp(gaps[wild[-1]]))) if wild.size else (0, 1.0)


def _most(values: Array) -> int:
    return min(MOST_WILD, max(1, values.size // 200))


def _is_code(value: float) -> bool:
    """Whether it is written with nines, as -999 and 999.9 are, is the limit of an integer type, or is very large."""
    digits = f"{abs(value):g}".replace(".", "")
    return (abs(value) >= 99 and set(digits) == {"9"}) or value in LIMITS or abs(value) >= 1e20


def _codes(values: Array) -> list[Wild]:
    """Codes for "no reading": values beyond all others that are either like -999, or repeated, or 0."""
    rest = values[np.isfinite(values)]
    codes: list[float] = []
    while rest.size and (new := [end for end in {rest.min(), rest.max()} if _is_code(end)]):
        codes += new
        rest = rest[~np.isin(rest, new)]
    found = []
    for code in sorted(codes):
        rows = np.flatnonzero(values == code)
        width = float(np.ptp(rest)) if rest.size else 0.0
        if rows.size <= rest.size * (1.0 if width else 0.01) and _gap(code, rest) > max(width, 1e-6 * abs(code)):
            found.append(Wild("code", rows, values[rows], 0.0, (float(rest.min()), float(rest.max()))))
    rest = values[np.isfinite(values)]
    if found:
        rest = rest[~np.isin(rest, [code.values[0] for code in found])]
    for end in sorted({rest.min(), rest.max()}) if rest.size else ():
        rows = np.flatnonzero(values == end)
        stretches = 1 + int((np.diff(rows) > 1).sum())
        if rows.size > 0.01 * rest.size or rows.size > 3 * stretches or (end and rows.size < 2):
            continue  # a state of the column, or a single reading, which is compared with the tail
        others = rest[rest != end]
        width = np.ptp(others)
        if _gap(end, others) > (10.0 if end else 0.5) * width > 0 and np.unique(others).size >= FEW_LEVELS:
            found.append(Wild("code", rows, values[rows], 0.0, (float(others.min()), float(others.max()))))
    return found


def _gap(value: float, others: Array) -> float:
    return float(np.abs(others - value).min())


def _far(values: Array) -> Wild | None:
    """Rows that lie far from all others."""
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    middle = float(np.median(known))
    sizes = np.abs(values - middle)
    count, ratio = gap_to_the_rest(sizes, FARTHER, _most(known))
    if not count:
        return None
    rows = np.sort(np.argsort(np.where(np.isnan(sizes), -1.0, sizes))[-count:])
    if ratio < FARTHER_OF_LEVELS and np.unique(np.delete(values, rows)).size < FEW_LEVELS:
        return None
    return Wild("far", rows, values[rows], ratio, (middle,))


def _spikes(values: Array, starts: Sequence[int]) -> Wild | None:
    """Rows that exceed, or fall below, both the row before and the row after by far more than any others."""
    if values.size < 3:
        return None
    steps = np.diff(values)
    steps[[start - 1 for start in starts if start]] = 0.0
    heights = np.abs(steps)
    peaks = np.where(steps[:-1] * steps[1:] < 0, np.minimum(heights[:-1], heights[1:]), 0.0)
    peaks[np.isnan(peaks)] = 0.0
    count, ratio = gap_to_the_rest(peaks, HIGHER, _most(values))
    if not count:
        return None
    rows = np.sort(np.argsort(peaks)[-count:]) + 1
    lowest = peaks[rows - 1].min()
    heights[np.concatenate([rows - 1, rows])] = 0.0
    if lowest < 2 * np.nanmax(heights) or np.unique(np.delete(values, rows)).size < FEW_LEVELS:
        return None  # there are steps of that size elsewhere
    return Wild("spike", rows, values[rows], ratio, ())


def _stuck(values: Array, starts: Sequence[int]) -> Wild | None:
    """Periods with one value that are far longer than the others.

    A value to which the column returns often, an end of its range, or a level to which it steps is a state and no
    fault.
    """
    new = np.ones(values.size, bool)
    new[1:] = values[1:] != values[:-1]  # NaN never counts as equal
    new[list(starts)] = True
    begins = np.flatnonzero(new)
    lengths = np.diff(begins, append=values.size)
    if lengths.max(initial=0) < LEAST_STUCK:
        return None
    count, _ = gap_to_the_rest(lengths, LONGER, MOST_WILD)
    at = np.sort(np.argsort(lengths)[lengths.size - count :])
    at = at[lengths[at] >= LEAST_STUCK]
    if not at.size or at.size == lengths.size:
        return None
    usual = float(np.delete(lengths, at).max())
    steps = np.abs(np.diff(values))
    near = 10 * float(np.median(steps[steps > 0]))
    low, high = np.nanmin(values), np.nanmax(values)
    kept = []
    for stretch in at[lengths[at] >= LONGER * usual].tolist():
        begin, end = int(begins[stretch]), int(begins[stretch] + lengths[stretch])
        value = values[begin]
        step = end - 1 if begin in starts else begin - 1  # the step into the period, or out of it
        elsewhere = np.count_nonzero(values == value) - (end - begin)
        if low < value < high and elsewhere <= 0.01 * values.size and step < steps.size and steps[step] <= near:
            kept.append(stretch)
    if not kept:
        return None
    rows = begins[kept]
    return Wild("stuck", rows, values[rows], float(lengths[kept].max()), (usual,))
