"""How well does a deep stack of each recurrent layer predict English text after a minute of training on a CPU?

    GATEWISE_DATA=/path/to/data python benchmarks/shakespeare.py [--kinds rnn lstm gru] [--seconds 60]

The folder must contain tinyshakespeare/input.txt (Karpathy 2015): 1,115,394 characters, 65 of them distinct. As usual,
the first 90 % are for training and the rest for validation. There is one model for each recurrent kind: one-hot
characters, a dense layer, residual blocks, a norm, and a dense layer with a value for each character. It is trained
with `to_torch` and AdamW of torch on rows of text side by side, in consecutive segments, with the state carried from
segment to segment. The learning rate falls to 0 over the time of the training, which is measured by the clock, so that
a busy machine makes fewer steps.

Then the native core runs the trained model over the whole validation text, character by character from a zero state.
The result is the mean cross entropy in nats. For comparison there are two figures for a table of pairs of characters:
the entropy of a character given the one before it in the training text, the lowest value that such a table can have
there; and the cross entropy on the validation text of the table of the training text, with each pair counted once more
than it occurs.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import gatewise as gw
from common import record
from gatewise.layers import KINDS, registry
from gatewise.train import from_torch, to_torch

RECURRENT = tuple(kind for kind in KINDS if registry.spec(kind).recurrent)
TRAINING = 0.9
"""The share of the text that is used for training."""

ROWS, STEPS = 32, 64
"""The number of rows of text in a batch, and of characters of each row in a training step."""

LEARNING_RATE, WARM, CLIP = 4e-3, 0.05, 1.0
"""The largest learning rate, the share of the time after which it is reached, and the largest norm of a gradient."""

Text = npt.NDArray[np.int64]
"""A text as the numbers of its characters."""


def read(root: Path) -> tuple[Text, Text, int]:
    """The training text, the validation text, and the number of distinct characters."""
    text = np.frombuffer((root / "tinyshakespeare" / "input.txt").read_bytes(), np.uint8)
    characters, numbers = np.unique(text, return_inverse=True)
    cut = int(TRAINING * len(numbers))
    return numbers[:cut], numbers[cut:], len(characters)


def pairs(training: Text, validation: Text, characters: int) -> dict[str, float]:
    """The entropy and the cross entropy of a table of pairs of characters in nats; see the docstring of this module."""
    counts = np.zeros((characters, characters))
    np.add.at(counts, (training[:-1], training[1:]), 1)
    share = counts / counts.sum(1, keepdims=True).clip(1)
    entropy = -(counts * np.log(share, where=counts > 0, out=np.zeros_like(share))).sum() / counts.sum()
    table = np.log((counts + 1) / (counts + 1).sum(1, keepdims=True))
    return {
        "entropy of a pair, training text": float(entropy),
        "cross entropy of pairs, validation text": float(-table[validation[:-1], validation[1:]].mean()),
    }


def model(kind: str, characters: int, blocks: int, width: int, seed: int) -> gw.Model:
    """An untrained stack of residual blocks around layers of the given kind."""
    layers = [gw.LayerSpec("dense", "block0", units=width)]
    for i in range(blocks):
        layers += gw.residual(gw.LayerSpec(kind, units=width), width, f"block{i + 1}", source=f"block{i}")
    return gw.init(
        gw.ModelSpec(characters, [*layers, gw.LayerSpec("norm"), gw.LayerSpec("dense", units=characters)]), seed
    )


def train(model: gw.Model, text: Text, seconds: float) -> tuple[gw.Model, int]:
    """The model after a training of the given seconds, and the number of steps that it made."""
    module = to_torch(model)
    optimizer = torch.optim.AdamW(module.parameters(), LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    length = len(text) // ROWS
    rows = torch.from_numpy(text[: ROWS * length].reshape(ROWS, length))
    state, steps, at, start = None, 0, 0, time.perf_counter()
    while (spent := (time.perf_counter() - start) / seconds) < 1:
        if at + STEPS >= length:  # from the beginning again
            state, at = None, 0
        piece = rows[:, at : at + STEPS + 1]
        x = torch.nn.functional.one_hot(piece[:, :-1], model.inputs).float()
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * min(spent / WARM, (1 - spent) / (1 - WARM))
        y, state = module(x, state)
        loss = torch.nn.functional.cross_entropy(y.flatten(0, 1), piece[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), CLIP)
        optimizer.step()
        state = {name: value.detach() for name, value in state.items()}
        steps, at = steps + 1, at + STEPS
    return from_torch(module), steps


def score(model: gw.Model, text: Text) -> float:
    """Mean cross entropy of the answers of a model over a text, in nats."""
    one_hot = np.eye(model.inputs, dtype=np.float32)
    answers = model.run(one_hot[text[:-1]]).astype(np.float64)
    top = answers.max(1)
    wanted = answers[np.arange(len(answers)), text[1:]]
    return float((top + np.log(np.exp(answers - top[:, None]).sum(1)) - wanted).mean())


def measure(kinds: list[str], seconds: float, blocks: int, width: int, seed: int) -> dict[str, Any]:
    """All results."""
    training, validation, characters = read(Path(os.environ["GATEWISE_DATA"]))
    known = pairs(training, validation, characters)
    for what, nats in known.items():
        print(f"{nats:.3f} nats: {what}")
    print(f"{'kind':<10}{'nats':>8}{'parameters':>12}{'steps':>8}{'characters':>13}")
    found = {}
    for kind in kinds:
        trained, steps = train(model(kind, characters, blocks, width, seed), training, seconds)
        parameters = sum(value.size for value in trained.tensors.values())
        nats = score(trained, validation)
        print(f"{kind:<10}{nats:>8.3f}{parameters:>12,}{steps:>8,}{steps * ROWS * STEPS:>13,}", flush=True)
        found[kind] = {"nats": nats, "parameters": parameters, "steps": steps, "characters": steps * ROWS * STEPS}
    settings = {"seconds": seconds, "blocks": blocks, "width": width, "seed": seed, "threads": torch.get_num_threads()}
    return {"pairs": known, "kinds": found, "settings": settings}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kinds", nargs="+", choices=RECURRENT, default=list(RECURRENT))
    parser.add_argument("--seconds", type=float, default=60.0, help="of training, for each kind")
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    print(record("shakespeare", measure(**vars(parser.parse_args()))))
