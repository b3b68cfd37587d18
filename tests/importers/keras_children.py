"""Reads many files as the child process of the importer would, each in a process of its own with its limits.

All are forked from one process that has imported h5py already, which takes a hundredth of the time.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gatewise.importers.keras import child


@dataclass(frozen=True)
class Ended:
    """How a process that read a file ended, with its output, and what the system says it took."""

    done: subprocess.CompletedProcess[bytes]
    seconds: float
    kilobytes: int


FORKS = f"""
import json, os, sys, time
sys.path.insert(0, {str(Path(child.__file__).parent)!r})
import child, h5py
for path in sys.argv[1:]:
    pid = os.fork()
    if not pid:
        with open(path, "rb") as file:
            data = file.read()
        out = os.open(path + ".out", os.O_CREAT | os.O_WRONLY)
        os.dup2(out, 1)
        child.limit(len(data))
        os.write(1, b"".join(child.answer(data)))
        os._exit(0)
    _, status, used = os.wait4(pid, 0)
    print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def read_each(data: Sequence[bytes], folder: Path) -> list[Ended]:
    """How reading each of some files ends."""
    paths = [folder / str(i) for i in range(len(data))]
    for path, each in zip(paths, data, strict=True):
        path.write_bytes(each)
    done = subprocess.run([sys.executable, "-c", FORKS, *map(str, paths)], capture_output=True, text=True, check=True)
    found = []
    for path, line in zip(paths, done.stdout.splitlines(), strict=True):
        status, seconds, kilobytes = line.split()
        output = path.with_suffix(".out").read_bytes()
        found.append(Ended(subprocess.CompletedProcess([], int(status), output, b""), float(seconds), int(kilobytes)))
    return found
