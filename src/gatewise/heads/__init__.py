"""The heads, which compute the answer from the output of the last layer. Each kind has a folder, as layers have."""

from __future__ import annotations

from gatewise.heads.base import Head
from gatewise.layers.registry import Registry

KINDS = ("number", "quantiles", "softmax", "tail_probability")
"""The names of all heads, which are the names of their folders."""

registry = Registry("head", "gatewise.heads", KINDS, Head)
