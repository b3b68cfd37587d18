"""gatewise train: from a table of readings to a model file.

In Python these are `gatewise.Detector`, `gatewise.Forecaster`, `gatewise.Regressor` and `gatewise.Classifier`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

import gatewise
from gatewise.cli.common import (
    check_output,
    emit,
    json_option,
    listed,
    refuse_same_file,
    say,
    separators,
    showing_warnings,
)
from gatewise.cli.signals import like_ctrl_c
from gatewise.cli.start import CLASSIFY, DETECT, FORECAST, REGRESS, parameters_of
from gatewise.cli.trained import page, summary
from gatewise.errors import InputError
from gatewise.tasks import RECURRENCE

if TYPE_CHECKING:
    from gatewise.tasks.task import Task
    from gatewise.train import Status

OF_SOME_TASKS = {
    DETECT: ("smooth", "false_alarms_per_1000", "coverage"),
    FORECAST: (
        *("horizons", "quantiles", "covariates", "calendar", "context", "normalise", "anchor"),
        *("minimum", "maximum", "transform"),
    ),
    REGRESS: ("answer", "context", "coverage", "loss"),
    CLASSIFY: ("answer", "context"),
}
"""Parameters that not all tasks have, for each task."""

CLASSES = {DETECT: "Detector", FORECAST: "Forecaster", REGRESS: "Regressor", CLASSIFY: "Classifier"}
"""The class of each task in `gatewise`."""

COUNT = click.IntRange(min=1)
POSITIVE = click.FloatRange(min=0, min_open=True)
PROBABILITY = click.FloatRange(min=0, max=1, max_open=True)


def _context(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    """The value of --context: "carried", or a window of so many steps."""
    if text is None or text == "carried":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(f'{text!r} is neither "carried" nor a number of steps')
    return {"window": int(text)}


def _options(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, Any] | None:
    """The options of the recurrent layers by name, or None if none is given. A value that is not JSON is text."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{text!r} is not of the form KEY=VALUE, e.g. chrono=96")
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice; give it once")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found or None


