"""The table in docs/survival.md, from the results of the survival scripts.

python benchmarks/survival_table.py        writes it into the page
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "survival.md"
BEGIN, END = "<!-- table: benchmarks/survival_table.py -->\n", "<!-- end of table -->\n"


def results(name: str) -> Any:
    """The results of benchmarks/survival_NAME.py."""
    return json.loads((ROOT / "benchmarks" / "results" / f"survival_{name}.json").read_text())["results"]


def rows() -> list[tuple[str, str, str]]:
    """The rows of the table: the test, the number of trials, and the result."""
    kills, sessions, suite = (results(name) for name in ("kills", "sessions", "sanitizer"))
    train, stream, save = kills["train"], kills["stream"], kills["save"]
    many = f"{sessions['sessions']:,} sessions of {sessions['steps']} steps, {sessions['threads']} threads"
    found = [
        (
            "`gatewise train --checkpoint`, killed at random moments",
            f"{train['kills']:,} kills, {train['midway']:,} after progress",
            f"{train['equal']:,} of {train['completed']:,} models are those of an uninterrupted training, bit for bit",
        ),
        (
            "`gatewise stream --state --replay`, killed at random moments",
            f"{stream['kills']:,} kills, {stream['midway']:,} after progress",
            f"{stream['equal']:,} of {stream['completed']:,} outputs are those of an uninterrupted stream, bit for bit",
        ),
        (
            "`Model.save` over an older file, killed at random moments",
            f"{save['kills']:,} kills, {save['midway']:,} in the middle of a write",
            f"{save['equal']:,} of {save['kills']:,} files were whole: {save['old']:,} old, {save['new']:,} new",
        ),
    ]
    for drift in results("drift"):
        errors = drift["error by tenth"]
        found.append(
            (
                f"`{drift['kind']}` streamed, against float64",
                f"{drift['steps']:,} steps",
                f"error {errors[0]:.1e} in the first tenth, {errors[-1]:.1e} in the last, {max(errors):.1e} at most",
            )
        )
    for context, model in sessions["models"].items():
        for what in ("streams", "pools"):
            served = model[what]
            beside = f"{served['released']:,} of {served['calls']:,} calls let other threads run"
            equal = f"{served['equal']:,} of {sessions['sessions']:,} answered with the bits they have alone"
            found.append((f"sessions served as {what}, {context}", f"{many}; {beside}", equal))
    found.append(
        (
            "the Python tests of the core under the sanitizers",
            f"{suite['passed']:,} tests",
            f"{suite['reports']} reports",
        )
    )
    for name, target in results("fuzz_core").items():
        often = f"{target['runs']:,} inputs in {target['seconds'] / 60:.0f} minutes"
        found.append((f"`{name}` in libFuzzer", often, f"{target['failures']} failures"))
    for name, target in results("fuzz_files").items():
        often = f"{target['tried']:,} in {target['cpu_seconds'] / 60:.1f} minutes of CPU time"
        well = "mean the same" if name.endswith("damaged") else "make models that run"
        but = f" but {target['taken']:,}, which {well}" if target["taken"] else ""
        found.append((name, often, f"all refused in words{but}; {target['kept']:,} outcomes in the corpus"))
    return found


def table() -> str:
    """The rows in Markdown."""
    lines = ["| What was done | How often | What held |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows())]) + "\n"


def page(text: str) -> str:
    """The page with a new table."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + table() + "\n" + END + after


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
