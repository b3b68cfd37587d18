"""The page of the demo: one HTML file that needs no network, from the summary and the figures."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gatewise import report
from gatewise.demo.figures import memory_figure, series_figure, state_figure
from gatewise.demo.findings import GREAT, Findings
from gatewise.demo.summary import month_name, one_in
from gatewise.demo.vanishing import Memory
from gatewise.figures import BESIDE


def render(
    summary: Mapping[str, Any], findings: Findings, memories: Sequence[Memory], programs: str | None = None
) -> str:
    """The page as HTML.

    Each number that comes from the run is in a `<data>` element. Its data-key is the key in the summary, with dots
    between the levels, and its value is exact.

    Args:
        summary: the results.
        findings: the results for each month, for the figures.
        memories: what each recurrence remembers, for the figures.
        programs: the folder that must be on the PATH for the commands on the page; None = none.
    """
    months = ", ".join(month_name(str(m)) for m in findings.dates[findings.alarms].astype("datetime64[M]"))
    return report.render(
        Path(__file__).with_name("report.html.j2"),
        s=summary,
        at=lambda key: look_up(summary, key),
        drawings={
            "series": report.drawing(
                "series",
                f"Line of monthly temperatures with forecast band, scores below; alarms at {months}",
                lambda size: series_figure(findings, size),
            ),
            "state": report.drawing(
                "state",
                "Heat map of the hidden state, one row a unit, one column a month",
                lambda size: state_figure(findings, size),
                BESIDE,
            ),
            "memory": report.drawing(
                "memory",
                "Gradient norm by lag on a logarithmic scale, and error by lag, for an RNN, an LSTM and a GRU",
                lambda size: memory_figure(memories, size),
                BESIDE,
            ),
        },
        names=[each.name for each in memories],
        great=great,
        month_name=month_name,
        one_in=one_in,
        programs=programs,
        share=share,
    )


def great(month: str) -> str | None:
    """The great El Nino of a month such as "1982-11", as "1982-83"; None for months outside of both."""
    year = int(month.split("-")[0])
    return next((name for name, (first, last) in GREAT.items() if first <= year <= last), None)


def way_to_run(folder: Path) -> str | None:
    """The folder of the gatewise program, relative to the page; None if it is on the PATH or does not exist.

    Args:
        folder: the folder of the page.
    """
    program = Path(sys.executable).parent / "gatewise"
    found = shutil.which("gatewise")
    if not program.is_file() or (found is not None and os.path.samefile(found, program)):
        return None
    programs = str(program.parent)
    try:
        return min(os.path.relpath(programs, folder), programs, key=len)
    except ValueError:  # on another drive
        return programs


def look_up(summary: Any, key: str) -> Any:
    """The value in nested dicts and lists under a key such as "strongest.0.score"."""
    for part in key.split("."):
        summary = summary[int(part)] if isinstance(summary, list) else summary[part]
    return summary


def share(value: float) -> str:
    """A share as text: in percent or, if it is very small, as a power of ten."""
    if value >= 0.1:
        return f"{100 * value:.0f} %"
    if value >= 0.001:
        return f"{100 * value:.2g} %"
    digit, exponent = f"{value:.0e}".split("e")
    return f"{digit}·10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
