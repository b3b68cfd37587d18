"""Model: a spec and its weights, ready to run over whole sequences.

A `Model` is immutable and may be shared by all threads. It runs in the native core, float32, without torch. One step,
any chunking, a whole sequence, a batch and a pool give equal bits. `gatewise.stream` runs it step by step.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

import gatewise
from gatewise import _core
from gatewise.errors import FileError, SpecError, StateError
from gatewise.file import ModelFile, Section, brief, read_model, write_model
from gatewise.graph import (
    Graph,
    check_tensors,
    initial_tensors,
    own_tensors,
    resolve,
    stage_tensors,
    with_options,
)
from gatewise.heads.base import Drift, Level
from gatewise.layers.base import Array
from gatewise.packed import Packed
from gatewise.readings import as_float32
from gatewise.spec import ModelSpec
from gatewise.state import State


class Model:
    """A model: a spec and its weights. Immutable, safe to share between threads.

    The spec and the tensors are checked when the model is made. The weights are packed for the instruction set of the
    processor when the model first runs.

    Args:
        spec: the description.
        tensors: full name, e.g. "gru0.weight_ih" -> float32 array, exactly those that the spec needs.
        provenance: where the model came from, plain JSON values; stored in the file.
        cpu: instruction set: "avx512", "avx2", "neon" or "base"; None = the best this machine has.
        task: data of the task that fitted the model. They are stored in the file; the model itself does not use them.

    Attributes:
        spec: the description, every option written out.
        graph: the resolved spec, with its edges, the shapes of its tensors and the layout of its state.
        tensors: full name -> read-only array.
        provenance: where the model came from; read-only.
        cpu: the instruction set in use.
        task: data of the task that fitted the model, or None.

    Raises:
        SpecError: the spec is invalid, the tensors do not fit it, or this machine lacks the instruction set.
    """

    __slots__ = ("_asked_cpu", "_packed", "cpu", "graph", "provenance", "spec", "task", "tensors")
    spec: ModelSpec
    graph: Graph
    tensors: Mapping[str, Array]
    provenance: Mapping[str, Any]
    cpu: str
    task: Section | None
    _asked_cpu: str | None
    _packed: Packed

    def __init__(
        self,
        spec: ModelSpec,
        tensors: Mapping[str, Array],
        provenance: Mapping[str, Any] | None = None,
        cpu: str | None = None,
        task: Section | None = None,
    ) -> None:
        graph = resolve(spec)
        self._set(graph, check_tensors(graph, tensors), provenance, cpu, task)

    @staticmethod
    def of_graph(
        graph: Graph,
        tensors: Mapping[str, Array],
        provenance: Mapping[str, Any] | None = None,
        cpu: str | None = None,
    ) -> Model:
        """A model of a spec that is resolved already. The other arguments and the errors are those of `Model`."""
        return _made(graph, check_tensors(graph, tensors), provenance, cpu)

    def _set(
        self,
        graph: Graph,
        checked: Mapping[str, Array],
        provenance: Mapping[str, Any] | None,
        cpu: str | None,
        task: Section | None,
        before: Packed | None = None,
    ) -> None:
        """Set all attributes. `before` holds weights packed earlier, which are shared if they are the same."""
        best = _known_cpu(cpu)
        packed = Packed(graph, checked, best)
        set_ = object.__setattr__
        set_(self, "spec", graph.spec)
        set_(self, "graph", graph)
        set_(self, "tensors", MappingProxyType(dict(checked)))
        set_(self, "provenance", MappingProxyType(dict(provenance or {})))
        set_(self, "task", task)
        set_(self, "cpu", best)
        set_(self, "_asked_cpu", cpu)
        set_(self, "_packed", before if before is not None and packed.same(before) else packed)

    @property
    def _native(self) -> _core.Model:
        """The model in the native core; its weights are packed at the first access."""
        return self._packed.model

    def run(
        self, X: npt.ArrayLike, state: State | bytes | None = None, return_state: bool = False
    ) -> Array | tuple[Array, State]:
        """Run over whole sequences.

        If the model has a window of L steps, each answer is computed from the last L readings up to its step, or from
        fewer at the start of a sequence. A stream gives the same answers.

        Args:
            X: readings (time, inputs) or (batch, time, inputs), real numbers; converted to float32. Data with column
                names (a frame, a series, a dict, an Arrow table) are matched by name if the model names its columns.
            state: the initial state, for the same batch (1 for a single sequence); None = zeros.
            return_state: whether to return the state after the last step as well.

        Returns:
            y float32 (time, outputs) or (batch, time, outputs), and the State if `return_state` is true. y is float64
            if the model subtracts constants, see `subtract`.

        Raises:
            InputError: the shape, type or column names of X do not fit, or X holds missing readings and the model
                refuses them.
            StateError: the state does not fit the model or the batch.
        """
        x = as_float32(X, self.inputs, (2, 3), self.columns, subtract=self.subtract)
        batch = x if x.ndim == 3 else x[None]
        if not self.graph.streams and (state is not None or return_state):
            raise StateError(f"{self.why_non_causal()}, so there is no state between steps; run it without a state")
        rows = as_state(state).rows(self.graph, len(batch)) if state is not None else self._zeros(len(batch))
        y = np.empty((*batch.shape[:2], self.outputs), np.float32)
        self._native.run(batch, rows, y)
        answer = self._with_levels(y if x.ndim == 3 else y[0])
        return (answer, State.from_rows(self.graph, rows)) if return_state else answer

    def stream(self, state: State | bytes | None = None) -> gatewise.Stream:
        """A new Stream at the start of a sequence, or at a saved state (a State, or bytes from `Stream.save`)."""
        return gatewise.Stream(self, state)  # through the package, because gatewise.stream imports this module

    def pool(self, sessions: int) -> gatewise.Pool:
        """A new Pool with this number of sessions, each at the start of a sequence."""
        return gatewise.Pool(self, sessions)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file atomically. `gatewise.load` reads it, and any safetensors tool can open it."""
        write_model(path, ModelFile(self.spec, self.tensors, self.graph.structure, self.provenance, self.task))

    def replace(
        self,
        spec: ModelSpec | None = None,
        tensors: Mapping[str, Array] | None = None,
        provenance: Mapping[str, Any] | None = None,
        cpu: str | None = None,
        task: Section | None = None,
    ) -> Model:
        """A new model with some parts exchanged. Parts that stay the same are neither checked nor copied again.

        The section of a task is valid for the spec and the weights that the task fitted. With other ones it is dropped,
        unless `task` is given as well.
        """
        kept = self.task if spec is None and tensors is None else None
        graph = self.graph if spec is None or spec is self.spec or spec == self.spec else resolve(spec)
        given = self.tensors if tensors is None else tensors
        checked = given if graph is self.graph and tensors is None else check_tensors(graph, given, self.tensors)
        return _made(
            graph,
            checked,
            self.provenance if provenance is None else provenance,
            self._asked_cpu if cpu is None else cpu,
            kept if task is None else task,
            self._packed,
        )

    def with_options(self, input: Mapping[str, Any] | None = None, head: Mapping[str, Any] | None = None) -> Model:
        """The same model with other options of its input stage or its head, such as another rate of false alarms.

        The new model has the same tensors, and a state of one model fits the other if these options do not concern the
        state. To change options that determine an edge, a tensor or the state, use `replace(spec=...)`.

        Args:
            input: options of the input stage to change, plain JSON values, e.g. {"columns": ["v", "load"]}.
            head: options of the head to change, e.g. {"false_alarms_per_1000": 2}.

        Raises:
            SpecError: an option is invalid, or would change edges, tensors or states; options are given for a head
                and the model has none; or the values of the tensors are invalid with these options.
        """
        graph = with_options(self.graph, input, head)
        checked = check_tensors(graph, self.tensors, self.tensors)
        return _made(graph, checked, self.provenance, self._asked_cpu, self.task, self._packed)

    @property
    def window(self) -> int | None:
        """Number of steps from which one answer is computed; None if the state is carried without end."""
        return self.graph.window

    @property
    def inputs(self) -> int:
        """Number of readings in one step."""
        return self.graph.edges[0].width

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the readings in one step, in order; None if they have no names."""
        return self.graph.stage.columns

    @property
    def subtract(self) -> Array | None:
        """Constants subtracted from the readings in float64 before rounding to float32: (inputs,) float64, or None.

        Near 623,000,000 the steps of float32 are 64 wide, which is coarse for a total that varies by 1,000. A task
        therefore finds a constant near such readings, and the model computes with the difference. Such a model takes
        float64 readings, and its answers in the units of the readings (see `levels`) are float64 as well.
        """
        given = self.graph.stage.subtract
        return None if given is None else np.array(given, np.float64)

    @property
    def levels(self) -> Array | None:
        """Constants added to the answers in float64, as they are in units of the columns: (outputs,), or None."""
        subtract, head = self.subtract, self.graph.head
        if subtract is None or head is None:
            return None
        return np.array([0.0 if column is None else subtract[column] for column in head.levels()])

    def relative(self) -> Model:
        """The same model for readings from which `subtract` was subtracted already; itself if nothing is subtracted.

        The constants are also missing from its answers. Readings and answers are float32. The states of both models
        are the same.
        """
        return self if self.subtract is None else self.with_options(input={"subtract": None})

    def absolute(self, constants: Array | None) -> Model:
        """The reverse of `relative`: turn a model of differences into a model of the readings themselves.

        Args:
            constants: (inputs,) float64, the constants that were subtracted from the readings; None = nothing.
        """
        return self if constants is None else self.with_options(input={"subtract": constants.tolist()})

    @property
    def limits(self) -> tuple[Array, Array]:
        """Least and greatest valid reading, (inputs,) float64 each; a reading beyond them counts as missing."""
        least, most = self.graph.stage.limits(stage_tensors(self.graph, self.tensors))
        subtract = 0.0 if self.subtract is None else self.subtract
        return least + subtract, most + subtract

    @property
    def outputs(self) -> int:
        """Number of values in one answer."""
        return self.graph.edges[self.graph.output].width

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the values in one answer."""
        return self.graph.output_names

    @property
    def alarm_score(self) -> float | None:
        """The score from which an answer of a detector is an alarm; None for other models."""
        return None if self.graph.head is None else self.graph.head.alarm_score

    def drifts(self, state: State | bytes) -> tuple[Drift, ...]:
        """Signs that the readings of a session are no longer like those the model was calibrated on.

        A detector tests at each step whether alarms come more than twice as often as stated, and whether the level of a
        column has left the range in which it was fitted. The evidence is part of the state. As long as nothing has
        changed, the tests report a drift wrongly at most once in 10^7 steps. A reported drift stays in the state until
        `settled` removes it.

        Args:
            state: the state of one session, or its bytes.

        Returns:
            The drifts reported so far, those with the most evidence first, each with the name of its column and, for a
            level, in the units of the readings. Empty if there are none, or if the model has no such tests.

        Raises:
            StateError: the state does not fit, or is that of several sessions.
        """
        state, head = as_state(state), self.graph.head
        rows = state.rows(self.graph, 1)
        if head is None or not (self.graph.evidence.size and (rows[0, self.graph.evidence] >= 1.0).any()):
            return ()
        node = self.graph.nodes[-1]
        own = {name.removeprefix(f"{node.name}."): value[0] for name, value in state.fields.items()}
        found = head.drifts(own_tensors(node, self.tensors), own)
        names = self.columns or tuple(f"x{i}" for i in range(self.inputs))
        return tuple(
            replace(drift, column=names[drift.column], level=self._in_units(drift.column, drift.level))
            for drift in found
        )

    def _in_units(self, column: int, level: Level | None) -> Level | None:
        """A level in the units of the readings."""
        if level is None:
            return None
        own, scaled = stage_tensors(self.graph, self.tensors), np.array([level.mean, level.low, level.high])
        values = self.graph.stage.unscaled(own, column, scaled)
        return Level(level.rows, *(values if self.subtract is None else values + self.subtract[column]).tolist())

    def settled(self, state: State | bytes) -> State:
        """The same state without evidence of drift, for use after the user has dealt with a warning."""
        state = as_state(state)
        rows = state.rows(self.graph, state.batch)
        rows[:, self.graph.evidence] = 0.0
        return State.from_rows(self.graph, rows)

    @property
    def parameters(self) -> int:
        """Number of values in all tensors."""
        return sum(value.size for value in self.tensors.values())

    def _with_levels(self, answers: Array) -> Array:
        """Answers (..., outputs) in the units of the columns: float64 if a constant is added."""
        levels = self.levels
        return answers if levels is None else answers + levels

    def why_non_causal(self) -> str:
        """A text for messages that names the layers because of which the model cannot run step by step."""
        kinds = {node.name: node.layer.kind for node in self.graph.nodes}
        names = ", ".join(f"{name} ({kinds[name]})" for name in self.graph.non_causal)
        return f"this model needs the whole sequence, because of {names}"

    def _zeros(self, batch: int) -> Array:
        return np.zeros((batch, self.graph.state_values), np.float32)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Model is immutable; use replace()")

    def __reduce__(self) -> tuple[Any, ...]:
        return Model, (self.spec, dict(self.tensors), dict(self.provenance), self._asked_cpu, self.task)

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


