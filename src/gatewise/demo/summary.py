"""The numbers of the demo as plain JSON values, and as lines of text."""

from __future__ import annotations

import calendar
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from gatewise.demo.experiment import FALSE_ALARMS_PER_1000, HELD_OUT, SMOOTH, UNITS, ForecastErrors
from gatewise.demo.findings import Findings
from gatewise.tasks.detector import Detector

MEMORIES = ("RNN", "LSTM", "GRU")


def summarise(
    detector: Detector,
    past: pd.DataFrame,
    findings: Findings,
    others: Sequence[Findings],
    errors: ForecastErrors,
    microseconds: float,
    fit_seconds: float,
) -> dict[str, Any]:
    """The results, including all numbers on the page, as plain JSON values; months as "1982-11", degrees Celsius.

    Args:
        detector: the detector, fitted on the past.
        past: the months on which it was fitted.
        findings: its results for the months after them.
        others: the results of detectors that differ from it only by their seeds.
        errors: the errors of its forecasts and of simple ones.
        microseconds: the time of a step.
        fit_seconds: the time of the fit.
    """
    model, split = detector.model_, detector.split_
    months = [str(month) for month in findings.dates.astype("datetime64[M]")]
    found = int(findings.alarms.sum())
    inside = (findings.readings >= findings.low) & (findings.readings <= findings.high)
    calibration = detector.calibration_
    return {
        "split": {
            "first": f"{past['month'].iloc[0]:%Y-%m}",
            "last": f"{past['month'].iloc[-1]:%Y-%m}",
            "training_months": split.training,
            "stopping_months": split.validation,
            "calibration_months": split.calibration,
            "streamed_first": months[0],
            "streamed_last": months[-1],
            "streamed_months": len(months),
        },
        "model": {
            "recurrence": "gru",
            "units": UNITS,
            "weights": sum(
                value.size for name, value in model.tensors.items() if not name.startswith(("input.", "head."))
            ),
            "state_bytes": model.graph.state_bytes,
            "smooth": SMOOTH,
            "held_out": HELD_OUT,
            "steps": detector.steps,
            "seed": int(detector.random_state),
        },
        "training": {"steps": detector.history_.records[-1].step, "best_step": detector.history_.best_step},
        "stream": {"microseconds_per_step": microseconds, "cpu": model.cpu, "equal_bits": findings.equal_bits},
        "forecast": {
            "gru": errors.gru,
            "departure_carried": errors.departure_carried,
            "calendar": errors.calendar,
            "inside_band": float(inside.mean()),
            "coverage": float(detector.coverage),
        },
        "alarms": {
            "per_1000": FALSE_ALARMS_PER_1000,
            "score": findings.alarm_score,
            "expected": FALSE_ALARMS_PER_1000 / 1000 * len(months),
            "supported_per_1000": calibration.finest_per_1000,
            "found": found,
            "episodes": findings.alarm_episodes,
            "months": [month for month, alarm in zip(months, findings.alarms, strict=True) if alarm],
            "great": findings.great_alarms,
            "elsewhere": found - sum(findings.great_alarms.values()),
        },
        "strongest": [
            {
                "month": months[episode.peak],
                "temperature": float(findings.readings[episode.peak]),
                "expected": float(findings.expected[episode.peak]),
                "low": float(findings.low[episode.peak]),
                "high": float(findings.high[episode.peak]),
                "score": float(findings.scores[episode.peak]),
                "extrapolated": bool(findings.extrapolated[episode.peak]),
                "alarm": bool(findings.alarms[episode.peak]),
            }
            for episode in findings.episodes
        ],
        "seeds": {
            "tried": 1 + len(others),
            "great_lead": sum(each.great_lead for each in (findings, *others)),
            "fewest_alarms": min(int(each.alarms.sum()) for each in (findings, *others)),
            "most_alarms": max(int(each.alarms.sum()) for each in (findings, *others)),
        },
        "versions": dict(model.provenance["versions"]),
        "seconds": {"fit": fit_seconds},
    }


def lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """The results as lines of text."""
    split, stream, alarms = summary["split"], summary["stream"], summary["alarms"]
    yield (
        f"trained on {split['first']} to {split['last']} in {summary['seconds']['fit']:.1f} s: "
        f"{split['training_months']} months for the weights, {split['stopping_months']} to stop, "
        f"{split['calibration_months']} to calibrate; seed {summary['model']['seed']}"
    )
    yield (
        f"streamed {split['streamed_months']} months, {split['streamed_first']} to {split['streamed_last']}, one value "
        f"at a time: {stream['microseconds_per_step']:.2g} microseconds a step ({stream['cpu']})"
    )
    yield "strongest anomalies:"
    for item in summary["strongest"]:
        yield (
            f"  {month_name(item['month'])}  {item['temperature']:.1f} °C, expected {item['expected']:.1f} "
            f"({item['low']:.1f} to {item['high']:.1f})  chance 1 in {one_in(item['score'])}"
            f"{' (extrapolated)' if item['extrapolated'] else ''}{'  ALARM' if item['alarm'] else ''}"
        )
    where = ", ".join(f"{count} in {name}" for name, count in alarms["great"].items())
    yield (
        f"alarms: {alarms['found']} months in {alarms['episodes']} episodes ({where}, {alarms['elsewhere']} elsewhere);"
        f" false alarms expected: {alarms['expected']:.1f}, one in ten years"
    )
    seeds = summary["seeds"]
    yield (
        f"with {seeds['tried']} seeds, this one among them: the two strongest anomalies are the two great El Ninos in "
        f"{seeds['great_lead']}; alarms {seeds['fewest_alarms']} to {seeds['most_alarms']}"
    )
    yield from memory_lines(summary["memory"])
    yield f"verdict on the plain RNN, read from legacy.pt: {summary['verdict']['sentence']}"
    yield f"wrote {', '.join(summary['files'])} in {summary['seconds']['total']:.0f} s"


def memory_lines(memory: Mapping[str, Any]) -> Iterator[str]:
    """What each recurrence remembers, a line each."""
    yield (
        f"recalling a week marked {memory['nearest']} to {memory['lookback'] - 1} weeks ago, {len(memory['seeds'])} "
        f"seeds of {memory['steps']:,} updates:"
    )
    for name in MEMORIES:
        found = memory[name]
        yield (
            f"  {name:<4}  error {found['error']:.3f}, where 1 = forgotten; of the gradient at lag 1, "
            f"{found['left'][-1]:.1g} is left at lag {memory['lags'][-1]}"
        )
    plain, *gated = (memory[name] for name in MEMORIES)
    if plain["forgets"] and all(each["remembers"] for each in gated):
        yield "  the RNN forgets and the gated networks remember, with each seed"
    else:
        yield "  this run does not show with each seed that the RNN forgets and the gated networks remember"


def month_name(month: str, whole: bool = False) -> str:
    """A month such as "1982-11" as "Nov 1982" or, with `whole`, as "November 1982"."""
    year, number = month.split("-")
    return f"{(calendar.month_name if whole else calendar.month_abbr)[int(number)]} {year}"


def one_in(score: float) -> str:
    """10^score with two significant digits: "300" for 2.47."""
    value = 10.0**score
    return f"{round(value, 1 - math.floor(math.log10(value))):,.0f}" if value >= 10 else f"{value:.2g}"
