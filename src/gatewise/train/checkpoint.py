"""Checkpoints: everything a training carries from step to step, in one safetensors file, written atomically.

A run that is killed at any moment continues from its last checkpoint. With a budget of steps or epochs it ends with
exactly the weights of a run that was never killed. Nothing in a checkpoint is ever executed. It holds these tensors,
where P is the full name of a parameter::

    weights.P            the current weights (all tensors of the model, float32)
    best.P               the best weights so far
    adam.KEY.P           the state of the optimiser: exp_avg, exp_avg_sq, step
    state.F              state field F that the next update starts from (lanes, *field shape), of models that carry it
    generator            the state of torch's random generator (bytes)
    records              the history (records, columns) float64

No random generator of the sampler is stored: the batches of an epoch follow from the seed and the number of the epoch.
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
    """The contents of a checkpoint.

    Attributes:
        run: which run it belongs to: the settings, and fingerprints of the data and of the first weights; plain JSON.
        spec: the description of the model.
        counters: how far the run has got: plain JSON numbers.
        tensors: those listed at the top of this file.
    """

    run: Mapping[str, Any]
    spec: ModelSpec
    counters: Mapping[str, Any]
    tensors: Mapping[str, Array]


def write(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write a checkpoint and make sure that it can be read again; a crash leaves either the old one or the new one.

    The bytes are parsed before they replace the old checkpoint, and read back from the disk after that.

    Raises:
        FileError: the checkpoint cannot be read again. If this is noticed before it is written, the old checkpoint
            is still there.
        OSError: the system cannot write there, or the path is no place for a file: see `gatewise.file.atomic_write`.
    """
    described = {
        "format": FORMAT,
        "run": dict(checkpoint.run),
        "model": checkpoint.spec.to_dict(),
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
            f"checkpoint {path}: what was written cannot be read again; check the disk, or write to another one"
        )


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """Read and verify a checkpoint.

    Raises:
        FileError: the file is not a checkpoint, is truncated, altered or malicious, or of another version.
        OSError: there is no such file, or no permission to read it.
    """
    try:
        tensors, described = unseal(read_bytes(path), FORMAT, KEYS)
        if described["tensors"] != digest(tensors):
            raise FileError("the tensors do not match their checksum: the file was altered")
        if not isinstance(described["run"], dict) or not isinstance(described["counters"], dict):
            raise FileError("run and counters must be objects")
        return Checkpoint(described["run"], ModelSpec.from_dict(described["model"]), described["counters"], tensors)
    except GatewiseError as error:
        raise FileError(f"checkpoint {path}: {error}") from None


def check_run(path: str | os.PathLike[str], found: Checkpoint, run: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another run. Raises FileError, which names what differs."""
    differing = [
        f"{key} ({_short(found.run.get(key))} there, {_short(run.get(key))} here)"
        for key in sorted({*found.run, *run})
        if found.run.get(key) != run.get(key)
    ]
    if differing:
        there, here = found.run.get("threads"), run.get("threads")
        if isinstance(there, int) and there != here:
            differing[-1] += (
                f"; another number of threads gives other bits: to continue, call torch.set_num_threads({there}), "
                f"or pass threads={there} to gatewise.train.fit"
            )
        raise FileError(
            f"checkpoint {path} belongs to another run, which differs in {', '.join(differing)}; "
            "give this run a checkpoint of its own, or ",
            Wording("pass resume=False to overwrite that one", "remove that one first"),
        )


def take(found: Checkpoint, name: str, shape: tuple[int, ...], dtype: str) -> Array:
    """One tensor of a checkpoint. Raises FileError if it is missing or has another shape or dtype."""
    value = found.tensors.get(name)
    if value is None or value.shape != shape or value.dtype != dtype:
        got = "nothing" if value is None else f"{value.dtype} {value.shape}"
        raise FileError(f"{name} must be {dtype} {shape}, got {got}")
    return value


def recover(path: str | os.PathLike[str]) -> Model:
    """The best model so far of a training that was stopped or that diverged, from its checkpoint.

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
    """A value for a message, shortened."""
    most = 16 if isinstance(value, str) else 80  # most texts are digests, and their first characters are enough
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
