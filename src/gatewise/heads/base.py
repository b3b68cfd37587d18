"""The base class of heads, with the results of their drift tests, and functions that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatewise.errors import SpecError
from gatewise.layers.base import Array, Edge, Layer, check_count, check_list


@dataclass(frozen=True)
class Level:
    """The level of a column that has left the range in which it was fitted.

    Attributes:
        rows: span of the exponential smoothing, that is, about the number of rows over which the mean is taken.
        mean: the smoothed mean of the last readings.
        low, high: the range that the mean has left.
    """

    rows: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Drift:
    """A sign that readings are no longer like those a model was calibrated on.

    Attributes:
        kind: "rate" if alarms come more than twice as often as stated, "level" if the level of a column has left the
            range in which it was fitted.
        column: the column, by name, or by position among the readings.
        evidence: the evidence of the test, at least 1; a test reports drift from 1 on.
        false_alarms_per_1000: for kind "rate", the stated rate: alarms in 1,000 rows.
        level: for kind "level", the level and its expected range in the units of the readings (a head itself gives them
            in scaled units).
    """

    kind: str
    column: Any
    evidence: float
    false_alarms_per_1000: float | None = None
    level: Level | None = None


class Head(Layer):
    """Base class of heads. A head reads the last layer and, as its second input, the output of the input stage.

    Attributes:
        targets: positions of the target columns among the readings; empty if the head answers what the readings do not
            contain, so that its targets have to be given for the training.
    """

    targets: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """Units of the last layer, which the head reads."""
        raise NotImplementedError

    @property
    def alarm_score(self) -> float | None:
        """Value of the first output from which an answer is an alarm; None if the head gives no alarms."""
        return None

    def output_names(self) -> tuple[str, ...]:
        """Names of the output values."""
        raise NotImplementedError

    def levels(self) -> tuple[int | None, ...]:
        """For each output value the column in whose units it is a level; None if it is not a level of a column."""
        raise NotImplementedError

    def drifts(self, tensors: Mapping[str, Array], state: Mapping[str, Array]) -> tuple[Drift, ...]:
        """The drifts found so far, those with the most evidence first; empty for heads without such tests.

        Args:
            tensors: the tensors of the head by their short names.
            state: field name -> array of the field's shape, for one session.
        """
        return ()


def check_targets(targets: Any, names: Any) -> tuple[tuple[int, ...], tuple[str, ...] | None]:
    """Positions of target columns and their names, as tuples. Raises SpecError if they are invalid."""
    targets = check_list("targets", targets)
    for target in targets:
        check_count("a target", target, least=0)
    if len(set(targets)) < len(targets):
        raise SpecError(f"targets names a column twice: {list(targets)}")
    if names is not None:
        names = check_list("names", names)
        if len(names) != len(targets) or not all(isinstance(name, str) for name in names):
            raise SpecError(f"names must be {len(targets)} texts, one for each target, got {list(names)}")
    return targets, names


def check_units(kind: str, targets: Sequence[int], last: Edge, advice: str) -> None:
    """Raise SpecError if a head would read values in the units of a window as values in the units of the data.

    Args:
        kind: the kind of the head.
        targets: positions of its target columns.
        last: the edge that the last layer writes.
        advice: the next action, for the message.
    """
    if (target := min(targets)) < last.own_units:
        raise SpecError(
            f"the last layer has column {target} only in the units of its window, but {kind} needs the units of the "
            f"data; {advice}, or let a layer read 'input' or the moments as well"
        )
