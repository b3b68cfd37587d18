"""What one of torch's own layers becomes, as the `train.py` of the kind that takes it over says.

A kind that takes over layers of torch names their classes in `TAKES`, and has a function `take` that makes `Taken` of
one. `gatewise.nn` finds both through the registry. A layer that cannot be taken is an InputError, whose text goes on
from the name of that layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from gatewise.layers.base import Array
from gatewise.spec import LayerSpec


@dataclass(frozen=True)
class Part:
    """One layer of ours.

    Attributes:
        layer: without a name and sources.
        tensors: by their short names.
        backward: those of a copy that reads the sequence in reverse, where there is one.
        activates: whether an activation that comes after it may be its own, the option "activation".
    """

    layer: LayerSpec
    tensors: Mapping[str, Array]
    backward: Mapping[str, Array] | None = None
    activates: bool = False


@dataclass(frozen=True)
class Taken:
    """What one of torch's layers becomes.

    Attributes:
        reads: values a step.
        writes: values a step.
        parts: in the order in which they run.
    """

    reads: int
    writes: int
    parts: tuple[Part, ...]


def computes(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module is of this class, or of one derived from it that computes the same."""
    return isinstance(module, kind) and type(module).forward is kind.forward


def take_recurrent(module: nn.RNNBase, layer: LayerSpec) -> Taken:
    """What torch's recurrent layers become: one of ours for each of their layers.

    The order of gates is the same on both sides, so that weights are taken as they are.

    Args:
        module: of torch.
        layer: what each of its layers becomes, which has `units` of its size.
    """
    numbers = range(module.num_layers)
    parts = tuple(
        Part(
            layer,
            _weights(module, f"l{number}"),
            _weights(module, f"l{number}_reverse") if module.bidirectional else None,
        )
        for number in numbers
    )
    width = module.proj_size or module.hidden_size
    return Taken(module.input_size, width * (2 if module.bidirectional else 1), parts)


def array(values: torch.Tensor | None, missing: float, count: int) -> Array:
    """Values as float32, copied; `count` times `missing` where a layer has none, such as no bias."""
    if values is None:
        return np.full(count, missing, np.float32)
    return values.detach().to("cpu", torch.float32).numpy().copy()


def _weights(module: nn.RNNBase, suffix: str) -> dict[str, Array]:
    """Tensors of one layer and direction by their short names, with biases of zero where it has none."""
    gates: Any = getattr(module, f"weight_ih_{suffix}")

    def own(name: str) -> Array:
        return array(getattr(module, f"{name}_{suffix}", None), 0.0, len(gates))

    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", *(["weight_hr"] if module.proj_size else [])]
    return {name: own(name) for name in names}
