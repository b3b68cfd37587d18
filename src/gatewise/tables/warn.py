"""Warnings of the tasks, which point at the line of the user that they are about."""

from __future__ import annotations

import sys
import warnings


def warn(text: str) -> None:
    """Issue a UserWarning at the first line outside of gatewise, however many of its functions lie between."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith("gatewise."):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=level)
