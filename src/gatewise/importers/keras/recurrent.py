"""Recurrent layers of Keras as those of gatewise.

Keras stores the transposes of the matrices, has one bias unless the reset gate of a GRU acts after the matrix, and
applies `activation` both to the candidate and to the cell of an LSTM::

                        Keras                                         gatewise
    matrices            kernel (I, n H), recurrent_kernel (H, n H)    weight_ih (n H, I), weight_hh (n H, H)
    bias                bias (n H)                                    bias_ih, and bias_hh = 0
    gates, LSTM         i, f, c, o                                    i, f, g, o
    gates, GRU          z, r, h                                       r, z, n

A GRU with reset_after has the bias (2, 3H): that of the input, then that of the recurrent matrix. CuDNNLSTM has (8H),
CuDNNGRU (6H), in the same order, and a CuDNNGRU has its reset gate after the matrix. Both store the matrices as cuDNN
has them, gate by gate: the values of a block (I, H) of the kernel are those of a matrix (H, I) in row-major order, and
a block of the recurrent kernel is not transposed (`preprocess_weights_for_loading` of Keras 2).

Keras 1 has a matrix for each gate, W_i, U_i and b_i, or W, U and b with the gates in the order of Keras 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gatewise.importers.chain import Weights
from gatewise.importers.keras.config import unsupported
from gatewise.importers.keras.options import Options
from gatewise.importers.keras.weights import Stored
from gatewise.layers.base import Array
from gatewise.spec import LayerSpec

GATES = {"lstm": "ifco", "gru": "zrh", "rnn": ""}
"""The gates of Keras in their order, by kind of gatewise."""
KINDS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn", "CuDNNLSTM": "lstm", "CuDNNGRU": "gru"}
CELLS = {f"{kind}Cell": kind for kind in ("LSTM", "GRU", "SimpleRNN")}

TRANSPOSED = "Keras stores the matrices transposed."
REORDERED = "The gates z, r, h of Keras are in the order r, z, n."
ONE_BIAS = "Keras has one bias; it is bias_ih, and bias_hh is zero."


@dataclass(frozen=True)
class Recurrent:
    """A recurrent layer.

    Attributes:
        layer: as gatewise has it.
        weights: its tensors.
        converted: a sentence for each convention that was converted.
        units: number of values that it writes at each step.
        sequences: whether it returns the whole sequence, not only its last step.
        backwards: whether it reads the sequence from its end.
        stateful: whether its state is carried from one sequence to the next.
    """

    layer: LayerSpec
    weights: Weights
    converted: list[str]
    units: int
    sequences: bool
    backwards: bool
    stateful: bool


def recurrent(kind: str, options: Options, stored: Stored) -> Recurrent:
    """Read a layer of one of the classes `KINDS`.

    Raises:
        FileError: an option or a weight is not as it must be.
    """
    sequences, backwards, stateful = use(options)
    layer, weights, converted = cell(kind, options, stored)
    return Recurrent(layer, weights, converted, int(layer.options["units"]), sequences, backwards, stateful)


def use(options: Options) -> tuple[bool, bool, bool]:
    """How a recurrent layer is used: return_sequences, go_backwards, stateful."""
    if options.flag("time_major"):
        raise unsupported(f"{options.where} has time_major = True, which is not supported")
    options.get("return_state")  # other outputs than the first are refused where they are used
    options.get("zero_output_for_mask")  # there are no masks
    return options.flag("return_sequences"), options.flag("go_backwards"), options.flag("stateful")


def cell(kind: str, options: Options, stored: Stored) -> tuple[LayerSpec, Weights, list[str]]:
    """What a recurrent layer computes in one step, its weights, and sentences of what was converted."""
    to = KINDS[kind]
    units, bias = options.count("units", "output_dim"), options.flag("use_bias", "bias", default=True)
    if kind.startswith("CuDNN"):
        spec, after, notes = LayerSpec(to, units=units), to == "gru", list[str]()
        if to == "gru":
            spec = spec.replace(reset="after")
        weights = _cudnn(to, units, stored)
        notes.append("cuDNN stores the matrices gate by gate, those of the input in row-major order.")
    else:
        spec, after, notes = _spec(to, units, options)
        separate = stored.has_old_gates()
        weights = _separate(to, stored) if separate else _joined(to, units, bias, after, stored)
        if separate:
            notes.append("Keras 1 has a matrix for each gate; they are joined.")
        if not after:
            notes.append(ONE_BIAS if bias else "It has no bias; both biases are zero.")
        notes.insert(0, TRANSPOSED)
    if to == "gru":
        notes.append(REORDERED)
        weights = Weights({name: _r_first(value) for name, value in weights.tensors.items()}, weights.sources)
    return spec, weights, [*notes, *options.close()]


def _spec(kind: str, units: int, options: Options) -> tuple[LayerSpec, bool, list[str]]:
    """The options of a layer, whether it has a bias for each matrix, and sentences of what was converted."""
    activation, notes = options.activation("activation", default="tanh")
    spec = LayerSpec(kind, units=units, activation=activation)
    if kind == "rnn":
        return spec, False, notes
    gate, more = options.activation(
        "recurrent_activation", "inner_activation", default="sigmoid" if options.version >= 3 else "hard_sigmoid"
    )
    spec = spec.replace(gate_activation=gate)
    if kind == "lstm":
        return spec.replace(output_activation=activation), False, [*notes, *more]
    after = options.flag("reset_after", default=options.version >= 3)
    where = "after" if after else "before"
    return spec.replace(reset=where), after, [*notes, *more, f"The reset gate acts {where} the recurrent matrix."]


def _joined(kind: str, units: int, bias: bool, after: bool, stored: Stored) -> Weights:
    """The weights of Keras 2 and 3, or those of Keras 1 whose gates are joined."""
    names = ("kernel", "recurrent_kernel", "bias") if not stored.has_old("W") else ("W", "U", "b")
    (one, kernel), (two, recurrent), *given = stored.take(*(names if bias else names[:2]))
    n = max(1, len(GATES[kind])) * units
    shapes = [(kernel, (None, n)), (recurrent, (units, n)), *((value, (2, n) if after else (n,)) for _, value in given)]
    for value, shape in shapes:
        stored.check(value, shape)
    biases = np.zeros((2, n))
    if given and after:
        biases = given[0][1]
    elif given:
        biases[0] = given[0][1]
    tensors = {"weight_ih": kernel.T, "weight_hh": recurrent.T, "bias_ih": biases[0], "bias_hh": biases[1]}
    sources = {"weight_ih": [one], "weight_hh": [two]}
    for path, _ in given:
        sources |= {"bias_ih": [path], **({"bias_hh": [path]} if after else {})}
    return Weights(tensors, sources)


def _separate(kind: str, stored: Stored) -> Weights:
    """The weights of Keras 1 with a matrix for each gate."""
    tensors, sources = {}, {}
    for old, short in (("W", "weight_ih"), ("U", "weight_hh"), ("b", "bias_ih")):
        found = stored.take(*(f"{old}_{gate}" for gate in GATES[kind]))
        tensors[short] = np.concatenate([value.T for _, value in found])
        sources[short] = [path for path, _ in found]
    return Weights({**tensors, "bias_hh": np.zeros_like(tensors["bias_ih"])}, sources)


def _cudnn(kind: str, units: int, stored: Stored) -> Weights:
    """The weights of CuDNNLSTM and CuDNNGRU."""
    (one, kernel), (two, recurrent), (three, bias) = stored.take("kernel", "recurrent_kernel", "bias")
    gates = len(GATES[kind])
    for value, shape in ((kernel, (None, gates * units)), (recurrent, (units, gates * units))):
        stored.check(value, shape)
    stored.check(bias, (2 * gates * units,))
    tensors = {
        "weight_ih": np.concatenate([block.reshape(units, -1) for block in np.split(kernel, gates, axis=1)]),
        "weight_hh": np.concatenate(np.split(recurrent, gates, axis=1)),
        "bias_ih": bias[: gates * units],
        "bias_hh": bias[gates * units :],
    }
    return Weights(tensors, {"weight_ih": [one], "weight_hh": [two], "bias_ih": [three], "bias_hh": [three]})


def _r_first(value: Array) -> Array:
    """Blocks z, r, h along the first axis in the order r, z, h."""
    z, r, h = np.split(np.asarray(value), 3)
    return np.concatenate([r, z, h])


def same_use(forward: Recurrent, backward: Recurrent) -> Sequence[str]:
    """The options in which the two directions of a bidirectional layer differ, and must not."""
    pairs = {
        "units": (forward.units, backward.units),
        "return_sequences": (forward.sequences, backward.sequences),
        "stateful": (forward.stateful, backward.stateful),
    }
    return [name for name, (one, other) in pairs.items() if one != other]
