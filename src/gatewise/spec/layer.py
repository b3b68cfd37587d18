"""LayerSpec: one node of a model as plain data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from gatewise.errors import SpecError
from gatewise.spec.text import canonical_json, short

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class LayerSpec:
    """One node of a model: its kind, name, sources and options. Immutable; equal when all of these are.

    Args:
        kind: name of a layer, input stage or head, e.g. "gru".
        name: unique name; by default the kind and its count, e.g. "gru0".
        sources: names of the nodes it reads, in order; empty = the node before it. "input" is the input stage.
        **options: the kind's own options, plain JSON values, e.g. units=64.

    Raises:
        SpecError: the name is not an identifier, or an option is not plain JSON.
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
        names = (sources,) if isinstance(sources, str) else listed(sources)
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

    def to_dict(self) -> dict[str, Any]:
        """The node as plain JSON values."""
        out: dict[str, Any] = {"kind": self.kind, **self._options}
        if self.name is not None:
            out["name"] = self.name
        if self.sources:
            out["from"] = list(self.sources)
        return out

    @classmethod
    def from_dict(cls, value: object, what: str) -> LayerSpec:
        """The reverse of `to_dict`. `what` is the name of the value in error messages, e.g. "node 3"."""
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
        return isinstance(other, LayerSpec) and canonical_json(self.to_dict()) == canonical_json(other.to_dict())

    def __hash__(self) -> int:
        return hash(canonical_json(self.to_dict()))

    def __reduce__(self) -> tuple[Any, ...]:
        return LayerSpec.from_dict, (self.to_dict(), "layer")

    def __repr__(self) -> str:
        parts = [repr(self.kind)]
        if self.name is not None:
            parts.append(f"name={self.name!r}")
        if self.sources:
            parts.append(f"sources={self.sources!r}")
        return f"LayerSpec({', '.join(parts + [f'{k}={v!r}' for k, v in self._options.items()])})"


def listed(values: object) -> tuple[Any, ...] | None:
    """The members of a list, tuple or other series; None if the value is not a series."""
    return tuple(values) if isinstance(values, Iterable) and not isinstance(values, (str, bytes, Mapping)) else None


def _frozen(key: str, value: Any) -> Any:
    """The value as plain JSON, which nobody changes. Raises SpecError."""
    try:
        return json.loads(canonical_json(value))
    except (TypeError, ValueError, RecursionError):
        raise SpecError(f"option {key} must be a plain JSON value, got {short(value)}") from None
