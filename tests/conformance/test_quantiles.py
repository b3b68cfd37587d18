"""The quantiles head against numbers worked out by hand, scikit-learn's pinball loss, and what sorting promises."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_pinball_loss

import gatewise as gw
from gatewise.errors import SpecError
from gatewise.heads.quantiles.spec import Spec
from gatewise.heads.quantiles.train import Module
from gatewise.layers.base import Array, Edge
from gatewise.nn import to_torch

OPTIONS: dict[str, Any] = {"targets": [1, 0], "horizons": [2, 3], "quantiles": [0.1, 0.5, 0.9]}
SIZE = 12
OFFSET, SCALE = np.array([10.0, -5.0], np.float32), np.array([2.0, 0.5], np.float32)


def constant(bias: Array, window: bool = False, **options: Any) -> gw.Model:
    """A model whose last layer always answers `bias`."""
    head = gw.LayerSpec("quantiles", sources=("dense0", "input", *(["moments0"] if window else [])), **options)
    layers = [*([gw.LayerSpec("moments")] if window else []), gw.LayerSpec("dense", None, "input", units=len(bias))]
    context: Any = {"window": 4} if window else "carried"
    model = gw.init(gw.ModelSpec(2, layers, head=head, context=context))
    given = {
        "dense0.weight": np.zeros_like(model.tensors["dense0.weight"]),
        "dense0.bias": bias,
        "head.offset": OFFSET,
        "head.scale": SCALE,
    }
    return model.replace(tensors={**model.tensors, **given})


def test_by_hand() -> None:
    bias = np.array([1, 3, 2, 0, 0, 0, -1, -3, -2, 0.5, 0.25, 1], np.float32)
    plain = constant(bias, anchor=False, **OPTIONS).run([[100.0, 7.0]])[0]
    assert plain.tolist() == [12, 14, 16, 10, 10, 10, -6.5, -6, -5.5, -4.875, -4.75, -4.5]
    anchored = constant(bias, anchor=True, **OPTIONS).run([[100.0, 7.0]])[0]
    assert anchored.tolist() == [26, 28, 30, 24, 24, 24, 43.5, 44, 44.5, 45.125, 45.25, 45.5]


@pytest.mark.parametrize("anchor", [False, True])
def test_windows_answer_in_their_own_units(anchor: bool) -> None:
    bias = np.array([1, 3, 2, 0, 0, 0, -1, -3, -2, 0.5, 0.25, 1], np.float32)
    x = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    y = constant(bias, True, anchor=anchor, **OPTIONS).run(x)
    for t in range(9):
        last = x[max(0, t - 3) : t + 1, [1, 0]].astype(float)
        base = last[-1] if anchor else last.mean(0)
        spread = np.sqrt(last.var(0) + 1e-5)
        wanted = base[:, None, None] + spread[:, None, None] * np.sort(bias.reshape(2, 2, 3))
        wanted = wanted * SCALE[:, None, None] + OFFSET[:, None, None]
        np.testing.assert_allclose(y[t], wanted.ravel(), atol=2e-5)


def test_quantiles_never_cross_and_sorting_never_raises_the_loss() -> None:
    layer = Spec(targets=[0], horizons=[1], quantiles=[0.1, 0.3, 0.5, 0.7, 0.9], anchor=False)
    module = Module(layer, [Edge(5), Edge(1)])
    rng = np.random.default_rng(1)
    raw, target = torch.tensor(rng.normal(size=(4, 50, 5))), torch.tensor(rng.normal(size=(4, 50, 1)))
    p = module.prediction([raw, torch.zeros(4, 50, 1)])
    assert (p.diff(dim=-1) >= 0).all()
    mask = torch.ones_like(target, dtype=torch.bool)
    assert (module.loss(p, target, mask) <= module.loss(raw, target, mask) + 1e-12).all()


def test_the_loss_is_that_of_scikit_learn() -> None:
    layer = Spec(**OPTIONS)
    module = Module(layer, [Edge(SIZE), Edge(2)])
    rng = np.random.default_rng(2)
    out, target = rng.normal(size=(3, 8, SIZE)), rng.normal(size=(3, 8, 4))
    found = module.loss(torch.tensor(out), torch.tensor(target), torch.ones(3, 8, 4, dtype=torch.bool))
    for k in range(4):
        wanted = [
            mean_pinball_loss(target[..., k].ravel(), out[..., 3 * k + i].ravel(), alpha=q)
            for i, q in enumerate(layer.quantiles)
        ]
        np.testing.assert_allclose(found[..., k].mean().item(), np.mean(wanted), rtol=1e-6)


def test_targets_stand_where_the_horizon_says() -> None:
    module = Module(Spec(targets=[1, 0], horizons=[1, 3], quantiles=[0.5]), [Edge(4), Edge(2)])
    scaled = torch.stack([torch.arange(5.0), 100 + torch.arange(5.0)], 1)
    observed = torch.ones(5, 2, dtype=torch.bool)
    observed[3, 0] = False
    target, mask = module.targets(scaled, observed)
    assert target[0].tolist() == [101, 103, 1, 3]
    assert mask.tolist() == [
        [True, True, True, False],
        [True, True, True, True],
        [True, False, False, False],
        [True, False, True, False],
        [False, False, False, False],
    ]


def test_what_is_trained_is_what_is_answered() -> None:
    head = gw.LayerSpec("quantiles", sources=("dense0", "input", "moments0"), anchor=True, **OPTIONS)
    layers = [
        gw.LayerSpec("moments"),
        gw.LayerSpec("standardise", sources=("input", "moments0")),
        gw.LayerSpec("gru", units=4),
        gw.LayerSpec("dense", units=SIZE),
    ]
    model = gw.init(gw.ModelSpec(2, layers, head=head, context={"window": 6}), seed=3)
    x = np.random.default_rng(3).normal(5, 3, (7, 6, 2)).astype(np.float32)
    p, _, _ = to_torch(model).body(torch.tensor(x), last=True)
    np.testing.assert_allclose(p[:, 0].detach().numpy(), model.run(x)[:, -1], atol=1e-5)


def test_names() -> None:
    layer = Spec(**OPTIONS)
    assert layer.output_names()[:4] == ("x1+2:0.1", "x1+2:0.5", "x1+2:0.9", "x1+3:0.1")
    assert Spec(names=["load"]).output_names() == ("load+1:0.1", "load+1:0.5", "load+1:0.9")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"targets": []}, "targets must be a list with at least one entry"),
        ({"targets": 3}, "targets must be a list"),
        ({"targets": [0, 0]}, "names a column twice"),
        ({"targets": [-1]}, "a target must be a whole number"),
        ({"horizons": [2, 1]}, "horizons must ascend"),
        ({"horizons": [0]}, "a horizon must be a whole number from 1"),
        ({"quantiles": [0.5, 0.5]}, "quantiles must ascend"),
        ({"quantiles": [1.0]}, "between 0 and 1"),
        ({"quantiles": ["a"]}, "between 0 and 1"),
        ({"anchor": 1}, "anchor must be true or false"),
        ({"names": ["a", "b"]}, "names must be 1 texts, one for each target"),
        ({"minimum": 0.0}, "minimum must be a list with at least one entry, got 0.0"),
        ({"minimum": [0.0, 0.0]}, r"minimum must be 1 numbers, one for each target, null for none, got \[0.0, 0.0\]"),
        ({"maximum": ["1"]}, "a maximum must be a number within float32 .*, or null for none, got '1'"),
        ({"maximum": [float("nan")]}, "a maximum must be a number within float32"),
        ({"maximum": [1e39]}, "a maximum must be a number within float32"),
        ({"minimum": [True]}, "a minimum must be a number within float32"),
        ({"minimum": [1.0], "maximum": [1]}, "minimum of target 0 must lie below its maximum, got 1 and 1"),
        ({"transform": "log1p"}, "transform must be a list with at least one entry"),
        ({"transform": ["log"]}, r"transform must be 1 entries, one for each target, \"log1p\" or null, got \['log'\]"),
    ],
)
def test_refusals(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        Spec(**options)


@pytest.mark.parametrize(
    ("widths", "words"),
    [
        ([3, 2], r"last layer of 12 units .* got widths \[3, 2\]"),
        ([12, 1], "a target is column 1, but the input has 1 columns"),
        ([12, 2, 2], "there are moments of 1 columns"),
        ([12, 2, 6], "moments are two values for each column of 2, got 6"),
    ],
)
def test_edges_that_do_not_fit(widths: list[int], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        Spec(**OPTIONS).outputs([Edge(width) for width in widths])


def test_a_scale_is_positive() -> None:
    with pytest.raises(SpecError, match="scale of target 0 must be positive"):
        Spec().check({"offset": np.zeros(1), "scale": np.zeros(1)})
