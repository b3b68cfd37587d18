"""The model file: its bytes are those of docs/format.md, read here with json, struct and hashlib; writes are whole."""

import errno
import hashlib
import json
import os
import stat
import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

import gatewise as gw
from conformance.cases import CASES, Case, tensors
from gatewise.errors import FileError, SpecError
from gatewise.file import (
    ModelFile,
    atomic_write,
    check_writable,
    digest,
    read_model,
    seal,
    unseal,
    verify,
    write_model,
)
from gatewise.graph import initial_tensors, resolve
from hostile.attacks import SPEC, whole
from nodes import NODES, node, number_of


def saved(path: Path, spec: gw.ModelSpec = SPEC, **provenance: Any) -> ModelFile:
    graph = resolve(spec)
    file = ModelFile(graph.spec, initial_tensors(graph), graph.structure, provenance)
    write_model(path, file)
    return file


def test_the_bytes_are_those_of_the_format(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    file = saved(path, loss=0.25, columns=["\u00e9"])
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    assert length % 8 == 0
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    text = header["__metadata__"]["gatewise"]
    assert list(header["__metadata__"]) == ["gatewise"]
    described = json.loads(text)
    canonical = json.dumps(described, sort_keys=True, separators=(",", ":"))
    assert text == canonical, "the description is canonical"
    own = described.pop("sha256")
    assert own == hashlib.sha256(json.dumps(described, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    sums = hashlib.sha256()
    covered = 0
    for name in sorted(file.tensors):
        entry = header[name]
        begin, end = entry["data_offsets"]
        assert entry["dtype"] == "F32"
        value = np.frombuffer(body[begin:end], "<f4").reshape(entry["shape"])
        np.testing.assert_array_equal(value, file.tensors[name])
        sums.update(json.dumps([name, "float32", entry["shape"]], separators=(",", ":")).encode() + body[begin:end])
        covered += end - begin
    assert covered == len(body)
    assert set(header) == {"__metadata__", *file.tensors}
    assert described == {
        "format": 1,
        "model": file.spec.to_dict(),
        "provenance": {"loss": 0.25, "columns": ["\u00e9"]},
        "structure": file.structure,
        "task": None,
        "weights": sums.hexdigest(),
    }


def test_any_safetensors_tool_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    file = saved(path)
    found = safetensors.numpy.load_file(path)
    assert {name: value.tobytes() for name, value in found.items()} == {
        name: value.tobytes() for name, value in file.tensors.items()
    }


def test_a_file_made_by_hand_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    forged = whole()
    forged.provenance = {"tool": "by hand"}
    path.write_bytes(forged.bytes())
    found = read_model(path)
    assert found.spec == resolve(SPEC).spec
    assert found.provenance == {"tool": "by hand"}
    assert {name: value.tobytes() for name, value in found.tensors.items()} == {
        name: tensor.data for name, tensor in forged.tensors.items()
    }


@pytest.mark.parametrize("case", CASES[::7], ids=str)
def test_a_model_there_and_back(case: Case, tmp_path: Path) -> None:
    model = gw.Model(case.spec, tensors(resolve(case.spec)), {"seed": 3, "metrics": {"loss": [1.5, 0.1]}})
    path = tmp_path / "model.safetensors"
    model.save(path)
    again = gw.load(path)
    assert again.spec == model.spec
    assert again.provenance == model.provenance
    assert list(again.tensors) == list(model.tensors)
    assert all(again.tensors[name].tobytes() == value.tobytes() for name, value in model.tensors.items())
    x = np.abs(np.random.default_rng(0).normal(size=(5, model.inputs)))  # of which all have a log(1 + x)
    assert again.run(x).tobytes() == model.run(x).tobytes()
    first = path.read_bytes()
    again.save(path)
    assert path.read_bytes() == first, "the same model gives the same bytes"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=50)
@given(provenance=st.dictionaries(st.text(), PLAIN, max_size=4))
def test_any_plain_provenance_there_and_back(
    tmp_path_factory: pytest.TempPathFactory, provenance: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "provenance.safetensors"
    saved(path, all=provenance)
    assert read_model(path).provenance == {"all": provenance}


def nested(levels: int) -> Any:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "Out of range float"),
        (object(), "not JSON serializable"),
        ({1: "a", "1": "b"}, "not supported between"),
        ("x" * (1 << 20), "characters of JSON, more than 1048576"),
        (nested(40), "nested 43 deep, more than 32"),
        (nested(5000), "recursion"),
        (b"bytes", "not JSON serializable"),
        (np.float32(1), "not JSON serializable"),
    ],
    ids=["nan", "object", "mixed-keys", "long", "deep", "very-deep", "bytes", "numpy"],
)
def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, value: Any, words: str) -> None:
    path = tmp_path / "model.safetensors"
    saved(path)
    before = path.read_bytes()
    with pytest.raises(
        FileError, match=f"model.safetensors: provenance and what the task keeps must be plain JSON values: .*{words}"
    ):
        saved(path, value=value)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_the_longest_description_is_read_again(tmp_path: Path) -> None:
    # Quotes double when the description is put into the header as text.
    path = tmp_path / "model.safetensors"
    saved(path, notes='"' * 500_000)
    assert read_model(path).provenance == {"notes": '"' * 500_000}


