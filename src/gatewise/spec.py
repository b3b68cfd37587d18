"""ModelSpec: a model as plain data, the one description that everything else makes, reads or runs.

A spec is an input stage, a flat list of named nodes, and a head. Each node reads the nodes named in its `sources` (the
node before it, unless it says otherwise) and may read only what stands before it, so a spec has no cycles. What the
options of a kind mean is the business of its folder; `gatewise.graph.resolve` checks them and finds widths and shapes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from gatewise.errors import SpecError

FORMAT = 1
"""Version of the description, stored with it."""

MOST_NODES = 1000
MOST_JSON = 1 << 20
MOST_DEPTH = 32
RESERVED = ("input", "head", "window")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")

# A whole string, closed or not, or one bracket. Possessive, so that hostile text costs linear time and no memory.
_MARK = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{\]}]', re.DOTALL)


class LayerSpec:
    """One node of a model: its kind, name, sources and options. Immutable; equal when all of these are.

    Args:
        kind: name of a layer, input stage or head, e.g. "gru".
        name: unique name; by default the kind and its count, e.g. "gru0".
        sources: names of the nodes it reads, in order; empty = the node before it. "input" is the input stage.
        **options: the kind's own options, plain JSON values, e.g. units=64.

    Raises:
        SpecError: a name that is no identifier, or an option that is not plain JSON.
    """

    __slots__ = ("_options", "kind", "name", "sources")
    kind: str
    name: str | None
    sources: tuple[str, ...]
    _options: Mapping[str, Any]

    def __init__(self, kind: str, name: str | None = None, sources: str | Iterable[str] = (), **options: Any) -> None:
        if not isinstance(kind, str) or not _NAME.fullmatch(kind):
            raise SpecError(f"kind must be the name of a layer, got {kind!r}")
        if name is not None and (not isinstance(name, str) or not _NAME.fullmatch(name)):
            raise SpecError(f"name must be an identifier of at most 64 characters, got {name!r}")
        names = (sources,) if isinstance(sources, str) else _listed(sources)
        if names is None or not all(isinstance(source, str) for source in names):
            raise SpecError(f"sources (from) must be names of nodes, got {short(sources)}")
        set_ = object.__setattr__
        set_(self, "kind", kind)
        set_(self, "name", name)
        set_(self, "sources", names)
        set_(self, "_options", MappingProxyType({key: _frozen(key, value) for key, value in options.items()}))

    @property
    def options(self) -> Mapping[str, Any]:
        """The kind's own options, read-only."""
        return self._options

    def replace(self, **changes: Any) -> LayerSpec:
        """A copy with other options, or another `name` or `sources`."""
        return LayerSpec(
            self.kind,
            changes.pop("name", self.name),
            changes.pop("sources", self.sources),
            **{**self._options, **changes},
        )

    def plain(self) -> dict[str, Any]:
        """As plain JSON values."""
        out: dict[str, Any] = {"kind": self.kind, **self._options}
        if self.name is not None:
            out["name"] = self.name
        if self.sources:
            out["from"] = list(self.sources)
        return out

    @classmethod
    def from_plain(cls, value: object, what: str) -> LayerSpec:
        """The reverse of `plain`. `what` says in an error where in the spec the value stands."""
        if not isinstance(value, Mapping) or "kind" not in value:
            raise SpecError(f"{what} must be an object with a kind, got {short(value)}")
        options = {key: v for key, v in value.items() if key not in ("kind", "name", "from")}
        if clash := {"sources", "self"} & set(options):
            raise SpecError(f"{what} has no option {sorted(clash)}")
        try:
            return cls(value["kind"], value.get("name"), value.get("from", ()), **options)
        except SpecError as error:
            raise SpecError(f"{what}: {error}") from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a LayerSpec is immutable; use replace()")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LayerSpec) and canonical_json(self.plain()) == canonical_json(other.plain())

    def __hash__(self) -> int:
        return hash(canonical_json(self.plain()))

    def __reduce__(self) -> tuple[Any, ...]:
        return LayerSpec.from_plain, (self.plain(), "layer")

    def __repr__(self) -> str:
        parts = [repr(self.kind)]
        if self.name is not None:
            parts.append(f"name={self.name!r}")
        if self.sources:
            parts.append(f"sources={self.sources!r}")
        return f"LayerSpec({', '.join(parts + [f'{k}={v!r}' for k, v in self._options.items()])})"


