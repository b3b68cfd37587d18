"""Fuzzing for a given time: the core with libFuzzer under sanitizers, model files and states with mutations in Python.

    python benchmarks/survival_fuzz.py [--seconds 600]

Each target gets the time. The first crash, report of a sanitizer, broken promise or unexpected exception ends the
script. Writes results/survival_fuzz.json.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

from common import record

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Fuzz, print, write results/survival_fuzz.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600)
    seconds = parser.parse_args().seconds
    core = {}
    done = subprocess.run(
        ["make", "fuzz", f"FUZZ_SECONDS={seconds}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"fuzzing the core failed:\n{(done.stdout + done.stderr)[-5000:]}")
    counts = re.findall(r"stat::number_of_executed_units: (\d+)", done.stdout + done.stderr)
    for target, count in zip(("fuzz_graph", "fuzz_state"), counts, strict=True):
        core[target] = {"runs": int(count), "seconds": seconds, "failures": 0}
        print(f"{target}: {core[target]}", flush=True)
    command = [sys.executable, str(ROOT / "tests" / "hostile" / "fuzz.py"), "--seconds", str(seconds)]
    files = subprocess.run(command, capture_output=True, text=True, check=False)
    if files.returncode:
        raise SystemExit(f"fuzzing files failed:\n{files.stderr[-5000:]}")
    print(files.stdout, end="", flush=True)
    print(f"written to {record('survival_fuzz', {'core': core, 'files': json.loads(files.stdout)})}")


if __name__ == "__main__":
    main()
