"""Whether the judging rows are like those of the training: how many readings leave the range that is known of it, and
whether the model is as good there.

The range is the range from which the readings were scaled, if the scaling says so, else that of the data.
"""

from __future__ import annotations

import numpy as np

from gatewise.assessment.findings import FAILED, PASSED, Finding
from gatewise.assessment.mapping import constant_answers, sample
from gatewise.assessment.setup import Setup
from gatewise.assessment.words import number, percent

MUCH = 1.5
"""How many times as large the metric may be on the judging rows as on the data."""

MOST = 2000
"""The number of examples of the data on which the model is run."""

MANY = 0.05
"""The share of readings of a column outside of its range above which the check fails."""


def check_drift(case: Setup) -> Finding:
    """How many readings of the judging rows lie outside of the range of the training, for each column."""
    data, judge, limits = case.data, case.judge, case.incumbent.scaler.limits
    known, new = data.rows[data.read], judge.rows[judge.read]
    low, high = (
        (known.min(axis=0), known.max(axis=0))
        if limits is None
        else (limits[0].astype(np.float32), limits[1].astype(np.float32))
    )
    beyond = ((new < low) | (new > high)).mean(axis=0)
    worst = sorted(zip(beyond.tolist(), judge.columns, strict=True), reverse=True)
    measured = {"outside": {name: share for share, name in worst if share > 0}}
    where = "data" if limits is None else "scaling"
    how = f"For each input, the share of the judging rows below its least or above its greatest reading in the {where}."
    title, code = "The judging rows lie in the range of the training", "GW005"
    many = [(share, name) for share, name in worst if share > MANY]
    if many:
        told = ", ".join(f"{name} in {percent(share)} of the rows" for share, name in many[:5])
        text = (
            f"Some inputs leave the range that they have in the {where}: {told}. A model knows nothing about such "
            "readings; the sensor, the unit or the process may have changed."
        )
        return Finding(code, title, FAILED, text, measured, how)
    most = f"; the most is {percent(worst[0][0])} of {worst[0][1]}" if worst and worst[0][0] > 0 else ""
    return Finding(
        code, title, PASSED, f"Few readings or none leave the range that they have in the {where}{most}.", measured, how
    )


def check_change(case: Setup, own: float) -> Finding:
    """Whether the model is as good on the judging rows as on the data.

    Args:
        case: what is assessed.
        own: the metric of the model on the judging rows.
    """
    code, title, metric = "GW010", "The model is as good on the judging rows as on the data", case.metric
    some = sample(case.incumbent, case.data, MOST)
    known = metric.of(some.targets, case.incumbent.answers(some))
    constant = metric.of(case.judge.targets, constant_answers(case.data, case.judge, metric))
    text = (
        f"The {metric.name} of the model is {number(known)} on the data, and {number(own)} on the judging rows, where "
        f"that of a constant is {number(constant)}."
    )
    measured = {"data": known, "judging": own, "constant": constant}
    if own <= MUCH * known:
        return Finding(code, title, PASSED, text, measured)
    text += (
        " Either the model was trained on the data and knows them by heart, or what it has learnt has changed since. "
        "In the second case, challengers that are trained on these data cannot do better: pass data that are as recent "
        "as the judging rows."
    )
    return Finding(code, title, FAILED, text, measured)
