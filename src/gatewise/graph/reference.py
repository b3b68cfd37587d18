"""Run a graph in float64 NumPy. All other executions are tested against this reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gatewise.graph.graph import Graph, Node
from gatewise.graph.tensors import own_tensors, stage_tensors
from gatewise.layers.base import Array


def zero_state(graph: Graph, batch: int, dtype: str | None = None) -> dict[str, Array]:
    """The state at the start of a sequence: field name -> zeros (batch, *shape)."""
    return {field.name: np.zeros((batch, *field.shape), dtype or field.dtype) for field in graph.state}


def reference_run(
    graph: Graph, tensors: Mapping[str, Array], x: Array, state: Mapping[str, Array] | None = None
) -> tuple[Array, dict[str, Array]]:
    """Run the graph in float64 NumPy. All other executions are tested against this reference.

    Args:
        graph: a resolved spec.
        tensors: full name -> array.
        x: raw readings (batch, time, inputs).
        state: full field name -> (batch, *shape); None = zeros.

    Returns:
        y (batch, time, outputs) and the state after the last step, float64.
    """
    own = _own(graph, tensors)
    now = zero_state(graph, x.shape[0], "float64")
    now.update({name: np.asarray(value, np.float64) for name, value in (state or {}).items()})
    if graph.window is None:
        return _reference_sequence(graph, own, x.astype(np.float64), now)
    answers = np.zeros((*x.shape[:2], graph.edges[graph.output].width))
    count, kept = now["window.count"], now["window.readings"]
    stage = stage_tensors(graph, tensors)
    zeros = {field.name: np.zeros((1, *field.shape)) for field in graph.node_state}
    for t in range(x.shape[1]):
        reading = x[:, t].astype(np.float64)
        if graph.fills_before_window:
            known = (count > 0) & graph.stage.usable(stage, kept[:, -1])
            reading = np.where(~graph.stage.usable(stage, reading) & known, kept[:, -1], reading)
        kept = np.concatenate([kept[:, 1:], reading[:, None]], axis=1)
        count = np.minimum(count + 1, graph.window)
        for row, steps in enumerate(count[:, 0].astype(int)):
            window = kept[row : row + 1, graph.window - steps :]
            answers[row, t] = _reference_sequence(graph, own, window, zeros)[0][0, -1]
    return answers, {"window.count": count, "window.readings": kept}


@dataclass(frozen=True)
class Trace:
    """What one node read at each step of a run, and its states.

    Attributes:
        node: the node.
        tensors: its tensors under their short names, float64.
        reads: for each edge read, (batch, time, width) float64.
        states: short field name -> (batch, time + 1, *shape) float64: before each step, and after the last one. Empty
            for a node without a state.
    """

    node: Node
    tensors: Mapping[str, Array]
    reads: tuple[Array, ...]
    states: Mapping[str, Array]


def reference_trace(
    graph: Graph, tensors: Mapping[str, Array], x: Array, state: Mapping[str, Array] | None = None
) -> tuple[Trace, ...]:
    """Run the nodes of a graph in float64 NumPy as one sequence, whatever its window, and keep what each node read.

    Args:
        graph: a resolved spec.
        tensors: full name -> array.
        x: raw readings (batch, time, inputs).
        state: full name of a node's field -> (batch, *shape); None = zeros.

    Returns:
        a trace for each node, in order of execution.
    """
    now = {field.name: np.zeros((x.shape[0], *field.shape)) for field in graph.node_state}
    now.update({name: np.asarray(value, np.float64) for name, value in (state or {}).items()})
    values = {0: x.astype(np.float64)}
    found = []
    for node, own in zip(graph.nodes, _own(graph, tensors), strict=True):
        read = tuple(values[i] for i in node.reads)
        values[node.writes], states = _run_node(node, own, read, now)
        found.append(Trace(node, own, read, {key: np.stack(each, axis=1) for key, each in states.items()}))
    return tuple(found)


def _own(graph: Graph, tensors: Mapping[str, Array]) -> list[dict[str, Array]]:
    """The tensors of each node in float64."""
    return [{k: v.astype(np.float64) for k, v in own_tensors(node, tensors).items()} for node in graph.nodes]


def _reference_sequence(
    graph: Graph, own: Sequence[Mapping[str, Array]], x: Array, state: Mapping[str, Array]
) -> tuple[Array, dict[str, Array]]:
    """Run one node after the other, each over all steps."""
    values = {0: x}
    end: dict[str, Array] = {}
    for node, weights in zip(graph.nodes, own, strict=True):
        values[node.writes], states = _run_node(node, weights, [values[i] for i in node.reads], state)
        end.update({f"{node.name}.{key}": each[-1] for key, each in states.items()})
    return values[graph.output], end


def _run_node(
    node: Node, weights: Mapping[str, Array], read: Sequence[Array], state: Mapping[str, Array]
) -> tuple[Array, dict[str, list[Array]]]:
    """What a node writes (batch, time, width), and its states under short names: the first, and that of each step."""
    if not node.layer.causal:
        return node.layer.sequence(weights, *read), {}
    now = {field.name.partition(".")[2]: state[field.name] for field in node.state}
    states = {key: [value] for key, value in now.items()}
    y = np.zeros((*read[0].shape[:2], node.layer.outputs(node.edges).width))
    for t in range(read[0].shape[1]):
        y[:, t], now = node.layer.step(weights, now, *(value[:, t] for value in read))
        for key, each in states.items():
            each.append(now[key])
    return y, states
