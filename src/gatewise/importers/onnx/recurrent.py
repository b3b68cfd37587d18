"""The operators RNN, GRU and LSTM of ONNX as layers.

https://onnx.ai/onnx/operators, versions 7, 14 and 22. With D directions, H = hidden_size, I inputs and G gates::

    X (time, batch, I)    W (D, GH, I)    R (D, GH, H)    B (D, 2GH): input biases, then recurrent ones
    P (D, 3H), order i, o, f
    Y (time, D, batch, H)    Y_h, Y_c (D, batch, H)        batch comes first everywhere with layout = 1

The gates of ONNX are i, o, f, c for LSTM and z, r, h for GRU; those of gatewise are i, f, c, o and r, z, h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.errors import FileError
from gatewise.importers.chain import Chain, Weights
from gatewise.importers.onnx.activations import RECURRENT as ACTIVATIONS
from gatewise.importers.onnx.flow import Flow, Recurrence, Step
from gatewise.importers.onnx.graph import Node
from gatewise.importers.onnx.known import Axis
from gatewise.layers.base import Array
from gatewise.spec import LayerSpec, short


@dataclass(frozen=True)
class Operator:
    """A recurrent operator: the order of gates there and here, the options of its activations, and their defaults."""

    kind: str
    theirs: str
    ours: str
    options: tuple[str, ...]
    defaults: tuple[str, ...]
    attributes: tuple[str, ...] = ()


OPERATORS: Mapping[str, Operator] = {
    "RNN": Operator("rnn", "i", "i", ("activation",), ("Tanh",)),
    "GRU": Operator(
        "gru", "zrh", "rzh", ("gate_activation", "activation"), ("Sigmoid", "Tanh"), ("linear_before_reset",)
    ),
    "LSTM": Operator(
        "lstm",
        "iofc",
        "ifco",
        ("gate_activation", "activation", "output_activation"),
        ("Sigmoid", "Tanh", "Tanh"),
        ("input_forget",),
    ),
}
COMMON = ("activations", "activation_alpha", "activation_beta", "clip", "direction", "hidden_size", "layout")
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


def recurrent(node: Node, x: Flow, constants: Mapping[int, Array], places: Mapping[int, Array]) -> list[Flow]:
    """The outputs Y, Y_h and, of an LSTM, Y_c.

    Args:
        node: the node.
        x: its first input.
        constants: number of an input -> array, of those that are constant.
        places: number of an input -> places of a carried state.

    Raises:
        FileError: an attribute or input is one that gatewise does not import.
    """
    operator = OPERATORS[node.op]
    node.only(*COMMON, *operator.attributes)
    direction = node.attributes.get("direction", "forward")
    count = DIRECTIONS.get(direction)
    if count is None:
        raise FileError(f"{node} has the direction {short(direction)}; ONNX has {', '.join(DIRECTIONS)}")
    if len(x.axes) != 3:
        raise FileError(f"{node} reads a value of {len(x.axes)} axes, and X has 3")
    batch_first = bool(node.attributes.get("layout", 0))
    time, batch = (x.axes[1], x.axes[0]) if batch_first else (x.axes[0], x.axes[1])
    weights = _weights(node, operator, count, constants)
    width, units = constants[1].shape[2], constants[2].shape[2]
    if not (time.become("time") and batch.become("batch") and x.axes[2].become("features", width)):
        raise FileError(f"{node} reads axes of another meaning or size: X must be time, batch and {width} features")
    _check_lengths(node, constants, time)
    state = _initial(node, constants, places)
    layers = _layers(node, operator, units, count, 7 in constants)
    notes = _notes(node, operator)

    def step(last: bool, cell: bool = False) -> Step:
        def add(chain: Chain) -> None:
            if direction == "forward":
                chain.layer(node.name, node.op, layers[0], weights[0], notes, width=units)
                if last:
                    chain.last()
            elif direction == "reverse":
                chain.layer(
                    node.name, node.op, layers[0], weights[0], notes, width=units, backwards=True, restored=not last
                )
                if last:
                    chain.last()
            else:
                both, own = (layers[0], layers[1]), (weights[0], weights[1])
                chain.bidirectional(node.name, node.op, both, own, notes, width=units, last=last)

        return Step(node, add, Recurrence(time, state, direction == "forward", last), cell=cell)

    ways, features = Axis(count, "direction"), Axis(units, "features")
    each = (batch, time, ways, features) if batch_first else (time, ways, batch, features)
    final = (batch, ways, features) if batch_first else (ways, batch, features)
    last = time.size != 1  # of a single step, Y_h is Y
    return [x.then(each, step(False)), x.then(final, step(last)), x.then(final, step(last, cell=True))]


def _weights(node: Node, operator: Operator, count: int, constants: Mapping[int, Array]) -> list[Weights]:
    """The tensors of each direction. Raises FileError if their shapes do not fit."""
    for at, name in ((1, "W"), (2, "R")):
        if at not in constants or constants[at].ndim != 3:
            raise FileError(
                f"{node}: its weights {name} are no constant with 3 axes; export the model with its weights"
            )
    units = constants[2].shape[2]
    stated = node.attributes.get("hidden_size", units)
    rows = len(operator.theirs) * units
    shapes = {
        1: (count, rows, constants[1].shape[2]),
        2: (count, rows, units),
        3: (count, 2 * rows),
        7: (count, 3 * units),
    }
    for at, shape in shapes.items():
        if at in constants and constants[at].shape != shape:
            raise FileError(f"{node}: input {at} has the shape {constants[at].shape}, expected {shape}")
        if node.input(at) and at not in constants:
            raise FileError(
                f"{node}: input {at}, {node.input(at)[:80]!r}, is no constant; export the model with its weights"
            )
    if stated != units:
        raise FileError(f"{node} has hidden_size {stated}, and weights for {units} units")
    found = []
    for direction in range(count):
        own = {"weight_ih": constants[1][direction], "weight_hh": constants[2][direction]}
        sources = {"weight_ih": (node.input(1),), "weight_hh": (node.input(2),)}
        own["bias_ih"], own["bias_hh"] = np.split(constants.get(3, np.zeros((count, 2 * rows)))[direction], 2)
        tensors = {name: _gates(value, operator.theirs, operator.ours) for name, value in own.items()}
        if 3 in constants:
            sources |= {"bias_ih": (node.input(3),), "bias_hh": (node.input(3),)}
        if 7 in constants:
            tensors["weight_peephole"] = _gates(constants[7][direction], "iof", "ifo")
            sources["weight_peephole"] = (node.input(7),)
        found.append(Weights(tensors, sources))
    return found


def _gates(value: Array, theirs: str, ours: str) -> Array:
    parts = dict(zip(theirs, np.split(value, len(theirs)), strict=True))
    return np.concatenate([parts[gate] for gate in ours])


def _check_lengths(node: Node, constants: Mapping[int, Array], time: Axis) -> None:
    if not node.input(4):
        return
    if 4 not in constants or time.size is None or np.any(constants[4] != time.size):
        raise FileError(
            f"{node} has sequence_lens, {node.input(4)[:80]!r}, that are not known to be the full "
            f"{time.size or 'length'}; export the model without lengths, and run sequences of each length alone"
        )


def _initial(node: Node, constants: Mapping[int, Array], places: Mapping[int, Array]) -> tuple[Array, ...]:
    """The places of the initial states; empty if they are zeros. Raises FileError for others."""
    given = [at for at in (5, 6) if node.input(at)]
    carried = [places[at] for at in given if at in places]
    zero = [at for at in given if at in constants and constants[at].dtype != object and not np.any(constants[at])]
    if len(carried) + len(zero) != len(given) or (carried and len(carried) != (2 if node.op == "LSTM" else 1)):
        odd = next((at for at in given if at not in places and at not in zero), given[0])
        raise FileError(
            f"{node} begins with the state {node.input(odd)[:80]!r}, which is not zero. gatewise imports models that "
            "begin with zeros, or whose caller carries the whole state from call to call, as Model.stream does"
        )
    return tuple(carried)


def _layers(node: Node, operator: Operator, units: int, count: int, peepholes: bool) -> list[LayerSpec]:
    """The layer of each direction."""
    options: dict[str, Any] = {"units": units}
    if node.attributes.get("clip"):
        options["clip"] = float(node.attributes["clip"])
    if node.op == "GRU":
        options["reset"] = "after" if node.attributes.get("linear_before_reset", 0) else "before"
    if node.op == "LSTM":
        options |= {"peepholes": peepholes, "input_forget": bool(node.attributes.get("input_forget", 0))}
    size = len(operator.options)
    names = node.attributes.get("activations") or list(operator.defaults) * count
    alpha = list(node.attributes.get("activation_alpha", []))
    beta = list(node.attributes.get("activation_beta", []))
    if len(names) != size * count:
        raise FileError(
            f"{node} has {len(names)} activations, and {node.op} with {count} directions has {size * count}"
        )
    found = [_activation(node, str(name), alpha, beta) for name in names]
    if alpha or beta:
        raise FileError(f"{node} has more values of activation_alpha or activation_beta than its activations take")
    return [
        LayerSpec(operator.kind, **options, **dict(zip(operator.options, found[i * size :], strict=False)))
        for i in range(count)
    ]


def _activation(node: Node, name: str, alpha: list[float], beta: list[float]) -> Any:
    """An option of a layer. An activation that has parameters takes the next of the lists, or has its default."""
    if name.lower() not in ACTIVATIONS:
        raise FileError(f"{node} has the activation {short(name)}, which ONNX does not have")
    kind, parameters = ACTIVATIONS[name.lower()]
    values = {
        key: float(listed.pop(0)) if listed else default
        for (key, default), listed in zip(parameters, (alpha, beta), strict=False)
    }
    return {"kind": kind, **values} if values else kind


def _notes(node: Node, operator: Operator) -> list[str]:
    notes = []
    if operator.theirs != operator.ours:
        ours = operator.ours.replace("c", "g").replace("h", "n")  # what gatewise calls the candidate
        notes.append(f"The gates {', '.join(operator.theirs)} are now {', '.join(ours)}.")
    if node.op == "GRU":
        after = bool(node.attributes.get("linear_before_reset", 0))
        notes.append(f"The reset gate acts {'after' if after else 'before'} the recurrent matrix.")
    if node.attributes.get("direction") == "reverse":
        notes.append("It reads the sequence in reverse.")
    return notes
