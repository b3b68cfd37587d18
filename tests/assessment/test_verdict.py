"""Each rule of the verdict, on findings made by hand."""

import json
import re
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessment.made import NAMES, asked, found
from gatewise.assessment import words
from gatewise.assessment.findings import GAIN, PASSED, Finding, Findings, Question
from gatewise.assessment.kinds import KINDS
from gatewise.assessment.verdict import CHANGE, STAY, accepted, verdict
from gatewise.assessment.words import TOO_SMALL

NO = (asked("baseline", -0.2, "worse"), asked("retrain"), asked("recurrence"))
"""Answers for which the model is kept."""


def test_a_sound_model_is_kept() -> None:
    answer = verdict(found(NO))
    assert (answer.kind, answer.challenger, answer.cost) == ("keep", None, "")
    assert answer.confidence == pytest.approx(0.99)
    assert [reason.of for reason in answer.reasons] == ["baseline", "retrain", "recurrence"]
    assert NAMES["retrain"] in answer.flip or NAMES["recurrence"] in answer.flip


@pytest.mark.parametrize("unseen", [True, False])
@pytest.mark.parametrize("kind", ["baseline", "shrink", "retrain", "recurrence"])
def test_a_challenger_that_is_better_wins(kind: str, unseen: bool) -> None:
    """Also without unseen data, on which the model had an advantage."""
    answer = verdict(found([*(each for each in NO if each.name != kind), asked(kind, 0.2, "better")], unseen=unseen))
    assert (answer.kind, answer.challenger) == (kind, NAMES[kind])
    assert answer.confidence is not None
    assert answer.confidence > 0.99
    assert answer.reasons[0].of == kind
    assert "lower by 20 %" in answer.sentence
    assert "2 minutes" in answer.cost


def test_without_unseen_data_the_model_cannot_win() -> None:
    answer = verdict(found(NO, unseen=False))
    assert answer.kind == "insufficient"
    assert answer.reasons[0].of == "GW003"
    assert answer.confidence is None


@pytest.mark.parametrize("groups", [0, 1, 2, 9])
@pytest.mark.parametrize("blocks", [False, True])
def test_fewer_than_ten_groups_decide_nothing(groups: int, blocks: bool) -> None:
    for questions in (NO, [asked("retrain", 0.5, "better")]):
        answer = verdict(found(questions, groups=groups, blocks=blocks))
        assert answer.kind == "insufficient"
        assert answer.reasons[0].of == "GW004"
        assert ("block" in answer.reasons[0].text) == blocks
    assert verdict(found(NO, groups=10)).kind == "keep"


@pytest.mark.parametrize(("mapping", "code"), [("suspect", "GW001"), ("worse than a constant", "GW002")])
def test_a_model_with_a_doubtful_mapping_is_not_judged(mapping: str, code: str) -> None:
    for questions in (NO, [asked("baseline", 0.5, "better")], []):
        answer = verdict(found(questions, mapping=mapping, mapping_text="Mapping suspect: a and b."))
        assert answer.kind == "insufficient"
        assert [(reason.text, reason.of) for reason in answer.reasons] == [("Mapping suspect: a and b.", code)]
        assert "as they are" in answer.flip
        assert ("worse than a constant" in answer.sentence) == (code == "GW002")


@pytest.mark.parametrize("name", ["retrain", "recurrence"])
def test_questions_of_gain_have_three_zones(name: str) -> None:
    rest = [each for each in NO if each.name != name]
    assert verdict(found([*rest, asked(name, 0.2, "better")])).kind == name
    assert verdict(found([*rest, asked(name, 0.02, "no")])).kind == "keep"
    answer = verdict(found([*rest, asked(name, 0.04, "open")]))
    assert answer.kind == "insufficient"
    assert answer.reasons[0].of == name, "the open question comes first"
    assert NAMES[name] in answer.flip


@pytest.mark.parametrize("name", ["baseline", "shrink"])
def test_questions_of_saving(name: str) -> None:
    rest = [each for each in NO if each.name != name]
    answer = verdict(found([*rest, asked(name, -0.01, "no")]))
    assert answer.kind == name
    assert "% of the memory" in answer.sentence
    assert verdict(found([*rest, asked(name, -0.01, "no", halves=False)])).kind == "keep", "it saves too little"
    assert verdict(found([*rest, asked(name, -0.02, "open")])).kind == "keep", "it is not shown to be as good"
    assert verdict(found([*rest, asked(name, -0.2, "worse")])).kind == "keep"


def test_a_simple_method_that_is_better_need_not_save() -> None:
    answer = verdict(found([asked("baseline", 0.2, "better", halves=False), *NO[1:]]))
    assert answer.kind == "baseline"
    assert "lower by 20 %" in answer.sentence
    assert "better by more than 5.0 %" in answer.reasons[0].text


