"""What the curves say: how far back information helps, and whether more data would help."""

from __future__ import annotations

from gatewise.assessment.findings import FAILED, NOT_RUN, PASSED, Finding
from gatewise.assessment.setup import Setup
from gatewise.assessment.training import Challenges
from gatewise.assessment.words import capital, number, percent


def check_curves(case: Setup, found: Challenges) -> list[Finding]:
    """The findings from trainings on shorter windows and on fewer groups."""
    return [_windows(case, found), _shares(case, found), _asked(found)]


def _windows(case: Setup, found: Challenges) -> Finding:
    code, title = "GW201", "Information far back helps"
    if len(found.by_window) < 2:
        return Finding(code, title, NOT_RUN, "The budget was too small to train on shorter windows.")
    by = dict(sorted(found.by_window.items()))
    best = min(by.values())
    enough = next(k for k, value in by.items() if value <= best * (1 + case.min_gain))
    longest = max(by)
    told = ", ".join(f"{number(value)} with {k:,} row{'' if k == 1 else 's'}" for k, value in by.items())
    text = f"{capital(found.of)} has {case.metric.name} {told}."
    how = (
        "One training with one seed for each length of the window, half as long as the others. Another seed would give "
        "other numbers, so no verdict rests on them."
    )
    if enough < longest:
        text += f" {enough:,} {'is' if enough == 1 else 'are'} as good as {longest:,} within {percent(case.min_gain)}."
    status = FAILED if enough == 1 and longest > 1 else PASSED
    if status == FAILED:
        text += " This suggests that a model without memory would do."
    return Finding(code, title, status, text, {"by_window": {str(k): value for k, value in by.items()}}, how)


def _shares(case: Setup, found: Challenges) -> Finding:
    code, title = "GW202", "The data are enough for training"
    if len(found.by_share) < 2 or 1.0 not in found.by_share:
        return Finding(code, title, NOT_RUN, "The budget was too small to train on parts of the data.")
    by = dict(sorted(found.by_share.items()))
    told = ", ".join(f"{number(value)} with {percent(share)} of the {case.group_words}" for share, value in by.items())
    text = f"{capital(found.of)} has {case.metric.name} {told}."
    before = max(share for share in by if share < 1)
    last = 1 - by[1.0] / by[before]
    step = "The last doubling" if before == 0.5 else f"All groups in place of {percent(before)}"
    measured = {"by_share": {str(share): value for share, value in by.items()}, "last_gain": last}
    how = (
        "One training with one seed for each share of the groups, half as long as the others. Another seed would give "
        "other numbers, so no verdict rests on them."
    )
    if last > case.min_gain:
        text += f" {step} lowered it by {percent(last)}, which suggests that more data would help challengers."
        return Finding(code, title, FAILED, text, measured, how)
    text += f" {step} changed it by {percent(-last)}, which suggests that more data alone would hardly help."
    return Finding(code, title, PASSED, text, measured, how)


def _asked(found: Challenges) -> Finding:
    code, title = "GW203", "All challengers could be trained"
    faults = {**found.unanswered, **found.faults}
    if not faults:
        return Finding(code, title, PASSED, "No training failed.")
    told = "; ".join(f"{name}: {why}" for name, why in faults.items())
    return Finding(code, title, FAILED if found.trained else NOT_RUN, f"Not trained: {told}.", faults)
