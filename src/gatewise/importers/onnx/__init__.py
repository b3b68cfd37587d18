"""ONNX graphs of recurrent networks (.onnx): RNN, GRU and LSTM nodes with plain nodes in a row.

The spec that `load` takes is seldom needed; its keys are those of `translate.KEYS`. The guide
docs/guides/import_onnx.md has examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatewise.errors import FileError
from gatewise.importers.chain import Chain
from gatewise.importers.given import given
from gatewise.importers.onnx.graph import read_graph
from gatewise.importers.onnx.translate import KEYS, translate
from gatewise.importers.onnx.wire import begins_as_model

LABEL = "ONNX (.onnx)"


def recognises(path: str, head: bytes) -> bool:
    """Whether a file begins as a ModelProto does."""
    return begins_as_model(head)


def read(path: str, spec: Mapping[str, Any]) -> Chain:
    """Read an ONNX file.

    Raises:
        FileError: the file is damaged or hostile, or has something that gatewise does not import.
        InputError: the spec does not fit the graph.
        MissingExtraError: the package onnx is not installed.
        OSError: there is no such file.
    """
    told = given(spec, KEYS)
    try:
        return translate(read_graph(path), told)
    except FileError as error:
        raise FileError(f"{path}: ", error) from None
