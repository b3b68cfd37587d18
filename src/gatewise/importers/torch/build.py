"""From the modules of a state dict to a `Chain`, with what the caller says about them.

A state dict has the weights of a model, but not its `forward`. What torch's defaults decide is assumed and noted in the
record of the import: the nonlinearity tanh, and eps = 1e-5. What has no default is asked for. The keys of the spec::

    order         all modules in the order in which they run, with activations between them where the model has any:
                  ["lstm", "bn", "fc.0", "relu", "fc.3"]. An activation is named, or has parameters, as in `LayerSpec`:
                  {"kind": "leaky_relu", "alpha": 0.01}
    last          false: there is an answer at each step; true: what follows the last recurrent module reads its output
                  at the last step, out[:, -1]; "state": it reads h_n of its last layer. The last two differ for a
                  bidirectional module only
    window        with `last`: number of steps of a sequence; null = any number
    nonlinearity  module -> "relu", for an nn.RNN whose nonlinearity is not tanh
    eps           module -> eps, for an nn.BatchNorm1d or nn.LayerNorm whose eps is not 1e-5
    ignore        names of modules or tensors that take no part in the answers
    at            where in the file the state dict is, e.g. "model" or "models.encoder", if it holds several
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.errors import FileError, InputError, Parameter, SpecError
from gatewise.importers.chain import Chain, Weights
from gatewise.importers.torch.modules import COUNTER, NORMS, Module, StateDict, modules_of, unwrapped
from gatewise.layers.activation import CODES, Activation
from gatewise.layers.base import Array
from gatewise.spec import LayerSpec, short

KEYS = {
    "order": 'all modules in the order in which they run, with activations such as "relu" between them',
    "last": 'false, true or "state": whether only the last step is answered',
    "window": "number of steps of a sequence, or null",
    "nonlinearity": 'module -> "relu"',
    "eps": "module -> eps of its normalisation",
    "ignore": "names of modules or tensors that are not used",
    "at": "where in the file the state dict is",
}
EPS = 1e-5
"""The default eps of torch's BatchNorm1d and LayerNorm."""


def build(format: str, state: StateDict, told: Mapping[str, Any], assumed: Mapping[str, Any] | None = None) -> Chain:
    """The chain of a state dict.

    Args:
        format: the format for people.
        state: the state dict, without the tensors that are ignored.
        told: the spec.
        assumed: what the format decides if the spec does not say it.

    Raises:
        FileError: a module is not supported; or the spec does not say what has no default. The message then shows a
            spec to correct and pass.
        InputError: the spec does not fit the file.
    """
    modules = {module.name: module for module in modules_of(state)}
    if not modules:
        raise FileError("the state dict holds no tensors")
    said = {**(assumed or {}), **told}
    order = _order(modules, said)
    recurrent = [name for name in order if isinstance(name, str) and name in modules and modules[name].layers]
    last, window = _last(modules, said, bool(recurrent))
    _per_module(said, "nonlinearity", modules, ("RNN", "RNNCell"))
    _per_module(said, "eps", modules, NORMS)
    first = next(modules[item] for item in order if isinstance(item, str) and item in modules)
    chain = Chain(format, first.reads, window)
    for note in state.notes:
        chain.nothing("state_dict", "file", note)
    for item in order:
        if isinstance(item, str) and item in modules:
            module = modules[item]
            if module.reads != chain.width:
                raise InputError(
                    f"the order of the spec does not fit: {module} reads {module.reads} values a step, and there are "
                    f"{chain.width} at this place"
                )
            ends = item == recurrent[-1] if recurrent else False
            _add(chain, module, said, last if ends else False)
            if ends and last:
                chain.last()
        else:
            name = item if isinstance(item, str) else item["kind"]
            chain.activation(name, "activation", item, ["The spec says that it runs here."])
    return chain


def without(state: StateDict, ignored: Any) -> StateDict:
    """The state dict without the modules and tensors that the spec ignores. Raises InputError."""
    if not isinstance(ignored, Sequence) or isinstance(ignored, str):
        raise InputError(f"ignore must be a list of names of modules or tensors, got {short(ignored)}")
    left, removed = dict(state.tensors), []
    for name in ignored:
        found = [key for key in left if name in (key, unwrapped(key)) or unwrapped(key).startswith(f"{name}.")]
        if not found:
            raise InputError(f"the spec ignores {short(name)}, and there is no such module or tensor in the file")
        removed += found
        left = {key: value for key, value in left.items() if key not in found}
    note = [f"Ignored, as the spec says: {', '.join(removed)}."] if removed else []
    return StateDict(left, state.types, (*state.notes, *note))


