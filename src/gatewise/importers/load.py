"""Recognise the format of a file by its content, and read it with the importer of that format."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from gatewise.errors import FileError, SpecError
from gatewise.importers.chain import Chain
from gatewise.importers.given import as_dict
from gatewise.model import Model

FORMATS = ("keras", "torch", "onnx", "rtneural")
"""The folders of this package, in the order in which they are asked whether they recognise a file."""

HEAD = 4096
"""Number of bytes at the beginning of a file that the importers see when they are asked."""


class Importer(Protocol):
    """What the package of each format has."""

    LABEL: str
    """The format for people, with the endings of its files, e.g. "Keras (.h5, .keras)"."""

    def recognises(self, path: str, head: bytes) -> bool:
        """Whether a file that begins with `head` is of this format. It must not fail, whatever the file holds."""
        ...

    def read(self, path: str, spec: Mapping[str, Any]) -> Chain:
        """Read the file, with a spec as `as_dict` gives it. Raises FileError, or MissingExtraError."""
        ...


def load(path: str | os.PathLike[str], spec: Any = None) -> Model:
    """Import a model of another library.

    Args:
        path: the file: a Keras model (.h5, .keras), a state dict of PyTorch (.pt, .pth, .ckpt), an ONNX graph of one
            recurrent network (.onnx), or a model of RTNeural (.json). Its content decides, not its name.
        spec: what the file itself cannot tell, if an error asks for it: a dict, JSON text, or the path of a .json file.
            The documentation of each format says which keys there are.

    Returns:
        The model. Its context is a window if the foreign model answers once for a sequence of fixed length. Its
        provenance has a record of the import, see `origins`.

    Raises:
        FileError: the file has an unknown format, is damaged or hostile, or the model in it has something that gatewise
            does not support; the message names it and says what to do.
        InputError: the spec does not fit the file.
        MissingExtraError: the library that reads the format is not installed.
        OSError: there is no such file, or no permission to read it.
    """
    name = os.fspath(path)
    if not stat.S_ISREG(os.stat(name).st_mode):
        raise FileError(f"{name}: not a regular file; give the path of a model file of another library")
    with open(name, "rb") as file:
        head = file.read(HEAD)
        digest = hashlib.file_digest(_rewound(file), "sha256").hexdigest()
    importer = _importer(name, head)
    with np.errstate(all="ignore"):  # weights that are not finite are refused by the model
        chain = importer.read(name, as_dict(spec))
        try:
            return chain.model(os.path.basename(name), digest)
        except (FileError, SpecError) as error:
            raise FileError(f"{name}: ", error) from None


def _importer(path: str, head: bytes) -> Importer:
    found: list[Any] = [import_module(f"gatewise.importers.{format}") for format in FORMATS]
    for importer in found:
        if importer.recognises(path, head):
            return importer  # type: ignore[no-any-return]
    labels = ", ".join(importer.LABEL for importer in found)
    raise FileError(f"{path}: the format is not known; gatewise imports {labels}")


def _rewound(file: Any) -> Any:
    file.seek(0)
    return file
