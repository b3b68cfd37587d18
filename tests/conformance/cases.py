"""The models that every execution is held to: for each kind, its options; and graphs of several layers.

A new layer, input stage or head needs an entry in LAYERS, INPUTS or HEADS, or the suite fails. Tensors are drawn here,
not by `initial`, so that biases and scales are no zeros and ones.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from gatewise import heads, inputs, layers
from gatewise.graph import Graph, Node, reference_run, resolve
from gatewise.layers.base import Array
from gatewise.layers.registry import Registry
from gatewise.spec import LayerSpec, ModelSpec, bidirectional, residual

HARD_TORCH = {"kind": "hard_sigmoid", "slope": 1 / 6, "offset": 0.5}
HARD_KERAS = {"kind": "hard_sigmoid", "slope": 0.2, "offset": 0.5}
HARD_GATE = {"kind": "hard_sigmoid", "slope": 0.3, "offset": 0.4}
HARD_CANDIDATE = {"kind": "hard_sigmoid", "slope": 0.7, "offset": 0.1}

OTHERS: Sequence[Any] = (
    {"kind": "affine", "alpha": 0.4, "beta": 0.1},
    {"kind": "leaky_relu", "alpha": 0.2},
    {"kind": "thresholded_relu", "alpha": 0.1},
    {"kind": "scaled_tanh", "alpha": 0.8, "beta": 0.6},
    {"kind": "elu", "alpha": 0.7},
    *("selu", "softsign", "softplus", "exponential", "silu", "gelu", "gelu_tanh"),
    *("relu6", "hard_tanh", "hard_silu", "mish", "log_sigmoid"),
)
"""Activations that few models have; a bound keeps what they make of the state from growing."""
PAIRS = tuple(zip(OTHERS, [*OTHERS[1:], OTHERS[0]], strict=True))

UNITS = (1, 3, 8, 16, 17, 33, 64, 100)
WIDTHS = (1, 2, 5, 16, 19)

LAYERS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "rnn": [
        {},
        {"activation": "relu"},
        {"activation": "sigmoid", "clip": 0.5},
        {"activation": "linear", "clip": 0.25},
        {"activation": HARD_CANDIDATE},
        *({"activation": other, "clip": 1.5} for other in OTHERS),
    ],
    "lstm": [
        {},
        {"peepholes": True},
        {"input_forget": True},
        {"clip": 0.4, "peepholes": True, "forget_bias": 0.0},
        {"cell_clip": 0.3, "chrono": 50},
        {"projection": 2},
        {"projection": 3, "peepholes": True, "input_forget": True, "clip": 0.7, "cell_clip": 0.5},
        {"gate_activation": HARD_KERAS, "activation": "relu", "output_activation": "sigmoid", "cell_clip": 2.0},
        {"gate_activation": HARD_TORCH, "activation": HARD_CANDIDATE, "output_activation": HARD_GATE},
        {"gate_activation": "tanh", "activation": "sigmoid", "output_activation": "linear"},
        {"gate_activation": "relu", "output_activation": "relu", "cell_clip": 1.0},
        {"gate_activation": "linear", "activation": "linear", "cell_clip": 1.0},
        *(
            {"activation": one, "output_activation": two, "gate_activation": one, "clip": 0.8, "cell_clip": 1.0}
            for one, two in PAIRS
        ),
    ],
    "gru": [
        {},
        {"reset": "before"},
        {"reset": "before", "gate_activation": HARD_KERAS},
        {"gate_activation": HARD_TORCH},
        {"gate_activation": HARD_KERAS, "activation": "sigmoid"},
        {"activation": "relu"},
        {"activation": "linear", "reset": "before"},
        {"activation": HARD_TORCH, "gate_activation": "tanh"},
        {"activation": HARD_CANDIDATE, "gate_activation": HARD_GATE},
        {"activation": HARD_CANDIDATE, "gate_activation": HARD_GATE, "reset": "before"},
        {"gate_activation": "relu", "activation": "tanh", "reset": "before"},
        {"gate_activation": "linear", "activation": "tanh"},
        {"clip": 0.4},
        {"clip": 0.4, "reset": "before", "gate_activation": HARD_KERAS},
        *({"activation": other, "clip": 1.5} for other in OTHERS),
        *({"gate_activation": other, "clip": 0.3, "reset": "before"} for other in OTHERS),
    ],
    "mingru": [
        {},
        {"activation": "tanh"},
        {"activation": HARD_CANDIDATE, "chrono": 50},
        *({"activation": other} for other in ("relu", "sigmoid", *OTHERS)),
    ],
    "minlstm": [
        {},
        {"activation": "tanh"},
        {"activation": HARD_CANDIDATE, "chrono": 50},
        {"activation": "sigmoid", "forget_bias": 3.0},
        *({"activation": other} for other in ("relu", *OTHERS)),
    ],
    "rglru": [{}, {"signed": True}],
    "lru": [{}, {"states": 4}, {"states": 40, "r_min": 0.5, "r_max": 0.99, "max_phase": 0.314}],
    "dense": [
        {},
        {"activation": "relu"},
        {"activation": "tanh"},
        {"activation": "sigmoid"},
        {"activation": "softmax"},
        {"activation": HARD_KERAS},
        {"activation": HARD_TORCH},
        {"activation": HARD_CANDIDATE},
        *({"activation": other} for other in OTHERS),
    ],
    "norm": [{}, {"method": "layer"}, {"epsilon": 0.5}, {"method": "layer", "epsilon": 0.01}],
    "add": [{}],
    "multiply": [{}],
    "concat": [{}],
    "reverse": [{}],
    "moments": [{}, {"width": 1}, {"epsilon": 0.5}, {"masked": True}, {"masked": True, "width": 1}],
    "standardise": [{}, {"masked": True}],
}
"""Options of each layer, without its `units`: each is run at several sizes."""

WINDOW = 6
"""Steps of the cases that have a window."""

INPUTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "numeric": [
        {"width": 3},
        {"width": 2, "scaling": "standard", "columns": ["a", "b"]},
        {"width": 17, "scaling": "standard"},
        {"width": 1, "missing": "hold"},
        {"width": 17, "missing": "hold"},
        {"width": 3, "scaling": "standard", "missing": "hold"},
        {"width": 33, "scaling": "standard", "missing": "hold", "columns": [f"c{i}" for i in range(33)]},
        {"width": 1, "missing": "mask"},
        {"width": 3, "scaling": "standard", "missing": "mask"},
        {"width": 17, "scaling": "standard", "missing": "mask"},
        {"width": 3, "transform": ["log1p", None, "log1p"]},
        {"width": 2, "scaling": "standard", "transform": [None, "log1p"]},
        {"width": 3, "scaling": "standard", "missing": "hold", "transform": ["log1p", "log1p", None]},
        {"width": 3, "missing": "mask", "transform": ["log1p"] * 3},
    ],
}

HEADS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "number": [{}, {"interval": False}, {"loss": "absolute"}],
    "softmax": [
        {"classes": ["no", "yes"]},
        {"classes": [f"c{i}" for i in range(19)]},
    ],
    "quantiles": [
        {},
        {"targets": [2, 0], "horizons": [1, 5, 24], "quantiles": [0.05, 0.25, 0.5, 0.75, 0.95], "names": ["a", "b"]},
        {"targets": [1], "quantiles": [0.5], "horizons": [2], "anchor": True},
        {"targets": [0, 1, 2], "anchor": False, "horizons": [3, 4]},
        {"targets": [2, 0], "horizons": [1, 2], "minimum": [0.1, None], "maximum": [0.7, 0.3]},
        {"targets": [1], "anchor": False, "minimum": [-0.25]},
        {"targets": [0, 2], "horizons": [1, 4], "transform": [None, "log1p"]},
        {"targets": [2, 0, 1], "transform": ["log1p"] * 3, "minimum": [0.0, 0.5, None], "maximum": [2.0, None, None]},
    ],
    "tail_probability": [
        {},
        {"targets": [2], "smooth": 5, "samples": 20},
        {"targets": [1], "smooth": 144, "samples": 100_000, "false_alarms_per_1000": 0.1, "df": 3.0},
        {"targets": [2, 0], "names": ["c", "a"], "smooth": 3, "samples": 20},
        {"targets": [1], "masked": True, "smooth": 2},
        {"targets": [0, 1, 2], "masked": True},
        {"targets": [1, 0], "samples": 50, "false_alarms_per_1000": 100.0, "pause": 2, "smooth": 4},
    ],
}

FAMILIES: Mapping[str, tuple[Registry, Mapping[str, Sequence[Mapping[str, Any]]]]] = {
    "LAYERS": (layers.registry, LAYERS),
    "INPUTS": (inputs.registry, INPUTS),
    "HEADS": (heads.registry, HEADS),
}


@dataclass(frozen=True)
class Case:
    """A spec with a name for the test report. With the tensors drawn here, errors in its state die out."""

    name: str
    spec: ModelSpec

    def __str__(self) -> str:
        return self.name


def _sizes(options: int) -> list[tuple[int, int]]:
    """(units, width) pairs: all for the first options of a kind, a few odd ones for those after it."""
    if options == 0:
        return list(itertools.product(UNITS, WIDTHS))
    return [(1, 2), (17, 5), (33, 19), (64, 16)] if options < 14 else [(17, 5)]


def _label(options: Mapping[str, Any]) -> str:
    def short(value: Any) -> str:
        if isinstance(value, Mapping):
            return value["kind"] + ",".join(f"{v:.2f}" for k, v in value.items() if k != "kind")
        return f"{len(value)}names" if isinstance(value, list) else str(value)

    return ",".join(f"{key}={short(value)}" for key, value in options.items()) or "default"


def _layer_case(kind: str, units: int, width: int, options: Mapping[str, Any]) -> Case:
    """A model of one layer or, for one that joins or prepares what others write, the fewest that make sense."""

    def gru(units: int, **more: Any) -> LayerSpec:
        return LayerSpec("gru", units=units, **more)

    name = f"{kind}-{units}x{width}-{_label(options)}"
    if kind == "concat":
        parts = [gru(units, name="a"), gru(3, name="b", sources="input"), LayerSpec(kind, sources=("a", "b", "input"))]
        return Case(name, ModelSpec(width, parts))
    if kind == "norm":
        return Case(name, ModelSpec(width, [gru(units), LayerSpec(kind, **options)]))
    if kind in ("add", "multiply"):
        parts = [gru(units, name="a"), gru(units, name="b", sources="input"), LayerSpec(kind, "c", ("a", "b"))]
        parts += [LayerSpec("dense", "d", units=units), LayerSpec(kind, sources=("c", "a", "d", "b"))]
        return Case(name, ModelSpec(width, parts))
    if kind == "reverse":
        parts = bidirectional(LayerSpec("gru", units=units), source="input")
        return Case(name, ModelSpec(width, parts, context={"window": WINDOW}))
    if kind in ("moments", "standardise"):
        masked = options.get("masked", False)
        stage = LayerSpec("numeric", width=width, missing="mask" if masked else "raise")
        moments = LayerSpec("moments", "m", **{"masked": masked, **(options if kind == "moments" else {})})
        parts = [moments, LayerSpec("standardise", sources=("input", "m"), masked=masked), gru(units)]
        return Case(name, ModelSpec(input=stage, layers=parts, context={"window": WINDOW}))
    return Case(name, ModelSpec(width, [LayerSpec(kind, units=units, **options)]))


def _layer_cases() -> Iterator[Case]:
    for kind in layers.KINDS:
        for i, options in enumerate(LAYERS.get(kind, ())):
            sized = "units" in {field.name for field in dataclasses.fields(layers.registry.spec(kind))}
            sizes = _sizes(i) if sized else [(3, 2), (17, 5), (33, 19)]
            sizes = [(units, width) for units, width in sizes if units > options.get("projection", 0)]
            yield from (_layer_case(kind, units, width, options) for units, width in sizes)


def _input_cases() -> Iterator[Case]:
    for kind in inputs.KINDS:
        for options in INPUTS.get(kind, ()):
            spec = ModelSpec(input=LayerSpec(kind, **options), layers=[LayerSpec("dense", units=5)])
            yield Case(f"{kind}-{_label(options)}", spec)


def _head_cases(units: int) -> Iterator[Case]:
    for kind in heads.KINDS:
        for options in HEADS.get(kind, ()):
            logs: Any = dict(zip(options.get("targets", [0]), options.get("transform", [None] * 3), strict=False))
            raw = LayerSpec("numeric", width=3, transform=[logs.get(k) for k in range(3)])
            stage = raw.replace(scaling="standard", missing="hold")
            head = LayerSpec(kind, **options)
            size = heads.registry.spec(kind).parse("head", options).width
            body = [LayerSpec("gru", units=units), LayerSpec("dense", units=size)]
            stages = {"scaled": stage, "raw": raw}
            for what, input in ({"marked": stage.replace(missing="mask")} if options.get("masked") else stages).items():
                yield Case(f"{kind}-{what}-{_label(options)}", ModelSpec(input=input, layers=body, head=head))
            takes = {field.name for field in dataclasses.fields(heads.registry.spec(kind))}
            marking, knowing = stage.replace(missing="mask"), head.replace(masked=True) if "masked" in takes else head
            if kind == "quantiles":
                head = head.replace(sources=("dense0", "input", "moments0"))
                for input, masked in ((raw, False), (marking, True)):
                    own = [
                        LayerSpec("moments", masked=masked),
                        LayerSpec("standardise", sources=("input", "moments0"), masked=masked),
                    ]
                    spec = ModelSpec(input=input, layers=[*own, *body], head=head, context={"window": WINDOW})
                    yield Case(f"{kind}-{'masked-' if masked else ''}windows-{_label(options)}", spec)
            yield Case(f"{kind}-masked-{_label(options)}", ModelSpec(input=marking, layers=body, head=knowing))


def _residual_cases(width: int, blocks: int, inputs: int) -> Iterator[Case]:
    """A stack of residual blocks around each recurrent layer, which is not as wide as they are."""
    for kind in layers.KINDS:
        if layers.registry.spec(kind).recurrent:
            stack = [LayerSpec("dense", "block0", units=width)]
            for i in range(blocks):
                mixer = LayerSpec(kind, units=width + 1)
                norm = "rms" if i % 2 else "layer"
                stack += residual(mixer, width, f"block{i + 1}", source=f"block{i}", norm=norm, expand=1.5)
            yield Case(f"graph-residual-{kind}", ModelSpec(inputs, [*stack, LayerSpec("norm")]))


def _graph_cases() -> Iterator[Case]:
    def gru(units: int, **more: Any) -> LayerSpec:
        return LayerSpec("gru", units=units, **more)

    def dense(units: int, **more: Any) -> LayerSpec:
        return LayerSpec("dense", units=units, **more)

    stage = LayerSpec("numeric", width=4, scaling="standard", missing="hold")
    plain = LayerSpec("numeric", width=4, scaling="standard")
    head = LayerSpec("tail_probability", targets=[3], smooth=3)
    graphs = {
        "stack-of-3": ModelSpec(5, [gru(16), gru(7, reset="before"), gru(3)]),
        "deep-20": ModelSpec(2, [gru(4) for _ in range(20)]),
        "dense-first": ModelSpec(3, [dense(6, activation="tanh"), gru(8), dense(2, activation="softmax")]),
        "reads-input": ModelSpec(4, [gru(9), dense(3, sources="input", activation="sigmoid")]),
        "reads-scaled-input": ModelSpec(input=stage, layers=[gru(9), gru(5, sources="input"), dense(2)]),
        "skip": ModelSpec(4, [gru(6, name="a"), gru(5, name="b"), dense(4, sources="a"), dense(3, sources="b")]),
        "diamond": ModelSpec(3, [gru(8, name="top"), gru(4, sources="top"), gru(4, name="end", sources="top")]),
        "long-names": ModelSpec(2, [dense(2, name="x" * 64), gru(2, name="_"), dense(2, sources="_")]),
        "everything": ModelSpec(input=stage, layers=[gru(20), gru(11, sources="input"), dense(2)], head=head),
        "window": ModelSpec(input=plain, layers=[gru(20), dense(2)], context={"window": WINDOW}),
        "window-of-1": ModelSpec(2, [gru(5)], context={"window": 1}),
    }
    for name, spec in graphs.items():
        yield Case(f"graph-{name}", spec)
    yield from _residual_cases(9, 3, 4)


CASES = [*_layer_cases(), *_input_cases(), *_head_cases(9), *_graph_cases()]
"""One case per options and size of every kind, and the graphs."""

SMALL = [
    *(
        _layer_case(kind, 4 if "projection" in options else 3, 2, options)
        for kind in layers.KINDS
        for options in LAYERS.get(kind, ())
    ),
    *(case for case in CASES if case.name.startswith("numeric-") and case.spec.input.options["width"] < 10),
    *(case for case in _head_cases(2) if "scaled" in case.name),
    Case(
        "graph-both",
        ModelSpec(2, [LayerSpec("gru", units=2), LayerSpec("gru", units=2), LayerSpec("dense", "d", "gru0", units=2)]),
    ),
    *_residual_cases(2, 1, 2),
]
"""Every kind with all its options once, small enough for finite differences."""

FEW = [
    case
    for case in CASES
    if case.name.startswith(("graph-", "numeric-", "quantiles-windows", "quantiles-masked", "tail_probability-raw"))
    or case.name.split("-")[1] == "17x5"
]
"""Every kind with all its options once, at one odd size: for checks that take longer."""


def each(cases: Sequence[Case]) -> Callable[[Callable[..., None]], Any]:
    """Run a test that takes a `case` for each of them, as one test a kind: an error has a note that names its case."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.name.partition("-")[0], []).append(case)

    def decorated(test: Callable[..., None]) -> Any:
        @functools.wraps(test)
        def run(cases: Sequence[Case], **others: Any) -> None:
            for case in cases:
                try:
                    test(case=case, **others)
                except BaseException as error:
                    error.add_note(f"case {case}")
                    raise

        signature = inspect.signature(test)
        given = [p.replace(name="cases") if p.name == "case" else p for p in signature.parameters.values()]
        run.__signature__ = signature.replace(parameters=given)  # type: ignore[attr-defined]
        return pytest.mark.parametrize("cases", groups.values(), ids=groups)(run)

    return decorated


