"""Fuzzing for a given time: the core with libFuzzer under sanitizers, model files and states with hypothesis.

    python benchmarks/survival_fuzz.py [--only core|files] [--seconds 600]

Each target runs for the whole time: the two of libFuzzer one after the other, by the clock; the four of hypothesis two
at a time, by their CPU time. Findings are written to build/fuzz and to tests/hostile/corpus. The script ends at the
first crash, report of a sanitizer, violated property or unexpected exception. It writes results/survival_fuzz_core.json
and results/survival_fuzz_files.json.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from common import record

ROOT = Path(__file__).parents[1]
FILES = ("model files, damaged", "model files, forged", "states, damaged", "states, forged")


def core(seconds: int) -> dict[str, Any]:
    """The C targets."""
    done = subprocess.run(
        ["make", "fuzz", f"FUZZ_SECONDS={seconds}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"fuzzing the core failed:\n{(done.stdout + done.stderr)[-5000:]}")
    counts = re.findall(r"stat::number_of_executed_units: (\d+)", done.stdout + done.stderr)
    return {
        target: {"runs": int(count), "seconds": seconds, "failures": 0}
        for target, count in zip(("fuzz_graph", "fuzz_state"), counts, strict=True)
    }


def files(seconds: int) -> dict[str, Any]:
    """The Python targets."""

    def fuzz(target: str) -> Any:
        command = [sys.executable, str(ROOT / "tests" / "hostile" / "fuzz.py"), target, "--seconds", str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"fuzzing {target} failed:\n{(done.stdout + done.stderr)[-5000:]}")
        return json.loads(done.stdout)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(FILES, pool.map(fuzz, FILES), strict=True))


def main() -> None:
    """Fuzz, print, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["core", "files"])
    parser.add_argument("--seconds", type=int, default=600)
    options = parser.parse_args()
    for which, fuzz in (("core", core), ("files", files)):
        if options.only in (None, which):
            found = fuzz(options.seconds)
            for target, counts in found.items():
                print(f"{target}: {counts}", flush=True)
            print(f"written to {record(f'survival_fuzz_{which}', found)}", flush=True)


if __name__ == "__main__":
    main()
