"""ModelSpec: the description of a model as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from gatewise.errors import SpecError
from gatewise.spec.blocks import plain_input
from gatewise.spec.layer import LayerSpec, listed
from gatewise.spec.text import canonical_json, parse_json, short

FORMAT = 1
"""Version of the description, stored with it."""

MOST_NODES = 1000
RESERVED = ("input", "head", "task", "window")


class ModelSpec:
    """The description of a model as plain data. Immutable; two specs are equal if their JSON is.

    Args:
        inputs: number of inputs a step, as a shorthand for an input stage that neither names nor scales them.
        layers: the nodes, in order.
        input: the input stage, instead of `inputs`.
        head: the head, which computes the answer from the output of the last node; None = that output is the answer. A
            head reads the last node and the input stage, unless it names other sources.
        context: "carried" (the state is carried without end) or {"window": L} (each answer is computed from the last L
            steps only).

    Raises:
        SpecError: there are no layers, a name is used twice, a node reads one that does not come before it, or the
            context is invalid.
    """

    __slots__ = ("context", "head", "input", "nodes")
    input: LayerSpec
    nodes: tuple[LayerSpec, ...]
    head: LayerSpec | None
    context: str | Mapping[str, int]

    def __init__(
        self,
        inputs: int | None = None,
        layers: Iterable[LayerSpec] = (),
        *,
        input: LayerSpec | None = None,
        head: LayerSpec | None = None,
        context: str | Mapping[str, int] = "carried",
    ) -> None:
        if (inputs is None) == (input is None):
            raise SpecError("give either inputs (a number of columns) or input (an input stage)")
        if input is None:
            input = plain_input(inputs)
        set_ = object.__setattr__
        set_(self, "input", _fixed(input, "input"))
        set_(self, "nodes", _named(layers))
        set_(self, "head", None if head is None else _head(head, self.nodes))
        set_(self, "context", _context(context))

    def replace(self, **changes: Any) -> ModelSpec:
        """A copy with another `input`, `layers`, `head` or `context`."""
        now: dict[str, Any] = {
            "input": self.input,
            "layers": self.nodes,
            "head": self.head,
            "context": self.context,
        }
        return ModelSpec(**{**now, **changes})

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain JSON values."""
        return {
            "format": FORMAT,
            "input": _nameless(self.input),
            "nodes": [node.to_dict() for node in self.nodes],
            "head": None if self.head is None else _nameless(self.head),
            "context": self.context if isinstance(self.context, str) else dict(self.context),
        }

    def to_json(self) -> str:
        """The spec as canonical JSON text: equal specs give equal text."""
        return canonical_json(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Read what `to_json` wrote. Raises SpecError on anything else, however hostile."""
        return cls.from_dict(parse_json(text, "model description"))

    @classmethod
    def from_dict(cls, value: object) -> ModelSpec:
        """The reverse of `to_dict`. Raises SpecError."""
        if not isinstance(value, Mapping):
            raise SpecError(f"a model description must be an object, got {short(value)}")
        keys = {"format", "input", "nodes", "head", "context"}
        if set(value) - keys or not {"format", "input", "nodes"} <= set(value):
            raise SpecError(f"a model description has the keys {sorted(keys)}, got {short(sorted(map(str, value)))}")
        if value["format"] != FORMAT or isinstance(value["format"], bool):
            raise SpecError(
                f"the model description has format {short(value['format'])}, this version reads {FORMAT}; "
                "upgrade gatewise"
            )
        if not isinstance(value["nodes"], list):
            raise SpecError(f"nodes must be a list, got {short(value['nodes'])}")
        head = value.get("head")
        return cls(
            input=LayerSpec.from_dict(value["input"], "input"),
            layers=[LayerSpec.from_dict(node, f"node {i}") for i, node in enumerate(value["nodes"])],
            head=None if head is None else LayerSpec.from_dict(head, "head"),
            context=value.get("context", "carried"),
        )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a ModelSpec is immutable; use replace()")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelSpec) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __reduce__(self) -> tuple[Any, ...]:
        return ModelSpec.from_json, (self.to_json(),)

    def __repr__(self) -> str:
        head = "" if self.head is None else f", head={self.head!r}"
        return f"ModelSpec(input={self.input!r}, layers={list(self.nodes)!r}{head}, context={self.context!r})"


def _nameless(node: LayerSpec) -> dict[str, Any]:
    return {key: value for key, value in node.to_dict().items() if key != "name"}


def _fixed(node: LayerSpec, role: str) -> LayerSpec:
    """The input stage or the head, with the fixed name `role`. Raises SpecError."""
    if not isinstance(node, LayerSpec):
        raise SpecError(f"{role} must be a LayerSpec, got {short(node)}")
    if node.name not in (None, role) or (node.sources and role == "input"):
        raise SpecError(f"{role} takes no name{' and no sources' if role == 'input' else ''}, got {node!r}")
    return node.replace(name=role)


def _head(node: LayerSpec, nodes: tuple[LayerSpec, ...]) -> LayerSpec:
    """The head with its sources, which may be any of the nodes. Raises SpecError."""
    head = _fixed(node, "head")
    for source in head.sources:
        if source not in ("input", *(layer.name for layer in nodes)):
            raise SpecError(f"the head reads {source!r}, which does not exist; its sources are layers or 'input'")
    return head


def _named(given: Iterable[LayerSpec]) -> tuple[LayerSpec, ...]:
    """Give every node its default name; check names and sources."""
    layers = listed(given)
    if layers is None:
        raise SpecError(f"layers must be a list of LayerSpec, got {short(given)}")
    if not 1 <= len(layers) <= MOST_NODES:
        raise SpecError(f"a model has 1 to {MOST_NODES} layers, got {len(layers)}")
    seen: set[str] = set(RESERVED)
    counts: dict[str, int] = {}
    nodes = []
    later = {layer.name for layer in layers if isinstance(layer, LayerSpec)}
    for layer in layers:
        if not isinstance(layer, LayerSpec):
            raise SpecError(f"a layer must be a LayerSpec, got {short(layer)}")
        count = counts.get(layer.kind, 0)
        counts[layer.kind] = count + 1
        node = layer if layer.name is not None else layer.replace(name=f"{layer.kind}{count}")
        assert node.name is not None
        if node.name in seen:
            raise SpecError(f"the name {node.name!r} is used twice or reserved; give each layer a name of its own")
        for source in node.sources:
            if source == "input" or (source in seen and source not in RESERVED):
                continue
            where = "does not come before it: a cycle" if source in later else "does not exist"
            raise SpecError(f"layer {node.name!r} reads {source!r}, which {where}; sources must be earlier layers")
        seen.add(node.name)
        nodes.append(node)
    return tuple(nodes)


def _context(context: str | Mapping[str, int]) -> str | Mapping[str, int]:
    if context == "carried":
        return "carried"
    if isinstance(context, Mapping) and set(context) == {"window"}:
        window = context["window"]
        if isinstance(window, int) and not isinstance(window, bool) and 1 <= window <= 1 << 20:
            return MappingProxyType({"window": window})
    raise SpecError(f'context must be "carried" or {{"window": L}} with L from 1 to {1 << 20}, got {short(context)}')