def _by_column(kind: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback for an option that takes one value, or a value for each of some columns, which become a dict."""

    def read(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
        parts = listed()(context, parameter, text)
        if parts is None:
            return None
        try:
            if len(parts) == 1 and "=" not in parts[0]:
                return kind(parts[0])
            named = [(name, kind(value)) for name, equals, value in (part.rpartition("=") for part in parts) if equals]
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
        if len(dict(named)) < len(parts):
            raise click.BadParameter(f"{text!r} is neither one value nor COL=VALUE,... with each column once")
        return dict(named)

    return read


def _recurrences(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """The completions that a shell offers for --recurrence."""
    return [kind for kind in _recurrent_kinds() if kind.startswith(begun)]


def _recurrent_kinds() -> list[str]:
    """The kinds of recurrent layers. Their options are imported for it, so it is only called when it is asked for."""
    from gatewise import layers

    return [kind for kind in layers.KINDS if layers.registry.spec(kind).recurrent]


class _Recurrence(click.Option):
    """The option --recurrence, whose help names the kinds that there are."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        *others, last = _recurrent_kinds()
        self.help = f"The kind of the recurrent layers: {', '.join(others)} or {last}."
        return super().get_help_record(ctx)


@click.command(short_help="Train a model on a table of readings.")
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", metavar="OUT", required=True, help="The model file to write.")
@click.option("--task", type=click.Choice(list(CLASSES)), default=DETECT, show_default=True,
              help="Train a detector of anomalies, a forecaster, a regressor or a classifier.")  # fmt: skip
@click.option("--start", metavar="FILE",
              help="Continue from this model: its weights, its scaling and, if no option says otherwise, its "
                   "parameters. Rows that it was trained on are not used for calibration.")  # fmt: skip
@click.option("--target", callback=listed(single=True), metavar="A,B,...",
              help="The columns to forecast, or the column with the answers to predict.  [default: all but the "
                   "covariates]")  # fmt: skip
@click.option("--time", metavar="COL", help="The column that holds the time.")
@click.option("--series", metavar="COL", help="The column that identifies the series, if FILE holds several.")
@click.option("--columns", callback=listed(), metavar="A,B,...",
              help="The columns to read.  [default: all but the time, the series and answers]")  # fmt: skip
@click.option("--missing", type=click.Choice(["raise", "hold", "mask"]), default="raise", show_default=True,
              help="What to do about missing readings: refuse them, fill them forward with the last reading (hold), or "
                   "fill them forward and mark them for the model (mask).")  # fmt: skip
@click.option("--recurrence", cls=_Recurrence, metavar="KIND", default=RECURRENCE, show_default=True,
              shell_complete=_recurrences, help="The kind of the recurrent layers.")  # fmt: skip
@click.option("--units", type=COUNT, metavar="N",
              help="The number of units in each recurrent layer.  [default: 64 to forecast, else 32]")  # fmt: skip
@click.option("--layers", type=COUNT, metavar="N",
              help="The number of recurrent layers.  [default: 2 to classify, else 1]")  # fmt: skip
@click.option("--blocks", type=click.IntRange(min=0), metavar="N",
              help="The number of residual blocks, each around one recurrent layer, in place of plain layers."
                   "  [default: 0]")  # fmt: skip
@click.option("--width", type=COUNT, metavar="N",
              help="The number of values that each block reads and writes.  [default: as many as units]")  # fmt: skip
@click.option("--option", "options", multiple=True, callback=_options, metavar="KEY=VALUE",
              help="A further option of the recurrent layers, such as chrono=96; may be given several times. The value "
                   "is read as JSON or, failing that, as text.")  # fmt: skip
@click.option("--smooth", type=COUNT, metavar="N",
              help="To detect: the number of steps over which residuals are smoothed. With 1 single anomalous readings "
                   "are found, with more steps lasting shifts."
                   "  [default: 1]")  # fmt: skip
@click.option("--false-alarms-per-1000", type=float, metavar="RATE",
              help="To detect: the number of false alarms to expect in 1,000 steps of normal data.  [default: "
                   "1]")  # fmt: skip
@click.option("--coverage", type=float, metavar="SHARE",
              help="To detect: the share of normal readings that lie between low and high.  [default: 0.95] To "
                   "regress: the probability that an answer does.  [default: 0.9]")  # fmt: skip
@click.option("--answer", type=click.Choice(["row", "sequence"]),
              help="To regress or classify: whether each row of FILE has an answer, or each series the one in its last "
                   "row.  [default: row]")  # fmt: skip
@click.option("--loss", type=click.Choice(["squared", "absolute"]),
              help="To regress: predict the mean or the median.  [default: squared]")  # fmt: skip
@click.option("--horizons", callback=listed(int, single=True), metavar="N|A,B,...",
              help="To forecast: the steps ahead, either all from 1 to N, or those in the list A,B,...; \"N,\" is a "
                   "list "
                   "of one."
                   "  [default: 24]")  # fmt: skip
@click.option("--quantiles", callback=listed(float), metavar="P,Q,...",
              help="To forecast: the probabilities of the quantiles.  [default: 0.1,0.5,0.9]")  # fmt: skip
@click.option(
    "--covariates", callback=listed(), metavar="A,B,...", help="To forecast: columns whose future values are known."
)
@click.option("--calendar", callback=listed(), metavar="A,B,...",
              help="To forecast: which of the cycles day, week and year the model reads, as derived from the "
                   "time.")  # fmt: skip
@click.option("--context", callback=_context, metavar="carried|L",
              help="Not to detect: carry the state on from row to row, or make each answer from the last L rows alone."
                   "  [default: carried]")  # fmt: skip
@click.option("--normalise", is_flag=True, default=None,
              help="To forecast: standardise each window by its own mean and deviation; needs a --context of L "
                   "rows.")  # fmt: skip
@click.option("--anchor/--no-anchor", default=None,
              help="To forecast: learn the change from the last reading, or the level itself.  [default: "
                   "anchor]")  # fmt: skip
@click.option("--minimum", callback=_by_column(float), metavar="X|COL=X,...",
              help="To forecast: a lower bound of the forecasts, of all targets or of the columns named; for example "
                   "0.")  # fmt: skip
@click.option("--maximum", callback=_by_column(float), metavar="X|COL=X,...",
              help="To forecast: an upper bound of the forecasts, given in the same way.")  # fmt: skip
@click.option("--transform", callback=_by_column(str), metavar="T|COL=T,...",
              help="To forecast: with log1p the model learns log(1 + x) of the targets, or of the columns named. "
                   "Forecasts are in the units of the data.")  # fmt: skip
@click.option("--validation", type=float, metavar="SHARE",
              help="The share of the rows, at the end of each series, that is held out from training; to regress or "
                   "classify, the share of the series.  [default: 0.25 to detect, else 0.2]")  # fmt: skip
@click.option("--seconds", type=POSITIVE, metavar="S", help="Train for at most this many seconds.")
@click.option(
    "--steps",
    type=COUNT,
    metavar="N",
    help="Train for at most this many updates.  [default: 2000, if no other limit is given]",
)
@click.option("--epochs", type=COUNT, metavar="N", help="Train for at most this many passes over the data.")
@click.option(
    "--learning-rate",
    type=POSITIVE,
    metavar="RATE",
    help="The learning rate at its peak.  [default: 0.01 to classify, else 0.003]",
)
@click.option("--batch", type=COUNT, metavar="N",
              help="The number of sequences in a batch.  [default: 32 to forecast, else 16]")  # fmt: skip
@click.option(
    "--bptt",
    type=COUNT,
    metavar="N",
    help="The length of back-propagation through time, in steps.  [default: 64, or L of --context L]",
)
@click.option("--dropout", type=PROBABILITY, metavar="P",
              help="The share of the outputs of recurrent layers that training sets to zero at random."
                   "  [default: 0]")  # fmt: skip
@click.option("--variational-dropout", type=PROBABILITY, metavar="P",
              help="The same, with one random choice for all steps of a sequence.  [default: 0.3 to classify, else "
                   "0]")  # fmt: skip
@click.option("--weight-drop", type=PROBABILITY, metavar="P",
              help="The share of the recurrent weights that training sets to zero at random.  [default: "
                   "0]")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), metavar="N", default=0, show_default=True,
              help="The seed of the first weights and of the sampling.")  # fmt: skip
