"""The tables in docs/verdicts_measured.md, from results/verdicts.json.

python benchmarks/verdicts_page.py
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from verdict_cases import CASES, DEVELOPMENT, JUDGED, REFUSED, TRUTH, case
from verdict_nulls import APART, BETWEEN, LAWS
from verdict_nulls import KINDS as NULLS
from verdicts import FAILED, FOUND

from gatewise.assessment.kinds import KINDS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "verdicts_measured.md"
BEGIN, END = "<!-- {}: benchmarks/verdicts_page.py -->\n", "<!-- end of {} -->\n"

VERDICTS = (*KINDS, REFUSED, FAILED)

Runs = Mapping[str, Mapping[str, Any]]


def page(text: str, results: Mapping[str, Any]) -> str:
    """The page with the tables of these results."""
    for name, content in (
        ("cases", cases()),
        ("verdicts", verdicts(results)),
        ("nulls", nulls(results["nulls"])),
    ):
        begin, end = BEGIN.format(name), END.format(name)
        before, rest = text.split(begin)
        text = before + begin + "\n" + content + "\n" + end + rest.split(end)[1]
    return text


def cases() -> str:
    """The cases with their right verdicts and the reasons."""
    rows = []
    for name, make in CASES.items():
        right = listed(sorted(case(name, "gaussian", 0).right), "or")
        what = (make.__doc__ or "").strip().splitlines()[0]
        rows.append([f"`{name}`", what, right, TRUTH[name]])
    return table(["case", "what it is", "right", "why"], rows)


def verdicts(results: Mapping[str, Any]) -> str:
    """What was judged right, the confusion matrix, and those that were wrong."""
    runs: Runs = results["judged"]
    told = (
        f"Judged with the laws {listed([f'`{law}`' for law in JUDGED['laws']])} and the seeds "
        f"{listed(JUDGED['seeds'])}: **{share(runs)}**."
    )
    if len(runs) < len(CASES) * len(JUDGED["laws"]) * len(JUDGED["seeds"]):
        told += " Not all of them have been run yet."
    minutes = sum(found.get("seconds", 0) for found in runs.values()) / 60
    told += f" One after the other, they took {minutes:.0f} minutes."
    own: Runs = results["development"]
    told += (
        f" With those with which sizes and budgets were chosen ({listed(DEVELOPMENT['laws'])}, seeds "
        f"{listed(DEVELOPMENT['seeds'])}): {share(own)}."
    )
    return "\n\n".join(filter(None, [told, confusion(runs).rstrip(), wrong(runs)])) + "\n"


def confusion(runs: Runs) -> str:
    """Case by verdict; a right verdict is bold."""
    counts = Counter((key.split(", ")[0], found["verdict"]) for key, found in runs.items())
    seen = [name for name in VERDICTS if any((case_, name) in counts for case_ in CASES)]
    rows = []
    for name in CASES:
        right = case(name, "gaussian", 0).right
        own = {key: found for key, found in runs.items() if key.split(", ")[0] == name}
        cells = []
        for verdict in seen:
            number = counts[name, verdict]
            cells.append("" if not number else f"**{number}**" if verdict in right else str(number))
        rows.append([f"`{name}`", *cells, f"{sum(found['right'] for found in own.values())} of {len(own)}"])
    return table(["case", *(f"`{name}`" if name in KINDS else name for name in seen), "right"], rows)


def wrong(runs: Runs) -> str:
    """The wrong verdicts, each with its sentence."""
    found = []
    for key in sorted(runs, key=lambda key: list(CASES).index(key.split(", ")[0])):
        if not runs[key]["right"]:
            name, law, seed = key.split(", ")
            found.append(f"- `{name}`, {law}, seed {seed}: {runs[key]['verdict']}. {runs[key]['sentence']}")
    return "" if not found else "The wrong ones:\n\n" + "\n".join(found)


def share(runs: Runs) -> str:
    """How many verdicts are right, in words."""
    right = sum(found["right"] for found in runs.values())
    return f"{right} of {len(runs)} right ({100 * right / len(runs):.0f} %)" if runs else "not run yet"


def nulls(counted: Mapping[str, Any]) -> str:
    """The share of false changes for each kind, and for each law and spread between seeds."""
    if not counted:
        return "Not run yet.\n"
    told, rows = [], []
    for kind in NULLS:
        own = counted[kind]
        findings, changes, part = numbers([own[law][spread] for law in LAWS if law not in APART for spread in own[law]])
        told.append(f"{kind}, {changes} false changes in {findings} findings (**{part}**)")
        for law in LAWS:
            for between in BETWEEN:
                rows.append([kind, law, f"{100 * between:g} %", *numbers([own[law][f"{between:g}"]])])
    head = ["kind", "errors", "between seeds", "findings", "false changes", "share"]
    return f"Over all laws except {listed(APART)}: {'; '.join(told)}.\n\n" + table(head, rows)


def numbers(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """The number of findings, that of false changes, and its share."""
    findings = sum(cell["findings"] for cell in cells)
    changes = sum(sum(cell["changes"].values()) for cell in cells)
    return [f"{findings:,}", str(changes), f"{100 * changes / findings:.1f} %"]


def listed(words: Sequence[Any], last: str = "and") -> str:
    """The words as in a sentence."""
    *first, final = map(str, words)
    return f"{', '.join(first)} {last} {final}" if first else final


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def main() -> None:
    """Write the page."""
    results = json.loads(FOUND.read_text())["results"]
    PAGE.write_text(page(PAGE.read_text(), results))


if __name__ == "__main__":
    main()
