"""The page of the demo: one HTML file that needs no network, from the summary and the figures."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

from gatewise.demo.figures import NARROW, WIDE, gradient_figure, series_figure, state_figure, svg
from gatewise.demo.findings import Findings, LagCurve
from gatewise.demo.summary import month_name, one_in


def render(summary: Mapping[str, Any], findings: Findings, curves: Sequence[LagCurve]) -> str:
    """The page as HTML.

    Each number on it that comes from the run stands in a `<data>` element whose id is its key in the summary, with dots
    between the levels, and whose value is exact.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    drawings = {
        "series": [series_figure(findings, size) for size in (WIDE, NARROW)],
        "state": [state_figure(findings, size) for size in (WIDE, NARROW)],
        "gradients": [gradient_figure(curves, size) for size in (WIDE, NARROW)],
    }
    return environment.get_template("report.html.j2").render(
        s=summary,
        at=lambda key: look_up(summary, key),
        images={
            name: {"wide": data_uri(wide), "narrow": data_uri(narrow)} for name, (wide, narrow) in drawings.items()
        },
        curves=[curve.name for curve in curves],
        month_name=month_name,
        one_in=one_in,
        share=share,
        alarm_months=", ".join(month_name(str(m)) for m in findings.dates[findings.alarms].astype("datetime64[M]")),
    )


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


def data_uri(figure: Figure) -> str:
    """The figure as SVG within an address, so that the page is one file."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg(figure).encode()).decode()
