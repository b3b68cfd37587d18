"""Graph: a checked spec with the widths of its edges, the shapes of its tensors and the layout of its state."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from gatewise.heads.base import Head
from gatewise.inputs.base import InputStage
from gatewise.layers.base import Array, Edge, Field, Layer
from gatewise.layers.registry import Registry
from gatewise.spec import ModelSpec, canonical_json


@dataclass(frozen=True)
class Node:
    """One node of a graph: the input stage, a layer or the head.

    Attributes:
        name: as in the spec; "input" and "head" for the stage and the head.
        registry: the registry of its family, which finds the modules of its kind.
        layer: its checked options.
        reads: numbers of the edges it reads.
        writes: number of the edge it writes.
        edges: the edges it reads, in order.
    """

    name: str
    registry: Registry[Layer]
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
        return tuple(replace(field, name=f"{self.name}.{field.name}") for field in fields)

    @property
    def macs(self) -> int:
        """Multiply-accumulates in one step."""
        return self.layer.macs(self.edges)


@dataclass(frozen=True)
class Graph:
    """A checked spec with everything that follows from it.

    Attributes:
        spec: the spec, every option written out.
        nodes: the flat list, in order of execution.
        edges: all edges by number; edge 0 is the raw reading.
        stage: the input stage, also where it changes nothing and is not among the nodes.
        head: the head, or None.
        scaled: number of the edge that the input stage writes; 0 where it changes nothing.
        body: number of the edge that the last layer writes.
        output: number of the edge that is the model's answer.
    """

    spec: ModelSpec
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    stage: InputStage
    head: Head | None
    scaled: int
    body: int
    output: int

    @cached_property
    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Full name -> shape of every tensor, in canonical order."""
        return {name: shape for node in self.nodes for name, shape in node.shapes.items()}

    @property
    def window(self) -> int | None:
        """Number of steps from which one answer is computed; None if the state is carried without end."""
        return None if isinstance(self.spec.context, str) else self.spec.context["window"]

    @cached_property
    def node_state(self) -> tuple[Field, ...]:
        """The state fields of all nodes, in canonical order; they are carried from one step to the next."""
        return tuple(field for node in self.nodes for field in node.state)

    @cached_property
    def state(self) -> tuple[Field, ...]:
        """The state fields of a session, in canonical order.

        With a window of L steps, each answer starts from a zero state of the nodes. A session then keeps the number of
        readings so far (at most L) and the last L readings, the newest last, with zeros before the first reading. For
        missing readings see `fills_before_window`.
        """
        if self.window is None:
            return self.node_state
        shape = (self.window, self.edges[0].width)
        return Field("window.count", "float32", (1,)), Field("window.readings", "float32", shape)

    @cached_property
    def evidence(self) -> Array:
        """Indices, among the values of a session's state, of the evidence of sequential tests: (count,) int."""
        places, at = [], 0
        for field in self.state:
            places += list(range(at, at + field.size)) if field.evidence else []
            at += field.size
        return np.array(places, np.int64)

    @cached_property
    def tail(self) -> int:
        """Index of the first node after the last one that has a state or is non-causal.

        From there on, the nodes need to run once only if only the last answer of a sequence is needed.
        """
        return max((i + 1 for i, node in enumerate(self.nodes) if node.state or not node.layer.causal), default=0)

    @cached_property
    def streams(self) -> bool:
        """Whether it can be run step by step."""
        return self.window is not None or not self.non_causal

    @property
    def non_causal(self) -> tuple[str, ...]:
        """Names of the non-causal nodes, which need the whole sequence."""
        return tuple(node.name for node in self.nodes if not node.layer.causal)

    @property
    def state_values(self) -> int:
        """Number of values in the state of one session."""
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
        """Multiply-accumulates of one answer: with a window, those of all its steps, except that the tail runs once."""
        repeated = sum(node.macs for node in self.nodes[: self.tail])
        return self.macs + (repeated * (self.window - 1) if self.window else 0)

    @property
    def refuses_missing(self) -> bool:
        """Whether missing readings are refused."""
        return self.stage.refuses_missing

    @property
    def missing_readings(self) -> str:
        """Which readings are missing, for messages."""
        return self.stage.missing_readings

    @property
    def fills_before_window(self) -> bool:
        """Whether missing readings are filled forward before they enter the window.

        The value that is filled in may then be older than the window. Filling forward within the window would leave a
        gap at its beginning unfilled.
        """
        return self.window is not None and self.stage.fills_forward

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        """Names of the output values: those of the head, else y0, y1, ..."""
        if self.head is not None:
            return self.head.output_names()
        return tuple(f"y{i}" for i in range(self.edges[self.output].width))

    @cached_property
    def structure(self) -> str:
        """SHA-256 in hexadecimal of what a state must match: kinds, options and edges, but no weights.

        It leaves out what does not concern the state, such as names of columns and the calibration of a head, and each
        option that has its default value. A later version can therefore add options to a kind, and states saved before
        still fit.
        """
        described = [
            [node.name, node.layer.kind, list(node.reads), node.writes, _structural(node.layer)] for node in self.nodes
        ]
        fields = [[field.name, field.dtype, list(field.shape)] for field in self.state]
        context = self.spec.to_dict()["context"]
        text = canonical_json({"width": self.edges[0].width, "nodes": described, "state": fields, "context": context})
        return hashlib.sha256(text.encode()).hexdigest()


def _structural(layer: Layer) -> dict[str, object]:
    return {key: value for key, value in layer.given_options().items() if key not in layer.not_structural}
