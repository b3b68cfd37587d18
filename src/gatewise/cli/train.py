"""gatewise train: from a table of readings to a model file. The Python twin is `gatewise.Detector`."""

from __future__ import annotations

import os
import re
import sys
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from gatewise.cli.common import emit, heading, json_option, refuse_same_file, say, size, table
from gatewise.errors import GatewiseError, InputError

if TYPE_CHECKING:
    from gatewise.tasks.detector import Detector
    from gatewise.train import Status

LOG_EVERY = 10.0
"""Seconds between two lines about the progress, where there is no terminal to draw a bar on."""

COUNT = click.IntRange(min=1)


@click.command(short_help="Train a model on a table of readings.")
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", metavar="OUT", required=True, help="The model file to write.")
@click.option("--task", type=click.Choice(["detect"]), default="detect", show_default=True, help="What to train for.")
@click.option("--target", metavar="COL", help="The column to forecast; needless if there is only one.")
@click.option("--time", "time_column", metavar="COL", help="The column that holds the time.")
@click.option("--columns", metavar="A,B,...", help="The columns to read; by default all but the time.")
@click.option("--missing", type=click.Choice(["raise", "hold"]), default="raise", show_default=True,
              help="Refuse missing readings, or repeat the last one.")  # fmt: skip
@click.option("--recurrence", metavar="KIND", default="gru", show_default=True, help="Kind of the recurrent layers.")
@click.option("--units", type=COUNT, metavar="N", default=32, show_default=True, help="Size of each recurrent layer.")
@click.option("--layers", type=COUNT, metavar="N", default=1, show_default=True, help="How many, one upon the other.")
@click.option("--smooth", type=COUNT, metavar="N", default=1, show_default=True,
              help="Span of the smoothing of residuals: 1 finds single readings, more lasting shifts.")  # fmt: skip
@click.option("--false-alarms-per-1000", type=float, metavar="RATE", default=1.0, show_default=True,
              help="Alarms to expect in 1,000 steps of usual data.")  # fmt: skip
@click.option("--validation", type=float, metavar="SHARE", default=0.25, show_default=True,
              help="Share of the rows, at the end, kept to stop by and to calibrate on.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Budget of the training.")
