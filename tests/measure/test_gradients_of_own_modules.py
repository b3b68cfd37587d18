"""gradient_by_lag of modules of a user's own, against that of the recurrent layer in them."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gatewise as gw
from gatewise.errors import InputError
from gatewise.measure.gradients import gradient_by_lag
from gatewise.nn import to_torch

LAGS = 7
KINDS = [nn.RNN, nn.LSTM, nn.GRU]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(3)


def windows(rows: int = 3, time: int = 9, inputs: int = 2) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(rows, time, inputs))


def close(got: np.ndarray, wanted: np.ndarray) -> None:
    assert np.all(wanted > 0)
    np.testing.assert_allclose(got, wanted, rtol=1e-11)


class Inside(nn.Module):
    """A recurrent layer somewhere inside, whose state is thrown away."""

    def __init__(self, layer: nn.Module, turns: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(layer)
        self.out = nn.Linear(4, 1)
        self.turns = turns

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x.transpose(0, 1) if self.turns else x)[0]
        return torch.as_tensor(self.out(y.transpose(0, 1) if self.turns else y))


@pytest.mark.parametrize("time", [8, 9])
@pytest.mark.parametrize("kind", KINDS)
def test_the_layer_is_found_in_either_layout(kind: Any, time: int) -> None:
    first, second = kind(2, 4, 2, batch_first=True), kind(2, 4, 2)
    second.load_state_dict(first.state_dict())
    x = windows(time, time)  # as many windows as steps: shapes alone do not tell one from the other
    wanted = gradient_by_lag(first, x, LAGS)
    for module in (second, Inside(first), Inside(second), Inside(first, turns=True), Inside(second, turns=True)):
        close(gradient_by_lag(module, x, LAGS), wanted)
        assert all(parameter.requires_grad for parameter in module.parameters())


def test_windows_of_two_steps() -> None:
    first, second = nn.GRU(2, 4, batch_first=True), nn.GRU(2, 4)
    second.load_state_dict(first.state_dict())
    x = windows(2, 2)
    close(gradient_by_lag(second, x, 1), gradient_by_lag(first, x, 1))


def test_a_bidirectional_layer_is_measured_forward() -> None:
    both, one = nn.LSTM(2, 4, batch_first=True, bidirectional=True), nn.LSTM(2, 4, batch_first=True)
    one.load_state_dict({name: both.state_dict()[name] for name in one.state_dict()})
    close(gradient_by_lag(both, windows(), LAGS), gradient_by_lag(one, windows(), LAGS))


class Stepped(nn.Module):
    """A cell that is called step by step."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for step in x.unbind(1):
            state = self.cell(step, state)
        y = state[0] if isinstance(state, tuple) else state
        return torch.as_tensor(y).sum(-1)


@pytest.mark.parametrize(("cell", "layer"), [(nn.RNNCell, nn.RNN), (nn.GRUCell, nn.GRU), (nn.LSTMCell, nn.LSTM)])
def test_a_cell_is_measured_after_its_last_step(cell: Any, layer: Any) -> None:
    one, whole = cell(2, 4), layer(2, 4, batch_first=True)
    one.load_state_dict({name.removesuffix("_l0"): value for name, value in whole.state_dict().items()})
    close(gradient_by_lag(Stepped(one), windows(), LAGS), gradient_by_lag(whole, windows(), LAGS))


def test_a_model_of_ours_inside() -> None:
    ours = to_torch(gw.init(gw.ModelSpec(2, [gw.LayerSpec("gru", units=4)])))
    close(gradient_by_lag(Inside(ours), windows(), LAGS), gradient_by_lag(ours, windows(), LAGS))


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.GRU(2, 4, batch_first=True)
        self.decoder = nn.LSTM(4, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.decoder(self.encoder(x)[0])[0])


