"""From a ModelSpec to a Graph.

The input stage, the nodes and the head become one flat list over numbered edges. Edge 0 is the raw reading. An input
stage that changes nothing is left out, so the first layer then reads edge 0 itself. The canonical order of tensors and
of state fields is the order of this list.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from gatewise import heads, inputs, layers
from gatewise.errors import SpecError
from gatewise.graph.graph import Graph, Node
from gatewise.layers.base import Edge, Field, Layer
from gatewise.layers.registry import Registry
from gatewise.spec import LayerSpec, ModelSpec, short

MOST_VALUES = 1 << 28
"""No tensor and no state may hold more values than this (1 GiB of float32)."""


def resolve(spec: ModelSpec) -> Graph:
    """Check a spec and find its edges, shapes and state.

    Raises:
        SpecError: an unknown kind, a bad option, layers that do not fit together, or more than this version can hold.
    """
    if not isinstance(spec, ModelSpec):
        raise SpecError(f"a model is described by a ModelSpec, got {short(spec)}")
    stage = _parse(inputs.registry, spec.input)
    edges = [Edge(int(stage.options()["width"]))]
    nodes: list[Node] = []
    plain: list[LayerSpec] = []
    where: dict[str, int] = {}

    def add(registry: Registry, node: LayerSpec, reads: Sequence[int]) -> None:
        layer = _parse(registry, node)
        read = tuple(edges[i] for i in reads)
        try:
            written = layer.outputs(read)
        except SpecError as error:
            raise SpecError(f"layer {node.name!r}: {error}") from None
        if written.dtype != "float32" or written.clock != 1:
            raise SpecError(
                f"layer {node.name!r} writes {written.dtype} with clock {written.clock}; this version runs float32 at "
                "each step only"
            )
        if read and (own := min(edge.own_units for edge in read)) > written.own_units:
            written = replace(written, own_units=own)
        edges.append(written)
        assert node.name is not None
        found = Node(node.name, registry, layer, tuple(reads), len(edges) - 1, read)
        _check_size(found)
        nodes.append(found)
        where[node.name] = found.writes

    if stage.identity:
        where["input"] = 0
    else:
        add(inputs.registry, spec.input, [0])
    for node in spec.nodes:
        add(layers.registry, node, [where[source] for source in node.sources] or [len(edges) - 1])
        plain.append(LayerSpec(node.kind, node.name, node.sources, **nodes[-1].layer.options()))
    body = len(edges) - 1
    head = spec.head
    if head is not None:
        add(heads.registry, head, [where[source] for source in head.sources] or [body, where["input"]])
        head = LayerSpec(head.kind, None, head.sources, **nodes[-1].layer.options())
    full = ModelSpec(input=LayerSpec(spec.input.kind, **stage.options()), layers=plain, head=head, context=spec.context)
    graph = Graph(full, tuple(nodes), tuple(edges), len(edges) - 1, body)
    _check_fields(graph.state)
    return graph


def _parse(registry: Registry, node: LayerSpec) -> Layer:
    assert node.name is not None
    return registry.spec(node.kind).parse(node.name, node.options)


def _check_size(node: Node) -> None:
    for name, shape in node.shapes.items():
        if math.prod(shape) > MOST_VALUES:
            raise SpecError(f"{name} would have shape {shape}, more than {MOST_VALUES} values; make the layer smaller")
    _check_fields(node.state)


def _check_fields(fields: Sequence[Field]) -> None:
    for field in fields:
        if field.size > MOST_VALUES:
            raise SpecError(
                f"{field.name} would have shape {field.shape}, more than {MOST_VALUES} values; make it smaller"
            )
