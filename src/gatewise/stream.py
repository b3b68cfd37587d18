"""Model, Stream and Pool: run a model over whole sequences, or step by step with the state in your own hands.

A `Model` is immutable and may be shared by all threads. A `Stream` owns one state, a `Pool` those of many sessions:
give each thread its own. All run in the native core, float32, without torch. One step, any chunking, a whole sequence,
a batch and a pool give equal bits.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewise import _core
from gatewise.errors import FileError, InputError, SpecError, StateError
from gatewise.file import ModelFile, brief, read_model, write_model
from gatewise.graph import Graph, check_tensors, initial_tensors, own_tensors, resolve
from gatewise.inputs.numeric.spec import limits
from gatewise.layers.base import Array, Drift
from gatewise.readings import as_float32
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.state import State
from gatewise.wide import wide


class Model:
    """A model: a spec and its weights, packed for one instruction set. Immutable, safe to share between threads.

    Args:
        spec: the description.
        tensors: full name, e.g. "gru0.weight_ih" -> float32 array, exactly those that the spec needs.
        provenance: where the model came from, plain JSON values; stored in the file.
        cpu: instruction set: "avx512", "avx2", "neon" or "base"; None = the best this machine has.

    Attributes:
        spec: the description, every option written out.
        graph: what follows from it: edges, shapes, state.
        tensors: full name -> read-only array.
        provenance: read-only.
        cpu: the instruction set in use.

    Raises:
        SpecError: a spec that cannot be, tensors that do not fit it, or an instruction set this machine lacks.
    """

    __slots__ = ("_asked_cpu", "_native", "cpu", "graph", "provenance", "spec", "tensors")
    spec: ModelSpec
    graph: Graph
    tensors: Mapping[str, Array]
    provenance: Mapping[str, Any]
    cpu: str
    _asked_cpu: str | None
    _native: _core.Model

    def __init__(
        self,
        spec: ModelSpec,
        tensors: Mapping[str, Array],
        provenance: Mapping[str, Any] | None = None,
        cpu: str | None = None,
    ) -> None:
        graph = resolve(spec)
        checked = check_tensors(graph, tensors)
        best = _known_cpu(cpu)
        nodes = [
            (node.layer.kind, node.reads, node.writes, node.layer.native(), list(own_tensors(node, checked).values()))
            for node in graph.nodes
        ]
        set_ = object.__setattr__
        set_(self, "spec", graph.spec)
        set_(self, "graph", graph)
        set_(self, "tensors", MappingProxyType(checked))
        set_(self, "provenance", MappingProxyType(dict(provenance or {})))
        set_(self, "cpu", best)
        set_(self, "_asked_cpu", cpu)
        widths, window = [edge.width for edge in graph.edges], self.window or 0
        ends = (graph.output, graph.refuses_missing, best, window, graph.holds_in_window, self.columns)
        set_(self, "_native", _core.Model(nodes, widths, *ends))

    def run(
        self, X: npt.ArrayLike, state: State | bytes | None = None, return_state: bool = False
    ) -> Array | tuple[Array, State]:
        """Run over whole sequences.

        With a window of L steps each answer is made from the last L readings up to its step, fewer at the start of a
        sequence: what a stream answers.

        Args:
            X: readings (time, inputs) or (batch, time, inputs), real numbers; converted to float32. What has names of
                columns (a frame, a series, a dict, a table of Arrow) goes by name where the model names its columns.
            state: where to start, with the same batch (1 for a single sequence); None = zeros.
            return_state: whether to return the state after the last step as well.

        Returns:
            y float32 (time, outputs) or (batch, time, outputs), and the State if asked for. float64 where the model
            subtracts constants, see `subtract`.

        Raises:
            InputError: the shape, type or names of X do not fit, or X holds missing readings and the model refuses
                them.
            StateError: the state does not fit.
        """
        x = as_float32(X, self.inputs, (2, 3), self.columns, subtract=self.subtract)
        batch = x if x.ndim == 3 else x[None]
        if not self.graph.streams and (state is not None or return_state):
            raise StateError(f"{self._why_whole()}, so there is no state between steps; run it without a state")
        rows = _as_state(state).rows(self.graph, len(batch)) if state is not None else self._zeros(len(batch))
        y = np.empty((*batch.shape[:2], self.outputs), np.float32)
        self._native.run(batch, rows, y)
        answer = self._with_levels(y if x.ndim == 3 else y[0])
        return (answer, State.from_rows(self.graph, rows)) if return_state else answer

    def stream(self, state: State | bytes | None = None) -> Stream:
        """A new Stream at the start of a sequence, or at a saved state (a State, or bytes from `Stream.save`)."""
        return Stream(self, state)

    def pool(self, sessions: int) -> Pool:
        """A new Pool of so many sessions, each at the start of a sequence."""
        return Pool(self, sessions)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, atomically. `gatewise.load` reads it; any safetensors tool opens it."""
        write_model(path, ModelFile(self.spec, self.tensors, self.graph.structure, self.provenance))

    def replace(
        self,
        spec: ModelSpec | None = None,
        tensors: Mapping[str, Array] | None = None,
        provenance: Mapping[str, Any] | None = None,
        cpu: str | None = None,
    ) -> Model:
        """A new model with some parts exchanged."""
        return Model(
            self.spec if spec is None else spec,
            self.tensors if tensors is None else tensors,
            self.provenance if provenance is None else provenance,
            self._asked_cpu if cpu is None else cpu,
        )

    @property
    def window(self) -> int | None:
        """Steps that one answer is made from; None where the state is carried for ever."""
        return self.graph.window

    @property
    def inputs(self) -> int:
        """Readings in one step."""
        return self.graph.edges[0].width

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the readings in one step, in order; None where they have none."""
        names = self.spec.input.options.get("columns")
        return None if names is None else tuple(names)

    @property
    def subtract(self) -> Array | None:
        """What is taken from each reading in float64, before it is rounded to float32: (inputs,) float64, or None.

        A total of 623,000,000 that varies by 1,000 has steps of 64 in float32. So a task finds a constant near such
        readings, and the model of it reads what remains. Its readings are then float64, and what it answers in their
        units (`levels`) is float64 as well.
        """
        given = self.spec.input.options.get("subtract")
        return None if given is None else np.array(given, np.float64)

    @property
    def levels(self) -> Array | None:
        """What is added to each answer in float64, as it is in the units of a column: (outputs,) float64, or None."""
        subtract, of = self.subtract, self.graph.nodes[-1].layer.levels()
        if subtract is None or of is None:
            return None
        return np.array([0.0 if column is None else subtract[column] for column in of])

    def relative(self) -> Model:
        """The same model of readings from which `subtract` was taken already; itself where nothing is subtracted.

        Its readings and answers are float32, less the constants. Their states are the same.
        """
        if self.subtract is None:
            return self
        options = {**self.spec.input.options, "subtract": None}
        return self.replace(spec=self.spec.replace(input=LayerSpec(self.spec.input.kind, **options)))

    @property
    def limits(self) -> tuple[Array, Array]:
        """The least and the largest that a reading may be, (inputs,) float64 each; what lies beyond is missing."""
        one = np.ones(self.inputs)
        units = self.tensors.get("input.offset", 0 * one), self.tensors.get("input.scale", one)
        least, most = limits(*units, self.spec.input.options.get("transform"))
        subtract = 0.0 if self.subtract is None else self.subtract
        return least + subtract, most + subtract

    @property
    def outputs(self) -> int:
        """Values in one answer."""
        return self.graph.edges[self.graph.output].width

    @property
    def output_names(self) -> tuple[str, ...]:
        """What the values of one answer are called."""
        return self.graph.output_names

    @property
    def alarm_score(self) -> float | None:
        """The score at and above which an answer of a detector is an alarm; None for other models."""
        return self.graph.nodes[-1].layer.alarm_score

    def drifts(self, state: State | bytes) -> tuple[Drift, ...]:
        """Signs that the readings of a session are no longer like those the model was calibrated on.

        A detector tests at each step whether alarms come more than twice as often as stated, and whether the level of a
        column has left the range in which it was fitted. The evidence is part of the state. While all is well, the
        tests decide wrongly once in 10^7 steps at most; what they have decided stays until `settled`.

        Args:
            state: of one session, or its bytes.

        Returns:
            The tests that have decided, the one with the most evidence first, each with the name of its column; empty
            while there is none, and for models that test nothing.

        Raises:
            StateError: the state does not fit, or is that of several sessions.
        """
        state = _as_state(state)
        rows = state.rows(self.graph, 1)
        if not (self.graph.evidence.size and (rows[0, self.graph.evidence] >= 1.0).any()):
            return ()
        own = {name.removeprefix(f"{self.graph.nodes[-1].name}."): value[0] for name, value in state.fields.items()}
        names = self.columns or tuple(f"x{i}" for i in range(self.inputs))
        return tuple(replace(drift, column=names[drift.column]) for drift in self.graph.nodes[-1].layer.drifts(own))

    def settled(self, state: State | bytes) -> State:
        """The same state without evidence of drift, as after a warning was heeded."""
        state = _as_state(state)
        rows = state.rows(self.graph, state.batch)
        rows[:, self.graph.evidence] = 0.0
        return State.from_rows(self.graph, rows)

    @property
    def parameters(self) -> int:
        """Number of values in all tensors."""
        return sum(value.size for value in self.tensors.values())

    def _with_levels(self, answers: Array) -> Array:
        """Answers (..., outputs) in the units of the columns: float64 where a constant is added."""
        levels = self.levels
        return answers if levels is None else answers + levels

    def _why_whole(self) -> str:
        kinds = {node.name: node.layer.kind for node in self.graph.nodes}
        names = ", ".join(f"{name} ({kinds[name]})" for name in self.graph.whole)
        return f"this model needs whole sequences, because of {names}"

    def _zeros(self, batch: int) -> Array:
        return np.zeros((batch, self.graph.state_values), np.float32)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Model is immutable; use replace()")

    def __reduce__(self) -> tuple[Any, ...]:
        return Model, (self.spec, dict(self.tensors), dict(self.provenance), self._asked_cpu)

    def __repr__(self) -> str:
        graph = self.graph
        lines = []
        for node in graph.nodes:
            read = " + ".join(str(edge.width) for edge in node.edges)
            count = sum(int(np.prod(shape)) for shape in node.shapes.values())
            lines.append(
                f"  {node.name:<8} {node.layer.kind:<16} {read + ' -> ' + str(graph.edges[node.writes].width):<12}"
                f" {count:>9,} parameters {node.macs:>9,} MACs"
            )
        size = sum(value.nbytes for value in self.tensors.values())
        window = f" (a window of {self.window})" if self.window else ""
        return "\n".join(
            [
                f"Model({self.inputs} inputs -> {self.outputs} outputs, cpu={self.cpu!r})",
                *lines,
                f"  total {self.parameters:,} parameters, {size:,} bytes, {graph.push_macs:,} MACs a step{window}, "
                f"state {graph.state_bytes:,} bytes",
            ]
        )


class Stream(_core.Stream):
    """One session of a model: push a reading, get an answer; the state is carried from push to push.

    A push that is refused leaves the state as it was. Two threads that use one Stream at once: one gets BusyError.

    Args:
        model: the model to run.
        state: where to start: a State, bytes from `save`, or None = the start of a sequence.
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
        """A copy of the state now."""
        rows = np.frombuffer(self.get_state(), np.float32)[None]
        return State.from_rows(self.model.graph, rows)

    @property
    def drifts(self) -> tuple[Drift, ...]:
        """Signs that the readings are no longer like those the model was calibrated on, see `Model.drifts`."""
        return self.model.drifts(self.state)

    def settle(self) -> None:
        """Forget the evidence of drift, as after a warning was heeded."""
        self.load(self.model.settled(self.state))

    def save(self) -> bytes:
        """The state as bytes, for `load` here, elsewhere or later."""
        return self.state.to_bytes()

    def load(self, state: State | bytes) -> None:
        """Go on from a saved state.

        Raises:
            StateError: damaged, or of a model with another structure; the state of this stream is then unchanged.
        """
        self.set_state(_as_state(state).rows(self.model.graph, 1))

    def __reduce__(self) -> tuple[Any, ...]:
        return Stream, (self.model, self.save())

    def _as_float32(self, x: npt.ArrayLike, ndim: int) -> Array:
        """What the core calls for input that is not contiguous float32 of the right width already."""
        return as_float32(x, self.model.inputs, (ndim,), self.model.columns, subtract=self.model.subtract)


