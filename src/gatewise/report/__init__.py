"""Pages: one HTML layout for all reports of gatewise.

A page is one file. It needs no network, and its content security policy prevents the browser from using one. It follows
the reader's choice of a light or dark theme, fits a phone and can be printed. It begins with the answer in one
sentence, followed by the evidence and the method::

    from gatewise.report import Section, drawing, page, table

    text = page(
        "Pump 7",
        "Two of 2,880 minutes were not expected.",
        [Section("What was found", [drawing("found", "Vibration and scores", draw), table(["when", "score"], rows)])],
        [Section("How", ["A detector was trained on the three weeks before."])],
    )

Text is escaped. `drawing`, `table` and `tiles` return HTML, which is used as it is.
"""

from __future__ import annotations

from gatewise.errors import MissingExtraError

try:
    import jinja2 as jinja2
except ImportError as error:
    raise MissingExtraError(f"reports need {error.name}: pip install 'gatewise[train]'") from error

from gatewise.report.drawings import drawing as drawing
from gatewise.report.drawings import inline_svg as inline_svg
from gatewise.report.drawings import png as png
from gatewise.report.drawings import svg_file as svg_file
from gatewise.report.page import MOST_BYTES as MOST_BYTES
from gatewise.report.page import Section as Section
from gatewise.report.page import page as page
from gatewise.report.page import render as render
from gatewise.report.page import table as table
from gatewise.report.page import tiles as tiles

__all__ = ["MOST_BYTES", "Section", "drawing", "inline_svg", "page", "png", "render", "svg_file", "table", "tiles"]
