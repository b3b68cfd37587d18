"""The Python tests of the native core with the module under AddressSanitizer and UndefinedBehaviorSanitizer.

    make sanitize          builds the module in build/sanitize and calls this script

The sanitizers end the process at the first access outside of an object, use after free, overflow or misaligned access
in the core. A first process checks that the sanitizers work: the core gets an array that was freed, and the process
must end with a report. Writes results/survival_sanitizer.json.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from common import record

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "build" / "sanitize" / "package"
PYTHON = [sys.executable, "-S"]
"""Without site, or the package as it is installed here would come before the one in PYTHONPATH."""

# The module must be the sanitized one.
AWAKE = f"""
import ctypes
import gatewise as gw
import numpy as np
from gatewise import _core
assert _core.__file__.startswith({str(PACKAGE)!r}), _core.__file__
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
memory = libc.malloc(ctypes.c_size_t(64))
x = np.ctypeslib.as_array((ctypes.c_float * 16).from_address(memory)).reshape(4, 4)
x[:] = 0
stream = gw.init(gw.ModelSpec(4, [gw.LayerSpec("gru", units=3)])).stream()
stream.push_many(x)
print("runs", flush=True)
libc.free(ctypes.c_void_p(memory))
stream.push_many(x)
print("nobody minds", flush=True)
"""


def environment() -> dict[str, str]:
    """Environment variables that load the sanitizers' runtime first, and the package with the sanitized module."""
    libraries = []
    for name in ("libasan.so", "libstdc++.so"):  # without the second, exceptions within torch end in nowhere
        found = subprocess.run(
            [os.environ.get("CC", "gcc"), f"-print-file-name={name}"], capture_output=True, text=True
        )
        libraries.append(found.stdout.strip())
    return os.environ | {
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",  # the interpreter leaks on purpose
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONPATH": os.pathsep.join([str(PACKAGE), sysconfig.get_paths()["purelib"]]),
        "PYTHONMALLOC": "malloc",  # so that each object is one that the sanitizer knows
    }


def main() -> None:
    """Check the sanitizers, run pytest with the arguments given, write results/survival_sanitizer.json."""
    tests = sys.argv[1:] or ["tests/conformance"]
    env = environment()
    awake = subprocess.run([*PYTHON, "-c", AWAKE], env=env, capture_output=True, text=True, check=False)
    if awake.stdout != "runs\n" or "heap-use-after-free" not in awake.stderr:
        raise SystemExit(f"the sanitizers are not at work: {awake.stdout}{awake.stderr[-2000:]}")
    start = time.monotonic()
    command = [*PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    with subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        lines = []
        for line in run.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if run.returncode:
        raise SystemExit(f"pytest ended with {run.returncode}")
    counts = re.search(r"(\d+) passed(?:, (\d+) skipped)?", lines[-1])
    assert counts is not None, lines[-1]
    results = {"tests": tests, "passed": int(counts[1]), "skipped": int(counts[2] or 0), "reports": 0}
    print(f"{time.monotonic() - start:.0f} s; written to {record('survival_sanitizer', results)}")


if __name__ == "__main__":
    main()
