"""gatewise inspect: show what a model file contains and costs. In Python this is `gatewise.measure.cost`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gatewise.cli.common import emit, facts, heading, json_option, names, short_value, size, table, wrap

if TYPE_CHECKING:
    from gatewise.model import Model

MISSING = {"hold": "filled forward", "mask": "filled forward, and marked", "raise": "refused"}


@click.command(short_help="Show what a model file holds and costs.")
@click.argument("model", metavar="MODEL")
@json_option
def inspect(model: str, as_json: bool) -> None:
    """Show a model file: layers, costs, state, task, provenance, warnings, hashes.

    MACs are the multiply-accumulate operations of one step. If the context is a window, each answer takes one step for
    every row of the window. Packed bytes are the bytes of weights that a step reads on this machine. The state is what
    a stream keeps from one step to the next.
    """
    from gatewise.model import load

    found = describe(load(model), model)
    if as_json:
        emit(found)
    else:
        click.echo(_page(found))


def describe(model: Model, path: str) -> dict[str, Any]:
    """What `inspect` shows, as plain JSON values."""
    from gatewise.file import digest
    from gatewise.measure.cost import cost
    from gatewise.tasks.section import shown, warnings_of

    found = cost(model)
    return {
        "file": path,
        "inputs": model.inputs,
        "columns": model.spec.to_dict()["input"].get("columns"),
        "missing": model.graph.stage.missing,
        "outputs": list(model.output_names),
        "alarm_score": model.alarm_score,
        "context": model.spec.to_dict()["context"],
        "layers": [
            {
                "name": node.name,
                "kind": node.kind,
                "reads": list(node.reads),
                "writes": node.writes,
                "parameters": node.parameters,
                "macs": node.macs,
            }
            for node in found.nodes
        ],
        "parameters": found.parameters,
        "macs": found.macs,
        "push_macs": found.push_macs,
        "bytes": found.bytes,
        "packed_bytes": found.packed_bytes,
        "cpu": model.cpu,
        "state": [
            {"name": field.name, "dtype": field.dtype, "shape": list(field.shape), "bytes": field.nbytes}
            for field in model.graph.state
        ],
        "state_bytes": found.state_bytes,
        "warnings": [f"{node.name}: {text}" for node in found.nodes for text in node.warnings] + warnings_of(model),
        "task": shown(model),
        "provenance": dict(model.provenance),
        "structure": model.graph.structure,
        "weights": digest(model.tensors),
        "spec": model.spec.to_dict(),
    }


def _page(found: dict[str, Any]) -> str:
    columns = f" ({names(found['columns'], count=False)})" if found["columns"] else ""
    context = found["context"]
    if not isinstance(context, str):
        context = f"window of {context['window']:,} steps, {found['push_macs']:,} MACs an answer"
    missing = MISSING[found["missing"]]
    parts = [
        heading(found["file"]),
        facts(
            {
                "inputs": f"{found['inputs']}{columns}",
                "outputs": f"{len(found['outputs'])} ({names(found['outputs'], count=False)})",
                **({} if found["alarm_score"] is None else {"alarm": f"score from {found['alarm_score']:.3g}"}),
                "missing": missing,
                "context": context,
            }
        ),
        heading("layers"),
        table(
            [
                ("name", "kind", "width", "parameters", "MACs"),
                *(
                    (
                        layer["name"],
                        layer["kind"],
                        f"{' + '.join(map(str, layer['reads']))} -> {layer['writes']}",
                        f"{layer['parameters']:,}",
                        f"{layer['macs']:,}",
                    )
                    for layer in found["layers"]
                ),
                ("total", "", "", f"{found['parameters']:,}", f"{found['macs']:,}"),
            ],
            "lllrr",
        ),
        facts({"weights": f"{size(found['bytes'])}, packed {size(found['packed_bytes'])} for {found['cpu']}"}),
        heading("state"),
        table(
            [
                *(
                    (field["name"], field["dtype"], str(tuple(field["shape"])), f"{field['bytes']:,} bytes")
                    for field in found["state"]
                ),
                ("total", "", "", f"{found['state_bytes']:,} bytes"),
            ],
            "lllr",
        ),
        *([] if found["task"] is None else [heading("task"), facts(_short(found["task"]))]),
        heading("provenance"),
        facts(_short(found["provenance"]) or {"": "none recorded"}),
        heading("hashes"),
        facts({"structure": found["structure"], "weights": found["weights"]}),
    ]
    if found["warnings"]:
        parts += [heading("warnings"), *(wrap(text, "  ", "  ") for text in found["warnings"])]
    return "\n".join(parts)


def _short(found: dict[str, Any]) -> dict[str, str]:
    return {key: short_value(value) for key, value in found.items() if key != "warnings"}
