"""The input stages: what raw readings pass before the first layer. Folders with the same faces as layers."""

from __future__ import annotations

from gatewise.inputs.base import InputStage
from gatewise.layers.registry import Registry

KINDS = ("numeric",)
"""The names of all input stages, which are the names of their folders."""

registry = Registry("input stage", "gatewise.inputs", KINDS, InputStage)
