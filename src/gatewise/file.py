"""The model file: safetensors with one metadata key. docs/format.md describes it byte by byte.

The key `gatewise` holds canonical JSON: the model description, provenance, the section of the task that fitted the
model, and SHA-256 sums in hexadecimal: `structure` (what a saved state must match), `weights` (names, shapes and bytes
of the model's tensors), one over the tensors of the task, and `sha256` over the JSON without that key. Together they
cover all content of the file.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import stat
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from gatewise.errors import FileError, GatewiseError, SpecError
from gatewise.spec import FORMAT, ModelSpec, canonical_json, parse_json, short

KEY = "gatewise"
KEYS = ("format", "model", "provenance", "structure", "task", "weights")
OF_TASK = "task."
"""Prefix of the names of tensors that belong to the task. No layer may have this name."""

MOST_BYTES = 1 << 31
MOST_HEADER = 1 << 22

FOREIGN = {
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as Keras writes it",
    b"PK\x03\x04": "a zip archive, as Keras and PyTorch write it",
}
"""How files of models of other libraries begin, and what they are."""

Tensors = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Section:
    """The section of a model file that belongs to the task. Only the task interprets it.

    Attributes:
        kind: name of the task, e.g. "detector".
        described: the data of the task, as plain JSON values.
        tensors: name -> array, of any dtype and shape.
    """

    kind: str
    described: Mapping[str, Any]
    tensors: Tensors


@dataclass(frozen=True)
class ModelFile:
    """The content of a model file.

    Attributes:
        spec: the model description.
        tensors: full name -> array.
        structure: SHA-256 that a saved state must match.
        provenance: where the model came from: plain JSON values.
        task: the section of the task that fitted the model; None if no task did.
    """

    spec: ModelSpec
    tensors: Tensors
    structure: str
    provenance: Mapping[str, Any]
    task: Section | None = None


@dataclass(frozen=True)
class Sum:
    """A checksum, SHA-256 in hexadecimal: as the description states it, and of what is there."""

    stated: str
    found: str

    @property
    def holds(self) -> bool:
        """Whether both are the same."""
        return self.stated == self.found


@dataclass(frozen=True)
class Seal:
    """Whether a model file is as gatewise wrote it.

    Attributes:
        described: whether the description matches its checksum.
        weights: the checksum of the model's tensors.
        task: the checksum of the tensors of the task; None if there is no task.
    """

    described: bool
    weights: Sum
    task: Sum | None

    @property
    def fault(self) -> str | None:
        """A text that says what was altered; None if nothing was."""
        if not self.described:
            return "the description does not match its checksum: it was altered"
        if not self.weights.holds:
            return "the tensors do not match their checksum: the file was altered"
        if self.task is not None and not self.task.holds:
            return "the tensors of the task do not match their checksum: the file was altered"
        return None


def write_model(path: str | os.PathLike[str], model: ModelFile) -> None:
    """Write a model file atomically: after a crash there is the old file or the new one, never a part of one.

    Raises:
        FileError: the provenance or the section of the task is not plain JSON.
        OSError: the file cannot be written there, see `atomic_write`.
    """
    task, tensors = model.task, dict(model.tensors)
    described: dict[str, Any] = {
        "format": FORMAT,
        "model": model.spec.to_dict(),
        "provenance": dict(model.provenance),
        "structure": model.structure,
        "task": None,
        "weights": digest(model.tensors),
    }
    if task is not None:
        described["task"] = {
            "kind": task.kind,
            "described": dict(task.described),
            "tensors": digest(task.tensors),
        }
        tensors |= {OF_TASK + name: value for name, value in task.tensors.items()}
    try:
        data = seal(tensors, described)
    except (TypeError, ValueError, RecursionError) as error:
        raise FileError(f"{path}: provenance and what the task keeps must be plain JSON values: {error}") from None
    if len(data) > MOST_BYTES:
        raise FileError(f"{path}: the file would have {len(data):,} bytes, and {MOST_BYTES:,} can be read again")
    verify(data, tensors, FORMAT, KEYS)
    atomic_write(path, data)


def is_model_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file looks like a model file of gatewise: a safetensors file whose metadata have the key of gatewise.

    Raises:
        OSError: there is no such file, or no permission to read it.
    """
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return length <= MOST_HEADER and f'"{KEY}":'.encode() in file.read(length)


def read_model(path: str | os.PathLike[str]) -> ModelFile:
    """Read and verify a model file. Nothing in it is ever executed.

    Raises:
        FileError: the file is not a model file, or is truncated, altered, hostile or of another version. The message
            says which.
        OSError: there is no such file, or no permission to read it.
    """
    return read_edited(path, sealed=True)[0]