class ModelSpec:
    """A whole model as plain data. Immutable; equal when its JSON is.

    Args:
        inputs: shorthand for an input stage of so many numbers a step, neither named nor scaled.
        layers: the nodes, in order.
        input: the input stage, instead of `inputs`.
        head: what turns the last node's output into an answer; None leaves the output as it is. It reads the last node
            and the input stage, unless it names its sources.
        context: "carried" (state carried for ever) or {"window": L} (each answer from the last L steps only).

    Raises:
        SpecError: no layers, a name used twice, a source that does not stand before its reader, a bad context.
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
            input = LayerSpec("numeric", width=inputs)
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

    def plain(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "format": FORMAT,
            "input": _nameless(self.input),
            "nodes": [node.plain() for node in self.nodes],
            "head": None if self.head is None else _nameless(self.head),
            "context": self.context if isinstance(self.context, str) else dict(self.context),
        }

    def to_json(self) -> str:
        """The canonical JSON text: equal specs give equal text."""
        return canonical_json(self.plain())

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Read what `to_json` wrote. Raises SpecError on anything else, however hostile."""
        return cls.from_plain(parse_json(text, "model description"))

    @classmethod
    def from_plain(cls, value: object) -> ModelSpec:
        """The reverse of `plain`."""
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
            input=LayerSpec.from_plain(value["input"], "input"),
            layers=[LayerSpec.from_plain(node, f"node {i}") for i, node in enumerate(value["nodes"])],
            head=None if head is None else LayerSpec.from_plain(head, "head"),
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


def bidirectional(layer: LayerSpec, name: str = "bidirectional", source: str | None = None) -> list[LayerSpec]:
    """A layer that reads the sequence in both directions, as the nodes that it is made of (Schuster & Paliwal 1997).

    One copy reads the sequence as it is, another reads it reversed, and what they answer is joined at each step: the
    first half of the output from the one, the second from the other, as in torch and Keras (`merge_mode="concat"`). The
    whole sequence has to be there, so a model with such a layer runs over sequences but does not stream, unless its
    context is a window.

    Args:
        layer: a recurrent layer, e.g. LayerSpec("gru", units=32), without a name and sources of its own.
        name: what the names of the nodes begin with; they are `name`_forward, `name`_backward, `name`, and two more.
        source: the node it reads, "input" for the input stage; required, as several nodes read it.

    Returns:
        Nodes for `ModelSpec(layers=...)`, of which the last, called `name`, is the answer: twice as wide as the layer.

    Raises:
        SpecError: a layer with a name or sources, or no source.
    """
    if not isinstance(layer, LayerSpec) or layer.name is not None or layer.sources:
        raise SpecError(
            f"bidirectional takes a LayerSpec without name and sources, got {short(layer)}; it names the nodes itself: "
            "bidirectional(LayerSpec(...), name='both', source='input')"
        )
    if source is None:
        raise SpecError("bidirectional needs the name of the node it reads: source='input' for the input stage")
    forward, backward = f"{name}_forward", f"{name}_backward"
    return [
        layer.replace(name=forward, sources=source),
        LayerSpec("reverse", f"{name}_reversed", source),
        layer.replace(name=backward),
        LayerSpec("reverse", f"{name}_restored"),
        LayerSpec("concat", name, (forward, f"{name}_restored")),
    ]