def test_the_sentence_of_keep_says_no_more_than_was_found() -> None:
    assert "none of the challengers is better" in verdict(found(NO)).sentence
    answer = verdict(found([asked("baseline", 0.1, "open"), *NO[1:]]))
    assert answer.kind == "keep"
    assert "a ridge regression is not shown to replace it" in answer.sentence


def test_ties_go_to_what_is_there() -> None:
    same = {"low": 0.0, "high": 0.0, "p_worse": 0.0, "p_equal": 0.0}
    assert verdict(found([asked("retrain", 0.0, "no", **same), asked("recurrence", 0.0, "no", **same)])).kind == "keep"


def test_constraints_are_hard_for_challengers() -> None:
    slow = asked("retrain", 0.4, "better", obstacle="It takes 2 ms.")
    answer = verdict(found([slow, asked("recurrence")]))
    assert answer.kind != "retrain"
    assert any(reason.text.endswith("It cannot replace the model. It takes 2 ms.") for reason in answer.reasons)
    assert answer.kind == "keep", "a challenger that cannot replace the model leaves no question open"
    assert "none of the challengers that meet the constraints" in answer.sentence
    assert answer.flip == f"A weaker constraint: {NAMES['retrain']} is 40 % better, but it cannot replace the model."
    assert answer.confidence == pytest.approx(0.99), "that of the other question"
    only = verdict(found([slow]))
    assert (only.kind, only.confidence) == ("keep", None)
    answer = verdict(found([slow, asked("recurrence", 0.1, "better")]))
    assert answer.kind == "recurrence"


def test_a_model_that_breaks_a_constraint_is_replaced_by_an_equal_one() -> None:
    broken: dict[str, Any] = {"broken": "One answer takes 2 ms."}
    answer = verdict(
        found([asked("retrain", -0.01, "no", obstacle="It takes 2 ms."), asked("recurrence", -0.01, "no")], **broken)
    )
    assert answer.kind == "recurrence"
    assert answer.reasons[0].of == "GW006"
    assert "constraint" in answer.sentence
    assert "constraint" in answer.flip
    answer = verdict(found([asked("recurrence", -0.2, "worse"), asked("retrain", 0.0, "open")], **broken))
    assert answer.kind == "insufficient", "a model that breaks a constraint is not kept either"
    assert answer.reasons[0].text == "One answer takes 2 ms."


def test_the_confidence_is_corrected_for_the_number_of_questions() -> None:
    questions = [asked("retrain", 0.2, "better", p_better=1e-3), asked("recurrence"), asked("shrink", obstacle="Big.")]
    assert verdict(found(questions)).confidence == pytest.approx(1 - 2e-3), "one of three cannot be recommended"


def test_a_question_of_saving_that_was_not_answered_leaves_the_model() -> None:
    answer = verdict(found(NO, unanswered={"shrink": TOO_SMALL}))
    assert answer.kind == "keep"
    assert answer.reasons[-1].text == "The question 'shrink' was not answered: the budget was too small."


def test_reset_tells_how_long_to_warm_up() -> None:
    check = Finding("GW102", "title", PASSED, "After 7 steps the answers no longer depend on the first state.")
    answer = verdict(found([asked("reset", 0.2, "better"), *NO], checks=(check,)))
    assert answer.kind == "reset"
    assert (answer.reasons[1].of, answer.reasons[1].text) == ("GW102", check.text)


def test_a_challenger_that_had_not_converged_may_win() -> None:
    answer = verdict(found([asked("retrain", 0.2, "better", converged=False, more_minutes=3.0), asked("recurrence")]))
    assert answer.kind == "retrain"


@pytest.mark.parametrize(("minutes", "told"), [(7.2, "8 more minutes"), (0.2, "1 more minute"), (1.0, "1 more minute")])
@pytest.mark.parametrize("answer", ["no", "worse"])
def test_a_challenger_that_had_not_converged_does_not_lose(minutes: float, told: str, answer: str) -> None:
    slow = asked("retrain", -0.1, answer, converged=False, more_minutes=minutes)
    given = verdict(found([slow, asked("recurrence")]))
    assert given.kind == "insufficient"
    assert told in given.reasons[0].text
    assert f"{told}." in given.flip


def test_a_smaller_model_that_had_not_converged_is_told() -> None:
    slow = asked("shrink", -0.2, "worse", converged=False, more_minutes=4.0)
    answer = verdict(found([slow, *NO[1:]]))
    assert answer.kind == "keep"
    assert any("4 more minutes" in reason.text for reason in answer.reasons)


