"""Train recurrences on the task of `recall.py`, as most people would: Adam on the squared error, nothing special."""

from __future__ import annotations

import os
from io import BytesIO

import numpy as np
import torch
from torch import Tensor

from gatewise.demo.recall import COLUMNS, draw
from gatewise.file import atomic_write
from gatewise.layers.base import Array
from gatewise.model import Model, init
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.train import from_torch, to_torch
from gatewise.train.process import torch_settings

UNITS = 16
BATCH = 64
CLIP = 1.0
"""Largest norm of the gradient of an update; a larger one is scaled down, as Pascanu et al. (2013) propose."""


def fit(
    kind: str, changes: Array, seed: int, steps: int, learning_rate: float = 0.01, start: str = "gatewise"
) -> Model:
    """Train a recurrence of 16 units and a linear answer, on windows drawn anew for each update.

    Args:
        kind: the recurrence, such as "rnn".
        changes: (weeks,) the series from which windows are drawn.
        seed: of the first weights and the windows. All kinds see the same windows.
        steps: number of updates.
        learning_rate: of Adam.
        start: "gatewise" = as `gatewise.init` does: orthogonal recurrent matrices, which let a gradient pass best, and
            a forget bias of 1 in the LSTM; "torch" = all weights and biases uniform within 1 / sqrt(units), as in
            torch.nn.

    Returns:
        The model, which answers after the last week of a window.
    """
    rng = np.random.default_rng(seed)
    with torch_settings(seed, threads=1):
        module = to_torch(begin(kind, seed, start))
        optimiser = torch.optim.Adam(module.parameters(), learning_rate)
        for _ in range(steps):
            batch = draw(changes, BATCH, rng)
            found: Tensor = module(torch.from_numpy(batch.x))[0][:, -1, 0]  # (batch,)
            loss = (found - torch.from_numpy(batch.y)).square().mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(module.parameters(), CLIP)
            optimiser.step()
    return from_torch(module)


def begin(kind: str, seed: int, start: str = "gatewise") -> Model:
    """The model before its training; see `fit`."""
    spec = ModelSpec(inputs=len(COLUMNS), layers=[LayerSpec(kind, units=UNITS), LayerSpec("dense", units=1)])
    model = init(spec, seed)
    if start == "gatewise":
        return model
    rng, bound = np.random.default_rng(seed), UNITS**-0.5
    drawn = {name: rng.uniform(-bound, bound, value.shape).astype(np.float32) for name, value in model.tensors.items()}
    return model.replace(tensors=drawn)


def save_state_dict(model: Model, path: str | os.PathLike[str]) -> None:
    """Write an RNN of `fit` as a torch user would: the state dict of a module with `rnn = nn.RNN(2, 16)` and `fc`."""
    named = {"rnn0": "rnn.{}_l0", "dense0": "fc.{}"}
    state = {}
    for name, value in model.tensors.items():
        layer, tensor = name.split(".")
        state[named[layer].format(tensor)] = torch.from_numpy(value.copy())
    buffer = BytesIO()
    torch.save(state, buffer)
    atomic_write(path, buffer.getvalue())
