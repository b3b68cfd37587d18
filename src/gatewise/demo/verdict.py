"""The legacy model of the demo and its verdict: a plain RNN in a file of torch, judged by `gatewise.assess`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.demo.recall import COLUMNS, FIRST_YEAR, GROUP, LOOKBACK, TARGET, UNSEEN_YEAR, table
from gatewise.demo.train import save_state_dict
from gatewise.file import atomic_write
from gatewise.layers.base import Array
from gatewise.model import Model

if TYPE_CHECKING:
    from gatewise.assessment.result import Assessment

LEGACY = ("legacy.pt", "legacy.json", "history.csv", "recent.csv")
"""The state dict, what it does not tell, the rows before 1982, and those from then on, which the model has not seen."""

SPEC = {"order": ["rnn", "fc"], "last": True, "window": LOOKBACK}
"""What a state dict does not tell: the order of its modules, and that it answers once for a window."""

HISTORY, RECENT = 150, 40
"""Number of windows from each stretch of two years."""


def write_legacy(model: Model, earlier: Array, later: Array, folder: Path) -> None:
    """Write the files of `LEGACY` into a folder.

    Args:
        model: the plain RNN, from `train.fit`.
        earlier, later: (weeks,) the changes before 1982, and from then on.
        folder: the folder.
    """
    rng = np.random.default_rng(0)
    save_state_dict(model, folder / LEGACY[0])
    atomic_write(folder / LEGACY[1], f"{json.dumps(SPEC)}\n".encode())
    tables = ((earlier, HISTORY, FIRST_YEAR), (later, RECENT, UNSEEN_YEAR))
    for name, (changes, each, year) in zip(LEGACY[2:], tables, strict=True):
        rows = table(changes, each, rng, year)
        atomic_write(folder / name, rows.to_csv(index=False, float_format="%.4g", lineterminator="\n").encode())


def judge(folder: Path, seconds: float, seed: int) -> Assessment:
    """Assess the legacy model in a folder on its tables.

    Args:
        folder: the folder with the files of `LEGACY`.
        seconds: the budget.
        seed: of the assessment.
    """
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    from gatewise.assessment.assess import assess

    model, spec, history, recent = (folder / name for name in LEGACY)
    with threadpool_limits(1):  # too small for a second thread to help, and on a busy machine it would do harm
        return assess(
            model,
            history,
            unseen=recent,
            inputs=COLUMNS,
            target=TARGET,
            lookback=LOOKBACK,
            groups=GROUP,
            scaler="none",
            target_scaler="none",
            spec=spec,
            budget=seconds,
            seed=seed,
        )


def verdict_summary(found: Assessment) -> dict[str, Any]:
    """The verdict as plain JSON values: what it is, in a sentence, and the error of each candidate."""
    verdict = found.verdict
    return {
        "kind": verdict.kind,
        "sentence": verdict.sentence,
        "confidence": verdict.confidence,
        "metric": found.findings.metric,
        "candidates": {each.name: each.metric for each in found.findings.candidates},
        "budget": found.budget,
    }
