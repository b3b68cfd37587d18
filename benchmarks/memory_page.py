"""The tables and the plot of docs/memory_tasks.md, from what `memory_tasks.py` found.

python benchmarks/memory_page.py        writes them there
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
from matplotlib.ticker import NullLocator

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "memory_tasks.md"
PLOT = ROOT / "docs" / "images" / "memory_tasks.png"
FOUND = ROOT / "benchmarks" / "results" / "memory_tasks.json"
BEGIN, END = "<!-- table: benchmarks/memory_page.py -->\n", "<!-- end of table -->\n"

NOT_YET, NOT_RUN = "…", "–"
"""What stands for trainings that have not been made yet, and for those that are not made by the rules."""

COLOURS = ("#D55E00", "#009E73", "#0072B2", "#CC79A7", "#E69F00", "#56B4E9", "#222222")
"""Of Okabe and Ito (2008), one for each kind; a variant has that of its kind."""
MARKS = "osDvP<X"

Results = Mapping[str, Any]


def lags(results: Results, task: str, name: str) -> dict[int, Results]:
    """Lag -> what was found of its seeds, of those that have been run."""
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
    """The page with the tables as they are now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + tables(results) + "\n" + END + after


def figure(results: Results) -> Figure:
    """A panel for each task: the median score by lag, a line for each recurrence, and chance."""
    with mpl.rc_context({"font.size": 10.0, "axes.spines.top": False, "axes.spines.right": False}):
        whole = Figure(figsize=(10.5, 6.4), layout="constrained")
        panels = whole.subplots(2, 3, sharey=True).flat
        for axes, task in zip(panels, results["chance"], strict=False):
            draw(axes, results, task)
        for axes in panels[len(results["chance"]) :]:
            axes.axis("off")
            handles, labels = panels[0].get_legend_handles_labels()
            axes.legend(handles, labels, frameon=False, loc="center", ncols=1, handlelength=3.2)
        return whole


def draw(axes: Axes, results: Results, task: str) -> None:
    """One panel. Lines stand a little apart in x, as many of them lie at chance or at 1."""
    axes.axhline(results["chance"][task], color="#8A8A8A", lw=1, ls=(0, (1, 1.5)), label="chance")
    names = results["recurrences"]
    kinds = list(dict.fromkeys(name.partition("+")[0] for name in names))
    for i, name in enumerate(names):
        found = lags(results, task, name)
        shift = 1.035 ** (i - (len(names) - 1) / 2)
        axes.plot(
            [lag * shift for lag in found],
            [max(0.0, median_low(one["scores"])) for one in found.values()],
            color=COLOURS[kinds.index(name.partition("+")[0]) % len(COLOURS)],
            ls="--" if "+" in name else "-",
            marker=MARKS[i % len(MARKS)],
            ms=5,
            lw=1.4,
            label=name,
        )
    axes.set_title(task, fontsize=11)
    axes.set_xscale("log")
    axes.set_xlim(0.75 * min(results["lags"]), 1.33 * max(results["lags"]))
    axes.set_xticks(results["lags"], [f"{lag:,}" for lag in results["lags"]])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(-0.03, 1.05)
    axes.set_xlabel("lag, steps")
    axes.set_ylabel("score")


def main() -> None:
    """Write both."""
    results = json.loads(FOUND.read_text())["results"]
    PAGE.write_text(page(PAGE.read_text(), results))
    figure(results).savefig(PLOT, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
