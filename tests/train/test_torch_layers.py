"""`from_torch` of torch's own layers against those layers, and what it says of what it does not take."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gatewise.errors import InputError, SpecError
from gatewise.layers.base import Array
from gatewise.model import init
from gatewise.nn import from_torch, to_torch
from gatewise.spec import LayerSpec, ModelSpec

RECURRENT: list[Callable[..., nn.Module]] = [nn.RNN, nn.LSTM, nn.GRU]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_layers": 3},
    {"bias": False},
    {"batch_first": False},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "bias": False, "batch_first": False, "dropout": 0.5},
    {"num_layers": 2, "dropout": 0.9},
]
CASES = [
    *((kind, options) for kind in RECURRENT for options in OPTIONS),
    (nn.RNN, {"nonlinearity": "relu", "num_layers": 2}),
    (nn.LSTM, {"proj_size": 2}),
    (nn.LSTM, {"proj_size": 3, "num_layers": 2, "bidirectional": True, "bias": False}),
]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(4)


def readings(width: int = 3) -> torch.Tensor:
    return torch.randn(4, 11, width)


def run(module: nn.Module, x: torch.Tensor) -> tuple[Array, Any]:
    """What a recurrent layer writes, with rows first, and its state, in eval()."""
    module = copy.deepcopy(module).eval()
    with torch.no_grad():
        y, state = module(x if module.batch_first else x.transpose(0, 1))
    return (y if module.batch_first else y.transpose(0, 1)).numpy(), state


def chain(module: nn.Sequential, x: torch.Tensor) -> Array:
    """What nn.Sequential would do if recurrent layers gave their output alone."""
    with torch.no_grad():
        for layer in copy.deepcopy(module).eval():
            x = layer(x)[0] if isinstance(layer, nn.RNNBase) else layer(x)
    return x.numpy()


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")  # torch's own
@pytest.mark.parametrize(("kind", "options"), CASES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_recurrent_layer_gives_torchs_answers_and_state(
    kind: Callable[..., nn.Module], options: dict[str, Any]
) -> None:
    module, x = kind(3, 5, **{"batch_first": True, **options}), readings()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    model = from_torch(module)
    wanted, state = run(module, x)
    np.testing.assert_allclose(model.run(x.numpy()), wanted, rtol=0, atol=1e-5)
    assert module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    if not options.get("bidirectional"):
        stream = model.stream()
        np.testing.assert_allclose(stream.push_many(x[0].numpy()), wanted[0], rtol=0, atol=1e-5)
        hidden = state[0] if kind is nn.LSTM else state
        fields = [field.name for field in model.graph.state if field.name.endswith("hidden")]
        for name, value in zip(fields, hidden[:, 0], strict=True):
            np.testing.assert_allclose(stream.state.fields[name].reshape(-1), value, rtol=0, atol=1e-5)


def test_a_window_of_a_bidirectional_layer_streams() -> None:
    module, x = nn.GRU(3, 5, bidirectional=True, batch_first=True), readings()
    model = from_torch(module, context={"window": 4})
    streamed = model.stream().push_many(x[0].numpy())
    for step in range(11):
        wanted, _ = run(module, x[:1, max(0, step - 3) : step + 1])
        np.testing.assert_allclose(streamed[step], wanted[0, -1], rtol=0, atol=1e-5)
    with pytest.raises(SpecError, match="window"):
        from_torch(module).stream()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_types_are_rounded(dtype: torch.dtype) -> None:
    module = nn.LSTM(3, 5).to(dtype)
    tensors = from_torch(module).tensors
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(tensors[f"lstm0.{name[:-3]}"], value.float().numpy())


def test_layers_in_a_row() -> None:
    module = nn.Sequential(
        nn.Dropout(0.9),
        nn.Linear(3, 6),
        nn.Tanh(),
        nn.Sequential(nn.LSTM(6, 5, batch_first=True, bidirectional=True), nn.Dropout(), nn.LayerNorm(10)),
        nn.GRU(10, 4, 2, batch_first=True),
        nn.RMSNorm(4),
        nn.Identity(),
        nn.Linear(4, 4, bias=False),
        nn.ReLU(),
        nn.RNN(4, 4, batch_first=True),
        nn.LayerNorm(4, elementwise_affine=False, eps=0.1),
        nn.Linear(4, 2),
        nn.Softmax(-1),
    )
    with torch.no_grad():
        module[3][2].weight.uniform_(0.5, 2)
        module[3][2].bias.uniform_(-1, 1)
        module[5].weight.uniform_(0.5, 2)
    flat = nn.Sequential(*module[:3], *module[3], *module[4:])
    model, x = from_torch(module), readings()
    np.testing.assert_allclose(model.run(x.numpy()), chain(flat, x), rtol=0, atol=1e-5)
    written = [node for node in model.spec.nodes if node.kind == "dense"]
    assert [node.options["activation"] for node in written] == ["tanh", "relu", "softmax"]


def test_a_module_that_is_used_twice_runs_twice() -> None:
    act, square = nn.Tanh(), nn.Linear(6, 6)
    inner = nn.Sequential(square, act)
    each = [nn.Linear(3, 6), act, square, nn.ReLU(), square, act, nn.GRU(6, 6, batch_first=True), square, act]
    module, flat = nn.Sequential(*each, inner, inner), nn.Sequential(*each, *inner, *inner)
    model, x = from_torch(module), readings()
    np.testing.assert_allclose(model.run(x.numpy()), chain(flat, x), rtol=0, atol=1e-5)
    for copied in ("dense1", "dense2", "dense3", "dense4", "dense5"):
        np.testing.assert_array_equal(model.tensors[f"{copied}.weight"], square.weight.detach().numpy())


ACTIVATIONS = [
    *(nn.Tanh(), nn.ReLU(), nn.Sigmoid(), nn.SiLU(), nn.Mish(), nn.ReLU6(), nn.SELU(), nn.Softsign(), nn.Hardswish()),
    *(nn.LogSigmoid(), nn.Hardsigmoid(), nn.LeakyReLU(0.3), nn.ELU(0.7), nn.GELU(), nn.GELU("tanh"), nn.Hardtanh()),
    *(nn.Softplus(), nn.Softmax(-1), nn.Softmax(2)),
]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_an_activation_is_that_of_the_layer_before_it(activation: nn.Module) -> None:
    module = nn.Sequential(nn.Linear(3, 5), activation)
    x = 4 * readings()
    model = from_torch(module)
    np.testing.assert_allclose(model.run(x.numpy()), chain(module, x), rtol=1e-6, atol=1e-5)
    assert len(model.spec.nodes) == 1


def test_an_activation_after_another_or_after_a_recurrent_layer() -> None:
    module = nn.Sequential(nn.GRU(3, 5, batch_first=True), nn.ReLU(), nn.Linear(5, 2), nn.ReLU(), nn.Sigmoid())
    x = readings()
    np.testing.assert_allclose(from_torch(module).run(x.numpy()), chain(module, x), rtol=0, atol=1e-5)


def test_weights_that_are_computed_are_taken_as_they_are() -> None:
    linear = nn.utils.parametrizations.weight_norm(nn.Linear(3, 5))
    with torch.no_grad():
        linear.parametrizations.weight.original0.mul_(2)
    x = readings()
    np.testing.assert_allclose(from_torch(linear).run(x.numpy()), linear(x).detach(), rtol=0, atol=1e-5)


class TakeOutput(nn.Module):
    def forward(self, x: tuple[torch.Tensor, Any]) -> torch.Tensor:
        return x[0]


class Mine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 8, batch_first=True)
        self.out = nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.out(self.lstm(x)[0])
        return y


def test_what_to_do_with_a_module_of_ones_own() -> None:
    module = nn.Sequential(nn.LSTM(3, 8, batch_first=True), TakeOutput(), nn.Linear(8, 1))
    with pytest.raises(InputError, match=r"does not know '1' \(TakeOutput\); it takes nn.RNN, .* leave it out of the"):
        from_torch(module)
    x = readings()
    with torch.no_grad():
        wanted = module(x).numpy()
    np.testing.assert_allclose(
        from_torch(nn.Sequential(module[0], module[2])).run(x.numpy()), wanted, rtol=0, atol=1e-5
    )

    mine = Mine()
    with pytest.raises(InputError, match=r"know Mine; .* from_torch\(nn.Sequential\(module.lstm, module.out\)\)$"):
        from_torch(mine)
    with torch.no_grad():
        wanted = mine(x).numpy()
    np.testing.assert_allclose(from_torch(nn.Sequential(mine.lstm, mine.out)).run(x.numpy()), wanted, rtol=0, atol=1e-5)
    with pytest.raises(InputError, match=r"'0.1' \(Mine\).*nn.Sequential\(module\[0\]\[1\].lstm, module\[0\]\[1\].out"):
        from_torch(nn.Sequential(nn.Sequential(nn.Linear(3, 3), mine)))


class Doubled(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


OURS = init(ModelSpec(3, [LayerSpec("gru", units=4)]))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            nn.Conv1d(3, 4, 2),
            r"^from_torch does not know Conv1d; it takes nn.RNN, nn.LSTM, nn.GRU, nn.Linear, .* to_torch$",
        ),
        (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), r"does not know '1' \(BatchNorm1d\)"),
        (Doubled(3, 4), "does not know Doubled"),
        (nn.Sequential(), "there is no layer in Sequential"),
        (nn.Sequential(nn.Dropout()), "there is no layer"),
        (nn.Tanh(), "Tanh comes before all layers"),
        (
            nn.Sequential(nn.Linear(3, 4), nn.GRU(5, 2)),
            r"'1' \(GRU\) reads 5 values a step, .* '0' \(Linear\), writes 4",
        ),
        (nn.LazyLinear(4), "LazyLinear has no weights yet; run it once"),
        (nn.Sequential(nn.Linear(3, 4), nn.Softmax(1)), r"Softmax with dim=-1.* only, got Softmax\(dim=1\)"),
        (nn.Sequential(nn.Linear(3, 4), nn.Hardtanh(0, 2)), "Hardtanh with min_val=-1"),
        (nn.LayerNorm((3, 4)), "several axes"),
        (nn.Sequential(to_torch(OURS)), r"'0' \(Recurrent\).* alone, as in from_torch\(module\[0\]\)"),
        (nn.Linear(3, 4).state_dict(), "takes a torch module, got OrderedDict; .* load_state_dict, first"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_taken_is_refused(module: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_torch(module)


def test_hooks_contexts_and_weights_that_are_not_finite_are_refused() -> None:
    linear = nn.Linear(3, 4)
    handle = linear.register_forward_hook(lambda *given: None)
    with pytest.raises(InputError, match="Linear has forward hooks"):
        from_torch(linear)
    handle.remove()
    with torch.no_grad():
        linear.weight[0, 0] = torch.nan
    with pytest.raises(SpecError, match="'dense0.weight' holds 1 non-finite"):
        from_torch(linear)
    with pytest.raises(InputError, match="has the context of its model; leave context out"):
        from_torch(to_torch(OURS), context="carried")
    with pytest.raises(SpecError, match="context must be"):
        from_torch(nn.Linear(3, 4), context={"window": 0})
