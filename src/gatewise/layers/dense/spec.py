"""Fully connected layer: y = act(W x + b).

Tensors, U = units, I = inputs: weight (U, I), bias (U). As torch `Linear`; Keras stores the transpose.
softmax runs over the units: y_i = exp(a_i - max a) / sum_j exp(a_j - max a).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gatewise.layers.activation import ELEMENTWISE, Activation
from gatewise.layers.base import Array, Edge, Layer, check_count, one_input, uniform

ACTIVATIONS = (*ELEMENTWISE, "softmax")


@dataclass(frozen=True)
class Spec(Layer):
    """Options of a dense layer.

    Attributes:
        units: U, the number of outputs.
        activation: the activation that is applied to W x + b.
    """

    kind: ClassVar[str] = "dense"
    units: int
    activation: Any = "linear"

    def __post_init__(self) -> None:
        check_count("units", self.units)
        object.__setattr__(self, "activation", Activation.parse("activation", self.activation, ACTIVATIONS))

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """One value for each unit, at the clock of the input."""
        return Edge(self.units, clock=one_input(self, inputs).clock)

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Shapes as in the head of this file."""
        return {"weight": (self.units, one_input(self, inputs).width), "bias": (self.units,)}

    def macs(self, inputs: Sequence[Edge]) -> int:
        """U I."""
        return self.units * one_input(self, inputs).width

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """Glorot-uniform weights (Glorot & Bengio 2010), zero bias."""
        width = one_input(self, inputs).width
        return {
            "weight": uniform(rng, (self.units, width), (6.0 / (width + self.units)) ** 0.5),
            "bias": np.zeros(self.units, np.float32),
        }

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """act(W x + b) in float64."""
        return self.activation(x[0] @ tensors["weight"].T + tensors["bias"]), {}

    def numbers(self) -> dict[str, float | list[float]]:
        """The activation."""
        return {**self.activation.numbers("activation")}
