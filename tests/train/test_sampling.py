"""The states that batches start from, and what a checkpoint must hold of them."""

from typing import Any

import numpy as np
import torch

from gatewise.model import init
from gatewise.nn import Recurrent, to_torch
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.train.data import prepare
from gatewise.train.sampling import CarriedSampler, Sampler, WindowSampler, sampler_for


def sampler(context: Any, batch: int = 3, bptt: int = 8) -> tuple[Recurrent, Sampler]:
    """For series of 30, 11 and 50 steps; the reading at each step is its number among all of them."""
    layers = [LayerSpec("lstm", units=4), LayerSpec("gru", units=2)]
    module = to_torch(init(ModelSpec(1, layers, context=context), seed=1))
    steps = np.split(np.arange(91.0)[:, None], [30, 41])
    data = prepare(module, steps, [one[:, 0] for one in steps], 0.2)
    return module, sampler_for(module.graph, data, batch, bptt)


def test_states_are_carried_but_where_a_piece_begins() -> None:
    _, carried = sampler("carried")
    assert isinstance(carried, CarriedSampler)
    shapes = {"lstm0.hidden": (3, 4), "lstm0.cell": (3, 4), "gru0.hidden": (3, 2)}
    assert {name: tuple(value.shape) for name, value in carried.state.items()} == shapes
    assert not any(value.any() for value in carried.state.values())
    carried.begin_epoch(np.random.default_rng(0))
    carried.advance({name: torch.ones(shape, requires_grad=True) for name, shape in shapes.items()})
    ends: dict[int, float] = {}
    continued = 0
    for i in range(len(carried)):
        batch, state = carried.batch(i)
        assert state is not None
        for row in range(3):
            steps = batch.x.shape[1] if batch.lengths is None else int(batch.lengths[row])
            if steps:
                goes_on = ends.get(row) == batch.x[row, 0, 0].item() - 1 and not carried.plan.fresh[i, row]
                assert all((value[row] == float(goes_on)).all() for value in state.values())
                assert not any(value.requires_grad for value in state.values())
                ends[row] = batch.x[row, steps - 1, 0].item()
                continued += goes_on
    assert continued > len(carried)


def test_windows_start_from_zero_and_leave_nothing_to_carry() -> None:
    module, windows = sampler({"window": 5})
    assert isinstance(windows, WindowSampler)
    windows.begin_epoch(np.random.default_rng(0))
    for i in range(len(windows)):
        batch, state = windows.batch(i)
        assert state is None
        out, after = windows.forward(module, batch, state)
        assert torch.equal(out, module.body(batch.x)[0][:, -1:])
        windows.advance(after)
        assert windows.state == {}
    assert not any(goes_on for _, goes_on in windows.held_out())


def test_an_evaluation_costs_the_steps_that_are_run() -> None:
    """For full batches: what its batches hold, divided by the number of rows."""
    for context in ("carried", {"window": 5}):
        _, one = sampler(context, batch=1)
        steps = sum(batch.x.shape[1] for batch, _ in one.held_out())
        assert one.evaluation_steps == steps
