"""Resolve a ModelSpec to a Graph.

The input stage, the nodes and the head become one flat list over numbered edges. Edge 0 is the raw reading. An input
stage that changes nothing is left out, so the first layer then reads edge 0 itself. The canonical order of tensors and
of state fields is the order of this list.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from gatewise import heads, inputs, layers
from gatewise.errors import SpecError
from gatewise.graph.graph import Graph, Node
from gatewise.layers.base import Edge, Field, Layer
from gatewise.layers.registry import Registry
from gatewise.spec import LayerSpec, ModelSpec, short

MOST_VALUES = 1 << 28
"""No tensor and no state may hold more values than this (1 GiB of float32)."""

MOST_WIDTH = 1 << 20
"""Greatest width of an edge."""

MOST_NUMBERS = 1 << 12
"""Greatest count of numbers that encode the options of one layer for the native core."""

Kind = TypeVar("Kind", bound=Layer)


def resolve(spec: ModelSpec) -> Graph:
    """Check a spec and find its edges, shapes and state.

    Raises:
        SpecError: a kind is unknown, an option is invalid, layers do not fit together, or the model is too large.
    """
    if not isinstance(spec, ModelSpec):
        raise SpecError(f"a model is described by a ModelSpec, got {short(spec)}")
    stage = _parsed(inputs.registry, spec.input)
    edges = [Edge(stage.width)]
    nodes: list[Node] = []
    plain: list[LayerSpec] = []
    where = {"input": 0}

    def add(registry: Registry[Layer], name: str | None, layer: Layer, reads: Sequence[int]) -> None:
        assert name is not None
        read = tuple(edges[i] for i in reads)
        edges.append(_written(name, layer, read))
        nodes.append(Node(name, registry, layer, tuple(reads), len(edges) - 1, read))
        _check_size(nodes[-1])
        where[name] = nodes[-1].writes

    if not stage.identity:
        add(inputs.registry, "input", stage, [0])
    for node in spec.nodes:
        layer = _parsed(layers.registry, node)
        add(layers.registry, node.name, layer, [where[source] for source in node.sources] or [len(edges) - 1])
        plain.append(LayerSpec(node.kind, node.name, node.sources, **layer.options()))
    body, head = len(edges) - 1, None
    full = ModelSpec(input=_filled(spec.input, stage), layers=plain, context=spec.context)
    if spec.head is not None:
        head = _parsed(heads.registry, spec.head)
        add(heads.registry, "head", head, [where[name] for name in spec.head.sources] or [body, where["input"]])
        full = full.replace(head=_filled(spec.head, head))
    graph = Graph(full, tuple(nodes), tuple(edges), stage, head, where["input"], body, len(edges) - 1)
    _check_fields(graph.state)
    return graph


def with_options(graph: Graph, input: Mapping[str, Any] | None = None, head: Mapping[str, Any] | None = None) -> Graph:
    """The graph with other options of its input stage and its head, which change no edge, tensor or state.

    The other layers are not checked again, so this takes little time even for a deep model.

    Args:
        graph: a graph, which is not changed.
        input: options of the input stage to change, plain JSON values.
        head: options of the head to change.

    Raises:
        SpecError: an option is invalid, or would change edges, tensors or states; or options are given for a head and
            the model has none.
    """
    spec, nodes, stage, last = graph.spec, list(graph.nodes), graph.stage, graph.head
    if input:
        stage = _changed(stage, "input", input)
        if stage.width != graph.stage.width or stage.identity != graph.stage.identity:
            raise _other(graph.stage, "input", input)
        if graph.scaled:
            nodes[0] = _exchanged(graph, nodes[0], stage, input)
        spec = spec.replace(input=_filled(spec.input, stage))
    if head:
        if last is None or spec.head is None:
            raise SpecError(f"the model has no head, got options for one: {short(dict(head))}; pass input alone")
        last = _changed(last, "head", head)
        nodes[-1] = _exchanged(graph, nodes[-1], last, head)
        spec = spec.replace(head=_filled(spec.head, last))
    return replace(graph, spec=spec, nodes=tuple(nodes), stage=stage, head=last)


def _parsed(registry: Registry[Kind], node: LayerSpec) -> Kind:
    assert node.name is not None
    return registry.spec(node.kind).parse(node.name, node.options)


def _filled(node: LayerSpec, layer: Layer) -> LayerSpec:
    """The description of a layer with every option written out."""
    return LayerSpec(node.kind, node.name, node.sources, **layer.options())


def _written(name: str, layer: Layer, read: tuple[Edge, ...]) -> Edge:
    """The edge that a layer writes. Raises SpecError if this version cannot run it."""
    try:
        written = layer.outputs(read)
    except SpecError as error:
        raise SpecError(f"layer {name!r}: {error}") from None
    if written.dtype != "float32" or written.clock != 1:
        raise SpecError(
            f"layer {name!r} writes {written.dtype} with clock {written.clock}; this version runs float32 at each step "
            "only"
        )
    if written.width > MOST_WIDTH:
        raise SpecError(f"layer {name!r} writes {written.width} values, more than {MOST_WIDTH}; make it smaller")
    if read and (own := min(edge.own_units for edge in read)) > written.own_units:
        return replace(written, own_units=own)
    return written


def _changed(layer: Kind, name: str, options: Mapping[str, Any]) -> Kind:
    return type(layer).parse(name, {**layer.options(), **options})


def _exchanged(graph: Graph, node: Node, layer: Layer, options: Mapping[str, Any]) -> Node:
    """The node with other options. Raises SpecError if they would change its edge, its tensors or its state."""
    found = replace(node, layer=layer)
    written = _written(node.name, layer, node.edges)
    if (written, found.shapes, found.state) != (graph.edges[node.writes], node.shapes, node.state):
        raise _other(node.layer, node.name, options)
    _check_size(found)
    return found


def _other(layer: Layer, name: str, options: Mapping[str, Any]) -> SpecError:
    now = {option: value for option, value in layer.options().items() if option in options}
    return SpecError(
        f"{layer.kind} {name!r} with {short(dict(options))} in place of {short(now)} would change edges, tensors or "
        "states of the model; make a new model from a spec with these options"
    )


def _check_size(node: Node) -> None:
    for name, shape in node.shapes.items():
        if math.prod(shape) > MOST_VALUES:
            raise SpecError(f"{name} would have shape {shape}, more than {MOST_VALUES} values; make the layer smaller")
    if (numbers := len(node.layer.native())) > MOST_NUMBERS:
        raise SpecError(
            f"the options of {node.layer.kind} {node.name!r} are {numbers} numbers, more than {MOST_NUMBERS}; use "
            "fewer columns or targets"
        )
    _check_fields(node.state)


def _check_fields(fields: Sequence[Field]) -> None:
    for field in fields:
        if field.size > MOST_VALUES:
            raise SpecError(
                f"{field.name} would have shape {field.shape}, more than {MOST_VALUES} values; make it smaller"
            )
