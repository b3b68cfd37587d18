"""gradient_by_lag against formulas by hand and finite differences."""

import numpy as np
import pytest
import torch

import gatewise as gw
from gatewise.errors import InputError
from gatewise.measure import gradients
from gatewise.measure.gradients import gradient_by_lag
from gatewise.nn import to_torch

LAGS = 7


def windows(rows: int, time: int, inputs: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(rows, time, inputs))


def test_one_tanh_unit_equals_the_product_of_its_derivatives() -> None:
    torch.manual_seed(0)
    module = torch.nn.RNN(1, 1, batch_first=True, dtype=torch.float64)
    w_x, w_h, b_x, b_h = (p.item() for p in module.parameters())
    x = windows(3, 12, 1)
    expected = np.zeros((3, LAGS + 1))
    for row in range(3):
        h, slopes = 0.0, []
        for t in range(12):
            h = np.tanh(w_x * x[row, t, 0] + b_x + w_h * h + b_h)
            slopes.append(1 - h**2)
        for k in range(LAGS + 1):
            # dh_T/dh_{T-k} = product of w_h (1 - h_t^2) over the k steps after T - k
            expected[row, k] = abs(w_x * slopes[11 - k] * np.prod([w_h * slopes[t] for t in range(12 - k, 12)]))
    np.testing.assert_allclose(gradient_by_lag(module, x, LAGS), expected, rtol=1e-12)


def test_a_linear_recurrence_gives_the_norm_of_matrix_powers() -> None:
    rng = np.random.default_rng(1)
    w, u = rng.uniform(0, 0.6, (3, 3)), rng.uniform(0, 1, (3, 2))
    module = torch.nn.RNN(2, 3, nonlinearity="relu", bias=False, batch_first=True)  # relu is the identity above 0
    with torch.no_grad():
        module.weight_hh_l0.copy_(torch.tensor(w))
        module.weight_ih_l0.copy_(torch.tensor(u))
    w, u = (p.detach().double().numpy() for p in (module.weight_hh_l0, module.weight_ih_l0))
    x = rng.uniform(0.1, 1, (2, 10, 2))
    found = gradient_by_lag(module, x, LAGS)
    powers = [np.linalg.norm(np.linalg.matrix_power(w, k) @ u) for k in range(LAGS + 1)]
    np.testing.assert_allclose(found, [powers, powers], rtol=1e-12)
    one = [np.linalg.norm(np.linalg.matrix_power(w, k) @ u[:, 1]) for k in range(LAGS + 1)]
    np.testing.assert_allclose(gradient_by_lag(module, x, LAGS, column=1), [one, one], rtol=1e-12)


def test_a_complex_recurrence_gives_powers_of_lambda() -> None:
    """Of h in the complex plane, dh[T] / dx[T - k] = lambda^k gamma B, and its norm falls as |lambda|^k."""
    found = gw.init(gw.ModelSpec(2, [gw.LayerSpec("lru", units=1, states=3, r_min=0.3, r_max=0.9)]))
    t = {name.partition(".")[2]: value.astype(float) for name, value in found.tensors.items()}
    size, rows = np.exp(-np.exp(t["nu_log"])), np.sum(t["weight_ih"].reshape(2, 3, 2) ** 2, axis=(0, 2))
    wanted = [np.sqrt(np.sum(size ** (2 * k) * np.exp(2 * t["gamma_log"]) * rows)) for k in range(LAGS + 1)]
    np.testing.assert_allclose(gradient_by_lag(to_torch(found), windows(2, 9, 2), LAGS), [wanted, wanted], rtol=1e-12)


def model(seed: int = 3) -> gw.Model:
    spec = gw.ModelSpec(
        input=gw.LayerSpec("numeric", width=2, scaling="standard"),
        layers=[gw.LayerSpec("gru", units=4), gw.LayerSpec("gru", units=3), gw.LayerSpec("dense", units=2)],
        head=gw.LayerSpec("tail_probability", smooth=3),
    )
    found = gw.init(spec, seed)
    scaling = {"input.offset": np.array([1, -1], np.float32), "input.scale": np.array([2, 0.5], np.float32)}
    return found.replace(tensors={**found.tensors, **scaling})


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "model"])
def test_finite_differences(kind: str) -> None:
    torch.manual_seed(1)
    if kind == "model":
        module = to_torch(model())
        assert torch.float32 == module.dtype
    else:
        module = getattr(torch.nn, kind)(2, 4, num_layers=2, batch_first=True)
    x = windows(2, 9, 2)
    found = gradient_by_lag(module, x, LAGS)
    exact = (to_torch(model()) if kind == "model" else module).double()

    def hidden(values: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            state = exact(torch.tensor(values))[1]
        if kind == "model":
            return torch.cat([state["gru0.hidden"], state["gru1.hidden"]], 1).numpy()
        return (state[0] if kind == "LSTM" else state)[-1].numpy()

    step = 1e-5
    expected = np.zeros((2, LAGS + 1))
    for k in range(LAGS + 1):
        for column in range(2):
            up, down = x.copy(), x.copy()
            up[:, 8 - k, column] += step
            down[:, 8 - k, column] -= step
            expected[:, k] += (((hidden(up) - hidden(down)) / (2 * step)) ** 2).sum(1)
    np.testing.assert_allclose(found, np.sqrt(expected), rtol=1e-6, atol=1e-10)


def test_each_window_stands_alone_and_the_module_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(2)
    module = torch.nn.GRU(1, 3, batch_first=True)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    x = windows(4, 10, 1).astype(np.float32)
    with torch.no_grad():
        together = gradient_by_lag(module, x, LAGS)
    monkeypatch.setattr(gradients, "ROWS", 2)  # passes of two units, then of one
    alone = np.concatenate([gradient_by_lag(module, x[i : i + 1], LAGS) for i in range(4)])
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    assert module.weight_hh_l0.dtype == torch.float32
    assert module.weight_hh_l0.grad is None
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_what_does_not_fit_is_refused() -> None:
    module = torch.nn.GRU(1, 3, batch_first=True)
    with pytest.raises(InputError, match="time > lags = 7"):
        gradient_by_lag(module, windows(1, 7, 1), LAGS)
    with pytest.raises(InputError, match="windows \\(windows, time, inputs\\)"):
        gradient_by_lag(module, windows(1, 9, 1)[0], LAGS)
    with pytest.raises(InputError, match="column must be 0 to 0, got 1"):
        gradient_by_lag(module, windows(1, 9, 1), LAGS, column=1)

    with pytest.raises(
        InputError, match="takes a torch module, got Model; gatewise.train.to_torch makes one of a model"
    ):
        gradient_by_lag(model(), windows(1, 9, 2), LAGS)  # type: ignore[arg-type]
