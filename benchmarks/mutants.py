"""Mutation testing: small mistakes are made in the sources, one at a time, and the tests should notice each.

    python benchmarks/mutants.py [--mutants 200] [--seed 0] [--jobs 2]

Of all places where an operator of OPERATORS applies, as many as asked for are drawn at random, whatever the module or
the operator. A mutant is made in memory, in a process of its own, in which the tests of its module run until one fails.
Those whose tests take longer than LIMIT are counted apart: the mistake may keep something from coming to an end. Before
the mutants start, the same tests must pass without one. Prints what was changed in those that survived, and writes
results/mutants.json.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from importlib.machinery import SourceFileLoader
from operator import setitem
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "gatewise"
LIMIT = 120.0
"""Seconds of one mutant, by the clock."""

BOTH = [f"tasks/{name}" for name in ("detector", "forecaster", "drift", "detector_many", "short_series", "start")]
RUN = ["model", "stream", "windows", "names", "file", "pool", "conformance/whole"]
TESTS: dict[str, list[str]] = {
    "graph/": ["graph", "spec", *RUN, "conformance/bounds", "conformance/missing", "measure/cost"],
    "stream.py": RUN,
    "model.py": [*RUN, "tasks/drift"],
    "packed.py": RUN,
    "state.py": ["state", *RUN],
    "file.py": ["file", "state", "hostile/model_files", "names"],
    "tasks/": BOTH,
    "tasks/backtest.py": ["tasks/backtest", *BOTH],
    "tasks/beforehand.py": ["tasks/beforehand", *BOTH],
    "tasks/bounded.py": ["tasks/bounded", *BOTH],
    "tasks/calibrate.py": ["tasks/calibrate", *BOTH],
    "tasks/detector.py": ["tasks/detector_many", "tasks/after_fit", *BOTH],
    "tasks/explained.py": ["tasks/detector_many", *BOTH],
    "tasks/fitted.py": ["tasks/after_fit", "tasks/own_task", *BOTH],
    "tasks/forecaster.py": ["tasks/future", "tasks/after_fit", *BOTH],
    "tasks/future.py": ["tasks/future", *BOTH],
    "tasks/held_out.py": ["tasks/beforehand", "tables/robust", *BOTH],
    "tasks/levels.py": ["tasks/levels", *BOTH],
    "tasks/parameters.py": ["tasks/beforehand", "tasks/options", "tasks/after_fit", *BOTH],
    "tasks/stack.py": ["tasks/options", *BOTH],
}
"""The tests of a module, or of a folder where the module is not named: of folder/name, tests/folder/test_name.py."""

BROKEN = 70
"""Exit status where this script itself failed in the process of a mutant."""

SWAPPED: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
}
Change = Callable[[], Any]


def _comparisons(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            for other in SWAPPED.get(type(operator), ()):
                yield partial(setitem, node.ops, i, other())


def _operators(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign)):
        for other in SWAPPED.get(type(node.op), ()):
            yield partial(setattr, node, "op", other())


def _numbers(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield partial(setattr, node, "value", not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        for step in (1, -1):
            yield partial(setattr, node, "value", node.value + step)


def _conditions(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        yield partial(setattr, node, "test", ast.UnaryOp(ast.Not(), node.test))


def _statements(node: ast.AST) -> Iterator[Change]:
    """Those without which the code still runs; a name that is never given would be noticed too easily."""
    for name in ("body", "orelse", "finalbody"):
        statements = getattr(node, name, None)
        for i, one in enumerate(statements if isinstance(statements, list) else ()):
            stored = isinstance(one, ast.Assign) and not any(isinstance(t, (ast.Name, ast.Tuple)) for t in one.targets)
            called = isinstance(one, ast.Expr) and isinstance(one.value, ast.Call)
            if stored or called or isinstance(one, (ast.AugAssign, ast.Raise, ast.Continue, ast.Break)):
                yield partial(setitem, statements, i, ast.Pass())


def _arguments(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Call) and len(node.args) > 1 and not any(isinstance(a, ast.Starred) for a in node.args[:2]):
        yield partial(setitem, node.args, slice(0, 2), node.args[1::-1])


def _answers(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) != "None":
        yield partial(setattr, node, "value", ast.Constant(None))


OPERATORS = {
    "comparison": _comparisons,
    "operator": _operators,
    "number": _numbers,
    "condition": _conditions,
    "statement removed": _statements,
    "arguments swapped": _arguments,
    "returns None": _answers,
}


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs: no annotations, and no wording of errors."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        parts = [getattr(node, name, None) for name in ("annotation", "returns")]
        parts += [node.exc, node.cause] if isinstance(node, ast.Raise) else []
        parts += [node] if isinstance(node, ast.JoinedStr) else []
        skipped |= {id(inner) for part in parts if part is not None for inner in ast.walk(part)}
    yield from (node for node in ast.walk(tree) if id(node) not in skipped)


def sites(tree: ast.AST) -> list[tuple[int, str, Change]]:
    """All mutants of a module, always in the same order: line, name of the operator, and what makes the change."""
    return [
        (getattr(node, "lineno", 0), name, change)
        for node in _code(tree)
        for name, found in OPERATORS.items()
        for change in found(node)
    ]


def modules() -> list[str]:
    """The modules that mutants are made of."""
    folders = [key for key in TESTS if key.endswith("/")]
    paths = [path for folder in folders for path in sorted((SOURCES / folder).glob("*.py"))]
    return [str(path.relative_to(SOURCES)) for path in paths] + [key for key in TESTS if "/" not in key]


def tests_of(module: str) -> list[str]:
    """Paths of the tests of a module; of all for ""."""
    if module:
        names = TESTS[module if module in TESTS else module.rpartition("/")[0] + "/"]
    else:
        names = [name for some in TESTS.values() for name in some]
    return [str((ROOT / "tests" / name).with_name(f"test_{Path(name).name}.py")) for name in dict.fromkeys(names)]


def changed(module: str, number: int) -> tuple[ast.Module, ast.Module, int, str]:
    """The tree of a module, the tree with the mistake, its line, and the name of its operator."""
    tree = ast.parse((SOURCES / module).read_text())
    before = copy.deepcopy(tree)
    line, name, change = sites(tree)[number]
    change()
    return before, ast.fix_missing_locations(tree), line, name


def difference(module: str, number: int) -> str:
    """The lines that a mutant changes, before and after."""
    before, after, _, _ = changed(module, number)
    one, other = (ast.unparse(tree).splitlines() for tree in (before, after))
    at = next(i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return f"{one[at].strip()}  ->  {other[at].strip()}"


def _child(module: str, number: int | None) -> int:
    """Run the tests of a module in this process, with a mistake in it or none: pytest's exit status."""
    if number is not None:
        code, path = compile(changed(module, number)[1], module, "exec"), str(SOURCES / module)
        original = SourceFileLoader.get_code

        def get_code(loader: Any, name: str) -> CodeType | None:
            return code if loader.path == path else original(loader, name)

        SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]
    # A test that starts another process tells nothing: no mistake is there.
    subprocess.Popen.__init__ = lambda *_, **__: pytest.skip("starts a process")  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        options = ["-x", "-q", "-p", "no:cacheprovider", f"--rootdir={ROOT}", f"--basetemp={folder}/tests"]
        return int(pytest.main([*options, *tests_of(module)]))


