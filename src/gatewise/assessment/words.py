"""The sentences of a verdict. Each is made from findings, so that no sentence says more than was found."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gatewise.assessment.findings import GAIN, Candidate, Findings, Question
from gatewise.comparison.bootstrap import LEAST_GROUPS, WORST

CHANGES = {
    "reset": "Run the same model with another context",
    "baseline": "Replace the model by a simple method",
    "shrink": "Replace the model by a smaller one",
    "replace": "Replace the model by another one, whose answers were given",
    "retrain": "Train the same architecture again",
    "recurrence": "Replace the model by another recurrence",
}

TOO_SMALL = "the budget was too small"
"""Why a question was not answered, if more time would answer it."""

NOT_UNSEEN = (
    "There are no unseen data: the model may have been trained on the rows that judge it, so it can lose here, but it "
    "cannot win."
)

WHY = {
    "mapping": "the columns of the data do not seem to be the inputs of the model",
    "groups": "there are too few independent groups",
    "constant": "the model is worse than a constant, so it probably reads other data than in its training",
    "constraint": "the model breaks a constraint, and no candidate is shown to replace it without a loss",
    "unseen": "there are no data that the model has not seen",
    "open": "it is open whether another model is better",
}


def percent(share: float) -> str:
    """A share in percent with one decimal below 10: "4.2 %", "37 %"."""
    value = 100 * share
    return f"{value:.1f} %" if abs(value) < 9.95 else f"{value:.0f} %"


def number(value: float) -> str:
    """A number with four digits."""
    return f"{value:.4g}"


def short_name(name: str, most: int) -> str:
    """A name of at most `most` characters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def groups_of(findings: Findings, count: int | None = None) -> str:
    """The number of groups with the word for them."""
    n = findings.groups if count is None else count
    return f"{n:,} {'block' if findings.blocks else 'group'}{'' if n == 1 else 's'}" + (
        " of time" if findings.blocks else ""
    )


def keep(findings: Findings) -> str:
    """The sentence of "keep"."""
    least = percent(findings.min_gain)
    able = [each for each in findings.questions if each.meets]
    who = "none of the challengers" + ("" if len(able) == len(findings.questions) else " that meet the constraints")
    unsettled = [each.challenger for each in able if each.high >= findings.min_gain]
    if not unsettled:
        return f"Keep the model: {who} is better by {least} or more."
    told = " and ".join(unsettled)
    return (
        f"Keep the model: {told} {'is' if len(unsettled) == 1 else 'are'} not shown to replace it, and none of the "
        f"other challengers is better by {least} or more."
    )


def change(findings: Findings, question: Question) -> str:
    """The sentence of a change."""
    candidate = findings.candidate(question.challenger)
    first = f"{CHANGES[question.name]} ({candidate.name})"
    if question.low > findings.min_gain:
        return f"{first}: its {findings.metric} is lower by {percent(question.gain)}."
    if question.halves:
        return f"{first}: it is as good within {percent(findings.min_gain)}, and {_saved(findings, candidate)}."
    return f"{first}: it meets the constraints, and is as good within {percent(findings.min_gain)}."


def preferred(findings: Findings, chosen: Question, near: Sequence[Question], changes: Sequence[Question]) -> str:
    """Why one of several changes is recommended.

    Args:
        findings: the findings.
        chosen: the change that is recommended.
        near: the changes whose metric is within `min_gain` of the best.
        changes: all changes that are shown to be worth while.
    """
    others = ", ".join(each.challenger for each in changes if each is not chosen)
    if len(near) == 1:
        why = f"its {findings.metric} is the best, and no other is within {percent(findings.min_gain)} of it"
    else:
        why = f"of those within {percent(findings.min_gain)} of the best {findings.metric}, it is the least work"
    return f"{capital(others)} would be worth a change as well; {chosen.challenger} is recommended because {why}."


def insufficient(findings: Findings, why: str) -> str:
    """The sentence of "insufficient"."""
    return f"Not enough evidence: {WHY[why]}. The model stays until there is."


def few_groups(findings: Findings) -> str:
    """The reason if there are too few groups."""
    return (
        f"The rows that judge come from {groups_of(findings)}. Rows of one "
        f"{'block' if findings.blocks else 'group'} are not independent, and at least {LEAST_GROUPS} are needed."
    )


