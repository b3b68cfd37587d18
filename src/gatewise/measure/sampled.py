"""What a model reads and remembers at steps sampled from the data, from float64 runs of the NumPy reference.

A carried model runs natively over all sequences up to stretches of STRETCH steps, which are spread evenly over the
data; the reference continues from the states that it has reached there. A model with a window of L readings runs over
windows, and a non-causal model without a window over whole sequences, both from a zero state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gatewise.errors import InputError, SpecError
from gatewise.graph import Node, reference_trace
from gatewise.heads.base import Head
from gatewise.inputs.base import InputStage
from gatewise.layers.base import Array
from gatewise.measure.sequences import Progress, Sequences
from gatewise.model import Model
from gatewise.state import State

STEPS = 2000
"""Number of steps that are sampled at most, unless a measure says otherwise; at least one stretch always is."""

STRETCH = 32
"""Length of a stretch of a carried model, in steps."""


@dataclass(frozen=True)
class Stretches:
    """Stretches of the data of equal length, and the states that the model has reached before them.

    Attributes:
        x: readings (stretches, time, inputs) float32.
        state: full field name -> (stretches, *shape), or empty for a zero state.
    """

    x: Array
    state: Mapping[str, Array]


@dataclass(frozen=True)
class Visits:
    """What one node read at the sampled steps, and its states.

    Attributes:
        node: the node.
        tensors: its tensors under their short names, float64.
        reads: for each edge read, (steps, width) float64.
        before: short field name -> (steps, *shape) float64, the state before the step.
        after: the same after the step.
    """

    node: Node
    tensors: Mapping[str, Array]
    reads: tuple[Array, ...]
    before: Mapping[str, Array]
    after: Mapping[str, Array]


def stretches(data: Sequences, most: int = STEPS, length: int = STRETCH) -> list[Stretches]:
    """Stretches spread evenly over the data, `most` steps in all, at least one stretch.

    Args:
        data: the sequences.
        most: greatest number of steps.
        length: number of steps in a stretch of a carried model; no more than the shortest sequence has.
    """
    if not isinstance(most, int) or most < 1:
        raise InputError(f"steps must be a whole number of at least 1, got {most!r}")
    model, shortest = data.model, min(map(len, data.x))
    if not model.graph.streams:  # a non-causal model needs whole sequences
        kept = most // max(map(len, data.x))
        return [Stretches(data.x[i][None], {}) for i in spread(len(data.x), max(1, kept))]
    length = min(model.window or length, shortest)
    counts = [len(x) // length for x in data.x]
    chosen = [(i, k * length) for i, k in places(counts, spread(sum(counts), max(1, most // length)))]
    x = np.stack([data.x[i][t : t + length] for i, t in chosen])
    if model.window or not model.graph.state:
        return [Stretches(x, {})]
    states = [state.fields for state in states_at(data, chosen)]
    return [Stretches(x, {name: np.concatenate([each[name] for each in states]) for name in states[0]})]


def spread(count: int, most: int) -> list[int]:
    """At most so many numbers below `count`, ascending and evenly spaced."""
    return [int(i) for i in np.linspace(0, count - 1, min(count, most)).round()]


def places(counts: list[int], numbers: npt.ArrayLike) -> list[tuple[int, int]]:
    """The sequence, and the place within it, of places that are numbered through all sequences.

    Args:
        counts: number of places in each sequence.
        numbers: (n,) int, from 0 to sum(counts) - 1.
    """
    first, given = np.cumsum([0, *counts]), np.asarray(numbers)
    found = np.searchsorted(first, given, "right") - 1
    return list(zip(found.tolist(), (given - first[found]).tolist(), strict=True))


def remembering(model: Model) -> tuple[Node, ...]:
    """The layers that have a state. The states of the input stage and of the head are of another nature.

    Raises:
        SpecError: there are none.
    """
    found = tuple(node for node in model.graph.nodes if node.state and not isinstance(node.layer, (InputStage, Head)))
    if not found:
        raise SpecError("no layer of this model has a state, so there is nothing that it could remember")
    return found


def states_at(data: Sequences, places: list[tuple[int, int]]) -> Iterator[State]:
    """The states that a carried model has reached before steps (sequence, step), which are ascending."""
    sequence, at, state = -1, 0, None
    for i, t in places:
        if i != sequence:
            sequence, at, state = i, 0, None
        if t > at or state is None:
            _, state = data.model.run(data.x[i][at:t], state, return_state=True)
            at = t
        yield state


def visits(data: Sequences, most: int = STEPS, progress: Progress | None = None) -> list[Visits]:
    """Run the reference over stretches of the data: for each node what it read, and its states.

    Args:
        data: the sequences.
        most: greatest number of steps; at least one stretch is run.
        progress: called with the number of stretches done and their total number.
    """
    parts, found = stretches(data, most), []
    for i, part in enumerate(parts):
        found.append(reference_trace(data.model.graph, data.model.tensors, part.x, part.state))
        if progress is not None:
            progress(i + 1, len(parts))
    joined = []
    for traces in zip(*found, strict=True):
        first = traces[0]
        joined.append(
            Visits(
                first.node,
                first.tensors,
                tuple(_flat([trace.reads[i] for trace in traces]) for i in range(len(first.reads))),
                {name: _flat([trace.states[name][:, :-1] for trace in traces]) for name in first.states},
                {name: _flat([trace.states[name][:, 1:] for trace in traces]) for name in first.states},
            )
        )
    return joined


def _flat(values: list[Array]) -> Array:
    """(batch, time, ...) arrays as one (steps, ...)."""
    return np.concatenate([value.reshape(-1, *value.shape[2:]) for value in values])