def init(spec: ModelSpec, seed: int = 0, cpu: str | None = None) -> Model:
    """An untrained model with freshly initialised weights; the same seed gives the same weights everywhere.

    Raises:
        SpecError: the spec is invalid.
    """
    graph = resolve(spec)
    return Model.of_graph(graph, initial_tensors(graph, seed), {"seed": seed}, cpu)


def load(path: str | os.PathLike[str], cpu: str | None = None) -> Model:
    """Read a model file that `Model.save` wrote.

    Raises:
        FileError: not a model file, truncated, altered, hostile, or of another version; the message says which.
        SpecError: this machine lacks the instruction set.
        OSError: there is no such file, or no permission to read it.
    """
    cpu = _known_cpu(cpu)
    found = read_model(path)
    try:
        model = Model(found.spec, found.tensors, found.provenance, cpu, found.task)
    except SpecError as error:
        raise FileError(f"{path}: {brief(error)}") from None
    if model.graph.structure != found.structure:
        raise FileError(
            f"{path}: the stored structure hash does not match the model: "
            "the file was altered, or written by another version of gatewise"
        )
    return model


def _made(
    graph: Graph,
    checked: Mapping[str, Array],
    provenance: Mapping[str, Any] | None,
    cpu: str | None,
    task: Section | None = None,
    before: Packed | None = None,
) -> Model:
    """A model made of parts that are checked already."""
    model = object.__new__(Model)
    model._set(graph, checked, provenance, cpu, task, before)
    return model


def _known_cpu(cpu: str | None) -> str:
    known = _core.instruction_sets()
    if cpu is None:
        return known[0]
    if cpu not in known:
        raise SpecError(f"cpu must be one of {', '.join(known)} on this machine, got {cpu!r}")
    return cpu


def as_state(state: State | bytes) -> State:
    """A state, read from bytes if necessary. Raises StateError."""
    if isinstance(state, State):
        return state
    if isinstance(state, (bytes, bytearray, memoryview)):
        return State.from_bytes(bytes(state))
    raise StateError(f"a state is a State or bytes from save(), got {type(state).__name__}")
