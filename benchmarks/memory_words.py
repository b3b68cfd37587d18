"""The main results of `memory_tasks.py` in words, for docs/memory_tasks.md.

Every figure in the text is taken from the results. Every other statement is checked against them. If one is no longer
true, an error names it, and the text has to be rewritten.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import Any

WIDTH = 128
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


class NoLongerHolds(ValueError):
    """A statement that the results contradict."""


@dataclass(frozen=True)
class Results:
    """The results, by names."""

    found: Mapping[str, Any]

    def get(self, name: str, task: str, lag: int) -> Mapping[str, Any] | None:
        """The trainings of one recurrence at one lag; None where they were not run."""
        lags: Mapping[str, Any] = self.found["tasks"][task][name]["lags"]
        return lags.get(str(lag))

    def solved(self, name: str, task: str, lag: int) -> int:
        """How many seeds solved it; 0 where it was not run."""
        one = self.get(name, task, lag)
        return 0 if one is None else one["ends"].count("solved")

    def scores(self, name: str, task: str, lag: int, key: str = "scores") -> list[float]:
        """The scores of the seeds; none where it was not run."""
        one = self.get(name, task, lag)
        return [] if one is None else list(one[key])

    def median(self, name: str, task: str, lag: int, key: str = "scores") -> float:
        """Of the scores of the seeds."""
        return median_low(self.scores(name, task, lag, key))

    def updates(self, name: str, task: str, lag: int) -> int:
        """The median of those that it took to solve it, of the seeds that did."""
        one = self.get(name, task, lag)
        if one is None or "solved" not in one["ends"]:
            raise NoLongerHolds(f"{name} solves {task} at {lag}")
        return median_low(steps for end, steps in zip(one["ends"], one["steps"], strict=True) if end == "solved")

    def longest(self, name: str, task: str) -> int:
        """The longest lag that most seeds solved; 0 where there is none."""
        return max(
            (lag for lag in self.found["lags"] if 2 * self.solved(name, task, lag) > self.found["seeds"]), default=0
        )


def words(found: Mapping[str, Any]) -> str:
    """The list of the main results, in Markdown.

    Args:
        found: the results.

    Raises:
        NoLongerHolds: the results contradict a statement of the text; the message names it.
    """
    results = Results(found)
    parts = (_same_lag, _plain, _parity, _linear, _chrono, _longest_lag)
    return "".join(_item(" ".join(" ".join(part(results)).split())) for part in parts)


def _same_lag(results: Results) -> Iterator[str]:
    names, fixed, drawn = ("gru", "mingru", "minlstm"), ("copy", "delayed recall"), ("adding", "selective copy")
    every = results.found["seeds"]
    for name in names:
        _holds(f"{name} solves {_and(fixed)} with no seed", not any(results.solved(name, task, 50) for task in fixed))
        _holds(f"most seeds of {name} solve {_and(drawn)}", all(results.longest(name, task) >= 50 for task in drawn))
    medians = [[results.median(name, task, 50) for name in names] for task in fixed]
    _holds("their medians are close to chance", max(max(row) for row in medians) < 0.4)
    best, name = max((max(results.scores(name, task, 50)), name) for name in names for task in fixed)
    _holds("the best score is for copy", best in results.scores(name, "copy", 50))
    _holds("mingru+chrono solves both", all(results.solved("mingru+chrono", task, 50) == every for task in fixed))
    _holds("minlstm is best", all(results.solved("minlstm", task, 150) == every for task in drawn))
    _holds("the other two are not as good", all(results.solved(n, t, 150) < every for n in names[:2] for t in drawn))
    copied, recalled = ([f"{value:.2f}" for value in row] for row in medians)
    yield f"""**If all rows have the same lag, layers whose gates are half open at first learn little.**
        {_and(map(_code, names))} solve neither copy nor delayed recall with any seed, not even at lag 50. Their median
        scores are {_and(copied)} for copy and {_and(recalled)} for delayed recall, where chance is
        {results.found["chance"]["copy"]:.2f}; the best seed, one of {_code(name)}, reaches {best:.2f} for copy. With
        chrono initialisation `mingru` solves both tasks at this lag with all seeds, so its gradient was too small
        before, not its capacity. If the lags differ from row to row, as in adding and selective copy, most seeds of
        the same three layers solve lag 50, and all seeds of `minlstm` solve lag 150, because they can learn from the
        short lags first."""


def _plain(results: Results) -> Iterator[str]:
    every, tasks, name = results.found["seeds"], results.found["chance"], "rnn"
    _holds("rnn solves copy and parity", all(results.solved(name, task, 50) == every for task in ("copy", "parity")))
    _holds(
        "rnn solves nothing at 150", not any(results.solved(name, task, lag) for task in tasks for lag in (150, 1000))
    )
    _holds("rnn does not solve adding", results.solved(name, "adding", 50) == 0)
    yield f"""**The plain `rnn`**, whose recurrent matrix is orthogonal at first, is better than theory suggests: it
        solves copy and parity at lag 50 with all seeds. At lag 150 it solves nothing. It never solves adding; its
        median score at lag 50 is {results.median(name, "adding", 50):.2f}."""


def _parity(results: Results) -> Iterator[str]:
    blind, seeing = ("mingru", "mingru+chrono", "minlstm", "rglru"), ("rnn", "lstm", "lstm+chrono", "gru")
    every = results.found["seeds"]
    highest = max(max(results.scores(name, "parity", 50)) for name in blind)
    _holds("gates above 0 that do not see the state learn no parity", highest < 0.55)
    _holds("those that see it solve it", all(results.longest(name, "parity") >= 50 for name in seeing))
    for name in seeing:
        one = results.get(name, "parity", 50)
        assert one is not None
        kept = [score for end, score in zip(one["ends"], one["at twice the lag"], strict=True) if end == "solved"]
        _holds(f"{name} keeps a parity at twice the lag", min(kept) >= 0.99)
    scores = results.scores("lru", "parity", 50)
    learned = [place for place, score in enumerate(scores) if score > 0.9]
    twice = [results.scores("lru", "parity", 50, "at twice the lag")[place] for place in learned]
    _holds(
        "lru loses it at twice the lag",
        bool(learned) and max(twice) < 0.65 and results.solved("lru", "parity", 50) == 0,
    )
    signed = results.solved("rglru+signed", "parity", 50)
    _holds("rglru with signed finds it with a seed or more, not with all", 0 < signed < every)
    had = _and(f"{scores[place]:.2f}" for place in learned)
    left = _and(f"{score:.2f}" for score in twice)
    yield f"""**Parity** agrees with theory. Layers with gates that are above 0 and do not depend on the state learn
        nothing; the best seed has {highest:.2f}. {_and(map(_code, seeing))} solve it at lag 50 with two or three
        seeds, and also at twice the lag. `lru` has scores of {had} at lag 50 with {_seeds(len(learned))}, but
        {left} at twice the lag, as a network that counts would have. `rglru` with `signed` can compute a parity, but
        only {_seeds(signed)} of {_count(every)} learnt it."""


def _linear(results: Results) -> Iterator[str]:
    every, gated = results.found["seeds"], ("lstm+chrono", "mingru+chrono")
    quick, slow = results.updates("lru", "copy", 50), [results.updates(name, "copy", 50) for name in gated]
    _holds("lru copies quickest", quick * 10 < min(slow))
    others = [name for name in results.found["recurrences"] if name != "lru"]
    longest = results.longest("lru", "copy")
    _holds("lru copies longest", longest > max(results.longest(name, "copy") for name in others))
    chosen, recalled = results.solved("lru", "selective copy", 50), results.solved("lru", "delayed recall", 50)
    _holds("lru hardly selects", 2 * chosen < every and results.solved("lru", "selective copy", 150) == 0)
    _holds("lru recalls at lag 50", 2 * recalled > every)
    copied, later = results.median("lru", "copy", longest, "at twice the lag"), results.longest("lru", "delayed recall")
    told = results.median("lru", "delayed recall", later, "at twice the lag")
    _holds("its answers belong to the lag", max(copied, told) <= results.found["chance"]["copy"])
    others_take = _and(f"{steps:,}" for steps in slow)
    yield f"""**`lru` is the best layer for copy, but seldom solves selective copy.** It solves copy at lag 50 in
        some {quick} updates, while {_and(map(_code, gated))} need {others_take}, and it is the only layer that solves
        copy at lag {longest}. It solves selective copy with {_seeds(chosen)} of {_count(every)} at lag 50, and not at
        150. Delayed recall requires the selection of one symbol, which the dense layer between the two `lru` layers
        learns at lag 50 with {_seeds(recalled)}. The solutions of copy and delayed recall only work for the lag of
        the training: at twice this lag the median scores are {copied:.2f} and {told:.2f}, at chance or below."""


def _chrono(results: Results) -> Iterator[str]:
    for task in ("copy", "delayed recall"):
        _holds(
            f"only with chrono mingru solves {task}",
            results.longest("mingru", task) == 0 < results.longest("mingru+chrono", task),
        )
    pairs = [
        (results.longest("lstm", task), results.longest("lstm+chrono", task))
        for task in ("delayed recall", "selective copy")
    ]
    _holds("lstm gains as much in both", pairs[0] == pairs[1] and pairs[0][0] < pairs[0][1])
    adding = results.longest("mingru", "adding"), results.longest("mingru+chrono", "adding")
    _holds("mingru gains in adding", adding[0] < adding[1])
    yield f"""**Chrono initialisation** is all that `mingru` needs to solve copy and delayed recall. It takes
        `mingru` from {adding[0]} to {adding[1]:,} steps of adding, and `lstm` from {pairs[0][0]} to {pairs[0][1]} of
        delayed recall and selective copy."""


def _longest_lag(results: Results) -> Iterator[str]:
    lag, every = max(results.found["lags"]), results.found["seeds"]
    tasks, names = list(results.found["chance"]), results.found["recurrences"]
    told = []
    for task in tasks:
        seeds = {name: count for name in names if (count := results.solved(name, task, lag))}
        if seeds:
            told.append(f"{task}, by {_and(f'{_code(name)} with {_seeds(count)}' for name, count in seeds.items())}")
    runs = [one for task in tasks for name in names if (one := results.get(name, task, lag)) is not None]
    ends = [end for one in runs for end in one["ends"]]
    given_up = ends.count("not learned")
    _holds("most trainings there are given up", 2 * given_up > len(ends))
    partly = {
        task: [
            name
            for name in names
            if (one := results.get(name, task, lag)) is not None and one["ends"].count("budget") * 2 > every
        ]
        for task in tasks
    }
    parts = [f"{task} (by {_and(map(_code, own))})" for task, own in partly.items() if own]
    most = round(results.found["settings"]["budget"] * (min(results.found["lags"]) / lag) ** (1 / 3))
    how_many = f"{_count(len(told)) if told else 'none'} of the {_count(len(tasks))} tasks"
    which = f" with any seed: {_and(told)}, of {_count(every)} each" if told else ""
    yield f"""**At {lag:,} steps** {how_many} is solved within these budgets{which}. Of all {len(ends)} trainings
        at this lag {given_up} were stopped at a third of their budget because they had not learnt enough."""
    if parts:
        yield f"The tasks that most seeds learn in part are {_and(parts)}."
    yield f"The budget at this lag is {most} updates; larger budgets have not been tried."


def _holds(statement: str, true: bool) -> None:
    if not true:
        raise NoLongerHolds(f"the results contradict this: {statement}; write the words in {__file__} anew")


def _item(text: str) -> str:
    return (
        textwrap.fill(
            text, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
        )
        + "\n"
    )


def _and(parts: Iterable[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _code(name: str) -> str:
    return f"`{name}`"


def _count(number: int) -> str:
    return WORDS[number] if number < len(WORDS) else f"{number:,}"


def _seeds(number: int) -> str:
    return f"{_count(number)} seed{'' if number == 1 else 's'}"