def residual(
    mixer: LayerSpec,
    width: int,
    name: str = "residual",
    source: str | None = None,
    *,
    norm: str = "rms",
    expand: float = 2,
) -> list[LayerSpec]:
    """A block of a deep stack, as the nodes that it is made of: a layer and a gated MLP, what each makes added to x.

    ::

        s  = x + W_o mixer(norm(x)) + b_o                      what the mixer makes of the sequence, added to x
        u  = norm(s)
        y  = s + W_d (silu(W_g u + b_g) * (W_u u + b_u)) + b_d     what the gated MLP makes of each step, added to s

    What is added changes x a little and lets it pass, and gradients pass likewise, so a stack of many blocks learns as
    well as one; the norms keep what is read at one size, however much has been added. Both parts write through a
    matrix, so the mixer need not be as wide as x. The layout is that of Griffin (De et al. 2024, arXiv 2402.19427):
    norms before both parts (Xiong et al. 2020, arXiv 2002.04745) and SwiGLU (Shazeer 2020, arXiv 2002.05202).

    Blocks are stacked by name; what they add up needs a last norm before it is read::

        layers = [LayerSpec("dense", "block0", units=96)]
        for i in range(4):
            layers += residual(LayerSpec("gru", units=96), 96, f"block{i + 1}", source=f"block{i}")
        spec = ModelSpec(65, [*layers, LayerSpec("norm"), LayerSpec("dense", units=65)])

    Args:
        mixer: a layer, recurrent as a rule, e.g. LayerSpec("gru", units=64), without a name and sources of its own.
        width: of the node it reads, and of what it writes.
        name: what the names of the nodes begin with: `name`_norm, `name`_mixer and so on; the last is `name` itself.
        source: the node it reads; required, as several nodes read it. It is as wide as the block, so most often a dense
            layer or another block.
        norm: method of the two norms, "rms" or "layer".
        expand: width of the MLP as a multiple of that of the block.

    Returns:
        Nodes for `ModelSpec(layers=...)`, of which the last, called `name`, is the answer.

    Raises:
        SpecError: a mixer with a name or sources, no source, or a width or expansion that is none. A kind or an option
            that does not exist, or a source of another width, shows when the model is made.
    """
    if not isinstance(mixer, LayerSpec) or mixer.name is not None or mixer.sources:
        raise SpecError(
            f"residual takes a LayerSpec without name and sources, got {short(mixer)}; it names the nodes itself: "
            "residual(LayerSpec(...), 64, name='block1', source='block0')"
        )
    if source is None:
        raise SpecError("residual needs the name of the node it reads, which is as wide as itself: source='block0'")
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise SpecError(f"width must be a whole number of at least 1, that of {source!r}, got {short(width)}")
    if isinstance(expand, bool) or not isinstance(expand, (int, float)) or not 0 < expand <= 64:
        raise SpecError(f"expand must be a number above 0, at most 64, got {short(expand)}")
    inner = max(1, round(expand * width))
    return [
        LayerSpec("norm", f"{name}_norm", source, method=norm),
        mixer.replace(name=f"{name}_mixer"),
        LayerSpec("dense", f"{name}_mixed", units=width),
        LayerSpec("add", f"{name}_sum", (source, f"{name}_mixed")),
        LayerSpec("norm", f"{name}_mlp_norm", method=norm),
        LayerSpec("dense", f"{name}_mlp_gate", units=inner, activation="silu"),
        LayerSpec("dense", f"{name}_mlp_up", f"{name}_mlp_norm", units=inner),
        LayerSpec("multiply", f"{name}_mlp", (f"{name}_mlp_gate", f"{name}_mlp_up")),
        LayerSpec("dense", f"{name}_mlp_down", units=width),
        LayerSpec("add", name, (f"{name}_sum", f"{name}_mlp_down")),
    ]


def canonical_json(value: object) -> str:
    """JSON with sorted keys, no spaces, ASCII only and no NaN, so that equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def parse_json(text: str, what: str, most: int = MOST_JSON) -> Any:
    """Parse JSON from a file that may be hostile: limited size and depth, no NaN, no key twice.

    Raises:
        SpecError: naming `what` and the place.
    """
    if not isinstance(text, str):
        raise SpecError(f"the {what} must be text, got {type(text).__name__}")
    if len(text) > most:
        raise SpecError(f"the {what} has {len(text)} characters of JSON, more than {most}")
    depth = deepest = 0
    for token in _MARK.finditer(text):
        if (mark := token.group()) in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    if deepest > MOST_DEPTH:
        raise SpecError(f"the {what} is nested {deepest} deep, more than {MOST_DEPTH}")
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_no_twins)
    except ValueError as error:
        raise SpecError(f"the {what} is no valid JSON: {error}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not allowed")


def _finite(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise ValueError(f"the number {digits[:20]} is too large")
    return value


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def short(value: object) -> str:
    """`repr` for a message, cut to 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _frozen(key: str, value: Any) -> Any:
    """The value as plain immutable-by-convention JSON, or SpecError."""
    try:
        return json.loads(canonical_json(value))
    except (TypeError, ValueError, RecursionError):
        raise SpecError(f"option {key} must be a plain JSON value, got {short(value)}") from None


def _nameless(node: LayerSpec) -> dict[str, Any]:
    return {key: value for key, value in node.plain().items() if key != "name"}


def _fixed(node: LayerSpec, role: str) -> LayerSpec:
    """The input stage and the head have fixed names."""
    if not isinstance(node, LayerSpec):
        raise SpecError(f"{role} must be a LayerSpec, got {short(node)}")
    if node.name not in (None, role) or (node.sources and role == "input"):
        raise SpecError(f"{role} takes no name{' and no sources' if role == 'input' else ''}, got {node!r}")
    return node.replace(name=role)


def _head(node: LayerSpec, nodes: tuple[LayerSpec, ...]) -> LayerSpec:
    """The head, whose sources are any of the nodes."""
    head = _fixed(node, "head")
    for source in head.sources:
        if source not in ("input", *(layer.name for layer in nodes)):
            raise SpecError(f"the head reads {source!r}, which does not exist; its sources are layers or 'input'")
    return head


def _listed(values: object) -> tuple[Any, ...] | None:
    """The members of a list, tuple or other series; None where there is none."""
    return tuple(values) if isinstance(values, Iterable) and not isinstance(values, (str, bytes, Mapping)) else None


def _named(given: Iterable[LayerSpec]) -> tuple[LayerSpec, ...]:
    """Give every node its default name; check names and sources."""
    layers = _listed(given)
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
            where = "does not stand before it: a cycle" if source in later else "does not exist"
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
