"""Model files and saved states, damaged and forged by hypothesis: four targets, each with what must come of it.

The suite tries some hundreds for each target; this as many as fit into a given CPU time:

    python tests/hostile/fuzz.py "model files, forged" --seconds 600

What is forged must be refused in words (FileError, StateError), or be a model that runs, streams with the same bits,
and goes on from its own state. What is damaged must be refused, or mean the same. Anything else that is raised is a
fault, as is a crash.

The corpus, tests/hostile/corpus, is hypothesis's database of examples. It keeps what has failed, and for each outcome
(a message, the kinds of a model that was taken) an example that had it: the first of a search is scored as a target,
and hypothesis keeps what scores. Each search begins with the corpus.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, settings, target
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase
from hypothesis.errors import NoSuchExample

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import gatewise as gw
from gatewise.errors import FileError, InputError, SpecError, StateError
from gatewise.inputs.base import usable
from gatewise.tasks.section import end_states, of_several, shown, warnings_of
from hostile import mutations

CORPUS = Path(__file__).parent / "corpus"
PHASES = (Phase.reuse, Phase.generate, Phase.shrink)
ROUND = 5000
"""Examples in one search. Hypothesis remembers each example of a search, so long runs are many searches."""

TAKEN = "taken"
"""How the outcome of what was not refused begins."""


def load(data: bytes) -> gw.Model:
    """`gatewise.load` of a file of these bytes, without the file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gatewise.file.read_bytes", lambda path: data)
        return gw.load("model.safetensors")


def refusal(error: Exception) -> str:
    """The message without what it quotes: no names, numbers or shapes."""
    message = str(error)
    assert len(message) < 600
    return re.sub(r"'.*'|\".*\"|[-\d][\w.+-]*|[\[({].*", "_", message)[:80]


def use(model: gw.Model, hostile: list[tuple[int, int, float]]) -> None:
    """A model that was taken runs, streams with the same bits, and goes on from its state, whatever it reads."""
    x = np.random.default_rng(0).normal(size=(5, model.inputs)).astype(np.float32)
    for step, column, value in hostile:
        x[step, column % model.inputs] = value
    try:
        whole_run = np.asarray(model.run(x))
    except InputError:
        unit = (model.tensors.get(f"input.{name}") for name in ("offset", "scale"))
        assert not usable(x, *unit, model.spec.input.options["transform"]).all()
        return
    assert whole_run.shape == (5, model.outputs)
    if not model.graph.streams:
        with pytest.raises(SpecError, match="window"):
            model.stream()
        return
    stream = model.stream()
    answers = [stream.push(row) for row in x[:3]]
    try:
        stream = model.stream(stream.save())
    except StateError as error:
        assert "non-finite" in str(error)  # noqa: PT017
    answers.extend(stream.push_many(x[3:]))
    np.testing.assert_array_equal(np.array(answers), whole_run)
    assert gw.ModelSpec.from_json(model.spec.to_json()) == model.spec


def damaged_model(example: tuple[int, bytes]) -> str:
    """Refused, or written otherwise and the very same model, as with 1E-05 for 1e-05."""
    which, data = example
    try:
        model = load(data)
    except FileError as error:
        return refusal(error)
    whole = load(mutations.FILES[which])
    assert (model.spec, dict(model.provenance)) == (whole.spec, dict(whole.provenance))
    assert shown(model) == shown(whole)
    assert {n: v.tobytes() for n, v in model.tensors.items()} == {n: v.tobytes() for n, v in whole.tensors.items()}
    return f"{TAKEN} as the same"


def forged_model(example: tuple[bytes, list[tuple[int, int, float]]]) -> str:
    """Refused, or a model to use."""
    data, hostile = example
    try:
        model = load(data)
    except FileError as error:
        return refusal(error)
    use(model, hostile)
    task = "" if model.task is None else f"of a task that {ask(model)}"
    kinds = sorted({node.layer.kind for node in model.graph.nodes})
    return " ".join([TAKEN, *kinds, "" if model.window is None else "in a window", task]).rstrip()


