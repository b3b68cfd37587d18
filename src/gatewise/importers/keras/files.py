"""Read the texts and arrays of a Keras file, which a child process parses; see `child.py`."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import FileError, MissingExtraError, SpecError
from gatewise.file import read_bytes
from gatewise.importers.keras import child
from gatewise.layers.base import Array
from gatewise.spec import parse_json

SECONDS = 30
"""The child process is ended after this time, and one second more for each 10 MB of the file."""


def read_file(path: str) -> tuple[dict[str, str], dict[str, Array]]:
    """The texts of a Keras file by name, and its arrays by path.

    Raises:
        MissingExtraError: h5py is not installed.
        FileError: the file is damaged, hostile or larger than 1 GiB.
        OSError: there is no such file, or no permission to read it.
    """
    if find_spec("h5py") is None:
        raise MissingExtraError(f"{path}: to read a file of Keras takes h5py: pip install 'gatewise[import]'")
    data = read_bytes(path)
    if len(data) > child.MOST_BYTES:
        raise FileError(f"{path}: {len(data):,} bytes, more than the {child.MOST_BYTES:,} that are imported")
    try:
        return _parsed(_answer(data))
    except FileError as error:
        raise FileError(f"{path}: {error}") from None


def _answer(data: bytes) -> bytes:
    """What the child process says to a file."""
    done = _run(data)
    if done.returncode == 0:
        return done.stdout
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        why = "took more time than a file of its size needs" if name == "SIGXCPU" else f"was ended by {name}"
        raise FileError(f"it is damaged or hostile: the process that read it {why}")
    said = done.stderr.decode(errors="replace").strip().splitlines()
    raise FileError(f"the process that reads it failed: {said[-1][:300] if said else done.returncode}")


def _run(data: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run the child process on a file."""
    command = [sys.executable, "-P", str(Path(child.__file__))]
    seconds = SECONDS + len(data) / 10e6
    try:
        return subprocess.run(command, input=data, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise FileError(f"reading it took more than {seconds:.0f} seconds; it is hostile or damaged") from None


def _parsed(answer: bytes) -> tuple[dict[str, str], dict[str, Array]]:
    """The texts and arrays in an answer of the child process, which hostile data may have taken over."""
    line, _, values = answer.partition(b"\n")
    try:
        said: dict[str, Any] = parse_json(line.decode(), "answer", 1 << 26)
        if "refused" in said:
            raise FileError(str(said["refused"]))
        arrays, at = {}, 0
        for name, dtype, shape in said["arrays"]:
            kind = np.dtype(dtype)
            end = at + math.prod(shape) * kind.itemsize
            if kind.kind not in "fiub" or not at <= end <= len(values):
                raise ValueError(name)
            arrays[str(name)] = np.frombuffer(values[at:end], kind).reshape(shape)
            at = end
        return {str(name): str(text) for name, text in said["texts"].items()}, arrays
    except FileError:
        raise
    except (SpecError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise FileError("it is damaged or hostile: the process that reads it gave no answer") from None
