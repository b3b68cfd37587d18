"""What every head has in common: the columns it is about, names and units of its answers, and tests that drift."""

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
        rows: over how many rows the mean is taken, about: the span of an exponential smoothing.
        mean: of the last readings.
        low, high: the range that it has left.
    """

    rows: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Drift:
    """One sign that readings are no longer like those a model was calibrated on.

    Attributes:
        kind: "rate" where alarms come more often than twice the stated rate, "level" where the level of a column has
            left the range in which it was fitted.
        column: the column, by name, or by position among the readings.
        evidence: how far the test has come: from 1 on it has decided.
        false_alarms_per_1000: of kind "rate", the rate that was stated: alarms in 1,000 rows.
        level: of kind "level", what the level is and where it was to be, in the units of the readings (a head gives
            them as the input stage scales them).
    """

    kind: str
    column: Any
    evidence: float
    false_alarms_per_1000: float | None = None
    level: Level | None = None


class Head(Layer):
    """Base of a head. It reads the last layer, then what the input stage writes.

    Attributes:
        targets: positions of the columns that its answers are about.
    """

    targets: tuple[int, ...]

    @property
    def alarm_score(self) -> float | None:
        """The first output value at and above which an answer is an alarm; None where there are no alarms."""
        return None

    def output_names(self) -> tuple[str, ...]:
        """Names of the output values."""
        raise NotImplementedError

    def levels(self) -> tuple[int | None, ...]:
        """Of each output value the column that it is a level of, in its units; None where it is of none."""
        raise NotImplementedError

    def drifts(self, tensors: Mapping[str, Array], state: Mapping[str, Array]) -> tuple[Drift, ...]:
        """The tests that have decided, the one with the most evidence first; none for kinds that test nothing.

        Args:
            tensors: of the head, by their short names.
            state: field name -> array of the field's shape, of one session.
        """
        return ()


def check_targets(targets: Any, names: Any) -> tuple[tuple[int, ...], tuple[str, ...] | None]:
    """Positions of target columns and their names, as tuples. Raises SpecError where they make no sense."""
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
    """Raise SpecError where a head would take what is in the units of a window for something in those of the data.

    Args:
        kind: of the head.
        targets: positions of the columns that it is about.
        last: what the last layer writes.
        advice: what to do about it.
    """
    if (target := min(targets)) < last.own_units:
        raise SpecError(
            f"the last layer knows column {target} in the units of its window alone, and {kind} would take its answers "
            f"for such in the units of the data; {advice}, or let a layer read 'input' or the moments as well"
        )
