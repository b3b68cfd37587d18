"""How the package is put together: which module imports which, and how messages are written."""

import ast
import re
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

import gatewise
import gatewise as gw
from gatewise import heads, inputs, layers
from gatewise.cli.app import cli
from gatewise.layers.activation import CODES

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


def test_no_kind_is_named_outside_of_its_folder() -> None:
    """But for the registries, blocks of several kinds, and what is built for certain kinds or translates to them."""
    kinds = {kind for family in (layers, inputs, heads) for kind in family.KINDS}
    parameters = set(gw.Detector().get_params()) | set(gw.Forecaster().get_params())  # one of which is called as a head
    parameters |= set(CODES)  # and so is one of the activations
    at_home = {"tasks", "demo", "importers", "assessment", "comparison"} | {
        f"{family}/{kind}" for family in ("layers", "inputs", "heads") for kind in kinds
    }
    free = {"spec/blocks.py", "layers/__init__.py", "inputs/__init__.py", "heads/__init__.py"}
    named = []
    for name, tree in _sources("."):
        if name in free or any(name.startswith(f"{home}/") for home in at_home):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and node.value in kinds - parameters:
                named.append(f"{name}:{node.lineno}: {node.value!r}")
            if isinstance(node, ast.ImportFrom) and set((node.module or "").split(".")) & kinds:
                named.append(f"{name}:{node.lineno}: {node.module}")
    assert named == []


def _sources(*folders: str) -> list[tuple[str, ast.Module]]:
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert paths
    return [(str(path.relative_to(ROOT)), ast.parse(path.read_text())) for path in paths]


def _calls(node: ast.AST, *names: str) -> list[ast.Call]:
    """The calls of functions of these names within a node."""
    return [
        found
        for found in ast.walk(node)
        if isinstance(found, ast.Call) and isinstance(found.func, ast.Name) and found.func.id in names
    ]


def test_messages_of_tables_and_tasks_name_parameters_by_hints() -> None:
    advice = re.compile(rf"\b(pass|leave \w+ out of|with) ({'|'.join(OPTIONS)})(=|$)")
    written = []
    for name, tree in _sources("tables", "tasks"):
        worded = {id(part) for call in _calls(tree, "Wording") for part in ast.walk(call)}
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in worded | docstrings:
                written += [f"{name}:{node.lineno}: {found[0]}" for found in [advice.search(node.value)] if found]
    assert written == []


def test_hints_are_not_lost_in_f_strings_and_sums() -> None:
    lost = [
        f"{name}:{node.lineno}"
        for name, tree in _sources("tables", "tasks", "train")
        for node in ast.walk(tree)
        if isinstance(node, (ast.JoinedStr, ast.BinOp)) and _calls(node, "Parameter", "Wording", "Text")
    ]
    assert lost == []
