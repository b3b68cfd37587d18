"""Check the tensors of a graph, find those of one node, and initialise them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from gatewise.errors import InputError, SpecError
from gatewise.graph.graph import Graph, Node
from gatewise.layers.base import Array

NOTHING: Mapping[str, Array] = MappingProxyType({})


def check_tensors(
    graph: Graph, tensors: Mapping[str, Array], checked: Mapping[str, Array] = NOTHING
) -> dict[str, Array]:
    """Check the tensors of a graph and return them in canonical order, contiguous float32 and read-only.

    Args:
        graph: a resolved spec.
        tensors: full name -> array.
        checked: an earlier result of this function. An array of `tensors` that is identical to one of these is used as
            it is; all others are copied.

    Raises:
        SpecError: a tensor is missing, unknown, of another shape or dtype, not finite, or invalid for its layer.
    """
    if missing := [name for name in graph.tensors if name not in tensors]:
        raise SpecError(f"tensor {missing[0]!r} is missing ({len(missing)} of {len(graph.tensors)} are)")
    if extra := [name for name in tensors if name not in graph.tensors]:
        raise SpecError(f"tensor {extra[0]!r} belongs to no layer of this model; remove it or add its layer")
    found = {}
    for name, shape in graph.tensors.items():
        value = np.asarray(tensors[name])
        if value.dtype != np.float32 or value.shape != shape:
            raise SpecError(f"tensor {name!r} must be float32 {shape}, got {value.dtype} {value.shape}")
        found[name] = value if value is checked.get(name) else _frozen(name, value)
    for node in graph.nodes:
        try:
            node.layer.check(own_tensors(node, found))
        except SpecError as error:
            raise SpecError(f"layer {node.name!r}: {error}") from None
    return found


def _frozen(name: str, value: Array) -> Array:
    """A contiguous, read-only copy. Raises SpecError if it holds non-finite values."""
    if not np.isfinite(value).all():
        raise SpecError(f"tensor {name!r} holds {np.count_nonzero(~np.isfinite(value))} non-finite values")
    copy = np.array(value, np.float32, order="C")
    copy.flags.writeable = False
    return copy


def own_tensors(node: Node, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors of one node under their short names, e.g. "weight_ih"."""
    return {name.partition(".")[2]: tensors[name] for name in node.shapes}


def stage_tensors(graph: Graph, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors of the input stage under their short names; empty if the stage changes nothing."""
    return own_tensors(graph.nodes[0], tensors) if graph.scaled else {}


def initial_tensors(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Freshly initialised tensors under their full names; the same seed gives the same numbers everywhere.

    Raises:
        InputError: the seed is not a whole number of at least 0.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed must be a whole number of at least 0, got {seed!r}")
    streams = np.random.SeedSequence(int(seed)).spawn(len(graph.nodes))
    found: dict[str, Array] = {}
    for node, stream in zip(graph.nodes, streams, strict=True):
        values = node.layer.initial(node.edges, np.random.default_rng(stream))
        found.update({f"{node.name}.{key}": value for key, value in values.items()})
    return found
