"""Files of readings: CSV with one header line, compressed or not, or Parquet. No line is filled up in silence."""

from __future__ import annotations

import csv
import re
import warnings
from pathlib import Path
from typing import Any

from gatewise.errors import InputError, MissingExtraError

try:
    import pandas as pd
    from pandas.io.common import get_handle  # type: ignore[import-not-found]
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks read tables with pandas: pip install 'gatewise[train]'") from error


def read_file(path: Path) -> tuple[pd.DataFrame, str, int | None]:
    """The table in a file, its path, and for text files the line of row 0. Raises InputError."""
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    suffixes = path.suffixes
    if suffixes[-1:] in ([".parquet"], [".pq"]):
        try:
            return pd.read_parquet(path), str(path), None
        except ImportError as error:
            raise MissingExtraError("reading Parquet needs pyarrow: pip install 'gatewise[train]'") from error
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is no readable Parquet file: {error}") from None
    if ".csv" not in suffixes[-2:]:
        raise InputError(f"{path} is neither .csv nor .parquet; read it with pandas and give the frame")
    return _read_csv(path), str(path), 2


def _read_csv(path: Path) -> pd.DataFrame:
    """Read a comma-separated file with one header line, keeping every line: a blank one is a row without readings."""
    common: dict[str, Any] = {"encoding": "utf-8-sig", "skip_blank_lines": False}
    header: list[str] = []
    try:
        head = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, **common)
        header = [str(name).strip() for name in head.iloc[0]]
        _check_header(header, path)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame: pd.DataFrame = pd.read_csv(path, low_memory=False, index_col=False, **common)
        if frame.iloc[:, -1].isna().any():  # as in a line that is too short, which pandas fills up
            _check_lines(path, len(header))
    except pd.errors.EmptyDataError:
        raise InputError(f"{path} is empty") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error}); convert it, or read it with pandas") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        _check_lines(path, len(header))
        raise InputError(f"{path}: {str(error).strip()}; every line must have {len(header)} fields") from None
    except (OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    frame.columns = pd.Index(header)  # as they stand in the file: pandas renames those that are there twice
    return frame


def _check_lines(path: Path, width: int) -> None:
    """Refuse the first line that is not blank and has more or fewer fields than the header."""
    with get_handle(path, "r", encoding="utf-8-sig", compression="infer") as opened:
        lines = csv.reader(opened.handle)
        try:
            for fields in lines:
                if fields and len(fields) != width:
                    many = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
                    cut = "; is the file cut off?" if len(fields) < width else ""
                    raise InputError(
                        f"{path}: line {lines.line_num} has {many}; every line must have {width} fields, as the header "
                        f"has, a missing reading being empty{cut}"
                    )
        except csv.Error:
            return  # pandas says more


def _check_header(header: list[str], path: Path) -> None:
    if all(_is_number(name) for name in header):
        raise InputError(f"{path} has no header line: its first line is {','.join(header)[:60]}; add column names")
    if "" in header:
        raise InputError(
            f"{path}: column {header.index('')} has no name; name it (an index: write the file with index=False)"
        )
    if len(header) == 1 and re.search(r"[;\t|]", header[0]):
        raise InputError(
            f"{path}: the only column is {header[0]!r}, so fields are not separated by commas; "
            "read it with pandas.read_csv(path, sep=...) and give the frame"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
