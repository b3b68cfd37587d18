"""The layers: one folder per kind, the same faces in each.

`spec.py` (equations, shapes, state, cost, NumPy reference), `kernel.c` (native step), `train.py` (torch module).
Adding a layer is one folder plus its name in KINDS; see CONTRIBUTING.md.
"""

from __future__ import annotations

from gatewise.layers.base import Layer
from gatewise.layers.registry import Registry

KINDS = (
    *("rnn", "lstm", "gru", "mingru", "minlstm", "rglru", "lru"),
    *("dense", "norm", "add", "multiply", "concat", "reverse", "moments", "standardise"),
)
"""The names of all layers, which are the names of their folders."""

registry = Registry("layer", "gatewise.layers", KINDS, Layer)
