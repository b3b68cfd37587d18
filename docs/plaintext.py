"""Converts plain text, as in docstrings and comments, to markup: paragraphs, and code that is indented."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

_CODE = re.compile(r"(``?[^`]+``?)")
_MARKUP = re.compile(r"(?<=\w)_(?!\w)|\||(?<!\*)\*(?!\*)")
_BULLET = re.compile(r"\s*\* ")


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """For `autodoc-process-docstring`, before napoleon: escape characters that reStructuredText takes for markup.

    These are _ at the end of a name, |, and *, except for bullets. Text in backticks is not changed, nor are literal
    blocks, which follow a line that ends in "::" and are indented more than this line. Indented text in the docstring
    of a module is always such a block.
    """
    if what == "property" and lines:
        lines[0] = f": {lines[0]}"  # no type: napoleon takes what stands before the first colon for one
    if what == "module":
        lines[:] = _marked(lines)
    literal: int | None = None
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if literal is not None and (not line.strip() or indent > literal):
            continue
        literal = indent if line.endswith("::") else None
        if i and lines[i - 1].strip() == "Returns:":
            line = f"{line[:indent]}: {line[indent:]}"  # no type before the first colon here either
        bullet = match.end() if (match := _BULLET.match(line)) else 0
        parts = _CODE.split(line[bullet:])
        text = "".join(part if part.startswith("`") else _MARKUP.sub(r"\\\g<0>", part) for part in parts)
        lines[i] = line[:bullet] + text


def _marked(lines: list[str]) -> list[str]:
    """The lines with "::" before every block that is indented by four."""
    found: list[str] = []
    last = ""  # the last line that is not indented, of those that are not empty
    for line in lines:
        if line.startswith("    ") and found and not found[-1].strip():
            if last and not last.endswith("::") and not _BULLET.match(last):
                found += ["::", ""]
            last = ""
        elif line.strip() and not line.startswith("    "):
            last = line
        found.append(line)
    return found


def markdown(text: str, language: str = "text") -> str:
    """Plain text as Markdown: text indented by four becomes a block, in the given language if it ends in ;."""
    parts: list[str] = []
    code: list[str] = []

    def close() -> None:
        if code:
            body = textwrap.dedent("\n".join(code)).strip("\n")
            parts.append(f"\n```{language if body.endswith(';') else 'text'}\n{body}\n```\n")
            code.clear()

    for line in text.strip("\n").splitlines():
        if line.startswith("    ") or (code and not line.strip()):
            code.append(line)
        else:
            close()
            parts.append(escape("" if line.strip() == "::" else re.sub(r"::$", ":", line)))
    close()
    return "\n".join(parts)


def escape(text: str) -> str:
    """Plain text as Markdown: only text in backticks is markup."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_<>|\[\]])", r"\\\1", part) for part in parts)


def head_comment(path: Path) -> str:
    """The block comment at the beginning of a C file, as text."""
    comment, end, _ = path.read_text().removeprefix("/*").partition("*/")
    assert end, f"{path} does not begin with a comment"
    return "\n".join(line.removeprefix(" *").removeprefix(" ") for line in comment.splitlines())
