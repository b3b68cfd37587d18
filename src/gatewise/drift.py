"""Where in a sequence the readings stop being like those a model was calibrated on, and how to say so.

The tests are part of the model, see `Model.drifts`; here is what batches and commands make of them.
"""

from __future__ import annotations

import numpy as np

from gatewise.heads.tail_probability.spec import SPANS
from gatewise.layers.base import Array, Drift
from gatewise.state import State
from gatewise.stream import Model

CHUNK = 512


def has_drifted(model: Model, state: bytes) -> bool:
    """Whether a test has decided, by the state of one or several sessions in the layout of the core."""
    evidence = model.graph.evidence
    if not evidence.size:
        return False
    rows = np.frombuffer(state, np.float32).reshape(-1, model.graph.state_values)
    return bool((rows[:, evidence] >= 1.0).any())


def state_of(model: Model, state: bytes) -> State:
    """The state of one session in the layout of the core, as a State."""
    return State.from_rows(model.graph, np.frombuffer(state, np.float32)[None])


def first_drift(model: Model, x: Array, state: State | None = None) -> tuple[int, State] | None:
    """The first row after which a test has decided that had not before.

    Args:
        model: any model.
        x: readings (time, inputs) float32.
        state: where they begin; None = the start of a sequence.

    Returns:
        The row and the state after it; None where the tests decide nothing in these rows, or had decided before.
    """
    if not model.graph.evidence.size or (state is not None and model.drifts(state)):
        return None
    for start in range(0, len(x), CHUNK):
        _, end = model.run(x[start : start + CHUNK], state, return_state=True)
        assert isinstance(end, State)
        if model.drifts(end):
            few, many = 0, min(CHUNK, len(x) - start)  # decided after `many` rows and not after `few`
            while many - few > 1:
                middle = (few + many) // 2
                _, after = model.run(x[start : start + middle], state, return_state=True)
                assert isinstance(after, State)
                few, many, end = (few, middle, after) if model.drifts(after) else (middle, many, end)
            return start + many - 1, end
        state = end
    return None


def describe(model: Model, state: State) -> str:
    """What the tests have decided, in words: the clearest sign in full, other columns by name."""
    drifts = model.drifts(state)
    first = drifts[0]
    head = model.graph.nodes[-1].layer.options()
    if first.kind == "rate":
        text = (
            f"the alarms of {first.column!r} come more than twice as often as the {head['false_alarms_per_1000']:g} in "
            "1,000 rows that the model was calibrated for"
        )
    else:
        level = _level(model, state, first)
        text = f"the level of {first.column!r} has left the range in which the model was fitted: {level}"
    others = list(dict.fromkeys(repr(drift.column) for drift in drifts if drift.column != first.column))
    if others:
        text += f" (so have {', '.join(others[:5])}{f' and {len(others) - 5} more' if len(others) > 5 else ''} drifted)"
    return (
        f"{text}. From here on scores are not calibrated: look at the readings, and if this is how they will be from "
        "now on, fit again on rows like these"
    )


def _level(model: Model, state: State, drift: Drift) -> str:
    """The level of a column and its range, in the units of the readings."""
    w = list(model.columns or [f"x{i}" for i in range(model.inputs)]).index(drift.column)
    span = int(np.argmax(state.fields["head.level_evidence"][0, w]))
    unit = [model.tensors.get(f"input.{name}", np.full(model.inputs, still))[w] for name, still in _UNITS]
    low, high = model.tensors["head.range"][w, 2 * span : 2 * span + 2]
    constant = 0.0 if model.subtract is None else model.subtract[w]
    values = [
        float(value) * unit[1] + unit[0] + constant for value in (state.fields["head.level"][0, w, span], low, high)
    ]
    return f"its mean over some {SPANS[span]} rows is {values[0]:.5g}, not between {values[1]:.5g} and {values[2]:.5g}"


_UNITS = (("offset", 0.0), ("scale", 1.0))
