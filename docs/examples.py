"""The Python of the guides, run as it stands there, and what it prints.

python docs/examples.py [PAGE ...]       runs the pages; writes what they print into the text blocks after the code, and
                                         the pictures they save to docs/images

The python blocks of a page are one program, which runs in an empty folder. A text block right after a python block
holds the output of that block. With the comment "one run" between them, the output may differ on other processors,
where a training has other rounding errors.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

FOLDER = Path(__file__).parent
PAGES = (FOLDER / "quickstart.md", FOLDER / "memory.md", FOLDER / "c.md", *sorted((FOLDER / "guides").glob("*.md")))

_EXPECTED = (
    r".*(rests? on a fitted tail|are missing and filled forward|scores are not calibrated|Where these are errors|"
    "give its changes|is no reading|is the simpler choice)"
)
"""Warnings of tasks that the code of a page may cause."""

_ONE_RUN = "<!-- one run -->"
_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: what stands after the fence.
        body: the lines between the fences.
        start: where the body begins in the text.
        line: the number of its first line, from 1.
        printed: the text block right after it, whose body is what it prints; None where there is none.
        loose: whether its output may differ on other processors.
    """

    language: str
    body: str
    start: int
    line: int
    printed: Block | None = None
    loose: bool = False


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a page; the output of a python block belongs to that block."""
    found: list[Block] = []
    end = 0
    for match in _BLOCK.finditer(text):
        start = match.start("body")
        block = Block(match["language"], match["body"], start, text.count("\n", 0, start) + 1)
        between = text[end : match.start()].strip()
        end = match.end()
        after_code = found and found[-1].language == "python" and found[-1].printed is None
        if after_code and block.language == "text" and between in ("", _ONE_RUN):
            found[-1] = replace(found[-1], printed=block, loose=between == _ONE_RUN)
        else:
            found.append(block)
    return found


def run(page: Path, names: dict[str, object] | None = None, images: Path | None = None) -> list[tuple[Block, str]]:
    """Run the python blocks of a page in an empty temporary folder. Warnings are errors, except for expected ones.

    Args:
        page: the page.
        names: a dictionary that receives all names that the code defines.
        images: a folder to which the pictures that the code saves are copied; None = they are not kept.

    Returns:
        each block that ran, and its output.
    """
    done = []
    names = {} if names is None else names
    names["__name__"] = "__main__"
    os.environ.setdefault("MPLBACKEND", "agg")
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", _EXPECTED, UserWarning)
        os.chdir(folder)
        try:
            for block in (block for block in blocks(page.read_text()) if block.language == "python"):
                code = compile("\n" * (block.line - 1) + block.body, str(page), "exec")
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    exec(code, names)
                done.append((block, "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())))
        finally:
            os.chdir(before)
        if images is not None:
            for picture in Path(folder).glob("*.png"):
                shutil.copy(picture, images)
    return done


def written(page: Path) -> str:
    """The page with the new output of its code; pictures that the code saves are copied to docs/images."""
    text = page.read_text()
    for block, printed in reversed(run(page, images=FOLDER / "images")):
        if block.printed is not None:
            start = block.printed.start
            text = text[:start] + printed + text[start + len(block.printed.body) :]
    return text


def same(printed: str, shown: str, loose: bool = False) -> bool:
    """Whether two outputs agree: the same words and whole numbers, and similar fractions.

    Fractions may differ by a quarter, and instruction sets and hashes may be any. `loose` compares only the first line.
    """
    if loose:
        printed, shown = (text.partition("\n")[0] for text in (printed, shown))
    one, other = (re.sub(r"(?<=cpu=')\w+|\b[0-9a-f]{12}\b", "?", text).split() for text in (printed, shown))
    return len(one) == len(other) and all(_alike(a, b) for a, b in zip(one, other, strict=True))


def _alike(one: str, other: str) -> bool:
    if one == other:
        return True
    ours, theirs = re.split(_FRACTION, one), re.split(_FRACTION, other)
    fractions = zip(re.findall(_FRACTION, one), re.findall(_FRACTION, other), strict=False)
    return ours == theirs and all(math.isclose(float(a), float(b), rel_tol=0.25, abs_tol=0.02) for a, b in fractions)


_FRACTION = r"-?\d+\.\d*(?:e[-+]?\d+)?|-?\d+e[-+]?\d+"


def main(pages: Sequence[Path]) -> None:
    for page in pages:
        page.write_text(written(page))
        sys.stdout.write(f"{page}\n")


if __name__ == "__main__":
    main([Path(name).resolve() for name in sys.argv[1:]] or PAGES)
