"""A budget: what is spent on what, and what is no budget."""

import time
from typing import Any

import pytest

from gatewise.comparison.budget import Budget
from gatewise.errors import InputError


def test_it_says_what_is_spent_on_what(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    said: list[tuple[str, float]] = []
    budget = Budget(10.0, begun=now, progress=lambda what, used: said.append((what, used)))
    for what, seconds in (("reading", 1.0), ("training", 3.0), ("reading", 2.0)):
        with budget.doing(what):
            now += seconds
    assert budget.spent == {"reading": 3.0, "training": 3.0}
    assert said == [("reading", 0.0), ("training", 0.1), ("reading", 0.4)]
    assert (budget.used, budget.left) == (6.0, 4.0)
    now += 100
    assert budget.left == 0.0
    with budget.doing("drawing"):
        pass
    assert said[-1] == ("drawing", 1.0)


def test_time_is_recorded_although_something_fails() -> None:
    budget = Budget(10.0)
    with pytest.raises(KeyError), budget.doing("failing"):
        raise KeyError
    assert budget.spent["failing"] >= 0


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "5m", None])
def test_what_is_no_budget(seconds: Any) -> None:
    with pytest.raises(InputError, match="the budget must be a number of seconds above 0"):
        Budget(seconds)
