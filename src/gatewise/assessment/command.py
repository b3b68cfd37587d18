"""The next command line after an assessment, from what the user stated for this one."""

from __future__ import annotations

import csv
import io
import math
import os
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gatewise.assessment.words import TOO_SMALL
from gatewise.comparison.metrics import Metric
from gatewise.tables.files import TextFile

if TYPE_CHECKING:
    from gatewise.assessment.result import Assessment

OPTIONS = (
    *("inputs", "target", "lookback", "horizon", "season", "groups", "time", "scaler", "target_scaler", "context"),
    *("spec", "predictions", "challengers", "metric", "latency", "memory", "min_gain", "seed"),
)
"""Arguments of `gatewise.assess` that are options of the command, in the order in which they are written."""

DEFAULTS = {"horizon": 0, "min_gain": 0.05, "seed": 0}


def next_command(result: Assessment) -> str:
    """The next command; "" if there is none, or if something was given that no command line can hold.

    It has names of files without their folders, because a report does not show the folders of its author.
    """
    verdict, slow = result.verdict, any(not each.converged for each in result.findings.questions)
    if result.model is not None:
        return _line(result, "-o best.safetensors")
    if verdict.kind == "keep":
        return _line(result, "--fail-on retrain,baseline,recurrence")
    if verdict.kind == "insufficient" and (slow or TOO_SMALL in result.findings.unanswered.values()):
        return _line(result, "", max(60, (4 if slow else 2) * result.budget))
    return ""


def _line(result: Assessment, last: str, budget: float | None = None) -> str:
    stated = result.stated
    files = [_file(stated[name]) for name in ("model", "data", "unseen")]
    if None in files or files[1] == "":
        return ""
    model, data, unseen = map(str, files)
    parts = ["gatewise assess", *filter(None, (model, data)), *(["--unseen", unseen] if unseen else [])]
    for name in OPTIONS:
        if stated[name] in (None, DEFAULTS.get(name)):
            continue
        if (words := _option(name, stated[name])) is None:
            return ""
        parts += words
    if stated["mapping_confirmed"]:
        parts.append("--mapping-confirmed")
    parts.append(f"--budget {math.ceil((budget or result.budget) / 60)}m")
    return " ".join([*parts, last]).strip()


def _file(given: Any) -> str | None:
    """The name of a file as a word of a command line; "" if nothing was given, None if it is no plain file."""
    if given is None:
        return ""
    if isinstance(given, TextFile) and given.sep is None and given.decimal == ".":
        given = given.path
    return shlex.quote(os.path.basename(os.fspath(given))) if isinstance(given, (str, os.PathLike)) else None


def _option(name: str, value: Any) -> list[str] | None:
    """An option with its value; None if no command line can hold it."""
    option = f"--{name.replace('_', '-')}"
    if name == "predictions" and not isinstance(value, Mapping):
        value = {"predictions": value}
    if isinstance(value, Mapping):
        if name not in ("predictions", "challengers"):
            return None
        option = option.removesuffix("s") if name == "challengers" else option
        return [f"{option} {shlex.quote(f'{key}={_list(columns)}')}" for key, columns in value.items()]
    if callable(value) or isinstance(value, Metric):
        return None
    if name == "memory":
        value = int(value)
    if name == "latency":
        value = f"{float(value):.9f}".rstrip("0").rstrip(".") + "s"
    if name in ("scaler", "target_scaler", "spec") and os.path.isfile(value):
        value = os.path.basename(value)
    return [f"{option} {shlex.quote(_list(value) if name in ('inputs', 'target') else str(value))}"]


def _list(names: Any) -> str:
    """Names with commas between them, quoted as in CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([names] if isinstance(names, str) else names)
    return text.getvalue()
