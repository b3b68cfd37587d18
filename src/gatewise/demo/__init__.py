"""The demo: a detector of El Nino, streamed month by month, and a verdict on a legacy model that forgets."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gatewise.errors import GatewiseError, MissingExtraError

PAGES = ("report.html", "verdict.html")
PICTURES = ("figure.png", "figure_narrow.png")


def run(
    folder: str | os.PathLike[str] = "demo",
    *,
    seed: int = 0,
    other_seeds: int = 4,
    steps: int | None = None,
    budget: float = 60.0,
    say: Callable[[str], None] | None = print,
) -> dict[str, Any]:
    """Train on the sea before 1980 and stream the years after; then judge a plain RNN that has to remember.

    It writes these files into the folder: `report.html` (one file that needs no network), `figure.png` and
    `figure_narrow.png` (the picture of the README, also for a phone), `model.safetensors` (the detector), `elnino.csv`
    (the series) and, for further experiments, `pump.csv` and `new.csv`, the simulated readings of a pump before its
    faults and with them. The verdict on the RNN is in `verdict.html`, what was judged in `legacy.pt`, `legacy.json`,
    `history.csv` and `recent.csv`, and the model that should replace it, if there is one, in `best.safetensors`.

    Args:
        folder: the folder, which is created if it does not exist.
        seed: seed of all weights and sampling. The same seed and machine give the same findings; times differ,
            and with them the training of the models that challenge the RNN.
        other_seeds: number of further detectors, with the next seeds, which show how the results depend on the seed.
        steps: number of updates in each training; None = at most 2,000 for the detectors, and 1,000 for the networks
            that have to remember.
        budget: seconds for the assessment of the RNN.
        say: a function that is called with each line of text about the progress and the results; None = no output.

    Returns:
        The results as plain JSON values. The numbers on the page are taken from them.

    Raises:
        MissingExtraError: packages of `pip install 'gatewise[train]'` are missing.
        OSError: the folder cannot be written to, or one of these names is a device, a pipe or a folder there.
    """
    say = say or (lambda text: None)
    began = time.perf_counter()
    try:
        from gatewise.demo.data import FIRST_STREAMED_YEAR, SERIES, load_elnino, write_series
        from gatewise.demo.experiment import fit_detector, forecast_errors, microseconds_per_step, stream_months
        from gatewise.demo.figures import README_NARROW, README_WIDE, readme_figure
        from gatewise.demo.recall import load_changes
        from gatewise.demo.report import render, way_to_run
        from gatewise.demo.summary import lines, summarise
        from gatewise.demo.vanishing import KINDS, SEEDS, STEPS, memory_summary, remember
        from gatewise.demo.verdict import LEGACY, judge, verdict_summary, write_legacy
        from gatewise.file import atomic_write, check_writable
        from gatewise.report import png
    except GatewiseError:
        raise
    except ImportError as error:
        raise MissingExtraError(f"the demo needs {error.name}: pip install 'gatewise[train]'") from error

    into = Path(folder)
    into.mkdir(parents=True, exist_ok=True)
    files = [into / name for name in (*PAGES, *PICTURES, "model.safetensors", *SERIES, *LEGACY)]
    best = into / "best.safetensors"
    for path in (*files, best):
        check_writable(path)
    series = load_elnino()
    streamed = series["month"].dt.year >= FIRST_STREAMED_YEAR
    past, later = series[~streamed], series[streamed]

    say(f"training a GRU on {len(past)} months, before {FIRST_STREAMED_YEAR} ...")
    detector, fit_seconds = fit_detector(past, seed, steps)
    findings = stream_months(detector, later)
    microseconds = microseconds_per_step(detector.model_, detector.state_, findings.readings)
    say(f"training {other_seeds} more, with other seeds ...")
    others = [stream_months(fit_detector(past, seed + i, steps)[0], later) for i in range(1, other_seeds + 1)]
    say("training an RNN, an LSTM and a GRU that have to remember, with several seeds ...")
    earlier, later_changes = load_changes()
    seeds, updates = range(seed, seed + SEEDS), STEPS if steps is None else steps
    memories = [remember(kind, earlier, later_changes, seeds, updates) for kind in KINDS]
    write_legacy(memories[0].models[0], earlier, later_changes, into)
    say(f"assessing the RNN as a legacy model, with a budget of {budget:.0f} seconds ...")
    assessment = judge(into, budget, seed)

    errors = forecast_errors(findings, past, later)
    summary = summarise(detector, past, findings, others, errors, microseconds, fit_seconds)
    summary["memory"] = memory_summary(memories, seeds, updates, (len(earlier), len(later_changes)))
    summary["verdict"] = verdict_summary(assessment)
    write_series(into)
    detector.save(into / "model.safetensors")
    for name, size in zip(PICTURES, (README_WIDE, README_NARROW), strict=True):
        atomic_write(into / name, png(readme_figure(findings, memories, size)))
    atomic_write(into / "report.html", render(summary, findings, memories, way_to_run(into)).encode())
    atomic_write(into / "verdict.html", assessment.html().encode())
    if assessment.model is not None:
        assessment.save(best)
        files.append(best)
    else:
        best.unlink(missing_ok=True)  # of an earlier run
    summary["seconds"]["total"] = time.perf_counter() - began
    summary["files"] = list(map(str, files))
    for line in lines(summary):
        say(line)
    return summary
