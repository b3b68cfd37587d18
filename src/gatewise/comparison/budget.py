"""A budget in seconds, and what is done with it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gatewise.errors import InputError


@dataclass
class Budget:
    """A budget of wall-clock time.

    Raises:
        InputError: it is not a number of seconds above 0.

    Attributes:
        seconds: the whole budget.
        begun: the time at which it began, of `time.monotonic`.
        spent: what was done -> seconds that it took, in order.
        progress: called with a sentence about what is done now and the share of the budget that is used; None = nobody.
    """

    seconds: float
    begun: float = field(default_factory=time.monotonic)
    spent: dict[str, float] = field(default_factory=dict)
    progress: Callable[[str, float], object] | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.seconds, (int, float)) and 0 < self.seconds < math.inf):
            raise InputError(f"the budget must be a number of seconds above 0, got {self.seconds!r}")

    @property
    def used(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.begun

    @property
    def left(self) -> float:
        """Seconds that are left, at least 0."""
        return max(0.0, self.seconds - self.used)

    def doing(self, what: str) -> Spending:
        """A context that records how long something takes, and tells the user that it is being done."""
        if self.progress is not None:
            self.progress(what, min(1.0, self.used / self.seconds))
        return Spending(self, what)


@dataclass
class Spending:
    """The time of one activity, recorded when its block ends."""

    budget: Budget
    what: str
    start: float = 0.0

    def __enter__(self) -> Spending:
        self.start = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        spent = self.budget.spent
        spent[self.what] = spent.get(self.what, 0.0) + time.monotonic() - self.start
