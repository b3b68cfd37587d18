"""The heads: what turns the last layer's output into an answer. Folders with the same faces as layers."""

from __future__ import annotations

from gatewise.heads.base import Head
from gatewise.layers.registry import Registry

KINDS = ("quantiles", "tail_probability")
"""The names of all heads, which are the names of their folders."""

registry = Registry("head", "gatewise.heads", KINDS, Head)
