"""The options and tensors of a kind have one order: that of spec.py, which options.h names for C."""

import dataclasses
import importlib.util
import re
from pathlib import Path

import pytest

import gatewise
from conformance.cases import CASES, FAMILIES
from gatewise.graph import Node, resolve
from gatewise.layers.registry import Registry

ROOT = Path(__file__).parents[2]
KINDS = [
    pytest.param(registry, kind, id=f"{registry.family}-{kind}")
    for registry, _ in FAMILIES.values()
    for kind in registry.kinds
]
NODES = {id(node): node for case in CASES for node in resolve(case.spec).nodes}.values()


@dataclasses.dataclass(frozen=True)
class Name:
    """An enumerator without GW_KIND_, in lower case."""

    name: str
    value: str
    comment: str


def folder(registry: Registry, kind: str) -> Path:
    return Path(gatewise.__file__).parent / registry.package.rpartition(".")[2] / kind


def enum(text: str, kind: str, what: str) -> list[Name]:
    """The enumerators of gw_KIND_WHAT, empty if there is no such enum."""
    if (body := re.search(rf"enum gw_{kind}_{what} \{{\n(.*?)\}};", text, re.DOTALL)) is None:
        return []
    found = []
    for line in body.group(1).splitlines():
        match = re.fullmatch(r"    (\w+)(?: = (\w+))?,? *(?:/\* (.*) \*/)?", line)
        assert match is not None, f"an enumerator, and its comment, stand on a line of their own: {line}"
        prefix = f"GW_{kind.upper()}_"
        assert match.group(1).startswith(prefix)
        found.append(Name(match.group(1).removeprefix(prefix).lower(), match.group(2) or "", match.group(3) or ""))
    return found


def names(text: str, kind: str, what: str) -> list[str]:
    """Those of gw_KIND_WHAT up to their count, which must follow them."""
    found = [one.name for one in enum(text, kind, what)]
    assert not found or what in found, f"gw_{kind}_{what} must have the count GW_{kind.upper()}_{what.upper()}"
    return found[: found.index(what)] if found else []


def nodes(kind: str) -> list[Node]:
    return [node for node in NODES if node.layer.kind == kind]


@pytest.mark.parametrize(("registry", "kind"), KINDS)
def test_options_h_has_the_options_of_spec_in_their_order(registry: Registry, kind: str) -> None:
    path = folder(registry, kind) / "options.h"
    text = path.read_text() if path.exists() else ""
    declared = enum(text, kind, "options")
    assert nodes(kind), "the suite has models of this kind"
    for node in nodes(kind):
        numbers = node.layer.numbers()
        lists = [name for name, value in numbers.items() if isinstance(value, list)]
        assert [*numbers][len(numbers) - len(lists) :] == lists, "lists come last"
        assert [*numbers][: len(numbers) - len(lists)] == names(text, kind, "options")
        after = [one for one in declared if one.value]
        assert [one.name for one in after] == lists[:1], "the first list begins where the count says"
        assert all(one.value == f"GW_{kind.upper()}_OPTIONS" for one in after)
        for name in lists[1:]:  # what comes after it, for each of its values
            each = len(names(text, kind, name))
            assert len(numbers[name]) == each * len(numbers[lists[0]]) > 0
        assert len(node.layer.native()) == len(names(text, kind, "options")) + sum(len(numbers[name]) for name in lists)


@pytest.mark.parametrize(("registry", "kind"), KINDS)
def test_an_option_that_spec_does_not_have_is_explained(registry: Registry, kind: str) -> None:
    path = folder(registry, kind) / "options.h"
    fields = {field.name for field in dataclasses.fields(registry.spec(kind))}
    for one in enum(path.read_text() if path.exists() else "", kind, "options"):
        own = re.sub(r"_(alpha|beta)$", "", one.name) in fields
        assert own or one.name == "options" or one.comment, f"{one.name} is no option of {kind}; say what it is"


@pytest.mark.parametrize(("registry", "kind"), KINDS)
def test_options_h_has_the_tensors_of_spec_in_their_order(registry: Registry, kind: str) -> None:
    path = folder(registry, kind) / "options.h"
    declared = names(path.read_text() if path.exists() else "", kind, "tensors")
    seen: set[str] = set()
    for node in nodes(kind):
        own = [*node.layer.tensors(node.edges)]
        assert own == [name for name in declared if name in own]
        seen.update(own)
    assert seen == set(declared), "each tensor is one that spec.py has"


@pytest.mark.parametrize(("registry", "kind"), KINDS)
def test_kernels_name_what_they_read(registry: Registry, kind: str) -> None:
    for path in folder(registry, kind).glob("kernel*.c"):
        assert re.findall(r"(?:options|\bo|tensors|\bt)\[\d+\]", path.read_text()) == []


def test_the_core_names_no_kind() -> None:
    core = Path(gatewise.__file__).parent / "native"
    kinds = [kind for registry, _ in FAMILIES.values() for kind in registry.kinds]
    for path in [*core.glob("*.[ch]"), *core.glob("include/*.h")]:
        code = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        assert [kind for kind in kinds if f'"{kind}"' in code] == [], f"{path.name} is for all kinds alike"


def test_the_header_for_programs_in_c_is_up_to_date() -> None:
    path = ROOT / "cmake" / "kinds_header.py"
    spec = importlib.util.spec_from_file_location("kinds_header", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.HEADER.read_text() == script.header(), "run python cmake/kinds_header.py"
    written = re.findall(r"^/\* --- (\w+): ", script.header(), re.MULTILINE)
    assert sorted(written) == sorted(kind for registry, _ in FAMILIES.values() for kind in registry.kinds)
