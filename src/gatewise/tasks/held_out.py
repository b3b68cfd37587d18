"""The held-out rows of a detector: how rows are split, and how the held-out rows calibrate its head.

The rows of each series are split in order of time::

    |-- training -------------------------------|-- validation --|-- calibration --------------|
                  1 - validation                 validation / 5        4 validation / 5
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.errors import InputError, Parameter
from gatewise.heads.tail_probability.spec import KNOTS
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.tables.split import Parts, Span
from gatewise.tables.table import Table
from gatewise.tables.times import listed
from gatewise.tasks.calibrate import LEAST, NEEDED, Calibration, calibrate
from gatewise.tasks.levels import level_tests
from gatewise.tasks.recovery import recovery

LEAST_TRAINING = 100
LEAST_STOPPING = 20


def cut(table: Table, share: Any, seen: Array | None = None) -> Parts:
    """Split each series in order of time, and leave out series that are too short.

    Args:
        table: the readings.
        share: share of the rows of each series, at its end, that is held out from training.
        seen: rows on which the weights were trained before, (rows,) bool, and which must not calibrate; None = none.

    Raises:
        InputError: `share` is not a share, or there are too few rows.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0.0 < share < 1.0:
        raise InputError(Parameter("validation"), f" must be a share between 0 and 1, got {share!r}")
    left_out: list[Any] = []
    while True:
        kept = [span for span in table.series if span[0] not in left_out]
        found = _cut(kept, share, seen, table.id)
        if isinstance(found, Parts):
            break
        left_out += found
    if not left_out:
        return found
    are = "is" if len(left_out) == 1 else "are"
    rows = {name: stop - start for name, start, stop in table.series}
    warning = (
        f"{len(left_out)} of {len(table.series)} series {are} too short to train on, and {are} left out of the "
        f"training: {listed(left_out)}; the longest of these has {max(rows[name] for name in left_out)} rows. They "
        "can still be scored"
    )
    return replace(found, warnings=(warning,))


