"""A million streamed steps compared with the same steps in double precision: do rounding errors accumulate?

    python benchmarks/survival_drift.py [--steps 1000000]

The reference is torch's recurrent layer in float64 with the same weights and the same readings. The weights are such
that the influence of earlier steps decays (the state is a contraction), which is necessary for errors to stay small.
The readings are noise, with stretches of silence and of large values. Half of the steps are pushed one by one, half in
pieces of odd lengths. The result is the largest error in each tenth of the steps, in results/survival_drift.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

import gatewise as gw
from common import record
from gatewise.layers import KINDS

INPUTS, UNITS = 4, 24
LIMIT = 1e-5
LAYERS = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "rnn": torch.nn.RNN}


def blocks(steps: int) -> Iterator[np.ndarray]:
    """A hundred blocks of readings (time, inputs) float32; one of ten is silent and one has large values."""
    rng = np.random.default_rng(7)
    for i in range(100):
        scale = {3: 0.0, 7: 30.0}.get(i % 10, 1.0)
        yield (scale * rng.standard_normal((steps // 100, INPUTS))).astype(np.float32)


def contraction(kind: str) -> gw.Model:
    """A model of one recurrent layer whose recurrent weights are small."""
    model = gw.init(gw.ModelSpec(INPUTS, [gw.LayerSpec(kind, units=UNITS)]), seed=1)
    recurrent = f"{kind}0.weight_hh"
    small = model.tensors[recurrent] * np.float32(0.5)
    return model.replace(tensors={**model.tensors, recurrent: small})


def truth(model: gw.Model, kind: str) -> torch.nn.Module:
    """torch's layer in float64 with the weights of the model."""
    net = LAYERS[kind](INPUTS, UNITS, batch_first=True).double()
    with torch.no_grad():
        for name, value in net.named_parameters():
            value.copy_(torch.from_numpy(model.tensors[f"{kind}0.{name.removesuffix('_l0')}"].astype(np.float64)))
    return net


def streamed(stream: gw.Stream, x: np.ndarray, by_one: bool) -> np.ndarray:
    """The answers, step by step or in pieces of odd lengths."""
    if by_one:
        return np.array([stream.push(row) for row in x])
    pieces, at, length = [], 0, 1
    while at < len(x):
        pieces.append(stream.push_many(x[at : at + length]))
        at, length = at + length, length * 3 % 1009
    return np.concatenate(pieces)


def drift(kind: str, steps: int) -> dict[str, Any]:
    """The largest error in each tenth of the steps."""
    model = contraction(kind)
    net, stream, carried = truth(model, kind), model.stream(), None
    worst = [0.0] * 10
    with torch.inference_mode():
        for i, x in enumerate(blocks(steps)):
            exact, carried = net(torch.from_numpy(x.astype(np.float64))[None], carried)
            error = float(np.abs(streamed(stream, x, i % 2 == 0) - exact[0].numpy()).max())
            worst[i // 10] = max(worst[i // 10], error)
    return {"kind": kind, "steps": steps // 100 * 100, "error by tenth": worst}


def main() -> None:
    """Stream, compare, print, write results/survival_drift.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1_000_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for kind in LAYERS:
        if kind not in KINDS:
            continue
        results.append(drift(kind, options.steps))
        errors = results[-1]["error by tenth"]
        print(
            f"{kind}: {options.steps:,} steps, error {errors[0]:.1e} in the first tenth, {errors[-1]:.1e} in the last"
        )
        if not max(errors) < LIMIT:
            raise SystemExit(f"{kind} drifts: {errors}")
    print(f"written to {record('survival_drift', results)}")


if __name__ == "__main__":
    main()
