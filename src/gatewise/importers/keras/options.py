"""The options of a Keras layer. Each must be read by its layer or be known not to matter in inference."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gatewise.errors import FileError
from gatewise.importers.keras.config import unsupported
from gatewise.spec import short

DEAD = frozenset(
    (
        *("name", "trainable", "dtype", "supports_masking", "inbound_nodes", "weights", "seed", "momentum"),
        *("batch_input_shape", "batch_shape", "input_shape", "input_dim", "input_length", "input_dtype"),
        *("init", "inner_init", "forget_bias_init", "unit_forget_bias"),
        *("dropout", "recurrent_dropout", "dropout_W", "dropout_U", "rate", "p", "stddev", "noise_shape", "l1", "l2"),
        *("implementation", "consume_less", "unroll", "use_cudnn"),
    )
)
"""Options without a meaning in inference: how weights begin, are trained and stored, and how dropout is drawn."""
DEAD_ENDINGS = re.compile(r".*_(initializer|regularizer|constraint)|[WUb]_(regularizer|constraint)|(beta|gamma)_init")

MOST_UNITS = 1 << 16
MOST = 1e30


class Options:
    """The config of a layer.

    Args:
        where: the layer, for messages.
        config: its options.
        version: the major version of Keras.
    """

    def __init__(self, where: str, config: Mapping[str, Any], version: int) -> None:
        self.where, self.version = where, version
        self._config, self._read = config, set[str]()

    def get(self, *names: str, default: Any = None) -> Any:
        """The value of an option under the first of its names that is there."""
        self._read |= set(names)
        return next((self._config[name] for name in names if name in self._config), default)

    def count(self, *names: str) -> int:
        """The value of an option that is a number of units."""
        value = self.get(*names)
        if type(value) is not int or not 0 < value <= 1 << 16:
            raise FileError(
                f"{self.where}: {names[0]} must be a whole number from 1 to {1 << 16:,}, got {short(value)}"
            )
        return value

    def number(self, *names: str, default: float) -> float:
        """The value of an option that is a number."""
        value = self.get(*names, default=default)
        if type(value) not in (int, float) or abs(value) > MOST:
            raise FileError(f"{self.where}: {names[0]} must be a number up to {MOST:g}, got {short(value)}")
        return float(value)

    def flag(self, *names: str, default: bool = False) -> bool:
        """The value of an option that is true or false."""
        value = self.get(*names, default=default)
        if type(value) is not bool:
            raise FileError(f"{self.where}: {names[0]} must be true or false, got {short(value)}")
        return value

    def activation(self, *names: str, default: str | None = "linear") -> tuple[Any, list[str]]:
        """The value of an option that is an activation, as gatewise writes it, and sentences of what was converted."""
        return activation(self.get(*names, default=default), self.version, self.where)

    def close(self) -> list[str]:
        """Check that no option is left, and return sentences about the type of numbers in which Keras computes.

        Raises:
            FileError: an option that was not read has a value other than zero, false or none.
        """
        for key, value in self._config.items():
            if key in self._read or key in DEAD or DEAD_ENDINGS.fullmatch(key) or not value:
                continue
            raise unsupported(
                f"{self.where} has the option {short(key)} = {short(value)}, which gatewise does not know"
            )
        return self._dtype(self._config.get("dtype"))

    def _dtype(self, policy: Any) -> list[str]:
        while isinstance(policy, dict):
            inner = policy.get("config")
            policy = inner.get("name") if isinstance(inner, dict) else None
        if policy in (None, "float32"):
            return []
        if policy not in ("float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16"):
            raise unsupported(f"{self.where} computes in {short(policy)}, which gatewise does not support")
        return [f"Keras computes it in {policy}, and gatewise in float32."]


OLD_HARD_SIGMOID = {"kind": "hard_sigmoid", "slope": 0.2, "offset": 0.5}
NEW_HARD_SIGMOID = {"kind": "hard_sigmoid", "slope": 1.0 / 6.0, "offset": 0.5}

SAME = "linear relu tanh sigmoid softmax selu softsign softplus exponential gelu silu relu6 mish hard_silu hard_tanh"
NAMES = {
    **{name: name for name in [*SAME.split(), "elu", "log_sigmoid"]},
    "swish": "silu",
    "hard_swish": "hard_silu",
}
"""Activations of Keras that mean the same in gatewise -> their names there."""


def activation(value: Any, version: int, where: str) -> tuple[Any, list[str]]:
    """An activation of Keras as gatewise writes it, and sentences of what was converted.

    hard_sigmoid is clip(0.2 x + 0.5, 0, 1) up to Keras 2 and clip(x / 6 + 0.5, 0, 1) in Keras 3. leaky_relu by name has
    the slope 0.2.

    Raises:
        FileError: it is a function of the user, or one that gatewise does not have.
    """
    if value is None:
        return "linear", []
    if isinstance(value, dict) and isinstance(value.get("config"), dict) and value.get("class_name") in ACTIVATIONS:
        kind = value["class_name"]
        options = Options(f"{where}, activation {kind}", value["config"], version)
        found = layer_activation(kind, options)
        options.close()
        return found, []
    if value == "hard_sigmoid":
        if version >= 3:
            return NEW_HARD_SIGMOID, ["hard_sigmoid of Keras 3 is clip(x / 6 + 0.5, 0, 1)."]
        return OLD_HARD_SIGMOID, [f"hard_sigmoid of Keras {version} is clip(0.2 x + 0.5, 0, 1)."]
    if value == "leaky_relu":
        return {"kind": "leaky_relu", "alpha": 0.2}, ["leaky_relu of Keras has the slope 0.2."]
    if isinstance(value, str) and value in NAMES:
        return NAMES[value], []
    known = ", ".join(sorted([*NAMES, *ACTIVATIONS, "hard_sigmoid", "leaky_relu"]))
    raise unsupported(f"{where} has the activation {short(value)}, which is not supported; supported are {known}")


ACTIVATIONS = ("LeakyReLU", "ELU", "ReLU", "ThresholdedReLU", "Softmax")
"""Layers of Keras that are activations."""


def layer_activation(kind: str, options: Options) -> Any:
    """The activation that a layer of `ACTIVATIONS` applies, as gatewise writes it."""
    match kind:
        case "LeakyReLU":
            return {"kind": "leaky_relu", "alpha": options.number("negative_slope", "alpha", default=0.3)}
        case "ELU":
            return {"kind": "elu", "alpha": options.number("alpha", default=1.0)}
        case "ThresholdedReLU":
            return {"kind": "thresholded_relu", "alpha": options.number("theta", default=1.0)}
        case "Softmax":
            if options.get("axis", default=-1) not in (-1, [-1]):
                raise FileError(f"{options.where} runs over axis {options.get('axis')}; only the last is supported")
            return "softmax"
        case _:
            return _relu(options)


def _relu(options: Options) -> Any:
    """max_value if x >= max_value, else x if x >= threshold, else negative_slope * (x - threshold)."""
    most, slope = options.get("max_value"), options.number("negative_slope", "alpha", default=0.0)
    threshold = options.number("threshold", default=0.0)
    if most is None and threshold == 0.0:
        return {"kind": "leaky_relu", "alpha": slope} if slope else "relu"
    if most is None and slope == 0.0:
        return {"kind": "thresholded_relu", "alpha": threshold}
    if most == 6 and threshold == slope == 0.0:
        return "relu6"
    raise unsupported(
        f"{options.where} has max_value {short(most)}, negative_slope {slope:g} and threshold {threshold:g}; supported "
        f"are one of slope and threshold alone, and a max_value of 6 alone"
    )
