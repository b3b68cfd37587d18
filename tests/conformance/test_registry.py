"""Every kind is complete: it has all its files, agrees with its kernel's folder, and has cases in this suite."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

import gatewise
from conformance.cases import CASES, FAMILIES, Case, each, tensors, unexercised
from gatewise.errors import SpecError
from gatewise.graph import check_tensors, initial_tensors, resolve
from gatewise.layers.base import Layer
from gatewise.layers.registry import Registry
from gatewise.spec import LayerSpec, ModelSpec

KINDS = [
    pytest.param(registry, kind, id=f"{registry.family}-{kind}")
    for registry, _ in FAMILIES.values()
    for kind in registry.kinds
]


@pytest.mark.parametrize("table", FAMILIES)
def test_every_kind_and_option_has_a_case(table: str) -> None:
    registry, options = FAMILIES[table]
    assert unexercised(registry, options) == [], f"add to {table} in tests/conformance/cases.py"


@pytest.mark.parametrize(("registry", "kind"), KINDS)
def test_a_kind_has_all_its_files(registry: Registry, kind: str) -> None:
    folder = Path(gatewise.__file__).parent / registry.package.rpartition(".")[2] / kind
    for name in ("spec.py", "kernel.c", "train.py"):
        assert (folder / name).is_file(), f"{registry.family} {kind!r} lacks {name}"
    spec = registry.spec(kind)
    assert issubclass(spec, Layer)
    assert spec.kind == kind
    assert dataclasses.is_dataclass(spec)
    assert f"gw_kernel_{kind}" in (folder / "kernel.c").read_text()


@pytest.mark.parametrize("table", FAMILIES)
def test_every_folder_is_a_kind(table: str) -> None:
    registry, _ = FAMILIES[table]
    folder = Path(gatewise.__file__).parent / registry.package.rpartition(".")[2]
    assert {path.parent.name for path in folder.glob("*/spec.py")} == set(registry.kinds)


def test_unknown_kinds_and_missing_modules_are_named() -> None:
    registry = FAMILIES["LAYERS"][0]
    with pytest.raises(SpecError, match="unknown layer 'mygate'; this version knows rnn"):
        registry.module("mygate", "spec")
    with pytest.raises(SpecError, match=r"layer 'gru' has no module onnx \(layers/gru/onnx.py\)"):
        registry.module("gru", "onnx")


@each(CASES)
def test_what_a_kind_says_of_itself_fits_together(case: Case) -> None:
    graph = resolve(case.spec)
    for node in graph.nodes:
        layer = node.layer
        assert json.loads(json.dumps(layer.options())) == layer.options(), "options are plain JSON"
        assert type(layer).parse("again", layer.options()) == layer, "options, written out, give the same layer"
        assert all(isinstance(number, float) and math.isfinite(number) for number in layer.native())
        written = graph.edges[node.writes]
        passed_on = min(edge.own_units for edge in node.edges)
        own = layer.outputs(node.edges)
        assert dataclasses.replace(own, own_units=max(own.own_units, passed_on)) == written
        assert all(field.dtype == "float32" and field.size > 0 for field in node.state)
        drawn = layer.initial(node.edges, np.random.default_rng(0))
        assert list(drawn) == list(layer.tensors(node.edges)), "initial tensors come in canonical order"
        named = layer.tensors(node.edges).items()
        matrices = [shape for name, shape in named if name.startswith("weight") and len(shape) == 2]
        assert layer.macs(node.edges) == sum(rows * columns for rows, columns in matrices)
    check_tensors(graph, tensors(graph))
    check_tensors(graph, initial_tensors(graph))


def test_a_seed_gives_each_layer_its_own_numbers() -> None:
    spec = ModelSpec(4, [LayerSpec("gru", units=4), LayerSpec("gru", units=4)])
    first, again, other = (initial_tensors(resolve(spec), seed) for seed in (1, 1, 2))
    assert all((first[name] == again[name]).all() for name in first)
    assert (first["gru0.weight_hh"] != other["gru0.weight_hh"]).any()
    assert (first["gru0.weight_hh"] != first["gru1.weight_hh"]).any()


def test_recurrent_weights_start_orthogonal() -> None:
    graph = resolve(ModelSpec(7, [LayerSpec("gru", units=33)]))
    for gate in np.split(initial_tensors(graph)["gru0.weight_hh"].astype(np.float64), 3):
        np.testing.assert_allclose(gate @ gate.T, np.eye(33), atol=1e-6)


def test_a_kind_without_a_case_would_be_noticed() -> None:
    registry = dataclasses.replace(FAMILIES["LAYERS"][0], kinds=("gru", "dense"))
    choices = registry.module("gru", "spec").ACTIVATIONS
    assert unexercised(registry, {"gru": [{"reset": "before"}]}) == [
        "option 'activation' of layer 'gru' is in no entry",
        *(f"activation {name!r} of layer 'gru' is in no entry" for name in sorted({*choices} - {"tanh"})),
        "option 'gate_activation' of layer 'gru' is in no entry",
        *(f"gate_activation {name!r} of layer 'gru' is in no entry" for name in sorted({*choices} - {"sigmoid"})),
        "option 'clip' of layer 'gru' is in no entry",
        "layer 'dense' has no entry",
    ]
