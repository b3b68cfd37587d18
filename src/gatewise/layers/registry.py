"""Registry: find the modules of a kind by the name of its folder."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from types import ModuleType
from typing import Generic, TypeVar

from gatewise.errors import SpecError
from gatewise.layers.base import Layer

Base = TypeVar("Base", bound=Layer, covariant=True)


@dataclass(frozen=True)
class Registry(Generic[Base]):
    """The kinds of one family: layers, input stages or heads.

    Attributes:
        family: name of the family in messages, e.g. "layer".
        package: dotted name of the package that holds one folder per kind.
        kinds: names of the folders.
        base: the class that the options of each kind derive from.
    """

    family: str
    package: str
    kinds: tuple[str, ...]
    base: type[Base]

    def module(self, kind: str, name: str) -> ModuleType:
        """The module `<kind>/<name>.py`, imported when first asked for.

        Raises:
            SpecError: the kind is unknown, or has no such module.
        """
        if kind not in self.kinds:
            raise SpecError(f"unknown {self.family} {kind!r}; this version knows {', '.join(self.kinds)}")
        path = f"{self.package}.{kind}.{name}"
        if importlib.util.find_spec(path) is None:
            folder = self.package.rpartition(".")[2]
            raise SpecError(f"{self.family} {kind!r} has no module {name} ({folder}/{kind}/{name}.py)")
        return importlib.import_module(path)

    def spec(self, kind: str) -> type[Base]:
        """The class of options of a kind."""
        found: type[Base] = self.module(kind, "spec").Spec
        return found
