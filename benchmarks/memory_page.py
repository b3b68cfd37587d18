"""The tables, the figure and the main results in docs/memory_tasks.md, from the results of `memory_tasks.py`.

python benchmarks/memory_page.py        writes them into the page; `memory_words.py` has the words
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import median_low
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from memory_words import words

from gatewise.figures import Size, score_by_lag, style
from gatewise.figures.memory import CHANCE, KIND, OTHER, VARIANT
from gatewise.figures.style import BLUE
from gatewise.report import svg_file

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "memory_tasks.md"
PLOT = ROOT / "docs" / "images" / "memory_tasks.svg"
FOUND = ROOT / "benchmarks" / "results" / "memory_tasks.json"
TABLE = "<!-- table: benchmarks/memory_page.py -->\n", "<!-- end of table -->\n"
WORDS = "<!-- words: benchmarks/memory_words.py -->\n", "<!-- end of words -->\n"

NOT_YET, NOT_RUN = "…", "–"
"""The signs for trainings that have not been run yet, and for those that the rules leave out."""

SIZE = Size(width=4.7, font=8.5, rows=1)
"""The size of the figure, whose text is legible at the width of a phone."""

ROW = 0.92
"""The height of a row of the figure, in inches."""

Results = Mapping[str, Any]


def lags(results: Results, task: str, name: str) -> dict[int, Results]:
    """Lag -> the results of its seeds, for the lags that have been run."""
    own = results["tasks"].get(task, {}).get(name, {"lags": {}})["lags"]
    return {int(lag): one for lag, one in own.items()}


def complete(results: Results, one: Results) -> bool:
    """Whether all seeds of a lag have been run."""
    return len(one["scores"]) == results["seeds"]


def solved(results: Results, task: str, name: str) -> list[int]:
    """The lags that the median seed has solved."""
    found = lags(results, task, name)
    return [lag for lag, one in found.items() if 2 * one["ends"].count("solved") > results["seeds"]]


def stopped(results: Results, task: str, name: str) -> int | None:
    """The lag at which no seed has learned, so that no longer one is run."""
    found = sorted(lags(results, task, name).items())
    return next((lag for lag, one in found if complete(results, one) and not one["learned"]), None)


def longest(results: Results, task: str, name: str) -> str:
    """The longest lag that the median seed has solved, so far."""
    found, best = lags(results, task, name), solved(results, task, name)
    ended = stopped(results, task, name) is not None
    every = len(found) == len(results["lags"]) and all(complete(results, one) for one in found.values())
    if ended or every:
        return f"{max(best):,}" if best else "none"
    return f"{max(best):,} {NOT_YET}" if best else NOT_YET


def cell(results: Results, task: str, name: str, lag: int) -> str:
    """Seeds that solved it, the median score and, of those that did, the median of updates."""
    one = lags(results, task, name).get(lag)
    if one is None:
        end = stopped(results, task, name)
        return NOT_RUN if end is not None and end < lag else NOT_YET
    steps = [steps for end, steps in zip(one["ends"], one["steps"], strict=True) if end == "solved"]
    after = f", {median_low(steps):,}" if steps else ""
    return f"{len(steps)}/{len(one['scores'])}, {median_low(one['scores']):.2f}{after}"


def twice(results: Results, task: str, name: str) -> str:
    """The median score at twice the longest lag that the median seed has solved."""
    best = solved(results, task, name)
    if not best:
        return NOT_RUN if longest(results, task, name) == "none" else NOT_YET
    return f"{median_low(lags(results, task, name)[max(best)]['at twice the lag']):.2f} at {2 * max(best):,}"


def _rows(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def tables(results: Results) -> str:
    """The overview, then a table for each task, in Markdown."""
    tasks, names = list(results["chance"]), results["recurrences"]
    over = [[f"`{name}`", *(longest(results, task, name) for task in tasks)] for name in names]
    parts = ["Longest lag that the median seed has solved:\n", _rows(["", *tasks], over)]
    for task, chance in results["chance"].items():
        head = [task, "learning rate", *(f"lag {lag:,}" for lag in results["lags"]), "at twice the lag"]
        rows = []
        for name in names:
            own = results["tasks"].get(task, {}).get(name)
            rate = f"{own['learning rate']:g}" if own else NOT_YET
            cells = [cell(results, task, name, lag) for lag in results["lags"]]
            rows.append([f"`{name}`", rate, *cells, twice(results, task, name)])
        parts += [f"**{task.capitalize()}**, chance {chance:.2f}:\n", _rows(head, rows)]
    counts = f"{results['trainings']:,} trainings in {results['cpu minutes']:,.0f} minutes of CPU time."
    return "\n".join([*parts, counts]) + "\n"


def page(text: str, results: Results) -> str:
    """The page with new tables and words."""
    for (begin, end), now in ((TABLE, tables(results)), (WORDS, words(results))):
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = before + begin + "\n" + now + "\n" + end + after
    return text


def kinds(results: Results) -> list[str]:
    """The kinds of recurrent layers, without their variants."""
    return list(dict.fromkeys(name.partition("+")[0] for name in results["recurrences"]))


def figure(results: Results) -> Figure:
    """The median score by lag: a row for each kind, which is in colour there, and a column for each task."""
    rows, tasks = kinds(results), list(results["chance"])
    with style(SIZE), mpl.rc_context({"xtick.labelsize": 7.5}):
        whole = Figure(figsize=(SIZE.width, 0.95 + ROW * len(rows)), layout="constrained")
        whole.get_layout_engine().set(w_pad=0.04, h_pad=0.03, wspace=0.01)  # type: ignore[union-attr]
        panels = whole.subplots(len(rows), len(tasks), sharex=True, sharey=True, squeeze=False)
        for kind, row in zip(rows, panels, strict=True):
            for axes, task in zip(row, tasks, strict=True):
                draw(axes, results, task, kind)
            row[0].set_ylabel(kind, color=BLUE, fontweight="bold", labelpad=2)
        for axes, task in zip(panels[0], tasks, strict=True):
            axes.set_title(task.replace(" ", "\n"))
        whole.supxlabel("lag, steps; up: the median score, from 0 to 1", fontsize=SIZE.font)
        styles = {"kind": KIND, "its variant": VARIANT, "all others": OTHER, "chance": CHANCE}
        key = {name: Line2D([], [], **styles[name]) for name in styles}
        whole.legend(
            key.values(), key, loc="outside upper center", ncols=4, frameon=False, handlelength=2, columnspacing=1.1
        )
        return whole


def draw(axes: Axes, results: Results, task: str, kind: str) -> None:
    """One panel: the lines of a kind and of its variants in colour, before those of all others in grey."""
    scores = {
        name: {lag: max(0.0, median_low(one["scores"])) for lag, one in lags(results, task, name).items()}
        for name in results["recurrences"]
    }
    variants = [name for name in scores if name.partition("+")[0] == kind and name != kind]
    chance = results["chance"][task]
    score_by_lag(scores, kind, variants, lags=results["lags"], chance=chance, legend=False, ax=axes)


def drawing(results: Results) -> str:
    """The figure as an SVG file, with light and dark colours."""
    return svg_file(figure(results), "memory")


def main() -> None:
    """Write the page and the figure."""
    results = json.loads(FOUND.read_text())["results"]
    PAGE.write_text(page(PAGE.read_text(), results))
    PLOT.write_text(drawing(results))


if __name__ == "__main__":
    main()
