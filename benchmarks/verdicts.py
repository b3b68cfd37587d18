"""How often is the verdict of `gatewise.assess` right, on cases whose truth is known?

    python benchmarks/verdicts.py [--cases sound,noise] [--development] [--at-once 2] [--findings 1000]

Each case of `verdict_cases.py` is assessed with each law of the noise and each seed, in a process of its own. The sizes
and budgets of the cases were chosen with the laws and seeds of `DEVELOPMENT`; those of `JUDGED` count. After each
assessment, results/verdicts.json is written, and a run that was interrupted goes on where it ended. `--again` begins
anew. `verdict_nulls.py` simulates findings without a difference. `verdicts_page.py` writes the results into
docs/verdicts_measured.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from verdict_cases import CASES, DEVELOPMENT, JUDGED, REFUSED, Case, case
from verdict_nulls import nulls

import gatewise as gw
from common import FOLDER, about
from gatewise.errors import InputError

FOUND = FOLDER / "results" / "verdicts.json"

FAILED = "error"
"""The verdict of an assessment that ended with an error that nobody expects."""


def judged(made: Case) -> dict[str, Any]:
    """Assess a case: the verdict, whether it is right, and the evidence in figures."""
    start = time.monotonic()
    try:
        found = gw.assess(made.model, made.data, unseen=made.unseen, **made.arguments)
    except InputError as error:
        kind, sentence, failed, evidence = REFUSED, str(error), [], {}
    else:
        kind, sentence = found.verdict.kind, found.verdict.sentence
        failed = [each.code for each in found.findings.checks if each.status == "failed"]
        evidence = {
            "candidates": {each.name: round(each.metric, 4) for each in found.findings.candidates},
            "questions": {
                each.name: [round(end, 4) for end in (each.gain, each.low, each.high)] + [each.converged]
                for each in found.findings.questions
            },
            "unanswered": list(found.findings.unanswered),
        }
    right = kind in made.right and (not made.check or made.check in failed)
    seconds = round(time.monotonic() - start, 1)
    return {
        "verdict": kind, "right": right, "sentence": sentence, "failed": failed, "seconds": seconds, **evidence
    }  # fmt: skip


def assessed(name: str, law: str, seed: int) -> dict[str, Any]:
    """Assess a case in a process of its own, on one core."""
    command = [sys.executable, __file__, "--one", f"{name},{law},{seed}"]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it ended without a message"])[-1]
        return {"verdict": FAILED, "right": False, "sentence": last}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def plan(which: dict[str, Any], names: Sequence[str]) -> list[tuple[str, str, int]]:
    """The runs, all cases of the first seed first."""
    return [(name, law, seed) for seed in which["seeds"] for law in which["laws"] for name in names]


def read(path: Path = FOUND) -> dict[str, Any]:
    """The results so far: "development" and "judged", each run under "case, law, seed", and "nulls"."""
    empty: dict[str, Any] = {"development": {}, "judged": {}, "nulls": {}}
    return {**empty, **json.loads(path.read_text())["results"]} if path.exists() else empty


def write(results: dict[str, Any], path: Path = FOUND) -> None:
    """Write the results; a reader, or a later run, finds the old ones or the new ones, complete."""
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({"about": about(), "results": results}, indent=1, sort_keys=True) + "\n")
    partial.replace(path)


def main() -> None:
    """Run what is not there yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", default=",".join(CASES), help="names of cases, separated by commas")
    parser.add_argument("--laws", help="laws of the noise instead of those that count, separated by commas")
    parser.add_argument("--seeds", help="seeds instead of those that count, separated by commas")
    parser.add_argument("--development", action="store_true", help="run the laws and seeds of the development")
    parser.add_argument("--again", action="store_true", help="run what is there already as well")
    parser.add_argument("--at-once", type=int, default=1, help="number of assessments at the same time")
    parser.add_argument("--findings", type=int, default=1000, help="simulated findings of each kind; 0 = none")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        name, law, seed = given.one.split(",")
        print(json.dumps(judged(case(name, law, int(seed)))))
        return
    part, which = ("development", DEVELOPMENT) if given.development else ("judged", JUDGED)
    which = {
        "laws": given.laws.split(",") if given.laws else which["laws"],
        "seeds": [int(seed) for seed in given.seeds.split(",")] if given.seeds else which["seeds"],
    }
    results = read()
    if given.findings and (given.again or not results["nulls"]):
        results["nulls"] = nulls(given.findings)
        write(results)
    runs = plan(which, given.cases.split(","))
    left = [run for run in runs if given.again or ", ".join(map(str, run)) not in results[part]]
    with ThreadPoolExecutor(given.at_once) as pool:
        for run, found in zip(left, pool.map(lambda run: assessed(*run), left), strict=True):
            results[part][", ".join(map(str, run))] = found
            write(results)
            print(*run, found["verdict"], "right" if found["right"] else "WRONG: " + found["sentence"], flush=True)


if __name__ == "__main__":
    main()
