"""gatewise doctor: measure this machine, and the bound that it sets for a model.

In Python these are `gatewise.measure.machine_peaks`, `step_bound` and `step_times`.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import click

from gatewise import __version__
from gatewise.cli.common import duration, emit, heading, json_option, size, table

if TYPE_CHECKING:
    from gatewise.measure.machine import Peaks
    from gatewise.model import Model

PACKAGES = ("numpy", "safetensors", "click")
TRAIN_PACKAGES = ("torch", "pandas", "pyarrow", "scikit-learn", "scipy", "statsmodels", "matplotlib", "jinja2", "rich")
BAR = 32


@click.command(short_help="Measure this machine, and its bound for a model.")
@click.argument("model", metavar="[MODEL]", required=False)
@click.option("--cpu", metavar="NAME", help="The instruction set to measure.  [default: the best of this machine]")
@json_option
def doctor(model: str | None, cpu: str | None, as_json: bool) -> None:
    """Measure this machine, and the bound it sets for a step of MODEL.

    A step reads every weight once and does two floating-point operations with it. On one core it therefore takes at
    least

    \b
      bound = max(packed bytes / read bandwidth, 2 MACs / FMA peak)

    where the bandwidth is that of the cache that holds the weights. The measured times of a step in C and of a call of
    Stream.push are shown next to the bound.
    """  # noqa: D301
    from gatewise.measure.machine import machine_peaks
    from gatewise.model import load

    loaded = load(model, cpu) if model is not None else None
    found = _machine(machine_peaks(cpu))
    if loaded is not None:
        found["model"] = {"file": model, **_step(loaded)}
    if as_json:
        emit(found)
    else:
        click.echo(_page(found))


def _machine(peaks: Peaks) -> dict[str, Any]:
    return {
        "gatewise": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": peaks.processor,
        "cores": peaks.cores,
        "caches": {cache.name: cache.nbytes for cache in peaks.caches},
        "instruction_sets": list(peaks.instruction_sets),
        "cpu": peaks.cpu,
        "bandwidth": [{"bytes": size, "bytes_per_second": rate} for size, rate in peaks.bandwidth.items()],
        "flops": peaks.flops,
        "packages": {name: _version(name) for name in PACKAGES},
        "train_packages": {name: _version(name) for name in TRAIN_PACKAGES},
    }


def _step(model: Model) -> dict[str, Any]:
    from gatewise.measure.machine import step_bound, step_times

    bound, times = step_bound(model), step_times(model)
    return {
        "packed_bytes": bound.packed_bytes,
        "macs": bound.macs,
        "read_bytes": bound.read_bytes,
        "bandwidth": bound.bandwidth,
        "flops": bound.flops,
        "reading_seconds": bound.reading,
        "computing_seconds": bound.computing,
        "bound_seconds": bound.seconds,
        "native_seconds": times.native,
        "push_seconds": times.push,
    }


def _page(found: dict[str, Any]) -> str:
    caches = ", ".join(f"{name} {size(nbytes)}" for name, nbytes in found["caches"].items()) or "unknown"
    others = [name for name in found["instruction_sets"] if name != found["cpu"]]
    top = max(point["bytes_per_second"] for point in found["bandwidth"])
    parts = [
        heading("machine"),
        table(
            [
                ("processor", f"{found['processor']}, {found['cores']} cores, {found['system']}"),
                ("caches", caches),
                ("instructions", found["cpu"] + (f" (also {', '.join(others)})" if others else "")),
                ("FMA peak", f"{found['flops'] / 1e9:.1f} GFLOP/s on one core"),
            ],
            "ll",
        ),
        heading("read bandwidth of one core, by working set"),
        table(
            [
                (
                    size(point["bytes"]),
                    f"{point['bytes_per_second'] / 1e9:.1f} GB/s",
                    "#" * max(1, round(BAR * point["bytes_per_second"] / top)),
                )
                for point in found["bandwidth"]
            ],
            "rrl",
        ),
        heading("packages"),
        table(
            [
                ("gatewise", f"{found['gatewise']}, Python {found['python']}"),
                ("always", _versions(found["packages"])),
                *(("" if i else "train", line) for i, line in enumerate(_train_lines(found["train_packages"]))),
            ],
            "ll",
        ),
    ]
    if "model" in found:
        parts += [heading(f"a step of {found['model']['file']}"), _step_lines(found["model"], found["cpu"])]
    return "\n".join(parts)


def _step_lines(step: dict[str, Any], cpu: str) -> str:
    bound = step["bound_seconds"]
    reading = f"{size(step['read_bytes'])} of packed weights at {step['bandwidth'] / 1e9:.1f} GB/s"
    computing = f"{step['macs']:,} MACs at {step['flops'] / 2e9:.1f} G/s ({cpu})"
    return table(
        [
            ("to read", duration(step["reading_seconds"]), reading),
            ("to compute", duration(step["computing_seconds"]), computing),
            ("bound", duration(bound), "the longer of the two"),
            ("in C", duration(step["native_seconds"]), f"{step['native_seconds'] / bound:.2f} x the bound"),
            ("Stream.push", duration(step["push_seconds"]), f"{step['push_seconds'] / bound:.2f} x the bound"),
        ],
        "lrl",
    )


def _train_lines(packages: dict[str, str | None]) -> list[str]:
    there = {name: version for name, version in packages.items() if version}
    absent = [name for name, version in packages.items() if not version]
    names = list(there)
    lines = [_versions({name: there[name] for name in names[i : i + 4]}) for i in range(0, len(names), 4)]
    if absent:
        lines.append(f"missing: {', '.join(absent)}; pip install 'gatewise[train]'")
    return lines


def _versions(packages: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items())


def _version(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
