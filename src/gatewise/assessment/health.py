"""The health of the model itself: what it remembers, how its gates work, and what it uses.

This describes the model. Whether information far back helps is told by challengers that are trained on shorter windows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise import measure
from gatewise.assessment.findings import FAILED, NOT_APPLICABLE, NOT_RUN, PASSED, Finding
from gatewise.assessment.setup import Setup
from gatewise.assessment.words import percent
from gatewise.comparison.budget import Budget
from gatewise.comparison.running import in_context, whole
from gatewise.errors import InputError, SpecError
from gatewise.layers.base import Array
from gatewise.model import Model

SHARE = 0.1
"""Share of the budget that these measures take at most; those that are left are not run."""

WINDOWS = 200
"""Number of windows on which the model is measured."""

SERIES = 20
"""Number of series on which a model that carries its state is measured."""

FROZEN = 0.9
"""A gate is stuck if it is closed, or open, at more than this share of the steps, on the mean over its units."""

LITTLE = 0.01
"""A column is of no importance if exchanging it raises the loss by less than this share."""


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        model: the model, with the context in which it is used.
        carried: the model with a carried context.
        windows: (n, lookback, inputs) float32, as the model reads them.
        targets: (n, k), in the units of the model.
        sequences: what `model` is run over: windows, or series.
    """

    model: Model
    carried: Model
    windows: Array
    targets: Array
    sequences: list[Array]


def check_health(case: Setup, budget: Budget) -> list[Finding]:
    """Measure the model, the cheapest first; see `gatewise.measure` for the formulas."""
    checks: list[tuple[str, str, Callable[[Subject], Finding]]] = [
        ("GW101", "The model uses its context", _context),
        ("GW102", "The model forgets the state in which it begins", _washout),
        ("GW103", "The gates are at work", _gates),
        ("GW104", "The state is used", _dimension),
        ("GW105", "Changes of the state fade", _jacobian),
        ("GW106", "All columns are used", lambda subject: _columns(subject, case)),
    ]
    if case.incumbent.model is None:
        why = "The model is known by its answers alone, so nothing inside it can be measured."
        return [Finding(code, title, NOT_APPLICABLE, why) for code, title, _ in checks]
    subject, until = _subject(case), budget.used + SHARE * budget.seconds
    if not subject.sequences:
        why = "No series has more than one row up to its last answer, so there is no memory to be measured."
        return [Finding(code, title, NOT_APPLICABLE, why) for code, title, _ in checks]
    found: list[Finding] = []
    for code, title, check in checks:
        if found and budget.used > until:
            found.append(Finding(code, title, NOT_RUN, "The budget for measuring the model was used up."))
            continue
        with budget.doing("measuring what the model remembers"):
            try:
                found.append(check(subject))
            except (SpecError, InputError) as error:
                found.append(Finding(code, title, NOT_APPLICABLE, f"{str(error)[:1].upper()}{str(error)[1:]}."))
    return found


