"""Run a graph in float64 NumPy. All other executions are tested against this reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gatewise.graph.graph import Graph
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
    own = [{k: v.astype(np.float64) for k, v in own_tensors(node, tensors).items()} for node in graph.nodes]
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


def _reference_sequence(
    graph: Graph, own: Sequence[Mapping[str, Array]], x: Array, state: Mapping[str, Array]
) -> tuple[Array, dict[str, Array]]:
    """Run one node after the other, each over all steps."""
    values = {0: x}
    end: dict[str, Array] = {}
    for node, weights in zip(graph.nodes, own, strict=True):
        read = [values[i] for i in node.reads]
        now = {field.name.partition(".")[2]: state[field.name] for field in node.state}
        if node.layer.causal:
            y = np.zeros((*x.shape[:2], graph.edges[node.writes].width))
            for t in range(x.shape[1]):
                y[:, t], now = node.layer.step(weights, now, *(value[:, t] for value in read))
            values[node.writes] = y
        else:
            values[node.writes] = node.layer.sequence(weights, *read)
        end.update({f"{node.name}.{key}": value for key, value in now.items()})
    return values[graph.output], end
