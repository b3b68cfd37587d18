"""The torch module of every kind, held to the float64 reference and to finite differences."""

import numpy as np
import pytest
import torch

from conformance.cases import CASES, FAMILIES, FEW, SMALL, Case, each, readings, tensors, truth
from gatewise.graph import reference_run, resolve
from gatewise.model import Model
from gatewise.nn import Recurrent, from_torch, to_torch

TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5}


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@each(CASES)
def test_a_sequence_in_torch_is_the_reference(case: Case, dtype: torch.dtype) -> None:
    graph = resolve(case.spec)
    x, y, state = truth(case)
    module = Recurrent(graph, tensors(graph)).to(dtype)
    with torch.no_grad():
        got, after = module(torch.tensor(x, dtype=dtype))
    np.testing.assert_allclose(got.numpy(), y, rtol=0, atol=TOLERANCES[dtype])
    assert list(after) == [field.name for field in graph.state]
    for name, value in state.items():
        np.testing.assert_allclose(after[name].numpy(), value, rtol=0, atol=TOLERANCES[dtype])


@each(FEW)
def test_rows_that_end_early_are_rows_alone(case: Case) -> None:
    graph = resolve(case.spec)
    drawn, x = tensors(graph), readings(graph, 4, 9)
    module = Recurrent(graph, drawn).double()
    lengths = [9, 4, 1, 0]
    padded = x.astype(np.float64)
    for row, length in enumerate(lengths):
        padded[row, length:] = np.nan
    with torch.no_grad():
        y, after = module(torch.from_numpy(padded), lengths=torch.tensor(lengths))
    for row, length in enumerate(lengths):
        wanted, end = reference_run(graph, drawn, x[row : row + 1, :length])
        np.testing.assert_allclose(y[row, :length].numpy(), wanted[0], rtol=0, atol=1e-12)
        np.testing.assert_array_equal(y[row, length:].numpy(), 0)
        for name, value in end.items():
            np.testing.assert_allclose(after[name][row].numpy(), value[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("filling", [np.nan, np.inf, -3e38])
@each(FEW)
def test_what_padding_holds_never_matters_by_one_bit(case: Case, filling: float) -> None:
    graph = resolve(case.spec)
    module = Recurrent(graph, tensors(graph))
    lengths = torch.tensor([7, 3, 0])
    results = []
    for padding in (0.0, filling):
        x = readings(graph, 3, 7)
        for row, length in enumerate(lengths):
            x[row, length:] = padding
        with torch.no_grad():
            y, after = module(torch.from_numpy(x), lengths=lengths)
        results.append([value.numpy().tobytes() for value in (y, *after.values())])
    assert results[0] == results[1]


@each(SMALL)
def test_gradients_are_finite_differences(case: Case) -> None:
    """Of every kind with each of its options: by readings, state and tensors."""
    graph = resolve(case.spec)
    module = Recurrent(graph, tensors(graph)).double()
    names = [name for name, _ in module.named_parameters()]
    states = [field.name for field in graph.state]
    rng = np.random.default_rng(5)
    x = torch.from_numpy(readings(graph, 2, 3).astype(np.float64))
    live = torch.isfinite(x)
    keep = 4 if graph.spec.head is not None else None  # the last answer of the head is a step function

    def run(x: torch.Tensor, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = dict(zip([*names, *states], values, strict=True))
        parameters = {name: given[name] for name in names}
        before = {name: given[name] for name in states}
        y, after = torch.func.functional_call(module, parameters, (torch.where(live, x, np.nan), before))
        return y[..., :keep], *(torch.where(torch.isfinite(value), value, 0.0) for value in after.values())

    start = [torch.from_numpy(rng.normal(0, 0.5, (2, *field.shape))) for field in graph.state]
    given = [torch.where(live, x, 0.0), *(parameter.detach() for parameter in module.parameters()), *start]
    inputs = [value.clone().requires_grad_() for value in given]
    assert torch.autograd.gradcheck(run, inputs, eps=1e-6, atol=1e-7, rtol=1e-5)


@each(FEW)
def test_there_and_back_keeps_every_bit(case: Case) -> None:
    graph = resolve(case.spec)
    model = Model(case.spec, tensors(graph), {"seed": 3}, cpu="base")
    back = from_torch(to_torch(model))
    assert back.spec == model.spec
    assert back.cpu == "base"
    assert dict(back.provenance) == {"seed": 3}
    assert list(back.tensors) == list(model.tensors)
    assert all(back.tensors[name].tobytes() == model.tensors[name].tobytes() for name in model.tensors)


def test_every_kind_has_a_small_case_for_its_gradients() -> None:
    wanted = {kind for registry, _ in FAMILIES.values() for kind in registry.kinds}
    graphs = [resolve(case.spec).spec for case in SMALL]
    kinds = {spec.kind for g in graphs for spec in (g.input, *g.nodes, *([g.head] if g.head else []))}
    assert kinds == wanted
