"""Model, Stream and Pool: run a model over whole sequences, or step by step with the state in your own hands.

A `Model` is immutable and may be shared by all threads. A `Stream` owns one state, a `Pool` those of many sessions:
give each thread its own. All run in the native core, float32, without torch. One step, any chunking, a whole sequence,
a batch and a pool give equal bits.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewise import _core
from gatewise.errors import FileError, InputError, SpecError, StateError
from gatewise.file import ModelFile, brief, read_model, write_model
from gatewise.graph import Graph, check_tensors, initial_tensors, own_tensors, resolve
from gatewise.inputs.numeric.spec import limits
from gatewise.layers.base import Array
from gatewise.spec import ModelSpec
from gatewise.state import State


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
            (
                node.layer.kind,
                node.reads,
                node.writes,
                node.layer.native(),
                list(own_tensors(node, checked).values()),
            )
            for node in graph.nodes
        ]
        set_ = object.__setattr__
        set_(self, "spec", graph.spec)
        set_(self, "graph", graph)
        set_(self, "tensors", MappingProxyType(checked))
        set_(self, "provenance", MappingProxyType(dict(provenance or {})))
        set_(self, "cpu", best)
        set_(self, "_asked_cpu", cpu)
        widths = [edge.width for edge in graph.edges]
        set_(
            self,
            "_native",
            _core.Model(
                nodes,
                widths,
                graph.output,
                graph.refuses_missing,
                self.cpu,
                self.window or 0,
                graph.holds_in_window,
                self.columns,
            ),
        )

    def run(
        self, X: npt.ArrayLike, state: State | bytes | None = None, return_state: bool = False
    ) -> Array | tuple[Array, State]:
        """Run over whole sequences.

        With a window of L steps each answer is made from the last L readings up to its step, fewer at the start of a
        sequence: what a stream answers.

        Args:
            X: readings (time, inputs) or (batch, time, inputs), real numbers; converted to float32.
            state: where to start, with the same batch (1 for a single sequence); None = zeros.
            return_state: whether to return the state after the last step as well.

        Returns:
            y float32 (time, outputs) or (batch, time, outputs), and the State if asked for.

        Raises:
            InputError: the shape or type of X does not fit, or X holds missing readings and the model refuses them.
            StateError: the state does not fit.
        """
        x = as_float32(X, self.inputs, (2, 3), self.columns)
        batch = x if x.ndim == 3 else x[None]
        if not self.graph.streams and (state is not None or return_state):
            raise StateError(f"{self._why_whole()}, so there is no state between steps; run it without a state")
        rows = _as_state(state).rows(self.graph, len(batch)) if state is not None else self._zeros(len(batch))
        y = np.empty((*batch.shape[:2], self.outputs), np.float32)
        self._native.run(batch, rows, y)
        answer = y if x.ndim == 3 else y[0]
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
    def limits(self) -> tuple[Array, Array]:
        """The least and the largest that a reading may be, (inputs,) float64 each; what lies beyond is missing."""
        one = np.ones(self.inputs)
        units = self.tensors.get("input.offset", 0 * one), self.tensors.get("input.scale", one)
        return limits(*units, self.spec.input.options.get("transform"))

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

    @property
    def parameters(self) -> int:
        """Number of values in all tensors."""
        return sum(value.size for value in self.tensors.values())

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
        return super().__new__(cls, _steppable(model, "Stream")._native)

    def __init__(self, model: Model, state: State | bytes | None = None) -> None:
        self.model = model
        if state is not None:
            self.load(state)

    @property
    def state(self) -> State:
        """A copy of the state now."""
        rows = np.frombuffer(self.get_state(), np.float32)[None]
        return State.from_rows(self.model.graph, rows)

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
        return as_float32(x, self.model.inputs, (ndim,), self.model.columns)


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
        return super().__new__(cls, _steppable(model, "Pool")._native, sessions)

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
        return as_float32(x, self.model.inputs, (ndim,), self.model.columns, "ids")

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


def as_float32(
    x: npt.ArrayLike,
    inputs: int,
    ndims: tuple[int, ...],
    columns: Sequence[str] | None = None,
    rows: str = "time",
) -> Array:
    """Real numbers of the expected shape as a contiguous float32 array; a single number will do for one input.

    What a masked array masks is missing, so it becomes NaN.

    Raises:
        InputError: not numeric, complex, ragged, another shape, or a number beyond float32.
    """
    if isinstance(x, np.ma.MaskedArray) and x.dtype.kind in "fiub":
        x = np.ma.filled(x.astype(np.float64), np.nan)
    try:
        value = np.asarray(x)
    except (TypeError, ValueError) as error:
        raise InputError(f"readings must be an array of real numbers: {error}") from None
    if value.dtype.kind not in "fiub":
        raise InputError(f"readings must be real numbers, got {value.dtype}; convert the column first")
    if value.ndim == 0 and inputs == 1 and 1 in ndims:
        value = value.reshape(1)
    if value.ndim not in ndims or value.shape[-1] != inputs:
        names = {1: "(inputs,)", 2: f"({rows}, inputs)", 3: "(batch, time, inputs)"}
        wanted = " or ".join(names[n] for n in ndims)
        named = f" (columns: {', '.join(columns)})" if columns else ""
        raise InputError(f"expected {wanted} with {inputs} inputs a step{named}, got shape {value.shape}")
    with np.errstate(all="ignore"):
        converted = np.require(value, np.float32, ("C", "A"))
    if value.dtype.itemsize > 4 and (np.isinf(converted) & np.isfinite(value)).any():
        raise InputError("a reading is too large for float32 (beyond 3.4e38); scale the data first")
    return converted


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
