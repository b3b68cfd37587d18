"""Activation functions as options of a layer: their names, their parameters and their NumPy reference.

These are all activations of the recurrent operators of ONNX, and most of those of Keras. Of the latter are missing:
softmax, log_softmax, sparsemax and glu in a recurrent layer, because they are not elementwise, and celu, threshold,
hard_shrink, soft_shrink, tanh_shrink, sparse_plus, sparse_sigmoid and squareplus. With a = alpha and b = beta::

    linear              x                               elu           x if x > 0, else a (exp(x) - 1)
    affine              a x + b                         selu          1.0507 elu(x), a = 1.6733
    relu                max(0, x)                       softsign      x / (1 + |x|)
    leaky_relu          x if x > 0, else a x            softplus      log(1 + exp(x))
    thresholded_relu    x if x > a, else 0              log_sigmoid   log(sigmoid(x)) = -softplus(-x)
    relu6               min(6, max(0, x))               exponential   exp(x)
    tanh                tanh(x)                         silu          x sigmoid(x)
    scaled_tanh         a tanh(b x)                     hard_silu     x relu6(x + 3) / 6
    hard_tanh           min(1, max(-1, x))              gelu          x (1 + erf(x / sqrt 2)) / 2
    sigmoid             1 / (1 + exp(-x))               gelu_tanh     x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
    hard_sigmoid        min(1, max(0, slope x + offset))
    softmax             exp(x) / sum exp(x)             mish          x tanh(softplus(x))

Sources: ELU Clevert et al. 2016, SELU Klambauer et al. 2017, GELU Hendrycks & Gimpel 2016, SiLU Elfwing et al. 2018,
hard SiLU ("hard swish") Howard et al. 2019, Mish Misra 2020; affine, thresholded_relu and scaled_tanh as in ONNX.

A parameter has a default value if ONNX and Keras agree on it. hard_sigmoid and leaky_relu have none, because libraries
define them differently; a model has to state the values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.errors import SpecError
from gatewise.layers.base import Array, check_number

CODES = {
    "linear": 0,
    "relu": 1,
    "tanh": 2,
    "sigmoid": 3,
    "softmax": 4,
    "hard_sigmoid": 5,
    "affine": 6,
    "leaky_relu": 7,
    "thresholded_relu": 8,
    "scaled_tanh": 9,
    "elu": 10,
    "selu": 11,
    "softsign": 12,
    "softplus": 13,
    "silu": 14,
    "gelu": 15,
    "exponential": 16,
    "gelu_tanh": 17,
    "relu6": 18,
    "hard_tanh": 19,
    "hard_silu": 20,
    "mish": 21,
    "log_sigmoid": 22,
}
"""The codes of the activations in `kernel.c`: the GW_ names of `gatewise_activations.h`."""

ELEMENTWISE: tuple[str, ...] = tuple(kind for kind in CODES if kind != "softmax")
"""The activations that a recurrent layer can have: all but softmax, which is not elementwise."""

PARAMETERS: Mapping[str, Mapping[str, float | None]] = {
    "hard_sigmoid": {"slope": None, "offset": None},
    "affine": {"alpha": None, "beta": None},
    "leaky_relu": {"alpha": None},
    "thresholded_relu": {"alpha": 1.0},
    "scaled_tanh": {"alpha": None, "beta": None},
    "elu": {"alpha": 1.0},
}
"""The parameters of each kind, in the order alpha, beta, with their defaults; None = required."""

DEFINITIONS: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "hard_sigmoid": {"Keras 1 and 2, ONNX": (0.2, 0.5), "Keras 3, torch": (0.16666667, 0.5)},
    "leaky_relu": {"ONNX, torch": (0.01,), "Keras": (0.2,)},
}
"""Activations that libraries define differently: the parameters of each definition."""

GREATEST = 1e6
"""Greatest absolute value of a parameter."""

SHARES = ("sigmoid", "softmax", "hard_sigmoid")
WITHIN_1 = ("tanh", "sigmoid", "softmax", "hard_sigmoid", "softsign", "hard_tanh")
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@dataclass(frozen=True)
class Activation:
    """An activation with its parameters alpha and beta, which for hard_sigmoid are the slope and the offset."""

    kind: str
    alpha: float = 0.0
    beta: float = 0.0

    @classmethod
    def parse(cls, option: str, value: object, choices: tuple[str, ...]) -> Activation:
        """Read an option such as "tanh" or, with parameters, {"kind": "leaky_relu", "alpha": 0.01}.

        Raises:
            SpecError: the kind is not one of `choices`, a required parameter is missing, or the kind has no such one.
        """
        if isinstance(value, Activation):
            value = value.to_option()
        given: Mapping[Any, Any] = value if isinstance(value, Mapping) else {"kind": value}
        kind = given.get("kind")
        if not isinstance(kind, str) or kind not in choices or (given is value and kind not in PARAMETERS):
            raise SpecError(f"{option} must be one of {', '.join(choices)}, got {value!r}")
        names = PARAMETERS.get(kind, {})
        missing = [name for name, default in names.items() if default is None and name not in given]
        if missing and given is not value and kind in DEFINITIONS:
            defined = (f"{_form(kind, numbers)} ({where})" for where, numbers in DEFINITIONS[kind].items())
            raise SpecError(f"{option}: {kind} has two definitions, choose one: {' or '.join(defined)}")
        if missing or not set(given) <= {"kind", *names}:
            raise SpecError(
                f"{option}: {kind} needs {' and '.join(names)} and no more, "
                f"as in {_form(kind, (1.0,) * len(names))}, got {value!r}"
            )
        numbers = []
        for name, default in names.items():
            number = given.get(name, default)
            check_number(f"{option}.{name}", number, 1e-6 if name == "slope" else -GREATEST, GREATEST)
            numbers.append(float(number))
        return cls(kind, *numbers)

    def to_option(self) -> Any:
        """The option as `parse` reads it, with all parameters: a name, or a dict of plain JSON values."""
        if self.kind not in PARAMETERS:
            return self.kind
        return {"kind": self.kind, **dict(zip(PARAMETERS[self.kind], (self.alpha, self.beta), strict=False))}

    def native(self) -> list[float]:
        """The activation for `kernel.c` as three numbers: code, alpha, beta."""
        return [float(CODES[self.kind]), self.alpha, self.beta]

    def numbers(self, option: str) -> dict[str, float]:
        """The same three by name, as `Layer.numbers` gives them for the option of this name."""
        return dict(zip((option, f"{option}_alpha", f"{option}_beta"), self.native(), strict=True))

    @property
    def bound(self) -> float:
        """The greatest absolute value that it can return for any x; infinite if it is unbounded."""
        sizes = {"relu6": 6.0, "scaled_tanh": abs(self.alpha)}
        return sizes.get(self.kind, 1.0 if self.kind in WITHIN_1 else math.inf)

    @property
    def bounded(self) -> bool:
        """Whether its values lie within -1 and 1."""
        return self.bound <= 1.0

    @property
    def share(self) -> bool:
        """Whether its values lie within 0 and 1, as those of a gate usually do."""
        return self.kind in SHARES

    def __call__(self, x: Array) -> Array:
        """The reference: apply it to float64 x elementwise, or softmax over the last axis."""
        a, b = self.alpha, self.beta
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
            case "hard_sigmoid":
                return np.clip(a * x + b, 0.0, 1.0)
            case "affine":
                return a * x + b
            case "leaky_relu":
                return np.where(x > 0, x, a * x)
            case "thresholded_relu":
                return np.where(x <= a, 0.0, x)  # NaN stays
            case "scaled_tanh":
                return a * np.tanh(b * x)
            case "elu":
                return np.where(x > 0, x, a * np.expm1(np.minimum(x, 0.0)))
            case "selu":
                return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0.0)))
            case "softsign":
                return x / (1.0 + np.abs(x))
            case "softplus":
                return _softplus(x)
            case "log_sigmoid":
                return -_softplus(-x)
            case "exponential":
                return np.exp(x)
            case "silu":
                return 0.5 * x * (1.0 + np.tanh(0.5 * x))
            case "gelu":
                return np.asarray(0.5 * x * _erfc(-math.sqrt(0.5) * x))
            case "gelu_tanh":
                return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))
            case "relu6":
                return np.clip(x, 0.0, 6.0)
            case "hard_tanh":
                return np.clip(x, -1.0, 1.0)
            case "hard_silu":
                return x * np.clip(x + 3.0, 0.0, 6.0) / 6.0
            case "mish":
                return x * np.tanh(_softplus(x))
            case _:
                raise ValueError(f"no activation {self.kind!r}")


def _softplus(x: Array) -> Array:
    """log(1 + exp(x)), without overflow."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _form(kind: str, numbers: tuple[float, ...]) -> str:
    """How JSON says it."""
    return json.dumps({"kind": kind, **dict(zip(PARAMETERS[kind], numbers, strict=True))})