class Pool(_core.Pool):
    """Many sessions of one model, numbered from 0: those named take a step together, and each weight is read once for
    several of them.

    For one thread at a time; another gets BusyError. `push` and `resize`, which are native, describe themselves.

    Args:
        model: the model to run.
        sessions: how many.
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
        """Put sessions back to the start of a sequence: those named, or all.

        Raises:
            InputError: an id that is not in the pool, or twice; nothing is reset then.
        """
        super().reset(np.arange(self.sessions) if ids is None else ids)

    def state(self, id: int) -> State:
        """A copy of the state of one session now. Raises InputError where it is not in the pool."""
        rows = np.frombuffer(self.get_state(id), np.float32)[None]
        return State.from_rows(self.model.graph, rows)

    def drifts(self, id: int) -> tuple[Drift, ...]:
        """Signs that the readings of a session are no longer like those the model was calibrated on: `Model.drifts`."""
        return self.model.drifts(self.state(id))

    def save(self, id: int) -> bytes:
        """The state of one session as bytes, for `load` here, for a Stream, elsewhere or later."""
        return self.state(id).to_bytes()

    def load(self, id: int, state: State | bytes) -> None:
        """Let one session go on from a saved state.

        Raises:
            InputError: the session is not in the pool.
            StateError: damaged, or of a model with another structure; the session is then unchanged.
        """
        self.set_state(id, _as_state(state).rows(self.model.graph, 1))

    def __reduce__(self) -> tuple[Any, ...]:
        states = [self.get_state(id) for id in range(self.sessions)]
        return _pool_from, (self.model, states)

    def __repr__(self) -> str:
        return f"Pool of {self.sessions} sessions of {self.model!r}"

    def _as_float32(self, x: npt.ArrayLike, ndim: int) -> Array:
        """What the core calls for input that is not contiguous float32 already."""
        return as_float32(x, self.model.inputs, (ndim,), self.model.columns, "ids", self.model.subtract)

    def _as_ids(self, ids: npt.ArrayLike) -> Array:
        """What the core calls for ids that are not contiguous int64 already."""
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
    """The model, where it can be run step by step."""
    if not isinstance(model, Model):
        raise InputError(f"a {what} needs a Model, got {type(model).__name__}; use gatewise.load or gatewise.init")
    if not model.graph.streams:
        raise SpecError(
            f"{model._why_whole()}: the last reading may change the first answer. Run it over whole sequences with "
            'run, or give the spec a window: context={"window": L}'
        )
    return model


def init(spec: ModelSpec, seed: int = 0, cpu: str | None = None) -> Model:
    """An untrained model with freshly initialised weights; the same seed gives the same weights everywhere.

    Raises:
        SpecError: a spec that cannot be.
    """
    return Model(spec, initial_tensors(resolve(spec), seed), {"seed": seed}, cpu)


def load(path: str | os.PathLike[str], cpu: str | None = None) -> Model:
    """Read a model file that `Model.save` wrote.

    Raises:
        FileError: not a model file, truncated, altered, hostile, or of another version; the message says which.
        SpecError: an instruction set this machine lacks.
        OSError: no such file, or no permission.
    """
    cpu = _known_cpu(cpu)
    found = read_model(path)
    try:
        model = Model(found.spec, found.tensors, found.provenance, cpu)
    except SpecError as error:
        raise FileError(f"{path}: {brief(error)}") from None
    if model.graph.structure != found.structure:
        raise FileError(
            f"{path}: the stored structure hash does not match the model: "
            "the file was altered, or written by another version of gatewise"
        )
    return model


def _known_cpu(cpu: str | None) -> str:
    known = _core.instruction_sets()
    if cpu is None:
        return known[0]
    if cpu not in known:
        raise SpecError(f"cpu must be one of {', '.join(known)} on this machine, got {cpu!r}")
    return cpu


def _as_state(state: State | bytes) -> State:
    if isinstance(state, State):
        return state
    if isinstance(state, (bytes, bytearray, memoryview)):
        return State.from_bytes(bytes(state))
    raise StateError(f"a state is a State or bytes from save(), got {type(state).__name__}")
