"""The record of an import: for each layer of the foreign model, what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gatewise.errors import InputError
from gatewise.model import Model

KEY = "imported"
"""The key of the provenance under which the record of an import is stored."""


@dataclass(frozen=True)
class Origin:
    """A layer of the foreign model.

    Attributes:
        name: its name in the foreign model.
        kind: its class or operator there, e.g. "LSTM".
        becomes: names of the nodes of the `Model` that replace it; empty if nothing does, as for dropout.
        weights: full name of a tensor of the `Model` -> names of the foreign tensors from which it was made.
        converted: one sentence for each convention that was converted, such as another order of gates.
    """

    name: str
    kind: str
    becomes: tuple[str, ...] = ()
    weights: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    converted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Imported:
    """The record of an import.

    Attributes:
        format: the format of the file for people, e.g. "Keras HDF5".
        written_by: the library that wrote the file with its version, if the file says so.
        file: name of the file, without its folder.
        sha256: SHA-256 of the file in hexadecimal.
        answers: "last" if the foreign model answers once for a sequence, after its last step; "each" if at each step.
        layers: the layers in the order in which they run.
    """

    format: str
    written_by: str | None
    file: str
    sha256: str
    answers: str
    layers: tuple[Origin, ...]

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return {**asdict(self), "layers": [_plain(layer) for layer in self.layers]}


def origins(model: Model) -> Imported:
    """The record of the import of a model.

    Raises:
        InputError: the model was not imported.
    """
    found = model.provenance.get(KEY)
    if not isinstance(found, Mapping):
        raise InputError("this model was not imported from another library; there is no record of an import")
    layers = tuple(
        Origin(
            layer["name"],
            layer["kind"],
            tuple(layer["becomes"]),
            {name: tuple(sources) for name, sources in layer["weights"].items()},
            tuple(layer["converted"]),
        )
        for layer in found["layers"]
    )
    return Imported(**{**found, "layers": layers})


def _plain(layer: Origin) -> dict[str, Any]:
    return {
        "name": layer.name,
        "kind": layer.kind,
        "becomes": list(layer.becomes),
        "weights": {name: list(sources) for name, sources in layer.weights.items()},
        "converted": list(layer.converted),
    }
