"""What a detector keeps from training: how the rows are cut, and how the kept ones calibrate its head.

The rows of each series are cut in order of time::

    |-- training -------------------------------|-- stopping --|-- calibration ----------------|
                  1 - validation                 validation / 5        4 validation / 5
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatewise.errors import InputError, Parameter
from gatewise.heads.tail_probability.spec import KNOTS
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.tables.table import Table
from gatewise.tables.times import listed
from gatewise.tasks.calibrate import LEAST, NEEDED, Calibration, calibrate
from gatewise.tasks.levels import level_tests
from gatewise.tasks.recovery import recovery

LEAST_TRAINING = 100
LEAST_STOPPING = 20


@dataclass(frozen=True)
class Split:
    """Rows in each part, in all series together.

    Attributes:
        training: weights are trained on these.
        stopping: these decide which weights are kept.
        calibration: the tables of scores are measured on these.
    """

    training: int
    stopping: int
    calibration: int


@dataclass(frozen=True)
class Cuts:
    """Where the series are cut.

    Attributes:
        split: rows in each part.
        used: rows of each series that are trained on or decide when to stop; the others calibrate.
        trained: rows of each series that are trained on.
        left_out: ids of the series that are too short to be cut; the others are those that the tuples are about.
        cautions: names these series.
        seen: rows of the table without these series that must not calibrate, (rows,) bool; None = none.
    """

    split: Split
    used: tuple[int, ...]
    trained: tuple[int, ...]
    left_out: tuple[str | int | None, ...] = ()
    cautions: tuple[str, ...] = ()
    seen: Array | None = None

    @property
    def validation(self) -> float:
        """The share of the used rows that decides when to stop, as `gatewise.train.fit` takes it."""
        return self.split.stopping / (self.split.training + self.split.stopping)

    def of(self, table: Table) -> Table:
        """The table without the series left out."""
        return table.without(dict.fromkeys(self.left_out, "too short"))

    def rows(self, table: Table, part: str) -> Array:
        """The rows of a part, "training", "stopping" or "calibration", in the order of the table: (rows,) int."""
        found = []
        for (_, start, stop), used, trained in zip(table.series, self.used, self.trained, strict=True):
            ends = {"training": (0, trained), "stopping": (trained, used), "calibration": (used, stop - start)}[part]
            found.append(np.arange(start + ends[0], start + ends[1]))
        rows = np.concatenate(found)
        return rows if self.seen is None or part != "calibration" else rows[~self.seen[rows]]


def cut(table: Table, share: Any, seen: Array | None = None) -> Cuts:
    """Cut each series in order of time, and leave out those that are too short for it.

    Args:
        table: the readings.
        share: of the rows of each series, at its end, that is kept from training.
        seen: rows that weights have seen before, (rows,) bool, which therefore do not calibrate; None = none.

    Raises:
        InputError: no share, or too few rows.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0.0 < share < 1.0:
        raise InputError(f"validation must be a share between 0 and 1, got {share!r}")
    left_out: list[str | int | None] = []
    while True:
        kept = table.without(dict.fromkeys(left_out, "too short"))
        found = _cut(kept, share, None if seen is None else seen[np.isin(table.order, kept.order)])
        if isinstance(found, Cuts):
            break
        left_out += found
    if not left_out:
        return found
    are = "is" if len(left_out) == 1 else "are"
    rows = {name: stop - start for name, start, stop in table.series}
    caution = (
        f"{len(left_out)} of {len(table.series)} series {are} too short to train on, and {are} left out of the "
        f"training: {listed(left_out)}; the longest of these has {max(rows[name] for name in left_out)} rows. They "
        "can be scored all the same"
    )
    return replace(found, left_out=tuple(left_out), cautions=(caution,))


