"""gatewise import: make a model file of a model of another library. In Python these are `gatewise.importers.load`,
`origins` and `check`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gatewise.cli.common import check_output, emit, facts, heading, json_option, refuse_same_file, size, table, wrap

if TYPE_CHECKING:
    from gatewise.importers import Check
    from gatewise.model import Model


@click.command("import", short_help="Make a model file of a model of another library.")
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", metavar="OUT", help="Write the model file here, e.g. pump.safetensors.")
@click.option("--spec", metavar="SPEC", help="What FILE cannot tell, if an error asks for it: a .json file, or JSON.")
@click.option("--check", "pair", nargs=2, metavar="INPUTS OUTPUTS",
              help="Two .npy files: inputs (sequences, time, inputs), and what the other library answers to "
                   "them.")  # fmt: skip
@click.option("--tolerance", type=click.FloatRange(min=0), default=1e-5, show_default=True,
              help="With --check: the largest error that is allowed, in units of max(1, |output|).")  # fmt: skip
@json_option
def import_(
    file: str, output: str | None, spec: str | None, pair: tuple[str, str] | None, tolerance: float, as_json: bool
) -> int:
    """Read a model of another library, show what became of each of its layers, and write a model file.

    The format is recognised by the content: Keras 1, 2 and 3 (.h5, .hdf5, .keras), state dicts of PyTorch (.pt, .pth,
    .ckpt), ONNX (.onnx) and RTNeural (.json). The file is treated as data: nothing in it is executed. Anything that
    gatewise cannot represent exactly is an error that names it and says what to do.

    With --check the model answers the inputs, and its answers are compared with the outputs: for each step, or for the
    last step if the model answers once for a sequence. Exit code 1 if the largest error is above the tolerance.

    \b
      gatewise import legacy.h5 -o pump.safetensors
      gatewise import legacy.h5 --check inputs.npy outputs.npy
    """  # noqa: D301
    if output is not None:
        refuse_same_file({"FILE": file, "--output": output})
        check_output(output)
    from gatewise.importers import check, load

    model = load(file, spec)
    checked = None if pair is None else check(model, _array(pair[0]), _array(pair[1]), tolerance)
    found = describe(model, file, checked)
    if output is not None and (checked is None or checked.holds):
        model.save(output)
        found["written"] = output
    if as_json:
        emit(found)
    else:
        click.echo(_page(found))
    return 0 if checked is None or checked.holds else 1


def _array(path: str) -> Any:
    """The array in a .npy file. Raises InputError if there is none, or objects that would have to be unpickled."""
    import numpy as np

    from gatewise.errors import InputError

    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, SyntaxError) as error:
        why = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: no .npy file of numbers: {why}; write one with numpy.save") from None
    if not isinstance(found, np.ndarray):
        raise InputError(f"{path}: an archive of arrays; give a .npy file with one array, as numpy.save writes it")
    return found


def describe(model: Model, path: str, checked: Check | None = None) -> dict[str, Any]:
    """What the command shows, as plain JSON values."""
    import math

    from gatewise.importers import origins
    from gatewise.measure.cost import cost

    costs = cost(model)
    check = None
    if checked is not None:
        finite = {key: value if math.isfinite(value) else None for key, value in _numbers(checked).items()}
        check = asdict(checked) | finite | {"holds": checked.holds}
    return {
        "file": path,
        **{key: value for key, value in origins(model).to_dict().items() if key != "file"},
        "inputs": model.inputs,
        "outputs": model.outputs,
        "context": model.spec.to_dict()["context"],
        "shapes": {name: list(value.shape) for name, value in model.tensors.items()},
        "parameters": costs.parameters,
        "bytes": costs.bytes,
        "state_bytes": costs.state_bytes,
        "macs": costs.macs,
        "warnings": [f"{node.name}: {text}" for node in costs.nodes for text in node.warnings],
        "check": check,
        "written": None,
    }


def _numbers(checked: Check) -> dict[str, float]:
    return {"error": checked.error, "found": checked.found, "expected": checked.expected}


def _page(found: dict[str, Any]) -> str:
    context, written_by = found["context"], found["written_by"]
    weights, state = size(found["bytes"]), size(found["state_bytes"])
    answers = "once for a sequence, after its last step" if found["answers"] == "last" else "at each step"
    parts = [
        heading(found["file"]),
        facts(
            {
                "format": found["format"] + (f", written by {written_by}" if written_by else ""),
                "inputs": f"{found['inputs']} a step",
                "outputs": f"{found['outputs']}, {answers}",
                "context": context if isinstance(context, str) else f"window of {context['window']:,} steps",
                "size": f"{found['parameters']:,} parameters, {weights}, state {state}",
            }
        ),
        heading("layers"),
        table([("name", "kind", "becomes"), *map(_row, found["layers"])], "lll"),
        heading("weights"),
        table([("tensor", "shape", "from"), *_weights(found)], "lll"),
    ]
    if converted := _converted(found["layers"]):
        parts += [heading("converted"), *(wrap(f"{text} ({', '.join(of)})", "  ", "    ") for text, of in converted)]
    if found["warnings"]:
        parts += [heading("warnings"), *(wrap(text, "  ", "  ") for text in found["warnings"])]
    if found["check"] is not None:
        parts += [heading("check"), facts(_checked(found["check"]))]
    return "\n".join([*parts, heading("next"), f"  {_next(found)}"])


def _row(layer: dict[str, Any]) -> tuple[str, str, str]:
    return layer["name"], layer["kind"], ", ".join(layer["becomes"]) or "-"


def _weights(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Each tensor of the model, its shape, and the foreign tensors from which it was made."""
    came: dict[str, list[str]] = {}
    for layer in found["layers"]:
        for name, sources in layer["weights"].items():
            came.setdefault(name, []).extend(sources)
    return [
        (name, str(tuple(shape)), ", ".join(came.get(name, ())) or "made by the import")
        for name, shape in found["shapes"].items()
    ]


def _converted(layers: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Each sentence on what was converted, with the names of the layers for which it holds."""
    found: dict[str, list[str]] = {}
    for layer in layers:
        for text in layer["converted"]:
            found.setdefault(text, []).append(layer["name"])
    return list(found.items())


def _checked(check: dict[str, Any]) -> dict[str, str]:
    at = ", ".join(map(str, check["at"]))
    error = "not finite" if check["error"] is None else f"{check['error']:.2g}"
    numbers = [("null" if value is None else f"{value:.7g}") for value in (check["found"], check["expected"])]
    return {
        "result": "the answers agree" if check["holds"] else "THE ANSWERS DIFFER",
        "largest error": f"{error} x max(1, |output|), allowed {check['tolerance']:g}, of {check['values']:,} values",
        "there": f"[{at}] is {numbers[0]}, and should be {numbers[1]}",
    }


def _next(found: dict[str, Any]) -> str:
    if found["check"] is not None and not found["check"]["holds"]:
        return (
            "the inputs may be scaled, ordered or shaped otherwise than the other library got them; nothing was written"
        )
    if found["written"]:
        return f"gatewise inspect {found['written']}"
    return f"gatewise import {found['file']} -o MODEL.safetensors"
