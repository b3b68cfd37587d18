"""Read the texts and arrays of a Keras file, in a process of its own, because the file may be hostile.

`files.py` starts this file as a script. It reads the file from standard input and answers on standard output with one
line of JSON and then the bytes of the arrays. It imports nothing of gatewise, so that it starts quickly.

The HDF5 library parses binary structures in C, and a format as rich as HDF5 has parts that reach outside of the file:
external links, virtual datasets and external storage. Before a byte is parsed, the process therefore gives up its right
to open files, and limits its memory and its time. What is left is checked before it is read: only groups, hard links
and arrays of numbers are accepted, and only filters that h5py itself contains; an array must not be much larger than
the file that is to contain it.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import os
import sys
import zipfile
from typing import Any

MOST_BYTES = 1 << 30
"""Greatest size of a file."""
MOST_OBJECTS = 5_000
"""Greatest number of groups and datasets."""
MOST_DEPTH = 16
"""Greatest depth of groups in each other."""
MOST_NAME = 400
"""Greatest number of characters of the path of a dataset."""
MOST_TEXT = 1 << 22
"""Greatest number of bytes of a text, such as the description of the model."""
SPARE_BYTES = 64 << 20
RATIO = 16
"""All arrays together may have `SPARE_BYTES` and this many times the size of the file. Weights hardly compress."""
SPARE_MEMORY = 256 << 20
"""What the process may take beyond (RATIO + 4) times the size of the file: the file, a copy of it, and the arrays."""
SPARE_SECONDS = 1
"""Processor time that the process may take, and one second more for each 10 MB of the file."""

TEXTS = ("keras_version", "backend", "model_config")
"""Attributes of the root and of the group model_weights that are read."""
MEMBERS = {"metadata.json": "metadata", "config.json": "config"}
WEIGHTS = "model.weights.h5"
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
TRAINING = ("optimizer", "optimizer_weights")
"""Groups at the root that hold the state of a training. They are checked, but not read."""


class Refused(Exception):
    """Something that a sound file does not have. The message is for the user."""


def main() -> None:
    """Answer for the file on standard input."""
    data = sys.stdin.buffer.read()
    limit(len(data))
    for piece in answer(data):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
    os._exit(0)  # without the clean-up of a library that has read hostile data


def answer(data: bytes) -> list[Any]:
    """The bytes of one line of JSON, and then those of the arrays that it lists, or why the file is refused."""
    arrays: dict[str, Any] = {}
    try:
        texts, arrays = contents(data)
        described = [[name, value.dtype.str, list(value.shape)] for name, value in arrays.items()]
        said: dict[str, Any] = {"texts": texts, "arrays": described}
    except Refused as error:
        said = {"refused": str(error)}
    except MemoryError:
        said = {"refused": "reading it takes far more memory than a file of its size needs"}
    except Exception as error:  # whatever h5py and zipfile raise for damaged files
        why = " ".join(str(error).split())[:200] or type(error).__name__
        said = {"refused": f"it is damaged, or cut off: {why}"}
    return [json.dumps(said).encode() + b"\n", *(value.data for value in arrays.values() if value.size)]


def limit(size: int) -> None:
    """Limit this process for a file of `size` bytes. Windows has no limits; macOS does not enforce that of memory."""
    import h5py  # noqa: F401 - from here on no file can be opened, so nothing can be imported either

    for encoding in ("ascii", "cp437"):  # of h5py and zipfile
        codecs.lookup(encoding)
    try:
        import resource
    except ImportError:
        return
    spent = resource.getrusage(resource.RUSAGE_SELF)
    seconds = math.ceil(spent.ru_utime + spent.ru_stime) + SPARE_SECONDS + size // 10_000_000
    limits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 3), (resource.RLIMIT_CPU, seconds)]
    if sys.platform == "linux":
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[0])
        limits.append((resource.RLIMIT_AS, pages * resource.getpagesize() + (RATIO + 4) * size + SPARE_MEMORY))
    for kind, most in limits:
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        beyond = kind == resource.RLIMIT_CPU and hard == resource.RLIM_INFINITY  # first SIGXCPU, which says why
        resource.setrlimit(kind, (most, most + beyond))


def contents(data: bytes) -> tuple[dict[str, str], dict[str, Any]]:
    """The texts of a Keras file, by name, and its arrays of numbers, by path; the paths of others are left out.

    Raises:
        Refused: the file has something that a sound file does not have.
        Exception: h5py or zipfile cannot read it.
    """
    texts: dict[str, str] = {}
    allowed = SPARE_BYTES + RATIO * len(data)
    if data.startswith(b"PK"):
        texts, data = _unzipped(data, allowed)
    hdf5 = _Hdf5(data, allowed)
    return {**hdf5.texts, **texts}, hdf5.arrays


def _unzipped(data: bytes, allowed: int) -> tuple[dict[str, str], bytes]:
    """The texts of a .keras file, and the HDF5 file in it."""
    texts, weights = {}, None
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [info.filename for info in archive.infolist()]
        if len(set(names)) != len(names):
            raise Refused("the zip archive has two members of one name")
        for info in archive.infolist():
            if info.is_dir() and info.file_size == 0:
                continue
            if info.filename not in (*MEMBERS, WEIGHTS):
                expected = ", ".join((*MEMBERS, WEIGHTS))
                raise Refused(f"the zip archive has the member {info.filename[:80]!r}; a .keras file has {expected}")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Refused(f"the member {info.filename} is compressed with method {info.compress_type}, not deflate")
            most = allowed if info.filename == WEIGHTS else MOST_TEXT
            if info.file_size > most:
                raise Refused(f"the member {info.filename} has {info.file_size:,} bytes, more than {most:,}")
            with archive.open(info) as member:
                content = member.read(most + 1)
            if len(content) > most:
                raise Refused(f"the member {info.filename} has more than {most:,} bytes")
            if info.filename == WEIGHTS:
                weights = content
            else:
                texts[MEMBERS[info.filename]] = content.decode()
    if weights is None:
        raise Refused(f"the zip archive has no member {WEIGHTS}")
    return texts, weights


class _Hdf5:
    """All of an HDF5 file that is in memory.

    Attributes:
        texts: attributes of `TEXTS` -> their text.
        arrays: path without a leading slash -> array, little-endian.
    """

    def __init__(self, data: bytes, allowed: int) -> None:
        import h5py

        self.h5py, self.allowed, self.size = h5py, allowed, len(data)
        self.texts: dict[str, str] = {}
        self.arrays: dict[str, Any] = {}
        self._seen: set[int] = set()
        access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
        access.set_fapl_core(backing_store=False)
        access.set_file_image(data)
        with h5py.File(h5py.h5f.open(b"file in memory", h5py.h5f.ACC_RDONLY, fapl=access)) as file:
            self._group(file, "", 0)

    def _group(self, group: Any, path: str, depth: int) -> None:
        if depth > MOST_DEPTH:
            raise Refused(f"its groups are nested more than {MOST_DEPTH} deep")
        if path in ("", "model_weights"):
            for name in TEXTS:
                if name in group.attrs:
                    self.texts[name] = self._text(group, name)
        for name in group:
            inner = f"{path}/{name}" if path else name
            if len(inner) > MOST_NAME:
                raise Refused(f"{inner[:100]!r}... is a name of {len(inner):,} characters, more than {MOST_NAME}")
            if not isinstance(group.get(name, getlink=True), self.h5py.HardLink):
                raise Refused(f"{inner!r} is a link to another place or file, which is not followed")
            place = self.h5py.h5o.get_info(group.id, name.encode()).addr
            if place in self._seen:
                raise Refused(f"{inner!r} is linked from two places")
            self._seen.add(place)
            if len(self._seen) > MOST_OBJECTS:
                raise Refused(f"it has more than {MOST_OBJECTS:,} groups and datasets")
            found = group[name]
            if isinstance(found, self.h5py.Group):
                self._group(found, inner, depth + 1)
            elif isinstance(found, self.h5py.Dataset):
                self._dataset(found, inner)
            else:
                raise Refused(f"{inner!r} is neither a group nor a dataset")

    def _text(self, group: Any, name: str) -> str:
        attribute = self.h5py.h5a.open(group.id, name.encode())
        if attribute.shape not in ((), (1,)) or attribute.get_type().get_class() != self.h5py.h5t.STRING:
            raise Refused(f"the attribute {name} is no text")
        value = group.attrs[name]
        value = value[0] if attribute.shape else value
        found = value.decode() if isinstance(value, bytes) else str(value)
        if len(found) > MOST_TEXT:
            raise Refused(f"the attribute {name} has {len(found):,} characters, more than {MOST_TEXT:,}")
        return found

    def _dataset(self, dataset: Any, path: str) -> None:
        """Check a dataset, and read it unless it belongs to the training."""
        what = f"the dataset {path!r}"
        made = dataset.id.get_create_plist()
        if made.get_layout() == self.h5py.h5d.VIRTUAL:
            raise Refused(f"{what} is virtual: its values are in other datasets or files, which are not opened")
        if made.get_external_count():
            raise Refused(f"{what} has its values in another file, which is not opened")
        for i in range(made.get_nfilters()):
            code = made.get_filter(i)[0]
            if code not in FILTERS:
                raise Refused(f"{what} is compressed with the filter {code}; known are {', '.join(FILTERS.values())}")
        if dataset.dtype.kind not in "fiub" or dataset.dtype.itemsize > 8:
            raise Refused(f"{what} holds values of the type {str(dataset.dtype)[:80]}, not numbers")
        if dataset.shape is None or len(dataset.shape) > 8:
            raise Refused(f"{what} has the shape {dataset.shape}")
        nbytes = math.prod(dataset.shape) * dataset.dtype.itemsize
        self.allowed -= nbytes
        chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
        if self.allowed < 0 or chunk > max(1 << 20, 2 * nbytes) or (not dataset.chunks and nbytes > self.size):
            raise Refused(f"{what} declares {max(nbytes, chunk):,} bytes, far more than the file can contain")
        if path.partition("/")[0] not in TRAINING:
            self.arrays[path] = _plain(dataset[()])


def _plain(value: Any) -> Any:
    """An array, or a scalar, as an array in C order whose values are little-endian."""
    import numpy as np

    return np.asarray(value, np.asarray(value).dtype.newbyteorder("<"), order="C")


if __name__ == "__main__":
    main()
