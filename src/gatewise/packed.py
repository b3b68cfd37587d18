"""The weights of a model in the layout of the native core, packed for one instruction set when they are first used.

Many models never run: they are made, given other weights or a calibration, and saved. The weights are therefore packed
only when a model is run, streamed or measured. Models that are the same for the native core share one `Packed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatewise import _core
from gatewise.graph import Graph, own_tensors
from gatewise.layers.base import Array


class Packed:
    """A graph and its tensors in the layout of the native core, packed at the first access of `model`.

    Errors in the graph or in the tensors are found earlier, by `graph.resolve` and `graph.check_tensors`.

    Args:
        graph: a resolved spec.
        tensors: full name -> array, as `check_tensors` gives them.
        cpu: one of the instruction sets of this machine.
    """

    __slots__ = ("_described", "_model", "_tensors")

    def __init__(self, graph: Graph, tensors: Mapping[str, Array], cpu: str) -> None:
        nodes = [(node.layer.kind, node.reads, node.writes, node.layer.native()) for node in graph.nodes]
        widths, window = [edge.width for edge in graph.edges], graph.window or 0
        ends = (graph.output, graph.refuses_missing, cpu, window, graph.fills_before_window, graph.stage.columns)
        self._described: tuple[Any, ...] = (nodes, widths, ends)
        self._tensors = [list(own_tensors(node, tensors).values()) for node in graph.nodes]
        self._model: _core.Model | None = None

    @property
    def model(self) -> _core.Model:
        """The native model. If two threads ask for it first, both may pack it, with the same bits; one is kept."""
        found = self._model
        if found is None:
            nodes, widths, ends = self._described
            given = [(*node, own) for node, own in zip(nodes, self._tensors, strict=True)]
            found = self._model = _core.Model(given, widths, *ends)
        return found

    def same(self, other: Packed) -> bool:
        """Whether both pack to the same native model: their descriptions are equal and the arrays are identical."""
        if self._described != other._described:
            return False
        pairs = zip(self._tensors, other._tensors, strict=True)
        return all(a is b for own, others in pairs for a, b in zip(own, others, strict=True))
