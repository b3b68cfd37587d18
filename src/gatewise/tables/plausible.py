"""Warnings about data that can be read, but that are probably not what they seem to be: of `fit`, and of forecasts.

The form of the data is checked by `gatewise.tables.table`. A column may have the form of readings and still be a
counter, a time or an id, leave the range of the training rows for good, or contain values that look like errors. Such
data are not refused. Each fault gives a warning that names the column, the row and the value, and says what to do.
Columns with the same kind of fault share one warning, so that a wide table does not give hundreds. The faults are
defined in `wild_readings` and `column_kinds`; `benchmarks/plausible.py` measures how often they are found, and how
often a warning is false.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gatewise.errors import ANY, Parameter, Text, Wording
from gatewise.layers.base import Array
from gatewise.tables.column_kinds import Lasting, lasting_change, no_reading, steps_within
from gatewise.tables.table import Table
from gatewise.tables.wild_readings import Wild, wild_readings

SHOWN = 3
"""How many columns, and rows of one column, a warning describes; the others are named or counted."""

Doubts = dict[str, list[tuple[str, str]]]
"""The columns with each kind of fault, and a description for each column."""


def implausible(table: Table, trained: Array, kept: Array, lasting: Sequence[int] | None = None) -> list[str]:
    """Warnings about columns and readings that look wrong.

    Args:
        table: the readings.
        trained: (some,) int, the rows that weights are trained on.
        kept: (some,) int, the rows that calibrate or validate.
        lasting: columns that must stay in the range of the training rows; None = all.

    Returns:
        At most one warning for each kind of fault, of which there are twelve.
    """
    return [_warning(kind, found, table) for kind, found in doubts(table, trained, kept, lasting).items()]


def doubts(table: Table, trained: Array, kept: Array, lasting: Sequence[int] | None = None) -> Doubts:
    """The faults that `implausible` warns about, by kind; kinds that no column has are left out.

    Columns with "time", "steps", "restart" and "id" are not readings; those with "counter", "trend", "walk" and "shift"
    do not come back to their range; "code", "far", "spike" and "stuck" look like errors.
    """
    starts = [start for _, start, _ in table.series]
    spans = [(start, stop) for _, start, stop in table.series]
    found: Doubts = {kind: [] for kind in _ADVICE}
    for k, name in enumerate(table.columns):
        values = table.wide(k)
        if not np.isfinite(values).any():
            continue
        steps = steps_within(values, starts)
        if kind := no_reading(name if table.named else "", values, steps, table.id is not None):
            found[kind].append((name, _NO_READING[kind](values, steps)))
            continue
        wild = wild_readings(values, starts)
        for each in wild:
            found[each.kind].append((name, _WILD[each.kind](each, table)))
            if each.kind != "stuck":
                values[each.rows] = np.nan
        if lasting is None or k in lasting:
            steps = steps_within(values, starts) if wild else steps
            if change := lasting_change(values, spans, trained, kept, steps):
                found[change.kind].append((name, _lasting(change)))
    return {kind: columns for kind, columns in found.items() if columns}


def wild_at_the_end(table: Table, rows: int | None) -> list[str]:
    """Warnings about readings that look like errors, and from which the next forecast is made.

    Args:
        table: the readings before the forecast.
        rows: number of rows at the end of each series in which such readings matter; None = all.

    Returns:
        At most one warning for each of the kinds "code", "far" and "spike"; see `doubts`.
    """
    starts = [start for _, start, _ in table.series]
    last: Array = np.zeros(len(table.values), bool)
    for _, start, stop in table.series:
        last[start if rows is None else max(start, stop - rows) : stop] = True
    found: Doubts = {}
    for k, name in enumerate(table.columns):
        for each in wild_readings(table.wide(k), starts):
            if each.kind != "stuck" and last[each.rows].any():
                found.setdefault(each.kind, []).append((name, _WILD[each.kind](each, table)))
    return [
        Text(f"{_told(columns)}. The forecasts depend on that. ", _ADVICE[kind](columns[0][0], len(columns), table))
        for kind, columns in found.items()
    ]


def _warning(kind: str, columns: list[tuple[str, str]], table: Table) -> Text:
    """One warning about all columns with a kind of fault."""
    return Text(f"{_told(columns)}. ", _ADVICE[kind](columns[0][0], len(columns), table))


def _told(columns: list[tuple[str, str]]) -> str:
    """The columns with a kind of fault, and what is wrong with the first of them."""
    told = "; ".join(f"column {name!r} {what}" for name, what in columns[:SHOWN])
    if others := [repr(name) for name, _ in columns[SHOWN:]]:
        named = ", ".join(others[:9]) + (f" and {len(others) - 9} more" if len(others) > 9 else "")
        told += f"; likewise {named}"
    return told


def _rows(wild: Wild, table: Table) -> str:
    """The first wild readings, with their places."""
    parts = [f"{value:.6g} at {table.where(row)}" for row, value in zip(wild.rows.tolist(), wild.values, strict=True)]
    more = f" and {len(parts) - SHOWN:,} more" if len(parts) > SHOWN else ""
    return ", ".join(parts[:SHOWN]) + more


def _code(wild: Wild, table: Table) -> str:
    low, high = wild.usual
    rows = wild.rows.size
    count = f"in {rows:,} rows, first at" if rows > 1 else "at"
    where = f"{count} {table.where(int(wild.rows[0]))}"
    return f"is {wild.values[0]:.6g} {where}, while all else lies from {low:.6g} to {high:.6g}"


def _times(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio < 10 else f"{ratio:,.0f}"


def _far(wild: Wild, table: Table) -> str:
    far = f"{_times(wild.size)} times as far from the median, {wild.usual[0]:.3g}, as in any other row"
    return f"is {_rows(wild, table)}, {far}"


def _spike(wild: Wild, table: Table) -> str:
    return f"jumps for one row to {_rows(wild, table)}, {_times(wild.size)} times as high as anywhere else"


def _stuck(wild: Wild, table: Table) -> str:
    longest, usual = int(wild.size), int(wild.usual[0])
    other = f"it keeps other values for {usual:,} rows at most" if usual > 1 else "it changes from row to row elsewhere"
    return f"stays at {_rows(wild, table)} for {'up to ' if wild.rows.size > 1 else ''}{longest:,} rows, while {other}"


def _lasting(change: Lasting) -> str:
    way = "falls" if change.falls else "rises"
    what = {
        "counter": f"only ever {way}, as a counter or a meter does",
        "trend": f"{way} on the whole",
        "walk": "wanders off as a random walk does",
        "shift": "is at another level in the held-out rows",
    }[change.kind]
    beyond, share = ("above", change.above) if change.above >= change.below else ("below", change.below)
    if share < 0.005:
        return what
    of = "of these" if change.kind == "shift" else "of the held-out rows"
    return f"{what}: {share:.0%} {of} lie {beyond} the range trained on, {change.low:.6g} to {change.high:.6g}"


_WITH_MISSING = Wording("fit with missing='hold' or missing='mask'", "train with --missing hold or --missing mask")


def _mend(name: str, count: int, table: Table) -> Text:
    return Text("Where these are errors, make the readings missing (NaN), and ", _WITH_MISSING)


def _unstick(name: str, count: int, table: Table) -> Text:
    return Text("Where the sensor was stuck, make its readings missing (NaN), and ", _WITH_MISSING)


def _drop(table: Table, count: int) -> Text:
    them = "it" if count == 1 else "them"
    return Text(f"leave {them} out of ", Parameter("columns") if table.named else "the array")


def _as_time(name: str, count: int, table: Table) -> Text:
    if table.times is not None or not table.named:
        return Text("That is no reading: ", _drop(table, count))
    return Text("If it is the time of the rows, pass ", Parameter("time", name), "; else ", _drop(table, count))


def _as_series(name: str, count: int, table: Table) -> Text:
    series = Parameter("series", name if table.named else ANY)
    frame = "" if table.named else "give a frame and "
    return Text(f"If it tells series apart, {frame}pass ", series, "; else ", _drop(table, count))


def _several_series(name: str, count: int, table: Table) -> Text:
    several, series = "If these are several series, one after the other, ", Parameter("series", ANY)
    if not table.named:
        return Text(several, "give a frame and pass ", series)
    time = Parameter("time", name)
    told = " with the column that tells them apart, and "
    return Text(several, "pass ", series, told, time, "; else ", _drop(table, count))


def _differ(name: str, count: int, table: Table) -> Text:
    each = "numpy.diff(...)" if not table.named else f"frame[{name!r}].diff()" if count == 1 else "frame[...].diff()"
    own = "its" if count == 1 else "their"
    return Text(f"What is learnt at one level says little about the next: give {own} changes, {each}")


def _refit(name: str, count: int, table: Table) -> Text:
    return Text("The model was not trained on the like: fit on rows that are like those to come, or give the changes")


def _span(values: Array) -> str:
    known = values[np.isfinite(values)]
    return f"{known[0]:.0f} to {known[-1]:.0f}"


def _id(values: Array, steps: Array) -> str:
    different = np.unique(values[np.isfinite(values)]).size
    return f"looks like an id or a slow counter: it has {different:,} different whole numbers"


_NO_READING: dict[str, Callable[[Array, Array], str]] = {
    "time": lambda values, steps: f"looks like a time: it goes from {_span(values)}",
    "steps": lambda values, steps: f"changes by {np.median(steps):.6g} with every row, as a row number or a time does",
    "restart": lambda values, steps: f"counts rows, and begins again {int((steps < 0).sum()):,} times",
    "id": _id,
}
_WILD = {"code": _code, "far": _far, "spike": _spike, "stuck": _stuck}
_ADVICE: dict[str, Callable[[str, int, Table], Text]] = {
    "time": _as_time,
    "steps": _as_time,
    "restart": _several_series,
    "id": _as_series,
    "counter": _differ,
    "trend": _differ,
    "walk": _differ,
    "shift": _refit,
    "code": _mend,
    "far": _mend,
    "spike": _mend,
    "stuck": _unstick,
}
