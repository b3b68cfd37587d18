"""Examples: windows of rows, each with the answer that is wanted after its last row, in groups that are independent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gatewise.errors import ANY, InputError, Parameter, Text
from gatewise.layers.base import Array
from gatewise.tables.table import Table, read_table
from gatewise.tables.times import listed

BLOCKS = 40
"""The number of blocks of time into which one long series is divided; fewer if it is short."""


@dataclass(frozen=True)
class Examples:
    """Windows with targets.

    Attributes:
        rows: (rows, columns) float32, the readings of all series.
        columns: names of the columns of `rows`.
        ends: (n,) for each example, its last row.
        lookback: number of rows of a window; None = all rows of the series up to the last.
        targets: (n, k) float64; for classes (n,) int64, the number of the class.
        groups: (n,) int, number of the group; groups are independent of each other.
        names: names of the groups.
        series: for each series its name, its first row and the row before which it ends.
        given: name -> (n, k) answers that stand in the data, for models that are known by their predictions alone. They
            stand in the rows of the targets.
        early: the same columns in the last rows of the windows, which are earlier if there is a horizon; with NaN.
        wanted: (rows, k) float64, the targets in all rows, NaN where there is none.
        left_out: number of rows with a target that have fewer than `lookback` rows before them.
        order: (n,) for each example, the number of its last row in the data.
        blocks: whether the groups are blocks of time of one series.
        target_names: names of the target columns.
        by: name of the column with the ids of the series, or None.
    """

    rows: Array
    columns: tuple[str, ...]
    ends: Array
    lookback: int | None
    targets: Array
    groups: Array
    names: tuple[Any, ...]
    series: tuple[tuple[Any, int, int], ...]
    given: Mapping[str, Array] = field(default_factory=dict)
    early: Mapping[str, Array] = field(default_factory=dict)
    wanted: Array = field(default_factory=lambda: np.empty((0, 0)))
    left_out: int = 0
    order: Array = field(default_factory=lambda: np.empty(0, int))
    blocks: bool = False
    target_names: tuple[str, ...] = ()
    by: str | None = None

    def __len__(self) -> int:
        return len(self.ends)

    def windows(self, which: Any = slice(None)) -> Array:
        """The windows of some examples, (n, lookback, columns) float32. The examples must have a lookback."""
        assert self.lookback is not None
        views = sliding_window_view(self.rows, self.lookback, axis=0)  # (rows - L + 1, columns, L)
        return np.ascontiguousarray(views[self.ends[which] - self.lookback + 1].transpose(0, 2, 1))

    def select(self, which: Any) -> Examples:
        """Some examples, by their numbers or as booleans. Groups keep their numbers."""
        return replace(
            self,
            ends=self.ends[which],
            targets=self.targets[which],
            groups=self.groups[which],
            given={name: values[which] for name, values in self.given.items()},
            early={name: values[which] for name, values in self.early.items()},
            order=self.order[which],
        )

    def of_groups(self, chosen: Array) -> Examples:
        """The examples of some groups, given by their numbers."""
        return self.select(np.isin(self.groups, chosen))

    def compact(self) -> Array:
        """(n,) the groups that occur, numbered from 0 without gaps."""
        return np.unique(self.groups, return_inverse=True)[1]

    @property
    def read(self) -> Array:
        """(rows,) bool, the rows that the windows read."""
        return _read(self.rows, self.series, self.ends, self.lookback)

    @property
    def varying(self) -> Array:
        """(columns,) bool, the columns that are not constant in the rows that the windows read."""
        return np.asarray(np.ptp(self.rows[self.read], axis=0) > 0)

    def parted(self, share: float, gap: int, seed: int) -> tuple[Examples, Examples]:
        """The examples without, and those of a share of the groups: the last blocks of time, or groups by chance.

        Blocks follow each other, so the last examples before the first block are left out: no window or target of one
        part lies within the other. One group is divided in the same way, at a row.

        Args:
            share: of the groups.
            gap: number of rows between a window and its target.
            seed: of the choice.
        """
        present = np.unique(self.groups)
        if len(present) > 1:
            order = present if self.blocks else np.random.default_rng(seed).permutation(present)
            count = max(1, round(share * len(present)))
            rest, held = self.of_groups(order[:-count]), self.of_groups(order[-count:])
        else:
            cut = min(len(self) - 1, max(1, round((1 - share) * len(self))))
            rest, held = self.select(slice(0, cut)), self.select(slice(cut, None))
        if self.blocks or len(present) < 2:
            rest = rest.select(rest.ends + gap < int(held.ends.min()) - (self.lookback or 1) + 1)
        return rest, held

    def in_blocks(self, gap: int) -> Examples:
        """The examples of one series with blocks of time as groups: at most `BLOCKS`, each at least a window long.

        Args:
            gap: number of rows between a window and its target.
        """
        lookback = self.lookback or 1
        first = max(0, int(self.ends.min()) - lookback + 1)
        length = max(lookback + gap, -(-(int(self.ends.max()) + gap + 1 - first) // BLOCKS))
        number = (self.ends - first) // length
        starts = [first + k * length for k in range(int(number.max()) + 1)]
        return replace(self, groups=number, names=tuple(f"rows {start} to {start + length - 1}" for start in starts))

    def place(self, example: int) -> str:
        """Where an example ends, for messages: its group, and its row in that group's series."""
        end = int(self.ends[example])
        name, start, _ = next(each for each in self.series if each[1] <= end < each[2])
        return f"row {end - start}" + ("" if self.blocks else f" of {name!r}")

    def spread(self, most: int) -> Examples:
        """At most this many examples, spread evenly over all of them."""
        if len(self) <= most:
            return self
        return self.select(np.unique(np.linspace(0, len(self) - 1, most).round().astype(int)))


