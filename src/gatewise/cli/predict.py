"""gatewise predict: run a model on a table.

In Python this is `Forecaster.predict`, `Forecaster.backtest`, `Detector.explain`, `Regressor.predict`,
`Classifier.predict` and `Model.run`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from gatewise.cli.common import (
    check_output,
    emit,
    heading,
    listed,
    names,
    printable,
    refuse_same_file,
    separators,
    showing_warnings,
    table,
    wrap,
)
from gatewise.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from gatewise.model import Model
    from gatewise.tables.files import TextFile
    from gatewise.tables.table import Table
    from gatewise.tasks.backtest import Backtest

MOST_SHOWN = 24
"""The most horizons of a backtest that the summary shows."""

SUPERVISED = ("regressor", "classifier")
"""The tasks whose `predict` gives all that there is."""

OF_ROWS = ("time", "series", "columns")
"""Options that tasks do not take, because they know them from their training."""


@click.command(short_help="Forecast from a table, or score each of its rows.")
@click.argument("model", metavar="MODEL")
@click.argument("file", metavar="FILE")
@click.option(
    "--future", metavar="FILE", help="A file with the future rows of the covariates, if the model has covariates."
)
@click.option("--backtest", is_flag=True, help="Forecast from each row of FILE, and evaluate the forecasts.")
@click.option("--start", metavar="ROW|DATE",
              help="The first row or date that a backtest forecasts, such as 11520 or 2024-01-31; the model reads the "
                   "rows "
                   "before it.  [default: the first that it can]")  # fmt: skip
@click.option("--stride", type=click.IntRange(min=1), metavar="N",
              help="The number of rows from one forecast of a backtest to the next.  [default: 1]")  # fmt: skip
@click.option("--season", type=click.IntRange(min=0), metavar="N",
              help="The number of steps in a season, for the baseline that repeats the last season; 0 leaves it out."
                   "  [default: found from the times]")  # fmt: skip
@click.option("--after-training", is_flag=True, help="For a detector: FILE follows directly on the training data.")
@click.option("--time", metavar="COL", help="For a model without a task: the column that holds the time.")
@click.option("--series", metavar="COL", help="For a model without a task: the column that identifies the series.")
@click.option("--columns", callback=listed(), metavar="A,B,...",
              help="For a model without a task: the columns to read.  [default: those that it names, or "
                   "all]")  # fmt: skip
@separators
@click.option("-o", "--output", metavar="OUT",
              help="Write the table to this file instead of to standard output; as Parquet if its name ends in "
                   ".parquet.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per row instead of CSV.")
def predict(
    model: str,
    file: str,
    future: str | None,
    backtest: bool,
    start: str | None,
    stride: int | None,
    season: int | None,
    after_training: bool,
    sep: str | None,
    decimal: str,
    output: str | None,
    as_json: bool,
    **columns: Any,
) -> None:
    """Run MODEL on the readings in FILE, a .csv or .parquet with one row per step, in order of time.

    A forecaster predicts what follows the last row of each series: one line for each target and horizon, with the
    quantiles. A detector scores each row: what it expected, and how surprising the readings are. Its scores of the
    first rows are less accurate, because it starts without a past; with --after-training it does not. A regressor or a
    classifier gives the number, with an interval, or the class, with probabilities, for each row or each series. Any
    other model gives its outputs for each row.

    With --backtest a forecaster forecasts from every row. The forecasts are evaluated against the readings that
    followed, and compared with two baselines, which repeat the last reading and the last season; OUT receives the table
    of all forecasts. Errors on rows that the model was trained on are too small, so give the first row after the
    training data as --start.

    \b
      gatewise predict load.safetensors load.csv -o tomorrow.csv
      gatewise predict load.safetensors load.csv --backtest --start 11520
      gatewise predict pump.safetensors pump.csv --json
    """  # noqa: D301
    refuse_same_file({"MODEL": model, "FILE": file, "--future": future, "--output": output})
    rolling = {"--start": start, "--stride": stride, "--season": season}
    if given := [option for option, value in rolling.items() if value is not None and not backtest]:
        raise click.UsageError(f"{given[0]} is for a backtest; give --backtest as well")
    if backtest and future is not None:
        raise click.UsageError("--future is for a forecast; a backtest finds the future of its rows in FILE")
    from gatewise.model import load

    loaded = load(model)
    task = None if loaded.task is None else loaded.task.kind
    if (backtest or future is not None) and task != "forecaster":
        raise InputError(f"{model} is no forecaster, so --backtest and --future do not apply; leave them out")
    if after_training and task != "detector":
        raise InputError(f"{model} is no detector, so --after-training does not apply; leave it out")
    if task and (own := [f"--{name}" for name in OF_ROWS if columns[name] is not None]):
        raise click.UsageError(f"{own[0]} is for a model without a task; {model} is a {task} and knows its columns")
    if output is not None:
        check_output(output, "" if backtest else "or leave out --output to write to standard output")
    from gatewise.cli.rows import is_parquet, write_rows
    from gatewise.tables.files import TextFile

    if as_json and not backtest and is_parquet(output):
        raise click.UsageError(f"--json writes text, and {output} is the name of a Parquet file; leave out one of them")
    data = TextFile(file, sep, decimal)
    with showing_warnings():
        if backtest:
            tested = _tested(model, data, start, stride or 1, season)
            if output is not None:
                write_rows(tested.frame(), output, as_json)
            found = describe(model, file, tested)
            if as_json:
                emit(found)
            else:
                click.echo(page(found))
            return
        if task == "forecaster":
            from gatewise.tasks.forecaster import Forecaster

            frame = Forecaster.load(model).predict(data, future and TextFile(future, sep, decimal))
        elif task == "detector":
            from gatewise.tasks.detector import Detector

            detector = Detector.load(model)
            frame = detector.explain(data, detector.state_ if after_training else None)
            short = str(detector.summary(frame))
        elif task in SUPERVISED:
            from gatewise.tasks.loading import load_task
            from gatewise.tasks.supervised import Supervised

            supervised = load_task(model)
            assert isinstance(supervised, Supervised)
            frame = supervised.predict(data)
        else:
            frame = _answers(loaded, model, data, **columns)
    write_rows(frame, output, as_json)
    if task == "detector":
        for line in short.splitlines():
            click.echo(f"gatewise: {printable(line)}", err=True)


def _tested(model: str, file: TextFile, start: str | None, stride: int, season: int | None) -> Backtest:
    from gatewise.tasks.forecaster import Forecaster

    first = int(start) if start is not None and start.isdecimal() else start
    steps = "auto" if season is None else season or None
    return Forecaster.load(model).backtest(file, first, stride, steps)


def _answers(
    model: Model, path: str, file: TextFile, time: str | None, series: str | None, columns: list[str] | None
) -> pd.DataFrame:
    """The outputs of a model without a task for each row."""
    import numpy as np

    from gatewise.tables.table import FITTED, read_table

    chosen = columns or (None if model.columns is None else list(model.columns))
    missing = "raise" if model.graph.refuses_missing else "hold"
    read = read_table(file, time, chosen, missing, series, FITTED, subtract=model.subtract)
    if len(read.columns) != model.inputs:
        raise InputError(
            f"{path} reads {model.inputs} columns, got {len(read.columns)} ({names(read.columns)}); "
            "say with --columns which to read"
        )
    if model.graph.refuses_missing:
        _check_usable(model, read)
    plain = model.relative()
    values = np.concatenate([np.asarray(plain.run(read.values[start:stop])) for _, start, stop in read.series])
    values = values if model.levels is None else values + model.levels
    answers = dict(zip(model.output_names, values.T, strict=True))
    if "extrapolated" in answers:
        answers["extrapolated"] = answers["extrapolated"] > 0
    if model.alarm_score is not None:
        answers["alarm"] = values[:, 0] >= model.alarm_score
    return read.frame(answers)


def _check_usable(model: Model, read: Table) -> None:
    """Refuse readings that the input stage of the model counts as missing. Raises InputError, which names the first."""
    import numpy as np

    from gatewise.graph import stage_tensors
    from gatewise.tables.table import FITTED

    usable = model.graph.stage.usable(stage_tensors(model.graph, model.tensors), read.values)
    if usable.all():
        return
    row, column = np.argwhere(~usable)[0].tolist()
    raise InputError(
        f"column {read.columns[column]!r} is {read.wide(column)[row]:g} at {read.where(row)}: "
        f"{model.graph.missing_readings}; correct it, or treat it as missing: ",
        FITTED,
    )


def describe(model: str, file: str, tested: Backtest) -> dict[str, Any]:
    """The scores of a backtest, as plain JSON values."""
    each = {name: tested.scores(forecast=name).to_dict("index") for name in ("model", *tested.naive)}
    over: dict[str, dict[str, float | None]] = {
        name: {"mse_standard": _mean([one["mse_standard"] for one in scores.values()])} for name, scores in each.items()
    }
    over["model"]["coverage"] = _mean([one["coverage"] for one in each["model"].values()])
    return {
        "file": model,
        "data": file,
        "origins": len(tested.origins),
        "targets": list(tested.targets),
        "left_out": list(tested.left_out),
        "season": tested.season,
        "horizons": [
            {"horizon": horizon} | {name: _plain(scores[horizon]) for name, scores in each.items()}
            for horizon in tested.horizons
        ],
        "all": over,
    }


def _plain(scores: Mapping[Any, Any]) -> dict[str, float | int | None]:
    """Scores as JSON values, with null for those that are not known."""
    known = {name: value if value == value else None for name, value in scores.items()}
    return {name: value if value is None or name != "count" else int(value) for name, value in known.items()}


def page(found: dict[str, Any]) -> str:
    """The summary of a backtest for people: mean squared errors by horizon."""
    every = found["horizons"]
    forecasts = [name for name in every[0] if name != "horizon"]
    step = -(-len(every) // MOST_SHOWN)
    rows: list[tuple[str, ...]] = [("horizon", *forecasts, "coverage")]
    for one in every[::step] if step == 1 else [every[0], *every[step - 1 :: step]]:
        errors = [_number(one[name]["mse_standard"]) for name in forecasts]
        rows.append((str(one["horizon"]), *errors, _number(one["model"]["coverage"])))
    means = [_number(found["all"][name]["mse_standard"]) for name in forecasts]
    rows.append(("all", *means, _number(found["all"]["model"]["coverage"])))
    what = f"{found['origins']:,} forecasts of {names(found['targets'])}; mean squared error in standard units"
    short = found["left_out"]
    left = f"\n{wrap(f'left out: {names(list(map(str, short)))}', '  ', '    ')}" if short else ""
    return f"{heading(found['file'])}\n  {what}{left}\n{table(rows, 'r' * len(rows[0]))}"


def _mean(values: list[float]) -> float | None:
    """The mean of the values that are known, or None if none is."""
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
