"""Stream and Pool: run a model step by step and save, load or move its state.

A `Stream` owns the state of one session, a `Pool` the states of many. Give each thread its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewise import _core
from gatewise.errors import InputError, SpecError
from gatewise.heads.base import Drift
from gatewise.layers.base import Array
from gatewise.model import Model, as_state
from gatewise.readings import as_float32
from gatewise.state import State
from gatewise.wide import wide


class Stream(_core.Stream):
    """One session of a model: push a reading, get an answer; the state is carried from push to push.

    A push that raises an error leaves the state unchanged. If two threads use one Stream at once, one of them gets a
    BusyError.

    Args:
        model: the model to run.
        state: the initial state: a State, bytes from `save`, or None = the start of a sequence.
    """

    __slots__ = ("model",)
    model: Model

    def __new__(cls, model: Model, state: State | bytes | None = None) -> Stream:
        """Open the native stream."""
        native = _steppable(model, "Stream")._native
        return super().__new__(cls if model.subtract is None else wide(cls), native)

    def __init__(self, model: Model, state: State | bytes | None = None) -> None:
        self.model = model
        if state is not None:
            self.load(state)

    @property
    def state(self) -> State:
        """A copy of the current state."""
        rows = np.frombuffer(self.get_state(), np.float32)[None]
        return State.from_rows(self.model.graph, rows)

    @property
    def drifts(self) -> tuple[Drift, ...]:
        """Signs that the readings are no longer like those the model was calibrated on, see `Model.drifts`."""
        return self.model.drifts(self.state)

    def settle(self) -> None:
        """Remove the evidence of drift from the state, after the user has dealt with a warning."""
        self.load(self.model.settled(self.state))

    def save(self) -> bytes:
        """The state as bytes, for `load` here, elsewhere or later."""
        return self.state.to_bytes()

    def load(self, state: State | bytes) -> None:
        """Continue from a saved state.

        Raises:
            StateError: the state is damaged, or of a model with another structure. The state of this stream is then
                unchanged.
        """
        self.set_state(as_state(state).rows(self.model.graph, 1))

    def __reduce__(self) -> tuple[Any, ...]:
        return Stream, (self.model, self.save())

    def _as_float32(self, x: npt.ArrayLike, ndim: int) -> Array:
        """Convert input that is not contiguous float32 of the right width; called by the native core."""
        return as_float32(x, self.model.inputs, (ndim,), self.model.columns, subtract=self.model.subtract)


class Pool(_core.Pool):
    """Many sessions of one model, numbered from 0. Each push advances several of them by one step.

    This is faster than one Stream for each session, because each weight is read once for several sessions. Only one
    thread may use a pool at a time; another gets a BusyError. `push` and `resize` are native and have docstrings there.

    Args:
        model: the model to run.
        sessions: number of sessions.
    """

    __slots__ = ("model",)
    model: Model

    def __new__(cls, model: Model, sessions: int) -> Pool:
        """Open the native pool."""
        native = _steppable(model, "Pool")._native
        return super().__new__(cls if model.subtract is None else wide(cls), native, sessions)

    def __init__(self, model: Model, sessions: int) -> None:
        self.model = model

    def __len__(self) -> int:
        return self.sessions

    def reset(self, ids: npt.ArrayLike | None = None) -> None:
        """Set sessions back to the start of a sequence.

        Args:
            ids: the sessions to reset; None = all.

        Raises:
            InputError: an id is not in the pool, or is given twice. No session is reset then.
        """
        super().reset(np.arange(self.sessions) if ids is None else ids)

    def state(self, id: int) -> State:
        """A copy of the current state of one session. Raises InputError if it is not in the pool."""
        rows = np.frombuffer(self.get_state(id), np.float32)[None]
        return State.from_rows(self.model.graph, rows)

    def drifts(self, id: int) -> tuple[Drift, ...]:
        """Signs that the readings of a session are no longer like those the model was calibrated on: `Model.drifts`."""
        return self.model.drifts(self.state(id))

    def save(self, id: int) -> bytes:
        """The state of one session as bytes, for `load` here, for a Stream, elsewhere or later."""
        return self.state(id).to_bytes()

    def load(self, id: int, state: State | bytes) -> None:
        """Let one session continue from a saved state.

        Raises:
            InputError: the session is not in the pool.
            StateError: the state is damaged, or of a model with another structure. The session is then unchanged.
        """
        self.set_state(id, as_state(state).rows(self.model.graph, 1))

    def __reduce__(self) -> tuple[Any, ...]:
        states = [self.get_state(id) for id in range(self.sessions)]
        return _pool_from, (self.model, states)

    def __repr__(self) -> str:
        return f"Pool of {self.sessions} sessions of {self.model!r}"

    def _as_float32(self, x: npt.ArrayLike, ndim: int) -> Array:
        """Convert input that is not contiguous float32; called by the native core."""
        return as_float32(x, self.model.inputs, (ndim,), self.model.columns, "ids", self.model.subtract)

    def _as_ids(self, ids: npt.ArrayLike) -> Array:
        """Convert ids that are not contiguous int64; called by the native core."""
        value = np.asarray(ids)
        if value.size == 0 and value.ndim == 1:
            return np.empty(0, np.int64)
        if value.dtype.kind not in "iu" or value.ndim != 1 or int(value.max()) > np.iinfo(np.int64).max:
            raise InputError(
                f"ids must be whole numbers in one dimension, got {value.dtype} of shape {value.shape}; "
                "e.g. pool.push([0, 3], x)"
            )
        return np.ascontiguousarray(value, np.int64)


def _pool_from(model: Model, states: Sequence[bytes]) -> Pool:
    pool = Pool(model, len(states))
    for id, state in enumerate(states):
        pool.set_state(id, state)
    return pool


def _steppable(model: Model, what: str) -> Model:
    """The model, if it can run step by step. Raises InputError or SpecError."""
    if not isinstance(model, Model):
        raise InputError(f"a {what} needs a Model, got {type(model).__name__}; use gatewise.load or gatewise.init")
    if not model.graph.streams:
        raise SpecError(
            f"{model.why_non_causal()}: the last reading may change the first answer. Run it over whole sequences with "
            'run, or give the spec a window: context={"window": L}'
        )
    return model
