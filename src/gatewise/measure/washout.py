"""Measure after how many steps a model has forgotten the state in which it began.

A model that is driven by the same readings from two initial states forgets them if both runs approach each other. This
is the echo state property of Jaeger 2001, "The 'echo state' approach to analysing and training recurrent neural
networks" (GMD report 148), definition 3, where the first steps that still differ are washed out, i.e. discarded.

In each trial the model reads the same stretch of the data from three states of its layers: zero; a state that it has
reached elsewhere in the data; and an extreme one, each of whose values is drawn from the two ends of the range reached.
The distance of a trial after n readings is the greater one of those from zero to the other two::

    state:   sqrt( mean_i ((a_i - b_i) / s_i)^2 )      s_i: root mean square, over the field, of the standard deviations
    answer:  sqrt( mean_j ((y_j - z_j) / s_j)^2 )      s_j: standard deviation of the output

Values that do not vary on the data are not rescaled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gatewise.errors import InputError, SpecError
from gatewise.layers.base import Array
from gatewise.measure.sampled import places, remembering, spread, states_at
from gatewise.measure.sequences import Progress, Readings, Sequences, sequences
from gatewise.model import Model
from gatewise.state import State

MOST_STEPS = 500
"""Number of steps that a trial lasts at most, unless `steps` says otherwise."""

REACHED = 200
"""Number of states, reached on the data, from which initial states are drawn."""

SHARE = 0.95
"""Share of the trials that have to agree."""

LEAST = 1e-6
"""Least tolerance, above the rounding errors of float32."""


@dataclass(frozen=True)
class Washout:
    """Distances of runs from different initial states by step.

    Attributes:
        states: distance of the states, (trials, steps + 1) float64: at the start, and after each reading.
        answers: distance of the answers, (trials, steps).
        tolerance: the distance below which two runs agree.
    """

    states: Array
    answers: Array
    tolerance: float

    @property
    def steps(self) -> float:
        """Number of first answers to discard after a reset: those that follow agree in 95 % of the trials; else inf."""
        return _settled(self.answers, self.tolerance)

    @property
    def state_steps(self) -> float:
        """Number of readings after which the states agree and stay so in 95 % of the trials; inf if they do not."""
        return _settled(self.states, self.tolerance)

    @property
    def reset_matters(self) -> bool:
        """Whether answers depend on the initial state: whether there are any to discard."""
        return self.steps > 0


def washout(
    model: Model,
    x: Readings,
    trials: int = 20,
    steps: int | None = None,
    seed: int = 0,
    tolerance: float = 0.01,
    progress: Progress | None = None,
) -> Washout:
    """Measure how long the answers of a model depend on its initial state.

    Args:
        model: a model that carries its state.
        x: readings (time, inputs) or (batch, time, inputs), or a list of (time, inputs).
        trials: number of places in the data at which runs begin.
        steps: number of readings in each trial; None = half of the longest sequence, at most MOST_STEPS.
        seed: of the places and states that are drawn.
        tolerance: the distance, in standard deviations, below which runs agree; at least 1e-6.
        progress: called with the number of steps done and their total number; None = not called.

    Returns:
        the distances by step.

    Raises:
        InputError: the readings do not fit the model, are shorter than `steps`, or an argument is out of range.
        SpecError: the model has no state between steps, because it has a window, no layer with a state, or layers that
            need the whole sequence.
    """
    data = sequences(model, x)
    _check_carried(model)
    longest = max(map(len, data.x))
    if steps is None:
        steps = min(MOST_STEPS, max(1, longest // 2))
    if not isinstance(steps, int) or not 1 <= steps <= longest:
        raise InputError(
            f"steps must be 1 to {longest}, the length of the longest sequence, got {steps!r}; pass longer sequences"
        )
    if trials < 1 or not LEAST <= tolerance < math.inf:
        raise InputError(f"washout needs trials >= 1 and tolerance >= {LEAST:g}, got {trials} and {tolerance:g}")
    rng = np.random.default_rng(seed)
    counts = [max(0, len(x) - steps + 1) for x in data.x]
    starts = places(counts, rng.integers(sum(counts), size=trials))
    readings = np.stack([data.x[i][t : t + steps] for i, t in starts])  # (trials, steps, inputs)
    state, scales = _initial(data, trials, rng)
    spreads = _scale(np.concatenate(data.answers()))
    states = np.empty((trials, steps + 1))
    answers = np.empty((trials, steps))
    states[:, 0] = _apart({name: state.fields[name] / scale for name, scale in scales.items()})
    batch = np.tile(readings, (3, 1, 1))
    for t in range(steps):
        y, state = data.model.run(batch[:, t : t + 1], state, return_state=True)
        answers[:, t] = _apart({"y": np.asarray(y, np.float64)[:, 0] / spreads})
        states[:, t + 1] = _apart({name: state.fields[name] / scale for name, scale in scales.items()})
        if progress is not None:
            progress(t + 1, steps)
    return Washout(states, answers, tolerance)


def _check_carried(model: Model) -> None:
    if model.window:
        raise SpecError(
            f"the model has a window of {model.window} readings and begins each answer with a zero state, so there is "
            "nothing to wash out; measure truncated_context instead"
        )
    if not model.graph.streams:
        raise SpecError(f"{model.why_non_causal()}, so there is no state between steps; measure truncated_context")


def _initial(data: Sequences, trials: int, rng: np.random.Generator) -> tuple[State, dict[str, float]]:
    """Initial states: first the zero states of all trials, then those reached, then the extreme ones; and the scales.

    The state of the input stage and of the head is zero in all of them.
    """
    fields = [field.name for node in remembering(data.model) for field in node.state]
    counts = [len(x) - 1 for x in data.x]  # places after the first step
    if not sum(counts):
        raise InputError("a washout needs sequences of at least two steps; pass longer ones")
    reached = list(states_at(data, [(i, t + 1) for i, t in places(counts, spread(sum(counts), REACHED))]))
    drawn = rng.integers(len(reached), size=trials)
    zero = data.model.stream().state
    found, scales = {}, {}
    for name, value in zero.fields.items():
        start = np.zeros((3, trials, *value.shape[1:]), np.float32)
        if name in fields:
            pool = np.concatenate([state.fields[name] for state in reached])  # (states, *shape)
            corner = rng.random(start.shape[1:]) < 0.5
            start[1] = pool[drawn]
            start[2] = np.where(corner, pool.min(axis=0), pool.max(axis=0))
            scales[name] = float(np.sqrt(np.mean(pool.std(axis=0, dtype=np.float64) ** 2))) or 1.0
        found[name] = start.reshape(3 * trials, *value.shape[1:])
    return State(zero.structure, found), scales


def _scale(answers: Array) -> Array:
    """The standard deviation of each output, or 1 for a constant one."""
    found = answers.std(axis=0)
    return np.where(found > 0, found, 1.0)


def _apart(values: dict[str, Array]) -> Array:
    """The distances (trials,) of the first third of the rows to the second and the third, whichever is greater."""
    rows = np.concatenate([value.reshape(len(value), -1) for value in values.values()], axis=1).astype(np.float64)
    zero, reached, extreme = np.split(rows, 3)
    both = [np.sqrt(np.mean((other - zero) ** 2, axis=1)) for other in (reached, extreme)]
    return np.asarray(np.maximum(*both))


def _settled(distances: Array, tolerance: float) -> float:
    """The least column from which on 95 % of the rows stay below the tolerance; inf if there is none."""
    trials, columns = distances.shape
    last = np.where(distances < tolerance, -1, np.arange(columns)).max(axis=1)  # the last that is not below
    settled = np.where(last == columns - 1, np.inf, last + 1.0)
    return float(np.sort(settled)[math.ceil(SHARE * trials) - 1])