def read_edited(path: str | os.PathLike[str], sealed: bool = False) -> tuple[ModelFile, Seal]:
    """Read a model file that another tool may have edited, so that its checksums no longer hold.

    `Model` checks whether the parts fit together, and `Model.save` writes new checksums::

        found, _ = read_edited("edited.safetensors")
        Model(found.spec, found.tensors, found.provenance, task=found.task).save("sealed.safetensors")

    Args:
        path: the file.
        sealed: whether to raise an error if a checksum does not match.

    Raises:
        FileError: as in `read_model`; for a checksum only if `sealed` is true.
        OSError: there is no such file, or no permission to read it.
    """
    data = read_bytes(path)
    for start, what in FOREIGN.items():
        if data.startswith(start):
            raise FileError(f"{path}: no safetensors data, but {what}; import it first: gatewise import")
    try:
        every, described, stated = _parts(data, FORMAT, KEYS)
        tensors = {name: value for name, value in every.items() if not name.startswith(OF_TASK)}
        own = {name.removeprefix(OF_TASK): value for name, value in every.items() if name.startswith(OF_TASK)}
        task, of_task = _section(described["task"], own)
        found = Seal(stated == _sum(described), Sum(str(described["weights"]), digest(tensors)), of_task)
        if sealed and found.fault:
            raise FileError(f"{found.fault}; if you edited it, seal it again: gatewise file MODEL --reseal")
        spec = ModelSpec.from_dict(described["model"])
    except GatewiseError as error:
        raise FileError(f"{path}: {brief(error)}") from None
    if not isinstance(described["provenance"], dict) or not isinstance(described["structure"], str):
        raise FileError(f"{path}: provenance must be an object and structure a text")
    return ModelFile(spec, tensors, described["structure"], described["provenance"], task), found


def _section(described: object, tensors: Tensors) -> tuple[Section | None, Sum | None]:
    """The section of the task and the checksum of its tensors. Raises FileError."""
    if described is None:
        if tensors:
            raise FileError(f"tensor {OF_TASK + min(tensors)!r} belongs to a task, but no task is described")
        return None, None
    keys = {"kind": str, "described": dict, "tensors": str}
    if not isinstance(described, dict) or set(described) != set(keys):
        raise FileError(f"the task must be null or have the keys {sorted(keys)}, got {short(described)}")
    for key, kind in keys.items():
        if not isinstance(described[key], kind):
            raise FileError(f"{key} of the task must be {_JSON[kind]}, got {short(described[key])}")
    section = Section(described["kind"], described["described"], tensors)
    return section, Sum(described["tensors"], digest(tensors))


_JSON = {str: "a text", dict: "an object"}


def seal(tensors: Tensors, described: Mapping[str, Any]) -> bytes:
    """Encode tensors and a description as safetensors bytes. The description gets a SHA-256 checksum of itself.

    safetensors writes memory as it is, so views (transposed, strided or of the other byte order) are copied here into
    contiguous little-endian arrays. Shapes do not change; a scalar stays a scalar.

    Raises:
        SpecError: the description could not be read again: it is too long, too deep, or has a key twice.
        TypeError, ValueError, RecursionError: the description is not plain JSON.
    """
    text = canonical_json({**described, "sha256": _sum(described)})
    parse_json(text, "description")
    return safetensors.numpy.save({name: _as_written(value) for name, value in tensors.items()}, metadata={KEY: text})


def verify(data: bytes, tensors: Tensors, version: int, keys: tuple[str, ...]) -> None:
    """Check that bytes from `seal` can be read again, before they replace a file.

    Args:
        data: the bytes.
        tensors: the tensors that were encoded.
        version, keys: as in `unseal`.

    Raises:
        FileError: the bytes do not contain these tensors. This is a fault of gatewise or of the machine's memory.
    """
    found, _ = unseal(data, version, keys)
    wrong = [name for name in {*tensors, *found} if not _same(tensors.get(name), found.get(name))]
    if wrong:
        raise FileError(f"{min(wrong)} would not be read again as it is, so nothing was written; please report this")