def test_unanswered_questions_keep_nothing() -> None:
    answer = verdict(found([asked("retrain")], unanswered={"recurrence": TOO_SMALL}))
    assert answer.kind == "insufficient"
    assert answer.reasons[-1].of == "recurrence"
    assert "budget" in answer.flip
    assert verdict(found([asked("retrain", 0.2, "better")], unanswered={"recurrence": TOO_SMALL})).kind == "retrain"
    assert verdict(found([asked("baseline", -0.5, "worse")])).kind == "insufficient", "no question of gain was asked"
    assert verdict(found([])).kind == "insufficient"


def test_of_several_changes_the_cheapest_near_the_best_is_recommended() -> None:
    def chosen(**gains: float) -> str:
        return verdict(found([asked(name, gain, "better") for name, gain in gains.items()])).kind

    assert chosen(retrain=0.20, recurrence=0.23, shrink=0.21) == "shrink"
    assert chosen(retrain=0.20, recurrence=0.30, shrink=0.21) == "recurrence"
    assert chosen(retrain=0.28, recurrence=0.30, shrink=0.21) == "retrain"
    assert chosen(baseline=0.268, recurrence=0.30, retrain=0.28) == "baseline", "0.732 is within 5 % of 0.70"
    assert chosen(baseline=0.262, recurrence=0.30) == "recurrence", "0.738 is not"


def test_why_one_of_several_changes_is_recommended() -> None:
    def told(**gains: float) -> str:
        return verdict(found([asked(name, gain, "better") for name, gain in gains.items()])).reasons[1].text

    assert "of those within 5.0 % of the best rmse, it is the least work" in told(retrain=0.28, recurrence=0.30)
    best = told(retrain=0.20, recurrence=0.30)
    assert best.startswith(NAMES["retrain"].capitalize())
    assert "its rmse is the best, and no other is within 5.0 % of it" in best


def test_holm_over_questions() -> None:
    """Of two questions the smaller p-value must be below half of the level, and then the other below the level."""

    def kinds(first: float, second: float, **changed: Any) -> set[str]:
        questions = [
            asked("retrain", 0.2, "better", p_better=first),
            asked("recurrence", 0.2, "better", p_better=second, **changed),
        ]
        return {each.name for each in accepted(found(questions))}

    assert kinds(0.6 * CHANGE, 0.9 * CHANGE) == set()
    assert kinds(0.6 * CHANGE, 1.0) == set()
    assert kinds(0.4 * CHANGE, 1.0) == {"retrain"}
    assert kinds(0.4 * CHANGE, 0.9 * CHANGE) == {"retrain", "recurrence"}
    assert kinds(0.9 * CHANGE, 0.0, obstacle="It takes 2 ms.") == {"retrain"}, "one that cannot win is no question"


def test_keep_needs_each_answer_at_its_level() -> None:
    assert verdict(found([asked("retrain", p_worse=STAY), asked("recurrence")])).kind == "keep"
    assert verdict(found([asked("retrain", p_worse=1.01 * STAY), asked("recurrence")])).kind == "insufficient"


shares = st.floats(0, 1)
gains = st.floats(-1000, 1)


@st.composite
def all_questions(draw: st.DrawFn) -> list[Question]:
    """Questions with any numbers that a comparison can give."""
    names = draw(st.lists(st.sampled_from(sorted(NAMES)), unique=True, max_size=6))
    made = []
    for name in names:
        low, middle, high = sorted(draw(st.tuples(gains, gains, gains)))
        p_better = draw(st.sampled_from([0.0, 1e-4, CHANGE / 3, CHANGE, 0.3, 1.0]))
        made.append(
            asked(
                name, middle, low=low, high=high, p_better=p_better, p_equal=p_better * draw(shares),
                p_worse=draw(shares), halves=draw(st.booleans()),
                obstacle=draw(st.sampled_from(["", "It takes 2 ms."])),
                converged=draw(st.booleans()), more_minutes=draw(st.none() | st.floats(0, 1e6)),
                detectable=draw(shares), seed_share=draw(shares),
            )
        )  # fmt: skip
    return made


@st.composite
def all_findings(draw: st.DrawFn) -> Findings:
    made = found(
        draw(all_questions()),
        unseen=draw(st.booleans()),
        groups=draw(st.sampled_from([1, 9, 10, 40])),
        blocks=draw(st.booleans()),
        broken=draw(st.sampled_from(["", "One answer takes 2 ms."])),
        unanswered=draw(st.sampled_from([{}, {"recurrence": TOO_SMALL}, {"shrink": "it failed"}])),
        mapping_text="The mapping is suspect.",
        mapping=draw(st.sampled_from(["accepted", "accepted", "suspect", "worse than a constant"])),
    )
    sizes = st.none() | st.sampled_from([0, 1, 1000, 10**12])
    times = st.none() | st.sampled_from([0.0, 1e-7, 2.0, 1e5])
    candidates = [
        replace(
            each,
            metric=draw(st.sampled_from([0.0, 1e-12, 1.0, 1e12])),
            bytes=draw(sizes),
            minutes=draw(times),
            step_seconds=draw(times),
        )
        for each in made.candidates
    ]
    return replace(made, candidates=tuple(candidates))


