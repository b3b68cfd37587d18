"""Read files of readings: CSV with one header line, compressed or not, or Parquet. Short lines are an error."""

from __future__ import annotations

import csv
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewise.errors import InputError, MissingExtraError, Wording
from gatewise.tables.separators import SEPARATORS, check_given, counted, find_separator

try:
    import pandas as pd
    from pandas.io.common import get_handle  # type: ignore[import-not-found]
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks read tables with pandas: pip install 'gatewise[train]'") from error

TABLES = (".parquet", ".pq")
TEXTS = (".csv", ".tsv")

_CONVERT = Wording("read it with pandas and give the frame", "write it as .csv or .parquet first")
_RECODE = Wording("convert it, or read it with pandas", "convert it to UTF-8, e.g. iconv -f latin1 -t utf8")


@dataclass(frozen=True)
class TextFile:
    """A file of readings, with its separator and decimal mark if they are known. Tasks accept it like any other table.

    Attributes:
        path: path of the file.
        sep: the separator of fields; None = found in the first lines. With a separator, any file name is accepted.
        decimal: the decimal mark, "." or ",".

    Raises:
        InputError: the separator or the decimal mark is invalid, or both are the same.
    """

    path: str | os.PathLike[str]
    sep: str | None = None
    decimal: str = "."

    def __post_init__(self) -> None:
        check_given(self.sep, self.decimal)


def read_file(file: TextFile) -> tuple[pd.DataFrame, str, int | None]:
    """The table in a file, its path, and for text files the line of row 0. Raises InputError."""
    path = Path(file.path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the path of a .csv or .parquet file")
    if not path.is_file():
        raise InputError(f"{path} is no regular file" if path.exists() else f"there is no file {path}")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] and suffixes[-1] in TABLES:
        try:
            return pd.read_parquet(path), str(path), None
        except ImportError as error:
            raise MissingExtraError("reading Parquet needs pyarrow: pip install 'gatewise[train]'") from error
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is no readable Parquet file: {error}") from None
    if file.sep is None and not set(TEXTS) & set(suffixes[-2:]):
        raise InputError(f"{path} is neither .csv nor .parquet; ", _CONVERT)
    return _read_csv(path, file.sep, file.decimal), str(path), 2


def _read_csv(path: Path, sep: str | None, decimal: str) -> pd.DataFrame:
    """Read a file with one header line and keep every line: a blank line before others is a row without readings."""
    common: dict[str, Any] = {"encoding": "utf-8-sig", "skip_blank_lines": False, "compression": "infer"}
    header: list[str] = []
    try:
        common["sep"] = sep = _separator(path, decimal) if sep is None else sep
        if sep == decimal:
            raise InputError(f"{path}: a comma cannot be both the separator and the decimal mark")
        head = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, **common)
        header = [str(name).strip() for name in head.iloc[0]]
        _check_header(header, path, sep)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame: pd.DataFrame = pd.read_csv(path, low_memory=False, index_col=False, decimal=decimal, **common)
        if frame.iloc[:, -1].isna().any():  # as in a line that is too short, which pandas fills
            blank = _check_lines(path, len(header), sep)
            if len(frame) and frame.iloc[-1].isna().all():
                frame = frame.iloc[: max(0, len(frame) - blank)]
    except pd.errors.EmptyDataError:
        raise InputError(f"{path} is empty") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error}); ", _RECODE) from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        _check_lines(path, len(header), str(sep))
        raise InputError(f"{path}: {str(error).strip()}; every line must have {len(header)} fields") from None
    except (OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    frame.columns = pd.Index(header)  # as in the file, because pandas renames duplicates
    return frame


def _separator(path: Path, decimal: str) -> str:
    with get_handle(path, "r", encoding="utf-8-sig", compression="infer") as opened:
        return find_separator(opened.handle, str(path), decimal)


def _check_lines(path: Path, width: int, sep: str) -> int:
    """Raise an error for the first line that is not blank and has more or fewer fields than the header.

    Returns:
        Number of blank lines at the end.
    """
    blank = 0
    with get_handle(path, "r", encoding="utf-8-sig", compression="infer") as opened:
        lines = csv.reader(opened.handle, delimiter=sep)
        try:
            for fields in lines:
                blank = 0 if fields else blank + 1
                if fields and len(fields) != width:
                    cut = "; is the file cut off?" if len(fields) < width else ""
                    raise InputError(
                        f"{path}: line {lines.line_num} has {counted(fields)}; every line must have {width} fields, as "
                        f"the header has, a missing reading being empty{cut}"
                    )
        except csv.Error:
            return 0  # the error of pandas is more specific
    return blank


def _check_header(header: list[str], path: Path, sep: str) -> None:
    if all(_is_number(name) for name in header):
        raise InputError(f"{path} has no header line: its first line is {sep.join(header)[:60]}; add column names")
    if "" in header:
        raise InputError(
            f"{path}: column {header.index('')} has no name; name it (an index: write the file with index=False)"
        )
    if len(header) == 1 and (other := [mark for mark in SEPARATORS if mark in header[0]]):
        called = SEPARATORS.get(sep, repr(sep))
        raise InputError(
            f"{path}: the only column is {header[0]!r}, so fields are not separated by {called}; "
            f"are they by {SEPARATORS[other[0]]}?"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
