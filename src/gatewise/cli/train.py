"""gatewise train: from a table of readings to a model file.

The Python twins are `gatewise.Detector` and `gatewise.Forecaster`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from gatewise.cli.common import (
    cautions,
    check_output,
    emit,
    json_option,
    listed,
    refuse_same_file,
    say,
    separators,
)
from gatewise.cli.signals import like_ctrl_c
from gatewise.cli.start import DETECT, FORECAST, parameters_of
from gatewise.cli.trained import page, summary
from gatewise.errors import InputError
from gatewise.tasks import RECURRENCE

if TYPE_CHECKING:
    from gatewise.tasks.detector import Detector
    from gatewise.tasks.forecaster import Forecaster
    from gatewise.train import Status

OF_ONE_TASK = {
    DETECT: ("smooth", "false_alarms_per_1000", "coverage"),
    FORECAST: (
        *("horizons", "quantiles", "covariates", "calendar", "context", "normalise", "anchor"),
        *("minimum", "maximum", "transform"),
    ),
}
"""Parameters that only one task has."""

COUNT = click.IntRange(min=1)
POSITIVE = click.FloatRange(min=0, min_open=True)
PROBABILITY = click.FloatRange(min=0, max=1, max_open=True)


def _context(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    """The word "carried", or the steps of a window."""
    if text is None or text == "carried":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(f'{text!r} is neither "carried" nor a number of steps')
    return {"window": int(text)}


def _options(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, Any] | None:
    """Options of the recurrence, of which each value is JSON or else a text; None where none is given."""
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
    """A callback for an option that is one value, or a value for each of some columns, as a value or a dict."""

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
    """What a shell offers for --recurrence."""
    return [kind for kind in _recurrent_kinds() if kind.startswith(begun)]


def _recurrent_kinds() -> list[str]:
    """The kinds of recurrent layers. Their options are imported for it, so it is only called when it is asked for."""
    from gatewise import layers

    return [kind for kind in layers.KINDS if layers.registry.spec(kind).recurrent]


class _Recurrence(click.Option):
    """The option --recurrence, whose help names the kinds that there are."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        *others, last = _recurrent_kinds()
        self.help = f"Kind of the recurrent layers: {', '.join(others)} or {last}."
        return super().get_help_record(ctx)


@click.command(short_help="Train a model on a table of readings.")
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", metavar="OUT", required=True, help="The model file to write.")
@click.option("--task", type=click.Choice([DETECT, FORECAST]), default=DETECT, show_default=True,
              help="What to train for.")  # fmt: skip
@click.option("--start", metavar="FILE",
              help="Go on from this model: with its weights, its scaling and, where no option says otherwise, its "
                   "parameters. Rows that it has seen never calibrate.")  # fmt: skip
@click.option("--target", callback=listed(single=True), metavar="A,B,...",
              help="The columns to forecast.  [default: all but covariates]")  # fmt: skip
@click.option("--time", metavar="COL", help="The column that holds the time.")
@click.option("--series", metavar="COL", help="The column that tells several series apart.")
@click.option("--columns", callback=listed(), metavar="A,B,...",
              help="The columns to read.  [default: all but time and series]")  # fmt: skip
@click.option("--missing", type=click.Choice(["raise", "hold", "mask"]), default="raise", show_default=True,
              help="Refuse missing readings, repeat the last one, or do so and tell the model.")  # fmt: skip
@click.option("--recurrence", cls=_Recurrence, metavar="KIND", default=RECURRENCE, show_default=True,
              shell_complete=_recurrences, help="Kind of the recurrent layers.")  # fmt: skip
@click.option("--units", type=COUNT, metavar="N",
              help="Size of each recurrent layer.  [default: 32 to detect, 64 to forecast]")  # fmt: skip
@click.option("--layers", type=COUNT, metavar="N", default=1, show_default=True, help="How many, one upon the other.")
@click.option("--option", "options", multiple=True, callback=_options, metavar="KEY=VALUE",
              help="A further option of each recurrent layer, e.g. chrono=96 of an lstm; may be repeated. The value is "
                   "JSON, or else a text.")  # fmt: skip
@click.option("--smooth", type=COUNT, metavar="N",
              help="To detect: span of the smoothing of residuals; 1 finds single readings, more finds lasting shifts."
                   "  [default: 1]")  # fmt: skip
@click.option("--false-alarms-per-1000", type=float, metavar="RATE",
              help="To detect: alarms to expect in 1,000 steps of usual data.  [default: 1]")  # fmt: skip
@click.option("--coverage", type=float, metavar="SHARE",
              help="To detect: share of usual readings between low and high.  [default: 0.95]")  # fmt: skip
@click.option("--horizons", callback=listed(int, single=True), metavar="N|A,B,...",
              help="To forecast: steps ahead, all from 1 to N, or only A, B, ...; \"N,\" is N alone."
                   "  [default: 24]")  # fmt: skip
@click.option("--quantiles", callback=listed(float), metavar="P,Q,...",
              help="To forecast: probabilities of the quantiles.  [default: 0.1,0.5,0.9]")  # fmt: skip
@click.option("--covariates", callback=listed(), metavar="A,B,...", help="To forecast: columns whose future is known.")
@click.option("--calendar", callback=listed(), metavar="A,B,...",
              help="To forecast: which of day, week and year the model reads off the time.")  # fmt: skip
