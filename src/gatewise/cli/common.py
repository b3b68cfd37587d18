"""What the commands share: the --json option, JSON on standard output, and numbers for people."""

from __future__ import annotations

import itertools
import json
import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """The option --json, passed on as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for machines.")(command)


def emit(value: object) -> None:
    """One JSON value on one line of standard output. NaN and infinities are refused, as they are no JSON."""
    click.echo(json.dumps(value, allow_nan=False))


def say(message: str) -> None:
    """A message for people, on one line of standard error."""
    click.echo(f"gatewise: {printable(' '.join(message.split()))}", err=True)


def printable(text: str) -> str:
    """Text that may stand in a file from anywhere, with control characters and lone surrogates as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def refuse_same_file(places: Mapping[str, str | None]) -> None:
    """Refuse two arguments that name the same file, of which one would be lost.

    Args:
        places: name of the argument -> path, or None where it was not given.

    Raises:
        click.UsageError: naming both.
    """
    given = [(name, path) for name, path in places.items() if path is not None]
    for (name, path), (other, there) in itertools.combinations(given, 2):
        if _same_file(path, there):
            raise click.UsageError(f"{name} and {other} are the same file, {there}; give each a file of its own")


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.realpath(one) == os.path.realpath(other) or os.path.samefile(one, other)
    except (OSError, ValueError):  # one of them does not exist, or cannot
        return False


def heading(text: str) -> str:
    """A heading: bold on a terminal."""
    return click.style(printable(text), bold=True)


def table(rows: Sequence[Sequence[str]], align: str, indent: str = "  ") -> str:
    """Rows as aligned columns, two spaces apart.

    Args:
        rows: texts, as many in each row as `align` has letters.
        align: "l" or "r" for each column.
        indent: before each line.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(align))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if side == "l" else cell.rjust(width)
            for cell, width, side in zip(row, widths, align, strict=True)
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def wrap(text: str, first: str, rest: str) -> str:
    """Text on lines of at most 80 columns, where its words allow."""
    return textwrap.fill(
        printable(text),
        80,
        initial_indent=printable(first),
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def size(nbytes: float) -> str:
    """Bytes for people: "640 bytes", "16 KiB", "1.5 MiB"."""
    for factor, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if nbytes >= factor:
            return f"{nbytes / factor:.4g} {unit}"
    return f"{nbytes:,.0f} bytes"


def duration(seconds: float) -> str:
    """Seconds for people: "135 ns", "2.41 us", "3.2 ms", "12.0 s"."""
    for factor, unit in ((1e9, "ns"), (1e6, "us"), (1e3, "ms")):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.1f} s"
