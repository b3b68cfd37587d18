"""`assess`: is a model still fit for its purpose? From a model and data to a verdict with evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.assessment import costs, words
from gatewise.assessment.baselining import check_methods, fitted
from gatewise.assessment.curves import check_curves
from gatewise.assessment.drift import check_change, check_drift
from gatewise.assessment.findings import (
    FAILED,
    GAIN,
    NOT_APPLICABLE,
    NOT_RUN,
    PASSED,
    SAVING,
    Candidate,
    Finding,
    Findings,
    Question,
)
from gatewise.assessment.health import check_health
from gatewise.assessment.incumbent import in_units
from gatewise.assessment.mapping import MappingCheck, check_mapping
from gatewise.assessment.questions import Compared, questions
from gatewise.assessment.result import Assessment
from gatewise.assessment.setup import Setup, setup
from gatewise.assessment.training import Challenges, challenge
from gatewise.assessment.verdict import verdict
from gatewise.comparison.bootstrap import LEAST_GROUPS, gain
from gatewise.comparison.budget import Budget
from gatewise.comparison.challengers import UNITS_OF_TIME, calibrated, middle
from gatewise.comparison.running import in_context
from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.tables.table import unused

BUDGET = 300.0

CONTEXT_NAMES = {
    "series": "the same model with its state carried within a series",
    "window": "the same model with a state of zero before each window of {} rows",
}


def assess(
    model: Any,
    data: Any,
    *,
    unseen: Any = None,
    inputs: Sequence[str] | None = None,
    target: str | Sequence[str] | None = None,
    lookback: int | None = None,
    horizon: int = 0,
    season: int | None = None,
    groups: str | None = None,
    time: str | None = None,
    scaler: Any = None,
    target_scaler: Any = None,
    context: str | None = None,
    spec: Any = None,
    predictions: str | Sequence[str] | Mapping[str, str | Sequence[str]] | None = None,
    challengers: Mapping[str, str | Sequence[str]] | None = None,
    metric: Any = None,
    latency: float | None = None,
    memory: int | None = None,
    min_gain: float = 0.05,
    budget: float = BUDGET,
    mapping_confirmed: bool = False,
    seed: int = 0,
    progress: Callable[[str, float], object] | None = None,
) -> Assessment:
    """Assess a model: keep it, shrink it, train it again, or replace it?

    The model is compared with simple methods and with models that are trained here, on rows that it has not seen. The
    result says what to do, how certain that is, and what would change it. It is "insufficient" if the evidence is not
    enough.

    Args:
        model: a `Model`; a fitted task; the path of a model file, or of a file that `gatewise.importers` reads; a torch
            module; a function from windows (n, lookback, columns) to answers (n, targets); or None with `predictions`.
        data: the rows on which challengers are trained, in any form that the tasks read; the model may know them.
        unseen: rows that the model has not seen, with the same columns. Without them a model can lose, but not win.
        inputs: names of the columns that the model reads, in the order of its training. None = those that the model
            names, or all other columns of the data, which is then shown as a proposal.
        target: name of the column of true answers, or a list of as many as the model has outputs. Rows without a value
            are read, but not answered.
        lookback: number of rows from which one answer is made. None = that of the model.
        horizon: number of rows between the last row that is read and the row of the target; 0 = the same row.
        season: number of rows in a season, for the simple method that repeats the last one; None = no season.
        groups: name of the column with the ids of series that are independent of each other, such as machines. None =
            one series, which is divided into blocks of time.
        time: name of the column of times, which is not an input.
        scaler: how the inputs were scaled in the training of the model: "minmax" or "standard" (with the minimum and
            maximum, or mean and standard deviation, of `data`), a .csv or .json file with name and min, max or mean,
            std, a mapping of the same content, or "none". None = "none" for a model of gatewise; for others, the one of
            the three with which the model is best, which is shown as a proposal.
        target_scaler: the same for the targets; None = "none".
        context: "window" = the state is zero before each window; "series" = it is carried within a series. None =
            "window" if there is a lookback.
        spec: what the file of another library cannot tell, see `gatewise.importers.load`.
        predictions: instead of a model, the column (or a list, one for each target) that holds its answers, each in the
            row of the target that it is about; or a mapping from its name to that.
        challengers: name -> column of the answers of another model, which is compared on the same rows.
        metric: "rmse", "mae" or "mse", or a function (targets, answers) -> loss of each row. None = "rmse".
        latency: the most seconds that an answer may take on this machine.
        memory: the most bytes for the parameters and the state of one session.
        min_gain: the least gain that is worth a change, as a share of the metric.
        budget: seconds for everything.
        mapping_confirmed: whether the model is judged although the check of its columns fails.
        seed: of all random choices.
        progress: called with a sentence and the share of the budget that is used.

    Returns:
        An `Assessment`, with `.verdict`, `.findings`, `.html()`, `.to_dict()` and `.save(path)`.

    Raises:
        InputError: the model, the data and what is stated do not fit together.
        FileError: the file of the model cannot be read.
        MissingExtraError: a library is not installed.
    """
    spending = Budget(budget, progress=progress)
    stated: dict[str, Any] = {
        "model": model, "data": data, "unseen": unseen, "inputs": inputs, "target": target, "lookback": lookback,
        "horizon": horizon, "season": season, "groups": groups, "time": time, "scaler": scaler,
        "target_scaler": target_scaler, "context": context, "spec": spec, "predictions": predictions,
        "challengers": challengers, "metric": metric, "latency": latency, "memory": memory, "min_gain": min_gain,
        "seed": seed,
    }  # fmt: skip
    with spending.doing("reading model and data"):
        case = setup(**stated)
    with spending.doing("checking the mapping of the columns"):
        enough = len(np.unique(case.data.groups)) >= LEAST_GROUPS
        rows = case.data if enough else case.judge
        mapping = check_mapping(case.incumbent, rows, case.metric, case.min_gain, mapping_confirmed, budget / 20)
    run = _Run(case, spending, mapping, {**stated, "mapping_confirmed": mapping_confirmed})
    if mapping.status == "accepted":
        run.health()
        run.contexts()
        run.baselines()
        run.predictions()
        run.challengers()
    return run.assessment()


class _Run:
    """An assessment while it is made: candidates and comparisons are added one after the other."""

    def __init__(self, case: Setup, budget: Budget, mapping: MappingCheck, stated: Mapping[str, Any]) -> None:
        self.case, self.budget, self.mapping, self.stated = case, budget, mapping, stated
        self.losses: dict[str, Array] = {}  # candidate -> (seeds, n)
        self.answers: dict[str, Array] = {}  # candidate -> (n, k) of the model that is handed over
        self.compared: list[Compared] = []
        self.candidates: list[Candidate] = []
        self.challenges = Challenges()
        self.checks: list[Finding] = []
        self.methods: dict[str, str] = {}
        self.unanswered: dict[str, str] = {}
        self.models: dict[str, Model] = {}  # candidate -> the model that is handed over if it wins
        incumbent = case.incumbent
        with budget.doing("running the model on the rows that judge"):
            cost: dict[str, Any] = {}
            if incumbent.model is not None:
                cost = costs.of_model(in_context(incumbent.model, incumbent.context, case.data.lookback))
            elif incumbent.function is not None:
                one, function = incumbent.scaler.scaled(case.judge.windows(slice(0, 1))), incumbent.function
                cost = {"step_seconds": costs.seconds_of(lambda: function(one))}
            self.incumbent = self._candidate(incumbent.name, "incumbent", [incumbent.answers(case.judge)], **cost)
        self.broken = costs.breaks(self.incumbent, case.latency, case.memory)

    def health(self) -> None:
        """Measure the model itself."""
        self.checks += check_health(self.case, self.budget)

    def contexts(self) -> None:
        """Run the same model with another context: reset where it carries its state, or carried where it is reset."""
        incumbent, data = self.case.incumbent, self.case.data
        if incumbent.model is None or not incumbent.model.graph.streams or not incumbent.model.graph.state_bytes:
            return
        other = "series" if incumbent.context == "window" else "window"
        name = CONTEXT_NAMES[other].format(data.lookback)
        code, title = "GW107", "The model can run in another context"
        with self.budget.doing("running the model with another context"):
            try:
                answers = replace(incumbent, context=other).answers(self.case.judge)
            except InputError as error:  # such as a missing reading in rows that no window reads
                self.checks.append(Finding(code, title, NOT_APPLICABLE, f"It was not compared with {name}: {error}."))
                return
            cost = costs.of_model(in_context(incumbent.model, other, data.lookback))
        self.checks.append(Finding(code, title, PASSED, f"It was compared with {name}."))
        candidate = self._candidate(name, "reset", [answers], **cost)
        if (ready := in_units(incumbent, in_context(incumbent.model, other, data.lookback), data.columns)) is not None:
            self.models[candidate.name] = ready
        self._compare("reset", GAIN, candidate)

    def baselines(self) -> None:
        """Fit the simple methods; the one that is best on held-out groups challenges the model."""
        found, left_out = fitted(self.case, self.budget)
        self.checks.append(check_methods(found, left_out))
        best = min(found, key=lambda each: each.validation)
        for each in found:
            question = "baseline" if each is best else "other"
            candidate = self._candidate(
                each.method.label, question, [each.answers], bytes=each.method.bytes, state_bytes=each.window_bytes,
                step_seconds=each.step_seconds, minutes=each.seconds / 60,
            )  # fmt: skip
            self.methods[candidate.name] = each.method.name
            if each is best:
                self._compare("baseline", SAVING, candidate)

    def predictions(self) -> None:
        """Compare models that are known by their predictions alone. Without unseen data they may know the answers."""
        for name in self.case.challengers:
            asked = "replace" if self.case.unseen else "other"
            candidate = self._candidate(name, asked, [self.case.judge.given[name]])
            if self.case.unseen:
                self._compare(asked, GAIN, candidate)
            else:
                self.unanswered["replace"] = (
                    "without unseen data nobody knows whether the answers were known beforehand"
                )

    def challengers(self) -> None:
        """Train challengers for as long as the budget allows."""
        self.challenges = challenge(self.case, self.budget)
        for trained in self.challenges.trained:
            answers = trained.answers(self.case.judge)
            k = middle([self.case.metric.of(self.case.judge.targets, each) for each in answers])
            model = calibrated(trained.tasks[k], answers[k], self.case.judge)
            candidate = self._candidate(
                trained.recipe.name, trained.recipe.question, answers, minutes=trained.whole / 60,
                converged=trained.converged, **costs.of_model(model),
            )  # fmt: skip
            self.models[candidate.name], self.answers[candidate.name] = model, answers[k]
            more = None if trained.converged else 3 * UNITS_OF_TIME * trained.seconds / 60
            kind = SAVING if trained.recipe.question == "shrink" else GAIN
            self._compare(trained.recipe.question, kind, candidate, more)
        self.checks += check_curves(self.case, self.challenges)

    def assessment(self) -> Assessment:
        """The result."""
        case = self.case
        asked = questions(self.compared, self.incumbent, case.min_gain, not self.broken)
        groups = len(np.unique(case.judge.groups))
        checks = [
            *self.mapping.checks,
            self._unseen(),
            self._groups(groups),
            check_drift(case),
            self._constraints(),
            self._blocks(),
            self._proposed(),
            check_change(case, self.incumbent.metric),
            *self.checks,
        ]
        findings = Findings(
            case.metric.name, case.unseen, groups, case.judge.blocks, case.min_gain, self.mapping.status,
            self.mapping.text, self.broken, tuple(asked), {**self.unanswered, **self.challenges.unanswered},
            tuple(self._with_intervals(asked)), tuple(sorted(checks, key=lambda each: each.code)),
        )  # fmt: skip
        return Assessment(
            verdict(findings),
            findings,
            case,
            self.challenges,
            self.answers,
            self.methods,
            self.models,
            dict(self.budget.spent),
            self.budget.seconds,
            self.stated,
        )

    def _candidate(self, name: str, question: str, answers: Sequence[Array], **more: Any) -> Candidate:
        """Add a candidate by its answers to the judging examples, for each seed."""
        metric, judge = self.case.metric, self.case.judge
        name = unused(name, self.losses)
        losses = np.stack([metric.checked(judge.targets, each) for each in answers])
        self.losses[name], self.answers[name] = losses, answers[0]
        value = metric.total(losses.mean(axis=0))
        candidate = Candidate(name, question, value, len(answers), **more)
        self.candidates.append(candidate)
        return candidate

    def _compare(self, name: str, kind: str, candidate: Candidate, more_minutes: float | None = None) -> None:
        case = self.case
        own, other = self.losses[self.incumbent.name][0], self.losses[candidate.name]
        found = gain(case.metric, own, other, case.judge.compact(), ordered=case.judge.blocks, seed=case.seed)
        obstacle = costs.obstacle(candidate, case.latency, case.memory)
        self.compared.append(Compared(name, kind, candidate, found, obstacle, more_minutes))

    def _with_intervals(self, asked: Sequence[Question]) -> list[Candidate]:
        ends = {each.challenger: (each.low, each.high) for each in asked}
        return [
            replace(each, low=ends[each.name][0], high=ends[each.name][1]) if each.name in ends else each
            for each in self.candidates
        ]

    def _unseen(self) -> Finding:
        code, title = "GW003", "The judging rows are unseen by the model"
        if self.case.unseen:
            return Finding(code, title, PASSED, "The unseen data are stated to be unknown to the model.")
        return Finding(code, title, FAILED, words.NOT_UNSEEN)

    def _groups(self, groups: int) -> Finding:
        code, title = "GW004", "There are enough independent groups"
        judge = self.case.judge
        word = "blocks of time" if judge.blocks else "groups"
        text = f"{len(judge):,} answers in {groups:,} {word} judge the model; at least {LEAST_GROUPS} are needed."
        if judge.left_out:
            text += (
                f" {judge.left_out:,} rows with a target were left out, because a window needs {judge.lookback} rows."
            )
        measured = {"answers": len(judge), "groups": groups, "left_out": judge.left_out}
        return Finding(code, title, PASSED if groups >= LEAST_GROUPS else FAILED, text, measured)

    def _constraints(self) -> Finding:
        code, title = "GW006", "The model satisfies the constraints"
        case = self.case
        if case.latency is None and case.memory is None:
            return Finding(code, title, NOT_APPLICABLE, "No constraints on time or memory were given.")
        measured = {"step_seconds": self.incumbent.step_seconds, "memory": self.incumbent.memory}
        if self.broken:
            return Finding(code, title, FAILED, self.broken, measured)
        if unknown := costs.obstacle(self.incumbent, case.latency, case.memory):
            return Finding(code, title, NOT_APPLICABLE, unknown, measured)
        return Finding(code, title, PASSED, "The model is fast and small enough.", measured)

    def _blocks(self) -> Finding:
        code, title = "GW007", "Blocks of time are independent"
        if not self.case.judge.blocks:
            return Finding(code, title, NOT_APPLICABLE, "The groups are series that are independent of each other.")
        if not self.compared:
            return Finding(code, title, NOT_RUN, "The model was compared with nothing.")
        worth = {each.candidate.name: each.gain.worth for each in self.compared}
        name, least = min(worth.items(), key=lambda item: item[1])
        text = (
            f"For the comparison with {name}, in which neighbouring blocks are most alike, the "
            f"{self.compared[0].gain.groups:,} blocks are as much evidence as about {max(1, int(least)):,} independent "
            "ones. The intervals are as wide as for that number."
        )
        how = (
            "The differences of neighbouring blocks, and of pairs and fours of them, were taken as an autoregression "
            "of first order; what gives the widest interval counts."
        )
        return Finding(code, title, PASSED if least >= LEAST_GROUPS else FAILED, text, {"worth": worth}, how)

    def _proposed(self) -> Finding:
        code, title = "GW008", "Nothing had to be proposed"
        proposed = self.case.proposed
        if not proposed:
            return Finding(code, title, PASSED, "The inputs and their scaling are known.")
        told = "; ".join(f"{name}: {how}" for name, how in proposed.items())
        text = f"Not stated, and therefore proposed: {told}. Check that this is how the model was trained."
        return Finding(code, title, FAILED, text, dict(proposed))
