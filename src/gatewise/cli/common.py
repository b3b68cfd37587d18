"""What the commands share: options, messages, JSON on standard output, and tables and numbers for people."""

from __future__ import annotations

import csv
import errno
import json
import shlex
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from gatewise.errors import ANY, GatewiseWarning, Hint, InputError, Text, Wording

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """The option --json, passed on as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs to read.")(command)


def separators(command: Command) -> Command:
    """The options --sep and --decimal, of a command that reads a CSV file."""
    sep = click.option("--sep", callback=_one_character, metavar="CHAR",
                       help="The field separator of a CSV file, such as ';' or tab.  [default: found from its first "
                            "lines]")  # fmt: skip
    decimal = click.option("--decimal", type=click.Choice([".", ","]), default=".", show_default=True,
                           help="The decimal mark of a CSV file.")  # fmt: skip
    return sep(decimal(command))


def _one_character(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """A separator; a tab may also be written as a word, or as in C."""
    found = "\t" if text in ("tab", "\\t") else text
    if found is not None and (len(found) != 1 or found in '"\r\n' or found.isalnum()):
        raise click.BadParameter(f"{text!r} is not one character such as ';', and not tab")
    return found


def emit(value: object) -> None:
    """Print a value as one line of JSON. NaN and infinities raise ValueError, because JSON has none."""
    click.echo(json.dumps(value, allow_nan=False))


def say(message: str) -> None:
    """Print a message for people as one line on standard error."""
    click.echo(f"gatewise: {printable(' '.join(message.split()))}", err=True)


def printable(text: str) -> str:
    """Text that may stand in a file from anywhere, with control characters and lone surrogates as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def refuse_same_file(places: Mapping[str, str | None]) -> None:
    """Refuse two arguments that name the same file, which would be overwritten.

    Args:
        places: name of the argument -> path, or None if it was not given.

    Raises:
        click.UsageError: naming both.
    """
    from gatewise.file import same_file

    if (found := same_file(places)) is not None:
        name, other = found
        raise click.UsageError(f"{name} and {other} are the same file, {places[other]}; give each a file of its own")


def check_output(path: str, otherwise: str = "") -> None:
    """Refuse a path that cannot be written, before the long work and not after it.

    Args:
        path: where a file is to be written.
        otherwise: what a user can do who does not want a regular file, e.g. "or leave out --output to ...".

    Raises:
        InputError: there is no such folder, it cannot be written to, or a device, a pipe or a folder stands there.
    """
    from gatewise.file import check_writable

    try:
        check_writable(path)
    except OSError as error:
        kept = f", {otherwise}" if otherwise and error.errno == errno.EINVAL else ""
        raise InputError(f"{path}: {error.strerror}{kept}") from None


def worded(text: Text, command: click.Command) -> str:
    """A message with its hints worded for a user of `command`: "pass --time t" where Python says "pass time='t'"."""
    options = {parameter.name: parameter for parameter in command.params}

    def word(hint: Hint) -> str:
        if isinstance(hint, Wording):
            return worded(Text(hint.command), command)
        option = options.get(hint.name)
        if option is None:
            return str(hint)  # the command has no such option
        value = option.metavar if hint.value is ANY else _typed(hint.value)
        return f"{max(option.opts, key=len)} {value or ''}".rstrip()

    return text.render(word)


def _typed(value: Any) -> str:
    """A value as it is typed in a shell: nothing for a mere name or a flag, and the length alone for a window."""
    if isinstance(value, Mapping):
        (value,) = value.values()
    return "" if value is None or value is True else shlex.quote(str(value))


@contextmanager
def showing_warnings() -> Iterator[None]:
    """Show the warnings of the block on standard error when it ends, each of them once."""
    command = click.get_current_context().command
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            yield
    finally:
        told = (warning.message for warning in caught)
        texts = [one.text if isinstance(one, GatewiseWarning) else Text(one) for one in told]
        for message in dict.fromkeys(worded(text, command) for text in texts):
            say(f"warning: {message}")


def listed(
    kind: Callable[[str], Any] = str, single: bool = False
) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback for an option of values between commas, quoted as in CSV if they contain a comma.

    Args:
        kind: reads a value, e.g. `int`.
        single: whether one value without a comma stands for itself; with a comma behind it, it is a list of one.
    """

    def read(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
        if text is None:
            return None
        try:
            (parts,) = csv.reader([text], skipinitialspace=True, strict=True)
            values = [part.strip() for part in (parts[:-1] if len(parts) > 1 and not parts[-1] else parts)]
            if not values or not all(values):
                raise ValueError("an empty value")
            found = [kind(value) for value in values]
        except (ValueError, csv.Error):
            what = "names" if kind is str else "whole numbers" if kind is int else "numbers"
            raise click.BadParameter(f"{text!r} is no list of {what} with commas between them") from None
        return found[0] if single and len(parts) == 1 else found

    return read


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


def names(listed: Sequence[str], count: bool = True) -> str:
    """Names for people. Of more than nine, the first seven and the last are shown and, with `count`, their number."""
    if len(listed) <= 9:
        return ", ".join(listed)
    return f"{', '.join(listed[:7])}, ..., {listed[-1]}" + (f" ({len(listed):,})" if count else "")


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


def facts(named: Mapping[str, str]) -> str:
    """Texts under their names, on lines of at most 80 columns."""
    cut = [(printable(_cut(name, 32)), text) for name, text in named.items()]
    width = max(len(name) for name, _ in cut) + 2
    return "\n".join(wrap(text, "  " + name.ljust(width), " " * (width + 2)) for name, text in cut)


def short_value(value: object) -> str:
    """A value of the provenance, shortened for people; `--json` prints the whole."""
    if isinstance(value, dict):
        return ", ".join(f"{_cut(key, 32)} {_inner(v)}" for key, v in value.items() if v is not None)
    return _inner(value) if not isinstance(value, str) else _cut(value, 200)


def _inner(value: object) -> str:
    if isinstance(value, dict):
        return f"({short_value(value)})"
    if isinstance(value, str):
        return _cut(value, 24)
    if isinstance(value, list) and len(json.dumps(value)) > 60:
        return f"({len(value)})"
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most // 2] + "..."


def size(nbytes: float) -> str:
    """Bytes for people: "640 bytes", "16 KiB", "1.5 MiB"."""
    for factor, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if nbytes >= factor:
            return f"{nbytes / factor:.4g} {unit}"
    return f"{nbytes:,.0f} bytes"


def duration(seconds: float) -> str:
    """Seconds for people: "135 ns", "2.41 us", "3.2 ms", "12.0 s"."""
    for factor, unit in ((1e9, "ns"), (1e6, "us"), (1e3, "ms")):
        if seconds * factor < 999.5:  # as the three digits below are rounded
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.1f} s"
