"""The result of an assessment: the verdict, the evidence, and what can be made of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gatewise.assessment.findings import Findings, Verdict
from gatewise.assessment.setup import Setup
from gatewise.assessment.training import Challenges
from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.model import Model


@dataclass(frozen=True)
class Assessment:
    """The result of `gatewise.assess`.

    Attributes:
        verdict: the answer.
        findings: the evidence.
        case: what was assessed.
        challenges: what was trained.
        answers: name of a candidate -> its answers to the judging rows, (n, k).
        methods: name of a candidate that is a simple method -> its name in `gatewise.baselines`.
        models: name of a candidate -> its model, for those that can be handed over: with another context, or trained
            here (of several seeds, the one with the middle metric).
        spent: activity -> seconds.
        budget: seconds.
        stated: the arguments of `gatewise.assess`, except for budget and progress.
    """

    verdict: Verdict
    findings: Findings
    case: Setup
    challenges: Challenges
    answers: Mapping[str, Array]
    methods: Mapping[str, str]
    models: Mapping[str, Model]
    spent: Mapping[str, float]
    budget: float
    stated: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values; the guide on assessments documents the keys."""
        case, findings = self.case, self.findings
        return {
            "verdict": self.verdict.kind,
            "sentence": self.verdict.sentence,
            "confidence": self.verdict.confidence,
            "reasons": [asdict(reason) for reason in self.verdict.reasons],
            "flip": self.verdict.flip,
            "cost": self.verdict.cost,
            "challenger": self.verdict.challenger,
            "questions": [asdict(each) for each in findings.questions],
            "unanswered": dict(findings.unanswered),
            "findings": [asdict(each) for each in findings.checks],
            "candidates": [asdict(each) for each in findings.candidates],
            "model": {
                "name": case.incumbent.name,
                "inputs": [case.data.columns[k] for k in case.incumbent.order],
                "scaler": case.incumbent.scaler.name,
                "context": case.incumbent.context,
                "lookback": case.data.lookback,
                "proposed": dict(case.proposed),
            },
            "data": {
                "answers": len(case.data),
                "judging_answers": len(case.judge),
                "judging_groups": findings.groups,
                "unseen": findings.unseen,
                "blocks": findings.blocks,
                "metric": findings.metric,
                "min_gain": findings.min_gain,
            },
            "budget": {"seconds": self.budget, "spent": dict(self.spent)},
        }

    @property
    def model(self) -> Model | None:
        """The model that the verdict recommends in place of the incumbent; None if there is none to hand over."""
        return self.models.get(self.verdict.challenger or "")

    @property
    def why_no_model(self) -> str:
        """Why there is no model to hand over, in words; "" if there is one."""
        name = self.verdict.challenger
        if self.model is not None:
            return ""
        if name is None:
            return "the model stays"
        if self.refit:
            return f"{name} has no model file; the report says how to fit it again"
        if self.verdict.kind == "reset":
            return "the scaling of the model cannot be made part of it; run it in the other context as it is used now"
        return f"{name} is known by its answers alone"

    def html(self) -> str:
        """The report as one HTML page that needs no network."""
        from gatewise.assessment.page import page  # draws with matplotlib

        return page(self)

    @property
    def refit(self) -> str:
        """How a simple method that should replace the incumbent is fitted again, as Python; "" if none should."""
        method, case = self.methods.get(self.verdict.challenger or ""), self.case
        if method is None or self.verdict.kind != "baseline":
            return ""
        read = [case.data.columns[k] for k in case.incumbent.order]
        if case.anchors is not None:
            return (
                "from gatewise.baselines import Forecaster\n\n"
                f"model = Forecaster({method!r}, target={list(case.targets)!r}, columns={read!r}, "
                f"horizons=[{case.horizon}], lookback={case.data.lookback}, series={case.groups!r}, "
                f"time={case.time!r}).fit(data)"
            )
        common = (
            f"columns={read!r}, lookback={case.data.lookback}, series={case.groups!r}, time={case.time!r}, "
            f"loss={case.metric.loss!r}"
        )
        lines, targets = ["from gatewise.baselines import Regressor\n"], list(case.targets)
        if case.horizon:
            of = "data" if case.groups is None else f"data.groupby({case.groups!r})"
            later = {name: f"{name}, {case.horizon} rows later" for name in targets}
            lines += [f"data[{new!r}] = {of}[{old!r}].shift(-{case.horizon})" for old, new in later.items()]
            targets = list(later.values())
        if len(targets) == 1:
            lines.append(f"model = Regressor(method={method!r}, target={targets[0]!r}, {common}).fit(data)")
        else:
            lines.append(
                f"models = {{\n    name: Regressor(method={method!r}, target=name, {common}).fit(data)\n"
                f"    for name in {targets!r}\n}}"
            )
        return "\n".join(lines)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model that the verdict recommends, ready to stream.

        It reads columns by the names that they have in the data, in their units, and scales them itself.

        Raises:
            InputError: the verdict recommends no model that was trained here.
            OSError: the file cannot be written.
        """
        if self.model is None:
            raise InputError(f"there is no model to save: {self.why_no_model}")
        self.model.save(path)
