"""The torch modules against the float64 NumPy reference, finite differences, and padding that must not matter."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from gatewise import _core
from gatewise.errors import InputError, SpecError, StateError
from gatewise.graph import Graph, initial_tensors, reference_run, resolve
from gatewise.inputs.base import MISSING
from gatewise.layers import KINDS, registry
from gatewise.layers.train.dropout import Dropout
from gatewise.model import Model, init
from gatewise.nn import Recurrent, from_torch, to_torch
from gatewise.spec import LayerSpec, ModelSpec

HARD = {"kind": "hard_sigmoid", "slope": 0.2, "offset": 0.5}
ACTIVATIONS: list[Any] = ["linear", "relu", "tanh", "sigmoid", HARD]

GRUS = [
    *({"reset": reset} for reset in ("after", "before")),
    *({"reset": reset, "activation": a} for reset in ("after", "before") for a in ACTIVATIONS),
    *({"reset": reset, "gate_activation": a} for reset in ("after", "before") for a in ACTIVATIONS),
]
DENSES = [{"activation": a} for a in [*ACTIVATIONS, "softmax"]]
STAGES = [{"scaling": scaling, "missing": missing} for scaling in ("none", "standard") for missing in MISSING]
HEADS: list[dict[str, Any]] = [
    {},
    {"targets": [1], "smooth": 7, "samples": 4},
    {"targets": [2], "smooth": 3, "samples": 1000},
]

SPECS = [
    *(ModelSpec(inputs=3, layers=[LayerSpec("gru", units=5, **options)]) for options in GRUS),
    *(ModelSpec(inputs=3, layers=[LayerSpec("dense", units=5, **options)]) for options in DENSES),
    *(
        ModelSpec(
            input=LayerSpec("numeric", width=3, **options),
            layers=[LayerSpec("gru", units=4), LayerSpec("dense", units=2)],
        )
        for options in STAGES
    ),
    *(
        ModelSpec(
            input=LayerSpec("numeric", width=3, scaling="standard", missing="hold"),
            layers=[
                LayerSpec("gru", units=4),
                # Reading an edge that is not the last.
                LayerSpec("gru", sources="input", units=3),
                LayerSpec("dense", units=2),
            ],
            head=LayerSpec("tail_probability", **options),
        )
        for options in HEADS
    ),
]


def _id(spec: ModelSpec) -> str:
    nodes = [spec.input, *spec.nodes, *([spec.head] if spec.head else [])]
    told = [
        [node.kind, *(str(v["kind"] if isinstance(v, dict) else v) for k, v in node.options.items())] for node in nodes
    ]
    return " ".join("-".join(node) for node in told if len(node) > 1)


def tensors_for(graph: Graph, seed: int = 1) -> dict[str, np.ndarray[Any, Any]]:
    """Random tensors, all different, small enough that each layer forgets."""
    rng = np.random.default_rng(seed)
    tensors = initial_tensors(graph)
    for name, value in tensors.items():
        node = name.partition(".")[0]
        if name in ("input.scale", "head.unit"):
            tensors[name] = rng.uniform(0.5, 2.0, value.shape).astype(np.float32)
        elif name == "head.band":
            tensors[name] = np.array([[-1.5, 2.5]], np.float32)
        elif node != "head":
            tensors[name] = (0.3 * rng.standard_normal(value.shape)).astype(np.float32)
    return tensors


def readings(graph: Graph, batch: int, time: int, seed: int = 2) -> np.ndarray[Any, Any]:
    """Random readings, with gaps (also at the start, also infinite) where the model allows them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, time, graph.edges[0].width))
    if not graph.refuses_missing:
        x[rng.random(x.shape) < 0.2] = np.nan
        x[rng.random(x.shape) < 0.05] = np.inf
        x[0, 0] = np.nan
    return x


def state_for(graph: Graph, batch: int, seed: int = 3) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    return {field.name: 0.5 * rng.standard_normal((batch, *field.shape)) for field in graph.state}


def as_torch(fields: dict[str, np.ndarray[Any, Any]], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value, dtype=dtype) for name, value in fields.items()}