def node_tensors(node: Node, rng: np.random.Generator, gain: float = 1.0) -> dict[str, Array]:
    """Random tensors that make sense for a node, float32, by short name. `gain` multiplies recurrent weights."""
    drawn: dict[str, Array] = {}
    gate = node.layer.options().get("gate_activation", "sigmoid")
    small = 0.3 if gate in ("linear", "relu", "tanh") else 1.0  # a gate beyond 0 and 1 would make the state explode
    for name, shape in node.layer.tensors(node.edges).items():
        if name == "weight" and len(shape) == 1:  # of norm
            drawn[name] = rng.uniform(0.5, 1.5, shape)
        elif name.startswith("weight"):
            bound = small * (gain if name.endswith("hh") else 1.0) / math.sqrt(shape[-1])
            drawn[name] = rng.uniform(-bound, bound, shape)
        elif name.endswith("statistic"):
            drawn[name] = _ascending(rng.uniform(0.002, 0.03, (*shape[:-1], shape[-1] - 1)))
        elif name.endswith("score"):
            steps = np.diff(drawn[name.replace("score", "statistic")])
            drawn[name] = _ascending(steps * rng.uniform(0.3, 3, steps.shape))
        elif name == "margin":
            drawn[name] = rng.uniform(0, 2, shape)
        elif name == "band":
            drawn[name] = np.sort(rng.normal(0, 2, shape))
        elif name == "clip":
            drawn[name] = np.array([[-1.5, 2.0]] * shape[0])
        elif name == "range":  # narrow, so that levels leave it and come back
            drawn[name] = np.sort(rng.normal(0, 0.1, (shape[0], 2, 2)), axis=-1).reshape(shape)
        elif name == "factor":
            drawn[name] = np.where(np.arange(shape[1]) % 2, rng.uniform(0.3, 0.9, shape), rng.uniform(3, 20, shape))
        elif name == "unit":
            drawn[name] = np.stack([rng.normal(0, 1, shape[0]), np.exp(rng.normal(0, 1, shape[0]))], axis=1)
        elif name == "decay":
            drawn[name] = rng.uniform(-5, 1, shape)
        elif name == "nu_log":
            drawn[name] = np.log(-np.log(rng.uniform(0.3, 0.99, shape)))
        elif name == "theta_log":
            drawn[name] = np.log(rng.uniform(0.01, 2 * math.pi, shape))
        elif name == "gamma_log":
            drawn[name] = np.log(rng.uniform(0.1, 1, shape))
        elif name == "scale":
            drawn[name] = np.exp(rng.normal(0, 1, shape))
            if node.layer.options().get("transform"):  # or exponents would be so large that nothing could be compared
                drawn[name] = np.minimum(drawn[name], 0.3 if node.name == "head" else np.inf)
        elif name.startswith(("bias", "offset")):
            drawn[name] = small * rng.uniform(-0.5, 0.5, shape)
        else:
            raise AssertionError(f"tests/conformance/cases.py does not know how to draw {node.layer.kind}.{name}")
    return {name: np.ascontiguousarray(value, np.float32) for name, value in drawn.items()}


