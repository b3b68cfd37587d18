"""Streams and pools of models that subtract constants: they take and return float64, see `Model.subtract`.

`Stream` and `Pool` choose these classes if the model needs them. All others call the native core directly.
"""

from __future__ import annotations

from functools import cache
from types import new_class
from typing import Any, TypeVar

import numpy.typing as npt

from gatewise import _core
from gatewise.layers.base import Array
from gatewise.readings import check_out, into

Kind = TypeVar("Kind")


class WideStream(_core.Stream):
    """`push` and `push_many` of a stream whose model subtracts constants."""

    __slots__ = ()
    model: Any

    def push(self, x: npt.ArrayLike, out: Array | None = None) -> Array:
        """See `Stream.push`."""
        given = self._as_float32(x, 1)
        check_out(out, (self.model.outputs,))
        return into(out, self.model._with_levels(super().push(given)))

    def push_many(self, x: npt.ArrayLike, out: Array | None = None) -> Array:
        """See `Stream.push_many`."""
        given = self._as_float32(x, 2)
        check_out(out, (len(given), self.model.outputs))
        return into(out, self.model._with_levels(super().push_many(given)))


class WidePool(_core.Pool):
    """`push` of a pool whose model subtracts constants."""

    __slots__ = ()
    model: Any

    def push(self, ids: npt.ArrayLike, x: npt.ArrayLike, /, out: Array | None = None) -> Array:
        """See `Pool.push`."""
        given = self._as_float32(x, 2)
        check_out(out, (len(given), self.model.outputs))
        return into(out, self.model._with_levels(super().push(ids, given)))


def wide(kind: type[Kind]) -> type[Kind]:
    """The variant of a class of streams or pools for models that subtract constants.

    It is a subclass with the same name. In its method resolution order `WideStream` or `WidePool` comes right before
    the native base. Methods that a subclass of `Stream` defines are therefore kept, and their `super().push` is the
    one that subtracts.
    """
    given: Any = kind  # mypy does not know that this class is hashable, because its bases are unknown
    found: type[Kind] = _widened(given)
    return found


@cache
def _widened(kind: Any) -> Any:
    own = WideStream if issubclass(kind, _core.Stream) else WidePool
    if issubclass(kind, own):
        return kind
    names = {name: getattr(kind, name) for name in ("__doc__", "__module__", "__qualname__")}
    return new_class(kind.__name__, (kind, own), {}, lambda space: space.update(names, __slots__=()))
