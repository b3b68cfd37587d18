"""Checkpoints: everything a training carries from step to step, in one safetensors file, written atomically.

A run killed at any moment goes on from its last checkpoint and ends, on a budget of steps or epochs, with the bits it
would have had. Nothing in a checkpoint is ever executed. The tensors, with P for a parameter's full name::

    weights.P            the weights now (all tensors of the model, float32)
    best.P               the best weights so far
    adam.KEY.P           the optimiser's memory: exp_avg, exp_avg_sq, step
    state.F              carried state field F (lanes, *field shape)
    generator            torch's random generator (bytes)
    records              the history (records, columns) float64

The sampler needs no generator of its own: the plan of an epoch follows from the seed and the epoch's number.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gatewise.errors import FileError, GatewiseError, Wording
from gatewise.file import atomic_write, digest, read_bytes, seal, unseal, verify
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.spec import ModelSpec

FORMAT = 1
KEYS = ("format", "run", "model", "counters", "tensors")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        run: which run it belongs to: settings, and fingerprints of data and first weights; plain JSON.
        spec: the model's description.
        counters: where the run is: plain JSON numbers.
        tensors: as in the head of this file.
    """

    run: Mapping[str, Any]
    spec: ModelSpec
    counters: Mapping[str, Any]
    tensors: Mapping[str, Array]


def write(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write a checkpoint that can be read again; a crash leaves the old one or the new one.

    A resumption is promised, so the bytes are read again before they replace the old checkpoint, and compared with
    what the system gives back once they are written.

    Raises:
        FileError: it could not be read again: before it is written, which leaves the old checkpoint as it is, or after.
        OSError: the system cannot write there, or it is no place for a file: see `gatewise.file.atomic_write`.
    """
    described = {
        "format": FORMAT,
        "run": dict(checkpoint.run),
        "model": checkpoint.spec.plain(),
        "counters": dict(checkpoint.counters),
        "tensors": digest(checkpoint.tensors),
    }
    data = seal(checkpoint.tensors, described)
    try:
        verify(data, checkpoint.tensors, FORMAT, KEYS)
    except FileError as error:
        raise FileError(f"checkpoint {path}: {error}") from None
    atomic_write(path, data)
    if read_bytes(path) != data:
        raise FileError(
            f"checkpoint {path}: what was written cannot be read again; check the disk, or write it to another one"
        )


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """Read and verify a checkpoint.

    Raises:
        FileError: not a checkpoint, truncated, altered, hostile or of another version.
        OSError: no such file, or no permission.
    """
    try:
        tensors, described = unseal(read_bytes(path), FORMAT, KEYS)
        if described["tensors"] != digest(tensors):
            raise FileError("the tensors do not match their checksum: the file was altered")
        if not isinstance(described["run"], dict) or not isinstance(described["counters"], dict):
            raise FileError("run and counters must be objects")
        return Checkpoint(described["run"], ModelSpec.from_plain(described["model"]), described["counters"], tensors)
    except GatewiseError as error:
        raise FileError(f"checkpoint {path}: {error}") from None


def check_run(path: str | os.PathLike[str], found: Checkpoint, run: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another run, naming what differs. Raises FileError."""
    differing = [
        f"{key} ({_short(found.run.get(key))} there, {_short(run.get(key))} here)"
        for key in sorted({*found.run, *run})
        if found.run.get(key) != run.get(key)
    ]
    if differing:
        there, here = found.run.get("threads"), run.get("threads")
        if isinstance(there, int) and there != here:
            differing[-1] += (
                f"; another number of threads gives other bits: to go on, call torch.set_num_threads({there}), "
                f"or pass threads={there} to gatewise.train.fit"
            )
        raise FileError(
            f"checkpoint {path} belongs to another run, which differs in {', '.join(differing)}; "
            "give this run a checkpoint of its own, or ",
            Wording("pass resume=False to overwrite that one", "remove that one first"),
        )


def take(found: Checkpoint, name: str, shape: tuple[int, ...], dtype: str) -> Array:
    """One tensor, checked. Raises FileError."""
    value = found.tensors.get(name)
    if value is None or value.shape != shape or value.dtype != dtype:
        got = "nothing" if value is None else f"{value.dtype} {value.shape}"
        raise FileError(f"{name} must be {dtype} {shape}, got {got}")
    return value


def recover(path: str | os.PathLike[str]) -> Model:
    """The best model of a training so far, from its checkpoint; for a run that was stopped, or that diverged.

    Raises:
        FileError: as `read`.
    """
    found = read(path)
    best = {name[5:]: value for name, value in found.tensors.items() if name.startswith("best.")}
    try:
        return Model(found.spec, best, {"training": dict(found.run), "data": found.run.get("data")})
    except GatewiseError as error:
        raise FileError(f"checkpoint {path}: {error}") from None


def _short(value: Any) -> str:
    most = 16 if isinstance(value, str) else 80  # a text is a digest, as a rule, of which the beginning will do
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