@given(all_findings())
def test_whatever_is_found_the_answer_is_sound(findings: Findings) -> None:
    answer = verdict(findings)
    assert answer.kind in KINDS
    if answer.kind == "keep":
        assert findings.unseen
        assert findings.meets
        assert findings.groups >= 10
        assert "recurrence" not in findings.unanswered
    if answer.kind not in ("keep", "insufficient"):
        (winner,) = [each for each in findings.questions if each.challenger == answer.challenger]
        assert (winner.name, winner.meets) == (answer.kind, True)
        must = winner.must_gain(findings.meets)
        assert (winner.p_better if must else winner.p_equal) <= CHANGE
    assert (answer.challenger is None) == (answer.kind in ("keep", "insufficient"))
    tested = [each for each in findings.questions if each.meets and each.kind == GAIN]
    assert (answer.confidence is None) == (answer.kind == "insufficient" or (answer.kind == "keep" and not tested))
    assert answer.confidence is None or 0 <= answer.confidence <= 1
    texts = [answer.sentence, answer.flip, answer.cost, *(reason.text for reason in answer.reasons)]
    for text in texts[:2] + texts[3:]:
        assert re.fullmatch(r"[A-Z].*\.", text), text
    assert answer.cost == "" or answer.cost.endswith(".")
    for text in texts:
        assert not re.search(r"\b(nan|inf|None)\b", text), text
    json.dumps(asdict(answer), allow_nan=False)


@given(all_findings(), st.data())
def test_better_evidence_for_a_challenger_never_turns_a_change_into_keep(
    findings: Findings, data: st.DataObject
) -> None:
    before = verdict(findings)
    if before.kind in ("keep", "insufficient"):
        return
    k = data.draw(st.integers(0, len(findings.questions) - 1))
    each = findings.questions[k]
    shift = data.draw(st.floats(0, 1))
    better = replace(
        each, gain=min(1.0, each.gain + shift), low=min(1.0, each.low + shift), high=min(1.0, each.high + shift),
        p_better=each.p_better * (1 - shift), p_equal=each.p_equal * (1 - shift), p_worse=max(each.p_worse, shift),
    )  # fmt: skip
    questions = [*findings.questions]
    questions[k] = better
    assert verdict(replace(findings, questions=tuple(questions))).kind not in ("keep", "insufficient")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.042, "4.2 %"), (0.37, "37 %"), (-0.0512, "-5.1 %"), (0.0994, "9.9 %"), (0.0996, "10 %"), (1.0, "100 %")],
)
def test_percent(value: float, text: str) -> None:
    assert words.percent(value) == text


def test_numbers_for_people() -> None:
    assert [words.size(each) for each in (12, 1023, 1024, 1536, 3 << 20)] == [
        "12 bytes", "1,023 bytes", "1 KiB", "1.5 KiB", "3 MiB",
    ]  # fmt: skip
    assert [words.duration(each) for each in (1.234e-6, 5e-4, 0.0123, 2.5)] == ["1.23 µs", "500 µs", "12.3 ms", "2.5 s"]
    assert [words.minutes(each) for each in (0.5, 1.5, 2.0, 30.4)] == [
        "30 seconds",
        "90 seconds",
        "2 minutes",
        "30 minutes",
    ]
    assert [words.confidence(each) for each in (0.95, 0.9899, 0.99995)] == ["95.0 %", "98.9 %", "more than 99.9 %"]
    assert words.interval(-0.031, 0.12) == "from 3.1 % worse to 12 % better"
    assert words.interval(-1000.0, 0.12) == "from worse without limit to 12 % better"


def test_how_many_groups_would_settle_a_question() -> None:
    """An interval of ± 10 % around a gain of 10 % is twice as wide as needed for 5 %: four times the groups."""
    close = asked("retrain", 0.10, "open", low=0.0, high=0.2)
    assert "About 120 groups in place of 30" in verdict(found([close, asked("recurrence")])).flip
    seeds = asked("retrain", 0.10, "open", low=0.0, high=0.2, seed_share=0.2)
    told = verdict(found([seeds, asked("recurrence")])).flip
    assert "About 480 groups" in told, "of a quarter of the variance, a fifth of the whole is left by the seeds"
    seeds = replace(seeds, seed_share=0.25)
    assert "differ too much from seed to seed" in verdict(found([seeds, asked("recurrence")])).flip
    hopeless = asked("retrain", 0.0501, "open", low=0.0, high=0.2)
    assert "too close" in verdict(found([hopeless, asked("recurrence")])).flip
