"""The input stages, which prepare raw readings for the first layer. Each kind has a folder, as layers have."""

from __future__ import annotations

from gatewise.inputs.base import InputStage
from gatewise.layers.registry import Registry

KINDS = ("numeric",)
"""The names of all input stages, which are the names of their folders."""

registry = Registry("input stage", "gatewise.inputs", KINDS, InputStage)
