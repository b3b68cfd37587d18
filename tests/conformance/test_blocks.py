"""What deep stacks are made of: norms held to torch's own, sums and products to NumPy's, blocks to their formula."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear, silu

import gatewise as gw
from conformance.cases import readings, tensors
from gatewise import _core, layers
from gatewise.errors import SpecError
from gatewise.graph import reference_run, resolve
from gatewise.layers.base import Array
from gatewise.nn import Recurrent, to_torch
from gatewise.spec import LayerSpec, ModelSpec, residual

CPUS = _core.instruction_sets()
RECURRENT = [kind for kind in layers.KINDS if layers.registry.spec(kind).recurrent]


def norm(width: int, cpu: str | None = None, **options: Any) -> gw.Model:
    """A norm of the readings alone."""
    spec = ModelSpec(width, [LayerSpec("norm", **options)])
    return gw.Model(spec, tensors(resolve(spec)), cpu=cpu)


def torchs(model: gw.Model, x: Array, epsilon: float = 1e-5) -> Array:
    """What torch's own layer makes of the same tensors, in float64."""
    kind = torch.nn.LayerNorm if "norm0.bias" in model.tensors else torch.nn.RMSNorm
    truth = kind(model.inputs, eps=epsilon, dtype=torch.float64)
    truth.load_state_dict({name.partition(".")[2]: torch.tensor(value) for name, value in model.tensors.items()})
    with torch.no_grad():
        return truth(torch.tensor(x, dtype=torch.float64)).numpy()  # type: ignore[no-any-return]


@pytest.mark.parametrize("epsilon", [1e-12, 1e-5, 0.5])
@pytest.mark.parametrize("width", [1, 2, 7, 8, 16, 33, 100])
@pytest.mark.parametrize("method", ["rms", "layer"])
def test_the_reference_is_torchs(method: str, width: int, epsilon: float) -> None:
    model = norm(width, method=method, epsilon=epsilon)
    x = readings(model.graph, 3, 20)
    y, state = reference_run(model.graph, model.tensors, x)
    np.testing.assert_allclose(y, torchs(model, x, epsilon), rtol=0, atol=1e-12)
    assert state == {}


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("width", [1, 3, 8, 17, 64, 1000])
@pytest.mark.parametrize("method", ["rms", "layer"])
def test_native_is_torchs(method: str, width: int, cpu: str) -> None:
    model = norm(width, cpu, method=method)
    x = readings(model.graph, 4, 50)
    np.testing.assert_allclose(model.run(x), torchs(model, x), rtol=5e-7, atol=3e-7)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("width", [3, 17, 64, 1000])
def test_a_mean_of_ten_thousand_deviations_costs_no_digits(width: int, cpu: str) -> None:
    """The mean has a rounding of up to 5e-4 here: only its removal in two goes leaves errors of float32 alone."""
    model = norm(width, cpu, method="layer")
    x = (1e4 + readings(model.graph, 4, 50)).astype(np.float32)
    wanted = torchs(model, x)
    assert np.abs(wanted).max() > 1, "the deviations are there"
    np.testing.assert_allclose(model.run(x), wanted, rtol=5e-7, atol=3e-7)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("value", [0.0, 3.0, -0.1, 1e4, 1e18])
