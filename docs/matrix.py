"""The matrix in docs/matrix.md: every kind in every execution, and how far each is from float64.

python docs/matrix.py        measures, some ten seconds, and writes it there

The models are those of tests/conformance/cases.py, to which every kind must add its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gatewise as gw
from gatewise import _core, heads, inputs, layers
from gatewise.graph import reference_run, resolve
from gatewise.layers.base import Array
from gatewise.layers.registry import Registry
from gatewise.nn import Recurrent
from gatewise.spec import ModelSpec

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "matrix.md"
BEGIN, END = "<!-- table: docs/matrix.py -->\n", "<!-- end of table -->\n"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from common import about  # noqa: E402
from conformance.cases import CASES, Case, readings, tensors  # noqa: E402

FAMILIES: Sequence[Registry] = (layers.registry, inputs.registry, heads.registry)
CPUS = ("base", "avx2", "avx512", "neon")
"""Instruction sets that the core is compiled for, on one architecture or another."""
EXECUTIONS = (*(f"native {cpu}" for cpu in CPUS), "torch float32", "torch float64")
WAYS = ("push", "push_many", "batch", "Pool")
"""Ways to run the native core, each held to `run` over one sequence."""
GRAPHS = "several layers"
WHOLE = " without a window"
"""Marks the row of a kind that needs the whole sequence, where it has it."""
BATCH, TIME = 3, 20


@dataclass
class Row:
    """What was found of one kind.

    Attributes:
        cases: models that were run.
        errors: execution -> greatest error, over answers and last states.
        equal: way -> whether every answer and every state had the bits of `run`; without those that do not exist.
    """

    cases: int = 0
    errors: dict[str, float] = field(default_factory=dict)
    equal: dict[str, bool] = field(default_factory=dict)


def names() -> dict[str, str]:
    """Every row: kind -> how the page calls it."""
    found = {}
    for registry in FAMILIES:
        for kind in registry.kinds:
            found[kind] = f"`{kind}`, {registry.family}"
            if not registry.spec(kind).causal:
                found[kind + WHOLE] = f"`{kind}`,{WHOLE}"
    return {**found, GRAPHS: GRAPHS}


def models(case: Case) -> Iterator[tuple[str, ModelSpec]]:
    """Rows that a case counts in, and its spec there."""
    kind = case.name.partition("-")[0]
    yield GRAPHS if kind == "graph" else kind, case.spec
    if kind + WHOLE in names():
        yield kind + WHOLE, case.spec.replace(context="carried")


def measure(ways: bool = True) -> dict[str, Row]:
    """Run every case in every execution that this machine has, and if asked for in every way; kind -> row."""
    rows = {kind: Row() for kind in names()}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for kind, spec in (model for case in CASES for model in models(case)):
            row = rows[kind]
            row.cases += 1
            for execution, error in _errors(spec):
                row.errors[execution] = max(error, row.errors.get(execution, 0.0))
            for way, equal in _equal(spec).items() if ways else ():
                row.equal[way] = equal and row.equal.get(way, True)
    finally:
        torch.set_num_threads(threads)
    return rows


def _errors(spec: ModelSpec) -> Iterator[tuple[str, float]]:
    """Greatest difference from the reference, for each execution."""
    graph = resolve(spec)
    drawn, x = tensors(graph), readings(graph, BATCH, TIME)
    y, state = reference_run(graph, drawn, x)

    def error(got: Array, after: Mapping[str, Array]) -> float:
        return max(_difference(got, y), *(_difference(value, state[name]) for name, value in after.items()), 0.0)

    for cpu in _core.instruction_sets():
        model = gw.Model(spec, drawn, cpu=cpu)
        if graph.streams:
            got, after = model.run(x, return_state=True)
            yield f"native {cpu}", error(got, after.fields)
        else:
            yield f"native {cpu}", error(np.asarray(model.run(x)), {})
    for dtype in (torch.float32, torch.float64):
        module = Recurrent(graph, drawn).to(dtype)
        with torch.inference_mode():
            answers, end = module(torch.from_numpy(x).to(dtype))
        name = str(dtype).removeprefix("torch.")
        yield f"torch {name}", error(answers.numpy(), {key: value.numpy() for key, value in end.items()})


def _difference(one: Array, other: Array) -> float:
    """The greatest absolute difference; readings kept in a window may be NaN or infinite, and then in both."""
    finite = np.isfinite(one) & np.isfinite(other)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return float("inf")
    return float(np.abs(one[finite] - other[finite]).max(initial=0.0))


def _equal(spec: ModelSpec) -> dict[str, bool]:
    """Whether each way to run the native core gives the bits of `run`, on every instruction set here."""
    graph = resolve(spec)
    drawn, x = tensors(graph), readings(graph, BATCH, TIME)
    if not graph.streams:
        models = (gw.Model(spec, drawn, cpu=cpu) for cpu in _core.instruction_sets())
        same = all(_bits([model.run(x)]) == _bits([model.run(row) for row in x]) for model in models)
        return {"batch": same}
    found = dict.fromkeys(WAYS, True)
    for cpu in _core.instruction_sets():
        model = gw.Model(spec, drawn, cpu=cpu)
        alone = [model.run(row, return_state=True) for row in x]
        wanted = [(y.tobytes(), state.to_bytes()) for y, state in alone]
        for way, run in _WAYS.items():
            found[way] &= run(model, x) == wanted
    return found


def _bits(answers: Sequence[Any]) -> bytes:
    return b"".join(answer.tobytes() for answer in answers)


_Answers = list[tuple[bytes, bytes]]


def _push(model: gw.Model, x: Array) -> _Answers:
    streams = [model.stream() for _ in x]
    answers = [np.stack([stream.push(step) for step in row]) for stream, row in zip(streams, x, strict=True)]
    return [(y.tobytes(), stream.save()) for y, stream in zip(answers, streams, strict=True)]


def _push_many(model: gw.Model, x: Array) -> _Answers:
    streams = [model.stream() for _ in x]
    parts = [[stream.push_many(part) for part in np.split(row, [1, 9])] for stream, row in zip(streams, x, strict=True)]
    return [(np.concatenate(y).tobytes(), stream.save()) for y, stream in zip(parts, streams, strict=True)]


def _batch(model: gw.Model, x: Array) -> _Answers:
    y, state = model.run(x, return_state=True)
    each = [{name: value[i, None] for name, value in state.fields.items()} for i in range(len(x))]
    return [(row.tobytes(), gw.State(state.structure, one).to_bytes()) for row, one in zip(y, each, strict=True)]


def _pool(model: gw.Model, x: Array) -> _Answers:
    pool = model.pool(len(x))
    ids = np.arange(len(x))[::-1].copy()
    steps = np.stack([pool.push(ids, np.ascontiguousarray(x[ids, t]))[::-1] for t in range(x.shape[1])], axis=1)
    return [(np.ascontiguousarray(row).tobytes(), pool.save(i)) for i, row in enumerate(steps)]


_WAYS: Mapping[str, Callable[[gw.Model, Array], _Answers]] = dict(
    zip(WAYS, (_push, _push_many, _batch, _pool), strict=True)
)


def tables(rows: Mapping[str, Row], where: Mapping[str, Any]) -> str:
    """The rows in Markdown, and where they were measured."""
    first = ["| | models | " + " | ".join(EXECUTIONS) + " |", "|---|--:|" + "--:|" * len(EXECUTIONS)]
    second = ["| | " + " | ".join(f"`{way}`" if way != "batch" else way for way in WAYS) + " |"]
    second.append("|---|" + "---|" * len(WAYS))
    for kind, row in rows.items():
        name = names()[kind]
        cells = [f"{row.errors[one]:.1e}" if one in row.errors else "-" for one in EXECUTIONS]
        first.append(f"| {name} | {row.cases} | {' | '.join(cells)} |")
        cells = [_SAID[row.equal.get(way)] for way in WAYS]
        second.append(f"| {name} | {' | '.join(cells)} |")
    versions = where["versions"]
    machine = (
        f"Measured on {where['processor']} ({where['system']}, instruction sets "
        f"{', '.join(where['instruction_sets'])}) with Python {where['python']}, NumPy {versions['numpy']}, "
        f"torch {versions['torch'].partition('+')[0]}, gatewise {versions['gatewise']}, on {where['date']}."
    )
    absent = [cpu for cpu in CPUS if cpu not in where["instruction_sets"]]
    why = f"`-`: {' and '.join(absent)} {'is an' if len(absent) == 1 else 'are'} instruction set"
    why += f"{'' if len(absent) == 1 else 's'} that this processor does not have."
    parts = ["\n".join(first), machine + (f" {why}" if absent else ""), "## Ways to run the native core", _SECOND]
    return "\n\n".join([*parts, "\n".join(second)]) + "\n"


_SAID = {True: "equal bits", False: "**other bits**", None: "-"}
_SECOND = """\
Each against `Model.run` over one sequence after the other: answers and states, bit for bit, on each instruction set
named above. `-`: the last reading may change the first answer, so there is no step to take.\
"""


def page(text: str, rows: Mapping[str, Row], where: Mapping[str, Any]) -> str:
    """The page with these tables."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + tables(rows, where) + "\n" + END + after


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), measure(), about()))