def _ascending(steps: Array) -> Array:
    """From 0 on along the last axis, in these steps."""
    return np.concatenate([np.zeros((*steps.shape[:-1], 1)), np.cumsum(steps, axis=-1)], axis=-1)


def tensors(graph: Graph, seed: int = 0, gain: float = 1.0) -> dict[str, Array]:
    """Random tensors for a whole graph, by full name."""
    rng = np.random.default_rng([seed, zlib.crc32(_described(graph.spec).encode())])
    return {
        f"{node.name}.{name}": value for node in graph.nodes for name, value in node_tensors(node, rng, gain).items()
    }


def _described(spec: ModelSpec) -> str:
    """The spec as JSON, without options that came later and are not used: so these leave what is drawn as it was."""
    text = spec.to_json()
    for name in ("subtract", "transform", "minimum", "maximum"):
        text = text.replace(f',"{name}":null', "")
    return text


def readings(graph: Graph, batch: int, time: int, seed: int = 0) -> Array:
    """Random readings (batch, time, inputs) float32; with NaN and infinities where the model holds the last value."""
    rng = np.random.default_rng([seed, batch, time])
    x = rng.normal(0, 1, (batch, time, graph.edges[0].width))
    logs = [k for k, one in enumerate(graph.spec.input.options.get("transform") or ()) if one]
    x[..., logs] = np.expm1(x[..., logs])
    if not graph.refuses_missing:
        gone = rng.uniform(size=x.shape) < 0.25
        x[gone] = rng.choice([np.nan, np.inf, -np.inf], gone.sum())
        x[..., logs] = np.where(gone[..., logs], rng.choice([np.nan, -1.0, -2.5]), x[..., logs])
    return x.astype(np.float32)


