"""Two directives: `kinds` describes each kind of a family from its `spec.py`; `head-comment` shows that of a C file."""

from __future__ import annotations

import dataclasses
import importlib
import re
import textwrap
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from plaintext import escape, head_comment, markdown
from sphinx.util.docutils import SphinxDirective

from gatewise.layers.base import Layer
from gatewise.layers.registry import Registry


def section(registry: Registry, kind: str) -> str:
    """One kind in Markdown: the docstring of its spec.py, and a table of its options."""
    module = registry.module(kind, "spec")
    parts = [f"### {kind}", markdown(module.__doc__ or "")]
    if rows := _options(registry.spec(kind)):
        parts.append("\n".join(["| option | default | |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _options(spec: type[Layer]) -> list[str]:
    """A row for each option: its name, its default and its description in the docstring."""
    said = _attributes(spec.__doc__ or "")
    rows = []
    for field in dataclasses.fields(spec):
        default = "required" if field.default is dataclasses.MISSING else f"`{field.default!r}`"
        rows.append(f"| `{field.name}` | {default} | {escape(said[field.name])} |")
    return rows


def _attributes(docstring: str) -> dict[str, str]:
    """The entries under "Attributes:": name -> description."""
    _, _, text = docstring.partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in textwrap.dedent(text).splitlines():
        if match := re.match(r"(\w+): (.*)", line):
            name = match.group(1)
            found[name] = match.group(2)
        elif name and line.strip():
            found[name] += " " + line.strip()
    return found


class _Made(SphinxDirective):
    """A part of a page in Markdown, made from the object that the only argument names."""

    required_arguments: ClassVar[int] = 1  # type: ignore[misc]

    def text(self) -> str:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        self.content = StringList(self.text().splitlines(), source=self.arguments[0])
        return self.parse_content_to_nodes(allow_section_headings=True)


class Kinds(_Made):
    """`{kinds} gatewise.layers`: a section for each kind in the registry of this package."""

    def text(self) -> str:
        package: Any = importlib.import_module(self.arguments[0])
        return "\n".join(section(package.registry, kind) for kind in package.registry.kinds)


class HeadComment(_Made):
    """`{head-comment} FILE`: the first comment of a C file, whose path is relative to the page."""

    def text(self) -> str:
        _, path = self.env.relfn2path(self.arguments[0])
        return markdown(head_comment(Path(path)), "c")
