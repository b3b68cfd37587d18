"""The final states of several layers and directions in one array, as torch exports h_n.

Its shape is (layers * directions, batch, H). The entries are kept one by one, so that an index finds the state of one
layer again. Both directions of a layer, joined along the features, are its output Y_h.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gatewise.importers.onnx.flow import Flow
from gatewise.importers.onnx.graph import Node
from gatewise.importers.onnx.known import Axis, Values, axis_of

MOST_PARTS = 256
"""Most states in one array."""


@dataclass(frozen=True)
class Part:
    """The final state of one direction of a layer: entry `at` of the first axis of `whole`, its output Y_h."""

    whole: Flow
    at: int


Parts = tuple[Part, ...]


def parts_of(flow: Flow) -> Parts | None:
    """The entries of an output Y_h (directions, batch, H); None if a value is no such output."""
    kinds = [axis.kind for axis in flow.axes]
    if kinds != ["direction", "batch", "features"] or flow.step is None or flow.step.recurrence is None:
        return None
    return tuple(Part(flow, at) for at in range(flow.axes[0].size or 0))


def join(node: Node, flows: Mapping[str, Flow], parts: Mapping[str, Parts]) -> Flow | Parts | None:
    """The output of a Concat: more parts, or both directions of a layer side by side; None if it is neither."""
    node.only("axis")
    found: list[Sequence[Part]] = []
    for name in node.inputs:
        own = parts.get(name) or (parts_of(flows[name]) if name in flows else None)
        if own is None:
            return None
        found.append(own)
    axis = node.attributes["axis"]
    if axis in (0, -3) and not any(name in parts and _is_picked(parts[name]) for name in node.inputs):
        joined = tuple(part for own in found for part in own)
        return joined if len(joined) <= MOST_PARTS else None
    single = [own[0] for own in found if len(own) == 1]
    whole = single[0].whole
    ways, batch, features = whole.axes
    both = [part.at for part in single] == [0, 1] and all(part.whole is whole for part in single)
    if axis in (1, -1) and len(single) == len(found) and both and ways.size == 2:
        return whole.then((batch, Axis(2 * (features.size or 0), "features")))
    return None


class Picked(tuple[Part, ...]):
    """One part without the first axis: (batch, H)."""


def _is_picked(parts: Parts) -> bool:
    return isinstance(parts, Picked)


def pick(node: Node, own: Parts, values: Values) -> Flow | Picked | None:
    """The output of a Gather with one index on the first axis; None if it is something else."""
    node.only("axis")
    index = values[1]
    if _is_picked(own) or axis_of(node, node.attributes.get("axis", 0), 3) != 0:
        return None
    if index is None or index.dtype == object or index.ndim != 0 or not -len(own) <= int(index) < len(own):
        return None
    part = own[int(index)]
    ways, batch, features = part.whole.axes
    return part.whole.then((batch, features)) if ways.size == 1 else Picked((part,))
