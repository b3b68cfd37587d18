"""Activation functions as options of a layer: what they are called, their numbers, their NumPy reference.

`hard_sigmoid` carries its slope and offset, because there have been two: 0.2 x + 0.5 (Keras 1 and 2, ONNX default) and
x / 6 + 0.5 (Keras 3, torch). A model must say which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.errors import SpecError
from gatewise.layers.base import Array, check_number

CODES = {"linear": 0, "relu": 1, "tanh": 2, "sigmoid": 3, "softmax": 4, "hard_sigmoid": 5}
"""Numbers by which `kernel.c` knows them: the GW_ names of the public header."""

ELEMENTWISE = tuple(kind for kind in CODES if kind != "softmax")
"""Those that a recurrent layer can have."""


@dataclass(frozen=True)
class Activation:
    """One activation. `slope` and `offset` belong to hard_sigmoid: min(1, max(0, slope * x + offset))."""

    kind: str
    slope: float = 0.0
    offset: float = 0.0

    @classmethod
    def parse(cls, option: str, value: object, choices: tuple[str, ...]) -> Activation:
        """Read "tanh" or {"kind": "hard_sigmoid", "slope": a, "offset": b}.

        Raises:
            SpecError: not one of `choices`, or a hard_sigmoid without its two numbers.
        """
        if isinstance(value, Activation):
            value = value.plain()
        if isinstance(value, str) and value in choices and value != "hard_sigmoid":
            return cls(value)
        if value == "hard_sigmoid":
            raise SpecError(
                f"{option}: hard_sigmoid has two definitions, name one: "
                '{"kind": "hard_sigmoid", "slope": 0.2, "offset": 0.5} (Keras 1 and 2, ONNX) or '
                '{"kind": "hard_sigmoid", "slope": 0.16666667, "offset": 0.5} (Keras 3, torch)'
            )
        if isinstance(value, Mapping) and value.get("kind") == "hard_sigmoid" and "hard_sigmoid" in choices:
            if set(value) != {"kind", "slope", "offset"}:
                raise SpecError(f"{option}: hard_sigmoid needs slope and offset and no more, got {sorted(value)}")
            check_number(f"{option}.slope", value["slope"], 1e-6, 1e6)
            check_number(f"{option}.offset", value["offset"], -1e6, 1e6)
            return cls("hard_sigmoid", float(value["slope"]), float(value["offset"]))
        raise SpecError(f"{option} must be one of {', '.join(choices)}, got {value!r}")

    @property
    def bounded(self) -> bool:
        """Whether its values lie within -1 and 1."""
        return self.kind in ("tanh", "sigmoid", "softmax", "hard_sigmoid")

    def plain(self) -> Any:
        """The JSON form that `parse` reads."""
        if self.kind == "hard_sigmoid":
            return {"kind": self.kind, "slope": self.slope, "offset": self.offset}
        return self.kind

    def native(self) -> list[float]:
        """Three numbers for `kernel.c`: code, slope, offset."""
        return [float(CODES[self.kind]), self.slope, self.offset]

    def __call__(self, x: Array) -> Array:
        """The reference, elementwise over float64 x; softmax runs over the last axis."""
        match self.kind:
            case "linear":
                return x
            case "relu":
                return np.maximum(x, 0.0)
            case "tanh":
                return np.tanh(x)
            case "sigmoid":
                return 0.5 * (1.0 + np.tanh(0.5 * x))
            case "softmax":
                e = np.exp(x - x.max(axis=-1, keepdims=True))
                return np.asarray(e / e.sum(axis=-1, keepdims=True))
            case _:
                return np.clip(self.slope * x + self.offset, 0.0, 1.0)
