"""Computed values of a graph, and the steps of the `Chain` by which they are computed from one input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gatewise.importers.chain import Chain
from gatewise.importers.onnx.graph import Node
from gatewise.importers.onnx.known import Axis
from gatewise.layers.base import Array


@dataclass(frozen=True)
class Recurrence:
    """What a recurrent node says about the model.

    Attributes:
        time: the axis of time of its input.
        state: the places from which its initial states come; empty = it begins with zeros.
        forward: whether it only reads forward.
        last: whether only its last step is read, Y_h.
    """

    time: Axis
    state: tuple[Array, ...]
    forward: bool
    last: bool


@dataclass(frozen=True)
class Step:
    """A step of the chain.

    Attributes:
        node: from which it comes.
        add: adds it to the chain.
        recurrence: of a recurrent node.
        selects: whether it only takes the last step of the sequence.
        cell: whether it takes the cell of an LSTM, which a model does not answer with.
    """

    node: Node
    add: Callable[[Chain], None]
    recurrence: Recurrence | None = None
    selects: bool = False
    cell: bool = False


@dataclass(frozen=True)
class Flow:
    """A computed value.

    Attributes:
        root: the input of the graph from which it is computed.
        axes: its axes.
        before: the value from which it is computed; None = it is an input.
        step: how; None = its axes were moved.
    """

    root: str
    axes: tuple[Axis, ...]
    before: Flow | None = None
    step: Step | None = None

    def then(self, axes: tuple[Axis, ...], step: Step | None = None) -> Flow:
        """A value that is computed from this one."""
        return Flow(self.root, axes, self, step)

    def steps(self) -> list[Step]:
        """All steps from the input to this value."""
        found: list[Step] = []
        flow: Flow | None = self
        while flow is not None:
            found += [] if flow.step is None else [flow.step]
            flow = flow.before
        return found[::-1]

    def computing(self) -> list[str]:
        """Names of the nodes of all steps that compute something."""
        return [step.node.name for step in self.steps() if not step.selects]

    @property
    def start(self) -> Flow:
        """The input."""
        flow = self
        while flow.before is not None:
            flow = flow.before
        return flow
