"""The cost of a model: parameters, bytes, multiply-accumulates and state, for each node."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gatewise.layers.base import Field
from gatewise.model import Model


@dataclass(frozen=True)
class NodeCost:
    """The cost of one node of a model.

    Attributes:
        name: the name of the node.
        kind: its kind, e.g. "gru".
        reads: width of each edge that it reads.
        writes: width of the edge that it writes.
        parameters: number of values in its tensors.
        macs: multiply-accumulates in one step.
        state: its state fields, under their full names.
        warnings: warnings about its options.
    """

    name: str
    kind: str
    reads: tuple[int, ...]
    writes: int
    parameters: int
    macs: int
    state: tuple[Field, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Cost:
    """The cost of a model.

    Attributes:
        nodes: the cost of each node, in order of execution.
        parameters: number of values in all tensors.
        bytes: size of all tensors in float32.
        packed_bytes: size of the weights in the native core, for the instruction set of this model.
        macs: multiply-accumulates in one step.
        push_macs: multiply-accumulates of one answer. With a window these are those of all its steps, except that nodes
            after the last state run only once.
        state_bytes: size of the state of one session.
    """

    nodes: tuple[NodeCost, ...]
    parameters: int
    bytes: int
    packed_bytes: int
    macs: int
    push_macs: int
    state_bytes: int


def cost(model: Model) -> Cost:
    """Compute the cost of a model without running it.

    A multiply-accumulate is one product of a weight and a value, added to a sum; elementwise work is not counted.
    """
    graph = model.graph
    nodes = tuple(
        NodeCost(
            node.name,
            node.layer.kind,
            tuple(edge.width for edge in node.edges),
            graph.edges[node.writes].width,
            sum(math.prod(shape) for shape in node.shapes.values()),
            node.macs,
            node.state,
            node.layer.warnings(),
        )
        for node in graph.nodes
    )
    size = sum(value.nbytes for value in model.tensors.values())
    packed = model._native.packed_bytes
    return Cost(nodes, model.parameters, size, packed, graph.macs, graph.push_macs, graph.state_bytes)
