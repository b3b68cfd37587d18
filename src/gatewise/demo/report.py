"""The page of the demo: one HTML file that needs no network, from the summary and the figures."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from gatewise.demo.figures import BESIDE, NARROW, WIDE, gradient_figure, series_figure, state_figure, svg
from gatewise.demo.findings import GREAT, Findings, LagCurve
from gatewise.demo.summary import month_name, one_in


def render(
    summary: Mapping[str, Any], findings: Findings, curves: Sequence[LagCurve], programs: str | None = None
) -> str:
    """The page as HTML.

    Each number on it that comes from the run stands in a `<data>` element, whose data-key is its key in the summary,
    with dots between the levels, and whose value is exact.

    Args:
        summary: the numbers.
        findings: for the figures.
        curves: for the figures.
        programs: the folder that the commands on the page need on the PATH; None = none.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    drawings = {
        "series": {"wide": series_figure(findings, WIDE), "narrow": series_figure(findings, NARROW)},
        "state": {"wide": state_figure(findings, BESIDE), "narrow": state_figure(findings, NARROW)},
        "gradients": {"wide": gradient_figure(curves, BESIDE), "narrow": gradient_figure(curves, NARROW)},
    }
    return environment.get_template("report.html.j2").render(
        s=summary,
        at=lambda key: look_up(summary, key),
        drawings={
            name: {size: svg(figure, f"{name}-{size}") for size, figure in both.items()}
            for name, both in drawings.items()
        },
        curves=[curve.name for curve in curves],
        great=great,
        month_name=month_name,
        one_in=one_in,
        programs=programs,
        share=share,
        alarm_months=", ".join(month_name(str(m)) for m in findings.dates[findings.alarms].astype("datetime64[M]")),
    )


def great(month: str) -> str | None:
    """The great El Nino that a month such as "1982-11" lies in, as "1982-83"; None where it lies in neither."""
    year = int(month.split("-")[0])
    return next((name for name, (first, last) in GREAT.items() if first <= year <= last), None)


def way_to_run(folder: Path) -> str | None:
    """The folder of this gatewise, as seen from the page's; None where a shell finds it anyway, or it has none.

    Args:
        folder: of the page.
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
    """A part of the whole: percent where that reads well, else a power of ten."""
    if value >= 0.001:
        return f"{100 * value:.2g} %"
    digit, exponent = f"{value:.0e}".split("e")
    return f"{digit}·10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
