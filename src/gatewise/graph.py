"""From a ModelSpec to a checked graph: edges with widths, tensors with shapes, one layout of the state.

The input stage, the nodes and the head become one flat list over numbered edges. Edge 0 is the raw reading. An input
stage that changes nothing is left out, so the first layer then reads edge 0 itself. The canonical order of tensors and
of state fields is the order of this list.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from gatewise import heads, inputs, layers
from gatewise.errors import InputError, SpecError
from gatewise.inputs.numeric.spec import MOST, usable
from gatewise.layers.base import Array, Edge, Field, Layer
from gatewise.layers.registry import Registry
from gatewise.spec import LayerSpec, ModelSpec, canonical_json, short

MOST_VALUES = 1 << 28
"""No tensor and no state may hold more values than this (1 GiB of float32)."""


@dataclass(frozen=True)
class Node:
    """One entry of the flat list.

    Attributes:
        name: as in the spec; "input" and "head" for the stage and the head.
        registry: the family it belongs to, which finds its faces.
        layer: its checked options.
        reads: numbers of the edges it reads.
        writes: number of the edge it writes.
        edges: the edges it reads, in order.
    """

    name: str
    registry: Registry
    layer: Layer
    reads: tuple[int, ...]
    writes: int
    edges: tuple[Edge, ...]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Full tensor name, e.g. "gru0.weight_ih" -> shape, in canonical order."""
        return {f"{self.name}.{key}": shape for key, shape in self.layer.tensors(self.edges).items()}

    @property
    def state(self) -> tuple[Field, ...]:
        """State fields under their full names, e.g. "gru0.hidden"."""
        fields = self.layer.state(self.edges)
        return tuple(Field(f"{self.name}.{field.name}", field.dtype, field.shape, field.evidence) for field in fields)

    @property
    def macs(self) -> int:
        """Multiply-accumulates in one step."""
        return self.layer.macs(self.edges)


