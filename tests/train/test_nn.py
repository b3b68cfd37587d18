"""The torch modules where tests/conformance does not hold them: given states, gradients by rows, what is refused."""

import copy

import numpy as np
import pytest
import torch

from conformance.cases import FEW, SMALL, Case, each, readings, tensors
from gatewise import _core
from gatewise.errors import InputError, SpecError, StateError
from gatewise.graph import reference_run, resolve
from gatewise.layers import KINDS, registry
from gatewise.layers.train.dropout import Dropout
from gatewise.model import Model, init
from gatewise.nn import Recurrent, from_torch, to_torch
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.state import READINGS


def whole(cases: list[Case]) -> list[Case]:
    """Those without a window, whose state is that of their layers."""
    return [case for case in cases if case.spec.context == "carried"]


@each(whole(FEW))
def test_pieces_from_a_given_state_equal_the_reference(case: Case) -> None:
    graph = resolve(case.spec)
    drawn, x, rng = tensors(graph), readings(graph, 3, 9), np.random.default_rng(3)
    state = {field.name: 0.5 * rng.standard_normal((3, *field.shape)) for field in graph.state}
    module, given = Recurrent(graph, drawn).double(), torch.tensor(x, dtype=torch.float64)
    with torch.no_grad():
        first, middle = module(given[:, :5], {name: torch.tensor(value) for name, value in state.items()})
        none, same = module(given[:, :0], middle)
        second, after = module(given[:, 5:], same)
    assert none.shape[1] == 0
    assert all(torch.equal(same[name], middle[name]) for name in same)
    y, end = reference_run(graph, drawn, x, state)
    np.testing.assert_allclose(torch.cat([first, second], 1), y, rtol=1e-12, atol=1e-12)
    for name, value in end.items():
        np.testing.assert_allclose(after[name], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("padding", [np.nan, np.inf])
@each(SMALL)
def test_gradients_have_the_same_bits_whatever_padding_holds(case: Case, padding: float) -> None:
    graph = resolve(case.spec)
    lengths = torch.tensor([7, 3, 0])
    clean = torch.from_numpy(readings(graph, 3, 7))
    dirty = clean.clone()
    for row, length in enumerate(lengths.tolist()):
        clean[row, length:] = 0.0
        dirty[row, length:] = padding
    results = []
    for x in (clean, dirty):
        module = Recurrent(graph, tensors(graph))
        x.requires_grad_()
        y, after = module(x, None, lengths)
        ends = [value for name, value in after.items() if name != READINGS]
        total = sum(value.square().sum() for value in (y, *ends))
        assert isinstance(total, torch.Tensor)
        total.backward()
        assert x.grad is not None
        results.append([y, *ends, x.grad, *(p.grad for p in module.parameters())])
    for one, other in zip(*results, strict=True):
        if one is not None or other is not None:
            assert torch.equal(one, other)
            assert torch.isfinite(one).all()


@each([case for case in whole(SMALL) if case.name.startswith(("graph-", "numeric-", "quantiles-", "tail_"))])
def test_gradients_of_rows_of_several_lengths_equal_finite_differences(case: Case) -> None:
    """Of input stages and heads; tests/train/test_recurrence.py and test_scan.py have the layers."""
    graph = resolve(case.spec)
    module = Recurrent(graph, tensors(graph)).double()
    names = [name for name, _ in module.named_parameters()]
    x, lengths = torch.tensor(readings(graph, 3, 6), dtype=torch.float64), torch.tensor([6, 2, 0])
    finite = torch.isfinite(x)

    def run(x: torch.Tensor, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = (torch.where(finite, x, np.nan), None, lengths)
        y, after = torch.func.functional_call(module, dict(zip(names, values, strict=True)), given)
        return y[:, :, :4] if graph.head else y, *after.values()  # "extrapolated" is a step function

    arguments = [torch.where(finite, x, 0.0), *(parameter.detach() for parameter in module.parameters())]
    inputs = [argument.clone().requires_grad_() for argument in arguments]
    assert torch.autograd.gradcheck(run, inputs, atol=1e-7, rtol=1e-5, fast_mode=True, check_undefined_grad=False)


def test_a_module_is_a_copy_whose_input_stage_and_head_are_not_trained() -> None:
    (case,) = (case for case in FEW if case.name == "graph-everything")
    model = Model(case.spec, tensors(resolve(case.spec)))
    module = to_torch(model)
    assert list(module.state_dict()) == list(model.tensors)
    fixed = {name for name in model.tensors if name.startswith(("input.", "head."))}
    assert {name for name, _ in module.named_buffers()} == fixed
    first = next(iter(model.tensors))
    before = model.tensors[first].copy()
    with torch.no_grad():
        module.state_dict()[first].add_(1.0)
    assert (model.tensors[first] == before).all()
    assert (from_torch(module).tensors[first] == before + 1).all()


@pytest.mark.parametrize("name", ["train", "forward", "graph", "parameters"])
def test_a_layer_may_be_named_like_a_part_of_torch(name: str) -> None:
    model = init(ModelSpec(inputs=2, layers=[LayerSpec("gru", name=name, units=3)]))
    module = to_torch(model)
    y, state = module(torch.ones(1, 4, 2))
    np.testing.assert_allclose(y.detach(), model.run(np.ones((1, 4, 2))), atol=1e-6)
    assert list(state) == [f"{name}.hidden"]
    assert module.train(False).training is False
    assert copy.deepcopy(module).state_dict().keys() == model.tensors.keys()
    with pytest.raises(SpecError, match="rename"):
        to_torch(init(ModelSpec(inputs=2, layers=[LayerSpec("gru", name="training", units=3)])))


def test_what_does_not_fit_is_refused() -> None:
    graph = resolve(ModelSpec(inputs=3, layers=[LayerSpec("gru", units=4)]))
    module = Recurrent(graph, tensors(graph))
    x = torch.zeros(2, 5, 3)
    with pytest.raises(InputError, match=r"\(batch, time, inputs\) with 3 inputs, got \(5, 3\)"):
        module(x[0])
    with pytest.raises(InputError, match="float64"):
        module(x.double())
    with pytest.raises(InputError, match=r"0 to 5, got 1 to 6"):
        module(x, None, torch.tensor([1, 6]))
    with pytest.raises(InputError, match=r"shape \(2,\)"):
        module(x, None, torch.tensor([1.0, 2.0]))
    with pytest.raises(InputError, match=r"int64 or int32 of shape \(2,\), got torch.int16"):
        module(x, None, torch.tensor([1, 2], dtype=torch.int16))
    with pytest.raises(InputError, match=r"^x must be a torch tensor, got ndarray; convert it with torch.as_tensor$"):
        module(x.numpy())
    with pytest.raises(InputError, match=r"^lengths must be a torch tensor, got list"):
        module(x, lengths=[3, 5])
    with pytest.raises(InputError, match=r"^resets must be a torch tensor, got list"):
        module(x, resets=[[False] * 5] * 2)
    x[1, 3, 2] = torch.nan
    with pytest.raises(InputError, match="row 1, step 3, input 2"):
        module(x)
    with pytest.raises(StateError, match=r"'gru0.hidden' must be torch.float32 \(2, 4\)"):
        module(torch.zeros(2, 5, 3), {"gru0.hidden": torch.zeros(1, 4)})
    with pytest.raises(StateError, match="no state field 'hidden'"):
        module(torch.zeros(2, 5, 3), {"hidden": torch.zeros(2, 4)})
    with pytest.raises(StateError, match=r"'gru0.hidden' is missing"):
        module(torch.zeros(2, 5, 3), {})


def test_only_models_become_modules() -> None:
    model = init(ModelSpec(inputs=3, layers=[LayerSpec("gru", units=4)]))
    with pytest.raises(InputError, match="^to_torch needs a Model, got ModelSpec; use gatewise.load or gatewise.init$"):
        to_torch(model.spec)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"recompute must be True or False, got Dropout\(outputs=0.2.*as dropout="):
        to_torch(model, Dropout(outputs=0.2))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if registry.spec(kind).recurrent])
def test_under_autocast_products_are_narrow_and_states_are_not(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = to_torch(init(ModelSpec(3, [LayerSpec("dense", units=4), LayerSpec(kind, "memory", units=5)]), seed=1))
    x = torch.randn(2, 30, 3, generator=torch.Generator().manual_seed(1))
    wanted, last = module(x)
    runs = []
    for name in ("train_forward", "scan_forward"):
        original = getattr(_core, name)
        monkeypatch.setattr(_core, name, lambda *given, run=original: (runs.append(run), run(*given)))
    with torch.autocast("cpu", torch.bfloat16):
        y, state = module(x)
    y.float().sum().backward()
    assert len(runs) == 1, "the native kernel ran"
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in module.parameters())
    assert float((y - wanted).detach().abs().max()) <= 2**-6 * float(wanted.detach().abs().max())  # bfloat16: 2^-8
    for name, value in state.items():
        assert value.dtype == torch.float32
        assert float((value - last[name]).detach().abs().max()) <= 2**-6 * float(last[name].detach().abs().max())
