"""From spec to graph: edges, tensors, state and cost, counted by hand; and what a saved state must match."""

import hashlib
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError, SpecError
from gatewise.graph import Graph, check_tensors, initial_tensors, resolve, zero_state
from gatewise.layers.base import Array, Edge, Field
from gatewise.spec import LayerSpec, ModelSpec


def detector(**changes: Any) -> ModelSpec:
    """Three columns, held and scaled; GRU of 5; forecast; head."""
    parts: dict[str, Any] = {
        "input": LayerSpec("numeric", width=3, scaling="standard", missing="hold", columns=["a", "b", "c"]),
        "layers": [LayerSpec("gru", units=5), LayerSpec("dense", units=2)],
        "head": LayerSpec("tail_probability", targets=[1], smooth=4),
    }
    return ModelSpec(**{**parts, **changes})


def test_a_detector_counted_by_hand() -> None:
    graph = resolve(detector())
    assert [(node.name, node.reads, node.writes) for node in graph.nodes] == [
        ("input", (0,), 1),
        ("gru0", (1,), 2),
        ("dense0", (2,), 3),
        ("head", (3, 1), 4),
    ]
    assert graph.edges == (Edge(3), Edge(3), Edge(5), Edge(2), Edge(5))
    assert (graph.output, graph.body) == (4, 3)
    assert list(graph.tensors.items()) == [
        ("input.offset", (3,)),
        ("input.scale", (3,)),
        ("gru0.weight_ih", (15, 3)),
        ("gru0.weight_hh", (15, 5)),
        ("gru0.bias_ih", (15,)),
        ("gru0.bias_hh", (15,)),
        ("dense0.weight", (2, 5)),
        ("dense0.bias", (2,)),
        ("head.statistic", (1, 64)),
        ("head.score", (1, 64)),
        ("head.band", (1, 2)),
        ("head.unit", (1, 2)),
        ("head.clip", (3, 2)),
        ("head.range", (3, 4)),
        ("head.factor", (3, 4)),
    ]
    assert graph.state == (
        Field("input.held", "float32", (3,)),
        Field("gru0.hidden", "float32", (5,), bounded=True),
        Field("head.location", "float32", (1,)),
        Field("head.log_scale", "float32", (1,)),
        Field("head.smoothed", "float32", (1,)),
        Field("head.level", "float32", (3, 2)),
        Field("head.pause", "float32", (1,)),
        Field("head.rate_evidence", "float32", (1, 2), evidence=True),
        Field("head.level_evidence", "float32", (3, 2), evidence=True),
    )
    assert graph.state_values == 11 + 15
    assert graph.evidence.tolist() == list(range(18, 26))
    assert graph.state_bytes == 104
    assert graph.macs == 3 * 5 * (3 + 5) + 2 * 5
    assert graph.output_names == ("score", "expected", "low", "high", "extrapolated")
    assert not graph.refuses_missing


def test_edges_go_where_the_sources_say() -> None:
    layers = [
        LayerSpec("gru", "a", units=4),
        LayerSpec("gru", "b", units=5),
        LayerSpec("dense", "c", "a", units=6),
        LayerSpec("dense", "d", "input", units=7),
        LayerSpec("dense", "e", ["b"], units=1),
    ]
    graph = resolve(ModelSpec(3, layers))
    assert [(node.name, node.reads) for node in graph.nodes] == [
        ("a", (0,)),
        ("b", (1,)),
        ("c", (1,)),
        ("d", (0,)),
        ("e", (2,)),
    ]
    assert graph.tensors["d.weight"] == (7, 3)
    assert graph.tensors["e.weight"] == (1, 5)
    assert graph.output_names == ("y0",)


def test_the_scaled_input_is_what_input_means() -> None:
    layers = [LayerSpec("gru", units=4), LayerSpec("dense", sources="input", units=2)]
    graph = resolve(detector(layers=layers))
    assert graph.nodes[2].reads == (1,)
    assert graph.nodes[3].reads == (3, 1)