def _cut(series: Sequence[tuple[Any, int, int]], share: Any, seen: Array | None, id: str | None) -> Parts | list[Any]:
    """Split all series, or return those that are too short. Raises InputError if all are too short."""
    names, lengths = [name for name, _, _ in series], [stop - start for _, start, stop in series]
    kept = [round(share * length) for length in lengths]
    least = max(2, math.ceil(LEAST_STOPPING / len(lengths)))
    stopping = [max(least, rows // 5) for rows in kept]
    used = [length - rows + stop for length, rows, stop in zip(lengths, kept, stopping, strict=True)]
    short = [name for name, length, rows in zip(names, lengths, used, strict=True) if rows > length]
    if 0 < len(short) < len(names):
        return short
    training, calibration = sum(lengths) - sum(kept), sum(kept) - sum(stopping)
    if training < LEAST_TRAINING or calibration < LEAST:
        needed = math.ceil(max(LEAST_TRAINING / (1 - share), (LEAST_STOPPING + LEAST) / share))
        of = f" in {len(lengths):,} series" if len(lengths) > 1 else ""
        raise InputError(
            f"{sum(lengths):,} rows{of} are too few: with ",
            Parameter("validation", share),
            f" a detector needs at least {needed}, of which {LEAST_TRAINING} train, {LEAST_STOPPING} decide when to "
            f"stop and {LEAST} calibrate",
            "; is it the column of series that tells them apart?" if len(lengths) > sum(lengths) / 4 else "",
        )
    validation = sum(stopping) / (training + sum(stopping))
    trained = [rows - round(validation * rows) for rows in used]  # as fit splits them
    each = zip(names, lengths, used, trained, strict=True)
    short = [name for name, length, rows, begun in each if rows > length or not 2 <= begun <= rows - 2]
    if len(short) == len(names):
        own = f"series {short[0]!r}" if id is not None else "the series"
        raise InputError(f"{own} has {lengths[0]} rows, too few to split into three; give more, or leave it out")
    if short:
        return short
    spans = tuple(
        Span(start, start + begun, start + rows, stop)
        for (_, start, stop), begun, rows in zip(series, trained, used, strict=True)
    )
    parts = Parts(spans, validation, seen=seen)
    if seen is not None and (left := len(parts.calibration)) < LEAST:
        raise InputError(
            f"of the {calibration:,} rows of the calibration part {calibration - left:,} are rows that "
            f"start was trained on or stopped by, which leaves {left:,} to calibrate on (at least {LEAST}); "
            f"give rows that came later, at least {LEAST - left:,} more of them"
        )
    return parts


def measure(
    model: Model, table: Table, targets: Sequence[int], parts: Parts, coverage: float
) -> tuple[Model, Calibration]:
    """The model with the tables and bands of its head, measured on the calibration part.

    The statistics are computed by the head itself: with tables for which score = statistic, a band from 0 to 1 and no
    units, its outputs for each target are |smoothed residual|, m, m and m + exp(s). With several targets, the largest
    score is calibrated in the same way. A row without a reading of a target does not calibrate that target.

    Args:
        model: the trained model.
        table: the readings.
        targets: columns of the table that are forecast.
        parts: the split of the table, with the calibration part.
        coverage: share of held-out residuals that the band should contain.

    Returns:
        The model, and the calibration by which alarms are decided.

    Raises:
        InputError: there are too few residuals, or they hardly vary.
    """
    assert model.spec.head is not None
    K = len(targets)
    ruler = np.arange(KNOTS, dtype=np.float32)
    bare = np.tile(np.array([0.0, 1.0], np.float32), (K, 1))
    given = {"statistic": np.tile(ruler, (K, 1)), "score": np.tile(ruler, (K, 1)), "band": bare, "unit": bare}
    if K > 1:
        given |= {"joint_statistic": ruler, "joint_score": ruler}
    rows = parts.calibration
    bare_model = _with_head(model, given)
    answers = _answers(bare_model, table, parts)[rows].astype(np.float64)
    own = _of_targets(answers, K)  # (rows, K, 4)
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
    given |= level_tests(_scaled(model, table, parts), masked=bool(model.spec.head.options["masked"]))

    def score(answers: Array) -> Array:
        """The score of the calibrated head, from its answers before calibration: (..., outputs) -> (...)."""
        each = [table.at(_of_targets(answers, K)[..., k, 0]) for k, table in enumerate(tables)]
        return each[0] if K == 1 else calibration.at(np.max(each, axis=0))

    alarm = model.alarm_score
    assert alarm is not None
    kept = [table.values[span.calibration : span.stop] for span in parts.spans]
    pause = max(calibration.run - 1, recovery(bare_model, score, alarm, kept, targets))
    model = _with_head(model, given).with_options(head={"samples": calibration.samples, "pause": pause})
    return model, calibration


def _of_targets(answers: Array, count: int) -> Array:
    """The outputs of the head for each target: (..., outputs) -> (..., targets, 4)."""
    every = answers[..., 1:-1] if count > 1 else answers[..., :4]
    return every.reshape(*answers.shape[:-1], count, -1)


def _scaled(model: Model, table: Table, parts: Parts) -> list[Array]:
    """The rows of each series in the units of the model: (rows, columns) float64."""
    offset, scale = (model.tensors[f"input.{name}"].astype(np.float64) for name in ("offset", "scale"))
    return [(table.values[span.training : span.stop] - offset) / scale for span in parts.spans]


def faults(model: Model, calibration: Calibration, table: Table, parts: Parts, said: Sequence[str]) -> list[str]:
    """A warning if calibration rows were left out as faults, unless `said` already names the most extreme one."""
    if not calibration.wild:
        return []
    rows = parts.calibration
    answers = _answers(model, table, parts)
    scores = answers[rows, 0]
    first = int(np.argmax(scores))
    while first and scores[first - 1] >= 0.5 * scores.max():  # the rows after a fault may have even higher scores
        first -= 1
    row = int(rows[first])
    k = _largest(model, answers[row])
    place, value = table.where(row), float(table.wide(k)[row])
    if any(re.search(re.escape(place) + r"(?!\d)", text) for text in said):
        return []
    return [
        f"column {table.columns[k]!r} is {value:g} at {place}, further from its forecast than the other residuals "
        f"explain (score {scores.max():.3g}), so "
        f"{calibration.wild:,} of {calibration.samples:,} calibration rows, this one and some around it, are left out; "
        "if the reading is an error, make it missing"
    ]


def _largest(model: Model, answer: Array) -> int:
    """The column of the target with the largest score in an answer (outputs,)."""
    assert model.spec.head is not None
    targets = model.spec.head.options["targets"]
    return int(targets[np.argmax(_of_targets(answer, len(targets))[:, 0])])


def unsupported(calibration: Calibration, rate: float) -> list[str]:
    """A warning if the requested rate of false alarms, per 1,000, is lower than the calibration part can support."""
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
    """A number with the given number of significant digits, without an exponent: 0.00123, 4.5, 120."""
    return np.format_float_positional(value, precision=digits, unique=False, fractional=False, trim="-")


def _answers(model: Model, table: Table, parts: Parts) -> Array:
    """The answers of the model to all rows of the series that are split, each from its start: (rows, outputs) float32.

    Rows of other series are NaN.
    """
    answers = np.full((len(table), model.outputs), np.nan, np.float32)
    for span in parts.spans:
        answers[span.training : span.stop] = np.asarray(model.run(table.values[span.training : span.stop]))
    return answers


def _with_head(model: Model, given: dict[str, Array]) -> Model:
    return model.replace(tensors={**model.tensors, **{f"head.{name}": value for name, value in given.items()}})