@click.option("--checkpoint", metavar="FILE",
              help="Save the run in this file, after 5 s and then every 30 s; if the file exists, continue from "
                   "it.")  # fmt: skip
@click.option("--metrics", metavar="CSV", help="Write the losses during training to this file.")
@separators
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@json_option
def train(
    file: str,
    output: str,
    task: str,
    start: str | None,
    seconds: float | None,
    seed: int,
    checkpoint: str | None,
    metrics: str | None,
    sep: str | None,
    decimal: str,
    quiet: bool,
    as_json: bool,
    **parameters: Any,
) -> None:
    """Train a model on the readings in FILE, a .csv or .parquet with one row per step, in order of time.

    The task "detect" trains a model that predicts each reading of the target columns from all readings before it.
    Held-out rows then calibrate how surprising a prediction error is. The task "forecast" trains a model that predicts
    quantiles of the target columns for several steps ahead at once. The tasks "regress" and "classify" train a model
    that predicts a number or a class, the answer, which FILE has in the target column. With --series one model learns
    from all series; the rows of each series must be in order of time. Column names that contain a comma are quoted as
    in CSV.

    With --checkpoint a run that was stopped (by Ctrl-C, SIGTERM or a kill) continues when the same command is started
    again. The same seed, machine and data give the same model, unless --seconds is given. With --start the training
    continues from a model that was trained before, on other rows, on more rows, or for longer.

    Progress is shown as a bar on a terminal, and as a line every ten seconds elsewhere. "loss" is the mean over the
    last steps, "val" is the loss on held-out rows, and "clipped" is the share of the last updates whose gradient was
    shortened because it was long. Any share up to 100% is normal.

    \b
      gatewise train pump.csv --target vibration --time time -o pump.safetensors
      gatewise stream pump.safetensors --after-training --pass time < new.csv

    \b
      gatewise train load.csv --task forecast --time time -o load.safetensors
      gatewise predict load.safetensors load.csv

    \b
      gatewise train rul.csv --task regress --target left --series unit -o rul.st
    """  # noqa: D301
    refuse_same_file(
        {"FILE": file, "--start": start, "--output": output, "--checkpoint": checkpoint, "--metrics": metrics}
    )
    given = {name: value for name, value in parameters.items() if value is not None}
    given["random_state"] = seed
    if start is not None:
        task, given = parameters_of(start, task, given, seconds)
    for name in given:
        tasks = [other for other, names in OF_SOME_TASKS.items() if name in names]
        if tasks and task not in tasks:
            option = name.replace("_", "-")
            raise click.UsageError(f"--{option} is for --task {' or '.join(tasks)}, not for --task {task}")
    check_output(output)
    if not os.path.exists(file):
        raise InputError(f"{file}: no such file")
    from gatewise.tables.files import TextFile

    fitted: Task = getattr(gatewise, CLASSES[task])(**given)
    if checkpoint is not None and os.path.exists(checkpoint):
        say(f"continuing from {checkpoint}")
    with showing_warnings(), like_ctrl_c():
        fitted.fit(
            TextFile(file, sep, decimal),
            start=start,
            seconds=seconds,
            progress=_progress(quiet),
            checkpoint=checkpoint,
            metrics=metrics,
        )
        fitted.save(output)
    found = summary(fitted, file, output)
    if as_json:
        emit(found)
    else:
        click.echo(page(found))


def _progress(quiet: bool) -> str | Callable[[Status], None] | None:
    """What shows progress: a bar on a terminal, a line every ten seconds elsewhere, nothing if `quiet`."""
    if quiet:
        return None
    if sys.stderr.isatty():
        return "bar"
    from gatewise.train.progress import lines

    return lines(say, end=False)  # the summary follows
