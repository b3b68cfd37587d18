"""Make a page from parts in Python, or from a template that fills in the blocks of the layout."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from gatewise.errors import InputError
from gatewise.figures.style import DARK, LIGHT
from gatewise.report.drawings import PAPER

FOLDER = Path(__file__).parent

MOST_BYTES = 2_000_000
"""Greatest size of a page, which opens quickly on a phone and can be sent by mail."""


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        heading: its title; "" = none.
        parts: its contents, in order. A text becomes a paragraph; HTML is used as it is.
    """

    heading: str
    parts: Sequence[str | Markup]


def page(
    title: str,
    answer: str | Markup,
    evidence: Iterable[Section],
    method: Iterable[Section] = (),
    *,
    footer: str | Markup = "",
) -> str:
    """A page that begins with the answer, followed by the evidence and the method.

    Args:
        title: title of the page.
        answer: the result, in one sentence.
        evidence: sections with the figures, tables and numbers that support the answer.
        method: sections about the method.
        footer: the sources of data and programs.

    Returns:
        HTML, to be written as UTF-8.

    Raises:
        InputError: two drawings have the same name, or the page is too large.
    """
    values = {"title": title, "answer": answer, "evidence": list(evidence), "method": list(method), "footer": footer}
    return render(FOLDER / "page.html.j2", **values)


def render(template: str | os.PathLike[str], **values: Any) -> str:
    """A page from a Jinja2 template that extends `page.html.j2` and fills in its blocks.

    The blocks are title, answer, evidence, method, footer and, for further rules of CSS, style. Values are
    escaped unless they are HTML already, and a name without a value is an error.

    Args:
        template: path of the template.
        values: the values by the names that the template uses.

    Returns:
        HTML, to be written as UTF-8.

    Raises:
        InputError: two elements have the same id, or the page is too large.
    """
    path = Path(template)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([path.parent, FOLDER]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"light": LIGHT, "dark": DARK, "paper": PAPER}
    text = environment.get_template(path.name).render(**values)
    ids = re.findall(r'<[^<>]*\sid="([^"]*)"', text)
    if len(ids) > len(set(ids)):
        twice = next(one for i, one in enumerate(ids) if one in ids[:i])
        raise InputError(f"two elements of the page have the id {twice!r}; give each drawing a name of its own")
    if (size := len(text.encode())) > MOST_BYTES:
        raise InputError(f"the page has {size:,} bytes, more than {MOST_BYTES:,}; draw fewer points or fewer figures")
    return text


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    """A table for a page.

    Args:
        head: names of the columns.
        rows: the cells of each row: text, HTML, or numbers. Numbers, also as formatted text, are aligned on the right.

    Returns:
        HTML.

    Raises:
        InputError: a row has another number of cells.
    """
    cells = [list(row) for row in rows]
    for i, row in enumerate(cells):
        if len(row) != len(head):
            raise InputError(f"row {i} of the table has {len(row)} cells for {len(head)} columns")
    right = [' class="r"' if cells and all(_number(row[k]) for row in cells) else "" for k in range(len(head))]
    cell = "<{tag}{right}>{text}</{tag}>"

    def line(tag: str, row: Sequence[object]) -> Markup:
        parts = [
            Markup(cell.replace("{right}", own)).format(tag=tag, text=text)
            for own, text in zip(right, row, strict=True)
        ]
        return Markup("<tr>{}</tr>\n").format(Markup("").join(parts))

    body = Markup("").join(line("td", row) for row in cells)
    return Markup(
        '<div class="scroll"><table class="full">\n<thead>{}</thead>\n<tbody>\n{}</tbody>\n</table></div>'
    ).format(line("th", head), body)


def tiles(items: Iterable[tuple[str, str]]) -> Markup:
    """A row of tiles for a page, each with a number, its unit and a description.

    Args:
        items: the number and the description of each tile.

    Returns:
        HTML.
    """
    each = [Markup("<li><b>{}</b>\n{}</li>\n").format(number, text) for number, text in items]
    return Markup('<ul class="tiles">\n{}</ul>').format(Markup("").join(each))


def _number(value: object) -> bool:
    """Whether a cell is a number, or a number as text, which may have thousands separators or a percent sign."""
    return isinstance(value, Real) or (isinstance(value, str) and bool(re.match(r"[-+−]?[\d.][\d.,]*( ?%)?$", value)))
