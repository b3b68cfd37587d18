"""The demo: a GRU detector on the El Nino series, streamed month by month, and a page with the results."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gatewise.errors import GatewiseError, MissingExtraError

PICTURES = ("figure.png", "figure_narrow.png")


def run(
    folder: str | os.PathLike[str] = "demo",
    *,
    seed: int = 0,
    other_seeds: int = 4,
    steps: int | None = None,
    say: Callable[[str], None] | None = print,
) -> dict[str, Any]:
    """Train on the years before 1980, stream those after, and write the results.

    It writes these files into the folder: `report.html` (one file that needs no network), `figure.png` and
    `figure_narrow.png` (the picture of the README, also for a phone), `model.safetensors` (the detector), `elnino.csv`
    (the series) and, for further experiments, `pump.csv` and `new.csv`, the simulated readings of a pump before its
    faults and with them.

    Args:
        folder: the folder, which is created if it does not exist.
        seed: seed of all weights and sampling. The same seed and machine give the same findings; times differ.
        other_seeds: number of further detectors, with the next seeds, which show how the results depend on the seed.
        steps: number of updates in each training; None = at most 2,000.
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
        from gatewise.demo.gradients import lag_curves
        from gatewise.demo.report import render, way_to_run
        from gatewise.demo.summary import lines, summarise
        from gatewise.file import atomic_write, check_writable
        from gatewise.report import png
    except GatewiseError:
        raise
    except ImportError as error:
        raise MissingExtraError(f"the demo needs {error.name}: pip install 'gatewise[train]'") from error

    into = Path(folder)
    into.mkdir(parents=True, exist_ok=True)
    files = [into / name for name in (*PICTURES, "report.html", "model.safetensors", *SERIES)]
    for path in files:
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
    say("training an RNN and an LSTM as well, and measuring how far back gradients reach ...")
    rivals = [fit_detector(past, seed, steps, recurrence)[0] for recurrence in ("rnn", "lstm")]
    curves = lag_curves([detector, *rivals], past["temperature"].to_numpy())

    errors = forecast_errors(findings, past, later)
    summary = summarise(detector, past, findings, others, curves, errors, microseconds, fit_seconds)
    write_series(into)
    detector.save(into / "model.safetensors")
    for name, size in zip(PICTURES, (README_WIDE, README_NARROW), strict=True):
        atomic_write(into / name, png(readme_figure(findings, curves, size)))
    atomic_write(into / "report.html", render(summary, findings, curves, way_to_run(into)).encode())
    summary["seconds"]["total"] = time.perf_counter() - began
    summary["files"] = list(map(str, files))
    for line in lines(summary):
        say(line)
    return summary
