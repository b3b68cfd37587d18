"""docs/matrix.md has every kind in every execution, with the errors that are measured again here."""

import re

import pytest

from docs.scripts import script
from gatewise import _core

matrix = script("matrix")
BOUND = 1e-5
"""Of float32 executions, as the project states it."""


def cells(table: int) -> dict[str, list[str]]:
    """Name of each row -> its other cells, of one of the page's measured tables."""
    measured = matrix.PAGE.read_text().partition(matrix.BEGIN)[2].partition(matrix.END)[0]
    lines = re.findall(r"(?:^\|.*\|\n)+", measured, re.MULTILINE)[table].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]
    return {row[0]: row[1:] for row in rows}


def test_every_kind_and_execution_has_a_cell() -> None:
    errors, ways = cells(0), cells(1)
    assert errors.pop("") == ["models", *matrix.EXECUTIONS]
    assert [cell.strip("`") for cell in ways.pop("")] == list(matrix.WAYS)
    for registry in matrix.FAMILIES:
        assert {f"`{kind}`, {registry.family}" for kind in registry.kinds} <= set(errors)
    assert list(errors) == list(ways) == list(matrix.names().values())
    for _, *values in errors.values():
        for execution, value in zip(matrix.EXECUTIONS, values, strict=True):
            if value == "-":
                assert execution.startswith("native ")
                assert execution != "native base"
            else:
                assert float(value) <= (1e-12 if execution == "torch float64" else BOUND)
    assert {cell for row in ways.values() for cell in row} == {"equal bits", "-"}


@pytest.mark.slow
def test_measured_again_it_is_about_the_same() -> None:
    found, page = matrix.measure(ways=False), cells(0)
    for kind, row in found.items():
        models, *shown = page[matrix.names()[kind]]
        assert int(models) == row.cases, "write it anew: python docs/matrix.py"
        here = {execution for execution in matrix.EXECUTIONS if execution.startswith("torch")}
        assert set(row.errors) == here | {f"native {cpu}" for cpu in _core.instruction_sets()}
        for execution, value in zip(matrix.EXECUTIONS, shown, strict=True):
            if value == "-" or execution not in row.errors:
                continue
            error, least = row.errors[execution], 1e-14 if execution == "torch float64" else 1e-7
            assert error <= (1e-12 if execution == "torch float64" else BOUND)
            assert error <= 4 * float(value) + least, (kind, execution)
            assert float(value) <= 4 * error + least, (kind, execution)


@pytest.mark.parametrize("equal", [True, False])
def test_other_bits_would_show(equal: bool) -> None:
    row = matrix.Row(1, {"native base": 1e-7}, {"push": equal})
    where = {
        "processor": "P",
        "system": "S",
        "instruction_sets": ["base"],
        "python": "3",
        "date": "today",
        "versions": {"numpy": "2", "torch": "2.1+cpu", "gatewise": "0"},
    }
    text = matrix.tables({"gru": row}, where)
    assert ("**other bits**" in text) is not equal
    assert "| `gru`, layer | 1 | 1.0e-07 | - | - | - | - | - |" in text
