"""The corpus and some fresh examples of each target in every test run; `tests/hostile/fuzz.py` goes on for hours."""

import random

import pytest
from hypothesis import Phase
from hypothesis.database import DirectoryBasedExampleDatabase, ReadOnlyDatabase

from hostile.fuzz import CORPUS, TAKEN, TARGETS, kept, search


def taken(outcomes: dict[str, int]) -> int:
    return sum(count for outcome, count in outcomes.items() if outcome.startswith(TAKEN))


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_is_refused_or_does_no_harm(target: str) -> None:
    corpus = ReadOnlyDatabase(DirectoryBasedExampleDatabase(CORPUS))
    outcomes = search(target, phases=(Phase.reuse,), database=corpus, max_examples=10**5)
    assert kept(target, corpus) > 10
    stale = "one for each outcome: after a change of the strategies, or with a new kind, fuzz anew"
    assert outcomes.total() == kept(target, corpus), stale
    assert len(outcomes) > 0.9 * outcomes.total(), stale


@pytest.mark.parametrize("target", TARGETS)
def test_fresh_examples_are_refused_or_do_no_harm(target: str) -> None:
    examples = 500
    outcomes = search(target, random.Random(target), max_examples=examples)
    if target.endswith("damaged"):
        assert taken(outcomes) == 0
    else:
        assert examples / 20 < taken(outcomes) < examples / 2, "forgeries must reach the models, and most must not"