def _order(modules: Mapping[str, Module], said: Mapping[str, Any]) -> list[Any]:
    """The order of modules and activations. Raises FileError if it is not said, InputError if it does not fit."""
    if "order" not in said or ("last" not in said and any(module.layers for module in modules.values())):
        raise _ask(modules, said)
    order = said["order"]
    if not isinstance(order, Sequence) or isinstance(order, str):
        raise InputError(f"order must be a list of modules and activations, got {short(order)}")
    checked: list[Any] = []
    for item in order:
        if isinstance(item, str) and item in modules:
            if item in checked:
                raise InputError(f"order names {item!r} twice; a module runs once")
            checked.append(item)
            continue
        try:
            checked.append(Activation.parse("order", item, tuple(CODES)).to_option())
        except SpecError as error:
            if isinstance(item, str) and item not in CODES:
                raise InputError(
                    f"order has {item!r}, which is neither a module ({', '.join(modules)}) nor an activation "
                    f"({', '.join(CODES)})"
                ) from None
            raise InputError(error) from None
    missing = [name for name in modules if name not in checked]
    if missing:
        ignore = json.dumps({"ignore": missing})
        raise InputError(f"the order of the spec leaves out {', '.join(missing)}; add them, or pass also {ignore}")
    return checked


def _last(modules: Mapping[str, Module], said: Mapping[str, Any], recurrent: bool) -> tuple[Any, int | None]:
    """Whether only the last step is answered, and the window."""
    last, window = said.get("last", False), said.get("window")
    if last not in (False, True, "state"):
        raise InputError(f'last must be false, true or "state", got {short(last)}')
    if last and not recurrent:
        raise InputError("last is for models with a recurrent module, and there is none")
    if window is not None and (isinstance(window, bool) or not isinstance(window, int) or not 1 <= window <= 1 << 20):
        raise InputError(f"window must be a number of steps or null, got {short(window)}")
    if window is not None and not last:
        raise InputError("window is for models that answer at the last step of a sequence; leave it out")
    if last and "window" not in said:
        raise _ask(modules, said)
    return last, window


def _per_module(said: Mapping[str, Any], key: str, modules: Mapping[str, Module], kinds: tuple[str, ...]) -> None:
    """Check a key that maps names of modules of these kinds to a value. Raises InputError."""
    values = said.get(key, {})
    if not isinstance(values, Mapping):
        raise InputError(f"{key} must be an object of modules and values, got {short(values)}")
    for name, value in values.items():
        if name not in modules or modules[name].kind not in kinds:
            raise InputError(f"{key} names {short(name)}, which is no module of class {' or '.join(kinds)}")
        if key == "nonlinearity" and value not in ("tanh", "relu"):
            raise InputError(f'the nonlinearity of {name} must be "tanh" or "relu", got {short(value)}')
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if key == "eps" and not (number and 1e-12 <= value <= 1):
            raise InputError(f"the eps of {name} must be a number from 1e-12 to 1, got {short(value)}")


def _ask(modules: Mapping[str, Module], said: Mapping[str, Any]) -> FileError:
    """The error that asks for a spec, and shows a guess of it."""
    unseen = ""
    if "order" in said:
        guess: dict[str, Any] = {"order": said["order"]}
    else:
        guess = {"order": _guessed(list(modules.values()))}
        unseen = _unseen(guess["order"], modules)
    if any(module.layers for module in modules.values()):
        guess["last"] = said.get("last", True)
        if guess["last"]:
            guess["window"] = said.get("window")
    guess.update({key: value for key, value in said.items() if key not in guess})
    held = "; ".join(map(str, modules.values()))
    return FileError(
        f"a state dict has no forward(), so the file does not tell how its modules are used. It holds: {held}. Say in "
        "which order they run, with the activations between them; whether the model answers at the last step of a "
        "sequence (last: true) or at each (last: false); and how many steps a sequence has (window; null = any). "
        f"{unseen}Correct this guess and pass it: ",
        Parameter("spec", json.dumps(guess)),
    )


def _guessed(modules: Sequence[Module]) -> list[Any]:
    """The order of registration; a gap in the numbers of an nn.Sequential after a Linear is taken for a relu."""
    order: list[Any] = []
    for module, after in zip(modules, [*modules[1:], None], strict=True):
        order.append(module.name)
        parent, _, number = module.name.rpartition(".")
        follows = after.name.rpartition(".") if after else ("", "", "")
        if module.kind == "Linear" and number.isdigit() and follows[0] == parent and follows[2].isdigit():
            order += ["relu"] if int(follows[2]) > int(number) + 1 else []
    return order


