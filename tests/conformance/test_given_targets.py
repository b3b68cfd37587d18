"""The heads number and softmax against numbers worked out by hand, torch and scikit-learn, and finite differences."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error

import gatewise as gw
from gatewise.errors import InputError, SpecError
from gatewise.heads.number.spec import Spec as Number
from gatewise.heads.number.train import Module as NumberModule
from gatewise.heads.softmax.spec import Spec as Softmax
from gatewise.heads.softmax.train import Module as SoftmaxModule
from gatewise.layers.base import Array, Edge
from gatewise.train import fit


def constant(bias: Any, **head: Any) -> gw.Model:
    """A model of two inputs whose last layer always gives `bias`."""
    spec = gw.ModelSpec(2, [gw.LayerSpec("dense", units=len(bias))], head=gw.LayerSpec(**head))
    model = gw.init(spec)
    zero = {"dense0.weight": np.zeros_like(model.tensors["dense0.weight"]), "dense0.bias": np.float32(bias)}
    return model.replace(tensors={**model.tensors, **zero})


def with_units(model: gw.Model, offset: float, scale: float, margin: float) -> gw.Model:
    units = {"offset": offset, "scale": scale, "margin": margin}
    given = {f"head.{name}": np.array([value], np.float32) for name, value in units.items()}
    return model.replace(tensors={**model.tensors, **given})


def test_a_number_by_hand() -> None:
    model = with_units(constant([0.5], kind="number"), 100.0, 4.0, 3.0)
    assert model.run([[7.0, 8.0]]).tolist() == [[102.0, 99.0, 105.0]]
    assert model.output_names == ("value", "low", "high")
    plain = with_units(constant([0.5], kind="number", interval=False), 100.0, 4.0, 3.0)
    assert plain.run([[7.0, 8.0]]).tolist() == [[102.0]]
    assert plain.output_names == ("value",)


def test_probabilities_are_those_of_torch_even_for_huge_numbers() -> None:
    bias = np.array([1000.0, 999.0, -1000.0, 0.0], np.float32)
    model = constant(bias, kind="softmax", classes=["a", "b", "c", "d"])
    wanted = torch.softmax(torch.from_numpy(bias).double(), 0)
    np.testing.assert_allclose(model.run([[0.0, 0.0]])[0], wanted, rtol=1e-6)
    assert model.output_names == ("a", "b", "c", "d")


@pytest.mark.parametrize(("loss", "mean"), [("squared", mean_squared_error), ("absolute", mean_absolute_error)])
def test_the_losses_of_a_number_are_those_of_scikit_learn(loss: str, mean: Any) -> None:
    rng = np.random.default_rng(0)
    out, target = rng.normal(size=(3, 8, 1)), rng.normal(size=(3, 8))
    module = NumberModule(Number(loss=loss), [Edge(1), Edge(2)])
    found = module.loss(torch.tensor(out), torch.tensor(target), torch.ones(3, 8, dtype=torch.bool))
    assert found.shape == (3, 8)
    assert float(found.mean()) == pytest.approx(mean(target.ravel(), out.ravel()), rel=1e-12)


def test_the_loss_of_classes_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    out, target = rng.normal(size=(3, 8, 4)), rng.integers(4, size=(3, 8))
    module = SoftmaxModule(Softmax(classes=list("abcd")), [Edge(4), Edge(2)])
    found = module.loss(torch.tensor(out), torch.tensor(target), torch.ones(3, 8, dtype=torch.bool))
    likely = np.exp(out) / np.exp(out).sum(-1, keepdims=True)
    assert float(found.mean()) == pytest.approx(log_loss(target.ravel(), likely.reshape(-1, 4)), rel=1e-9)


@pytest.mark.parametrize("kind", ["squared", "absolute", "classes"])
def test_the_gradients_of_the_losses_are_finite_differences(kind: str) -> None:
    rng = np.random.default_rng(2)
    mask = torch.ones(2, 5, dtype=torch.bool)
    module: Any
    if kind == "classes":
        module, width = SoftmaxModule(Softmax(classes=list("abc")), [Edge(3), Edge(1)]), 3
        target = torch.tensor(rng.integers(3, size=(2, 5)))
    else:
        module, width = NumberModule(Number(loss=kind), [Edge(1), Edge(1)]), 1
        target = torch.tensor(rng.normal(size=(2, 5)))
    out = torch.tensor(rng.normal(size=(2, 5, width)), requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: module.loss(given, target, mask), out)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "number", "loss": "cubed"}, "loss must be one of"),
        ({"kind": "number", "interval": 1}, "interval"),
        ({"kind": "softmax", "classes": ["a"]}, "classes must be 2 to 4096 names, got 1"),
        ({"kind": "softmax", "classes": ["a", "a"]}, "classes names a class twice"),
        ({"kind": "softmax", "classes": ["a", 1]}, "classes must be texts"),
        ({"kind": "softmax"}, "needs the option 'classes'"),
        ({"kind": "softmax", "classes": ["a", "b", "c"]}, "a last layer of 3 units, .* got widths \\[2, 2\\]"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        constant([0.0, 1.0], **options)


@pytest.mark.parametrize(("name", "value"), [("scale", 0.0), ("scale", -1.0), ("margin", -1.0)])
def test_bad_tensors_are_refused(name: str, value: float) -> None:
    with pytest.raises(SpecError, match=f"{name} must"):
        with_units(constant([0.5], kind="number"), **{"offset": 0.0, "scale": 1.0, "margin": 0.0, name: value})


def test_the_training_needs_targets() -> None:
    x: Array = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    with pytest.raises(InputError, match="the head number answers what is not among the readings; pass targets"):
        fit(constant([0.0], kind="number"), x, steps=1)
