"""Questions from comparisons: their numbers are those of the gains, and intervals agree with Holm's correction."""

from dataclasses import replace

import numpy as np
import pytest

from assessment.made import found
from gatewise.assessment.findings import GAIN, SAVING, Candidate
from gatewise.assessment.questions import Compared, halves, questions
from gatewise.assessment.verdict import CHANGE, STAY, accepted
from gatewise.comparison import Gain

OLD = Candidate("old", "incumbent", 1.0, bytes=1000, step_seconds=1e-3)


def compared(name: str, estimate: float, error: float = 0.03, obstacle: str = "", size: int = 100) -> Compared:
    kind = SAVING if name in ("baseline", "shrink") else GAIN
    candidate = Candidate(name, name, 1 - estimate, bytes=size, step_seconds=1e-3)
    return Compared(name, kind, candidate, Gain(estimate, 30, 30.0, 30.0, 1, error, 29.0, 0.0, np.empty(0)), obstacle)


def test_each_number_is_that_of_the_gain() -> None:
    (one,) = questions([compared("retrain", 0.2)], OLD, 0.05)
    gain = compared("retrain", 0.2).gain
    assert (one.p_better, one.p_worse, one.p_equal) == (gain.p_above(0.05), gain.p_below(0.05), gain.p_above(-0.05))
    assert (one.low, one.high) == (gain.low(CHANGE), gain.high(STAY))
    assert one.detectable == gain.detectable(0.05, CHANGE)
    assert one.halves


@pytest.mark.parametrize("incumbent_meets", [True, False])
@pytest.mark.parametrize("seed", range(60))
def test_the_lower_end_is_beyond_the_bound_exactly_for_what_is_accepted(seed: int, incumbent_meets: bool) -> None:
    rng = np.random.default_rng(seed)
    names = rng.permutation(["baseline", "shrink", "reset", "replace", "retrain", "recurrence"])[: rng.integers(1, 5)]
    given = [
        compared(
            str(name),
            rng.normal(0.1, 0.1),
            rng.uniform(0.01, 0.06),
            str(rng.choice(["", "It takes 2 ms."], p=[0.8, 0.2])),
            rng.choice([100, 900]),
        )
        for name in names
    ]
    asked = questions(given, OLD, 0.05, incumbent_meets)
    findings = replace(found(asked), broken="" if incumbent_meets else "One answer takes 2 ms.")
    beyond = []
    for each in asked:
        gains = incumbent_meets and (each.kind == GAIN or not each.halves)
        if each.meets and each.low > (0.05 if gains else -0.05):
            beyond.append(each.name)
    assert [each.name for each in accepted(findings)] == beyond


def test_half_of_the_memory_or_of_the_time() -> None:
    old = replace(OLD, native=True)

    def new(size: int | None, seconds: float | None, native: bool = True) -> bool:
        return halves(Candidate("new", "shrink", 1.0, bytes=size, step_seconds=seconds, native=native), old)

    assert new(500, 1e-3)
    assert new(1000, 5e-4)
    assert new(500, 2e-3)
    assert not new(500, 2.1e-3), "one is halved, and the other more than doubled"
    assert not new(2001, 5e-4)
    assert not new(501, 5.01e-4)
    assert not new(None, None)
    assert new(500, 1.0, native=False), "the time of what runs in Python is not compared"
    assert not new(1000, 1e-9, native=False)
    assert not halves(Candidate("new", "baseline", 1.0, bytes=1), Candidate("old", "incumbent", 1.0))
    state = replace(OLD, state_bytes=1000)
    assert halves(replace(OLD, bytes=900, state_bytes=100), state), "memory is that of parameters and state"
    assert not halves(replace(OLD, bytes=400, state_bytes=1000), state)
