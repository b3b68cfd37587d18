"""Models of Keras 1, 2 and 3: HDF5 files (.h5, .hdf5, .weights.h5) and zip archives (.keras)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gatewise.errors import FileError, InputError, Parameter, SpecError
from gatewise.importers.chain import Chain
from gatewise.importers.given import given
from gatewise.importers.keras.config import architecture
from gatewise.importers.keras.files import read_file
from gatewise.importers.keras.layers import Translation
from gatewise.importers.keras.weights import Store
from gatewise.layers.base import Array
from gatewise.spec import parse_json, short

LABEL = "Keras (.h5, .hdf5, .keras)"
HDF5 = b"\x89HDF\r\n\x1a\n"
MEMBERS = (b"metadata.json", b"config.json", b"model.weights.h5")
KEYS = {
    "architecture": "what `model.to_json()` writes, for a file that has only weights",
    "masking": '"ignore" if no step is masked',
}


def recognises(path: str, head: bytes) -> bool:
    """Whether it is an HDF5 file, or a zip archive that begins with a member of a .keras file."""
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    return head.startswith(HDF5) or (head.startswith(b"PK\x03\x04") and name in MEMBERS)


def read(path: str, spec: Mapping[str, Any]) -> Chain:
    """Read a Keras model.

    Args:
        path: the file.
        spec: "masking": "ignore" says that no step is masked; "architecture" is the JSON value that `model.to_json()`
            writes, for a file that has only weights. The latter may also be the spec itself.

    Raises:
        FileError: the file is damaged or hostile, or something in the model is not supported.
        MissingExtraError: h5py is not installed.
        OSError: there is no such file, or no permission to read it.
    """
    told = _given(spec)
    texts, arrays = read_file(path)
    try:
        return _chain(texts, arrays, told)
    except FileError as error:
        raise FileError(f"{path}: ", error) from None


def _given(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The spec, checked."""
    told = given({"architecture": spec} if "class_name" in spec else spec, KEYS)
    if told.get("masking", "ignore") != "ignore":
        raise InputError(f'masking in the spec must be "ignore", got {short(told["masking"])}')
    return told


def _chain(texts: Mapping[str, str], arrays: Mapping[str, Array], told: Mapping[str, Any]) -> Chain:
    """The layers of a model from the content of its file."""
    described, said = _described(texts, told)
    found = architecture(described)
    major = _major(said, described)
    shape = found.shape
    if shape is None:
        raise FileError(
            "the model does not say how many inputs it has: it was saved before it was built. Load it in Keras, call "
            "it once on data, and save it again"
        )
    if len(shape) not in (1, 2) or shape[-1] is None:
        raise FileError(f"the input has the shape {shape}; supported are (steps, features) and (features,)")
    steps = shape[0] if len(shape) == 2 else None
    label = "Keras .keras" if "config" in texts else "Keras HDF5"
    chain = Chain(label, shape[-1], steps, f"Keras {said}" if said else None)
    store = Store(arrays)
    to = Translation(chain, store, major, steps, len(shape) == 2, told.get("masking") == "ignore")
    for layer in found.layers:
        to.add(layer)
    store.check_used()
    to.close()
    return chain


def _described(texts: Mapping[str, str], told: Mapping[str, Any]) -> tuple[Any, str]:
    """The description of the model as a JSON value, and the version of Keras that wrote it, "" if nothing tells it."""
    text = texts.get("config", texts.get("model_config"))
    if "architecture" in told:
        if text is not None:
            raise InputError("the file describes its model itself, so the spec must not have an architecture")
        described = told["architecture"]
    elif text is None:
        raise FileError(
            "the file has no description of a model, only weights at most. Give the whole model, `model.save`, or "
            "write `model.to_json()` to a file and pass ",
            Parameter("spec", "architecture.json"),
        )
    else:
        described = _json(text)
    said = texts.get("keras_version", "")
    if "metadata" in texts:
        metadata = _json(texts["metadata"])
        said = metadata.get("keras_version", "") if isinstance(metadata, dict) else ""
    if not said and isinstance(described, dict):
        said = described.get("keras_version", "")
    return described, said if isinstance(said, str) else ""


def _json(text: str) -> Any:
    try:
        return parse_json(text, "description of the model", 1 << 22)
    except SpecError as error:
        raise FileError(error) from None


def _major(said: str, described: Any) -> int:
    """The major version of Keras.

    `model.to_json()` of Keras 3 does not write it, but is the first that writes the module of each class. Keras 1 had
    other names of options.
    """
    digits = said.partition(".")[0]
    if digits in ("0", "1", "2", "3"):
        return max(1, int(digits))
    if said:
        raise FileError(f"it was written by version {short(said)} of Keras; gatewise knows 1, 2 and 3")
    if isinstance(described, dict) and "module" in described:
        return 3
    return 1 if '"output_dim"' in json.dumps(described) else 2