@click.option("--steps", type=COUNT, metavar="N", help="Budget in updates.  [default: 2000, without any other budget]")
@click.option("--epochs", type=COUNT, metavar="N", help="Budget in passes over the data.")
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", default=0, show_default=True, help="Of weights and sampling."
)
@click.option("--checkpoint", metavar="FILE", help="Keep the run here; if it was stopped, go on from it.")
@click.option("--metrics", metavar="CSV", help="Write the course of the training here.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@json_option
def train(
    file: str,
    output: str,
    task: str,
    time_column: str | None,
    columns: str | None,
    seconds: float | None,
    seed: int,
    checkpoint: str | None,
    metrics: str | None,
    quiet: bool,
    as_json: bool,
    **parameters: Any,
) -> None:
    """Train a model on the readings in FILE, a .csv or .parquet with one row per step, in order of time.

    The task "detect" forecasts each reading of the target column from all readings before it, and calibrates how
    surprising a residual is on rows that were kept from training. A stopped run (Ctrl-C, a kill) goes on with the same
    command, if it has a --checkpoint. The same seed, machine and data give the same model, unless --seconds is given.

    \b
      gatewise train pump.csv --target vibration --time time -o pump.safetensors
      gatewise stream pump.safetensors --after-training --pass time < new.csv
    """  # noqa: D301
    refuse_same_file({"FILE": file, "--output": output, "--checkpoint": checkpoint, "--metrics": metrics})
    _check_output(output)
    if not os.path.exists(file):
        raise InputError(f"{file}: no such file")
    from gatewise.tasks.detector import Detector

    detector = Detector(
        time=time_column,
        columns=[name.strip() for name in columns.split(",")] if columns is not None else None,
        random_state=seed,
        **parameters,
    )
    if checkpoint is not None and os.path.exists(checkpoint):
        say(f"continuing from {checkpoint}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            detector.fit(file, seconds=seconds, progress=_progress(quiet), checkpoint=checkpoint, metrics=metrics)
        except GatewiseError as error:
            raise type(error)(_as_options(str(error))) from error
    detector.save(output)
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        say(f"caution: {message}")
    found = summary(detector, file, output)
    if as_json:
        emit(found)
    else:
        click.echo(_page(found))


def summary(detector: Detector, file: str, output: str) -> dict[str, Any]:
    """What `train` says about a fitted detector, as plain JSON values."""
    history, model = detector.history_, detector.model_
    return {
        "file": output,
        "data": file,
        "target": detector.target_,
        "columns": list(detector.columns_),
        "time": detector.time,
        "rows": {
            "training": detector.split_.training,
            "stopping": detector.split_.stopping,
            "calibration": detector.split_.calibration,
        },
        "steps": history.records[-1].step if history.records else 0,
        "seconds": history.records[-1].seconds if history.records else 0.0,
        "epochs": history.records[-1].epoch if history.records else 0,
        "stopped": history.stopped,
        "best_step": history.best_step,
        "best_validation": history.best_validation,
        "alarm_score": detector.threshold_,
        "false_alarms_per_1000": detector.false_alarms_per_1000,
        "parameters": model.parameters,
        "macs": model.graph.macs,
        "state_bytes": model.graph.state_bytes,
        "cautions": list(detector.cautions_),
    }


def _page(found: dict[str, Any]) -> str:
    rows = found["rows"]
    best = found["best_validation"]
    ended = {"budget": "the budget was used up", "patience": "it no longer got better"}
    keep = f" --pass {found['time']}" if found["time"] else ""
    facts = [
        ("forecasts", f"{found['target']}, from {', '.join(found['columns'])}"),
        (
            "rows",
            f"{rows['training']:,} to train on, {rows['stopping']:,} to stop by, {rows['calibration']:,} to calibrate",
        ),
        (
            "training",
            f"{found['steps']:,} steps in {found['seconds']:.1f} s; {ended.get(found['stopped'], found['stopped'])}",
        ),
        ("kept", f"step {found['best_step']:,}" + ("" if best is None else f", held-out loss {best:.4f}")),
        ("alarm", f"score from {found['alarm_score']:.3g}: {found['false_alarms_per_1000']:g} expected in 1,000 steps"),
        (
            "model",
            f"{found['parameters']:,} parameters, {found['macs']:,} MACs a step, state {size(found['state_bytes'])}",
        ),
        ("next", f"gatewise stream {found['file']} --after-training{keep} < new.csv"),
    ]
    return f"{heading(found['file'])}\n{table(facts, 'll')}"


def _progress(quiet: bool) -> str | Callable[[Status], None] | None:
    """A bar on a terminal, a line now and then in a log, or nothing."""
    if quiet:
        return None
    if sys.stderr.isatty():
        return "bar"
    last = time.monotonic()

    def log(status: Status) -> None:
        nonlocal last
        if time.monotonic() - last >= LOG_EVERY:
            from gatewise.train.progress import describe

            last = time.monotonic()
            say(describe(status))

    return log


def _as_options(message: str) -> str:
    """Advice to a caller of Python, "pass time='t'", as advice to a user of this command, "pass --time t"."""
    return re.sub(r"\bpass (target|time|columns|missing)=(?:'([^']*)')?", r"pass --\1 \2", message).replace("  ", " ")


def _check_output(path: str) -> None:
    """Refuse a place that cannot be written before the training, not after it."""
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise InputError(f"{path}: there is no folder {folder}; create it first")
    if os.path.isdir(path) or not os.access(folder, os.W_OK):
        raise InputError(f"{path} cannot be written; give the name of a file, in a folder that can be written to")