def test_of_several_layers_one_is_named() -> None:
    module = Two()
    with pytest.raises(
        InputError, match=r"module returns, a tensor \(2, 9, 3\); pass layer=.*\['encoder', 'decoder'\]"
    ):
        gradient_by_lag(module, windows(), LAGS)
    wanted = gradient_by_lag(module.encoder, windows(), LAGS)
    close(gradient_by_lag(module, windows(), LAGS, layer="encoder"), wanted)
    close(gradient_by_lag(module, windows(), LAGS, layer=module.encoder), wanted)
    assert not np.allclose(gradient_by_lag(module, windows(), LAGS, layer="decoder"), wanted)
    for layer in ("nothing", nn.GRU(2, 4)):
        with pytest.raises(InputError, match=r"has no layer .*; its modules are '', 'encoder', 'decoder'"):
            gradient_by_lag(module, windows(), LAGS, layer=layer)


class Leaky(nn.Module):
    """A recurrence by hand: h' = a h + x, so that dh_T / dx_{T-k} = a^k I."""

    def __init__(self, returns: str) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.5))
        self.returns = returns

    def forward(self, x: Tensor) -> Any:
        h, steps = torch.zeros_like(x[:, 0]), []
        for step in x.unbind(1):
            h = self.a * h + step
            steps.append(h)
        every = torch.stack(steps, 1)
        return {
            "state": h,
            "(y, h)": (every, h),
            "(y, layers)": (every, h[None]),
            "(y, (h, c))": (every, (h[None], h[None] ** 2)),
            "(y, dict)": (every, {"hidden": h}),
            "y": every,
            "(h, c)": (h, h**2),
            "detached": (every.detach(), h.detach()[None]),
        }[self.returns]


def test_a_recurrence_of_ones_own_returns_its_state() -> None:
    wanted = np.tile(np.sqrt(2) * 0.5 ** np.arange(LAGS + 1), (3, 1))
    for returns in ("(y, layers)", "(y, (h, c))", "(y, dict)"):
        close(gradient_by_lag(Leaky(returns), windows(), LAGS), wanted)
    for returns in ("state", "(y, h)", "(y, layers)", "(y, (h, c))", "(y, dict)"):
        close(gradient_by_lag(nn.Sequential(Leaky(returns)), windows(), LAGS, layer="0"), wanted)
        close(gradient_by_lag(Leaky(returns), windows(), LAGS, layer=""), wanted)


def test_what_has_no_hidden_state_is_refused_with_the_way_out() -> None:
    with pytest.raises(
        InputError, match=r"what the module returns, a tensor \(2, 9, 2\); pass layer=.*return \(y, state\)"
    ):
        gradient_by_lag(Leaky("y"), windows(), LAGS)
    with pytest.raises(
        InputError, match=r"the layer Leaky returns, \(a tensor \(2, 2\), a tensor \(2, 2\)\); pass layer="
    ):
        gradient_by_lag(Leaky("(h, c)"), windows(), LAGS, layer="")
    with pytest.raises(InputError, match="does not depend on the windows by operations that have a gradient"):
        gradient_by_lag(Leaky("detached"), windows(), LAGS)
    with pytest.raises(InputError, match=r"neither as \(2, 9, 2\) nor, time first, as \(9, 2, 2\): RuntimeError: "):
        gradient_by_lag(nn.GRU(5, 4, batch_first=True), windows(), LAGS)
    unused = nn.ModuleDict({"a": nn.GRU(2, 4)})
    unused.forward = lambda x: x  # type: ignore[method-assign]
    with pytest.raises(InputError, match="the layer GRU is not called when the module runs"):
        gradient_by_lag(unused, windows(), LAGS)


def test_the_module_is_reached_by_its_name() -> None:
    assert gw.measure.gradients.gradient_by_lag is gradient_by_lag
    assert "gradients" in dir(gw.measure)
    with pytest.raises(AttributeError, match="'gatewise.measure' has no attribute 'gradient'"):
        _ = gw.measure.gradient