def question(findings: Findings, asked: Question) -> str:
    """The answer to a question, with its uncertainty."""
    name, incumbent = asked.challenger, findings.candidates[0]
    found = findings.candidate(name)
    compared = (
        f"{capital(name)}: the {findings.metric} is {number(found.metric)}, that of the model "
        f"{number(incumbent.metric)}; {_direction(asked.gain)}, interval {interval(asked.low, asked.high)}."
    )
    if not asked.meets:
        return f"{compared} It cannot replace the model. {asked.obstacle}"
    if asked.kind == GAIN:
        return f"{compared} {_zone(findings, asked)}"
    return f"{compared} {_saving_zone(findings, asked, found)}"


def interval(low: float, high: float) -> str:
    """An interval of a gain in words: "from 3.1 % worse to 12 % better"."""
    return f"from {_direction(low)} to {_direction(high)}"


def unanswered(name: str, why: str) -> str:
    """The reason if a question was not answered."""
    return f"The question {name!r} was not answered: {why}."


def flip_keep(findings: Findings) -> str:
    """The fact that would change "keep"."""
    barred = [each for each in findings.questions if not each.meets and each.low > findings.min_gain]
    able = [each for each in findings.questions if each.meets]
    if barred or not able:
        chosen = max(barred or findings.questions, key=lambda each: each.gain)
        return (
            f"A weaker constraint: {chosen.challenger} is {_direction(chosen.gain)}, but it cannot replace the model."
        )
    closest = max(able, key=lambda each: each.high)
    return (
        f"The closest challenger is {closest.challenger}. If it were shown to be better by more than "
        f"{percent(findings.min_gain)}, it would replace the model; "
        + (f"the data allow at most {percent(closest.high)}." if closest.high > 0 else "the data rule out any gain.")
    )


def flip_change(findings: Findings, asked: Question, changes: Sequence[Question]) -> str:
    """The fact that would change the recommendation of a change.

    Args:
        findings: the findings.
        asked: the question whose answer is recommended.
        changes: all questions whose answer is a change.
    """
    if not findings.meets:
        return "If the constraint were weaker, so that the model satisfied it, the model might stay."
    if all(each.must_gain(True) for each in changes):
        most = max(each.low for each in changes)
        return (
            f"The model would stay if only a gain of more than {percent(most)} were worth a change; now "
            f"{percent(findings.min_gain)} are enough (min_gain)."
        )
    if asked.low >= 0:
        return "If what it saves were not worth a change, the model might stay."
    return (
        f"The model might stay if a loss of {percent(-asked.low)} were too much; now less than "
        f"{percent(findings.min_gain)} are allowed (min_gain)."
    )


def flip_insufficient(findings: Findings, why: str) -> str:
    """The fact that would turn "insufficient" into an answer."""
    if why == "mapping":
        return "The right order of the inputs and their scaling; or the statement that they are right as they are."
    if why == "constant":
        return "The columns, units and scaling of its training; or the statement that they are right as they are."
    if why == "groups":
        return "More independent groups, or a longer series."
    if why == "constraint":
        return "A weaker constraint, or a candidate that meets it; a larger budget tries more."
    if why == "unseen":
        return "Data that were recorded after the model was trained, or from machines that it was not trained on."
    slow = [each for each in findings.questions if each.meets and not each.converged and each.more_minutes]
    asked = [each for each in findings.questions if each.kind == GAIN and each.meets]
    undecided = [each for each in asked if each.low <= findings.min_gain <= each.high]
    if slow:
        more = _more(sum(each.more_minutes or 0 for each in slow))
        names = " and ".join(each.challenger for each in slow)
        return f"A larger budget: the training of {names} had not converged, and needs about {more}."
    if undecided:
        return _more_groups(findings, max(undecided, key=lambda each: each.gain))
    if TOO_SMALL in findings.unanswered.values():
        return "A larger budget, so that the open questions are answered."
    return "An answer to the questions that could not be asked: " + "; ".join(findings.unanswered) + "."


def cost(findings: Findings, asked: Question) -> str:
    """What a change costs."""
    new, old = findings.candidate(asked.challenger), findings.candidates[0]
    parts = []
    if new.minutes is not None:
        parts.append(f"its training took {minutes(new.minutes)}")
    if new.memory is not None and old.memory is not None:
        parts.append(f"{size(new.memory)} of memory in place of {size(old.memory)}")
    if new.step_seconds is not None and old.step_seconds is not None:
        parts.append(f"{duration(new.step_seconds)} in place of {duration(old.step_seconds)} for one answer")
    return capital("; ".join(parts)) + "." if parts else ""


def size(count: float) -> str:
    """Bytes for people."""
    for factor, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:,.0f} bytes"