@dataclass(frozen=True)
class Graph:
    """A spec with everything found out that follows from it.

    Attributes:
        spec: the spec, every option written out.
        nodes: the flat list, in order of execution.
        edges: all edges by number.
        output: number of the edge that is the model's answer.
        body: number of the edge that the last layer writes.
    """

    spec: ModelSpec
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    output: int
    body: int

    @cached_property
    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Full name -> shape of every tensor, in canonical order."""
        return {name: shape for node in self.nodes for name, shape in node.shapes.items()}

    @property
    def window(self) -> int | None:
        """Steps that one answer is made from; None where the state is carried for ever."""
        return None if isinstance(self.spec.context, str) else self.spec.context["window"]

    @cached_property
    def node_state(self) -> tuple[Field, ...]:
        """The state fields of all nodes, in canonical order: what goes from one step to the next."""
        return tuple(field for node in self.nodes for field in node.state)

    @cached_property
    def state(self) -> tuple[Field, ...]:
        """The state fields of a session, in canonical order.

        With a window, each answer begins at a zero state of the nodes, so what a session keeps is the readings: how
        many there have been, up to the length of the window L, and the last L of them, zero where there have been
        fewer, the newest last; see `holds_in_window` for those missing.
        """
        if self.window is None:
            return self.node_state
        shape = (self.window, self.edges[0].width)
        return Field("window.count", "float32", (1,)), Field("window.readings", "float32", shape)

    @cached_property
    def evidence(self) -> Array:
        """Places, among the values of a session's state, of the evidence of sequential tests: (count,) int."""
        places, at = [], 0
        for field in self.state:
            places += list(range(at, at + field.size)) if field.evidence else []
            at += field.size
        return np.array(places, np.int64)

    @cached_property
    def tail(self) -> int:
        """From this node on none has a state or needs a sequence: for the last answer they run once."""
        return max((i + 1 for i, node in enumerate(self.nodes) if node.state or node.layer.whole), default=0)

    @cached_property
    def streams(self) -> bool:
        """Whether it can be run step by step."""
        return self.window is not None or not self.whole

    @property
    def whole(self) -> tuple[str, ...]:
        """Names of the nodes that need the whole sequence."""
        return tuple(node.name for node in self.nodes if node.layer.whole)

    @property
    def state_values(self) -> int:
        """Values in the state of one session."""
        return sum(field.size for field in self.state)

    @property
    def state_bytes(self) -> int:
        """Bytes of the state of one session."""
        return sum(field.nbytes for field in self.state)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one step of all nodes."""
        return sum(node.macs for node in self.nodes)

    @property
    def push_macs(self) -> int:
        """Multiply-accumulates of one answer: with a window, those of all its steps, and of the tail once."""
        repeated = sum(node.macs for node in self.nodes[: self.tail])
        return self.macs + (repeated * (self.window - 1) if self.window else 0)

    @property
    def refuses_missing(self) -> bool:
        """Whether missing readings are refused: non-finite ones, and those that scaling takes too far."""
        return bool(self.spec.input.options.get("missing", "raise") == "raise")

    @property
    def missing_readings(self) -> str:
        """Which readings are missing, for messages."""
        logs = ", of -1 or less where 1 + x is to have a logarithm" if self.spec.input.options.get("transform") else ""
        return f"not finite{logs}, or beyond {MOST:g} once scaled"

    @property
    def holds_in_window(self) -> bool:
        """Whether a missing reading comes into the window as the last one of its column that came.

        So what is held goes back further than the window does: a gap at its beginning would leave nothing to hold.
        """
        return self.window is not None and self.spec.input.options.get("missing") == "hold"

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        """Names of the output values: those of the head, else y0, y1, ..."""
        names = self.nodes[-1].layer.output_names()
        return names or tuple(f"y{i}" for i in range(self.edges[self.output].width))

    @cached_property
    def structure(self) -> str:
        """SHA-256 in hexadecimal of what a state must match: kinds, options and edges, but no weights.

        Left out is what does not touch the state, names of columns and how a head was calibrated, and each option that
        has its default: so a kind can gain options, and states saved before still fit.
        """
        described = [
            [node.name, node.layer.kind, list(node.reads), node.writes, _structural(node.layer)] for node in self.nodes
        ]
        fields = [[field.name, field.dtype, list(field.shape)] for field in self.state]
        context = self.spec.plain()["context"]
        text = canonical_json({"width": self.edges[0].width, "nodes": described, "state": fields, "context": context})
        return hashlib.sha256(text.encode()).hexdigest()


def resolve(spec: ModelSpec) -> Graph:
    """Check a spec and find its edges, shapes and state.

    Raises:
        SpecError: an unknown kind, a bad option, layers that do not fit together, or more than this version can hold.
    """
    if not isinstance(spec, ModelSpec):
        raise SpecError(f"a model is described by a ModelSpec, got {short(spec)}")
    stage = _parse(inputs.registry, spec.input)
    edges = [Edge(int(stage.options()["width"]))]
    nodes: list[Node] = []
    plain: list[LayerSpec] = []
    where: dict[str, int] = {}

    def add(registry: Registry, node: LayerSpec, reads: Sequence[int]) -> None:
        layer = _parse(registry, node)
        read = tuple(edges[i] for i in reads)
        try:
            written = layer.outputs(read)
        except SpecError as error:
            raise SpecError(f"layer {node.name!r}: {error}") from None
        if written.dtype != "float32" or written.clock != 1:
            raise SpecError(
                f"layer {node.name!r} writes {written.dtype} with clock {written.clock}; this version runs float32 at "
                "each step only"
            )
        if read and (own := min(edge.own_units for edge in read)) > written.own_units:
            written = replace(written, own_units=own)
        edges.append(written)
        assert node.name is not None
        found = Node(node.name, registry, layer, tuple(reads), len(edges) - 1, read)
        _check_size(found)
        nodes.append(found)
        where[node.name] = found.writes

    if stage.identity:
        where["input"] = 0
    else:
        add(inputs.registry, spec.input, [0])
    for node in spec.nodes:
        add(layers.registry, node, [where[source] for source in node.sources] or [len(edges) - 1])
        plain.append(LayerSpec(node.kind, node.name, node.sources, **nodes[-1].layer.options()))
    body = len(edges) - 1
    head = spec.head
    if head is not None:
        add(heads.registry, head, [where[source] for source in head.sources] or [body, where["input"]])
        head = LayerSpec(head.kind, None, head.sources, **nodes[-1].layer.options())
    full = ModelSpec(input=LayerSpec(spec.input.kind, **stage.options()), layers=plain, head=head, context=spec.context)
    graph = Graph(full, tuple(nodes), tuple(edges), len(edges) - 1, body)
    _check_fields(graph.state)
    return graph


def check_tensors(graph: Graph, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors a graph needs, in canonical order, contiguous float32 and read-only.

    Raises:
        SpecError: a tensor missing, left over, of another shape or type, not finite, or senseless for its layer.
    """
    if missing := [name for name in graph.tensors if name not in tensors]:
        raise SpecError(f"tensor {missing[0]!r} is missing ({len(missing)} of {len(graph.tensors)} are)")
    if extra := [name for name in tensors if name not in graph.tensors]:
        raise SpecError(f"tensor {extra[0]!r} belongs to no layer of this model; remove it or add its layer")
    checked = {}
    for name, shape in graph.tensors.items():
        value = np.asarray(tensors[name])
        if value.dtype != np.float32 or value.shape != shape:
            raise SpecError(f"tensor {name!r} must be float32 {shape}, got {value.dtype} {value.shape}")
        if not np.isfinite(value).all():
            raise SpecError(f"tensor {name!r} holds {np.count_nonzero(~np.isfinite(value))} non-finite values")
        copy = np.array(value, np.float32, order="C")
        copy.flags.writeable = False
        checked[name] = copy
    for node in graph.nodes:
        try:
            node.layer.check(own_tensors(node, checked))
        except SpecError as error:
            raise SpecError(f"layer {node.name!r}: {error}") from None
    return checked


