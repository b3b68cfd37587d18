"""`from_torch`: a module of ours, or of torch's own layers, as a Model.

What torch's layers become, in the order in which they run::

    RNN (tanh, relu), LSTM, GRU      rnn, lstm, gru: one for each of their layers; bidirectional, proj_size, bias=False
    Linear                           dense, and with an activation after it that activation
    LayerNorm, RMSNorm               norm
    an activation elsewhere          dense with the identity as its weight
    Sequential                       what is in it
    Dropout and its like, Identity   nothing, as in eval()

Gate order and the place of GRU's reset gate are the same on both sides, so that weights are taken as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.nn.module import Recurrent, tensors_of
from gatewise.spec import LayerSpec, ModelSpec, bidirectional

LAYERS = (nn.RNN, nn.LSTM, nn.GRU, nn.Linear, nn.LayerNorm, nn.RMSNorm)
"""What becomes layers."""

NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
"""What changes nothing in eval()."""

ACTIVATIONS: Mapping[type[nn.Module], Callable[[Any], Any]] = {
    nn.Tanh: lambda m: "tanh",
    nn.ReLU: lambda m: "relu",
    nn.Sigmoid: lambda m: "sigmoid",
    nn.SiLU: lambda m: "silu",
    nn.Mish: lambda m: "mish",
    nn.ReLU6: lambda m: "relu6",
    nn.SELU: lambda m: "selu",
    nn.Softsign: lambda m: "softsign",
    nn.Hardswish: lambda m: "hard_silu",
    nn.LogSigmoid: lambda m: "log_sigmoid",
    nn.Hardsigmoid: lambda m: {"kind": "hard_sigmoid", "slope": 1 / 6, "offset": 0.5},
    nn.LeakyReLU: lambda m: {"kind": "leaky_relu", "alpha": m.negative_slope},
    nn.ELU: lambda m: {"kind": "elu", "alpha": m.alpha},
    nn.GELU: lambda m: {"none": "gelu", "tanh": "gelu_tanh"}[m.approximate],
    nn.Hardtanh: lambda m: _only(m, "hard_tanh", (m.min_val, m.max_val) == (-1, 1), "min_val=-1 and max_val=1"),
    nn.Softplus: lambda m: _only(m, "softplus", m.beta == 1 and m.threshold >= 20, "beta=1 and threshold=20"),
    nn.Softmax: lambda m: _only(m, "softmax", m.dim in (-1, 2), "dim=-1, over the units of each step"),
}

SUPPORTED = (
    "nn.RNN, nn.LSTM, nn.GRU, nn.Linear, nn.LayerNorm, nn.RMSNorm, dropout, activations such as nn.Tanh, and "
    "nn.Sequential of them"
)


def from_torch(module: nn.Module, context: str | Mapping[str, int] | None = None) -> Model:
    """A module's weights as a Model, whose answers are those of the module in `eval()`.

    * Of a module that `to_torch` made: the model it was made of, with the weights it has now, the same bits where the
      module is float32, rounded where it is float64.
    * Of torch's own layers, `nn.RNN`, `nn.LSTM`, `nn.GRU` (several layers, bidirectional, `proj_size`, `bias=False`),
      `nn.Linear`, `nn.LayerNorm`, `nn.RMSNorm`, activations, and `nn.Sequential` of them: a model of the same layers.
      It reads (batch, time, inputs), whatever `batch_first` says. It answers with the output of the last layer at each
      step; a layer after a recurrent one reads the sequence that this writes, without its state. Dropout is left out,
      as it is in `eval()`. A layer that is used several times becomes as many layers, each with a copy of the weights.

    A bidirectional layer needs whole sequences, so its model runs over sequences but does not stream, unless its
    context is a window.

    Args:
        module: what to take; it is left as it is.
        context: of a model of torch's own layers: "carried", which is meant by None, or {"window": L} for answers that
            are each made from the last L steps, as of a module that was trained on windows of L steps.

    Raises:
        InputError: a module that is none of these, with its name and what to do, or layers that do not fit each other;
            a context for a module that `to_torch` made.
        SpecError: weights that are not finite, or a bad context.
    """
    if isinstance(module, Recurrent):
        if context is not None:
            raise InputError(
                "a module that to_torch made has the context of its model; leave context out, and change it with "
                "model.replace(spec=model.spec.replace(context=...))"
            )
        return Model(module.graph.spec, tensors_of(module), module.provenance, module.cpu_variant)
    if not isinstance(module, nn.Module):
        raise InputError(
            f"from_torch takes a torch module, got {type(module).__name__}; make the module, and give it its weights "
            "with load_state_dict, first"
        )
    made = _Layers()
    for name, layer in _in_order(module, ""):
        made.add(name, layer)
    if made.inputs is None:
        raise InputError(f"there is no layer in {_called('', module)}; from_torch takes {SUPPORTED}")
    spec = ModelSpec(made.inputs, made.nodes, context="carried" if context is None else context)
    return Model(spec, made.tensors)


class _Layers:
    """The nodes and tensors of a model, as torch's layers are added to it one after the other.

    Attributes:
        inputs: values a step that the first layer reads; None = there is none yet.
        width: values a step that the last one writes.
        nodes: in order of execution.
        tensors: by full name.
    """

    def __init__(self) -> None:
        self.inputs: int | None = None
        self.width = 0
        self.nodes: list[LayerSpec] = []
        self.tensors: dict[str, Array] = {}
        self._last = ""  # of torch's layers, for messages
        self._count: dict[str, int] = {}

    def add(self, name: str, layer: nn.Module) -> None:
        """Add what one of torch's layers becomes."""
        if activation := _of(layer, ACTIVATIONS):
            self._activation(name, layer, activation(layer))
        elif isinstance(layer, nn.RNNBase):
            self._reads(name, layer, layer.input_size)
            self._recurrent(layer)
        elif isinstance(layer, nn.Linear):
            self._reads(name, layer, layer.in_features)
            bias = np.zeros(layer.out_features, np.float32) if layer.bias is None else _array(layer.bias)
            self._dense(layer.out_features, {"weight": _array(layer.weight), "bias": bias})
        elif isinstance(layer, (nn.LayerNorm, nn.RMSNorm)):
            self._norm(name, layer)
        self._last = _called(name, layer)

    def _reads(self, name: str, layer: nn.Module, width: int) -> None:
        if self.inputs is None:
            self.inputs = width
        elif width != self.width:
            raise InputError(
                f"{_called(name, layer)} reads {width} values a step, but what comes before it, {self._last}, writes "
                f"{self.width}; give the layers in the order in which they run"
            )

    def _name(self, kind: str) -> str:
        number = self._count.get(kind, 0)
        self._count[kind] = number + 1
        return f"{kind}{number}"

    def _put(self, node: LayerSpec, tensors: Mapping[str, Array]) -> None:
        self.nodes.append(node)
        self.tensors.update({f"{node.name}.{key}": value for key, value in tensors.items()})

    def _dense(self, units: int, tensors: Mapping[str, Array], activation: Any = "linear") -> None:
        self._put(LayerSpec("dense", self._name("dense"), units=units, activation=activation), tensors)
        self.width = units

    def _activation(self, name: str, layer: nn.Module, activation: Any) -> None:
        if self.inputs is None:
            raise InputError(
                f"{_called(name, layer)} comes before all layers, so that its width is not known; leave it out"
            )
        last = self.nodes[-1]
        if last.kind == "dense" and last.options["activation"] == "linear":
            self.nodes[-1] = last.replace(activation=activation)
        else:
            own = {"weight": np.eye(self.width, dtype=np.float32), "bias": np.zeros(self.width, np.float32)}
            self._dense(self.width, own, activation)

    def _norm(self, name: str, layer: nn.LayerNorm | nn.RMSNorm) -> None:
        if len(layer.normalized_shape) != 1:
            raise InputError(
                f"{_called(name, layer)} runs over several axes; normalise over the values of a step alone"
            )
        (width,) = layer.normalized_shape
        self._reads(name, layer, width)
        own = {"weight": np.ones(width, np.float32) if layer.weight is None else _array(layer.weight)}
        epsilon = torch.finfo(torch.float32).eps if layer.eps is None else layer.eps
        if isinstance(layer, nn.LayerNorm):
            own["bias"] = np.zeros(width, np.float32) if layer.bias is None else _array(layer.bias)
        method = "layer" if isinstance(layer, nn.LayerNorm) else "rms"
        self._put(LayerSpec("norm", self._name("norm"), method=method, epsilon=epsilon), own)
        self.width = width

    def _recurrent(self, layer: nn.RNNBase) -> None:
        kind, options = layer.mode.partition("_")[0].lower(), {}
        if isinstance(layer, nn.RNN):
            options["activation"] = layer.nonlinearity
        if layer.proj_size:
            options["projection"] = layer.proj_size
        plain = LayerSpec(kind, units=layer.hidden_size, **options)
        for number in range(layer.num_layers):
            name, source = self._name(kind), self.nodes[-1].name if self.nodes else "input"
            if not layer.bidirectional:
                self._put(plain.replace(name=name), _weights(layer, f"l{number}"))
                continue
            self.nodes += bidirectional(plain, name, source)
            for direction, suffix in (("forward", ""), ("backward", "_reverse")):
                own = _weights(layer, f"l{number}{suffix}")
                self.tensors.update({f"{name}_{direction}.{key}": value for key, value in own.items()})
        self.width = (layer.proj_size or layer.hidden_size) * (2 if layer.bidirectional else 1)