def duration(seconds: float) -> str:
    """Seconds for people."""
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if seconds * factor < 999.5:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def confidence(value: float) -> str:
    """A confidence for people: "98.2 %"; no evidence is so strong that it would be rounded to 100 %."""
    return "more than 99.9 %" if value > 0.999 else f"{math.floor(1000 * value) / 10:.1f} %"


def minutes(value: float) -> str:
    """Minutes for people."""
    if value < 1.5 / 60:
        return "a second" if value > 0.5 / 60 else "less than a second"
    return f"{60 * value:.0f} seconds" if value < 2 else f"{value:.0f} minutes"


def _zone(findings: Findings, asked: Question) -> str:
    least = percent(findings.min_gain)
    if asked.low > findings.min_gain:
        return f"It is better by more than {least}."
    if asked.high < findings.min_gain:
        if asked.converged:
            return f"A gain of {least} or more is ruled out."
        return f"It is not better by {least}, but {_not_converged(asked)}."
    more = "" if asked.converged else f" Besides, {_not_converged(asked)}."
    return (
        f"Whether it is better by {least} is open; a true gain of {percent(asked.detectable)} would have been found in "
        f"8 of 10 cases.{more}"
    )


def _saving_zone(findings: Findings, asked: Question, found: Candidate) -> str:
    least = percent(findings.min_gain)
    old = findings.candidates[0]
    known = found.memory is not None and old.memory is not None
    saves = f"It {_saved(findings, found)}" if known else "What it saves is not known"
    if asked.low > findings.min_gain:
        return f"{saves}, and it is better by more than {least}."
    if asked.low > -findings.min_gain:
        return f"{saves}, and it is not worse by {least}."
    more = "" if asked.converged else f" {capital(_not_converged(asked))}."
    if asked.high < -findings.min_gain:
        return f"{saves}. It is worse by more than {least}.{more}"
    return f"{saves}. That it is not worse by {least} is not shown.{more}"


def _not_converged(asked: Question) -> str:
    more = f"; about {_more(asked.more_minutes)} would show whether it gets better" if asked.more_minutes else ""
    return f"its training had not converged{more}"


def _more(needed: float | None) -> str:
    """How many more minutes, at least one: "3 more minutes"."""
    count = max(1, math.ceil(needed or 0))
    return f"{count:,} more minute{'' if count == 1 else 's'}"


def _saved(findings: Findings, found: Candidate) -> str:
    """What a candidate saves, and what it needs more of."""
    old = findings.candidates[0]
    saved, more = [], []
    costs: list[tuple[float | None, float | None, str]] = [(found.memory, old.memory, "memory")]
    if found.native and old.native:
        costs.append((found.step_seconds, old.step_seconds, "time for an answer"))
    for new, before, what in costs:
        if new is not None and before and new < before:
            saved.append(f"{percent(1 - new / before)} of the {what}")
        elif new is not None and before and new >= 1.05 * before:
            more.append(f"{number(round(new / before, 1))} times the {what}")
    text = f"saves {' and '.join(saved)}" if saved else "saves nothing"
    return text + (f" and needs {' and '.join(more)}" if more else "")


def _direction(gain: float) -> str:
    if gain <= -WORST:
        return "worse without limit"
    return f"{percent(abs(gain))} {'better' if gain >= 0 else 'worse'}"


def _more_groups(findings: Findings, asked: Question) -> str:
    """How many groups would settle a question, if the estimate and the variance between seeds stayed as they are."""
    distance = abs(asked.gain - findings.min_gain)
    width = max(asked.gain - asked.low, asked.high - asked.gain)
    if distance < 1e-3 or not math.isfinite(width / distance) or (width / distance) ** 2 > 100:
        return (
            f"The gain of {asked.challenger} is too close to {percent(findings.min_gain)} to be settled with a "
            "reasonable amount of data; another min_gain would settle it."
        )
    allowed = (distance / width) ** 2 - asked.seed_share  # the share of the variance that the groups may have
    if allowed <= 0.01 * (1 - asked.seed_share):
        return (
            f"The trainings of {asked.challenger} differ too much from seed to seed to settle whether it is better by "
            f"{percent(findings.min_gain)}; a larger budget lets them converge."
        )
    needed = math.ceil(findings.groups * (1 - asked.seed_share) / allowed - 1e-6)
    return (
        f"About {groups_of(findings, needed)} in place of {findings.groups:,} would settle whether {asked.challenger} "
        f"is better by {percent(findings.min_gain)}, if its gain stays at {percent(asked.gain)}."
    )


def capital(text: str) -> str:
    """A sentence with a capital letter."""
    return text[:1].upper() + text[1:]
