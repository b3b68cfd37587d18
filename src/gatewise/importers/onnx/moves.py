"""Operators that only move the axes of a computed value: batch, time, direction and features.

Each function gets the axes of the value and returns those of the result, and whether only the last step is left. What
would mix numbers of different steps, batches or features is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gatewise.errors import FileError
from gatewise.importers.onnx.graph import Node
from gatewise.importers.onnx.known import Axis, Values, axis_of, ints, slices

Axes = tuple[Axis, ...]
Moved = tuple[Axes, bool]
"""The axes of the result, and whether only the last step is left."""


def _transpose(node: Node, axes: Axes, values: Values) -> Moved:
    node.only("perm")
    order = node.attributes.get("perm", list(range(len(axes)))[::-1])
    if sorted(order) != list(range(len(axes))):
        raise FileError(f"{node} has perm {order!s:.60} for a value of {len(axes)} axes")
    return tuple(axes[i] for i in order), False


def _squeeze(node: Node, axes: Axes, values: Values) -> Moved:
    node.only("axes")
    given = ints(node, "axes", values, 1)
    gone = {i for i, axis in enumerate(axes) if axis.size == 1}
    if given is not None:
        gone = {axis_of(node, each, len(axes)) for each in given}
    for i in gone:
        if axes[i].size != 1:
            raise FileError(f"{node} removes an axis whose size is {axes[i].size or 'not fixed'}, not 1")
    return tuple(axis for i, axis in enumerate(axes) if i not in gone), False


def _unsqueeze(node: Node, axes: Axes, values: Values) -> Moved:
    node.only("axes")
    given = ints(node, "axes", values, 1) or []
    rank = len(axes) + len(given)
    new = {axis_of(node, each, rank) for each in given}
    old = iter(axes)
    return tuple(Axis(1) if i in new else next(old) for i in range(rank)), False


def _reshape(node: Node, axes: Axes, values: Values) -> Moved:
    node.only("allowzero", "shape")
    wanted = ints(node, "shape", values, 1)
    if wanted is None:
        raise FileError(f"{node} has a shape that is no constant")
    copied = not node.attributes.get("allowzero", 0)
    entries = []
    for i, entry in enumerate(wanted):
        zero = not isinstance(entry, Axis) and int(entry) == 0 and copied
        if zero and i >= len(axes):
            raise FileError(f"{node} copies axis {i} of a value of {len(axes)} axes")
        entries.append(axes[i] if zero else entry if isinstance(entry, Axis) else int(entry))
    found = _fit(axes, entries)
    if found is None:
        raise FileError(f"{node} {_mixes(axes)}")
    return tuple(found), False


def _flatten(node: Node, axes: Axes, values: Values) -> Moved:
    node.only("axis")
    at = node.attributes.get("axis", 1)
    at = at + len(axes) if at < 0 else at
    parts = [_fit(axes[:at], [-1]), _fit(axes[at:], [-1])]
    if parts[0] is None or parts[1] is None:
        raise FileError(f"{node} {_mixes(axes)}")
    return (*parts[0], *parts[1]), False


def _fit(axes: Sequence[Axis], entries: Sequence[Any]) -> list[Axis] | None:
    """The axes of a reshaped value; None if axes would mix, other than direction and features.

    An entry is an `Axis` (its size), -1 (any size) or a size. The order of numbers stays in a reshape, so that axes can
    be matched one after the other; axes of size 1 come and go.
    """
    if not entries:
        return [] if all(axis.size == 1 for axis in axes) else None
    entry, rest = entries[0], entries[1:]
    if axes and _is(axes[0], entry) and (tail := _fit(axes[1:], rest)) is not None:
        return [axes[0], *tail]
    if len(axes) > 1 and (axes[0].kind, axes[1].kind) == ("direction", "features"):
        both = Axis((axes[0].size or 0) * (axes[1].size or 0), "features")
        if _is(both, entry) and (tail := _fit(axes[2:], rest)) is not None:
            return [both, *tail]
    if axes and axes[0].size == 1 and (tail := _fit(axes[1:], entries)) is not None:
        return tail
    if not isinstance(entry, Axis) and entry in (1, -1) and (tail := _fit(axes, rest)) is not None:
        return [Axis(1), *tail]
    return None


def _is(axis: Axis, entry: Any) -> bool:
    return axis is entry if isinstance(entry, Axis) else entry == -1 or axis.size == entry


def _mixes(axes: Axes) -> str:
    held = ", ".join(f"{axis.kind or 'axis'} {axis.size or '?'}" for axis in axes)
    return (
        f"reshapes a value with the axes {held}, so that they mix; gatewise imports what adds or removes axes of size "
        "1, or merges the directions of a bidirectional layer with its features"
    )


def _gather(node: Node, axes: Axes, values: Values) -> Moved:
    node.only("axis")
    at = axis_of(node, node.attributes.get("axis", 0), len(axes))
    index = values[1]
    if index is None or index.dtype == object or index.size != 1:
        raise FileError(f"{node} takes something else than one constant index")
    last = _takes_last(node, axes[at], int(index.ravel()[0]))
    kept = () if index.ndim == 0 else (Axis(1),) * index.ndim
    return (*axes[:at], *kept, *axes[at + 1 :]), last


def _takes_last(node: Node, axis: Axis, index: int) -> bool:
    """Whether an index takes the last of several steps; False if the axis has one entry. Raises FileError otherwise."""
    if axis.size == 1 and index in (0, -1):
        return False
    if axis.kind == "time" and (index == -1 or (axis.size is not None and index == axis.size - 1)):
        return True
    raise FileError(
        f"{node} takes entry {index} of the axis {axis.kind or 'of unknown meaning'} with size "
        f"{axis.size or 'not fixed'}; gatewise imports the last step of a sequence only"
    )


def _slice(node: Node, axes: Axes, values: Values) -> Moved:
    node.only("starts", "ends", "axes", "steps")
    found, last = list(axes), False
    for at, (start, end, step) in slices(node, values, len(axes)).items():
        axis = axes[at]
        if any(isinstance(each, Axis) for each in (start, end, step)) or step != 1:
            raise FileError(f"{node} has a step or limits that gatewise does not import")
        whole = int(end) >= (1 << 31) - 1 or (axis.size is not None and int(end) >= axis.size)
        if whole and (start == 0 or (axis.size is not None and start <= -axis.size)):
            continue
        if not whole:
            raise FileError(f"{node} cuts off the end of the axis {axis.kind or 'of unknown meaning'}")
        last = _takes_last(node, axis, int(start)) or last
        found[at] = Axis(1)
    return tuple(found), last


def _same(node: Node, axes: Axes, values: Values) -> Moved:
    return axes, False


MOVES: Mapping[str, Callable[[Node, Axes, Values], Moved]] = {
    "Identity": _same,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Gather": _gather,
    "Slice": _slice,
}
