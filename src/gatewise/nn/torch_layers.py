"""`from_torch`: convert a module that `to_torch` made, or a module of torch's own layers, to a Model.

torch's layers are converted in the order in which they run::

    a layer that a kind can convert     a layer of that kind: see `TAKES` and `take` in its `train.py`
    an activation after such a layer    the option "activation" of that layer, if it has none yet
    an activation elsewhere             a dense layer with the identity as its weight and that activation
    Sequential                          the layers in it
    Dropout and similar, Identity       nothing, as in eval()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import torch
from torch import nn

from gatewise import layers
from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.layers.train.activations import MODULES as ACTIVATIONS
from gatewise.layers.train.activations import activation_of
from gatewise.layers.train.taken import Part, Taken, computes
from gatewise.model import Model
from gatewise.nn.module import Recurrent, tensors_of
from gatewise.spec import LayerSpec, ModelSpec, bidirectional

NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
"""Modules that change nothing in eval()."""


@cache
def _takers() -> dict[type[nn.Module], Callable[[Any], Taken]]:
    """torch's layers that can be converted, each with the function that does it."""
    modules = [layers.registry.module(kind, "train") for kind in layers.registry.kinds]
    return {module: own.take for own in modules for module in getattr(own, "TAKES", ())}


def _supported() -> str:
    known = ", ".join(f"nn.{kind.__name__}" for kind in _takers())
    return f"{known}, dropout, activations such as nn.Tanh, and nn.Sequential of them"


def from_torch(module: nn.Module, context: str | Mapping[str, int] | None = None) -> Model:
    """Convert a torch module to a Model, whose answers are those of the module in `eval()`.

    * From a module that `to_torch` made, it returns the original model with the present weights of the module. The
      weights have the same bits if the module is float32, and are rounded if it is float64.
    * From torch's own layers, it makes a model of the same layers. These are `nn.RNN`, `nn.LSTM`, `nn.GRU` (also with
      several layers, bidirectional, `proj_size`, `bias=False`), `nn.Linear`, `nn.LayerNorm`, `nn.RMSNorm`, activations,
      and `nn.Sequential` of them. The model reads (batch, time, inputs), whatever `batch_first` is. Its answer is the
      output of the last layer at each step. A layer after a recurrent one reads the output sequence of that, not its
      state. Dropout is left out, as in `eval()`. A layer that is used several times becomes several layers, each with a
      copy of the weights.

    A bidirectional layer is not causal, so a model with it runs over whole sequences but does not stream, unless its
    context is a window.

    Args:
        module: the module, which is not changed.
        context: for torch's own layers: "carried" or None, or {"window": L} if each answer is to be computed from the
            last L steps, as in a module that was trained on windows of L steps.

    Raises:
        InputError: the module is neither of these, or its layers do not fit each other (the message says which layer,
            and what to do); or a context is given for a module that `to_torch` made.
        SpecError: weights are not finite, or the context is invalid.
    """
    if isinstance(module, Recurrent):
        if context is not None:
            raise InputError(
                "a module that to_torch made has the context of its model; leave context out, and change it with "
                "model.replace(spec=model.spec.replace(context=...))"
            )
        return Model.of_graph(module.graph, tensors_of(module), module.provenance, module.cpu_variant)
    if not isinstance(module, nn.Module):
        raise InputError(
            f"from_torch takes a torch module, got {type(module).__name__}; make the module, and give it its weights "
            "with load_state_dict, first"
        )
    made = _Layers()
    for name, layer in _in_order(module, ""):
        made.add(name, layer)
    if made.inputs is None:
        raise InputError(f"there is no layer in {_called('', module)}; from_torch takes {_supported()}")
    spec = ModelSpec(made.inputs, made.nodes, context="carried" if context is None else context)
    return Model(spec, made.tensors)


