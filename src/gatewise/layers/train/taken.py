"""The result of converting one of torch's own layers.

A kind that can convert layers of torch names their classes in `TAKES` in its `train.py`, and has a function `take` that
returns a `Taken`. `gatewise.nn` finds both through the registry. If a layer cannot be converted, `take` raises an
InputError, whose text continues a sentence that begins with the name of that layer.
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
    """One layer of the model.

    Attributes:
        layer: the LayerSpec, without a name and sources.
        tensors: the tensors by their short names.
        backward: the tensors of a copy that reads the sequence in reverse, for a bidirectional layer.
        activates: whether a following activation can become its option "activation".
    """

    layer: LayerSpec
    tensors: Mapping[str, Array]
    backward: Mapping[str, Array] | None = None
    activates: bool = False


@dataclass(frozen=True)
class Taken:
    """The layers that one of torch's layers is converted to.

    Attributes:
        reads: number of values a step that it reads.
        writes: number of values a step that it writes.
        parts: the layers in the order in which they run.
    """

    reads: int
    writes: int
    parts: tuple[Part, ...]


def computes(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module is of this class, or of a subclass that computes the same."""
    return isinstance(module, kind) and type(module).forward is kind.forward


def take_recurrent(module: nn.RNNBase, layer: LayerSpec) -> Taken:
    """Convert a recurrent module of torch, which may have several layers.

    The order of gates is the same here, so the weights are used as they are.

    Args:
        module: the module of torch.
        layer: the LayerSpec to which each of its layers is converted, with `units` of their size.
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
    """A copy of the values as float32; `count` times `missing` if a layer has none, e.g. no bias."""
    if values is None:
        return np.full(count, missing, np.float32)
    return values.detach().to("cpu", torch.float32).numpy().copy()


def _weights(module: nn.RNNBase, suffix: str) -> dict[str, Array]:
    """Tensors of one layer and direction by their short names, with zero biases if it has none."""
    gates: Any = getattr(module, f"weight_ih_{suffix}")

    def own(name: str) -> Array:
        return array(getattr(module, f"{name}_{suffix}", None), 0.0, len(gates))

    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", *(["weight_hr"] if module.proj_size else [])]
    return {name: own(name) for name in names}
