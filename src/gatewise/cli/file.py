"""gatewise file: what a model file is, and whether it is still as gatewise wrote it; with --reseal, sealed again.

The Python twin is `gatewise.file.read_edited`, `gatewise.Model` and `Model.save`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gatewise.cli.common import check_output, emit, facts, heading, json_option, say, short_value, size, table

if TYPE_CHECKING:
    from gatewise.file import ModelFile, Seal
    from gatewise.model import Model

RECORD = "resealed"
"""The key of the provenance that lists how often a file was sealed again, and what had changed."""


@click.command(short_help="Check a model file, or seal an edited one again.")
@click.argument("model", metavar="MODEL")
@click.option("--reseal", is_flag=True, help="Check everything but the checksums, and write the file with new ones.")
@click.option("-o", "--output", metavar="OUT", help="With --reseal: write to this file instead of over MODEL.")
@json_option
def file(model: str, reseal: bool, output: str | None, as_json: bool) -> int:
    """Show the format, checksums, sizes and provenance of a model file. Exit code 1 if it was altered.

    A model file contains checksums of its tensors and of its description. If another safetensors tool has edited the
    file, they no longer match, and every command refuses it. With --reseal everything else is checked: the description
    itself, and that all tensors it requires are there, have the right shapes and are finite. The file is then written
    with new checksums, and its provenance records the old ones. The tool must have kept the metadata, which contain the
    description. If the structure changed, states that were saved before no longer fit.

    \b
      gatewise file edited.safetensors
      gatewise file edited.safetensors --reseal -o pump.safetensors
    """  # noqa: D301
    if output is not None and not reseal:
        raise click.UsageError("-o says where to write the file sealed again, so it needs --reseal")
    if output is not None:
        check_output(output)
    from gatewise.file import read_edited

    stored, seal = read_edited(model)
    loaded = _sound(model, stored)
    found = describe(model, stored, seal, loaded)
    if reseal:
        target = output or model
        if found["altered"]:
            loaded = loaded.replace(provenance=with_record(loaded.provenance, found))
            found["provenance"] = dict(loaded.provenance)
        if found["altered"] or output is not None:
            loaded.save(target)
            found["written"] = target
    if as_json:
        emit(found)
    else:
        click.echo(_page(found))
    if reseal and "written" not in found:
        say("nothing was altered, and nothing was written")
    if reseal and found["altered"] and loaded.task is not None and loaded.alarm_score is not None:
        say(
            "warning: the calibration of the scores and the state after training were found with the old tensors; "
            "train anew if the alarms matter"
        )
    return 1 if found["altered"] and not reseal else 0


def describe(path: str, stored: ModelFile, seal: Seal, model: Model) -> dict[str, Any]:
    """What the command shows, as plain JSON values."""
    from gatewise.spec import FORMAT

    altered = []
    if not seal.described:
        altered.append("description")
    if stored.structure != model.graph.structure:
        altered.append("structure")
    if not seal.weights.holds:
        altered.append("tensors")
    if seal.task is not None and not seal.task.holds:
        altered.append("tensors of the task")
    return {
        "file": path,
        "format": FORMAT,
        "bytes": os.stat(path).st_size,
        "tensors": {name: list(value.shape) for name, value in model.tensors.items()},
        "tensor_bytes": sum(value.nbytes for value in model.tensors.values()),
        "altered": altered,
        "structure": {"stated": stored.structure, "found": model.graph.structure},
        "weights": asdict(seal.weights),
        "task": None if seal.task is None else asdict(seal.task),
        "provenance": dict(model.provenance),
    }


def with_record(provenance: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance of a file that is sealed again: with what the checksums were, and are."""
    from gatewise import __version__

    before = provenance.get(RECORD, [])
    entry = {key: found[key] for key in ("altered", "structure", "weights", "task")} | {"gatewise": __version__}
    return {**provenance, RECORD: [*(before if isinstance(before, list) else [before]), entry]}


def _sound(path: str, stored: ModelFile) -> Model:
    """The model in a file whose checksums need not hold.

    Raises:
        FileError: its parts do not make a model.
    """
    from gatewise.errors import FileError, SpecError
    from gatewise.file import brief
    from gatewise.model import Model

    try:
        return Model(stored.spec, stored.tensors, stored.provenance, task=stored.task)
    except SpecError as error:
        raise FileError(f"{path}: {brief(error)}") from None


def _page(found: dict[str, Any]) -> str:
    altered, written = found["altered"], found.get("written")
    state = f"altered: {', '.join(altered)}" if altered else "as gatewise wrote it"
    if written:
        state += f"; written to {written}" + (" with new checksums" if altered else "")
    elif altered:
        state += "; no command takes it until it is sealed again with --reseal"
    sums = []
    for name in ("structure", "weights", "task"):
        if found[name] is None:
            continue
        sums.append((name, found[name]["found"]))
        if found[name]["found"] != found[name]["stated"]:
            sums.append(("", f"was {found[name]['stated']}"))
    count, held = len(found["tensors"]), size(found["tensor_bytes"])
    shown = {
        "state": state,
        "format": str(found["format"]),
        "size": f"{size(found['bytes'])}, {count} tensors of {held}",
    }
    return "\n".join(
        [
            heading(found["file"]),
            facts(shown),
            heading("SHA-256"),
            table(sums, "ll"),
            heading("provenance"),
            facts({key: short_value(value) for key, value in found["provenance"].items()} or {"": "none recorded"}),
        ]
    )
