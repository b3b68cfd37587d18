"""Write include/gatewise_kinds.h from the folders of the kinds: `python cmake/kinds_header.py`.

For each kind it contains the first comment of its kernel.c, and the enums of its options.h, if it has one.
"""

import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "gatewise"
HEADER = PACKAGE / "native" / "include" / "gatewise_kinds.h"
FAMILIES = ("inputs", "layers", "heads")

TOP = """\
/* The kinds of node. For each kind: its equations, the edges that it reads and writes, its state, and the names of its
 * options and tensors.
 *
 *     const float options[GW_DENSE_OPTIONS] = {[GW_DENSE_ACTIVATION] = GW_SIGMOID};
 *     const gw_tensor tensors[GW_DENSE_TENSORS] = {[GW_DENSE_WEIGHT] = {W, 2, 3}, [GW_DENSE_BIAS] = {b, 2, 1}};
 *
 * The comment of a tensor gives its shape, rows first; a vector has one column. If a tensor is left out, those after it
 * move up. A list at the end of the options, for example of columns, begins at the name after the number of options,
 * such as GW_NUMERIC_TRANSFORM.
 *
 * In the equations, flush(x) is 0 if |x| < 2^-64, else x. A prime marks a value after the step, as in h'. Products of
 * vectors, such as z (n - h), are elementwise.
 *
 * This file is written by cmake/kinds_header.py from the kernel.c and options.h of each kind; edit those. */
#ifndef GATEWISE_KINDS_H
#define GATEWISE_KINDS_H
"""


def head_comment(text: str, where: Path) -> str:
    """The block comment at the beginning of a C file."""
    match = re.match(r"/\*.*?\*/\n", text, re.DOTALL)
    if match is None:
        raise SystemExit(f"{where} must begin with a comment: what the kind computes, reads and writes")
    return match.group()


def enums(text: str, where: Path) -> str:
    """The content of an options.h between its guards."""
    match = re.search(r"#ifndef (\w+_H)\n#define \1\n\n(.*)\n#endif\n\Z", text, re.DOTALL)
    if match is None:
        raise SystemExit(f"{where} must have a guard, #ifndef to #endif, around all but its head comment")
    return match.group(2)


def section(folder: Path) -> str:
    """One kind."""
    kernel, options = folder / "kernel.c", folder / "options.h"
    comment = head_comment(kernel.read_text(), kernel).removeprefix("/* ")
    found = f"\n/* --- {folder.name}: {comment}"
    return found + (f"\n{enums(options.read_text(), options)}" if options.exists() else "")


def header() -> str:
    """The whole file."""
    folders = [path.parent for family in FAMILIES for path in sorted((PACKAGE / family).glob("*/kernel.c"))]
    return TOP + "".join(section(folder) for folder in folders) + "\n#endif\n"


if __name__ == "__main__":
    HEADER.write_text(header())
    print(HEADER)