class _Layers:
    """Collects the nodes and tensors of a model while torch's layers are added to it one after the other.

    Attributes:
        inputs: number of values a step that the first layer reads; None = there is no layer yet.
        width: number of values a step that the last layer writes.
        nodes: in order of execution.
        tensors: by full name.
    """

    def __init__(self) -> None:
        self.inputs: int | None = None
        self.width = 0
        self.nodes: list[LayerSpec] = []
        self.tensors: dict[str, Array] = {}
        self._activates = False  # whether the next activation can become that of the last node
        self._last = ""  # name of the last of torch's layers, for messages
        self._count: dict[str, int] = {}

    def add(self, name: str, layer: nn.Module) -> None:
        """Convert one of torch's layers and add it."""
        if (activation := activation_of(layer)) is not None:
            self._activation(name, layer, activation)
        else:
            self._take(name, layer)
        self._last = _called(name, layer)

    def _take(self, name: str, layer: nn.Module) -> None:
        take = next(take for kind, take in _takers().items() if computes(layer, kind))
        try:
            taken = take(layer)
        except InputError as error:
            raise InputError(f"{_called(name, layer)} {error}") from None
        if self.inputs is None:
            self.inputs = taken.reads
        elif taken.reads != self.width:
            raise InputError(
                f"{_called(name, layer)} reads {taken.reads} values a step, but what comes before it, {self._last}, "
                f"writes {self.width}; give the layers in the order in which they run"
            )
        for part in taken.parts:
            self._put(part)
        self.width = taken.writes

    def _put(self, part: Part) -> None:
        kind = part.layer.kind
        number = self._count.get(kind, 0)
        self._count[kind] = number + 1
        name, source = f"{kind}{number}", self.nodes[-1].name if self.nodes else "input"
        own = {name: part.tensors}
        if part.backward is None:
            self.nodes.append(part.layer.replace(name=name))
        else:
            self.nodes += bidirectional(part.layer, name, source)
            own = {f"{name}_forward": part.tensors, f"{name}_backward": part.backward}
        self.tensors.update({f"{node}.{key}": value for node, values in own.items() for key, value in values.items()})
        self._activates = part.activates

    def _activation(self, name: str, layer: nn.Module, activation: Any) -> None:
        if self.inputs is None:
            raise InputError(
                f"{_called(name, layer)} comes before all layers, so that its width is not known; leave it out"
            )
        if not self._activates:
            self._take(name, _identity(self.width))
        self.nodes[-1] = self.nodes[-1].replace(activation=activation)
        self._activates = False


def _identity(width: int) -> nn.Linear:
    """A Linear that changes nothing. Its weights are not drawn at random, so torch's generator is not advanced."""
    linear = nn.Linear(width, width, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        linear.weight.copy_(torch.eye(width))
        linear.bias.zero_()
    return linear


def _in_order(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """Name and module of each layer, in the order in which they run, without those that change nothing.

    Raises:
        InputError: from_torch does not support a module.
    """
    if any(isinstance(value, nn.parameter.UninitializedParameter) for value in module.parameters(recurse=False)):
        raise InputError(f"{_called(name, module)} has no weights yet; run it once, so that it knows its inputs")
    if module._forward_hooks or module._forward_pre_hooks:
        raise InputError(
            f"{_called(name, module)} has forward hooks, which may change its answers; remove them first, those of "
            "weight norm and pruning with torch.nn.utils.remove_weight_norm and torch.nn.utils.prune.remove"
        )
    if _is(module, nn.Sequential):
        for key, child in module._modules.items():  # named_children() skips modules that occur a second time
            if child is not None:
                yield from _in_order(child, f"{name}.{key}" if name else key)
    elif _is(module, *_takers(), *ACTIVATIONS):
        yield name, module
    elif not _is(module, *NOTHING):
        raise InputError(_refusal(module, name))


def _refusal(module: nn.Module, name: str) -> str:
    """The message about a module that is not supported: why, and what to do."""
    found = f"from_torch does not know {_called(name, module)}; it takes {_supported()}, and modules made by to_torch"
    own = "module" + "".join(f"[{key}]" if key.isdigit() else f".{key}" for key in name.split(".") if key)
    if isinstance(module, Recurrent):
        return f"{found}; pass that layer alone, as in from_torch({own})"
    if children := ", ".join(f"{own}.{key}" for key, _ in module.named_children()):
        call = f"from_torch(nn.Sequential({children}))"
        return f"{found}. Pass the layers in it in the order in which they run, as in {call}"
    if name:
        return (
            f"{found}. If it selects the output of a recurrent layer from (output, state), or the last step of that, "
            "leave it out of the nn.Sequential: the next layer reads the output, and a model answers at every step"
        )
    return found


def _is(module: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Whether a module is of one of these classes, or of a subclass that computes the same."""
    return any(computes(module, kind) for kind in kinds)


def _called(name: str, module: nn.Module) -> str:
    """A module in messages: its name and its class."""
    return f"{name!r} ({type(module).__name__})" if name else type(module).__name__