def examples(
    data: Any,
    inputs: Sequence[str],
    targets: Sequence[str],
    *,
    lookback: int | None,
    horizon: int = 0,
    groups: str | None = None,
    time: str | None = None,
    given: Mapping[str, Sequence[str]] | None = None,
    whole: bool = False,
    what: str = "the data",
) -> Examples:
    """Read a table and make an example of each row that has a target and enough rows before it.

    Args:
        data: a table in any form that the tasks read.
        inputs: names of the columns of a window, in order.
        targets: names of the target columns; a row without a target makes no example.
        lookback: number of rows of a window; None = all rows of the series up to the example.
        horizon: number of rows between the last row of a window and the row of the target; 0 = the same row.
        groups: name of the column with the ids of series that are independent of each other; None = one series, which
            is divided into blocks of time.
        time: name of the column of times.
        given: name of a model -> columns with its answers.
        whole: whether a model reads all rows of a series up to an example, so that none of them may be missing.
        what: the name of the data in messages.

    Raises:
        InputError: a column is missing or not numeric, an input is missing in a row that is needed, or no row has a
            target and enough rows before it.
    """
    answers = {name: list(columns) for name, columns in (given or {}).items()}
    wanted = list(dict.fromkeys([*inputs, *targets, *(column for own in answers.values() for column in own)]))
    table = read_table(data, time=time, columns=wanted, missing="hold", series=groups)
    at = {name: k for k, name in enumerate(table.columns)}
    rows = table.wide([at[name] for name in inputs]).astype(np.float32)
    values = table.wide([at[name] for name in targets])
    ends, short, rows_of_targets = [], 0, []
    for _, start, stop in table.series:
        row = np.arange(start, stop - horizon)
        has = np.isfinite(values[row + horizon]).all(axis=1)
        enough = row - start + 1 >= (lookback or 1)
        short += int((has & ~enough).sum())
        ends.append(row[has & enough])
        rows_of_targets.append(row[has & enough] + horizon)
    end, of_target = np.concatenate(ends), np.concatenate(rows_of_targets)
    if not len(end):
        raise InputError(_none(table, targets, lookback, horizon, what))
    _check_inputs(table, rows, inputs, end, None if whole else lookback, what)
    number: Array = np.empty(0, int)
    names: tuple[Any, ...] = ()
    if table.id is not None:
        stops = [stop for *_, stop in table.series]
        number, names = np.searchsorted(stops, end, side="right"), tuple(name for name, *_ in table.series)
    found = Examples(
        rows,
        tuple(inputs),
        end,
        lookback,
        values[of_target],
        number,
        names,
        table.series,
        {name: _given(table, [at[c] for c in own], own, of_target, name, what) for name, own in answers.items()},
        {name: table.wide([at[c] for c in own])[end] for name, own in answers.items()},
        values,
        short,
        table.order[of_target],
        table.id is None,
        tuple(targets),
        groups,
    )
    return found.in_blocks(horizon) if found.blocks else found


def _check_inputs(
    table: Table, rows: Array, inputs: Sequence[str], ends: Array, lookback: int | None, what: str
) -> None:
    """Raise InputError if a reading is missing in a row that a window reads."""
    bad = ~np.isfinite(rows)
    if not bad.any():
        return
    needed = np.argwhere(bad & _read(rows, table.series, ends, lookback)[:, None])
    if len(needed):
        row, column = needed[0]
        raise InputError(
            f"{what}: column {inputs[column]!r} has no finite reading at {table.where(int(row))}, "
            "and a window needs it; fill it in, or remove the targets of the rows that need it"
        )


def _read(rows: Array, series: Sequence[tuple[Any, int, int]], ends: Array, lookback: int | None) -> Array:
    """(rows,) bool, the rows that are read for examples that end at `ends`."""
    starts = np.array([start for _, start, _ in series])
    first = starts[np.searchsorted(starts, ends, side="right") - 1] if lookback is None else ends - lookback + 1
    opened = np.zeros(len(rows) + 1, int)
    np.add.at(opened, first, 1)
    np.add.at(opened, ends + 1, -1)
    return np.asarray(np.cumsum(opened)[:-1] > 0)


def _given(table: Table, columns: list[int], names: list[str], rows: Array, model: str, what: str) -> Array:
    """The answers of a model that stand in the data."""
    values = table.wide(columns)[rows]
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        raise InputError(
            f"{what}: column {names[bad[0][1]]!r}, the predictions of {model!r}, has no finite value at "
            f"{table.where(int(rows[bad[0][0]]))}, which has a target; all models are compared on the same rows"
        )
    return values


def _none(table: Table, targets: Sequence[str], lookback: int | None, horizon: int, what: str) -> Any:
    longest = max(stop - start for _, start, stop in table.series)
    if lookback is not None and longest < lookback + horizon:
        return Text(
            f"{what}: a window has {lookback} rows" + (f" and its target comes {horizon} later" if horizon else ""),
            f", but the longest series has {longest}; pass longer series, or a smaller ",
            Parameter("lookback", ANY),
        )
    return f"{what}: no row with a value in {listed(list(targets))} has {lookback or 1} rows up to it"