def _in_order(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """Name and module of each layer, in the order in which they run; what changes nothing is left out.

    Raises:
        InputError: something else than from_torch takes.
    """
    if any(isinstance(value, nn.parameter.UninitializedParameter) for value in module.parameters(recurse=False)):
        raise InputError(f"{_called(name, module)} has no weights yet; run it once, so that it knows its inputs")
    if module._forward_hooks or module._forward_pre_hooks:
        raise InputError(
            f"{_called(name, module)} has forward hooks, which may change its answers; remove them first, those of "
            "weight norm and pruning with torch.nn.utils.remove_weight_norm and torch.nn.utils.prune.remove"
        )
    if _is(module, nn.Sequential):
        for key, child in module._modules.items():  # named_children() leaves out what stands there a second time
            if child is not None:
                yield from _in_order(child, f"{name}.{key}" if name else key)
    elif _is(module, LAYERS) or _of(module, ACTIVATIONS):
        yield name, module
    elif not _is(module, NOTHING):
        raise InputError(_refusal(module, name))


def _refusal(module: nn.Module, name: str) -> str:
    """Why a module is not taken, and what to do."""
    found = f"from_torch does not know {_called(name, module)}; it takes {SUPPORTED}, and modules made by to_torch"
    own = "module" + "".join(f"[{key}]" if key.isdigit() else f".{key}" for key in name.split(".") if key)
    if isinstance(module, Recurrent):
        return f"{found}, these alone, as in from_torch({own})"
    if children := ", ".join(f"{own}.{key}" for key, _ in module.named_children()):
        call = f"from_torch(nn.Sequential({children}))"
        return f"{found}. Give the layers in it in the order in which they run, as in {call}"
    if name:
        return (
            f"{found}. If it takes the output of a recurrent layer out of (output, state), or the last step of that, "
            "leave it out of the nn.Sequential: what goes on is the output, and a model answers at every step"
        )
    return found


def _is(module: nn.Module, kinds: type[nn.Module] | tuple[type[nn.Module], ...]) -> bool:
    """Whether it is one of these, and computes what they do."""
    every = kinds if isinstance(kinds, tuple) else (kinds,)
    return any(isinstance(module, kind) and type(module).forward is kind.forward for kind in every)


def _of(module: nn.Module, table: Mapping[type[nn.Module], Callable[[Any], Any]]) -> Callable[[Any], Any] | None:
    """What the table has for its kind, and for no other that is derived from that."""
    return next((value for kind, value in table.items() if _is(module, kind)), None)


def _only(module: nn.Module, kind: str, fits: bool, wanted: str) -> str:
    if not fits:
        raise InputError(f"from_torch takes {type(module).__name__} with {wanted} only, got {module!r}")
    return kind


def _weights(layer: nn.RNNBase, suffix: str) -> dict[str, Array]:
    """Tensors of one layer and direction by their short names, with biases of zero where it has none."""
    names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if layer.bias else [])]
    names += ["weight_hr"] if layer.proj_size else []
    found = {name: _array(getattr(layer, f"{name}_{suffix}")) for name in names}
    if not layer.bias:
        found |= {name: np.zeros(len(found["weight_ih"]), np.float32) for name in ("bias_ih", "bias_hh")}
    return found


def _array(values: torch.Tensor) -> Array:
    """As float32, copied."""
    return values.detach().to("cpu", torch.float32).numpy().copy()


def _called(name: str, module: nn.Module) -> str:
    """A module as messages call it: its place and its kind."""
    return f"{name!r} ({type(module).__name__})" if name else type(module).__name__