def test_of_equal_values_a_layer_norm_is_its_bias(value: float, cpu: str) -> None:
    model = norm(19, cpu, method="layer")
    x = np.full((2, 19), value, np.float32)
    np.testing.assert_allclose(model.run(x), np.tile(model.tensors["norm0.bias"], (2, 1)), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(norm(19, cpu).run(np.zeros((2, 19))), 0)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("size", [1e-30, 1e-3, 1.0, 1e4, 1e17])
def test_size_is_what_a_norm_takes_away(size: float, cpu: str) -> None:
    model = norm(33, cpu)
    x = (size * readings(model.graph, 1, 9)).astype(np.float32)
    np.testing.assert_allclose(model.run(x), torchs(model, x), rtol=2e-6, atol=1e-30)


def test_a_norm_starts_as_ones_and_zeros() -> None:
    model = gw.init(ModelSpec(3, [LayerSpec("norm", method="layer")]))
    assert model.tensors["norm0.weight"].tolist() == [1, 1, 1]
    assert model.tensors["norm0.bias"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("width", [1, 3, 17, 64])
def test_sums_and_products_have_the_bits_of_numpys(width: int, cpu: str) -> None:
    names = ("a", "b", "c")
    parts = [LayerSpec("dense", name, "input", units=width) for name in names]
    both = [LayerSpec("add", "sum", (*names, "a")), LayerSpec("multiply", "product", (*names, "a"))]
    spec = ModelSpec(5, [*parts, *both, LayerSpec("concat", sources=("a", "b", "c", "sum"))])
    drawn = tensors(resolve(spec))
    x = readings(resolve(spec), 1, 30)[0]
    a, b, c, total = np.split(gw.Model(spec, drawn, cpu=cpu).run(x), 4, axis=1)
    np.testing.assert_array_equal(total, ((a + b) + c) + a)
    spec = spec.replace(layers=[*parts, *both])
    np.testing.assert_array_equal(gw.Model(spec, drawn, cpu=cpu).run(x), ((a * b) * c) * a)


def test_a_block_is_these_nodes() -> None:
    mixer = LayerSpec("lstm", units=7, peepholes=True)
    assert residual(mixer, 4, "one", source="embed", norm="layer", expand=1.5) == [
        LayerSpec("norm", "one_norm", "embed", method="layer"),
        LayerSpec("lstm", "one_mixer", units=7, peepholes=True),
        LayerSpec("dense", "one_mixed", units=4),
        LayerSpec("add", "one_sum", ("embed", "one_mixed")),
        LayerSpec("norm", "one_mlp_norm", method="layer"),
        LayerSpec("dense", "one_mlp_gate", units=6, activation="silu"),
        LayerSpec("dense", "one_mlp_up", "one_mlp_norm", units=6),
        LayerSpec("multiply", "one_mlp", ("one_mlp_gate", "one_mlp_up")),
        LayerSpec("dense", "one_mlp_down", units=4),
        LayerSpec("add", "one", ("one_sum", "one_mlp_down")),
    ]
    plain = residual(mixer, 4, source="embed")
    assert plain[-1].name == "residual"
    assert plain[0].options == {"method": "rms"}
    assert plain[5].options["units"] == 8


def stack(kind: str, width: int, blocks: int, units: int) -> ModelSpec:
    nodes = [LayerSpec("dense", "block0", units=width)]
    for i in range(blocks):
        nodes += residual(LayerSpec(kind, units=units), width, f"block{i + 1}", source=f"block{i}")
    return ModelSpec(3, nodes)


def formula(kind: str, drawn: dict[str, Tensor], x: Tensor, width: int, blocks: int, units: int) -> Tensor:
    """The two lines of the docstring of `residual`, block after block, for (batch, time, 3) in float64."""

    def affine(name: str, value: Tensor) -> Tensor:
        return linear(value, drawn[f"{name}.weight"], drawn[f"{name}.bias"])

    def normed(name: str, value: Tensor) -> Tensor:
        return value / torch.sqrt((value**2).mean(-1, keepdim=True) + 1e-5) * drawn[f"{name}.weight"]

    x = affine("block0", x)
    for name in (f"block{i + 1}" for i in range(blocks)):
        graph = resolve(ModelSpec(width, [LayerSpec(kind, f"{name}_mixer", units=units)]))
        own = {key: drawn[key].numpy() for key in graph.tensors}
        mixed, _ = reference_run(graph, own, normed(f"{name}_norm", x).numpy())
        x = x + affine(f"{name}_mixed", torch.from_numpy(mixed))
        u = normed(f"{name}_mlp_norm", x)
        x = x + affine(f"{name}_mlp_down", silu(affine(f"{name}_mlp_gate", u)) * affine(f"{name}_mlp_up", u))
    return x


@pytest.mark.parametrize("kind", RECURRENT)
def test_a_stack_is_its_formula(kind: str) -> None:
    shape = {"width": 6, "blocks": 3, "units": 5}
    graph = resolve(stack(kind, **shape))
    drawn = tensors(graph)
    x = readings(graph, 2, 12).astype(np.float64)
    module = Recurrent(graph, drawn).double()
    exact = {name: torch.tensor(value, dtype=torch.float64) for name, value in drawn.items()}
    with torch.no_grad():
        answers, _ = module(torch.from_numpy(x))
        wanted = formula(kind, exact, torch.from_numpy(x), **shape)
    np.testing.assert_allclose(answers.numpy(), wanted.numpy(), rtol=0, atol=1e-12)


def slope_at_the_bottom(layers: list[LayerSpec]) -> float:
    """The size of the gradient by the first matrix, of a sum of answers with random signs."""
    module = to_torch(gw.init(ModelSpec(3, layers), seed=1))
    random = torch.Generator().manual_seed(0)
    answers, _ = module(torch.randn(8, 16, 3, generator=random))
    (answers * torch.randn(answers.shape, generator=random)).mean().backward()
    gradient = module.get_parameter("block0.weight").grad
    assert gradient is not None
    return float(gradient.norm())


@pytest.mark.parametrize("kind", RECURRENT)
def test_gradients_reach_the_bottom_of_a_deep_stack(kind: str) -> None:
    one, many = (slope_at_the_bottom([*stack(kind, 16, n, 16).nodes, LayerSpec("norm")]) for n in (1, 24))
    assert one / 10 < many < 10 * one


def test_without_blocks_little_would_be_left() -> None:
    plain = [LayerSpec("dense", "block0", units=16), *(LayerSpec("gru", units=16) for _ in range(24))]
    blocks = [*stack("gru", 16, 24, 16).nodes, LayerSpec("norm")]
    assert slope_at_the_bottom(plain) < 1e-3 * slope_at_the_bottom(blocks)


def test_blocks_stream_as_they_run() -> None:
    model = gw.init(stack("gru", 8, 4, 8), seed=3)
    x = readings(model.graph, 1, 40)[0]
    stream = model.stream()
    assert np.array_equal(np.stack([stream.push(row) for row in x]), model.run(x))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([LayerSpec("add")], r"layer 'add0': add joins 2 to 4 edges, got 1; name them in sources \(from\)"),
        ([LayerSpec("multiply", sources=["input"] * 5)], "multiply joins 2 to 4 edges, got 5"),
        (
            [LayerSpec("gru", units=2), LayerSpec("add", sources=("gru0", "input"))],
            r"add reads edges of equal width, got widths \[2, 3\]; add a dense layer to make them equal",
        ),
        ([LayerSpec("norm", sources=("input", "input"))], "norm reads one edge, got 2"),
        ([LayerSpec("norm", method="batch")], "norm 'norm0': method must be one of 'rms', 'layer', got 'batch'"),
        ([LayerSpec("norm", epsilon=0.0)], "epsilon must be a number from 1e-12 to 1, got 0.0"),
        (residual(LayerSpec("gru", units=2), 2, source="input"), r"layer 'residual_sum': add reads .* \[3, 2\]"),
        (
            residual(LayerSpec("perceptron", units=2), 3, source="input"),
            "unknown layer 'perceptron'; this version knows",
        ),
        (residual(LayerSpec("gru"), 3, source="input"), "gru 'residual_mixer' needs the option 'units'"),
        (residual(LayerSpec("gru", units=2), 3, source="input", norm="l2"), "norm 'residual_norm': method must be one"),
    ],
)
def test_what_does_not_fit(nodes: list[LayerSpec], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        gw.init(ModelSpec(3, nodes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mixer": LayerSpec("gru", "mine", units=2)}, r"without name and sources, .*residual\(LayerSpec\(...\), 64"),
        ({"mixer": LayerSpec("gru", sources="input", units=2)}, "without name and sources"),
        ({"mixer": "gru"}, "residual takes a LayerSpec without name and sources, got 'gru'"),
        ({"source": None}, "residual needs the name of the node it reads.*source='block0'"),
        ({"width": 0}, "width must be a whole number of at least 1, that of 'input', got 0"),
        ({"width": 2.0}, "width must be a whole number .*, got 2.0"),
        ({"width": True}, "width must be a whole number .*, got True"),
        ({"expand": 0}, "expand must be a number above 0, at most 64, got 0"),
        ({"expand": float("nan")}, "expand must be a number above 0, at most 64, got nan"),
        ({"expand": "2"}, "expand must be a number above 0, at most 64, got '2'"),
        ({"name": "my block"}, "name must be an identifier"),
    ],
)
def test_what_is_no_block(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        residual(**{"mixer": LayerSpec("gru", units=2), "width": 3, "source": "input", **change})
