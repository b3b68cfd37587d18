"""What becomes of each layer of Keras: one function a class, or a few that are alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gatewise.errors import FileError, Parameter
from gatewise.importers.chain import MERGES, Chain, Weights
from gatewise.importers.keras.config import Layer, inner, numbered, unsupported
from gatewise.importers.keras.options import ACTIVATIONS, Options, layer_activation
from gatewise.importers.keras.recurrent import CELLS, KINDS, TRANSPOSED, Recurrent, cell, recurrent, same_use, use
from gatewise.importers.keras.weights import Store, Stored
from gatewise.layers.base import Array
from gatewise.spec import LayerSpec, short


@dataclass
class Translation:
    """A model of Keras while it is translated.

    Attributes:
        chain: receives the layers.
        store: the weights.
        version: the major version of Keras.
        steps: number of steps of the sequence; None if it is not fixed.
        sequence: whether what the last layer wrote still has an axis of time.
        ignore_masking: whether the user said that no step is masked.
        stateful: for each recurrent layer its name, and whether it carries its state.
        reshaped: the layer that gave an answer another shape, after which no other may follow; None if there is none.
    """

    chain: Chain
    store: Store
    version: int
    steps: int | None
    sequence: bool
    ignore_masking: bool = False
    stateful: list[tuple[str, bool]] = field(default_factory=list)
    reshaped: str | None = None

    def add(self, layer: Layer) -> None:
        """Translate a layer.

        Raises:
            FileError: it is not supported, or its options or weights are not as they must be.
        """
        part = Part(layer.name, layer.kind, Options(_where(layer), layer.config, self.version), self.store.of(layer))
        reader = READERS.get(layer.kind)
        if reader is None:
            raise unsupported(f"{_where(layer)} is not supported; {SUPPORTED}")
        if self.reshaped and reader is not _nothing:
            raise unsupported(f"{self.reshaped} is followed by another layer, which is not supported")
        reader(self, part)
        if layer.kind not in WRAPPERS:
            part.options.close()

    def close(self) -> None:
        """Check what concerns several layers. To be called after the last layer.

        Raises:
            FileError: some recurrent layers carry their state from one sequence to the next, and others do not.
        """
        carried = [name for name, stateful in self.stateful if stateful]
        if carried and len(carried) < len(self.stateful):
            raise unsupported(
                f"{', '.join(carried)} carry their state from one sequence to the next (stateful), and the other "
                f"recurrent layers do not, which is not supported"
            )
        if carried:
            self.chain.window = None

    def last(self) -> None:
        """From here on there is no axis of time."""
        self.chain.last()
        self.sequence = False


@dataclass(frozen=True)
class Part:
    """A layer, or one within another: its name, its class, its options, and its weights."""

    name: str
    kind: str
    options: Options
    stored: Stored


def _where(layer: Layer) -> str:
    return f"layer {layer.name!r} ({layer.kind})"


def _recurrent(to: Translation, part: Part) -> None:
    _add_recurrent(to, part, recurrent(part.kind, part.options, part.stored))


def _add_recurrent(to: Translation, part: Part, found: Recurrent) -> None:
    _check_sequence(to, part)
    if found.backwards and found.stateful:
        raise unsupported(f"{part.options.where} is stateful, which is not supported for one that reads backwards")
    to.stateful.append((part.name, found.stateful))
    notes = [*found.converted]
    if found.backwards:
        notes.append("It reads the sequence from its end, as go_backwards says.")
    if found.stateful:
        notes.append("It is stateful: its state is carried from one sequence to the next.")
    to.chain.layer(
        part.name, part.kind, found.layer, found.weights, notes, width=found.units, backwards=found.backwards
    )
    if not found.sequences:
        to.last()


def _wrapped_cells(to: Translation, part: Part) -> None:
    """RNN(cell), and RNN of several cells, each of which reads what the one before it writes."""
    options = part.options
    sequences, backwards, stateful = use(options)
    _, kind, config = inner(options.get("cell"), options.where)
    options.close()
    cells = [(kind, config, part.stored)]
    if kind == "StackedRNNCells":
        listed = config.get("cells")
        if not isinstance(listed, list):
            raise FileError(f"{options.where}: its cells must be a list, got {short(listed)}")
        named = numbered([inner(each, options.where) for each in listed])
        cells = [(kind, config, part.stored.group(name, stored)) for (name, kind, config), stored in named]
    for at, (kind, config, stored) in enumerate(cells):
        if kind not in CELLS:
            raise unsupported(f"{options.where} has the cell {kind}; supported are {', '.join(CELLS)}")
        layer, weights, converted = cell(
            CELLS[kind], Options(f"{options.where}, its {kind}", config, to.version), stored
        )
        last = at == len(cells) - 1
        found = Recurrent(
            layer,
            weights,
            converted,
            int(layer.options["units"]),
            sequences or not last,
            backwards and not at,
            stateful,
        )
        name = part.name if len(cells) == 1 else f"{part.name}_{at}"
        _add_recurrent(to, Part(name, f"{part.kind}({kind})", options, stored), found)


def _check_sequence(to: Translation, part: Part) -> None:
    if not to.sequence:
        raise unsupported(f"{part.options.where} needs a sequence, and what it reads has no axis of time")


def _bidirectional(to: Translation, part: Part) -> None:
    _check_sequence(to, part)
    where, options = part.options.where, part.options
    merge = options.get("merge_mode", default="concat")
    if not isinstance(merge, str) or merge not in MERGES:
        raise unsupported(f"{where} has merge_mode {short(merge)}; supported are {', '.join(MERGES)}")
    described = options.get("layer"), options.get("backward_layer")
    notes = options.close()
    stored = part.stored.part("forward_"), part.stored.part("forward_", inside=False)
    found = []
    for each, own in zip((described[0], described[1] or described[0]), stored, strict=True):
        _, kind, config = inner(each, where)
        if kind not in KINDS:
            raise unsupported(f"{where} wraps a {kind}; supported are {', '.join(KINDS)}")
        found.append(recurrent(kind, Options(f"{where}, its {kind}", config, to.version), own))
    forward, backward = found
    if differ := same_use(forward, backward):
        raise unsupported(f"the directions of {where} differ in {', '.join(differ)}, which is not supported")
    if forward.backwards or (described[1] is not None and not backward.backwards):
        raise unsupported(f"{where}: its first layer must read forward and its second backwards")
    if forward.stateful:
        raise unsupported(f"{where} is stateful, which is not supported for one that reads backwards")
    to.stateful.append((part.name, False))
    to.chain.bidirectional(
        part.name,
        part.kind,
        (forward.layer, backward.layer),
        (forward.weights, backward.weights),
        list(dict.fromkeys([*notes, *forward.converted, *backward.converted])),
        width=forward.units,
        merge=merge,
        last=not forward.sequences,
    )
    if not forward.sequences:
        to.last()


def _time_distributed(to: Translation, part: Part) -> None:
    _check_sequence(to, part)
    described = part.options.get("layer")
    part.options.close()
    _, kind, config = inner(described, part.options.where)
    if kind not in POINTWISE:
        known = ", ".join(POINTWISE)
        raise unsupported(f"{part.options.where} wraps a {kind}; supported are {known}")
    options = Options(f"{part.options.where}, its {kind}", config, to.version)
    READERS[kind](to, Part(part.name, f"{part.kind}({kind})", options, part.stored))
    options.close()


def _dense(to: Translation, part: Part) -> None:
    options, stored = part.options, part.stored
    units, with_bias = options.count("units", "output_dim"), options.flag("use_bias", "bias", default=True)
    activation, notes = options.activation("activation")
    names = ("W", "b") if stored.has_old("W") else ("kernel", "bias")
    (one, kernel), *given = stored.take(*(names if with_bias else names[:1]))
    stored.check(kernel, (None, units))
    bias: Array = np.zeros(units)
    for _, bias in given:
        stored.check(bias, (units,))
    sources = dict(zip(("weight", "bias"), ([path] for path in (one, *(path for path, _ in given))), strict=False))
    weights = Weights({"weight": kernel.T, "bias": bias}, sources)
    notes = [TRANSPOSED, *notes, *([] if given else ["It has no bias; the bias is zero."]), *options.close()]
    layer = LayerSpec("dense", units=units, activation=activation)
    to.chain.layer(part.name, part.kind, layer, weights, notes, width=units, activates=activation == "linear")


def _nothing(to: Translation, part: Part) -> None:
    to.chain.nothing(part.name, part.kind, "It does nothing in inference.")


def _activation(to: Translation, part: Part) -> None:
    found, notes = part.options.activation("activation")
    to.chain.activation(part.name, part.kind, found, notes)


def _layer_activation(to: Translation, part: Part) -> None:
    kind = part.kind.rpartition("(")[2].rstrip(")")
    to.chain.activation(part.name, part.kind, layer_activation(kind, part.options))


def _batch_normalization(to: Translation, part: Part) -> None:
    """y = gamma (x - moving_mean) / sqrt(moving_variance + epsilon) + beta."""
    options = part.options
    _check_axis(to, options)
    options.get("renorm_momentum")  # `renorm` itself must be false
    epsilon = options.number("epsilon", default=1e-3)
    scaled, centred = options.flag("scale", default=True), options.flag("center", default=True)
    old = part.stored.has_old("running_mean")
    names = [*(["gamma"] if scaled else []), *(["beta"] if centred else [])]
    names += ["running_mean", "running_std"] if old else ["moving_mean", "moving_variance"]
    taken = part.stored.take(*names)
    found = dict(zip(names, (np.asarray(value, np.float64) for _, value in taken), strict=True))
    for value in found.values():
        part.stored.check(value, (to.chain.width,))
    mean, variance = (found[name] for name in names[-2:])
    scale = found.get("gamma", 1.0) / np.sqrt(variance + epsilon)
    shift = found.get("beta", 0.0) - mean * scale
    notes = ["Its mean and variance are those of the training; it is y = scale x + shift.", *options.close()]
    to.chain.affine(part.name, part.kind, scale, shift, notes, sources=[path for path, _ in taken])


def _check_axis(to: Translation, options: Options) -> None:
    """Refuse a normalisation over another axis than that of the features."""
    axis = options.get("axis", default=-1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    last = 2 if to.sequence else 1
    if axis not in (-1, last):
        raise unsupported(f"{options.where} runs over axis {short(axis)}; only the last, {last}, is supported")


def _layer_normalization(to: Translation, part: Part) -> None:
    options, width = part.options, to.chain.width
    _check_axis(to, options)
    scaled, centred = options.flag("scale", default=True), options.flag("center", default=True)
    layer = LayerSpec("norm", method="layer", epsilon=options.number("epsilon", default=1e-3))
    names = [*(["gamma"] if scaled else []), *(["beta"] if centred else [])]
    taken = dict(zip(names, part.stored.take(*names), strict=True))
    tensors: dict[str, Array] = {"weight": np.ones(width), "bias": np.zeros(width)}
    sources = {}
    for name, short_name in (("gamma", "weight"), ("beta", "bias")):
        if name in taken:
            path, tensors[short_name] = taken[name]
            part.stored.check(tensors[short_name], (width,))
            sources[short_name] = [path]
    to.chain.layer(part.name, part.kind, layer, Weights(tensors, sources), options.close(), width=width)


def _rms_normalization(to: Translation, part: Part) -> None:
    options, width = part.options, to.chain.width
    _check_axis(to, options)
    layer = LayerSpec("norm", method="rms", epsilon=options.number("epsilon", default=1e-6))
    ((path, scale),) = part.stored.take("scale")
    part.stored.check(scale, (width,))
    weights = Weights({"weight": scale}, {"weight": [path]})
    to.chain.layer(part.name, part.kind, layer, weights, options.close(), width=width)


def _rescaling(to: Translation, part: Part) -> None:
    """y = scale x + offset."""
    scale, shift = (_constants(to, part.options, name, default) for name, default in (("scale", 1.0), ("offset", 0.0)))
    to.chain.affine(part.name, part.kind, scale, shift)


def _constants(to: Translation, options: Options, name: str, default: Any) -> Array:
    """The value of an option that is a number, or one for each feature."""
    try:
        found = np.asarray(options.get(name, default=default), np.float64)
        return np.broadcast_to(found.reshape(-1) if found.ndim else found, (to.chain.width,))
    except (ValueError, TypeError, OverflowError):
        raise FileError(
            f"{options.where}: {name} must be a number, or {to.chain.width} of them, got {short(options.get(name))}"
        ) from None


def _normalization(to: Translation, part: Part) -> None:
    """y = (x - mean) / max(sqrt(variance), 1e-7); with `invert` the reverse."""
    options = part.options
    _check_axis(to, options)
    sources: list[str] = []
    if options.get("mean") is not None:
        mean, variance = (_constants(to, options, name, None) for name in ("mean", "variance"))
    else:
        options.get("variance")
        taken = part.stored.take("mean", "variance", "count")[:2]
        sources = [path for path, _ in taken]
        mean, variance = (np.asarray(value, np.float64) for _, value in taken)
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    for value in (mean, deviation):
        part.stored.check(value, (to.chain.width,))
    scale, shift = (deviation, mean) if options.flag("invert") else (1.0 / deviation, -mean / deviation)
    to.chain.affine(part.name, part.kind, scale, shift, sources=sources)


def _masking(to: Translation, part: Part) -> None:
    value = part.options.number("mask_value", default=0.0)
    if not to.ignore_masking:
        raise unsupported(
            f"{part.options.where} masks each step whose readings are all {value:g}: the layers after it keep their "
            "state and repeat their output there, which gatewise cannot express. If no step that matters is masked, "
            "say so with ",
            Parameter("spec", '{"masking": "ignore"}'),
            "; else cut such steps off before the model",
        )
    to.chain.nothing(
        part.name,
        part.kind,
        f'The spec says "masking": "ignore": steps whose readings are all {value:g} are read like any other.',
    )


def _flatten(to: Translation, part: Part) -> None:
    if to.sequence and to.steps != 1:
        raise unsupported(f"{part.options.where} joins the steps of a sequence to one row, which is not supported")
    part.options.get("data_format")
    if to.sequence:
        to.last()
    to.chain.nothing(part.name, part.kind, "What it reads is one row already.")


def _reshape(to: Translation, part: Part) -> None:
    shape, width = part.options.get("target_shape"), to.chain.width
    now = [to.steps, width] if to.sequence else [width]
    sizes = shape if isinstance(shape, list) and all(type(size) is int for size in shape) else []
    if sizes == now or sizes == [-1, width][-len(now) :]:
        to.chain.nothing(part.name, part.kind, "It changes no shape.")
    elif not to.sequence and sizes and math.prod(sizes) == width and min(sizes) > 0:
        to.reshaped = part.options.where
        to.chain.nothing(part.name, part.kind, f"The {width} values of an answer, which it gives the shape {sizes}.")
    else:
        raise unsupported(f"{part.options.where} makes the shape {short(shape)} of {now}, which is not supported")


READERS: Mapping[str, Callable[[Translation, Part], None]] = {
    **dict.fromkeys(KINDS, _recurrent),
    "RNN": _wrapped_cells,
    "Bidirectional": _bidirectional,
    "TimeDistributed": _time_distributed,
    "Dense": _dense,
    "TimeDistributedDense": _dense,
    **dict.fromkeys(
        ("Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization"),
        _nothing,
    ),
    "Activation": _activation,
    **dict.fromkeys(ACTIVATIONS, _layer_activation),
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "RMSNormalization": _rms_normalization,
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "Masking": _masking,
    "Flatten": _flatten,
    "Reshape": _reshape,
}
WRAPPERS = ("RNN", "Bidirectional", "TimeDistributed")
POINTWISE = (
    "Dense",
    "Dropout",
    "Activation",
    *ACTIVATIONS,
    "BatchNormalization",
    "LayerNormalization",
    "RMSNormalization",
)
"""The layers that `TimeDistributed` may wrap: those that treat each step alike anyway."""
SUPPORTED = f"gatewise imports {', '.join(READERS)}"