def test_every_option_is_written_out() -> None:
    spec = resolve(detector()).spec
    assert dict(spec.nodes[0].options) == {
        "units": 5,
        "reset": "after",
        "activation": "tanh",
        "gate_activation": "sigmoid",
        "clip": None,
    }
    assert spec.head is not None
    assert dict(spec.head.options) == {
        "targets": [1],
        "names": None,
        "masked": False,
        "smooth": 4,
        "false_alarms_per_1000": 1.0,
        "df": 5.0,
        "samples": 0,
        "pause": 0,
    }


BASE = detector()
SAME = {
    "other names of columns": detector(input=BASE.input.replace(columns=["x", "y", "z"])),
    "no names of columns": detector(input=BASE.input.replace(columns=None)),
    "another alarm rate": detector(head=LayerSpec("tail_probability", targets=[1], smooth=4, false_alarms_per_1000=5)),
    "calibrated": detector(head=LayerSpec("tail_probability", targets=[1], smooth=4, samples=900, df=3)),
    "options written out": detector(
        layers=[LayerSpec("gru", units=5, reset="after", activation="tanh"), BASE.nodes[1]]
    ),
}
OTHER = {
    "more units": detector(layers=[LayerSpec("gru", units=6), BASE.nodes[1]]),
    "reset before": detector(layers=[LayerSpec("gru", units=5, reset="before"), BASE.nodes[1]]),
    "another activation": detector(layers=[LayerSpec("gru", units=5, activation="relu"), BASE.nodes[1]]),
    "another name": detector(layers=[LayerSpec("gru", "mine", units=5), BASE.nodes[1]]),
    "another edge": detector(layers=[BASE.nodes[0], LayerSpec("dense", sources="input", units=2)]),
    "another layer": detector(layers=[BASE.nodes[0], LayerSpec("gru", units=2)]),
    "no head": detector(head=None),
    "another target": detector(head=LayerSpec("tail_probability", targets=[2], smooth=4)),
    "another smoothing": detector(head=LayerSpec("tail_probability", targets=[1], smooth=5)),
    "no hold": detector(input=BASE.input.replace(missing="raise")),
    "no scaling": detector(input=BASE.input.replace(scaling="none")),
    "another width": detector(input=LayerSpec("numeric", width=4, scaling="standard", missing="hold")),
    "a window": detector(context={"window": 20}),
    "another window": detector(context={"window": 21}),
}


@pytest.mark.parametrize("name", SAME)
def test_a_state_fits_whatever_does_not_touch_it(name: str) -> None:
    assert resolve(SAME[name]).structure == resolve(BASE).structure


def test_a_state_fits_nothing_else() -> None:
    hashes = {name: resolve(spec).structure for name, spec in {"base": BASE, **OTHER}.items()}
    assert len(set(hashes.values())) == len(hashes), hashes


def test_the_structure_is_the_hash_of_this_text() -> None:
    # As docs/format.md says. States saved by any version must go on loading: if this fails, format 1 is broken.
    text = (
        '{"context":"carried","nodes":['
        '["input","numeric",[0],1,{"missing":"hold","scaling":"standard","width":3}],'
        '["gru0","gru",[1],2,{"units":5}],["dense0","dense",[2],3,{"units":2}],'
        '["head","tail_probability",[3,1],4,{"smooth":4,"targets":[1]}]],'
        '"state":[["input.held","float32",[3]],["gru0.hidden","float32",[5]],["head.location","float32",[1]],'
        '["head.log_scale","float32",[1]],["head.smoothed","float32",[1]],["head.level","float32",[3,2]],'
        '["head.pause","float32",[1]],["head.rate_evidence","float32",[1,2]],["head.level_evidence","float32",[3,2]]],'
        '"width":3}'
    )
    assert resolve(BASE).structure == hashlib.sha256(text.encode()).hexdigest()


def tensors() -> tuple[Graph, dict[str, Array]]:
    graph = resolve(BASE)
    return graph, initial_tensors(graph)


