"""Covariates in the future rows of a forecast, and the check that these rows follow the data.

The model counts steps, not time, so row h of the covariates must be h steps after the last row of the data. If there
are
times, they are checked: from row to row they must follow the calendar of the series, or make a step that occurs more
than once in the data, as over a holiday.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gatewise.errors import ANY, InputError, MissingExtraError, Parameter
from gatewise.layers.base import Array
from gatewise.tables.rules import Steps, differences, kind_of
from gatewise.tables.step_lengths import step_length
from gatewise.tables.table import FUTURE, Table, read_table
from gatewise.tables.timeline import Id, Timeline
from gatewise.tasks.layout import Layout
from gatewise.tasks.parameters import is_array

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
    known_times: Timeline,
    subtract: Array | None = None,
) -> tuple[Mapping[str | int | None, Array | None], Mapping[str | int | None, str]]:
    """The covariates of the rows after each series: id -> (lead, covariates) float32, or None.

    If there are several series, those whose covariates are missing or do not follow the data have a message instead.

    Args:
        table: the data.
        future: as for `Forecaster.predict`.
        layout: the columns that the model reads.
        time, series: names of these columns, as for `read_table`.
        known_times: the timeline of the data on which the model was fitted.
        subtract: (covariates,) constants that are subtracted from them, as from the data.

    Raises:
        InputError: covariates are missing, there are too few rows, or they do not follow the data.
    """
    if not layout.covariates:
        if future is not None:
            raise InputError("future is for covariates, and this forecaster has none; leave it out")
        return {name: None for name, _, _ in table.series}, {}
    if future is None:
        raise InputError(
            f"the forecast needs {list(layout.covariates)} in the {layout.lead} rows that follow; pass ",
            Parameter("future", ANY),
        )
    named = None if is_array(future) else layout.covariates
    known = read_table(future, time, named, "raise", series, FUTURE, known_times.dated, subtract, leave_out=True)
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
                _check_follows(times, known, slice(a, a + layout.lead), own, known_times, name)
                found[name] = known.values[a : a + layout.lead]
        except InputError as error:
            faults[name] = error.text
    return found, {name: faults[name] for name, _, _ in table.series if name in faults}


def _check_follows(
    times: pd.Index | None, known: Table, rows: slice, own: str, known_times: Timeline, name: Id
) -> None:
    """Raise InputError if the times of future rows do not continue those of the data; `own` names the series."""
    given = None if known.times is None else known.times[rows]
    if times is None and given is None:
        return
    if times is None or given is None:
        has, lacks = ("future", "the data") if times is None else ("the data", "future")
        raise InputError(
            f"there are times in {has} and none in {lacks}, so it cannot be checked that future{own} follows the data; "
            "give both the same kind of index, dates or none"
        )
    if _kind(times) != _kind(given):
        raise InputError(
            f"the times{own} are {_kind(times)} in the data and {_kind(given)} in future; give both in the same form"
        )
    if isinstance(times, pd.DatetimeIndex) and isinstance(given, pd.DatetimeIndex) and times.tz is not None:
        given = given.tz_convert(times.tz)
    calendar = known_times.of(name, times)
    if calendar is None:
        raise InputError(
            f"one row{own} is not enough to know how far apart rows are, and whether future follows; give two or more"
        )
    every = times.append(given)
    expected = calendar.after(times, [1])[0]
    steps, coming = np.split(calendar.measure(every), [len(times) - 1])
    lengths, lengths_ahead = np.split(differences(every), [len(times) - 1])
    if not lengths_ahead[0] > 0:
        raise InputError(
            f"future{own} begins at {given[0]}, which is not after {times[-1]}, the last row of the data; "
            f"give the rows from {expected} on"
        )
    made = lengths[steps != 1]
    wrong = [step != 1 and (np.abs(made - length) <= 1e-6 * length).sum() < 2
             for step, length in zip(coming, lengths_ahead, strict=True)]  # fmt: skip
    if any(wrong):
        row = wrong.index(True)
        before = "the last row of the data" if row == 0 else "the row before it"
        expected = calendar.after(every[: len(times) + row], [1])[0]
        rule = calendar.counted
        step = f"{step_length(rule.step, calendar.kind)} after" if isinstance(rule, Steps) else "the next after"
        what = "in the steps of the data" if isinstance(rule, Steps) else f"with rows {calendar.describe()}"
        raise InputError(
            f"future{own} does not continue {what}: got {known.where(rows.start + row)}, expected {expected}, {step} "
            f"{before}; give all the rows that follow"
        )


def _kind(times: pd.Index) -> str:
    """The kind of times, for messages. Times of the same kind can be compared."""
    zone = "" if not isinstance(times, pd.DatetimeIndex) else " without a zone" if times.tz is None else " with a zone"
    return kind_of(times) + zone
