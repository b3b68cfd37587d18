"""gatewise stream: a result for each reading as it arrives. In Python this is `Model.stream`."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import click

from gatewise.cli.common import refuse_same_file, say, separators
from gatewise.cli.lines import FORMATS, LineReader
from gatewise.errors import StateError

if TYPE_CHECKING:
    from gatewise.model import Model
    from gatewise.state import State
    from gatewise.tasks.section import Id


@click.command(short_help="Score or forecast readings as they arrive.")
@click.argument("model", metavar="MODEL")
@click.argument("file", metavar="[FILE]", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="auto",
    help="The format of the input.  [default: as the first line looks]",
)
@click.option(
    "--pass",
    "keep",
    multiple=True,
    metavar="COL",
    help="Copy this field of each line to its result; may be given several times.",
)
@click.option("--series", metavar="COL", help="The field that identifies the series; each series has its own stream.")
@click.option(
    "--time", metavar="COL", help="The field that holds the time; warn if rows are not as far apart as in training."
)
@click.option("--state", metavar="FILE", help="Continue from the state in this file, and save the state in it.")
@click.option("--after", type=click.IntRange(min=0), metavar="STEP", help="Continue after this step; needs --state.")
@click.option("--after-training", is_flag=True, help="Begin with the state at the end of the training data.")
@click.option(
    "--settle", is_flag=True, help="Reset the evidence of drift, so that new drift is reported; needs --state."
)
@click.option(
    "--replay", is_flag=True, help="The input starts from the beginning: skip readings that were answered before."
)
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="What to do about a malformed line: stop with exit code 1, or skip it and continue.",
)
@separators
@click.option(
    "--json", "as_json", is_flag=True, help="Accepted for uniformity: results are always JSON, one object per line."
)
def stream(
    model: str,
    file: str | None,
    form: str,
    keep: tuple[str, ...],
    series: str | None,
    time: str | None,
    state: str | None,
    after: int | None,
    after_training: bool,
    settle: bool,
    replay: bool,
    on_error: str,
    sep: str | None,
    decimal: str,
    as_json: bool,
) -> int:
    """Run MODEL on readings from standard input, or from FILE, and write one JSON result per reading at once.

    A line of input is a JSON object with the model's columns, a JSON array, a bare number (for one column), or CSV with
    or without a header line. A result has the number of its step (1 = the first reading) and the model's outputs, and
    for a detector also "alarm". A missing value (null, empty, NaN) is filled forward or refused, as in training.

    A new stream starts without any past, so its first results are less accurate. If the readings follow directly on the
    training data, give --after-training. If the --state FILE exists, the stream continues from it instead.

    With --series COL this field of each line, a text or a whole number, says which series the line belongs to. Each
    series has its own stream and gets the same results as it would alone. Results come in the order of the lines,
    include the field, and are numbered within their series.

    With --time COL the times of the lines, dates with the year first or numbers, are compared with those of the
    training data. A warning on standard error, once for each kind, tells of another step, of rows that are missing, of
    times that go back and, with --after-training, of a first row that does not follow on the training data. This
    compares constant steps only. If the model was trained on another calendar (weekdays, months, opening hours), only
    the order of the times is checked; 'gatewise predict' compares such calendars too.

    \b
    With --state FILE a stream that was stopped, or killed at any moment,
    continues where its output ended: start it again with the same FILE and
    send the readings that have no result yet (or all of them with --replay).
    The file knows where the output ended, unless the program was killed while
    it wrote to a pipe; then it assumes that these results were written, and
    says so. Results are numbered. If yours end at another step K, for example
    because some were lost in the pipe, add --after K; this works for about
    the last thousand steps. To collect results in a file, append with >>.
    Each save is flushed to the disk; a FILE under /run or /dev/shm is faster
    and survives kills as well.

    SIGTERM and SIGINT end the stream after the lines that were read, with exit codes 0 and 130.

    \b
      gatewise stream pump.safetensors --state my.state < new.csv >> out.ndjson
      gatewise stream pump.safetensors new.csv > out.ndjson
      sensor | gatewise stream pump.safetensors --pass time --on-error skip
    """  # noqa: D301
    from gatewise.cli.answer import answer_lines
    from gatewise.cli.clock import watched
    from gatewise.cli.series import SeriesReader, SeriesSession
    from gatewise.cli.session import Session, path_of
    from gatewise.cli.source import source_of
    from gatewise.model import load
    from gatewise.tasks.section import of_several

    refuse_same_file({"MODEL": model, "FILE": file, "--state": state, "standard output": path_of(1) if file else None})
    if series is not None and state is not None:
        raise click.UsageError("--state holds one stream, so it does not go with --series; run one stream per series")
    if state is None and (after is not None or replay or settle):
        raise click.UsageError(
            "--after, --settle and --replay need --state, the file that says what was answered before"
        )
    whole_model = load(model)
    loaded, levels = whole_model.relative(), whole_model.levels
    subtract = None if whole_model.subtract is None else whole_model.subtract.tolist()
    keep = tuple(dict.fromkeys(keep))
    taken = {"step", "alarm", *loaded.output_names}
    for option, name in [("--series", series), *(("--pass", name) for name in keep)]:
        if name in taken:
            raise click.UsageError(f"{option} {name}: results have a member of that name already")
    columns, refuses = loaded.columns, loaded.graph.refuses_missing
    least, largest = (part.tolist() for part in whole_model.limits)
    limits = (least, largest) if refuses else None
    if series is not None and series in (columns or ()):
        raise click.UsageError(f"--series {series}: the model reads this column, so it does not tell series apart")
    if time is not None and time == series:
        raise click.UsageError(f"--time {time}: this field tells series apart; name the one that holds the time")
    fields = (*keep, time) if time is not None and time not in keep else keep
    if file in (None, "-") and os.isatty(0):
        say("reading from the terminal; Ctrl-D ends")
    ends = ends_of_training(loaded, model) if after_training else {}
    if after_training and (None in ends) != (series is None):
        many = "one series, so leave out --series" if series else "several series, so add --series COL"
        raise StateError(f"{model} was trained on {many}, or leave out --after-training")
    if series is None and of_several(loaded):
        say("warning: this model was trained on several series; if these readings are of several, pass --series COL")
    if series is not None:
        whole = after_training and all(isinstance(id, int) for id in ends)
        lines = SeriesReader(
            series, columns, loaded.inputs, refuses, fields, form, whole, limits, subtract, sep, decimal
        )
        begin = {str(id): end for id, end in ends.items()} if after_training else None
        streams = SeriesSession(loaded, lines.ids, begin, say, whole_model)
        with source_of(file) as source, watched(lines, loaded, time, keep, after_training) as reader:
            stopped = answer_lines(streams, reader, source, 1, skip=on_error == "skip", levels=levels, say=say)
        return 128 + signal.SIGINT if stopped == signal.SIGINT else 0
    with (
        source_of(file) as source,
        Session(loaded, state, after, output=1, begin=ends.get(None), raw=whole_model) as session,
    ):
        if session.resumed:
            say(f"continuing after step {session.step}")
            if settle:
                session.forget_drift()
            elif session.drifted:
                names = ", ".join(map(repr, sorted(session.drifted)))
                say(
                    f"warning: {names} drifted before this step, so scores are not calibrated; once you have looked, "
                    "--settle forgets it"
                )
        if session.in_doubt:
            say("the stream ended as it wrote; if your results end at another step K, start again with --after K")
        line_reader = LineReader(
            columns, loaded.inputs, refuses, fields, form, session.header, limits, subtract, sep, decimal
        )
        with watched(line_reader, loaded, time, keep, after_training and not session.resumed) as reader:
            skip = on_error == "skip"
            stopped = answer_lines(session, reader, source, 1, replay=replay, skip=skip, levels=levels, say=say)
    return 128 + signal.SIGINT if stopped == signal.SIGINT else 0


def ends_of_training(model: Model, path: str) -> dict[Id, State]:
    """The state of each series after the last row fitted. Raises StateError, naming the file."""
    from gatewise.tasks.section import end_states

    try:
        return end_states(model)
    except StateError as error:
        raise StateError(f"{path}: the state after training: ", error, "; leave out --after-training") from None
