"""The form in which the native core runs a model: its weights packed for one instruction set, at the first use.

Many models never run: they are made, given other weights or a calibration, and saved. So packing waits until a model
is run, streamed or measured, and models that differ only in what the core does not know of share one `Packed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatewise import _core
from gatewise.graph import Graph, own_tensors
from gatewise.layers.base import Array


class Packed:
    """A graph and its tensors as the core takes them, which are packed when `model` is first asked for.

    All that could be wrong with them is found before, by `graph.resolve` and `graph.check_tensors`.

    Args:
        graph: a resolved spec.
        tensors: full name -> array, as `check_tensors` gives them.
        cpu: one of the instruction sets of this machine.
    """

    __slots__ = ("_described", "_model", "_tensors")

    def __init__(self, graph: Graph, tensors: Mapping[str, Array], cpu: str) -> None:
        nodes = [(node.layer.kind, node.reads, node.writes, node.layer.native()) for node in graph.nodes]
        widths, window = [edge.width for edge in graph.edges], graph.window or 0
        ends = (graph.output, graph.refuses_missing, cpu, window, graph.holds_in_window, graph.stage.columns)
        self._described: tuple[Any, ...] = (nodes, widths, ends)
        self._tensors = [list(own_tensors(node, tensors).values()) for node in graph.nodes]
        self._model: _core.Model | None = None

    @property
    def model(self) -> _core.Model:
        """The native model. Two threads that ask first at once may both pack it, to the same bits; one is kept."""
        found = self._model
        if found is None:
            nodes, widths, ends = self._described
            given = [(*node, own) for node, own in zip(nodes, self._tensors, strict=True)]
            found = self._model = _core.Model(given, widths, *ends)
        return found

    def same(self, other: Packed) -> bool:
        """Whether the core would make the same of both: equal descriptions, and the very same tensors."""
        if self._described != other._described:
            return False
        pairs = zip(self._tensors, other._tensors, strict=True)
        return all(a is b for own, others in pairs for a, b in zip(own, others, strict=True))
