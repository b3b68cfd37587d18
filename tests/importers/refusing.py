"""What the tests of hostile files share: a file is refused by name, within a second and a gibibyte."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gatewise import importers
from gatewise.errors import FileError

SECONDS = 1.0


def refused(path: Path, words: str, spec: Any = None) -> None:
    """The file is refused with these words. The time of the processor counts, the best of three tries."""
    spent = []
    while len(spent) < 3 and min(spent, default=SECONDS) >= SECONDS:
        before = time.process_time()
        with pytest.raises(FileError, match=words) as caught:
            importers.load(path, spec)
        spent.append(time.process_time() - before)
        assert len(str(caught.value)) < 2000
    assert min(spent) < SECONDS


def refused_within_a_gibibyte(paths: Sequence[Path], spec: Any = None) -> None:
    """The files are refused in a process that may use a gibibyte more than what it needs to import its libraries."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc to read the size of the process from")
    code = f"""
import onnx, resource, sys, torch
from gatewise import importers
from gatewise.errors import FileError
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), used + (1 << 30)))
for path in sys.argv[1:]:
    try:
        importers.load(path, {spec!r})
    except FileError as error:
        assert "MemoryError" not in str(error), error
    else:
        raise AssertionError(path)
"""
    done = subprocess.run([sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