def own_tensors(node: Node, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors of one node under their short names, e.g. "weight_ih"."""
    return {name.partition(".")[2]: tensors[name] for name in node.shapes}


def initial_tensors(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Freshly initialised tensors under their full names; the same seed gives the same numbers everywhere.

    Raises:
        InputError: the seed is no whole number of at least 0.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed must be a whole number of at least 0, got {seed!r}")
    streams = np.random.SeedSequence(int(seed)).spawn(len(graph.nodes))
    found: dict[str, Array] = {}
    for node, stream in zip(graph.nodes, streams, strict=True):
        values = node.layer.initial(node.edges, np.random.default_rng(stream))
        found.update({f"{node.name}.{key}": value for key, value in values.items()})
    return found


def zero_state(graph: Graph, batch: int, dtype: str | None = None) -> dict[str, Array]:
    """The state at the start of a sequence: field name -> zeros (batch, *shape)."""
    return {field.name: np.zeros((batch, *field.shape), dtype or field.dtype) for field in graph.state}


def reference_run(
    graph: Graph, tensors: Mapping[str, Array], x: Array, state: Mapping[str, Array] | None = None
) -> tuple[Array, dict[str, Array]]:
    """Run the whole graph in float64 NumPy: the truth that every other execution is held to.

    Args:
        graph: a resolved spec.
        tensors: full name -> array.
        x: raw readings (batch, time, inputs).
        state: full field name -> (batch, *shape); None = zeros.

    Returns:
        y (batch, time, outputs) and the state after the last step, float64.
    """
    own = [{k: v.astype(np.float64) for k, v in own_tensors(node, tensors).items()} for node in graph.nodes]
    now = zero_state(graph, x.shape[0], "float64")
    now.update({name: np.asarray(value, np.float64) for name, value in (state or {}).items()})
    if graph.window is None:
        return _reference_sequence(graph, own, x.astype(np.float64), now)
    answers = np.zeros((*x.shape[:2], graph.edges[graph.output].width))
    count, kept = now["window.count"], now["window.readings"]
    unit: list[Any] = [tensors.get(f"input.{name}") for name in ("offset", "scale")]
    unit.append(graph.spec.input.options.get("transform"))
    zeros = {field.name: np.zeros((1, *field.shape)) for field in graph.node_state}
    for t in range(x.shape[1]):
        reading = x[:, t].astype(np.float64)
        if graph.holds_in_window:
            known = (count > 0) & usable(kept[:, -1], *unit)
            reading = np.where(~usable(reading, *unit) & known, kept[:, -1], reading)
        kept = np.concatenate([kept[:, 1:], reading[:, None]], axis=1)
        count = np.minimum(count + 1, graph.window)
        for row, steps in enumerate(count[:, 0].astype(int)):
            window = kept[row : row + 1, graph.window - steps :]
            answers[row, t] = _reference_sequence(graph, own, window, zeros)[0][0, -1]
    return answers, {"window.count": count, "window.readings": kept}


def _reference_sequence(
    graph: Graph, own: Sequence[Mapping[str, Array]], x: Array, state: Mapping[str, Array]
) -> tuple[Array, dict[str, Array]]:
    """One node after the other, each over all steps."""
    values = {0: x}
    end: dict[str, Array] = {}
    for node, weights in zip(graph.nodes, own, strict=True):
        read = [values[i] for i in node.reads]
        now = {field.name.partition(".")[2]: state[field.name] for field in node.state}
        if node.layer.whole:
            values[node.writes] = node.layer.sequence(weights, *read)
        else:
            y = np.zeros((*x.shape[:2], graph.edges[node.writes].width))
            for t in range(x.shape[1]):
                y[:, t], now = node.layer.step(weights, now, *(value[:, t] for value in read))
            values[node.writes] = y
        end.update({f"{node.name}.{key}": value for key, value in now.items()})
    return values[graph.output], end


def _parse(registry: Registry, node: LayerSpec) -> Layer:
    assert node.name is not None
    return registry.spec(node.kind).parse(node.name, node.options)


def _check_size(node: Node) -> None:
    for name, shape in node.shapes.items():
        if math.prod(shape) > MOST_VALUES:
            raise SpecError(f"{name} would have shape {shape}, more than {MOST_VALUES} values; make the layer smaller")
    _check_fields(node.state)


def _check_fields(fields: Sequence[Field]) -> None:
    for field in fields:
        if field.size > MOST_VALUES:
            raise SpecError(
                f"{field.name} would have shape {field.shape}, more than {MOST_VALUES} values; make it smaller"
            )


def _structural(layer: Layer) -> dict[str, object]:
    return {key: value for key, value in layer.given_options().items() if key not in layer.not_structural}