def ask(model: gw.Model) -> str:
    """What a task keeps is read without harm, whatever it is: what is no state is refused."""
    json.dumps([shown(model), warnings_of(model), of_several(model)])
    try:
        states = end_states(model)
    except StateError:
        return "keeps no states"
    for state in states.values():
        model.stream(state)
    return "keeps states"


def damaged_state(example: tuple[int, bytes]) -> str:
    """Refused, or the very same state; in both cases the stream is as it was."""
    which, data = example
    stream = mutations.STREAMS[which]
    before = stream.get_state()
    try:
        stream.load(data)
        outcome = f"{TAKEN} as the same"
    except StateError as error:
        outcome = refusal(error)
    assert stream.get_state() == before
    return outcome


def forged_state(example: tuple[int, bytes]) -> str:
    """Refused, and the stream as it was; or the stream goes on from it."""
    which, data = example
    stream = mutations.STREAMS[which].model.stream(mutations.SAVED[which])
    before = stream.get_state()
    try:
        stream.load(data)
    except StateError as error:
        assert stream.get_state() == before
        return refusal(error)
    stream.push_many(np.zeros((3, stream.model.inputs)))
    return f"{TAKEN} by model {which}"


@dataclass(frozen=True)
class Target:
    """What makes hostile things, and what checks one and returns its outcome."""

    strategy: st.SearchStrategy[Any]
    check: Callable[[Any], str]


TARGETS = {
    "model files, damaged": Target(mutations.damaged(mutations.FILES), damaged_model),
    "model files, forged": Target(st.tuples(mutations.forged_models(), mutations.READINGS), forged_model),
    "states, damaged": Target(mutations.damaged(mutations.SAVED), damaged_state),
    "states, forged": Target(mutations.forged_states(), forged_state),
}


def search(
    name: str, seed: random.Random | None = None, phases: tuple[Phase, ...] = PHASES, **options: Any
) -> Counter[str]:
    """Search one target for a fault: it is raised, as hypothesis found it smallest. Returns outcome -> how often.

    Args:
        name: the target.
        seed: makes the search the same each time; hypothesis then takes no corpus.
        phases: hypothesis's. There is no target phase: a score of 1 can not be bettered.
        options: other settings of hypothesis.
    """
    outcomes: Counter[str] = Counter()

    def faulty(example: Any) -> bool:
        with np.errstate(all="ignore"):
            outcome = TARGETS[name].check(example)
        outcomes[outcome] += 1
        if outcomes[outcome] == 1:
            target(1.0, label=outcome)
        return False

    how = settings(derandomize=False, deadline=None, suppress_health_check=list(HealthCheck), phases=phases, **options)
    with contextlib.suppress(NoSuchExample):  # as none is faulty
        find(TARGETS[name].strategy, faulty, settings=how, random=seed, database_key=name.encode())
    return outcomes


def kept(name: str, database: ExampleDatabase) -> int:
    """Examples of a target in the corpus."""
    return sum(len(list(database.fetch(name.encode() + part))) for part in (b"", b".secondary", b".pareto"))


def main() -> None:
    """Search one target until its CPU time is over; prints one JSON object."""
    parser = argparse.ArgumentParser(description="Fuzz the reading of model files or states with hypothesis.")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU time")
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    options = parser.parse_args()
    database = DirectoryBasedExampleDatabase(options.corpus)
    outcomes: Counter[str] = Counter()
    start = time.process_time()
    while (took := time.process_time() - start) < options.seconds:
        outcomes += search(options.target, max_examples=ROUND, database=database)
    found = {
        "tried": outcomes.total(),
        "taken": sum(count for outcome, count in outcomes.items() if outcome.startswith(TAKEN)),
        "outcomes": len(outcomes),
        "kept": kept(options.target, database),
        "cpu_seconds": round(took, 1),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
