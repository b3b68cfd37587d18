"""Hostile files of torch and JSON: each is refused by name, soon, within bounded memory, and nothing in it runs."""

import contextlib
import io
import json
import os
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

from gatewise import importers
from gatewise.errors import FileError, GatewiseError
from gatewise.importers.torch.scan import MOST_OPCODES
from importers.refusing import refused, refused_within_a_gibibyte

SPEC = {"order": ["module"], "last": False}


def saved(**options: Any) -> bytes:
    out = io.BytesIO()
    torch.save(nn.GRU(2, 3).state_dict(), out, **options)
    return out.getvalue()


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(changed: dict[str, bytes], compress: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of torch with some members changed or added."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compress) as made:
        for name, value in {**members(saved()), **changed}.items():
            made.writestr(name, value)
    return out.getvalue()


PICKLE = members(saved())["archive/data.pkl"]


class Runs:
    """An object that runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def with_pickle(*parts: bytes) -> bytes:
    return archive({"archive/data.pkl": b"\x80\x02" + b"".join(parts) + b"."})


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def storage(count: bytes, kind: bytes = b"ctorch\nFloatStorage\n", key: str = "0") -> bytes:
    """A persistent reference to a storage of `count` numbers, as an opcode that pushes it."""
    return b"(" + text("storage") + kind + text(key) + text("cpu") + count + b"tQ"


HUGE = b"\x8a\x08" + (1 << 60).to_bytes(8, "little")
ZEROS = {f"archive/data/{i}": bytes(1 << 24) for i in range(4)}
ATTACKS: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "runs a command": (lambda p: archive({"archive/data.pkl": pickle.dumps(Runs(p), 2)}), "posix.system"),
    "runs a command, old": (
        lambda p: saved(_use_new_zipfile_serialization=False)[:15] + pickle.dumps(Runs(p), 2),
        "posix",
    ),
    "a pickle": (lambda p: pickle.dumps(Runs(p)), "does not read pickles"),
    "getattr": (lambda p: with_pickle(b"cbuiltins\ngetattr\n"), "object of builtins.getattr"),
    "a nested name": (lambda p: with_pickle(b"ctorch\nserialization.os.system\n"), "object of torch.serialization.os"),
    "a bytearray": (lambda p: with_pickle(b"cbuiltins\nbytearray\n", HUGE, b"\x85R"), "object of builtins.bytearray"),
    "calls a storage": (lambda p: with_pickle(b"ctorch\nFloatStorage\n", HUGE, b"\x85R"), "calls 'torch FloatStorage'"),
    "calls a text": (lambda p: with_pickle(text("collections OrderedDict"), b")R"), "its pickle calls"),
    "makes an object": (lambda p: with_pickle(b"ctorch\nSize\n)\x81"), "opcode NEWOBJ"),
    "sets a state": (lambda p: with_pickle(b"]}b"), "sets the state of an object"),
    "changes a tuple": (lambda p: with_pickle(b")K\x00K\x00s"), "changes something that is no list or dict"),
    "stack underflow": (lambda p: with_pickle(b"t"), "damaged: IndexError"),
    "unknown memo": (lambda p: with_pickle(b"h\x07"), "damaged: KeyError"),
    "protocol 4": (lambda p: archive({"archive/data.pkl": pickle.dumps({}, 4)}), "protocol 4"),
    "endless pickle": (lambda p: with_pickle(b"N" * (MOST_OPCODES + 10)), "more than 200,000 opcodes"),
    "huge storage": (lambda p: with_pickle(storage(HUGE)), "declares 4,611,686,018,427,387,904 bytes"),
    "negative storage": (lambda p: with_pickle(storage(b"J\xff\xff\xff\xff")), "storage that cannot be"),
    "storage of no data": (lambda p: with_pickle(storage(b"K\x01", key="77")), "declares 4 bytes.*have 0"),
    "storage in memory": (
        lambda p: with_pickle(storage(b"K\x01", b"ctorch.storage\nUntypedStorage\n")),
        "UntypedStorage",
    ),
    "other persistent id": (lambda p: with_pickle(text("http://x"), b"Q"), "no storage of a tensor"),
    "zip bomb": (lambda p: archive(ZEROS, zipfile.ZIP_DEFLATED), "is compressed"),
    "path out of the archive": (lambda p: archive({"../../etc/passwd": b"x"}), r"several folders, \['..', 'archive'"),
    "two folders": (lambda p: archive({"other/data/0": b"x"}), "several folders"),
    "TorchScript": (lambda p: archive({"archive/code/__torch__.py": b"x"}), "TorchScript archive, which holds code"),
    "cut off": (lambda p: saved()[:-30], "cut off"),
    "no data.pkl": (
        lambda p: saved().replace(b"archive/data.pkl", b"archive/data.pkx"),
        "format is not known",
    ),
    "old and huge": (
        lambda p: (
            saved(_use_new_zipfile_serialization=False)[:137].ljust(137)
            + b"\x80\x02"
            + storage(HUGE)
            + b"."
            + b"\x80\x02]."
        ),
        "declare 4,611,686,018,427,387,904 bytes, more than the file",
    ),
    "old and cut off": (lambda p: saved(_use_new_zipfile_serialization=False)[:300], "damaged"),
    "safetensors cut off": (lambda p: (64).to_bytes(8, "little") + b'{"a":', "damaged"),
    "safetensors and huge": (
        lambda p: (
            b"\x54\0\0\0\0\0\0\0"
            + b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'.ljust(84)
        ),
        "damaged",
    ),
    "NaN in safetensors": (
        lambda p: safetensors.numpy.save({"f.weight": np.full((1, 1), np.nan, np.float32)}),
        "'f.weight' has numbers that are not finite",
    ),
    "deep JSON": (lambda p: b'{"in_shape":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "nested"),
    "JSON of brackets": (lambda p: b'{"layers":[' + b"[]," * 1_000_000 + b"[]]}", "more than 200,000 brackets"),
    "JSON of numbers": (lambda p: b'{"a": [' + b"0.1," * 1_500_000 + b"1]}", "more than 1,000,000 numbers"),
    "JSON with NaN": (lambda p: b'{"lstm.weight_ih_l0": [[NaN]]}', "NaN is not allowed"),
    "JSON with a huge number": (lambda p: b'{"lstm.weight_ih_l0": [[1e999]]}', "too large"),
    "JSON that is ragged": (lambda p: b'{"lstm.weight_ih_l0": [[1.0], [1.0, 2.0]]}', "different lengths"),
    "JSON with texts": (lambda p: b'{"lstm.weight_ih_l0": [["a"]]}', "not all entries are finite numbers"),
    "JSON and huge": (
        lambda p: b'{"in_shape": [1], "layers": [{"type": "dense", "shape": [65537], "weights": []}]}',
        "shape",
    ),
    "JSON that claims much": (
        lambda p: b'{"in_shape": [60000], "layers": [{"type": "dense", "shape": [60000], "weights": [[[1]], [1]]}]}',
        r"have the shape \(1, 1\), expected \(60000, 60000\)",
    ),
    "JSON that is no text": (lambda p: b'{"\xff": 1}', "no text in UTF-8"),
    "a list": (lambda p: b"[1]", "format is not known"),
    "empty": (lambda p: b"", "format is not known"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_file_is_refused_and_does_nothing(name: str, tmp_path: Path) -> None:
    make, words = ATTACKS[name]
    proof, path = tmp_path / "ran", tmp_path / "file"
    path.write_bytes(make(proof))
    spec = None if b'"layers"' in path.read_bytes()[:1000] else SPEC
    refused(path, words, spec)
    assert not proof.exists()


def test_a_whole_module_is_refused_with_the_way_out(tmp_path: Path) -> None:
    torch.save(nn.GRU(2, 3), tmp_path / "module.pt")
    with pytest.raises(
        FileError, match=r"an object of torch.nn.modules.rnn.GRU.*torch.save\(model.state_dict\(\), 'weights.pth'\)"
    ):
        importers.load(tmp_path / "module.pt")


def test_values_that_contain_each_other_many_times(tmp_path: Path) -> None:
    """Each dict holds the one before twice: 2^60 paths."""
    value: Any = {"f.weight": torch.ones(2, 2)}
    for _ in range(60):
        value = {"a": value, "b": value}
    torch.save(value, tmp_path / "w.pt")
    with pytest.raises(FileError, match="no state dict in the file"):
        importers.load(tmp_path / "w.pt", SPEC)


def test_memory_stays_within_a_gibibyte(tmp_path: Path) -> None:
    names = (
        "huge storage",
        "old and huge",
        "zip bomb",
        "endless pickle",
        "deep JSON",
        "JSON of brackets",
        "safetensors and huge",
    )
    paths = []
    for number, name in enumerate(names):
        paths.append(tmp_path / str(number))
        paths[-1].write_bytes(ATTACKS[name][0](tmp_path / "ran"))
    refused_within_a_gibibyte(paths, SPEC)


BYTES = [saved(), saved(_use_new_zipfile_serialization=False), b'{"in_shape": [1], "layers": []}']
BYTES.append(json.dumps({"lstm.weight_ih_l0": [[0.5]] * 4, "lstm.weight_hh_l0": [[0.5]] * 4}).encode())


@given(st.sampled_from(BYTES), st.lists(st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=8)), max_size=6))
@example(BYTES[0], [])
def test_changed_bytes_raise_only_our_errors(data: bytes, changes: list[tuple[int, bytes]]) -> None:
    found = bytearray(data)
    for at, new in changes:
        found[at % len(found) : at % len(found) + len(new)] = new
    opened(bytes(found))


NAMES = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked", "weight_ih", "weight_hh", "bias_ih"]
NAMES += [
    f"{name}_l{i}{way}" for name in (*NAMES[5:], "bias_hh", "weight_hr") for i in (0, 1) for way in ("", "_reverse")
]
MODULES = st.sampled_from(["a", "module.a", "b.0", ""])
SHAPES = st.lists(st.integers(0, 4), max_size=3)


@given(st.dictionaries(st.tuples(MODULES, st.sampled_from(NAMES)), SHAPES, max_size=6))
def test_any_tensors_raise_only_our_errors(shapes: dict[tuple[str, str], list[int]]) -> None:
    tensors = {".".join(filter(None, names)): np.ones(shape, np.float32) for names, shape in shapes.items()}
    for order in (["a"], ["module", "b.0"]):
        opened(safetensors.numpy.save(tensors), {"order": order, "last": False})


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"PK\x03\x04", BYTES[1][:15], b"\x80\x02", b"{", b"\x40\0\0\0\0\0\0\0{"]),
)
def test_any_bytes_raise_only_our_errors(data: bytes, head: bytes) -> None:
    opened(head + data)


def opened(data: bytes, spec: Any = SPEC) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(GatewiseError, OSError):
            importers.load(file.name, spec)
