"""Hostile ONNX files: each is refused by name, soon, within bounded memory, and no other file is read."""

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from gatewise import importers
from gatewise.errors import GatewiseError
from gatewise.importers.onnx.wire import begins_as_model
from importers.onnx_files import LSTM, UNITS, before, model, node
from importers.refusing import refused, refused_within_a_gibibyte

NODE = node("LSTM", "x W R B", "y", hidden_size=UNITS)


def good() -> onnx.ModelProto:
    nodes, constants = before()
    return model([*nodes[:3], nodes[4], node("Relu", "last", "y")], constants)


def changed(change: Callable[[onnx.ModelProto], object]) -> bytes:
    made = model([NODE], LSTM, {"x": (5, 2, 4)})
    change(made)
    return made.SerializeToString()


def weights(made: onnx.ModelProto) -> TensorProto:
    return made.graph.initializer[0]


def external(made: onnx.ModelProto, location: str) -> None:
    tensor = weights(made)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location


def lstm(**attributes: Any) -> bytes:
    return model([node("LSTM", "x W R B", "y", hidden_size=UNITS, **attributes)], LSTM).SerializeToString()


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def nested(depth: int) -> bytes:
    """A graph in an attribute of a node of a graph, and so on."""
    content = b""
    for _ in range(depth):
        content = field(1, field(5, field(6, content)))
    return HEAD + field(7, content)


