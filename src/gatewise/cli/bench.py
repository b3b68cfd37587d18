"""gatewise bench: how fast a model runs on this machine. In Python this is `gatewise.measure.bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gatewise.cli.common import duration, emit, heading, json_option, table

if TYPE_CHECKING:
    from gatewise.measure.bench import Bench


@click.command(short_help="Measure how fast a model runs on this machine.")
@click.argument("model", metavar="MODEL")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), metavar="S", default=2.0, show_default=True,
              help="The time that the measurement takes, roughly.")  # fmt: skip
@click.option("--cpu", metavar="NAME", help="The instruction set to run on.  [default: the best of this machine]")
@json_option
def bench(model: str, seconds: float, cpu: str | None, as_json: bool) -> None:
    """Measure MODEL on random readings, on one thread.

    Stream.push takes one reading per call; the table shows the median and the 99th percentile of the times. push_many
    takes many readings of one session per call, and a pool advances many sessions at once. The bound is the least time
    that a step of one session can take, as 'gatewise doctor' explains. A pool can be faster than the bound, because it
    reads the weights once for several sessions.
    """
    from gatewise.measure.bench import bench as measure
    from gatewise.model import load

    found = describe(model, measure(load(model, cpu), seconds))
    if as_json:
        emit(found)
    else:
        click.echo(_page(found))


def describe(path: str, found: Bench) -> dict[str, Any]:
    """What the command shows, as plain JSON values."""
    return {
        "file": path,
        "cpu": found.cpu,
        "pushes": found.pushes,
        "push_median_seconds": found.push_median,
        "push_p99_seconds": found.push_p99,
        "push_many_seconds": found.push_many,
        "pool_seconds": {str(sessions): seconds for sessions, seconds in found.pool.items()},
        "bound_seconds": found.bound.seconds,
        "packed_bytes": found.bound.packed_bytes,
        "macs": found.bound.macs,
    }


def _page(found: dict[str, Any]) -> str:
    rows = [
        ("Stream.push, median", found["push_median_seconds"]),
        ("Stream.push, p99", found["push_p99_seconds"]),
        ("Stream.push_many", found["push_many_seconds"]),
        *((f"Pool of {sessions}", seconds) for sessions, seconds in found["pool_seconds"].items()),
    ]
    bound = found["bound_seconds"]
    return "\n".join(
        [
            heading(f"a step of {found['file']} ({found['cpu']}, one thread)"),
            table(
                [
                    ("", "time", "steps/s", "x bound"),
                    *((name, duration(t), f"{1 / t:,.0f}", f"{t / bound:.2f}") for name, t in rows),
                    ("bound", duration(bound), f"{1 / bound:,.0f}", "1.00"),
                ],
                "lrrr",
            ),
        ]
    )
