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

from gatewise.errors import InputError
from gatewise.heads.tail_probability.spec import KNOTS
from gatewise.layers.base import Array
from gatewise.stream import Model
from gatewise.tasks.calibrate import LEAST, NEEDED, Calibration, calibrate
from gatewise.tasks.table import Table, enumerated

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
        seen: rows of the table that must not calibrate, (rows,) bool; None = none.
    """

    split: Split
    used: tuple[int, ...]
    trained: tuple[int, ...]
    seen: Array | None = None

    @property
    def validation(self) -> float:
        """The share of the used rows that decides when to stop, as `gatewise.train.fit` takes it."""
        return self.split.stopping / (self.split.training + self.split.stopping)

    def rows(self, table: Table, part: str) -> Array:
        """The rows of a part, "training", "stopping" or "calibration", in the order of the table: (rows,) int."""
        found = []
        for (_, start, stop), used, trained in zip(table.series, self.used, self.trained, strict=True):
            ends = {"training": (0, trained), "stopping": (trained, used), "calibration": (used, stop - start)}[part]
            found.append(np.arange(start + ends[0], start + ends[1]))
        rows = np.concatenate(found)
        return rows if self.seen is None or part != "calibration" else rows[~self.seen[rows]]


def cut(table: Table, share: Any, seen: Array | None = None) -> Cuts:
    """Cut each series in order of time.

    Args:
        table: the readings.
        share: of the rows of each series, at its end, that is kept from training.
        seen: rows that weights have seen before, (rows,) bool, which therefore do not calibrate; None = none.

    Raises:
        InputError: no share, or too few rows.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0.0 < share < 1.0:
        raise InputError(f"validation must be a share between 0 and 1, got {share!r}")
    lengths = [stop - start for _, start, stop in table.series]
    held = [round(share * length) for length in lengths]
    least = max(2, math.ceil(LEAST_STOPPING / len(lengths)))
    stopping = [max(least, rows // 5) for rows in held]
    used = [length - rows + stop for length, rows, stop in zip(lengths, held, stopping, strict=True)]
    split = Split(sum(lengths) - sum(held), sum(stopping), sum(held) - sum(stopping))
    if split.training < LEAST_TRAINING or split.calibration < LEAST:
        needed = math.ceil(max(LEAST_TRAINING / (1 - share), (LEAST_STOPPING + LEAST) / share))
        raise InputError(
            f"{sum(lengths)} rows are too few: {split.training} to train on (at least {LEAST_TRAINING}), "
            f"{split.stopping} to decide when to stop, {max(split.calibration, 0)} to calibrate on (at least {LEAST}); "
            f"give at least {needed}"
        )
    validation = Cuts(split, (), ()).validation
    trained = [rows - round(validation * rows) for rows in used]  # as fit cuts them
    for (name, start, stop), length, rows, begun in zip(table.series, lengths, used, trained, strict=True):
        if rows > length or not 2 <= begun <= rows - 2:
            own = "the series" if name is None else f"series {name!r}"
            raise InputError(f"{own} has {stop - start} rows, too few to be cut in three; give more, or leave it out")
    done = Split(sum(trained), sum(used) - sum(trained), split.calibration)
    cuts = Cuts(done, tuple(used), tuple(trained), seen)
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
        InputError: too few residuals, or a target that does not vary.
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
    seen = np.isfinite(readings)
    tables, bands, scores = [], [], np.zeros((len(rows), K))
    flat = [k for k in range(K) if seen[:, k].any() and np.ptp(readings[seen[:, k], k]) == 0]
    if flat:
        each = [f"column {table.columns[targets[k]]!r} is {readings[seen[:, k], k][0]:g} throughout" for k in flat]
        raise InputError(
            f"{enumerated(each)} the {len(rows):,} rows of the calibration part; give rows in which "
            f"{'they vary' if len(flat) > 1 else 'it varies'}"
        )
    for k, target in enumerate(targets):
        name = table.columns[target]
        reading, (statistic, location, _, end) = readings[seen[:, k], k], own[seen[:, k], k].T
        try:
            tables.append(calibrate(statistic))
        except InputError as error:
            raise InputError(f"column {name!r}: {error}" if K > 1 else str(error)) from None
        scores[:, k] = tables[k].at(own[:, k, 0])
        offset, scale = (float(model.tensors[f"input.{key}"][target]) for key in ("offset", "scale"))
        residual = ((reading - offset) / scale - location) / np.maximum(end - location, 1e-30)
        tail = (1.0 - coverage) / 2.0
        bands.append(np.quantile(residual, [tail, 1.0 - tail]))
    calibration = tables[0] if K == 1 else calibrate(scores.max(axis=1)[seen.any(axis=1)])
    given = {
        "statistic": np.stack([each.statistic for each in tables]),
        "score": np.stack([each.score for each in tables]),
        "band": np.array(bands, np.float32),
    }
    if K > 1:
        given |= {"joint_statistic": calibration.statistic, "joint_score": calibration.score}
    assert model.spec.head is not None
    spec = model.spec.replace(head=model.spec.head.replace(samples=calibration.samples))
    return _with_head(model.replace(spec=spec), given), calibration


def unsupported(calibration: Calibration, rate: float) -> list[str]:
    """A caution when the rate asked for, per 1,000, is finer than the calibration part can show."""
    finest = calibration.finest_per_1000
    if rate >= finest:
        return []
    needed = math.ceil(1000.0 * NEEDED / rate * calibration.samples / calibration.effective)
    return [
        f"{rate:.3g} false alarms in 1,000 rests on a fitted tail and may be off by more than a factor of 2: the "
        f"{calibration.samples:,} calibration rows are worth {calibration.effective:,.0f} independent ones, which "
        f"support {finest:.2g} in 1,000; about {needed:,} such rows would support {rate:g}"
    ]


def run_all(model: Model, table: Table) -> Array:
    """What the model answers to each row, each series from the start: (rows, outputs) float32."""
    answers = np.empty((len(table), model.outputs), np.float32)
    for _, start, stop in table.series:
        answers[start:stop] = np.asarray(model.run(table.values[start:stop]))
    return answers


def _with_head(model: Model, given: dict[str, Array]) -> Model:
    return model.replace(tensors={**model.tensors, **{f"head.{name}": value for name, value in given.items()}})
