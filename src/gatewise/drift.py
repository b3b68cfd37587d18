"""Find where in a sequence the readings stop being like those a model was calibrated on, and describe it in words.

The tests themselves are part of the model, see `Model.drifts`.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.state import State

CHUNK = 512


def drifted(model: Model, state: State | bytes | None) -> frozenset[str]:
    """The columns that have drifted according to the state of a session; None = the start of a sequence."""
    return frozenset() if state is None else frozenset(drift.column for drift in model.drifts(state))


def has_drifted(model: Model, state: bytes) -> bool:
    """Whether any column has drifted according to the state of one session, given in the layout of the native core."""
    evidence = model.graph.evidence
    return bool(evidence.size and (np.frombuffer(state, np.float32)[evidence] >= 1.0).any())


def state_of(model: Model, state: bytes) -> State:
    """Make a State from the state of one session in the layout of the native core."""
    return State.from_rows(model.graph, np.frombuffer(state, np.float32)[None])


def first_drift(model: Model, x: Array, state: State | bytes | None = None) -> tuple[int, State] | None:
    """Find the first row at which a further column drifts.

    Args:
        model: any model.
        x: readings (time, inputs) float32.
        state: the state before the readings; None = the start of a sequence.

    Returns:
        The row and the state after it; None if no further column drifts in these rows.
    """
    if not model.graph.evidence.size:
        return None
    before = drifted(model, state)

    def after(rows: Array) -> State:
        _, end = model.run(rows, state, return_state=True)
        assert isinstance(end, State)
        return end

    for start in range(0, len(x), CHUNK):
        rows = x[start : start + CHUNK]
        end = after(rows)
        if drifted(model, end) - before:
            few, many = 0, len(rows)  # the test has decided after `many` rows and not yet after `few`
            while many - few > 1:
                middle = (few + many) // 2
                found = after(rows[:middle])
                few, many, end = (few, middle, found) if drifted(model, found) - before else (middle, many, end)
            return start + many - 1, end
        state = end
    return None


def tell_drift(
    model: Model, x: Array, state: State | bytes | None, end: State | bytes, raw: Model | None = None
) -> tuple[int, str] | None:
    """Describe the columns that drifted in these readings and had not drifted before.

    Args:
        model: the model that read them.
        x: readings (time, inputs) float32.
        state: the state before them; None = the start of a sequence.
        end: the state after them.
        raw: the model whose units the text uses, if a constant was subtracted from x; None = `model`.

    Returns:
        The row at which the first of these columns drifted, and a text; None if no further column drifted.
    """
    if not drifted(model, end) - drifted(model, state):
        return None
    found = first_drift(model, x, state)
    assert found is not None
    return found[0], describe(raw or model, found[1], drifted(model, state), drifted(model, end))


def describe(model: Model, state: State, before: Collection[str] = (), later: Collection[str] = ()) -> str:
    """Describe drift in words: the column with the most evidence in full, the others by name.

    Args:
        model: the model of raw readings.
        state: a state in which a column has drifted.
        before: columns that were reported already.
        later: further columns to name.
    """
    drifts = [drift for drift in model.drifts(state) if drift.column not in before]
    first = drifts[0]
    if first.level is None:
        text = (
            f"the alarms of {first.column!r} come more than twice as often as the {first.false_alarms_per_1000:g} in "
            "1,000 rows that the model was calibrated for"
        )
    else:
        level = first.level
        text = (
            f"the level of {first.column!r} has left the range in which the model was fitted: its mean over some "
            f"{level.rows} rows is {level.mean:.5g}, not between {level.low:.5g} and {level.high:.5g}"
        )
    others = sorted(({drift.column for drift in drifts} | {*later}) - {first.column, *before})
    if others:
        named = ", ".join(map(repr, others[:5])) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        text += f"; {named} drifted too"
    return (
        f"{text}. From here on scores are not calibrated: check the readings, and if they will stay like this, fit "
        "again on rows like these"
    )
