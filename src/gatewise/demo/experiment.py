"""The experiment of the demo: fit a Detector on thirty years, stream the next thirty-one, and compare forecasts."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gatewise.demo.findings import Findings
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.state import State
from gatewise.tasks.detector import Detector

UNITS = 16
SMOOTH = 3
FALSE_ALARMS_PER_1000 = 1000 / 120
"""One false alarm in ten years of months, as a rate in 1,000."""

HELD_OUT = 0.5
"""Fifteen of the thirty years train. The Detector uses a fifth of the others to decide when to stop, and calibrates on
the remaining twelve years, which are enough to support a rate of one alarm in ten years."""


def fit_detector(past: pd.DataFrame, seed: int, steps: int | None) -> tuple[Detector, float]:
    """Fit a Detector on the past, and measure the seconds that this takes.

    All settings but those above are at their defaults. The number of units, and the decision not to add calendar
    columns, come from validation within the years before 1980 (rolling origins 1961, 1965, 1969 and 1973, four years
    each): neither 32 units nor the sine and cosine of the month lowered the loss.
    """
    detector = Detector(
        "gru",
        units=UNITS,
        target="temperature",
        time="month",
        smooth=SMOOTH,
        false_alarms_per_1000=FALSE_ALARMS_PER_1000,
        validation=HELD_OUT,
        steps=steps,
        random_state=seed,
    )
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the page shows them
        detector.fit(past)
    return detector, time.perf_counter() - began


def stream_months(detector: Detector, later: pd.DataFrame) -> Findings:
    """Push month after month through the native core, and record its state after each."""
    model: Model = detector.model_
    readings = later[["temperature"]].to_numpy(np.float32)
    stream = model.stream(detector.state_)
    answers, hidden = [], []
    for reading in readings:
        answers.append(stream.push(reading))
        hidden.append(stream.state.fields["gru0.hidden"][0])
    streamed = np.array(answers)
    whole = np.asarray(model.run(readings, detector.state_))
    answer = dict(zip(model.output_names, streamed.astype(np.float64).T, strict=True))  # name -> (months,)
    return Findings(
        dates=later["month"].to_numpy("datetime64[D]"),
        readings=later["temperature"].to_numpy(float),
        expected=answer["expected"],
        low=answer["low"],
        high=answer["high"],
        scores=answer["score"],
        extrapolated=answer["extrapolated"] > 0,
        hidden=np.array(hidden),
        alarm_score=detector.threshold_,
        equal_bits=np.array_equal(streamed, whole),
    )


def microseconds_per_step(model: Model, state: State, readings: Array, runs: int = 21) -> float:
    """Time of one `Stream.push` from Python, in microseconds: the median over runs through all readings.

    Args:
        model: the model to run.
        state: the initial state of each run.
        readings: (months,).
        runs: number of runs.
    """
    rows = np.asarray(readings, np.float32)[:, None]  # (months, 1)
    seconds = []
    for _ in range(runs):
        push = model.stream(state).push
        began = time.perf_counter()
        for reading in rows:
            push(reading)
        seconds.append(time.perf_counter() - began)
    return 1e6 * float(np.median(seconds)) / len(rows)


@dataclass(frozen=True)
class ForecastErrors:
    """Mean absolute errors of forecasts one month ahead, in degrees Celsius.

    Attributes:
        gru: the error of the detector.
        departure_carried: the error of the mean of the calendar month plus the last month's departure from its own
            mean, times the correlation of such departures one month apart. Means and correlation are from the past.
        calendar: the error of the mean of the calendar month alone.
    """

    gru: float
    departure_carried: float
    calendar: float


def forecast_errors(findings: Findings, past: pd.DataFrame, later: pd.DataFrame) -> ForecastErrors:
    """The errors of the detector's forecasts and of two simple ones on the streamed months."""
    means = past.groupby(past["month"].dt.month)["temperature"].mean()
    before, after = (
        part["temperature"].to_numpy(float) - means.loc[part["month"].dt.month].to_numpy(float)
        for part in (past, later)
    )
    kept = float(before[1:] @ before[:-1] / (before[:-1] @ before[:-1]))
    last = np.concatenate([before[-1:], after[:-1]])
    return ForecastErrors(
        gru=float(np.abs(findings.readings - findings.expected).mean()),
        departure_carried=float(np.abs(after - kept * last).mean()),
        calendar=float(np.abs(after).mean()),
    )
