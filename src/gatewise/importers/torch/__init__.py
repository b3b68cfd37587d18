"""State dicts of PyTorch: files of `torch.save` (.pt, .pth, .ckpt, .bin), and safetensors files of other libraries.

A state dict has the weights of a model, but not how they are used. The spec that `load` takes says it::

    load("weights.pth", spec={"order": ["lstm", "bn", "fc.0", "relu", "fc.3"], "last": True, "window": 24})

If it is missing, the error shows the modules found and a guess of the spec, to correct and pass. `build` describes its
keys. The guide docs/guides/import_torch.md has examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatewise.errors import FileError
from gatewise.importers.chain import Chain
from gatewise.importers.given import given
from gatewise.importers.torch.archive import LEGACY, is_archive, read_archive
from gatewise.importers.torch.build import KEYS, build, without
from gatewise.importers.torch.find import find
from gatewise.importers.torch.modules import StateDict
from gatewise.importers.torch.tensors import MOST_HEADER, from_torch, is_tensor, read_safetensors

LABEL = "state dicts of PyTorch (.pt, .pth, .ckpt, .safetensors)"
PICKLE = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
"""The first bytes of a pickle. Only those of torch.save are read; the others are refused by name."""


def recognises(path: str, head: bytes) -> bool:
    """Whether a file begins as a zip archive of torch, a pickle or a safetensors file does."""
    return is_archive(head) or head.startswith(PICKLE) or _is_safetensors(head)


def read(path: str, spec: Mapping[str, Any]) -> Chain:
    """Read a state dict.

    Raises:
        FileError: the file is damaged or hostile, holds something else than one state dict of supported modules, or the
            spec does not say what has no default.
        InputError: the spec does not fit the file.
        MissingExtraError: torch is needed and missing, or too old.
    """
    told = given(spec, KEYS)
    try:
        with open(path, "rb") as file:
            head = file.read(max(16, len(LEGACY)))
        state = read_safetensors(path) if _is_safetensors(head) else _from_archive(path, told.get("at"))
        return build("PyTorch state dict", without(state, told.get("ignore", [])), told)
    except FileError as error:
        raise FileError(f"{path}: ", error) from None


def _is_safetensors(head: bytes) -> bool:
    return 2 <= int.from_bytes(head[:8], "little") <= MOST_HEADER and head[8:9] == b"{"


def _from_archive(path: str, at: Any) -> StateDict:
    payload = read_archive(path)
    place, found = find(payload, at, is_tensor)
    notes = []
    if place and isinstance(payload, Mapping):
        others = [str(key) for key in payload if key != place.partition(".")[0]]
        notes.append(f"The state dict is at {place}." + (f" Not read: {', '.join(others)[:200]}." if others else ""))
    return from_torch(found, tuple(notes))