def _start(module: str, number: int | None) -> int:
    """Begin a mutant in a forked process, where what all tests import is imported already: its id."""
    child = os.fork()
    if child:
        return child
    status = BROKEN
    try:
        os.setsid()
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        status = _child(module, number)
    finally:
        os._exit(status)


def run(wanted: list[tuple[str, int | None]], jobs: int) -> list[dict[str, Any]]:
    """What became of each mutant, in the same order: killed, out of time, or survived."""
    waiting, running = list(enumerate(wanted))[::-1], dict[int, tuple[int, float]]()
    found: list[dict[str, Any]] = [{} for _ in wanted]
    while waiting or running:
        while waiting and len(running) < jobs:
            index, (module, number) = waiting.pop()
            running[_start(module, number)] = index, time.monotonic()
        time.sleep(0.02)
        for child, (index, start) in list(running.items()):
            seconds = time.monotonic() - start
            done, status = os.waitpid(child, os.WNOHANG)
            if not done and seconds > LIMIT:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
            if done or seconds > LIMIT:
                del running[child]
                exit = os.waitstatus_to_exitcode(status) if done else None
                if exit in (3, 4, 5, BROKEN):
                    raise SystemExit(f"pytest could not run for {wanted[index]}: exit status {exit}")
                outcome = {None: "out of time", 0: "survived"}.get(exit, "killed")
                found[index] = {"outcome": outcome, "seconds": round(seconds, 1)}
                sys.stdout.write(f"{outcome:12} {seconds:5.1f} s  {wanted[index]}\n")
                sys.stdout.flush()
    return found


def measure(count: int, seed: int, jobs: int) -> dict[str, Any]:
    """Draw mutants, run them, and count."""
    for package in ("numpy", "torch", "pandas", "scipy.stats", "sklearn.metrics", "matplotlib.pyplot"):
        importlib.import_module(package)
    every = [
        (module, number)
        for module in modules()
        for number in range(len(sites(ast.parse((SOURCES / module).read_text()))))
    ]
    drawn = random.Random(seed).sample(every, count)
    if run([("", None)], 1)[0]["outcome"] != "survived":
        raise SystemExit(f"without a mutant the tests fail: {' '.join(tests_of(''))}")
    mutants = []
    for (module, number), outcome in zip(drawn, run(list(drawn), jobs), strict=True):
        _, _, line, name = changed(module, number)
        told = {"module": module, "number": number, "line": line, "operator": name}
        mutants.append({**told, "change": difference(module, number), **outcome})
    return {"seed": seed, "places": len(every), "mutants": mutants, "counts": Counter(m["outcome"] for m in mutants)}


def main() -> None:
    """Run the mutants, print those that survived, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    results = measure(given.mutants, given.seed, given.jobs)
    from common import record  # imports gatewise, which mutants must not find imported

    for mutant in results["mutants"]:
        if mutant["outcome"] == "survived":
            sys.stdout.write(f"{mutant['module']}:{mutant['line']}  {mutant['change']}\n")
    sys.stdout.write(f"{dict(results['counts'])}\n{record('mutants', results)}\n")


if __name__ == "__main__":
    main()
