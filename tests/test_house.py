"""How the package is put together: which module imports which, and how messages are written."""

import ast
import re
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

import gatewise
from gatewise.cli.app import cli

ROOT = Path(gatewise.__file__).parent
CONFIG = Path(__file__).parents[1] / "pyproject.toml"
OPTIONS = sorted({str(parameter.name) for command in cli.commands.values() for parameter in command.params})


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    """Who imports whom, inside functions as well, but for what only type checkers see."""
    return grimp.build_graph("gatewise", exclude_type_checking_imports=True)


def test_no_modules_import_each_other_in_a_circle(imports: grimp.ImportGraph) -> None:
    imported = {module: imports.find_modules_directly_imported_by(module) for module in imports.modules}
    assert "gatewise.cli.completion" in imported["gatewise.cli.app"]
    TopologicalSorter(imported).prepare()  # raises CycleError, which names the circle


def test_each_module_has_its_layer(imports: grimp.ImportGraph) -> None:
    contracts = tomllib.loads(CONFIG.read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    named = [f"gatewise.{name}" for layer in layers for name in layer.split(" | ")]
    assert sorted(named) == sorted(imports.find_children("gatewise"))


def _sources() -> list[tuple[str, ast.Module]]:
    found = [(str(path.relative_to(ROOT)), ast.parse(path.read_text())) for path in sorted(ROOT.rglob("*.py"))]
    return [(name, tree) for name, tree in found if not name.startswith("cli") and name != "errors.py"]


def test_messages_name_parameters_that_the_command_line_has_by_hints() -> None:
    advice = re.compile(rf"\b(pass|leave \w+ out of|with) ({'|'.join(OPTIONS)})(=|$)")
    written = []
    for name, tree in _sources():
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                written += [f"{name}:{node.lineno}: {found[0]}" for found in [advice.search(node.value)] if found]
    assert written == []


def test_hints_are_not_lost_in_f_strings_and_sums() -> None:
    lost = []
    for name, tree in _sources():
        for node in ast.walk(tree):
            if isinstance(node, (ast.JoinedStr, ast.BinOp)):
                called = {found.func.id for found in ast.walk(node) if isinstance(found, ast.Call)
                          and isinstance(found.func, ast.Name)}  # fmt: skip
                lost += [f"{name}:{node.lineno}"] * bool(called & {"Parameter", "Wording", "Text"})
    assert lost == []