def _unseen(order: Sequence[str], modules: Mapping[str, Module]) -> str:
    """A sentence about activations that may be missing in a guessed order; empty if there is no place for one.

    Linear modules with at most a normalisation between them would be one matrix, so an activation is likely there.
    """
    names = [name for name in order if name not in modules or modules[name].kind not in NORMS]
    linear = [name for name in names if name in modules and modules[name].kind == "Linear"]
    pairs = [f"{a} and {b}" for a, b in itertools.pairwise(names) if a in linear and b in linear]
    if not pairs:
        return ""
    return (
        f"Activations between linear modules, here between {', between '.join(pairs)}, cannot be seen in the file and "
        "must be added if the model has any. "
    )


def _add(chain: Chain, module: Module, said: Mapping[str, Any], last: Any) -> None:
    match module.kind:
        case "Linear":
            _linear(chain, module)
        case "BatchNorm1d":
            _batch_norm(chain, module, said.get("eps", {}).get(module.name))
        case "LayerNorm":
            eps, note = _eps(said.get("eps", {}).get(module.name))
            layer = LayerSpec("norm", method="layer", epsilon=eps)
            notes = [*module.converted, note, "A weight and a bias without running statistics are those of LayerNorm."]
            chain.layer(module.name, module.kind, layer, _weights(module, "weight", "bias"), notes, width=module.writes)
        case _:
            _recurrent(chain, module, said.get("nonlinearity", {}).get(module.name), last == "state")


def _linear(chain: Chain, module: Module) -> None:
    weights = _weights(module, "weight", "bias")
    if "bias" not in module.tensors:
        weights = Weights({**weights.tensors, "bias": np.zeros(module.writes)}, weights.sources)
    layer = LayerSpec("dense", units=module.writes)
    chain.layer(module.name, module.kind, layer, weights, module.converted, width=module.writes, activates=True)


def _batch_norm(chain: Chain, module: Module, told: float | None) -> None:
    """y = (x - running_mean) / sqrt(running_var + eps) * weight + bias, Ioffe & Szegedy 2015, in inference."""
    eps, note = _eps(told)
    own = {key: np.asarray(value, np.float64) for key, value in module.tensors.items() if key != COUNTER}
    scale = own.get("weight", np.ones(module.reads)) / np.sqrt(own["running_var"] + eps)
    shift = own.get("bias", np.zeros(module.reads)) - own["running_mean"] * scale
    made = f"Made of {', '.join(module.sources[key] for key in own)}."
    chain.affine(module.name, module.kind, scale, shift, [*module.converted, made, note])


def _eps(told: float | None) -> tuple[float, str]:
    if told is None:
        return EPS, f"A state dict has no eps: {EPS}, torch's default, is assumed."
    return float(told), f"eps is {float(told)}, as the spec says."


def _recurrent(chain: Chain, module: Module, nonlinearity: str | None, last: bool) -> None:
    kind = module.kind.removesuffix("Cell").lower()
    units = module.tensors["weight_hh" + module.layers[0][0]].shape[1]
    options: dict[str, Any] = {}
    notes = list(module.converted)
    if "weight_hr" + module.layers[0][0] in module.tensors:
        units, options["projection"] = module.tensors["weight_hr" + module.layers[0][0]].shape[::-1]
    if kind == "rnn":
        options["activation"] = nonlinearity or "tanh"
        said = "as the spec says" if nonlinearity else "torch's default, is assumed"
        notes.append(f"A state dict has no nonlinearity: {options['activation']}, {said}.")
    layer = LayerSpec(kind, units=units, **options)
    depth = len(module.layers)
    for number, suffixes in enumerate(module.layers):
        name = module.name if depth == 1 else f"{module.name}_l{number}"
        weights = [_gates(module, suffix) for suffix in suffixes]
        width = module.tensors["weight_hh" + suffixes[0]].shape[1]
        if len(weights) == 1:
            chain.layer(name, module.kind, layer, weights[0], notes, width=width)
        else:
            top = last and number == depth - 1
            both = (weights[0], weights[1])
            chain.bidirectional(name, module.kind, (layer, layer), both, notes, width=width, last=top)
        notes = list(module.converted)


def _gates(module: Module, suffix: str) -> Weights:
    """The tensors of one layer and direction. The order of gates is that of gatewise."""
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"]
    found = {name: module.tensors[name + suffix] for name in names if name + suffix in module.tensors}
    zeros: Array = np.zeros(len(found["weight_hh"]))
    sources = {name: (module.sources[name + suffix],) for name in found}
    return Weights({"bias_ih": zeros, "bias_hh": zeros, **found}, sources)


def _weights(module: Module, *names: str) -> Weights:
    own = [name for name in names if name in module.tensors]
    return Weights({name: module.tensors[name] for name in own}, {name: (module.sources[name],) for name in own})
