"""Normalises the values of each step, so that their scale does not grow with the depth of a stack of layers.

Method "rms" (Zhang & Sennrich 2019, "Root Mean Square Layer Normalization", arXiv 1910.07467)::

    y = x / sqrt(1/I sum_i x_i^2 + epsilon) * weight

Method "layer" (Ba, Kiros & Hinton 2016, "Layer Normalization", arXiv 1607.06450)::

    m = 1/I sum_i x_i
    v = 1/I sum_i (x_i - m)^2
    y = (x - m) / sqrt(v + epsilon) * weight + bias

Mean and mean square are over the I values of one step, so the layer has no state. `*` is elementwise.

Tensors, I = inputs: weight (I), and with method "layer" bias (I).

Elsewhere: `RMSNorm` and `LayerNorm` of torch, `RMSNormalization` and `LayerNormalization` of Keras and ONNX. epsilon
has the default of torch's LayerNorm and of ONNX; torch's RMSNorm has that of the type, 1.2e-7 in float32, and Keras has
1e-6 and 1e-3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gatewise.layers.base import Array, Edge, Layer, check_choice, check_number, one_input


@dataclass(frozen=True)
class Spec(Layer):
    """Options of a norm.

    Attributes:
        method: "rms", by the root of the mean square, or "layer", by mean and deviation.
        epsilon: added to the mean square or variance, so that it is positive even if all values are 0 (or equal).
    """

    kind: ClassVar[str] = "norm"
    method: str = "rms"
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_choice("method", self.method, ("rms", "layer"))
        object.__setattr__(self, "epsilon", check_number("epsilon", self.epsilon, 1e-12, 1.0))

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """An edge as wide as the one it reads."""
        read = one_input(self, inputs)
        return Edge(read.width, clock=read.clock)

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Shapes as in the head of this file."""
        shape = (one_input(self, inputs).width,)
        return {"weight": shape, "bias": shape} if self.method == "layer" else {"weight": shape}

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """A weight of ones, a bias of zeros."""
        fill = {"weight": 1.0, "bias": 0.0}
        return {name: np.full(shape, fill[name], np.float32) for name, shape in self.tensors(inputs).items()}

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equations above in float64."""
        apart = x[0]  # (batch, I)
        if self.method == "layer":
            apart = apart - apart.mean(-1, keepdims=True)
        y = apart / np.sqrt((apart**2).mean(-1, keepdims=True) + self.epsilon) * tensors["weight"]
        return (y + tensors["bias"] if self.method == "layer" else y), {}

    def numbers(self) -> dict[str, float | list[float]]:
        """Method (0 rms, 1 layer), epsilon."""
        return {"method": float(self.method == "layer"), "epsilon": self.epsilon}
