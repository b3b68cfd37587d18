"""Keras files that attack whoever reads them, each with words that the refusal must have (a regular expression)."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import h5py
import numpy as np

from importers.keras_files import dense, named, numbered, recurrent, sequential

LAYERS = named([recurrent("LSTM", 2, 2, 1, recurrent_activation="sigmoid"), dense(2, 1, 2)])
DESCRIBED = json.dumps(sequential(LAYERS, (3, 2), 2))
PLACE = "model_weights/lstm_0/lstm_0/kernel:0"


@dataclass(frozen=True)
class Attack:
    name: str
    make: Callable[[], bytes]
    words: str

    @cached_property
    def data(self) -> bytes:
        return self.make()

    def __str__(self) -> str:
        return self.name


def whole(change: Callable[[h5py.File], None] | None = None, described: Any = DESCRIBED, **options: Any) -> bytes:
    """A model that can be imported, with a change."""
    memory = io.BytesIO()
    with h5py.File(memory, "w", **options) as file:
        if described is not None:
            file.attrs["model_config"] = described
        file.attrs["keras_version"] = b"2.2.4"
        for layer in LAYERS:
            for name, value in layer.weights.items():
                file[f"model_weights/{layer.name}/{layer.name}/{name}:0"] = value
        if change is not None:
            change(file)
    return memory.getvalue()


def instead(make: Callable[[h5py.Group, str], object]) -> bytes:
    """A model whose first kernel is something else."""

    def change(file: h5py.File) -> None:
        del file[PLACE]
        group, _, name = PLACE.rpartition("/")
        make(file[group], name)

    return whole(change)


def put(group: h5py.Group, name: str, value: Any) -> None:
    group[name] = value


def virtual(group: h5py.Group, name: str) -> None:
    layout = h5py.VirtualLayout((2, 8), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (2, 8))
    group.create_virtual_dataset(name, layout)


def unlimited(group: h5py.Group, name: str) -> None:
    """A virtual dataset whose size depends on other files, which HDF5 opens together with the dataset."""
    endless = h5py.h5s.UNLIMITED
    layout = h5py.VirtualLayout((1, 8), "f4", maxshape=(None, 8))
    source = h5py.VirtualSource("/etc/passwd", "x", (1, 8), maxshape=(None, 8))
    layout[0:endless, :] = source[0:endless, :]
    group.create_virtual_dataset(name, layout)


def inflating(group: h5py.Group, name: str) -> None:
    """One chunk of 4 KiB, whose bytes inflate to 384 MiB."""
    made = group.create_dataset(name, (1024,), "f4", chunks=(1024,), compression="gzip")
    squeeze = zlib.compressobj(1)
    zeros = bytes(1 << 24)
    bomb = b"".join(squeeze.compress(zeros) for _ in range(24)) + squeeze.flush()
    made.id.write_direct_chunk((0,), bomb)


def nest(file: h5py.File, depth: int) -> None:
    group = file["model_weights"]
    for _ in range(depth):
        group = group.create_group("g")


def many(file: h5py.File) -> None:
    for i in range(5_001):
        h5py.h5g.create(file.id, str(i).encode())


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, whole: bool = True) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", method) as archive:
        for name, content in GOOD if whole else ():
            if name not in dict(members):
                archive.writestr(name, content)
        for name, content in members:
            archive.writestr(name, content)
    return memory.getvalue()


GOOD = (
    ("metadata.json", b'{"keras_version": "3.4.1"}'),
    ("config.json", json.dumps(sequential(LAYERS, (3, 2), 3)).encode()),
    ("model.weights.h5", numbered(LAYERS)),
)


def lying(member: str) -> bytes:
    """A zip archive that says of a member of 8 MiB that it has ten bytes."""
    data = bytearray(zipped((member, bytes(8 << 20))))
    at = data.index(b"PK\x01\x02")
    while data[at + 46 : at + 46 + len(member)] != member.encode():
        at = data.index(b"PK\x01\x02", at + 1)
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    return bytes(data)


def encrypted() -> bytes:
    data = bytearray(zipped())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(mark)
        data[at + flags] |= 1
    return bytes(data)


Make = Callable[[], bytes]


def placed(value: Any) -> Make:
    """A model whose first kernel is this value, or what the function gives for its group."""
    return lambda: instead(lambda group, name: put(group, name, value(group) if callable(value) else value))


def array(shape: tuple[int, ...], dtype: Any = "f4", **options: Any) -> Make:
    """A model whose first kernel is an array of this shape, in which nothing was written."""
    return lambda: instead(lambda group, name: group.create_dataset(name, shape, dtype, **options))


def described(text: Any) -> Make:
    """A model with this description."""
    return lambda: whole(described=text)


def member(name: str, content: bytes) -> Make:
    """A .keras file with this member."""
    return lambda: zipped((name, content))


def many_arrays(file: h5py.File) -> None:
    for i in range(20):
        file.create_dataset(f"a{i}", (1 << 20,), "f4", chunks=(64,))


HDF5: dict[str, tuple[Make, str]] = {
    "external link": (placed(h5py.ExternalLink("/etc/passwd", "/x")), "is a link to another place or file"),
    "soft link": (placed(h5py.SoftLink("/model_weights")), "is a link to another place or file"),
    "soft link to nothing": (placed(h5py.SoftLink("/none")), "is a link to another place or file"),
    "hard link": (placed(lambda group: group["bias:0"]), "is linked from two places"),
    "circle": (placed(lambda group: group.file["model_weights"]), "is linked from two places"),
    "circle by the root": (placed(lambda group: group.file["/"]), "is linked from two places"),
    "virtual dataset": (lambda: instead(virtual), "is virtual: its values are in other datasets or files"),
    "virtual dataset without end": (lambda: instead(unlimited), "is virtual: its values are in other"),
    "external storage": (array((2, 8), external=[("/etc/passwd", 0, 64)]), "has its values in another file, which is"),
    "gzip bomb": (array((1 << 27,), chunks=(1 << 20,), compression="gzip"), "declares 536,870,912 bytes, far more"),
    "chunk that inflates": (lambda: instead(inflating), "damaged|memory|more time than"),
    "huge shape": (array((1 << 40,), chunks=(1024,)), "declares 4,398,046,511,104 bytes"),
    "shape that overflows": (array((1 << 31, 1 << 30), chunks=(16, 16)), "declares 9,223,372,036,854,775,808 bytes"),
    "huge chunk": (array((4,), chunks=(1 << 28,), maxshape=(None,)), "declares 1,073,741,824 bytes"),
    "values that are not there": (array((1 << 22,)), "declares 16,777,216 bytes, far more than the file can contain"),
    "many arrays": (lambda: whole(many_arrays), "declares 4,194,304 bytes, far more"),
    "deep": (lambda: whole(lambda file: nest(file, 200)), "nested more than 16 deep"),
    "a long name": (
        lambda: whole(lambda file: put(file, "x" * 5000, 1)),
        "is a name of 5,000 characters, more than 400",
    ),
    "too many groups": (lambda: whole(many), "more than 5,000 groups and datasets"),
    "text": (placed("kernel"), "holds values of the type object, not numbers"),
    "fixed text": (placed(np.bytes_(b"x")), r"the type \|S1, not numbers"),
    "variable length": (array((2,), h5py.vlen_dtype(np.float32)), "type object, not numbers"),
    "references": (placed(lambda group: group.ref), "type object, not numbers"),
    "compound": (placed(np.zeros(2, "f4,i4")), "the type .*, not numbers"),
    "complex": (placed(np.zeros(2, np.complex64)), "the type complex64, not numbers"),
    "long double": (placed(np.zeros(2, np.longdouble)), "the type float128, not numbers"),
    "opaque": (placed(np.zeros(2, "V4")), r"the type \|V4, not numbers"),
    "type with a name": (placed(np.dtype("f4")), "neither a group nor a dataset"),
    "no shape": (placed(h5py.Empty("f4")), "has the shape None"),
    "unknown filter": (array((2, 8), "i4", scaleoffset=0), "compressed with the filter 6; known are gzip, "),
    "random bytes": (lambda: whole()[:8] + np.random.default_rng(0).bytes(4096), "damaged, or cut off"),
    "cut in the superblock": (lambda: whole()[:40], "damaged, or cut off"),
    "cut in the middle": (lambda: whole()[:6000], "damaged, or cut off"),
    "cut at the end": (lambda: whole()[:-100], "damaged, or cut off"),
}
DESCRIPTIONS: dict[str, tuple[Make, str]] = {
    "no text but numbers": (described(np.zeros(3)), "the attribute model_config is no text"),
    "many texts": (described(["{}"] * 100), "the attribute model_config is no text"),
    "long description": (described("[" + "1," * (3 << 20) + "1]"), "6,291,459 characters, more than 4,194,304"),
    "no JSON": (described("{"), "description of the model is no valid JSON"),
    "many layers": (
        described('{"class_name": "Sequential", "config": [' + "{}, " * 2000 + "{}]}"),
        "2,001 layers, more than the 1,000",
    ),
    "deep JSON": (described('{"config": ' + "[" * 50_000 + "]" * 50_000 + "}"), "nested 50001 deep, more than 32"),
    "a number too large": (described('{"class_name": 1e999}'), "the number 1e999 is too large"),
    "a key twice": (described('{"a": 1, "a": 2}'), "a key stands twice"),
    "no text in UTF-8": (described(b"\xff\xfe\xfa"), "no valid JSON|damaged"),
    "no description": (described(None), "no description of a model"),
}
ZIP: dict[str, tuple[Make, str]] = {
    "zip with a program": (
        member("evil.py", b"import os"),
        "has the member 'evil.py'; a .keras file has metadata.json, ",
    ),
    "zip with a path": (member("../config.json", b"{}"), r"has the member '\.\./config\.json'"),
    "zip without weights": (lambda: zipped(*GOOD[:2], whole=False), "no member model.weights.h5"),
    "zip bomb of text": (member("config.json", bytes(8 << 20)), "config.json has 8,388,608 bytes, more than 4,194,304"),
    "zip bomb of weights": (member("model.weights.h5", bytes(80 << 20)), "model.weights.h5 has 83,886,080 bytes"),
    "zip that lies": (lambda: lying("model.weights.h5"), "damaged, or cut off: Bad CRC"),
    "zip with another method": (lambda: zipped(method=zipfile.ZIP_BZIP2), "compressed with method 12, not deflate"),
    "encrypted zip": (encrypted, "damaged, or cut off: .*encrypted"),
    "zip of a pickle": (member("model.weights.h5", b"\x80\x04cos\nsystem\n"), "damaged, or cut off"),
    "zip that is cut off": (lambda: zipped()[:-30], "damaged, or cut off"),
}
ATTACKS = [Attack(name, make, words) for name, (make, words) in {**HDF5, **DESCRIPTIONS, **ZIP}.items()]
