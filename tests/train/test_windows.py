"""Training of models with a window: against a loop written by hand and the native run, and what it must not do."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss

from gatewise.errors import InputError
from gatewise.layers.base import Array
from gatewise.model import Model, init
from gatewise.spec import LayerSpec, ModelSpec, bidirectional
from gatewise.train import Status, fit
from gatewise.train.data import Concatenated
from gatewise.train.sampling.window import MOST_HELD_OUT, evenly_spaced, plan_windows, window_ends, windows

L = 6


def squares(out: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (out[..., 0] - target) ** 2


def forecaster(window: int = L, normalise: bool = True) -> Model:
    """Two columns, two horizons, each window in its own units."""
    prepare = [LayerSpec("moments"), LayerSpec("standardise", sources=("input", "moments0"))] if normalise else []
    sources = ("dense0", "input", "moments0") if normalise else ()
    head = LayerSpec("quantiles", sources=sources, targets=[1, 0], horizons=[1, 4], quantiles=[0.2, 0.5, 0.8])
    layers = [*prepare, LayerSpec("gru", units=5), LayerSpec("dense", units=12)]
    return init(ModelSpec(2, layers, head=head, context={"window": window}), seed=1)


def walks(steps: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(steps, 2)).cumsum(0)


def test_equals_a_loop_written_by_hand() -> None:
    """As many lanes as windows, so that an update sees all of them: torch's GRU in float64, each window from zero."""
    spec = ModelSpec(2, [LayerSpec("gru", units=4), LayerSpec("dense", units=1)], context={"window": L})
    model = init(spec)
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((20, 2)), rng.standard_normal(20)
    target[9] = np.nan
    settings = {"learning_rate": 0.02, "weight_decay": 0.0, "clip": None, "warmup": 0.0}
    fitted, history = fit(model, x, target, loss=squares, validation=0, steps=3, batch=100, **settings)  # type: ignore[arg-type]

    gru, dense = torch.nn.GRU(2, 4, batch_first=True).double(), torch.nn.Linear(4, 1).double()
    own = {f"gru0.{name[:-3]}": parameter for name, parameter in gru.named_parameters()}
    own |= {f"dense0.{name}": parameter for name, parameter in dense.named_parameters()}
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(torch.tensor(model.tensors[name]))
    optimiser = torch.optim.AdamW(own.values(), weight_decay=0.0)
    ends = [t for t in range(L - 1, 20) if t != 9]
    losses = []
    for step in range(3):
        answers = torch.stack([dense(gru(torch.tensor(x[None, t - L + 1 : t + 1]))[0][0, -1])[0] for t in ends])
        loss = ((answers - torch.tensor(target[ends])) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        losses.append(loss.item())
        optimiser.param_groups[0]["lr"] = 0.02 * 0.5 * (1 + np.cos(np.pi * step / 3))
        optimiser.step()
    for name, parameter in own.items():
        np.testing.assert_allclose(fitted.tensors[name], parameter.detach().numpy(), rtol=1e-4, atol=1e-5)
    assert history.records[-1].loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert history.records[-1].epoch == 3


@pytest.mark.parametrize("normalise", [False, True])
def test_the_held_out_loss_is_that_of_what_the_model_answers(normalise: bool) -> None:
    """On two series; windows may begin in the training part, but their targets lie in the held-out part."""
    series = [walks(90), walks(40, 1)]
    fitted, history = fit(forecaster(normalise=normalise), series, steps=30, evaluate_every=30, validation=0.25)
    losses = []
    for x in series:
        cut = len(x) - round(0.25 * len(x))
        y = fitted.run(x).reshape(len(x), 2, 2, 3)
        for t in range(cut, len(x)):
            for k, column in enumerate([1, 0]):
                for i, h in enumerate([1, 4]):
                    if t + h < len(x):
                        one = [
                            mean_pinball_loss(x[t + h, [column]], y[t, k, i, [j]], alpha=q)
                            for j, q in enumerate([0.2, 0.5, 0.8])
                        ]
                        losses.append(np.mean(one))
    assert history.records[-1].validation == pytest.approx(np.mean(losses), rel=1e-4)


def test_it_learns_what_a_window_shows_and_no_more() -> None:
    """The sign of the reading `lag` steps back: within the window it is learned, beyond it cannot be."""
    x = np.random.default_rng(0).choice([-1.0, 1.0], (600, 1))

    def left(lag: int) -> float:
        target = np.concatenate([np.full(lag, np.nan), x[:-lag, 0]])
        spec = ModelSpec(1, [LayerSpec("gru", units=8), LayerSpec("dense", units=1)], context={"window": 4})
        _, history = fit(init(spec), x, target, loss=squares, steps=300, learning_rate=0.02)
        assert history.best_validation is not None
        return history.best_validation

    assert left(3) < 0.1
    assert left(4) > 0.9


def test_models_that_read_both_ways_are_trained_in_windows() -> None:
    """The first reading of the window, which the backward half reads last."""
    x = np.random.default_rng(0).normal(size=(300, 1))
    layers = [*bidirectional(LayerSpec("gru", units=4), source="input"), LayerSpec("dense", units=1)]
    spec = ModelSpec(1, layers, context={"window": 3})
    target = np.concatenate([[np.nan, np.nan], x[:-2, 0]])
    fitted, _ = fit(init(spec), x, target, loss=squares, steps=400, learning_rate=0.02, batch=32)
    error = fitted.run(x)[2:, 0] - target[2:]
    assert (error**2).mean() < 0.1


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    window=st.integers(1, 12),
    batch=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_an_epoch_visits_windows_at_most_once_and_leaves_less_than_a_batch(
    lengths: list[int], window: int, batch: int, seed: int
) -> None:
    total = sum(lengths)
    rng = np.random.default_rng(seed)
    mask = torch.from_numpy(rng.random(total) < 0.8)
    series = Concatenated(torch.arange(float(total))[:, None], torch.arange(float(total)), mask, tuple(lengths))
    ends = window_ends(series, window)
    bounds = list(pairwise(np.cumsum([0, *lengths]).tolist()))
    assert ends.tolist() == [e for a, b in bounds for e in range(a, b) if e - window + 1 >= a and mask[e]]
    if not len(ends):
        return
    lanes = min(batch, len(ends))
    plan = plan_windows(ends, lanes, rng)
    seen = plan.ravel().tolist()
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(ends.tolist())
    assert len(ends) - len(seen) < lanes
    found = windows(series, plan[0], window)
    for row, end in enumerate(plan[0].tolist()):
        assert found.x[row, :, 0].tolist() == list(range(end - window + 1, end + 1))
        assert found.target[row].tolist() == [end]


def test_epochs_differ_and_held_out_windows_are_not_too_many() -> None:
    ends = np.arange(5000)
    first, second = (plan_windows(ends, 8, np.random.default_rng([0, epoch])) for epoch in (0, 1))
    assert (first != second).any()
    assert len(evenly_spaced(ends)) <= MOST_HELD_OUT < 2 * len(evenly_spaced(ends))
    assert set(np.diff(evenly_spaced(ends))) == {5}


OPTIONS: dict[str, Any] = {"steps": 20, "evaluate_every": 5, "batch": 8, "learning_rate": 0.01}


def test_a_run_broken_off_ends_with_the_same_bits(tmp_path: Path) -> None:
    """Broken off in the middle of the second epoch."""
    path = tmp_path / "run.safetensors"
    whole, history = fit(forecaster(), walks(130), **OPTIONS)

    def stop(status: Status) -> None:
        if status.step == 17:
            assert status.epoch == 1
            raise EOFError

    with pytest.raises(EOFError):
        fit(forecaster(), walks(130), checkpoint=path, checkpoint_every=0, progress=stop, **OPTIONS)
    again, resumed = fit(forecaster(), walks(130), checkpoint=path, **OPTIONS)
    assert all(again.tensors[name].tobytes() == value.tobytes() for name, value in whole.tensors.items())
    assert [(r.step, r.loss, r.validation) for r in resumed.records] == [
        (r.step, r.loss, r.validation) for r in history.records
    ]


def test_too_short_series_and_another_bptt_are_refused() -> None:
    with pytest.raises(InputError, match="training part has no window of 50 steps with a target at its end"):
        fit(forecaster(50), walks(40))
    with pytest.raises(InputError, match="validation part has no window of 30 steps"):
        fit(forecaster(30), walks(60), validation=walks(20))
    with pytest.raises(InputError, match="a window of 6 steps, .* a length of 64 has no effect; leave out bptt"):
        fit(forecaster(), walks(60), bptt=64)
    fit(forecaster(), walks(60), bptt=L, steps=1)


def test_a_gap_at_the_front_of_a_window_is_filled_from_before_it() -> None:
    stage = LayerSpec("numeric", width=2, missing="hold")
    model = init(ModelSpec(input=stage, layers=[LayerSpec("gru", units=3)], context={"window": L}), seed=2)
    gaps, target = 20.0 + walks(40), np.arange(40.0)
    gaps[5:30, 1], gaps[33, 0] = np.nan, np.inf
    filled = gaps.copy()
    filled[5:30, 1], filled[33, 0] = gaps[4, 1], gaps[32, 0]
    one, other = (fit(model, x, target, loss=squares, steps=5)[0] for x in (gaps, filled))
    assert all(np.array_equal(value, other.tensors[name]) for name, value in one.tensors.items())
