"""The summary that `gatewise train` prints of a trained model."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gatewise.cli.common import facts, heading, names, size
from gatewise.cli.start import CLASSIFY, DETECT, FORECAST, REGRESS, TASKS

if TYPE_CHECKING:
    from gatewise.tasks.task import Task

ENDED = {"budget": "the budget was used up", "patience": "the held-out loss no longer improved"}
USES = {"training": "to train on", "validation": "to stop early", "calibration": "to calibrate"}


def summary(fitted: Task, file: str, output: str) -> dict[str, Any]:
    """A fitted task as JSON values."""
    from gatewise.measure.cost import cost

    history, model = fitted.history_, fitted.model_
    last = history.records[-1] if history.records else None
    common = {
        "file": output,
        "data": file,
        "target": list(fitted.targets_),
        "columns": list(fitted.columns_),
        "time": fitted.time,
        "series": fitted.series,
        "rows": {part: rows for part, rows in asdict(fitted.split_).items() if rows},
        "steps": last.step if last else 0,
        "seconds": last.seconds if last else 0.0,
        "epochs": last.epoch if last else 0,
        "stopped": history.stopped,
        "best_step": history.best_step,
        "best_validation": history.best_validation,
        "history": [_finite(asdict(record)) for record in history.records],
        "parameters": model.parameters,
        "macs": cost(model).push_macs,
        "state_bytes": model.graph.state_bytes,
        "warnings": list(fitted.warnings_),
    }
    return common | OWN[TASKS[fitted.kind]](fitted)


def _finite(record: dict[str, float]) -> dict[str, float | None]:
    """A record as JSON values: a held-out loss that is not known is null."""
    return {name: value if math.isfinite(value) else None for name, value in record.items()}


def _detector(detector: Any) -> dict[str, Any]:
    return {
        "task": DETECT,
        "alarm_score": detector.threshold_,
        "false_alarms_per_1000": detector.false_alarms_per_1000,
    }


def _forecaster(forecaster: Any) -> dict[str, Any]:
    return {
        "task": FORECAST,
        "horizons": list(forecaster.horizons_),
        "quantiles": list(forecaster.quantiles_),
        "covariates": list(forecaster.layout_.covariates),
        "calendar": list(forecaster.layout_.calendar),
        "window": forecaster.model_.window,
    }


def _regressor(regressor: Any) -> dict[str, Any]:
    interval = {"coverage": regressor.coverage, "margin": regressor.margin_}
    return {"task": REGRESS, "answer": regressor.answer_, "window": regressor.model_.window, **interval}


def _classifier(classifier: Any) -> dict[str, Any]:
    own = {"answer": classifier.answer_, "window": classifier.model_.window}
    return {"task": CLASSIFY, **own, "classes": list(classifier.classes_)}


OWN: dict[str, Callable[[Any], dict[str, Any]]] = {
    DETECT: _detector,
    FORECAST: _forecaster,
    REGRESS: _regressor,
    CLASSIFY: _classifier,
}
"""What only one task tells of itself."""


def page(found: dict[str, Any]) -> str:
    """The summary for people."""
    best = found["best_validation"]
    ended = ENDED.get(found["stopped"], found["stopped"])
    macs, state = found["macs"], size(found["state_bytes"])
    given = found["task"] in (REGRESS, CLASSIFY)
    shown = {
        "predicts" if given else "forecasts": names(found["target"]),
        "reads": names(found["columns"]),
        "rows": ", ".join(f"{count:,} {USES[name]}" for name, count in found["rows"].items()),
        "training": f"{found['steps']:,} steps in {found['seconds']:.1f} s; {ended}",
        "kept": f"step {found['best_step']:,}" + ("" if best is None else f", held-out loss {best:.4f}"),
        **SHOWN[found["task"]](found),
        "model": f"{found['parameters']:,} parameters, {macs:,} MACs an answer, state {state}",
    }
    return f"{heading(found['file'])}\n{facts(shown)}\n  {'next':<11}{_next(found)}"


def _alarm(found: dict[str, Any]) -> dict[str, str]:
    rate = f"{found['false_alarms_per_1000']:g} expected in 1,000 steps"
    return {"alarm": f"score from {found['alarm_score']:.3g}: {rate}"}


def _ahead(found: dict[str, Any]) -> dict[str, str]:
    steps = ranges(found["horizons"])
    context = f", each from the last {found['window']:,} rows" if found["window"] else ""
    return {
        "horizons": f"{steps} step{'' if steps == '1' else 's'} ahead{context}",
        "quantiles": ", ".join(map(str, found["quantiles"])),
    }


def _interval(found: dict[str, Any]) -> dict[str, str]:
    margin = found["margin"]
    each = (
        {} if margin is None else {"interval": f"{margin:.4g} to each side, for a probability of {found['coverage']:g}"}
    )
    return {"answers": _answers(found), **each}


def _classes(found: dict[str, Any]) -> dict[str, str]:
    return {"answers": _answers(found), "classes": names(list(map(str, found["classes"])))}


def _answers(found: dict[str, Any]) -> str:
    context = f", each from the last {found['window']:,} rows" if found["window"] else ""
    return f"one for each {'row' if found['answer'] == 'row' else 'series'}{context}"


SHOWN: dict[str, Callable[[dict[str, Any]], dict[str, str]]] = {
    DETECT: _alarm,
    FORECAST: _ahead,
    REGRESS: _interval,
    CLASSIFY: _classes,
}
"""The lines of the summary that only one task has."""


def _next(found: dict[str, Any]) -> str:
    """The command to run next."""
    if found["task"] in (REGRESS, CLASSIFY):
        return shlex.join(["gatewise", "predict", found["file"], "new.csv"])
    if found["task"] == FORECAST:
        future = ["--future", "next.csv"] if found["covariates"] else []
        return shlex.join(["gatewise", "predict", found["file"], found["data"], *future])
    options = ["--after-training"]
    for option, column in (("--series", found["series"]), ("--pass", found["time"])):
        options += [option, column] if column else []
    return shlex.join(["gatewise", "stream", found["file"], *options]) + " < new.csv"


def ranges(numbers: Sequence[int]) -> str:
    """Ascending whole numbers for people, e.g. "1 to 24, 48"."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    texts = [f"{a}" if a == b else f"{a}, {b}" if a + 1 == b else f"{a} to {b}" for a, b in runs]
    return ", ".join(texts if len(texts) <= 12 else [*texts[:6], "...", *texts[-3:]])