BEFORE = ("subtract",)
"""Options that a `Model` carries out itself, before and after any execution: tests/tasks/test_constants.py has them."""


BATCH, TIME = 3, 20


@functools.cache
def truth(case: Case) -> tuple[Array, Array, dict[str, Array]]:
    """Readings (BATCH, TIME, inputs) for a case, and what the reference makes of them: answers and last state."""
    graph = resolve(case.spec)
    x = readings(graph, BATCH, TIME)
    y, state = reference_run(graph, tensors(graph), x)
    for value in (x, y, *state.values()):
        value.flags.writeable = False
    return x, y, state


def unexercised(registry: Registry, table: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Kinds without an entry; options and activations that no entry ever sets."""
    found = []
    for kind in registry.kinds:
        if not table.get(kind):
            found.append(f"{registry.family} {kind!r} has no entry")
            continue
        for field in dataclasses.fields(registry.spec(kind)):
            tried = [options[field.name] for options in table[kind] if field.name in options]
            if not tried and field.name not in ("units", *BEFORE):
                found.append(f"option {field.name!r} of {registry.family} {kind!r} is in no entry")
            if field.name.endswith("activation"):
                names = {value if isinstance(value, str) else value["kind"] for value in [*tried, field.default]}
                for choice in sorted(set(registry.module(kind, "spec").ACTIVATIONS) - names):
                    found.append(f"{field.name} {choice!r} of {registry.family} {kind!r} is in no entry")
    return found
