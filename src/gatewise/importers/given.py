"""Read the argument `spec` of `load`: what a file itself cannot tell, as the caller gives it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatewise.errors import InputError, SpecError
from gatewise.spec import canonical_json, parse_json, short

MOST = 1 << 22
"""Greatest number of characters of a spec."""


def as_dict(spec: Any) -> dict[str, Any]:
    """The spec as a dict of plain JSON values; empty for None.

    Args:
        spec: None, a dict, JSON text that begins with "{", or the path of a .json file.

    Raises:
        InputError: it is none of these, or holds other than plain JSON values.
        OSError: there is no such file.
    """
    if spec is None:
        return {}
    if isinstance(spec, (str, os.PathLike)):
        spec = _parsed(os.fspath(spec))
    if not isinstance(spec, Mapping):
        raise InputError(f"the spec must be a dict, JSON text or the path of a .json file, got {short(spec)}")
    try:
        return dict(json.loads(canonical_json(dict(spec))))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the spec must have plain JSON values: {error}") from None


def given(spec: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """The spec, all of whose keys are known.

    Args:
        spec: as `as_dict` returns it.
        keys: the keys that the format knows -> what each says, for messages.

    Raises:
        InputError: it has an unknown key.
    """
    unknown = [key for key in spec if key not in keys]
    if unknown:
        known = "; ".join(f"{key!r}: {what}" for key, what in keys.items())
        raise InputError(f"the spec has the unknown key {short(unknown[0])}; this format takes {known}")
    return dict(spec)


def _parsed(text: str) -> Any:
    """The JSON value in a text, or in the file whose path it is."""
    where = "spec"
    if not text.lstrip().startswith("{"):
        where = f"file {text}"
        if not text.endswith(".json"):
            raise InputError(
                f"the spec must be JSON text that begins with {{, or the path of a .json file, got {short(text)}"
            )
        if os.path.getsize(text) > MOST:
            raise InputError(f"the {where} has more than {MOST:,} bytes; a spec is a JSON object")
        try:
            text = Path(text).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise InputError(f"the {where} is no text; a spec is a JSON object in UTF-8") from None
    try:
        return parse_json(text, where, MOST)
    except SpecError as error:
        raise InputError(error) from None