HEAD = b"\x08\x08" + field(8, b"\x10\x11")
ATTACKS: dict[str, tuple[Callable[[], bytes], str]] = {
    "another file": (lambda: changed(lambda m: external(m, "../../etc/passwd")), "in another file, '../../etc/passwd'"),
    "huge shape": (lambda: changed(lambda m: weights(m).dims.__setitem__(0, 1 << 40)), "damaged"),
    "negative shape": (lambda: changed(lambda m: weights(m).dims.__setitem__(0, -1)), "has the shape .-1"),
    "NaN": (lambda: changed(lambda m: m.graph.initializer[0].CopyFrom(
        onnx.numpy_helper.from_array(np.full_like(LSTM["W"], np.nan), "W"))), "'W' has numbers that are not finite"),
    "texts as weights": (
        lambda: changed(lambda m: setattr(weights(m), "data_type", TensorProto.STRING)), "a type that is not"
    ),
    "sparse": (lambda: changed(lambda m: m.graph.sparse_initializer.add()), "graph has the field 15"),
    "functions": (lambda: changed(lambda m: m.graph.node.add().CopyFrom(helper.make_node("f", [], [], domain="own"))),
                  "of own, no standard operator"),
    "a graph in a node": (lambda: changed(lambda m: m.graph.node.add().CopyFrom(
        helper.make_node("If", ["x"], ["z"], then_branch=m.graph))), "a graph or another unusual value"),
    "training": (lambda: HEAD + field(20, b""), "model has the field 20"),
    "many nodes": (lambda: HEAD + field(7, field(1, b"") * 150_000), "more than 100,000 fields"),
    "many inputs": (lambda: HEAD + field(7, field(1, field(1, b"") * 300_000)), "more than 100,000 fields"),
    "many whole numbers": (
        lambda: HEAD + field(7, field(5, b"\x10\x07" + field(7, bytes(1 << 21)))), "bytes of int64_data, more than"
    ),
    "deep": (lambda: nested(60), "nested more than 40 deep"),
    "cut off": (lambda: good().SerializeToString()[:-100], "cut off or damaged"),
    "endless number": (lambda: HEAD + field(7, b"\x0a" + b"\xff" * 20), "more than 10 bytes"),
    "unknown type": (lambda: HEAD + field(7, b"\x3f"), "has the type 7"),
    "no graph": (lambda: HEAD, "the graph has no output"),
    "huge zero state": (
        lambda: model(
            [node("ConstantOfShape", "n", "h"), node("LSTM", "x W R B - h h", "y", hidden_size=UNITS)],
            {**LSTM, "n": np.array([1 << 20, 1 << 20, UNITS])}, {"x": (5, 2, 4)},
        ).SerializeToString(),
        "asks for the shape",
    ),
    "huge constant": (
        lambda: model(
            [node("Expand", "z n", "h"), node("LSTM", "x W R B - h h", "y", hidden_size=UNITS)],
            {**LSTM, "z": np.zeros(1, np.float32), "n": np.array([1 << 40, 2, UNITS])}, {"x": (5, 2, 4)},
        ).SerializeToString(),
        "asks for the shape",
    ),
    "huge input": (
        lambda: model(
            [NODE, node("Gather", "y i", "z")], {**LSTM, "i": np.array(-1)}, {"x": (1 << 40, 1 << 40, 4)}, ["z"]
        ).SerializeToString(),
        "context must be",
    ),
    "doubled again and again": (
        lambda: model(
            [node("Concat", f"d{i} d{i}", f"d{i + 1}", axis=0) for i in range(60)] + [node("Add", "x d60", "y")],
            {"d0": np.ones(4, np.float32)}, {"x": (5, 2, 4)},
        ).SerializeToString(),
        "make more than 8,388,608 constant numbers",
    ),
    "identity matrices": (
        lambda: model(
            [
                *(NODE, node("Squeeze", "y i", "s")),
                *(node("MatMul", "s w", "a"), node("Relu", "a", "b"), node("Relu", "b", "z")),
            ],
            {**LSTM, "i": np.array([1]), "w": np.ones((UNITS, 60_000), np.float32)}, {"x": (5, 2, 4)}, ["z"],
        ).SerializeToString(),
        "matrices of 3,600,000,000 numbers",
    ),
    "nodes in a row": (
        lambda: model(
            [NODE, *(node("Relu", "y" if i == 0 else f"r{i}", f"r{i + 1}") for i in range(10_000))],
            LSTM, {"x": (5, 2, 4)}, ["r10000"],
        ).SerializeToString(),
        "10001 nodes in a row, and at most 500",
    ),
    "states doubled": (
        lambda: model(
            [
                node("LSTM", "x W R B", "y s0", hidden_size=UNITS),
                *(node("Concat", f"s{i} s{i}", f"s{i + 1}", axis=0) for i in range(60)),
                node("Gather", "s60 i", "z"),
            ],
            {**LSTM, "i": np.array(0)}, {"x": (5, 2, 4)}, ["z"],
        ).SerializeToString(),
        "joins several computed values",
    ),
    "attributes of another type": (
        lambda: changed(lambda m: m.graph.node[0].attribute[0].CopyFrom(helper.make_attribute("hidden_size", "six"))),
        "hidden_size six|do not fit",
    ),
    "an unknown value": (lambda: model([node("LSTM", "z W R B", "y", hidden_size=UNITS)], LSTM).SerializeToString(),
                         "reads 'z', which nothing before it gives"),
    "a name given twice": (
        lambda: model([NODE, node("Relu", "y", "W")], LSTM, {"x": (5, 2, 4)}, ["y"]).SerializeToString(),
        "gives 'W', which something before it has given",
    ),
    "an unknown attribute": (
        lambda: lstm(magic=1), "attribute 'magic', which gatewise does not know"
    ),
    "a weight of another shape": (
        lambda: model([NODE], {**LSTM, "R": LSTM["R"][:, 1:]}).SerializeToString(), "input 2 has the shape .1, 23, 6."
    ),
    "too many activations": (lambda: lstm(activations=["Tanh"] * 4), "has 4 activations"),
    "an unknown activation": (lambda: lstm(activations=["Sin"] * 3), "activation 'Sin'"),
    "a direction": (lambda: lstm(direction="up"), "direction 'up'"),
    "values of no activation": (lambda: lstm(activation_alpha=[1.0]), "more values of"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_file_is_refused(name: str, tmp_path: Path) -> None:
    make, words = ATTACKS[name]
    path = tmp_path / "model.onnx"
    path.write_bytes(make())
    refused(path, words)


def test_the_good_file_that_is_changed_is_good(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(good().SerializeToString())
    importers.load(tmp_path / "model.onnx")


def test_memory_stays_within_a_gibibyte(tmp_path: Path) -> None:
    paths = []
    for number, name in enumerate(
        name for name in ATTACKS if name.startswith(("huge", "many", "deep", "doubled", "identity"))
    ):
        paths.append(tmp_path / f"{number}.onnx")
        paths[-1].write_bytes(ATTACKS[name][0]())
    refused_within_a_gibibyte(paths)


@pytest.mark.parametrize("length", range(1, 40))
def test_a_model_is_recognised_by_any_part_of_its_beginning(length: int) -> None:
    data = good().SerializeToString()
    assert begins_as_model(data[: 4 + length])


@pytest.mark.parametrize(
    "head", [b"", b"\x08", b"\x08\x00\x12", b"\x08\xff\xff", b"PK\x03\x04", b'{"a"', b"\x08\x08\x09"]
)
def test_other_files_are_not_recognised(head: bytes) -> None:
    assert not begins_as_model(head)


GOOD = good().SerializeToString()


@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.binary(min_size=1, max_size=6)), min_size=1, max_size=5))
def test_changed_bytes_raise_only_our_errors(changes: list[tuple[int, bytes]]) -> None:
    found = bytearray(GOOD)
    for at, new in changes:
        found[at % len(found) : at % len(found) + len(new)] = new
    opened(bytes(found))


TEXT = [at for at in range(len(GOOD)) if 32 < GOOD[at] < 127 or GOOD[at] < 16]
"""Where names, types and small numbers are, rather than weights."""


@given(st.lists(st.tuples(st.sampled_from(TEXT), st.integers(0, 127)), min_size=1, max_size=3))
def test_changed_names_and_numbers_raise_only_our_errors(changes: list[tuple[int, int]]) -> None:
    found = bytearray(GOOD)
    for at, new in changes:
        found[at] = new
    opened(bytes(found))


@given(st.binary(max_size=100))
def test_any_bytes_raise_only_our_errors(data: bytes) -> None:
    opened(HEAD + data)


def opened(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(GatewiseError, OSError):
            importers.load(file.name)
