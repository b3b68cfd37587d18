"""The split of the rows of each series in order of time into a training, a validation and a calibration part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gatewise.layers.base import Array


@dataclass(frozen=True)
class Split:
    """Number of rows in each part, over all series.

    Attributes:
        training: rows on which weights are trained.
        validation: rows that decide which weights are kept.
        calibration: rows on which a task is calibrated after the training; most tasks have none.
    """

    training: int
    validation: int
    calibration: int = 0


class Span(NamedTuple):
    """The split of one series: rows of the table at which its parts begin, and the row before which it ends."""

    training: int
    validation: int
    calibration: int
    stop: int


@dataclass(frozen=True)
class Parts:
    """The split of a table.

    Attributes:
        spans: the split of each series that is long enough, in the order of the table.
        share: of the rows of each series that are not for calibration, the share that validates, as
            `gatewise.train.fit` takes it; None = each series either trains or validates as a whole.
        warnings: warnings that say which series are left out, and why.
        seen: rows of the table that must not calibrate, (rows,) bool; None = none.
    """

    spans: tuple[Span, ...]
    share: float | None
    warnings: tuple[str, ...] = ()
    seen: Array | None = None

    @property
    def training(self) -> Array:
        """The rows of the training part: (rows,) int."""
        return _rows([(span.training, span.validation) for span in self.spans])

    @property
    def validation(self) -> Array:
        """The rows of the validation part: (rows,) int."""
        return _rows([(span.validation, span.calibration) for span in self.spans])

    @property
    def calibration(self) -> Array:
        """The rows of the calibration part: (rows,) int."""
        rows = _rows([(span.calibration, span.stop) for span in self.spans])
        return rows if self.seen is None else rows[~self.seen[rows]]

    @property
    def used(self) -> list[tuple[int, int]]:
        """For each series the row at which the training begins, and the row before which the validation ends."""
        return [(span.training, span.calibration) for span in self.spans]

    @property
    def learnt(self) -> list[tuple[int, int]]:
        """For each series that was used the first such row, and the row before which the used rows end.

        Rows that were used for validation may be used for it again, but must not calibrate.
        """
        calibrated = any(span.calibration < span.stop for span in self.spans)
        if calibrated:
            return self.used
        return [(span.training, span.validation) for span in self.spans if span.training < span.validation]

    @property
    def split(self) -> Split:
        """Rows in each part."""
        return Split(len(self.training), len(self.validation), len(self.calibration))


def _rows(ranges: list[tuple[int, int]]) -> Array:
    return np.concatenate([np.arange(start, stop) for start, stop in ranges])
