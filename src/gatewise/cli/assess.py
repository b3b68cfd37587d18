"""gatewise assess: from a model and data to a verdict with evidence. In Python this is `gatewise.assess`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from gatewise.cli.common import (
    check_output,
    emit,
    heading,
    json_option,
    listed,
    printable,
    refuse_same_file,
    separators,
    showing_warnings,
    table,
    wrap,
)

if TYPE_CHECKING:
    from gatewise.assessment.result import Assessment

INSUFFICIENT, NAMED = 3, 4
"""The exit codes of a verdict "insufficient", and of a verdict that --fail-on names."""

SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
BYTES = {"": 1, "k": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mib": 1 << 20, "g": 1 << 30, "gib": 1 << 30}


def quantity(units: Mapping[str, float], what: str) -> Callable[[click.Context, click.Parameter, Any], float | None]:
    """A callback for an option of a number with a unit, such as "5m" or "64k"."""

    def read(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
        if text is None:
            return None
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", text.strip())
        if found is None or found[2].lower() not in units or not float(found[1]) > 0:
            raise click.BadParameter(f"{text!r} is no {what}")
        return float(found[1]) * units[found[2].lower()]

    return read


def _named(context: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> dict[str, list[str]]:
    """Names with the columns that belong to them, from NAME=COLUMN or NAME=COLUMN,COLUMN."""
    found: dict[str, list[str]] = {}
    for text in texts:
        name, equals, columns = text.partition("=")
        if not name or not equals or not columns:
            raise click.BadParameter(f"{text!r} is not of the form NAME=COLUMN, e.g. old=forecast")
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice")
        found[name] = listed()(context, parameter, columns)
    return found


def _verdicts(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...]:
    from gatewise.assessment.kinds import KINDS

    found = tuple(listed()(context, parameter, text) or ())
    if wrong := [kind for kind in found if kind not in KINDS]:
        raise click.BadParameter(f"{wrong[0]!r} is no verdict; the verdicts are {', '.join(KINDS)}")
    return found


@click.command(short_help="Decide whether to keep or change a model, with evidence.")
@click.argument("files", nargs=-1, required=True, metavar="[MODEL] DATA")
@click.option("--unseen", metavar="FILE", help="Rows that the model has not seen. Without them it cannot win.")
@click.option("--inputs", callback=listed(), metavar="A,B,...",
              help="The columns that the model reads, in the order of its training.")  # fmt: skip
@click.option("--target", callback=listed(single=True), metavar="COL", required=True,
              help="The column of true answers; rows without a value are not answered.")  # fmt: skip
@click.option("--lookback", type=click.IntRange(min=1), metavar="N",
              help="The number of rows from which one answer is made.  [default: that of the model]")  # fmt: skip
@click.option("--horizon", type=click.IntRange(min=0), default=0, show_default=True, metavar="N",
              help="How many rows after the last row that is read the target stands.")  # fmt: skip
@click.option("--season", type=click.IntRange(min=1), metavar="N",
              help="The number of rows in a season, for the simple method that repeats the last one.")  # fmt: skip
@click.option("--groups", metavar="COL", help="The column with the ids of independent series, such as machines.")
@click.option("--time", metavar="COL", help="The column that holds the time, which is not an input.")
@click.option("--scaler", metavar="minmax|standard|FILE",
              help="How the inputs were scaled: by minimum and maximum, or mean and standard deviation, of DATA, or by "
                   "those in a .csv or .json file.")  # fmt: skip
@click.option("--target-scaler", metavar="minmax|standard|FILE", help="The same for the target.")
@click.option("--context", type=click.Choice(["window", "series"]),
              help="Whether the state is zero before each window, or carried within a series.")  # fmt: skip
@click.option("--spec", metavar="SPEC", help="What the model file cannot tell, see gatewise import.")
@click.option("--predictions", callback=_named, multiple=True, metavar="NAME=COL",
              help="In place of MODEL: the column of DATA with its answers.")  # fmt: skip
@click.option("--challenger", "challengers", callback=_named, multiple=True, metavar="NAME=COL",
              help="The column with the answers of another model, to compare.")  # fmt: skip
@click.option("--metric", metavar="NAME", help="rmse, mae or mse.  [default: rmse]")
@click.option("--latency", callback=quantity(SECONDS, "time such as 2ms"), metavar="TIME",
              help="The longest time that an answer may take on this machine, such as 500us or 2ms.")  # fmt: skip
@click.option("--memory", callback=quantity(BYTES, "size such as 64k"), metavar="SIZE",
              help="The most bytes for the parameters and one session, such as 64k.")  # fmt: skip
@click.option("--min-gain", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.05, show_default=True,
              help="The least gain that is worth a change, as a share of the metric.")  # fmt: skip
@click.option("--budget", callback=quantity(SECONDS, "time such as 5m"), default="5m", show_default=True,
              metavar="TIME", help="The time for everything.")  # fmt: skip
@click.option("--mapping-confirmed", is_flag=True, help="Judge the model although the check of its columns fails.")
@click.option("--seed", type=int, default=0, show_default=True,
              help="The seed of all random choices. The time decides how long a training lasts, so results differ "
                   "from run to run all the same.")  # fmt: skip
@click.option("--html", metavar="OUT", help="Write the report to this file.")
@click.option("-o", "--output", metavar="OUT", help="Write the model that the verdict recommends.")
@click.option("--fail-on", callback=_verdicts, metavar="A,B,...",
              help="Exit with code 4 if the verdict is one of these, e.g. retrain,baseline.")  # fmt: skip
@separators
@json_option
def assess(
    files: tuple[str, ...],
    unseen: str | None,
    predictions: dict[str, list[str]],
    html: str | None,
    output: str | None,
    fail_on: tuple[str, ...],
    sep: str | None,
    decimal: str,
    as_json: bool,
    **stated: Any,
) -> int:
    """Judge MODEL on DATA: keep it, shrink it, train it again, replace it, or not enough evidence.

    MODEL is a model file, or a file of another library that gatewise imports. Its answers on unseen rows are compared
    with those of simple methods and of models that are trained on DATA. With --predictions there is no MODEL: its
    answers stand in a column of DATA.

    Exit codes: 0 a verdict, 3 the evidence is not enough, 4 a verdict that --fail-on names; 1 and 2 as everywhere.

    \b
      gatewise assess legacy.h5 history.csv --unseen recent.csv --inputs a,b,c
               --target y --lookback 50 --groups machine --scaler minmax
      gatewise assess history.csv --target y --predictions old=forecast
    """  # noqa: D301
    if len(files) != (1 if predictions else 2):
        raise click.UsageError(
            "give DATA alone with --predictions" if predictions else "give MODEL and DATA, or DATA and --predictions"
        )
    model, data = (None, files[0]) if predictions else files
    refuse_same_file({"MODEL": model, "DATA": data, "--unseen": unseen, "--html": html, "--output": output})
    for path in (html, output):
        if path is not None:
            check_output(path)
    from gatewise.assessment.assess import assess as assessed
    from gatewise.file import atomic_write
    from gatewise.tables.files import TextFile

    def file(path: str | None) -> Any:
        return None if path is None else TextFile(path, sep, decimal) if sep or decimal != "." else path

    with showing_warnings():
        found = assessed(
            model, file(data), unseen=file(unseen), predictions=predictions or None, progress=_told(), **stated
        )
    if html is not None:
        atomic_write(html, found.html().encode())
    if output is not None and found.model is not None:
        found.save(output)
    elif output is not None and as_json:
        click.echo(f"gatewise: no model was written: {printable(found.why_no_model)}", err=True)
    if as_json:
        emit(found.to_dict())
    else:
        click.echo(_summary(found, html, output))
    if found.verdict.kind in fail_on:
        return NAMED
    return INSUFFICIENT if found.verdict.kind == "insufficient" else 0


def _told() -> Callable[[str, float], None]:
    """Says on standard error what is being done, each thing once."""
    said: set[str] = set()

    def tell(what: str, used: float) -> None:
        if what not in said:
            said.add(what)
            click.echo(f"gatewise: {used:4.0%}  {printable(what)}", err=True)

    return tell


def _summary(found: Assessment, html: str | None, output: str | None) -> str:
    """The verdict for people."""
    from gatewise.assessment.words import confidence

    verdict, findings = found.verdict, found.findings
    sure = "" if verdict.confidence is None else f" Confidence: {confidence(verdict.confidence)}."
    lines = [wrap(f"{verdict.sentence}{sure}", "", ""), heading("why")]
    lines += [wrap(reason.text, "  - ", "    ") for reason in verdict.reasons]
    lines.append(heading("candidates"))
    rows = [["", findings.metric, "gain"]]
    for each in findings.candidates:
        gain = findings.gain(each)
        rows.append([each.name, f"{each.metric:.4g}", "" if gain is None else f"{100 * gain:.1f} %"])
    lines.append(table(rows, "lrr"))
    failed = [check for check in findings.checks if check.status == "failed"]
    if failed:
        lines.append(heading("checks that failed"))
        lines += [wrap(check.text, f"  {check.code}  ", "         ") for check in failed]
    lines += [heading("what would change it"), wrap(verdict.flip, "  ", "  ")]
    if verdict.cost:
        lines += [heading("what the change costs"), wrap(verdict.cost, "  ", "  ")]
    if html is not None:
        lines.append(f"The report is in {printable(html)}.")
    if output is not None:
        why = found.why_no_model
        text = f"No model was written: {why}." if why else f"The model is in {printable(output)}."
        lines.append(wrap(text, "", ""))
    return "\n".join(lines)
