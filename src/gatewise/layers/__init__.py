"""The layers. Each kind has its own folder with the same files.

They are `spec.py` (equations, shapes, state, cost, NumPy reference), `kernel.c` (native step) and `train.py` (torch
module). To add a layer, add a folder and its name in KINDS; see CONTRIBUTING.md.
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
