"""Convert matplotlib figures to SVG with the colours of a light or dark page, and to PNG.

The same data give the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from gatewise.errors import InputError
from gatewise.figures.style import DARK, LIGHT, NARROW, WIDE, Size, style

PAPER = {"light": "#fff", "dark": "#16181b"}
"""The background of a page, and of an SVG file."""

REM = 6.5
"""Greatest width of an inch of a wide figure in rem (16 pixels), so that its text is as large as that of the page."""


def drawing(name: str, alt: str, draw: Callable[[Size], Figure], size: Size = WIDE) -> Markup:
    """A figure for a page. It is drawn in two sizes: the given one, and a narrow one that is shown on phones.

    Args:
        name: a name of letters, digits and "-", unique on the page.
        alt: a description of the figure, for readers who cannot see it.
        draw: a function that makes the figure for a given size; it is called within `gatewise.figures.style`.
        size: size of the wide figure.

    Returns:
        HTML.

    Raises:
        InputError: the name has other characters.
    """
    with style(size):
        wide = inline_svg(draw(size), f"{name}-wide")
    with style(NARROW):
        narrow = inline_svg(draw(NARROW), f"{name}-narrow")
    return Markup(
        f'<div class="drawing" role="img" aria-label="{escape(alt)}">\n'
        f'<div class="wide-only" style="max-width: {REM * size.width:.1f}rem">{wide}</div>\n'
        f'<div class="narrow-only">{narrow}</div>\n</div>'
    )


def inline_svg(figure: Figure, name: str) -> Markup:
    """The figure as an SVG element for a page, without dates or random names: the same data give the same text.

    Text is drawn as paths, the background is that of the page, and the colours of `gatewise.figures` become the CSS
    variables of the page, such as `var(--blue)`.

    Args:
        figure: the figure.
        name: a name of letters, digits and "-". It is the prefix of each id in the SVG, because ids must be unique on
            the page.

    Returns:
        HTML.

    Raises:
        InputError: the name has other characters.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name):
        raise InputError(f"the name of a drawing has letters, digits and '-' and begins with a letter, got {name!r}")
    data = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "gatewise", "svg.fonttype": "path"}):
        figure.savefig(data, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = data.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>|<!--.*?-->\n?", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"\b([1-9]\d*\.\d\d)\d+", r"\1", text)  # a hundredth of a point is exact enough
    for variable, colour in LIGHT.items():
        text = re.sub(colour, f"var(--{variable})", text, flags=re.IGNORECASE)
    return Markup(text)


def svg_file(figure: Figure, name: str) -> str:
    """The figure as the text of an SVG file, which follows the reader's light or dark theme when shown as an image.

    Args:
        figure: the figure.
        name: a name of letters, digits and "-", the prefix of each id.

    Returns:
        XML.

    Raises:
        InputError: the name has other characters.
    """
    head, rest = inline_svg(figure, name).split(">", 1)
    used = [variable for variable in LIGHT if f"var(--{variable})" in rest]
    light, dark = (
        f"svg {{ --paper: {PAPER[shown]}; {'; '.join(f'--{variable}: {colours[variable]}' for variable in used)} }}"
        for shown, colours in (("light", LIGHT), ("dark", DARK))
    )
    colours = f"<style>\n{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n</style>"
    paper = '<rect width="100%" height="100%" style="fill: var(--paper)"/>'
    return f'<?xml version="1.0" encoding="utf-8"?>\n{head}>\n{colours}\n{paper}{rest}'


def png(figure: Figure, dpi: float = 128) -> bytes:
    """The figure as PNG. The same data give the same bytes.

    Args:
        figure: the figure.
        dpi: pixels an inch.
    """
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=dpi, metadata={"Software": None})
    return data.getvalue()