@click.option("--context", callback=_context, metavar="carried|L",
              help="To forecast: carry the state for ever, or begin anew and read the last L steps for each forecast."
                   "  [default: carried]")  # fmt: skip
@click.option("--normalise", is_flag=True, default=None,
              help="To forecast: read and forecast each window in its own units.")  # fmt: skip
@click.option("--anchor/--no-anchor", default=None,
              help="To forecast: learn changes from the last reading, or levels.  [default: anchor]")  # fmt: skip
@click.option("--minimum", callback=_by_column(float), metavar="X|COL=X,...",
              help="To forecast: no forecast is below it, of all targets or of those named; e.g. 0.")  # fmt: skip
@click.option("--maximum", callback=_by_column(float), metavar="X|COL=X,...",
              help="To forecast: no forecast is above it.")  # fmt: skip
@click.option("--transform", callback=_by_column(str), metavar="T|COL=T,...",
              help="To forecast: with log1p learn log(1 + x) of the targets, or of the columns named; forecasts come "
                   "back in the units of the data.")  # fmt: skip
@click.option("--validation", type=float, metavar="SHARE",
              help="Share of the rows, at the end, kept from training."
                   "  [default: 0.25 to detect, 0.2 to forecast]")  # fmt: skip
@click.option("--seconds", type=POSITIVE, metavar="S", help="Budget of the training.")
@click.option("--steps", type=COUNT, metavar="N", help="Budget in updates.  [default: 2000, without any other budget]")
@click.option("--epochs", type=COUNT, metavar="N", help="Budget in passes over the data.")
@click.option("--learning-rate", type=POSITIVE, metavar="RATE", help="At its peak.  [default: 0.003]")
@click.option("--batch", type=COUNT, metavar="N",
              help="Sequences side by side.  [default: 16 to detect, 32 to forecast]")  # fmt: skip
@click.option("--window", type=COUNT, metavar="N", help="Steps that the gradient goes back.  [default: 64, or context]")
@click.option("--dropout", type=PROBABILITY, metavar="P",
              help="Share of what recurrent layers write that training leaves out at random."
                   "  [default: 0]")  # fmt: skip
@click.option("--variational-dropout", type=PROBABILITY, metavar="P",
              help="The same, but with one choice for all steps of a sequence.  [default: 0]")  # fmt: skip
@click.option("--weight-drop", type=PROBABILITY, metavar="P",
              help="Share of the recurrent weights that training leaves out at random.  [default: 0]")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), metavar="N", default=0, show_default=True,
              help="Of weights and sampling.")  # fmt: skip
@click.option("--checkpoint", metavar="FILE",
              help="Keep the run here, after 5 s and then every 30 s; if it was stopped, go on from it.")  # fmt: skip
@click.option("--metrics", metavar="CSV", help="Write the course of the training here.")
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

    The task "detect" forecasts each reading of the target columns from all readings before it, and calibrates how
    surprising a residual is on rows that were kept from training. The task "forecast" learns quantiles of the target
    columns at several steps ahead at once. With --series the rows of each series are in order of time, and one model
    learns from all of them. Names with a comma in them are quoted as in CSV.

    A stopped run (Ctrl-C, SIGTERM, a kill) goes on with the same command, if it has a --checkpoint. The same seed,
    machine and data give the same model, unless --seconds is given. With --start a training goes on from a model that
    was trained before, on other rows, on more of them, or for longer.

    While it trains it says how far it is, with a bar on a terminal and a line every ten seconds elsewhere. There "loss"
    is the mean over the last steps, "val" the loss on rows that are kept from training, and "clipped" the share of the
    latest updates that were shortened because their gradient was long, which may be up to 100% and is no fault.

    \b
      gatewise train pump.csv --target vibration --time time -o pump.safetensors
      gatewise stream pump.safetensors --after-training --pass time < new.csv

    \b
      gatewise train load.csv --task forecast --time time -o load.safetensors
      gatewise predict load.safetensors load.csv
    """  # noqa: D301
    refuse_same_file(
        {"FILE": file, "--start": start, "--output": output, "--checkpoint": checkpoint, "--metrics": metrics}
    )
    given = {name: value for name, value in parameters.items() if value is not None}
    given["random_state"] = seed
    if start is not None:
        task, given = parameters_of(start, task, given, seconds)
    (other,) = {DETECT, FORECAST} - {task}
    if wrong := [name for name in OF_ONE_TASK[other] if name in given]:
        raise click.UsageError(f"--{wrong[0].replace('_', '-')} is for --task {other}, not for --task {task}")
    check_output(output)
    if not os.path.exists(file):
        raise InputError(f"{file}: no such file")
    from gatewise.tables.files import TextFile

    fitted: Detector | Forecaster
    if task == DETECT:
        from gatewise.tasks.detector import Detector

        fitted = Detector(**given)
    else:
        from gatewise.tasks.forecaster import Forecaster

        fitted = Forecaster(**given)
    if checkpoint is not None and os.path.exists(checkpoint):
        say(f"continuing from {checkpoint}")
    with cautions(), like_ctrl_c():
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
    """A bar on a terminal, a line now and then in a log, or nothing."""
    if quiet:
        return None
    if sys.stderr.isatty():
        return "bar"
    from gatewise.train.progress import lines

    return lines(say, end=False)  # the summary follows
