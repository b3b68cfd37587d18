"""ModelSpec and LayerSpec: plain data that cannot change, in and out of JSON, refused in words where it cannot be."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gatewise as gw
from gatewise.errors import SpecError
from gatewise.graph import resolve
from gatewise.spec import MOST_DEPTH, MOST_JSON, LayerSpec, ModelSpec, canonical_json, parse_json
from hostile.attacks import SPECS

GRU = LayerSpec("gru", units=4)
DENSE = LayerSpec("dense", units=2)


def test_the_shorthand() -> None:
    spec = ModelSpec(inputs=16, layers=[LayerSpec("gru", units=64), LayerSpec("dense", units=3)])
    assert spec.input == LayerSpec("numeric", name="input", width=16)
    assert [node.name for node in spec.nodes] == ["gru0", "dense0"]
    assert spec.head is None
    assert spec.context == "carried"


def test_layers_are_named_by_kind_and_count() -> None:
    spec = ModelSpec(1, [GRU, DENSE, GRU, LayerSpec("gru", name="mine", units=1), GRU])
    assert [node.name for node in spec.nodes] == ["gru0", "dense0", "gru1", "mine", "gru3"]


def test_the_canonical_text_is_this_one() -> None:
    # Hashes and files depend on it: it must not change.
    spec = ModelSpec(
        input=LayerSpec("numeric", width=1, columns=["\u00e9\n"]),
        layers=[GRU, LayerSpec("dense", name="out", sources=["gru0"], units=2)],
        head=LayerSpec("tail_probability", smooth=12, df=5.5),
        context={"window": 96},
    )
    assert spec.to_json() == (
        '{"context":{"window":96},"format":1,"head":{"df":5.5,"kind":"tail_probability","smooth":12},'
        '"input":{"columns":["\\u00e9\\n"],"kind":"numeric","width":1},'
        '"nodes":[{"kind":"gru","name":"gru0","units":4},{"from":["gru0"],"kind":"dense","name":"out","units":2}]}'
    )


def test_equal_specs_are_equal_whatever_the_order_of_options() -> None:
    one = ModelSpec(2, [LayerSpec("gru", units=4, reset="before")])
    other = ModelSpec(
        input=LayerSpec("numeric", width=2), layers=[LayerSpec("gru", "gru0", (), reset="before", units=4)]
    )
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other}) == 1
    assert one != ModelSpec(2, [LayerSpec("gru", units=4)])
    assert one != ModelSpec(2, [LayerSpec("gru", units=4, reset="before")], context={"window": 5})
    assert one != "spec"


def test_equal_means_equal_hash() -> None:
    assert LayerSpec("gru", units=3) != LayerSpec("gru", units=3.0)
    assert LayerSpec("gru", units=1) != LayerSpec("gru", units=True)
    assert LayerSpec("gru", units=3) == LayerSpec("gru", units=3)
    assert hash(LayerSpec("gru", units=3)) == hash(LayerSpec("gru", units=3))


@pytest.mark.parametrize("value", [GRU, ModelSpec(2, [GRU], context={"window": 3})], ids=["LayerSpec", "ModelSpec"])
def test_a_spec_cannot_change_and_can_be_copied(value: Any) -> None:
    for name in ("kind", "nodes", "options", "anything"):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(value, name, 1)
    for again in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert again == value
        assert repr(again) == repr(value)


def test_options_are_read_only_and_not_those_handed_in() -> None:
    columns = ["a", "b"]
    layer = LayerSpec("numeric", width=2, columns=columns)
    columns.append("c")
    assert layer.options["columns"] == ["a", "b"]
    with pytest.raises(TypeError):
        layer.options["width"] = 3  # type: ignore[index]
    context = {"window": 3}
    spec = ModelSpec(1, [GRU], context=context)
    context["window"] = 5
    assert spec.context == {"window": 3}


def test_replace() -> None:
    assert GRU.replace(units=5, name="x") == LayerSpec("gru", "x", units=5)
    assert GRU.replace(sources=["input"]).sources == ("input",)
    spec = ModelSpec(2, [GRU], head=None)
    assert spec.replace(context={"window": 2}).context == {"window": 2}
    assert spec.replace(layers=[DENSE]).nodes[0].kind == "dense"
    assert spec == ModelSpec(2, [GRU])


def test_repr_is_python_that_makes_it_again() -> None:
    spec = ModelSpec(
        2, [GRU, LayerSpec("dense", "out", ["gru0"], units=2)], head=LayerSpec("tail_probability", smooth=3)
    )
    assert eval(repr(spec), {"ModelSpec": ModelSpec, "LayerSpec": LayerSpec}) == spec


@pytest.mark.parametrize("name", SPECS)
def test_what_cannot_be_is_refused_in_words(name: str) -> None:
    plain, words = SPECS[name]
    with pytest.raises(SpecError, match=words):
        resolve(ModelSpec.from_json(json.dumps(plain)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no valid JSON"),
        ("{", "is no valid JSON"),
        ("nul", "is no valid JSON"),
        ('{"a": NaN}', "NaN is not allowed"),
        ('{"a": -Infinity}', "-Infinity is not allowed"),
        ('{"a": 1e999}', "1e999 is too large"),
        ('{"a": 1, "a": 1}', "a key stands twice"),
        ("[" * 33 + "]" * 33, "nested 33 deep, more than 32"),
        ('{"a":' * 100_000, "nested 100000 deep"),
        ("[" * 500_000, "nested 500000 deep"),
        ("]" * 500_000, "is no valid JSON"),
        ("9" * 5000, "is no valid JSON"),
        ('"' + "\\" * 500_000, "is no valid JSON"),
        ('"' + '\\"' * 500_000, "is no valid JSON"),
        ('"' * 500_001, "is no valid JSON"),
        ('"\ud800', "is no valid JSON"),
        ("\x00", "is no valid JSON"),
        (" " * (MOST_JSON + 1), "1048577 characters of JSON, more than 1048576"),
    ],
    ids=range(18),
)
def test_hostile_json(text: str, words: str) -> None:
    # Each costs its length. What costs its square would run into the time limit of the whole suite.
    with pytest.raises(SpecError, match=f"the model description .*{words}"):
        ModelSpec.from_json(text)


def test_brackets_in_strings_are_not_depth() -> None:
    text = json.dumps({"a": "[" * 100 + '\\"[[[', "b": ['"', "]]]"]})
    assert parse_json(text, "test") == json.loads(text)
    assert parse_json("[" * MOST_DEPTH + "]" * MOST_DEPTH, "test") is not None


@settings(max_examples=100)
@given(text=st.text(alphabet='{}[]"\\,:0123456789.eE+-truefalsn \n', max_size=60))
def test_parse_json_agrees_with_json(text: str) -> None:
    try:
        wanted = json.loads(text, parse_constant=lambda name: 1 / 0)
    except (ValueError, ZeroDivisionError):
        with pytest.raises(SpecError):
            parse_json(text, "test")
        return
    try:
        assert parse_json(text, "test") == wanted
    except SpecError as error:
        # Stricter than json in these two only.
        assert "stands twice" in str(error) or "too large" in str(error)  # noqa: PT017


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), b"x", 1j, [[float("nan")]]], ids=repr)
def test_options_are_plain_json(value: Any) -> None:
    with pytest.raises(SpecError, match="option units must be a plain JSON value"):
        LayerSpec("gru", units=value)


def test_endless_options_are_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(SpecError, match="option units must be a plain JSON value"):
        LayerSpec("gru", units=endless)


def test_the_constructor_is_refused_in_words() -> None:
    for make, words in (
        (lambda: ModelSpec(layers=[GRU]), "either inputs .* or input"),
        (lambda: ModelSpec(2, [GRU], input=LayerSpec("numeric", width=2)), "either inputs .* or input"),
        (lambda: ModelSpec(2), "1 to 1000 layers, got 0"),
        (lambda: ModelSpec(2, ["gru"]), "a layer must be a LayerSpec, got 'gru'"),  # type: ignore[list-item]
        (lambda: ModelSpec(2, [GRU], head="softmax"), "head must be a LayerSpec"),  # type: ignore[arg-type]
        (lambda: ModelSpec(2, [GRU], head=LayerSpec("tail_probability", name="x")), "head takes no name"),
        (lambda: LayerSpec("gru", name="a b", units=1), "name must be an identifier"),
        (lambda: LayerSpec("gru", sources=[1], units=1), "must be names of nodes"),  # type: ignore[list-item]
        (lambda: LayerSpec(5, units=1), "kind must be the name of a layer"),  # type: ignore[arg-type]
    ):
        with pytest.raises(SpecError, match=words):
            make()


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True).filter(lambda name: name not in ("input", "head"))
ACTIVATIONS = st.sampled_from(["tanh", "sigmoid", "relu", "linear"]) | st.builds(
    lambda slope, offset: {"kind": "hard_sigmoid", "slope": slope, "offset": offset},
    st.floats(1e-6, 1e6),
    st.floats(-1e6, 1e6) | st.integers(-5, 5),
)


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    """Any spec that can be."""
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    nodes: list[LayerSpec] = []
    for i, name in enumerate(names):
        sources = draw(st.just(()) | st.sampled_from(["input", *names[:i]]).map(lambda source: (source,)))
        units = draw(st.integers(1, 40))
        if draw(st.booleans()):
            options = {"reset": draw(st.sampled_from(["after", "before"])), "gate_activation": draw(ACTIVATIONS)}
            nodes.append(LayerSpec("gru", name, sources, units=units, activation=draw(ACTIVATIONS), **options))
        else:
            nodes.append(LayerSpec("dense", name, sources, units=units))
    width = draw(st.integers(1, 5))
    columns = draw(st.none() | st.lists(st.text(max_size=5), min_size=width, max_size=width, unique=True))
    scaling, missing = draw(st.sampled_from(["none", "standard"])), draw(st.sampled_from(["raise", "hold", "mask"]))
    stage = LayerSpec("numeric", width=width, columns=columns, scaling=scaling, missing=missing)
    head = None
    if draw(st.booleans()):
        nodes[-1] = nodes[-1].replace(units=2)
        target, smooth = draw(st.integers(0, width - 1)), draw(st.integers(1, 99))
        head = LayerSpec("tail_probability", targets=[target], smooth=smooth, masked=missing == "mask")
    context = draw(st.just("carried") | st.integers(1, 1000).map(lambda window: {"window": window}))
    return ModelSpec(input=stage, layers=nodes, head=head, context=context)


@settings(max_examples=100)
@given(spec=specs())
def test_json_there_and_back(spec: ModelSpec) -> None:
    text = spec.to_json()
    again = ModelSpec.from_json(text)
    assert again == spec
    assert again.to_json() == text == canonical_json(json.loads(text))
    assert text.isascii()
    loose = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    assert ModelSpec.from_json(loose) == spec


@settings(max_examples=100)
@given(spec=specs())
def test_resolving_writes_out_every_option_once_and_for_all(spec: ModelSpec) -> None:
    graph = resolve(spec)
    again = resolve(graph.spec)
    assert again.spec == graph.spec
    assert again.structure == graph.structure
    assert again.tensors == graph.tensors
    assert again.state == graph.state
    assert ModelSpec.from_json(graph.spec.to_json()) == graph.spec


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
)


@settings(max_examples=100)
@given(value=JSON)
def test_any_json_is_a_spec_or_refused(value: Any) -> None:
    with pytest.raises(SpecError):
        resolve(ModelSpec.from_json(json.dumps(value)))


def test_the_index_exports_them() -> None:
    assert gw.ModelSpec is ModelSpec
    assert gw.LayerSpec is LayerSpec


@pytest.mark.parametrize(
    "make",
    [
        lambda: ModelSpec(inputs=1, layers=None),  # type: ignore[arg-type]
        lambda: ModelSpec(inputs=1, layers=LayerSpec("dense", units=1)),  # type: ignore[arg-type]
        lambda: LayerSpec("gru", sources=5),  # type: ignore[arg-type]
        lambda: ModelSpec.from_json(b"{}"),  # type: ignore[arg-type]
        lambda: ModelSpec.from_json(None),  # type: ignore[arg-type]
    ],
)
def test_arguments_of_another_type_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(SpecError, match="must"):
        make()


def test_layers_may_come_from_a_generator() -> None:
    spec = ModelSpec(inputs=1, layers=(LayerSpec("dense", units=n) for n in (2, 1)))
    assert [node.name for node in spec.nodes] == ["dense0", "dense1"]