def test_tensors_are_copied_and_frozen() -> None:
    graph, given = tensors()
    given["gru0.weight_ih"] = np.asfortranarray(given["gru0.weight_ih"])
    checked = check_tensors(graph, given)
    given["gru0.bias_ih"][:] = 7
    assert not checked["gru0.bias_ih"].any()
    assert list(checked) == list(graph.tensors)
    for name, value in checked.items():
        assert value.flags.c_contiguous, name
        with pytest.raises(ValueError, match="read-only"):
            value[...] = 0


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("gru0.bias_ih", np.zeros(15), r"'gru0.bias_ih' must be float32 \(15,\), got float64 \(15,\)"),
        ("gru0.bias_ih", np.zeros(15, np.float16), "got float16"),
        ("gru0.bias_ih", np.zeros(15, ">f4"), "must be float32"),
        ("gru0.bias_ih", np.zeros((15, 1), np.float32), r"got float32 \(15, 1\)"),
        ("gru0.bias_ih", np.zeros(14, np.float32), r"got float32 \(14,\)"),
        ("gru0.bias_ih", [0.0] * 15, "got float64"),
        ("gru0.bias_ih", np.full(15, np.nan, np.float32), "holds 15 non-finite values"),
        ("gru0.weight_hh", np.full((15, 5), -np.inf, np.float32), "'gru0.weight_hh' holds 75 non-finite values"),
        ("gru0.bias", np.zeros(15, np.float32), "'gru0.bias' belongs to no layer"),
        ("input.scale", np.array([1, 0, 1], np.float32), "'input': scale of column 1 must be positive, got 0"),
        ("input.scale", np.array([1, 1, -2], np.float32), "scale of column 2 must be positive, got -2"),
        ("head.statistic", np.zeros((1, 64), np.float32), "'head': the table .* must start at .0, 0. and ascend"),
        ("head.unit", np.zeros((1, 2), np.float32), "the scale of a target's unit must be positive"),
    ],
)
def test_tensors_that_do_not_fit(name: str, value: Any, words: str) -> None:
    graph, given = tensors()
    with pytest.raises(SpecError, match=words):
        check_tensors(graph, {**given, name: value})


def test_a_missing_tensor_is_named() -> None:
    graph, given = tensors()
    del given["dense0.bias"], given["head.unit"]
    with pytest.raises(SpecError, match=r"tensor 'dense0.bias' is missing \(2 of 15 are\)"):
        check_tensors(graph, given)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (ModelSpec(1 << 16, [LayerSpec("gru", units=1 << 14)]), "gru0.weight_ih would have shape .49152, 65536."),
        (
            ModelSpec(1, [LayerSpec("dense", units=1 << 16), LayerSpec("dense", units=1 << 16)]),
            "dense1.weight would have",
        ),
        (detector(layers=[LayerSpec("gru", units=5)]), "a last layer of 2 units .* got widths .5, 3."),
        (detector(head=LayerSpec("tail_probability", targets=[3])), "target is column 3, but the input has 3 columns"),
        (ModelSpec(0, [LayerSpec("gru", units=1)]), "width must be a whole number from 1"),
        (ModelSpec(2, [LayerSpec("dense", sources=["input", "input"], units=1)]), "dense reads one edge, got 2"),
    ],
)
def test_graphs_that_cannot_be(spec: ModelSpec, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        resolve(spec)


def test_the_zero_state_has_every_field() -> None:
    graph = resolve(BASE)
    state = zero_state(graph, 7)
    assert {name: (value.dtype.name, value.shape) for name, value in state.items()} == {
        field.name: ("float32", (7, *field.shape)) for field in graph.state
    }
    assert not any(value.any() for value in state.values())


@pytest.mark.parametrize("seed", [-1, "a", 1.5, None, True])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(InputError, match="whole number"):
        initial_tensors(resolve(detector()), seed)


def test_only_a_spec_describes_a_model() -> None:
    with pytest.raises(SpecError, match="ModelSpec, got 'gru'"):
        resolve("gru")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [False, 0.0, -1])
@pytest.mark.parametrize("option", ["targets", "samples"])
def test_a_count_from_zero_is_a_whole_number(option: str, value: Any) -> None:
    head = LayerSpec("tail_probability", **{option: [value] if option == "targets" else value})
    with pytest.raises(SpecError, match=r"(a target|samples) must be a whole number from 0"):
        resolve(detector(head=head))