def _as_written(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array in C order and little-endian; the array itself if it is so already."""
    return np.asarray(value, value.dtype.newbyteorder("<"), order="C")


def _same(value: np.ndarray[Any, Any] | None, found: np.ndarray[Any, Any] | None) -> bool:
    """Whether two arrays hold the same bits."""
    if value is None or found is None or value.shape != found.shape or value.dtype.name != found.dtype.name:
        return False
    return _as_written(value).tobytes() == found.tobytes()


def unseal(data: bytes, version: int, keys: tuple[str, ...]) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """The reverse of `seal`. The caller still has to compare the tensors with the checksum in the description.

    Args:
        data: the bytes.
        version: the value that the description must have under "format".
        keys: the keys that the description must have; others are not allowed.

    Raises:
        FileError: the bytes do not come from `seal`, or were altered.
    """
    tensors, described, stated = _parts(data, version, keys)
    if stated != _sum(described):
        raise FileError("the description does not match its checksum: it was altered")
    return tensors, described


def _parts(
    data: bytes, version: int, keys: tuple[str, ...]
) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any], Any]:
    """Tensors, description without its checksum, and the checksum, which is not verified here."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > MOST_HEADER or 8 + length > len(data):
        raise FileError(
            f"no safetensors data, or cut off: {len(data)} bytes that begin with {data[:8]!r}; "
            "give a file that gatewise wrote, or copy it again"
        )
    try:
        tensors = safetensors.numpy.load(data)
        header = parse_json(data[8 : 8 + length].decode(), "header", MOST_HEADER)
        text = header["__metadata__"][KEY]
    except (safetensors.SafetensorError, SpecError, UnicodeDecodeError, ValueError, TypeError) as error:
        raise FileError(f"no valid safetensors data: {error}") from None
    except KeyError as error:
        raise FileError(f"not written by gatewise: {error} is missing or unknown") from None
    described = parse_json(text, "description")
    if isinstance(described, dict) and "format" in described:  # other versions may have other keys
        found = described["format"]
        if found != version or isinstance(found, bool):
            raise FileError(f"format {short(found)}, this version reads {version}; upgrade gatewise")
    if not isinstance(described, dict) or set(described) != {*keys, "sha256"}:
        raise FileError(f"the description must have the keys {sorted((*keys, 'sha256'))}, got {short(described)}")
    stated = described.pop("sha256")
    return tensors, described, stated


def brief(error: GatewiseError) -> str:
    """The text of an error, cut to 500 characters, because it may quote a megabyte of hostile data."""
    text = str(error)
    return text if len(text) <= 500 else text[:497] + "..."


def digest(tensors: Tensors) -> str:
    """SHA-256 in hexadecimal over names, dtypes, shapes and little-endian bytes, in order of name."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        value = np.ascontiguousarray(tensors[name])
        little = value.astype(value.dtype.newbyteorder("<"), copy=False)
        total.update(canonical_json([name, value.dtype.name, list(value.shape)]).encode())
        total.update(little.tobytes())
    return total.hexdigest()


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """All bytes of a file. Raises FileError if it is larger than 2 GiB or not a regular file."""
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise FileError(f"{path}: not a regular file; give the path of a file that gatewise wrote")
    if found.st_size > MOST_BYTES:
        raise FileError(f"{path}: {found.st_size} bytes, more than the {MOST_BYTES} this version reads")
    with open(path, "rb") as file:
        return file.read()


def atomic_write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write bytes to a temporary name beside `path`, flush them to disk, and rename.

    After a crash at any moment there is the old file or the new one; at worst a file `.NAME.PID.THREAD.tmp` is left
    over. The new file has the permissions of the old one. A symbolic link is followed: the file to which it leads is
    replaced, and the link stays. A device, pipe, socket or folder at `path` is left unchanged.

    Raises:
        OSError: the folder does not exist, the path is not that of a regular file, or the system cannot write there.
            The error names the path that was given.
    """
    target = target_of(path)
    temporary = _beside(target)
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def target_of(path: str | os.PathLike[str]) -> Path:
    """The regular file that a write to `path` creates or replaces, after following all symbolic links.

    Raises:
        OSError: the folder does not exist, or the path is not that of a regular file. A rename would replace, for
            example, a device: if root did this, the device would be gone for the whole system.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        if target.parent.exists():
            raise OSError(
                errno.ENOTDIR, f"{target.parent} is no folder; give the name of a file in one", os.fspath(path)
            )
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {target.parent}; create it first", os.fspath(path))
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return target
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFDIR:
        raise OSError(errno.EISDIR, "this is a folder; give the name of a file in it", os.fspath(path))
    if kind != stat.S_IFREG:
        what = f"this is {_KINDS.get(kind, 'no regular file')}, which writing a file would replace"
        raise OSError(errno.EINVAL, f"{what}; give the path of a regular file, new or old", os.fspath(path))
    return target


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check before long work that `atomic_write` can write to `path`. No file is left over.

    Raises:
        OSError: as in `atomic_write`.
    """
    temporary = _beside(target_of(path))
    try:
        temporary.touch()
        temporary.unlink()
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def same_file(places: Mapping[str, str | os.PathLike[str] | None]) -> tuple[str, str] | None:
    """Find two paths that lead to the same file, directly or by a link, so that one output would overwrite the other.

    Args:
        places: name of the path in messages -> the path, or None.

    Returns:
        The names of the first two such paths; None if all files are different.
    """
    given = [(name, path) for name, path in places.items() if path is not None]
    return next(
        ((name, other) for (name, one), (other, two) in itertools.combinations(given, 2) if _one_place(one, two)), None
    )


def _one_place(one: str | os.PathLike[str], two: str | os.PathLike[str]) -> bool:
    try:
        return os.path.realpath(one) == os.path.realpath(two) or os.path.samefile(one, two)
    except (OSError, ValueError):  # one of them does not exist, or is not a valid path
        return False


_KINDS = {
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def _beside(target: Path) -> Path:
    """The temporary name under which a file is written before it is renamed."""
    return target.with_name(f".{target.name}.{os.getpid()}.{threading.get_native_id()}.tmp")


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sum(described: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(described).encode()).hexdigest()