def _subject(case: Setup) -> Subject:
    incumbent, data = case.incumbent, case.data
    assert incumbent.model is not None
    some, columns = data.spread(WINDOWS), list(incumbent.order)
    windows = incumbent.scaler.scaled(some.windows()[..., columns])
    targets = (some.targets - incumbent.target_scaler.offset) / incumbent.target_scaler.scale
    model = in_context(incumbent.model, incumbent.context, data.lookback)
    if incumbent.context == "window":
        return Subject(model, whole(model), windows, targets, list(windows))
    rows = []
    for _, start, stop in data.series:
        own = data.ends[(data.ends >= start) & (data.ends < stop)]
        if own.size and own.max() > start:  # later rows are not read
            rows.append(incumbent.scaler.scaled(data.rows[start : int(own.max()) + 1][:, columns]))
    step = max(1, len(rows) // SERIES)
    return Subject(model, model, windows, targets, rows[::step][:SERIES])


def _context(subject: Subject) -> Finding:
    found = measure.truncated_context(subject.model, subject.sequences)
    reach = found.reach(0.05)
    measured = {"lags": found.lags.tolist(), "relative_change": found.relative.tolist(), "reach": _plain(reach)}
    first = float(found.relative[0])
    how = (
        f"{found.answers:,} answers were computed from the last K rows alone and compared with those from the whole "
        "context (Khandelwal et al. 2018)."
    )
    status = PASSED
    if reach <= 1 and subject.sequences[0].shape[0] > 1:
        status, text = FAILED, "The answers hardly depend on more than the last row, so the model uses no memory."
    elif reach >= found.lags[-1]:  # of a window, the whole of which changes nothing by definition
        text = f"The answers depend on all {int(found.lags[-1]):,} rows of the longest context that was measured."
    else:
        text = f"With the last {int(reach):,} rows alone, the answers change by less than 5 % of their spread."
    text += f" From the last row alone they change by {percent(first)}."
    return Finding("GW101", "The model uses its context", status, text, measured, how)


def _washout(subject: Subject) -> Finding:
    title = "The model forgets the state in which it begins"
    longest = max(map(len, subject.sequences))
    found = measure.washout(subject.carried, subject.sequences, steps=max(1, longest // 2))
    measured = {"steps": _plain(found.steps), "state_steps": _plain(found.state_steps)}
    how = (
        "The model was run over the same rows from a state of zero, from states that it reaches, and from extreme ones."
    )
    if subject.model.window:
        text = "Each answer is made from a state of zero, as the model is used here, so the state need not wash out."
        return Finding("GW102", title, NOT_APPLICABLE, text, measured, how)
    if math.isinf(found.steps):
        text = (
            f"Within {longest // 2:,} steps the answers still depend on the state in which the model began, so it "
            "matters when the state is reset."
        )
        return Finding("GW102", title, FAILED, text, measured, how)
    text = f"After {int(found.steps):,} steps the answers no longer depend on the state in which the model began."
    return Finding("GW102", title, PASSED, text, measured, how)


def _gates(subject: Subject) -> Finding:
    found = measure.gates(subject.model, subject.sequences)
    title = "The gates are at work"
    if not found.layers:
        return Finding("GW103", title, NOT_APPLICABLE, "The model has no gates.")
    stuck, told, measured = [], [], {}
    for layer in found.layers:
        own = {}
        for name, gate in layer.gates.items():
            own[name] = {
                "mean": float(gate.mean.mean()),
                "closed": float(gate.closed.mean()),
                "open": float(gate.open.mean()),
            }
            if max(own[name]["closed"], own[name]["open"]) > FROZEN:
                stuck.append(f"the {name} gate of {layer.layer}")
        measured[layer.layer] = {"gates": own, "time_constants": [_plain(value) for value in layer.quantiles.tolist()]}
        if layer.time_constants.size:
            low, middle, high = layer.quantiles
            told.append(f"{layer.layer}: {_steps(low)}, {_steps(middle)} and {_steps(high)}")
    text = (
        "The time constants of the units (a tenth, half and nine tenths of them are shorter), in steps: "
        + "; ".join(told)
        + "."
    )
    text = text if told else "No layer has a gate that multiplies its state."
    how = f"Gates at {found.steps:,} steps of the data; the time constant is -1 / mean ln f (Tallec and Ollivier 2018)."
    if stuck:
        text += f" Nearly always closed or open: {', '.join(stuck)}; such a gate could be left out."
    return Finding("GW103", title, FAILED if stuck else PASSED, text, measured, how)


def _dimension(subject: Subject) -> Finding:
    found = measure.state_dimension(subject.model, subject.sequences)
    total, measured = found.total, {}
    for each in (*found.layers, found.total):
        measured[each.layer or "total"] = {
            "values": each.values, "participation": each.participation, "components": each.components.tolist(),
            "constant": each.constant, "saturated": each.saturated,
        }  # fmt: skip
    text = (
        f"Of {total.values:,} values of the state, {int(total.components[2]):,} principal components hold 99 % of the "
        f"variance; the effective dimension is {total.participation:.1f}. {total.constant:,} values never change."
    )
    how = f"States at {found.steps:,} steps; the effective dimension is the participation ratio of Gao et al. 2017."
    dead = total.constant > total.values / 4
    return Finding("GW104", "The state is used", FAILED if dead else PASSED, text, measured, how)


def _jacobian(subject: Subject) -> Finding:
    found = measure.jacobian_decay(subject.model, subject.sequences)
    measured = {"rate": _plain(found.rate), "half_life": _plain(found.half_life)}
    how = "The largest Lyapunov exponent of the state, driven by the data (Benettin et al. 1980)."
    title = "Changes of the state fade"
    error = float(found.rates[:, 0].std() / math.sqrt(len(found.rates)))
    if found.rate > 3 * error and math.exp(found.rate * 50) > 2:
        text = f"A small change of the state grows at a rate of {found.rate:.3g} a step: the model is chaotic here."
        return Finding("GW105", title, FAILED, text, measured, how)
    if math.isinf(found.half_life):
        return Finding("GW105", title, PASSED, "A small change of the state neither grows nor fades.", measured, how)
    half = "at once" if found.half_life < 0.5 else f"in {found.half_life:.3g} steps"
    return Finding("GW105", title, PASSED, f"A small change of the state halves {half}.", measured, how)


def _columns(subject: Subject, case: Setup) -> Finding:
    width = subject.targets.shape[1]  # a model may answer with more, such as the ends of an interval
    found = measure.column_importance(
        subject.carried, subject.windows, list(subject.targets), repeats=2,
        loss=lambda answers, targets: ((answers[:, :width] - targets) ** 2).mean(axis=1),
    )  # fmt: skip
    names = [case.data.columns[k] for k in case.incumbent.order]
    order = np.argsort(-found.importance)
    share = found.importance / max(found.loss, 1e-12)
    measured = {names[k]: float(share[k]) for k in order}
    idle = [names[k] for k in order if share[k] < LITTLE]
    top = ", ".join(f"{names[k]} ({percent(float(share[k]))})" for k in order[:5])
    text = f"Exchanging a column between windows raises the squared error most for {top}."
    if idle:
        text += f" It hardly matters for {', '.join(idle[:12])}{' and others' if len(idle) > 12 else ''}."
    how = f"Permutation importance on {len(subject.windows):,} windows (Breiman 2001), as a share of the squared error."
    return Finding("GW106", "All columns are used", FAILED if idle else PASSED, text, measured, how)


def _steps(value: float) -> str:
    return "without end" if math.isinf(value) else f"{value:.3g}"


def _plain(value: float) -> Any:
    """A number as JSON; infinity as text, because JSON has none."""
    return value if math.isfinite(value) else "infinite"
