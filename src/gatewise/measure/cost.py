"""What a model costs: parameters, bytes, multiply-accumulates and state, node by node."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gatewise.layers.base import Field
from gatewise.model import Model


@dataclass(frozen=True)
class NodeCost:
    """What one node of a model costs.

    Attributes:
        name: as in the spec.
        kind: e.g. "gru".
        reads: values in one step, of each edge it reads.
        writes: values in one step of the edge it writes.
        parameters: values in its tensors.
        macs: multiply-accumulates in one step.
        state: its state fields, under their full names.
        warnings: what a user of this configuration should know.
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
    """What a model costs.

    Attributes:
        nodes: in order of execution.
        parameters: values in all tensors.
        bytes: of all tensors, float32.
        packed_bytes: of the weights as the native core keeps them for this model's instruction set.
        macs: multiply-accumulates in one step.
        push_macs: those of one answer: with a window, of all its steps where more than the last one counts.
        state_bytes: of one session.
    """

    nodes: tuple[NodeCost, ...]
    parameters: int
    bytes: int
    packed_bytes: int
    macs: int
    push_macs: int
    state_bytes: int


def cost(model: Model) -> Cost:
    """Count what a model costs. Nothing is run.

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
