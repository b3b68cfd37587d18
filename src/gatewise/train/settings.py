"""The settings of a training, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gatewise.errors import InputError
from gatewise.layers.train.dropout import Dropout, checked


@dataclass(frozen=True)
class Settings:
    """The settings of `fit`, which explains them. Raises InputError for a value that a setting cannot have."""

    steps: int | None
    seconds: float | None
    epochs: int | None
    batch: int
    bptt: int
    learning_rate: float
    weight_decay: float
    warmup: float
    clip: float | None
    patience: int | None
    evaluate_every: int | None
    seed: int
    dropout: Dropout | None

    def __post_init__(self) -> None:
        for name in ("steps", "epochs", "batch", "bptt", "patience", "evaluate_every"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise InputError(f"{name} must be a whole number of at least 1, got {value!r}")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 1 << 63:
            raise InputError(f"seed must be a whole number from 0, got {self.seed!r}")
        for name in ("seconds", "learning_rate", "clip"):
            value = getattr(self, name)
            absent = value is None and name != "learning_rate"
            if not absent and not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise InputError(f"{name} must be a number above 0, got {value!r}")
        for name, high in (("weight_decay", math.inf), ("warmup", 1.0)):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and 0 <= value < high):
                raise InputError(f"{name} must be a number from 0 to below {high:g}, got {value!r}")
        object.__setattr__(self, "dropout", checked(self.dropout))
