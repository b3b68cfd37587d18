"""gatewise stream: one result a line for each reading on standard input. The Python twin is `Model.stream`."""

from __future__ import annotations

import os
import signal

import click

from gatewise.cli.common import say
from gatewise.cli.lines import FORMATS, LineReader


@click.command(short_help="Answer readings from standard input as they come.")
@click.argument("model", metavar="MODEL")
@click.option("--format", "form", type=click.Choice(FORMATS), default="auto", help="Form of the input.")
@click.option("--pass", "keep", multiple=True, metavar="COL", help="Copy this field of each line to its result.")
@click.option("--state", metavar="FILE", help="Go on from this file, and keep the state in it.")
@click.option("--after", type=click.IntRange(min=0), metavar="STEP", help="Go on after this step; needs --state.")
@click.option("--replay", is_flag=True, help="The input starts anew: skip the readings answered before.")
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="After a malformed line: end with exit code 1, or go on with the next.",
)
@click.option("--json", "as_json", is_flag=True, help="As it is anyway: results are JSON, one object a line.")
def stream(
    model: str,
    form: str,
    keep: tuple[str, ...],
    state: str | None,
    after: int | None,
    replay: bool,
    on_error: str,
    as_json: bool,
) -> int:
    """Answer readings from standard input, one JSON result a line, flushed.

    A line of input is a JSON object with the model's columns, a JSON array, a bare number (one column), or CSV with
    or without a header line. A result carries its step (1 = the first reading) and the model's outputs; for a detector
    also "alarm". A missing value (null, empty, NaN) is held or refused, as the model was trained.

    \b
    With --state FILE a stream that was stopped, or killed at any moment,
    continues where its output ended: start it again with the same FILE and
    send the readings that have no result yet (or all of them with --replay).
    It knows where its output ended, unless it was killed at the very moment
    of writing to a pipe: then it takes these results for written and says so.
    Results are numbered; if yours end at another step K (they were lost in
    the pipe, say), add --after K, one of about the last thousand. To collect
    results in a file, append with >>. Each save is flushed to the disk; a
    FILE under /run or /dev/shm is faster, and outlives kills as well.

    SIGTERM and SIGINT end the stream after the lines that were read, with exit code 0 and 130.

    \b
      gatewise stream pump.safetensors --state my.state < new.csv >> out.ndjson
      sensor | gatewise stream pump.safetensors --pass time --on-error skip
    """  # noqa: D301
    from gatewise.cli.answer import answer_lines
    from gatewise.cli.session import Session
    from gatewise.stream import load

    if state is None and (after is not None or replay):
        raise click.UsageError("--after and --replay need --state, the file that says what was answered before")
    loaded = load(model)
    if clash := {"step", "alarm", *loaded.output_names} & set(keep):
        raise click.UsageError(f"--pass {min(clash)}: results have a member of that name already")
    with Session(loaded, state, after, output=1) as session:
        if session.resumed:
            say(f"continuing after step {session.step}")
        if session.in_doubt:
            say("the stream ended as it wrote; if your results end at another step K, start again with --after K")
        columns, refuses = loaded.spec.input.options.get("columns"), loaded.graph.refuses_missing
        reader = LineReader(columns, loaded.inputs, refuses, keep, form, session.header)
        if os.isatty(0):
            say("reading from the terminal; Ctrl-D ends")
        stopped = answer_lines(session, reader, 0, 1, replay=replay, skip=on_error == "skip", say=say)
    return 128 + signal.SIGINT if stopped == signal.SIGINT else 0
