"""Issue warnings of the tasks at the line of the user's code."""

from __future__ import annotations

import sys
import warnings

from gatewise.errors import GatewiseWarning


def warn(*parts: object) -> None:
    """Issue a GatewiseWarning at the innermost line of the call stack that is outside of gatewise.

    Args:
        parts: the parts of the message, texts and hints, which `GatewiseWarning` joins.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith("gatewise."):
        level, frame = level + 1, frame.f_back
    warnings.warn(GatewiseWarning(*parts), stacklevel=level)
