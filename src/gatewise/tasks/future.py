"""The rows to come of a forecast: what is known of them, and whether they follow on the data.

The model counts steps, not time, so the row h of what is known ahead has to be the one h steps after the last row of
the data. Where there are times they are held to that: from row to row they go on in the usual step of the series, give
or take a tenth, or in another that the series has made more than once, as business days do over a weekend.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gatewise.errors import InputError, MissingExtraError
from gatewise.layers.base import Array
from gatewise.tasks.forecast_inputs import Layout, times_ahead, usual_step
from gatewise.tasks.parameters import is_array
from gatewise.tasks.table import FUTURE, Table, read_table
from gatewise.tasks.times import even, numbers

try:
    import pandas as pd
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks read tables with pandas: pip install 'gatewise[train]'") from error


def known_ahead(
    table: Table,
    future: Any,
    layout: Layout,
    time: str | None,
    series: str | None,
    subtract: Array | None = None,
) -> tuple[Mapping[str | int | None, Array | None], Mapping[str | int | None, str]]:
    """The covariates of the rows that follow on each series: by its id (lead, covariates) float32, or None.

    Of several series those whose covariates are not known or do not follow come with what is wrong instead.

    Args:
        table: the data.
        future: as `Forecaster.predict` takes it.
        layout: what the model reads.
        time, series: names of these columns, as `read_table` takes them.
        subtract: (covariates,) what is taken from them, as from the data.

    Raises:
        InputError: no covariates, too few rows, or rows that do not follow on the data.
    """
    if not layout.covariates:
        if future is not None:
            raise InputError("future is for covariates, and this forecaster has none; leave it out")
        return {name: None for name, _, _ in table.series}, {}
    if future is None:
        raise InputError(
            f"the forecast needs {list(layout.covariates)} in the {layout.lead} rows that follow; pass future="
        )
    named = None if is_array(future) else layout.covariates
    known = read_table(future, time, named, "raise", series, FUTURE, subtract, leave_out=True)
    if len(known.columns) != len(layout.covariates):
        raise InputError(f"future must have the columns {list(layout.covariates)}, got {list(known.columns)}")
    rows = {name: (start, stop) for name, start, stop in known.series}
    found: dict[str | int | None, Array | None] = {}
    faults = dict(known.left_out)
    for name, start, stop in table.series:
        own = "" if name is None else f" of series {name!r}"
        a, b = rows.get(name, (0, 0))
        try:
            if name not in faults:
                if b - a < layout.lead:
                    raise InputError(f"future must have the {layout.lead} rows{own} that follow, got {b - a}")
                times = None if table.times is None else table.times[start:stop]
                _check_follows(times, known, slice(a, a + layout.lead), own)
                found[name] = known.values[a : a + layout.lead]
        except InputError as error:
            faults[name] = str(error)
    return found, {name: faults[name] for name, _, _ in table.series if name in faults}


def _check_follows(times: pd.Index | None, known: Table, rows: slice, own: str) -> None:
    """Refuse rows ahead whose times do not go on as those of the data do; `own` names the series in messages."""
    given = None if known.times is None else known.times[rows]
    if times is None and given is None:
        return
    if times is None or given is None:
        has, lacks = ("future", "the data") if times is None else ("the data", "future")
        raise InputError(
            f"there are times in {has} and none in {lacks}, so nothing shows that future{own} follows on the data; "
            "give both the same kind of index, dates or none"
        )
    if _kind(times) != _kind(given):
        raise InputError(
            f"the times{own} are {_kind(times)} in the data and {_kind(given)} in future; give both in the same form"
        )
    if isinstance(times, pd.DatetimeIndex) and isinstance(given, pd.DatetimeIndex) and times.tz is not None:
        given = given.tz_convert(times.tz)
    every = times.append(given)
    steps, coming = np.split(np.diff(numbers(every)), [len(times) - 1])
    expected = times_ahead(times, [1])[0]
    if not coming[0] > 0:
        raise InputError(
            f"future{own} begins at {given[0]}, which does not lie after {times[-1]}, the last row of the data; "
            f"give the rows from {expected} on"
        )
    usual = float(np.median(steps))
    others = steps[~even(steps, usual)]
    wrong = [not even(step, usual) and even(step, others).sum() < 2 for step in coming]
    if any(wrong):
        row = wrong.index(True)
        before = "the last row of the data" if row == 0 else "the row before it"
        expected = times_ahead(every[: len(times) + row], [1])[0]
        raise InputError(
            f"future{own} does not go on in the steps of the data: got {known.where(rows.start + row)}, expected "
            f"{expected}, {usual_step(times)} after {before}; give all the rows that follow, in that step"
        )


def _kind(times: pd.Index) -> str:
    """What sort of times they are, for messages: those of one kind can be compared."""
    if isinstance(times, pd.DatetimeIndex):
        return "dates without a zone" if times.tz is None else "dates with a zone"
    return "durations" if isinstance(times, pd.TimedeltaIndex) else "numbers"
