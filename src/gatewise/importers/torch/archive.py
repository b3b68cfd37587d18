"""Read the files of `torch.save`: a zip archive, or, before torch 1.6, a stream of pickles.

torch reads them with `weights_only=True`. Before that the container is checked here: its names, sizes and pickle.
"""

from __future__ import annotations

import os
import zipfile
from typing import IO, Any

from gatewise.errors import FileError, MissingExtraError
from gatewise.importers.torch.scan import scan

NEEDED = (2, 10)
"""The oldest torch whose restricted reader, `torch.load(weights_only=True)`, has no known hole.

Before 2.6.0 a file could run code (CVE-2025-32434). Before 2.10.0 it could corrupt memory, and perhaps run code, by
assignments to objects that are no dict, and by storages whose declared size was not that of their data
(CVE-2026-24747).
"""

MOST_BYTES = 1 << 30
MOST_PICKLE = 1 << 24
MOST_MEMBERS = 10_000
MOST_DIRECTORY = 1 << 22

LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""The first bytes of a file of torch before 1.6: a pickle of its magic number."""

ZIP = b"PK\x03\x04"
PLAIN = ("version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id")
"""Members of an archive beside data.pkl and data/."""


def is_archive(head: bytes) -> bool:
    """Whether a file that begins with `head` is a zip archive of torch, by the name of its first member."""
    if not head.startswith(ZIP):
        return False
    length = int.from_bytes(head[26:28], "little")
    name = head[30 : 30 + length]
    _, slash, own = name.partition(b"/")
    return bool(slash) and (own in (b"data.pkl", b"constants.pkl", b"version") or own.startswith((b"data/", b"code/")))


def read_archive(path: str) -> Any:
    """What a file of torch.save holds: tensors on the CPU, in dicts, lists and tuples.

    Raises:
        FileError: the file is too large, damaged or hostile, or holds more than tensors and plain values.
        MissingExtraError: torch is not installed, or is too old to read a file safely.
        OSError: there is no such file.
    """
    size = os.path.getsize(path)
    if size > MOST_BYTES:
        raise FileError(f"the file has {size:,} bytes, and at most {MOST_BYTES:,} are read")
    with open(path, "rb") as file:
        if file.read(4) == ZIP:
            _check_zip(file, size)
        else:
            _check_legacy(file, size)
    torch = _torch()
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=False)
    except OSError:
        raise
    except Exception as error:  # torch raises almost anything for a damaged file
        raise FileError(f"torch cannot read it: {type(error).__name__} {str(error)[:300]}") from None


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise MissingExtraError(
            "files of torch.save are read by torch, which is not installed: pip install 'gatewise[train]'. "
            "State dicts in safetensors need no torch: safetensors.torch.save_file(model.state_dict(), 'w.safetensors')"
        ) from None
    found = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if found < NEEDED:
        needed = ".".join(map(str, NEEDED))
        raise MissingExtraError(
            f"torch {torch.__version__} has known holes through which a file can run code; install {needed} or newer: "
            f"pip install 'torch>={needed}'"
        )
    return torch


def _check_zip(file: IO[bytes], size: int) -> None:
    """Check all members of the archive. torch.save compresses none of them, so that they cannot grow."""
    _check_directory(file, size)
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check_members(members, size)
            pickle = next((member for member in members if member.filename.partition("/")[2] == "data.pkl"), None)
            if pickle is None or pickle.file_size > MOST_PICKLE:
                raise FileError("there is no data.pkl of a usual size in the archive")
            with archive.open(pickle) as opened:
                declared = scan(opened)
    except FileError:
        raise
    except Exception as error:  # zipfile, too, raises many errors for a damaged file
        raise FileError(f"the zip archive is damaged: {type(error).__name__} {str(error)[:200]}") from None
    sizes = {member.filename.partition("/data/")[2]: member.file_size for member in members}
    for key, wanted in declared.items():
        if sizes.get(key, -1) != wanted:
            raise FileError(
                f"a tensor declares {wanted:,} bytes, and its data in the archive have {max(sizes.get(key, 0), 0):,}"
            )


def _check_directory(file: IO[bytes], size: int) -> None:
    """Check the size of the directory before zipfile reads it into memory."""
    file.seek(max(0, size - (1 << 16) - 22))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise FileError("the zip archive is cut off: it has no directory; copy the file again")
    directory = int.from_bytes(tail[at + 12 : at + 16], "little")
    wide = tail.rfind(b"PK\x06\x06")  # the directory in 64 bits
    if directory == 0xFFFFFFFF and wide >= 0:
        directory = int.from_bytes(tail[wide + 40 : wide + 48], "little")
    if directory > MOST_DIRECTORY:
        raise FileError(f"the directory of the zip archive has {directory:,} bytes, more than {MOST_DIRECTORY:,}")


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    if len(members) > MOST_MEMBERS:
        raise FileError(f"the zip archive has {len(members)} members, and at most {MOST_MEMBERS} are read")
    folders = {member.filename.partition("/")[0] for member in members}
    if len(folders) != 1:
        raise FileError(f"the zip archive has several folders, {sorted(folders)[:3]!r}, and torch.save writes one")
    for member in members:
        own = member.filename.partition("/")[2]
        if own.startswith("code/") or own == "constants.pkl":
            raise FileError(
                "this is a TorchScript archive, which holds code. In torch: "
                "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')"
            )
        data = own.removeprefix("data/")
        usual = own in ("data.pkl", *PLAIN) or (data != own and data.isalnum() and len(data) <= 20)
        if not usual:
            raise FileError(f"the zip archive has the member {member.filename[:80]!r}, which torch.save does not write")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise FileError(f"member {member.filename[:80]!r} is compressed, which torch.save does not do")
    total = sum(member.file_size for member in members)
    if total > size:
        raise FileError(f"the members of the zip archive have {total:,} bytes, more than the file with {size:,}")
    if len({member.filename for member in members}) != len(members):
        raise FileError("the zip archive has two members of the same name")


def _check_legacy(file: IO[bytes], size: int) -> None:
    """Check the pickles of a stream: magic number, version, machine, the object, and the keys of its storages."""
    file.seek(0)
    if file.read(len(LEGACY)) != LEGACY:
        raise FileError("this is a pickle, and not of torch.save; gatewise does not read pickles. Save a state dict")
    declared: dict[str, int] = {}
    for _ in range(4):
        declared.update(scan(file))
        if file.tell() > MOST_PICKLE:
            raise FileError(f"its pickles have more than {MOST_PICKLE:,} bytes")
    total = sum(declared.values())
    if total > size:
        raise FileError(f"its tensors declare {total:,} bytes, more than the file with {size:,}")