@pytest.mark.parametrize("spec", SPECS, ids=_id)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_equals_reference(spec: ModelSpec, dtype: torch.dtype, tolerance: float) -> None:
    graph = resolve(spec)
    tensors = tensors_for(graph)
    module = Recurrent(graph, tensors).to(dtype)
    x = readings(graph, 3, 11).astype(np.float32)
    for state in (None, state_for(graph, 3)):
        expected, after = reference_run(graph, tensors, x.astype(np.float64), state)
        y, new = module(torch.tensor(x, dtype=dtype), state and as_torch(state, dtype))
        np.testing.assert_allclose(y.detach().numpy(), expected, rtol=tolerance, atol=tolerance)
        assert list(new) == [field.name for field in graph.state]
        for name, value in after.items():
            np.testing.assert_allclose(new[name].detach().numpy(), value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("spec", SPECS, ids=_id)
def test_pieces_equal_whole_and_rows_end_where_they_end(spec: ModelSpec) -> None:
    """Carried state over any cut, and rows of several lengths, against the reference run on each row alone."""
    graph = resolve(spec)
    tensors = tensors_for(graph)
    module = Recurrent(graph, tensors).double()
    x, state = readings(graph, 4, 9), state_for(graph, 4)
    lengths = [9, 0, 4, 1]
    with torch.no_grad():
        y, after = module(torch.tensor(x), as_torch(state, torch.float64), torch.tensor(lengths))
        first, middle = module(torch.tensor(x[:, :5]), as_torch(state, torch.float64))
        second, _ = module(torch.tensor(x[:, 5:]), middle)
        none, same = module(torch.tensor(x[:, :0]), middle)
    assert none.shape == (4, 0, y.shape[2])
    assert all(torch.equal(same[name], middle[name]) for name in same)
    for row, length in enumerate(lengths):
        begin = {name: value[row : row + 1] for name, value in state.items()}
        expected, end = reference_run(graph, tensors, x[row : row + 1, :length], begin)
        np.testing.assert_allclose(y[row : row + 1, :length], expected, rtol=1e-12, atol=1e-12)
        assert not y[row, length:].any()
        for name, value in end.items():
            np.testing.assert_allclose(after[name][row : row + 1], value, rtol=1e-12, atol=1e-12)
    whole, _ = reference_run(graph, tensors, x, state)
    np.testing.assert_allclose(torch.cat([first, second], 1), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("padding", [np.nan, np.inf])
@pytest.mark.parametrize("spec", SPECS, ids=_id)
def test_padding_contents_never_matter(spec: ModelSpec, padding: float) -> None:
    """The same bits forward, in the state, and in every gradient."""
    graph = resolve(spec)
    lengths = torch.tensor([7, 3, 0])
    clean = torch.tensor(readings(graph, 3, 7), dtype=torch.float32)
    dirty = clean.clone()
    for row, length in enumerate(lengths.tolist()):
        clean[row, length:] = 0.0
        dirty[row, length:] = padding
    results = []
    for x in (clean, dirty):
        module = Recurrent(graph, tensors_for(graph))
        x.requires_grad_()
        out, scaled, _ = module.body(x, None, lengths)
        y, after = module(x, None, lengths)
        total = sum(value.square().sum() for value in (out, y, *after.values()))
        assert isinstance(total, torch.Tensor)
        total.backward()
        assert x.grad is not None
        results.append([out, scaled, y, *after.values(), x.grad, *(p.grad for p in module.parameters())])
    for one, other in zip(*results, strict=True):
        if one is not None or other is not None:
            assert torch.equal(one, other)
            assert torch.isfinite(one).all()


@pytest.mark.parametrize("lengths", [None, [6, 2, 0]])
@pytest.mark.parametrize("spec", SPECS, ids=_id)
def test_gradients_equal_finite_differences(spec: ModelSpec, lengths: list[int] | None) -> None:
    graph = resolve(spec)
    module = Recurrent(graph, tensors_for(graph)).double()
    names = [name for name, _ in module.named_parameters()]
    fields = [field.name for field in graph.state]
    x = torch.tensor(readings(graph, 3, 6))
    finite = torch.isfinite(x)
    ends = None if lengths is None else torch.tensor(lengths)

    def run(x: torch.Tensor, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        parameters = dict(zip(names, values[: len(names)], strict=True))
        state = dict(zip(fields, values[len(names) :], strict=True))
        y, after = torch.func.functional_call(module, parameters, (torch.where(finite, x, np.nan), state, ends))
        if graph.spec.head is not None:
            y = y[:, :, :4]  # "extrapolated" is a step function
        return y, *after.values()

    arguments = [torch.where(finite, x, 0.0), *(p.detach() for p in module.parameters())]
    arguments += as_torch(state_for(graph, 3), torch.float64).values()
    # fast_mode compares along random directions: every entry takes part, in a tenth of the time.
    assert torch.autograd.gradcheck(
        run,
        [a.clone().requires_grad_() for a in arguments],
        atol=1e-7,
        rtol=1e-5,
        fast_mode=True,
        check_undefined_grad=False,
    )


def test_gru_equals_torch_gru() -> None:
    graph = resolve(ModelSpec(inputs=3, layers=[LayerSpec("gru", units=8), LayerSpec("gru", units=8)]))
    module = Recurrent(graph, tensors_for(graph)).double()
    truth = torch.nn.GRU(3, 8, num_layers=2, batch_first=True, dtype=torch.float64)
    truth.load_state_dict(
        {f"{key.partition('.')[2]}_l{key[3]}": value for key, value in module.state_dict().items()}, strict=True
    )
    x = torch.tensor(readings(graph, 4, 20))
    expected, hidden = truth(x)
    y, state = module(x)
    torch.testing.assert_close(y, expected, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(torch.stack(list(state.values())), hidden, rtol=1e-13, atol=1e-13)
    y.square().sum().backward()
    expected.square().sum().backward()
    for own, other in zip(module.parameters(), truth.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spec", [SPECS[0], SPECS[-1]], ids=_id)
def test_round_trip_keeps_every_bit(spec: ModelSpec) -> None:
    graph = resolve(spec)
    model = Model(spec, tensors_for(graph), {"seed": 3})
    module = to_torch(model)
    assert list(module.state_dict()) == list(model.tensors)
    assert {name for name, _ in module.named_buffers()} == {
        name for name in model.tensors if name.startswith(("input.", "head."))
    }
    back = from_torch(module)
    assert back.spec == model.spec
    assert dict(back.provenance) == {"seed": 3}
    assert back.cpu == model.cpu
    for name, value in model.tensors.items():
        assert back.tensors[name].tobytes() == value.tobytes()
    first = next(iter(model.tensors))
    with torch.no_grad():
        module.state_dict()[first].add_(1.0)
    assert (back.tensors[first] == model.tensors[first]).all()  # a copy, not a view
    assert (from_torch(module).tensors[first] == model.tensors[first] + 1).all()


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
    module = Recurrent(graph, tensors_for(graph))
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