def _cut(table: Table, share: Any, seen: Array | None) -> Cuts | list[str | int | None]:
    """Cut all series, or name those that are too short for it. Raises InputError where all are."""
    lengths = [stop - start for _, start, stop in table.series]
    held = [round(share * length) for length in lengths]
    least = max(2, math.ceil(LEAST_STOPPING / len(lengths)))
    stopping = [max(least, rows // 5) for rows in held]
    used = [length - rows + stop for length, rows, stop in zip(lengths, held, stopping, strict=True)]
    names = [name for name, _, _ in table.series]
    short = [name for name, length, rows in zip(names, lengths, used, strict=True) if rows > length]
    if 0 < len(short) < len(names):
        return short
    split = Split(sum(lengths) - sum(held), sum(stopping), sum(held) - sum(stopping))
    if split.training < LEAST_TRAINING or split.calibration < LEAST:
        needed = math.ceil(max(LEAST_TRAINING / (1 - share), (LEAST_STOPPING + LEAST) / share))
        of = f" in {len(lengths):,} series" if len(lengths) > 1 else ""
        raise InputError(
            f"{sum(lengths):,} rows{of} are too few: with ",
            Parameter("validation", share),
            f" a detector needs at least {needed}, of which {LEAST_TRAINING} train, {LEAST_STOPPING} decide when to "
            f"stop and {LEAST} calibrate",
            "; is it the column of series that tells them apart?" if len(lengths) > sum(lengths) / 4 else "",
        )
    validation = Cuts(split, (), ()).validation
    trained = [rows - round(validation * rows) for rows in used]  # as fit cuts them
    each = zip(names, lengths, used, trained, strict=True)
    short = [name for name, length, rows, begun in each if rows > length or not 2 <= begun <= rows - 2]
    if len(short) == len(names):
        own = f"series {short[0]!r}" if table.id is not None else "the series"
        raise InputError(f"{own} has {lengths[0]} rows, too few to be cut in three; give more, or leave it out")
    if short:
        return short
    done = Split(sum(trained), sum(used) - sum(trained), split.calibration)
    cuts = Cuts(done, tuple(used), tuple(trained), seen=seen)
    if seen is None or (left := len(cuts.rows(table, "calibration"))) == split.calibration:
        return cuts
    if left < LEAST:
        raise InputError(
            f"of the {split.calibration:,} rows of the calibration part {split.calibration - left:,} are rows that "
            f"start was trained on or stopped by, which leaves {left:,} to calibrate on (at least {LEAST}); "
            f"give rows that came later, at least {LEAST - left:,} more of them"
        )
    return replace(cuts, split=replace(done, calibration=left))


def measure(
    model: Model, table: Table, targets: Sequence[int], cuts: Cuts, coverage: float
) -> tuple[Model, Calibration]:
    """The model with the tables and bands of its head, measured on the calibration part.

    The statistics are what the head itself computes: with tables on which score = statistic, a band from 0 to 1 and no
    units, it answers |smoothed residual|, m, m and m + exp(s) for each target. Of several targets the largest score is
    itself a statistic, and is calibrated once more. A row without a reading of a target does not calibrate it.

    Args:
        model: trained.
        table: the readings.
        targets: columns of the table that are forecast.
        cuts: where the calibration part begins.
        coverage: share of held-out residuals that the band is to hold.

    Returns:
        The model, and the calibration that its alarms rest on.

    Raises:
        InputError: too few residuals, or residuals that hardly vary.
    """
    K = len(targets)
    ruler = np.arange(KNOTS, dtype=np.float32)
    bare = np.tile(np.array([0.0, 1.0], np.float32), (K, 1))
    given = {"statistic": np.tile(ruler, (K, 1)), "score": np.tile(ruler, (K, 1)), "band": bare, "unit": bare}
    if K > 1:
        given |= {"joint_statistic": ruler, "joint_score": ruler}
    rows = cuts.rows(table, "calibration")
    answers = run_all(_with_head(model, given), table)[rows].astype(np.float64)
    own = answers[:, 1:-1].reshape(len(rows), K, -1) if K > 1 else answers[:, None, :4]  # (rows, K, 4)
    readings = table.values[rows][:, list(targets)].astype(np.float64)  # (rows, K)
    observed = np.isfinite(readings)
    tables, bands, scores = [], [], np.zeros((len(rows), K))
    for k, target in enumerate(targets):
        name = table.columns[target]
        reading, (statistic, location, _, end) = readings[observed[:, k], k], own[observed[:, k], k].T
        try:
            tables.append(calibrate(statistic))
        except InputError as error:
            raise InputError(f"column {name!r}: " if K > 1 else "", error) from None
        scores[:, k] = tables[k].at(own[:, k, 0])
        offset, scale = (float(model.tensors[f"input.{key}"][target]) for key in ("offset", "scale"))
        residual = ((reading - offset) / scale - location) / np.maximum(end - location, 1e-30)
        tail = (1.0 - coverage) / 2.0
        bands.append(np.quantile(residual, [tail, 1.0 - tail]))
    calibration = tables[0] if K == 1 else calibrate(scores.max(axis=1)[observed.any(axis=1)])
    given = {
        "statistic": np.stack([each.statistic for each in tables]),
        "score": np.stack([each.score for each in tables]),
        "band": np.array(bands, np.float32),
    }
    if K > 1:
        given |= {"joint_statistic": calibration.statistic, "joint_score": calibration.score}
    assert model.spec.head is not None
    spec = model.spec.replace(head=model.spec.head.replace(samples=calibration.samples))
    given |= level_tests(_scaled(model, table), masked=bool(model.spec.head.options["masked"]))
    calibrated = _with_head(model.replace(spec=spec), given)
    kept = [table.values[start + used : stop] for (_, start, stop), used in zip(table.series, cuts.used, strict=True)]
    head = calibrated.spec.head
    assert head is not None
    pause = max(calibration.run - 1, recovery(calibrated, kept, targets))
    return calibrated.replace(spec=calibrated.spec.replace(head=head.replace(pause=pause))), calibration


def _scaled(model: Model, table: Table) -> list[Array]:
    """The rows of each series in the units of the model: (rows, columns) float64."""
    offset, scale = (model.tensors[f"input.{name}"].astype(np.float64) for name in ("offset", "scale"))
    return [(table.values[start:stop] - offset) / scale for _, start, stop in table.series]


def faults(model: Model, calibration: Calibration, table: Table, cuts: Cuts, said: Sequence[str]) -> list[str]:
    """A caution where calibration rows were left out as faults, unless `said` names that with the largest score."""
    if not calibration.wild:
        return []
    rows = cuts.rows(table, "calibration")
    scores = run_all(model, table)[rows, 0]
    first = int(np.argmax(scores))
    while first and scores[first - 1] >= 0.5 * scores.max():  # what comes after a fault may surprise even more
        first -= 1
    row = int(rows[first])
    k = _largest(model, table, row)
    place, value = table.where(row), float(table.wide(k)[row])
    if any(place in text for text in said):
        return []
    return [
        f"column {table.columns[k]!r} is {value:g} at {place}, further from what was expected there than the other "
        f"residuals explain (score {scores.max():.3g}), so "
        f"{calibration.wild:,} of {calibration.samples:,} calibration rows, it and some around it, are left out; "
        "if the reading is an error, make it missing"
    ]


def _largest(model: Model, table: Table, row: int) -> int:
    """The column of the target with the largest score of its own at a row."""
    head = model.spec.head
    assert head is not None
    targets = head.options["targets"]
    if len(targets) == 1:
        return int(targets[0])
    return int(targets[np.argmax(run_all(model, table)[row, 1:-1].reshape(len(targets), -1)[:, 0])])


def unsupported(calibration: Calibration, rate: float) -> list[str]:
    """A caution when the rate asked for, per 1,000, is finer than the calibration part can show."""
    finest = calibration.finest_per_1000
    if rate >= finest:
        return []
    needed = math.ceil(1000.0 * NEEDED / rate * calibration.samples / calibration.effective)
    asked = significant(rate, 3)
    return [
        f"the rate of false alarms, {asked} in 1,000, rests on a fitted tail and may be off by more than a factor of "
        f"2: the {calibration.samples:,} calibration rows are worth {calibration.effective:,.0f} independent ones, "
        f"which support {significant(finest, 2)} in 1,000; about {needed:,} such rows would support {asked}"
    ]


def significant(value: float, digits: int) -> str:
    """A number with so many significant digits, without an exponent: 0.00123, 4.5, 120."""
    return np.format_float_positional(value, precision=digits, unique=False, fractional=False, trim="-")


def run_all(model: Model, table: Table) -> Array:
    """What the model answers to each row, each series from the start: (rows, outputs) float32."""
    answers = np.empty((len(table), model.outputs), np.float32)
    for _, start, stop in table.series:
        answers[start:stop] = np.asarray(model.run(table.values[start:stop]))
    return answers


def _with_head(model: Model, given: dict[str, Array]) -> Model:
    return model.replace(tensors={**model.tensors, **{f"head.{name}": value for name, value in given.items()}})
