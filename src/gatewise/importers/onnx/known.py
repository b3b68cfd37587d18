"""Values that are known without running the model: constants, shapes, and the places of a carried state.

Exporters compute small things in the graph: the shape of a zero state, the part of a state that one layer has. These
nodes are evaluated here with NumPy. An array may hold

* numbers: constants;
* `Axis` objects: the sizes of the axes of a computed value, which the operator Shape gives;
* places: whole numbers, each of which stands for one number of an input. If an input is a state that the caller
  carries, the places say which of its numbers each layer reads and writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.errors import FileError
from gatewise.importers.onnx.graph import Node
from gatewise.layers.base import Array

MOST_NUMBERS = 1 << 23
"""Most numbers of all arrays that nodes make."""

Values = Sequence[Array | None]


class Axis:
    """An axis of a computed value.

    Attributes:
        size: None if it is not fixed.
        kind: "batch", "time", "direction" or "features"; None as long as no node shows it.
    """

    def __init__(self, size: int | None, kind: str | None = None) -> None:
        self.size, self.kind = size, kind

    def become(self, kind: str, size: int | None = None) -> bool:
        """Say what the axis is; False if it is something else, or has another size."""
        if self.kind not in (None, kind) or (size is not None and self.size not in (None, size)):
            return False
        self.kind, self.size = kind, self.size if size is None else size
        return True


def evaluate(node: Node, values: Values) -> list[Array] | None:
    """The outputs of a node whose inputs are known (None = left out); None if it is not evaluated here."""
    operator = OPERATORS.get(node.op)
    if operator is None:
        return None
    found = operator(node, values)
    return found if isinstance(found, list) else [found]


def ints(node: Node, name: str, values: Values, at: int) -> list[Any] | None:
    """Whole numbers that are an attribute in older versions of an operator, and its input `at` in newer ones."""
    if name in node.attributes:
        value = node.attributes[name]
        return list(value) if isinstance(value, list) else [value]
    given = values[at] if at < len(values) else None
    return None if given is None else list(given.ravel())


def axis_of(node: Node, axis: Any, rank: int) -> int:
    """An axis, counted from the end if negative, as an index. Raises FileError."""
    if isinstance(axis, Axis) or not -rank <= int(axis) < rank:
        raise FileError(f"{node} has the axis {axis!s:.40}, and its input has {rank}")
    return int(axis) % rank


def slices(node: Node, values: Values, rank: int) -> dict[int, tuple[Any, Any, Any]]:
    """Axis -> start, end and step of a Slice. Raises FileError if they are not constants."""
    starts, ends = ints(node, "starts", values, 1), ints(node, "ends", values, 2)
    if starts is None or ends is None:
        raise FileError(f"{node} has no constant starts and ends")
    axes = ints(node, "axes", values, 3) or list(range(len(starts)))
    steps = ints(node, "steps", values, 4) or [1] * len(starts)
    parts = zip(axes, starts, ends, steps, strict=True)
    return {axis_of(node, axis, rank): (start, end, step) for axis, start, end, step in parts}


def _shape_of(node: Node, entries: Sequence[Any]) -> tuple[int, ...]:
    """Sizes for an array; an axis whose size is not fixed counts 1. Raises FileError if there are too many numbers."""
    sizes = [(entry.size or 1) if isinstance(entry, Axis) else int(entry) for entry in entries]
    if min(sizes, default=1) < -1 or np.prod([float(abs(size)) for size in sizes]) > MOST_NUMBERS:
        raise FileError(f"{node} asks for the shape {sizes!s:.100}")
    return tuple(sizes)


def _constant(node: Node, values: Values) -> Array:
    node.only("value", "value_float", "value_floats", "value_int", "value_ints")
    return np.asarray(next(iter(node.attributes.values())))


def _reshape(node: Node, values: Values) -> Array:
    given, shape = _first(values), ints(node, "shape", values, 1) or []
    kept = [given.shape[i] if not isinstance(size, Axis) and size == 0 else size for i, size in enumerate(shape)]
    return given.reshape(_shape_of(node, kept))


def _squeeze(node: Node, values: Values) -> Array:
    given, axes = _first(values), ints(node, "axes", values, 1)
    return given.squeeze(None if axes is None else tuple(int(axis) for axis in axes))


def _unsqueeze(node: Node, values: Values) -> Array:
    return np.expand_dims(_first(values), tuple(int(axis) for axis in ints(node, "axes", values, 1) or []))


def _slice(node: Node, values: Values) -> Array:
    given = _first(values)
    index: list[Any] = [slice(None)] * given.ndim
    for axis, (start, end, step) in slices(node, values, given.ndim).items():
        size, begin, stop = given.shape[axis], int(start), int(end)
        if step < 0:
            begin = min(max(begin + size if begin < 0 else begin, -1), size - 1)
            stop = min(max(stop + size if stop < 0 else stop, -1), size)
            index[axis] = slice(begin, None if stop < 0 else stop, int(step))
        else:
            index[axis] = slice(begin, stop, int(step))
    return np.asarray(given[tuple(index)])


def _gather(node: Node, values: Values) -> Array:
    indices = values[1]
    assert indices is not None
    return np.asarray(np.take(_first(values), indices.astype(np.int64), axis=node.attributes.get("axis", 0)))


def _concat(node: Node, values: Values) -> Array:
    return np.concatenate([value for value in values if value is not None], axis=node.attributes["axis"])


def _split(node: Node, values: Values) -> list[Array]:
    given, axis = _first(values), node.attributes.get("axis", 0)
    sizes = ints(node, "split", values, 1)
    cuts: Any = len(node.outputs) if sizes is None else np.cumsum([int(size) for size in sizes])[:-1]
    return list(np.split(given, cuts, axis=axis))


def _constant_of_shape(node: Node, values: Values) -> Array:
    fill = np.asarray(node.attributes.get("value", 0.0)).ravel()
    return np.full(_shape_of(node, list(_first(values).ravel())), fill[0])


def _expand(node: Node, values: Values) -> Array:
    given, shape = _first(values), _shape_of(node, ints(node, "shape", values, 1) or [])
    return np.broadcast_to(given, np.broadcast_shapes(given.shape, shape))


def _first(values: Values) -> Array:
    assert values[0] is not None
    return values[0]


OPERATORS: Mapping[str, Callable[[Node, Values], Array | list[Array]]] = {
    "Constant": _constant,
    "Identity": lambda node, values: _first(values),
    "Cast": lambda node, values: _first(values),
    "Transpose": lambda node, values: _first(values).transpose(node.attributes.get("perm")),
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Slice": _slice,
    "Gather": _gather,
    "Concat": _concat,
    "Split": _split,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
}
