"""The input of `gatewise stream`: standard input, or a file of lines."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from gatewise.errors import InputError

STANDARD_INPUT = 0
UNPACKED_BY = {b"\x1f\x8b": "zcat", b"BZh": "bzcat", b"\xfd7zX": "xzcat", b"\x28\xb5\x2f\xfd": "zstdcat"}
"""How compressed files begin, and the program that unpacks each."""


@contextmanager
def source_of(path: str | None) -> Iterator[int]:
    """The descriptor of what is read: of a file, or of standard input if there is no path, or "-".

    Raises:
        InputError: a file without lines of text: a folder, Parquet, or something compressed; the message says what to
            do.
        OSError: no such file, or no permission.
    """
    if path is None or path == "-":
        yield STANDARD_INPUT
        return
    if stat.S_ISDIR(os.stat(path).st_mode):
        raise InputError(f"{path} is a folder; give a file of readings, one a line")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            _refuse_no_text(path, os.pread(descriptor, 4, 0))
        yield descriptor
    finally:
        os.close(descriptor)


def _refuse_no_text(path: str, begin: bytes) -> None:
    """Refuse a file that begins as no file of text does. Raises InputError."""
    if begin == b"PAR1":
        raise InputError(f"{path} is a Parquet file, which has no lines to stream; gatewise predict reads it")
    for mark, program in UNPACKED_BY.items():
        if begin.startswith(mark):
            raise InputError(f"{path} is compressed; unpack it into the stream: {program} {path} | gatewise stream ...")