def test_a_file_beyond_2_gib_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with open(path, "wb") as file:
        file.truncate((1 << 31) + 1)  # sparse: takes no disk
    with pytest.raises(FileError, match="2147483649 bytes, more than the 2147483648 this version reads"):
        read_model(path)


class Crash(BaseException):
    """As Ctrl-C or a failing disk would come."""


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path, call: str) -> None:
    path = tmp_path / "model.safetensors"
    atomic_write(path, b"old")

    def fail(*args: Any) -> None:
        raise Crash

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"gatewise.file.os.{call}", fail)
        with pytest.raises(Crash):
            atomic_write(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_a_write_is_flushed_before_it_is_renamed(tmp_path: Path) -> None:
    events: list[str] = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(handle: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else f"file of {os.fstat(handle).st_size}"
        events.append(f"sync {kind}")
        real_sync(handle)

    def replace(source: Path, target: Path) -> None:
        assert source.parent == target.parent, "a rename is atomic only within one folder"
        events.append("rename")
        real_replace(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gatewise.file.os.fsync", sync)
        patch.setattr("gatewise.file.os.replace", replace)
        atomic_write(tmp_path / "x", b"12345")
    assert events == ["sync file of 5", "rename", "sync folder"]


def test_a_link_is_followed_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "model", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    atomic_write(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("linked", [False, True], ids=["itself", "behind a link"])
@pytest.mark.parametrize("kind", NODES)
def test_what_is_no_regular_file_stays(tmp_path: Path, kind: str, linked: bool) -> None:
    """A rename would replace it: as root, a device of the whole system."""
    there = path = node(tmp_path / "node", kind)
    if linked:
        path = tmp_path / "link"
        path.symlink_to(there)
    before, names = number_of(there), sorted(os.listdir(tmp_path))
    model = gw.init(gw.ModelSpec(1, [gw.LayerSpec("gru", units=2)]))
    for write in (lambda: atomic_write(path, b"x"), lambda: model.save(path), lambda: check_writable(path)):
        with pytest.raises(OSError, match=f"this is {NODES[kind]}.*; give the ") as raised:
            write()
        assert raised.value.filename == str(path)
    assert number_of(there) == before
    assert sorted(os.listdir(tmp_path)) == names
    assert path.is_symlink() == linked


def test_an_open_pipe_by_its_name_under_dev_or_proc_stays() -> None:
    """As /dev/stdout is one, where the output goes into another program."""
    read, write = os.pipe()
    try:
        with pytest.raises(OSError, match="this is a pipe, which writing a file would replace"):
            atomic_write(f"/dev/fd/{write}", b"x")
    finally:
        os.close(read)
        os.close(write)


def test_a_link_to_nothing_makes_the_file_it_names(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("later")
    atomic_write(link, b"x")
    assert link.is_symlink()
    assert (tmp_path / "later").read_bytes() == b"x"


def test_whether_a_file_could_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    for name in ("old", "new"):
        check_writable(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="there is no folder .*none; create it first"):
        check_writable(tmp_path / "none" / "x")
    with pytest.raises(OSError, match="too long"):
        check_writable(tmp_path / ("x" * 250))  # a name, but not with what the temporary file adds
    with pytest.raises(NotADirectoryError, match="old is no folder; give the name of a file in one"):
        check_writable(tmp_path / "old" / "x")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        check_writable(tmp_path / "loop")
    assert sorted(os.listdir(tmp_path)) == ["loop", "old"]
    assert (tmp_path / "old").read_bytes() == b"old"


DTYPES = [np.dtype(kind) for kind in ("?", "u1", "i2", "i4", "i8", "f2", "f4", "f8", "c8")]


@st.composite
def views(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Arrays whose memory need not lie as their values do: transposed, strided, backwards, repeated, big-endian."""
    dtype = draw(st.sampled_from(DTYPES)).newbyteorder(draw(st.sampled_from("<>")))
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    steps = [draw(st.sampled_from([1, 2, -1, -3])) for _ in shape]
    whole = rng.integers(0, 256, [size * abs(step) for size, step in zip(shape, steps, strict=True)])
    value = whole.astype(dtype)[tuple(slice(None, None, step) for step in steps)]
    value = value.transpose(draw(st.permutations(range(value.ndim))))
    if draw(st.booleans()):
        value = np.broadcast_to(value, (2, *value.shape))
    return value


@settings(max_examples=300)
@given(tensors=st.dictionaries(st.sampled_from(["a", "b", "c.d", "\u00e9"]), views(), max_size=4))
def test_whatever_arrays_go_in_come_out_equal(tensors: dict[str, np.ndarray[Any, Any]]) -> None:
    data = seal(tensors, {"format": 1, "tensors": digest(tensors)})
    found, described = unseal(data, 1, ("format", "tensors"))
    assert set(found) == set(tensors)
    for name, value in tensors.items():
        assert found[name].shape == value.shape
        assert found[name].dtype == value.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found[name], value)
    assert described["tensors"] == digest(found)
    verify(data, tensors, 1, ("format", "tensors"))


def test_what_would_not_be_read_as_it_is_is_not_written(tmp_path: Path) -> None:
    value = np.arange(6, dtype=np.float32).reshape(2, 3)
    data = seal({"a": value}, {"format": 1})
    verify(data, {"a": value.copy(order="F")}, 1, ("format",))
    for other in (
        {"a": value + 1},
        {"a": value.reshape(3, 2)},
        {"a": value.view(np.int32)},
        {},
        {"a": value, "b": value},
    ):
        with pytest.raises(FileError, match="(a|b) would not be read again as it is, so nothing was written"):
            verify(data, other, 1, ("format",))
    path = tmp_path / "model"
    saved(path)
    before = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:  # as a library would that writes memory as it lies
        patch.setattr("gatewise.file._as_written", lambda value: value.reshape(value.shape[::-1]).T)
        with pytest.raises(FileError, match="would not be read again"):
            saved(path, by="another")
    assert path.read_bytes() == before


def test_a_write_that_fails_names_the_path_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"before")

    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left") as raised:
        atomic_write(path, b"after")
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "no" / "such" / "folder" / "model"
    with pytest.raises(FileNotFoundError) as raised:
        atomic_write(path, b"x")
    assert raised.value.strerror == f"there is no folder {path.parent}; create it first"
    assert raised.value.filename == str(path)
    with pytest.raises(IsADirectoryError, match="this is a folder; give the name of a file in it") as refused:
        atomic_write(tmp_path, b"x")
    assert refused.value.filename == str(tmp_path)
    assert list(tmp_path.parent.glob(".*.tmp")) == []


def test_threads_that_save_one_path_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    saved(path, by="nobody")
    names = ["a" * 40_000, "b" * 30_000, "c" * 20_000]
    failed: list[BaseException] = []

    def save(name: str) -> None:
        try:
            for _ in range(15):
                saved(path, by=name)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=save, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert read_model(path).provenance["by"] in ("nobody", *names)
    assert failed == []
    assert read_model(path).provenance["by"] in names
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_the_longest_model_there_and_back(tmp_path: Path) -> None:
    # As many layers as a spec may have, with names as long as they may be: every limit must let it through.
    names = [f"{i:_>64}" for i in range(1000)]
    hard = {"kind": "hard_sigmoid", "slope": 1 / 6, "offset": 0.123456789}
    options = {"units": 1, "reset": "before", "activation": hard, "gate_activation": hard}
    layers = [gw.LayerSpec("gru", name, names[max(i - 1, 0) : i], **options) for i, name in enumerate(names)]
    model = gw.init(gw.ModelSpec(1, layers))
    model.save(tmp_path / "model.safetensors")
    again = gw.load(tmp_path / "model.safetensors")
    assert again.spec == model.spec
    assert again.stream(model.stream().save()).push(1.0).tobytes() == model.stream().push(1.0).tobytes()
    with pytest.raises(SpecError, match="1 to 1000 layers, got 1001"):
        gw.ModelSpec(1, [*layers, gw.LayerSpec("gru", units=1)])


def test_a_rewritten_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    atomic_write(path, b"old")
    path.chmod(0o600)
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
