"""The tensors of a state dict as NumPy arrays: from torch, or from a safetensors file without torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from gatewise.errors import FileError
from gatewise.file import KEY
from gatewise.importers.torch.modules import COUNTER, StateDict
from gatewise.layers.base import Array

MOST_BYTES = 1 << 30
MOST_HEADER = 1 << 22
_SAFETENSORS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4"}
_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32"}


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor of torch, which need not be imported for this."""
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "untyped_storage")


def from_torch(found: Mapping[str, Any], notes: tuple[str, ...]) -> StateDict:
    """The tensors of a state dict that torch has read.

    Raises:
        FileError: there is a value that is no tensor, a tensor of an unusual kind or type, or a number that is not
            finite.
    """
    return _state_dict(found, _torch_array, notes)


def read_safetensors(path: str) -> StateDict:
    """The tensors of a safetensors file, in the order of their data.

    Raises:
        FileError: the file is damaged or too large, is a model of gatewise, or has a type or number as above.
        OSError: there is no such file.
    """
    if os.path.getsize(path) > MOST_BYTES:
        raise FileError(f"the file has more than {MOST_BYTES:,} bytes")
    data = Path(path).read_bytes()
    length = int.from_bytes(data[:8], "little")
    if length > MOST_HEADER:
        raise FileError(f"the header of the safetensors file has {length:,} bytes, more than {MOST_HEADER:,}")
    if f'"{KEY}"'.encode() in data[8 : 8 + length]:
        raise FileError("this is a model of gatewise, which needs no import; open it with gatewise.load")
    try:
        parse: Any = safetensors.deserialize  # it has no types
        found = dict(parse(data))
    except (safetensors.SafetensorError, ValueError) as error:
        raise FileError(f"the safetensors file is damaged: {str(error)[:200]}") from None
    return _state_dict(found, _plain_array, ())


def _state_dict(
    found: Mapping[str, Any], array: Callable[[str, Any], tuple[Array, str]], notes: tuple[str, ...]
) -> StateDict:
    tensors, types = {}, {}
    for name, value in found.items():
        tensors[name], kind = array(name, value)
        if not np.isfinite(tensors[name]).all():
            raise FileError(f"tensor {name!r} has numbers that are not finite (NaN or infinite)")
        if kind in ("int64", "int32") and not name.endswith(COUNTER):
            raise FileError(f"tensor {name!r} has whole numbers ({kind}); weights are floating-point numbers")
        if kind != "float32":
            types[name] = kind
    return StateDict(tensors, types, notes)


def _torch_array(name: str, value: Any) -> tuple[Array, str]:
    if not is_tensor(value):
        raise FileError(f"the state dict holds {name!r}, a {type(value).__name__}, which is no tensor")
    kind = str(value.dtype).removeprefix("torch.")
    if str(value.layout) != "torch.strided" or str(value.device) != "cpu" or kind not in _NAMES.values():
        raise FileError(
            f"tensor {name!r} is {value.layout}, {kind} on {value.device}; a plain tensor of numbers is needed"
        )
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise FileError(f"tensor {name!r} has the shape {tuple(value.shape)}, more than its data; save a copy of it")
    value = value.detach()
    return np.array((value.float() if kind == "bfloat16" else value).numpy()), kind


def _plain_array(name: str, value: Mapping[str, Any]) -> tuple[Array, str]:
    kind = value["dtype"]
    if kind not in _SAFETENSORS:
        raise FileError(f"tensor {name!r} has the type {kind}; weights are of {', '.join(_SAFETENSORS)}")
    numbers = np.frombuffer(value["data"], _SAFETENSORS[kind]).reshape(value["shape"])
    if kind == "BF16":  # the upper half of a float32
        numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
    return numbers, _NAMES[kind]
