"""Warnings of the tasks, which point at the line of the user that they are about."""

from __future__ import annotations

import sys
import warnings

from gatewise.errors import GatewiseWarning


def warn(*parts: object) -> None:
    """Issue a GatewiseWarning at the first line outside of gatewise, however many of its functions lie between.

    Args:
        parts: of the message, which `GatewiseWarning` joins: texts and hints.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith("gatewise."):
        level, frame = level + 1, frame.f_back
    warnings.warn(GatewiseWarning(*parts), stacklevel=level)
