"""State: what a model remembers between two steps, as a value that is independent of the model and of any stream.

A state consists of typed fields in one canonical order. It can therefore be saved in a file, moved to another machine
or instruction set, and its size in bytes is known. It fits every model of the same structure, whatever its weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from gatewise.errors import FileError, GatewiseError, StateError
from gatewise.file import brief, digest, seal, unseal
from gatewise.graph import Graph
from gatewise.layers.base import Array

FORMAT = 1
COUNT, READINGS = "window.count", "window.readings"
"""Fields of a model with a window. The readings may be NaN if the model accepts missing readings."""


@dataclass(frozen=True)
class State:
    """The state of one or several sessions of a model.

    Attributes:
        structure: hash of the structure of the models it fits.
        fields: full field name, e.g. "gru0.hidden" -> float32 array (batch, *field shape), read-only, canonical order.
    """

    structure: str
    fields: Mapping[str, Array]

    def __post_init__(self) -> None:
        if not isinstance(self.structure, str) or not isinstance(self.fields, Mapping):
            raise StateError("a State is a structure hash and a mapping of fields; see State.from_bytes")
        copies = {}
        for name, value in self.fields.items():
            copies[name] = np.array(value, order="C")
            copies[name].flags.writeable = False
        object.__setattr__(self, "fields", MappingProxyType(copies))

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return sum(value.nbytes for value in self.fields.values())

    @property
    def batch(self) -> int:
        """Number of sessions."""
        return next((len(value) for value in self.fields.values()), 1)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and self._sealed() == other._sealed()

    def __hash__(self) -> int:
        return hash(self._sealed())

    def __reduce__(self) -> tuple[Any, ...]:
        return State, (self.structure, dict(self.fields))

    def to_bytes(self) -> bytes:
        """Encode as bytes: safetensors with the structure hash and a checksum. Equal states give equal bytes.

        Raises:
            StateError: the state holds a non-finite value, so that no stream could continue from it.
        """
        for name, value in self.fields.items():
            if name != READINGS and not np.isfinite(value).all():
                raise StateError(
                    f"state field {name} holds non-finite values: the model has diverged. "
                    "Continue from a state saved before, or reset the stream"
                )
        return self._sealed()

    def _sealed(self) -> bytes:
        described = {"format": FORMAT, "structure": self.structure, "fields": digest(self.fields)}
        return seal(self.fields, described)

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """The reverse of `to_bytes`.

        Raises:
            StateError: the bytes are not a state, are cut off or altered, or come from another version.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise StateError(f"a saved state is bytes, got {type(data).__name__}")
        try:
            fields, described = unseal(bytes(data), FORMAT, ("format", "structure", "fields"))
            if described["fields"] != digest(fields):
                raise FileError("the values do not match their checksum: they were altered")
        except GatewiseError as error:
            raise StateError(f"saved state: {brief(error)}") from None
        return cls(str(described["structure"]), fields)

    @classmethod
    def from_rows(cls, graph: Graph, rows: Array) -> State:
        """Make a State from the layout of the native core: rows (batch, state values) float32."""
        fields, at = {}, 0
        for field in graph.state:
            fields[field.name] = rows[:, at : at + field.size].reshape(-1, *field.shape)
            at += field.size
        return cls(graph.structure, fields)

    def rows(self, graph: Graph, batch: int) -> Array:
        """The values in the layout of the native core: a new array (batch, state values) float32.

        Raises:
            StateError: the state has another structure or another batch, or holds non-finite values.
        """
        if self.structure != graph.structure:
            raise StateError(
                f"this state belongs to a model of another structure ({self.structure[:12]}..., this model is "
                f"{graph.structure[:12]}...); load the model it was saved from, or start with a new state"
            )
        rows = np.zeros((batch, graph.state_values), np.float32)
        at = 0
        for field in graph.state:
            value = self.fields.get(field.name)
            if value is None or value.dtype != field.dtype or value.shape != (batch, *field.shape):
                got = "nothing" if value is None else f"{value.dtype} {value.shape}"
                raise StateError(f"state field {field.name} must be {field.dtype} {(batch, *field.shape)}, got {got}")
            if not np.isfinite(value).all() and (field.name != READINGS or graph.refuses_missing):
                raise StateError(f"state field {field.name} holds non-finite values; start with a new state")
            if field.name == COUNT and not np.isin(value, np.arange((graph.window or 0) + 1)).all():
                raise StateError(f"state field {COUNT} must be whole numbers from 0 to {graph.window}, got {value}")
            rows[:, at : at + field.size] = value.reshape(batch, -1)
            at += field.size
        if len(self.fields) != len(graph.state):
            raise StateError(f"the state has {len(self.fields)} fields, this model has {len(graph.state)}")
        return rows
