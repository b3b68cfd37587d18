"""Write tables of results as CSV or JSON, with the fewest digits that identify each number, or as Parquet."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def is_parquet(path: str | None) -> bool:
    """Whether a table goes to a Parquet file, which the ending of its name says."""
    from gatewise.tables.files import TABLES

    return path is not None and Path(path).suffix.lower() in TABLES


def write_rows(frame: pd.DataFrame, output: str | None, as_json: bool) -> None:
    """Write a frame to a file, atomically, or to standard output; its index only if it is more than row numbers.

    Args:
        frame: the results.
        output: path of the file, which is written as Parquet if it ends in .parquet or .pq; None = standard output.
        as_json: one JSON object per row instead of CSV; not for Parquet.
    """
    from gatewise.file import atomic_write

    shown = _in_order(frame)
    if output is not None and is_parquet(output):
        buffer = io.BytesIO()
        shown.to_parquet(buffer, index=False)
        atomic_write(output, buffer.getvalue())
        return
    shown = _narrow(shown)
    text = json_rows(shown) if as_json else shown.to_csv(index=False, lineterminator="\n")
    if output is None:
        click.echo(text, nl=False)
    else:
        atomic_write(output, text.encode())


def json_rows(frame: pd.DataFrame) -> str:
    """A JSON object on a line of its own for each row; times are ISO 8601, and what is not finite is null."""
    members = [[f"{json.dumps(str(name))}: {text}" for text in _json_texts(frame[name])] for name in frame]
    return "".join("{" + ", ".join(row) + "}\n" for row in zip(*members, strict=True))


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order of the data if the index holds their numbers; any other index becomes a column."""
    index = frame.index
    if index.dtype.kind == "i" and set(index) == set(range(len(index))):
        return frame if index.is_monotonic_increasing else frame.sort_index()
    name = str(index.name or "index")
    return frame.reset_index(names=name if name not in frame else f"{name}_")


def _narrow(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns of float64 that hold float32 values as float32, so that 0.1 is not written as 0.10000000149011612."""
    found = frame.copy()
    for name in frame.columns[frame.dtypes == np.float64]:
        narrow = frame[name].astype(np.float32)
        if np.array_equal(narrow.astype(np.float64), frame[name], equal_nan=True):
            found[name] = narrow
    return found


def _json_texts(column: pd.Series) -> list[str]:
    if column.dtype == np.float32:
        finite = np.isfinite(column)
        return [text if ok else "null" for text, ok in zip(column.to_numpy().astype("U32"), finite, strict=True)]
    if column.dtype.kind == "M":
        return [json.dumps(value.isoformat()) for value in column]
    if column.dtype.kind == "m":
        return [json.dumps(str(value)) for value in column]
    values = column.tolist()
    return ["null" if isinstance(v, float) and not np.isfinite(v) else json.dumps(v) for v in values]
